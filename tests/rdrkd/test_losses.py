import pytest
import torch
from pydantic import ValidationError
from torch.utils._python_dispatch import TorchDispatchMode

from rdrkd_cases import (
    BATCH,
    DECOUPLED,
    IMAGE_SIZE,
    REGENERATED,
    RESPONSIVE,
    corners,
    draw,
    features,
    random_boxes,
    section,
    some_boxes,
    views,
)
from rgbt_baselines.rdrkd.adapter import Adapter
from rgbt_baselines.rdrkd.boxes import box_map
from rgbt_baselines.rdrkd.decoupled import decoupled_loss
from rgbt_baselines.rdrkd.loss_config import LossSection
from rgbt_baselines.rdrkd.losses import Distillation, Views
from rgbt_baselines.rdrkd.regenerated import regenerated_loss
from rgbt_baselines.rdrkd.responsive import responsive_loss

STUDENT, TEACHER = (2, 3, 4), (3, 5, 4)
TERMS = ("regenerated", "decoupled", "responsive")


def distillation(loss, student=STUDENT, teacher=TEACHER):
    torch.manual_seed(0)
    return Distillation(student, teacher, loss).double()


def moved(one):
    """The names of the views that a loss gave a gradient."""
    named = {"features": one.features[0], "logits": one.logits, "boxes": one.boxes}
    return {name for name, value in named.items() if value.grad is not None and value.grad.abs().max() > 0}


def test_the_terms_are_the_three_losses_with_their_weights():
    loss = section(regenerated=2.0, decoupled=3.0, responsive=5.0)
    module, student, teacher = distillation(loss), views(0, STUDENT), views(9, TEACHER)
    boxes, images = some_boxes()
    found = module(student, teacher, boxes, images, IMAGE_SIZE)
    adapted = [adapter(one) for adapter, one in zip(module.adapters, student.features, strict=True)]
    maps = [box_map(boxes, images, BATCH, *one.shape[2:]) for one in adapted]
    expected = {
        "regenerated": 2
        * regenerated_loss(adapted, teacher.features, module.regenerations, maps, IMAGE_SIZE, loss.regenerated),
        "decoupled": 3 * decoupled_loss(adapted, teacher.features, maps, IMAGE_SIZE, loss.decoupled),
        "responsive": 5
        * responsive_loss(student.logits, teacher.logits, student.boxes, teacher.boxes, loss.responsive),
    }
    assert list(found) == list(TERMS)
    assert {name: one.item() for name, one in found.items()} == {name: one.item() for name, one in expected.items()}
    assert all(one.item() > 0 for one in found.values())


ROWS = {  # Table II: the terms in use, and what of the student they move
    "baseline": ((), set()),
    "regenerated": (("regenerated",), {"features"}),
    "decoupled": (("decoupled",), {"features"}),
    "features": (("regenerated", "decoupled"), {"features"}),
    "responsive": (("responsive",), {"logits", "boxes"}),
    "all": (TERMS, {"features", "logits", "boxes"}),
}


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_table_2_computes_its_terms_alone_and_never_moves_the_teacher(row, left_out):
    terms, moves = ROWS[row]
    loss = section(**{name: 1.0 if name in terms else 0.0 for name in TERMS})
    if left_out:
        loss = LossSection.model_validate({**loss.model_dump(), **{name: None for name in TERMS if name not in terms}})
    assert loss.needs_teacher == bool(terms)
    assert list(loss.weights) == list(terms)
    module, student, teacher = distillation(loss), views(0, STUDENT), views(9, TEACHER)
    found = module(student, teacher, *some_boxes(), IMAGE_SIZE)
    assert list(found) == list(terms)
    assert len(module.adapters) == (3 if loss.needs_features else 0)
    assert len(module.regenerations) == (3 if "regenerated" in terms else 0)
    if terms:
        torch.stack(list(found.values())).sum().backward()
    assert moved(student) == moves
    assert moved(teacher) == set()
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in module.parameters())


def test_a_term_without_a_weight_is_never_looked_at():
    broken = Views([], torch.full((BATCH, 7, 4), float("nan")), torch.zeros(0))
    teacher = Views([], broken.logits, broken.boxes)
    assert (
        distillation(section(regenerated=0.0, decoupled=0.0, responsive=0.0))(
            broken, teacher, *some_boxes(), IMAGE_SIZE
        )
        == {}
    )
    half = Views(features(0, STUDENT), broken.logits, broken.boxes)
    found = distillation(section(responsive=0.0))(
        half, Views(features(9, TEACHER), *(broken.logits, broken.boxes)), *some_boxes(), IMAGE_SIZE
    )
    assert all(one.isfinite() for one in found.values())


def test_an_adapter_is_a_1x1_convolution_where_widths_differ_and_nothing_where_they_do_not():
    adapter = Adapter(2, 5)
    assert {name: tuple(one.shape) for name, one in adapter.named_parameters()} == {
        "align.weight": (5, 2, 1, 1),
        "align.bias": (5,),
    }
    maps = torch.randn(3, 2, 4, 6)
    by_hand = torch.einsum("oc,bchw->bohw", adapter.align.weight[:, :, 0, 0], maps) + adapter.align.bias[:, None, None]
    assert torch.allclose(adapter(maps), by_hand, atol=1e-6)
    assert list(Adapter(4, 4).parameters()) == []
    assert Adapter(4, 4)(maps) is maps


def test_a_student_that_is_its_teacher_learns_nothing_but_to_regenerate():
    loss, student = section(regenerated=1.0, decoupled=1.0, responsive=1.0), views(0, TEACHER)
    found = distillation(loss, TEACHER, TEACHER)(student, student, *some_boxes(), IMAGE_SIZE)
    assert found["decoupled"].item() == 0
    assert found["responsive"].item() == 0
    assert found["regenerated"].item() > 0


def test_an_image_counts_the_same_in_any_batch():
    """All losses are means over images, as the library's is."""
    module, student, teacher = distillation(section()), views(0, STUDENT), views(9, TEACHER)
    boxes, images = some_boxes()
    whole = module(student, teacher, boxes, images, IMAGE_SIZE)
    alone = [
        module(
            *(
                Views([one[i : i + 1] for one in view.features], view.logits[i : i + 1], view.boxes[i : i + 1])
                for view in (student, teacher)
            ),
            boxes[images == i],
            images[images == i] - i,
            IMAGE_SIZE,
        )
        for i in range(BATCH)
    ]
    for name, one in whole.items():
        assert one.item() == pytest.approx(sum(single[name].item() for single in alone) / BATCH, rel=1e-12)


def test_no_boxes_in_the_whole_batch_is_a_batch_of_background():
    module, student, teacher = distillation(section()), views(0, STUDENT), views(9, TEACHER)
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    found = module(student, teacher, *none, IMAGE_SIZE)
    torch.stack(list(found.values())).sum().backward()
    assert all(one.item() > 0 for one in found.values())
    assert all(one.grad.isfinite().all() for one in student.features)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_terms_of_half_precision_views_are_float32_and_those_of_their_float32_views(dtype):
    """Regenerating is the network's work, and autocast's; the rest is computed in float32."""
    halves = [views(seed, TEACHER, dtype=dtype) for seed in (0, 9)]
    wides = [Views([one.float() for one in v.features], v.logits.float(), v.boxes.float()) for v in halves]
    boxes, images = some_boxes(torch.float32)
    module = distillation(section(), TEACHER, TEACHER).float()
    expected = module(*wides, boxes, images, IMAGE_SIZE)
    with torch.autocast("cpu", dtype=dtype):
        found = module(*halves, boxes, images, IMAGE_SIZE)
    assert {one.dtype for one in found.values()} == {torch.float32}
    assert found["decoupled"].item() == expected["decoupled"].item()
    assert found["responsive"].item() == expected["responsive"].item()
    assert found["regenerated"].item() == pytest.approx(expected["regenerated"].item(), rel=0.02)
    torch.stack(list(found.values())).sum().backward()
    assert moved(halves[0]) == {"features", "logits", "boxes"}
    assert all(one.grad.isfinite().all() for one in (*halves[0].features, halves[0].logits, halves[0].boxes))


def test_the_same_input_gives_the_same_bits():
    module = distillation(section())
    runs = []
    for _ in range(2):
        student, teacher = views(0, STUDENT), views(9, TEACHER)
        module.zero_grad()
        found = module(student, teacher, *some_boxes(), IMAGE_SIZE)
        torch.stack(list(found.values())).sum().backward()
        runs.append([*found.values(), *(one.grad for one in student.features), *(p.grad for p in module.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


class Counted(TorchDispatchMode):
    """Counts the operations of torch within it."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_more_boxes_and_more_places_take_no_more_operations():
    """So there is no loop over them."""
    counts = set()
    for boxes, places in ((2, 7), (300, 7), (2, 200)):
        module = distillation(section())
        both = [
            Views(features(seed, widths), draw(seed, BATCH, places, 4), corners(seed, places))
            for seed, widths in ((0, STUDENT), (9, TEACHER))
        ]
        with Counted() as counted:
            torch.stack(list(module(*both, *random_boxes(boxes, 0), IMAGE_SIZE).values())).sum().backward()
        counts.add(counted.count)
    assert len(counts) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_teacher_may_come_out_of_inference_mode(dtype):
    module, student, boxes = distillation(section()).float(), views(0, STUDENT, torch.float32), some_boxes()
    ordinary = views(9, TEACHER, dtype)
    with torch.inference_mode():
        teacher = Views([one.clone() for one in ordinary.features], ordinary.logits.clone(), ordinary.boxes.clone())
    assert teacher.logits.is_inference()
    found = module(student, teacher, *boxes, IMAGE_SIZE)
    torch.stack(list(found.values())).sum().backward()
    assert moved(student) == {"features", "logits", "boxes"}
    expected = module(student, ordinary, *boxes, IMAGE_SIZE)
    assert {name: one.item() for name, one in found.items()} == {name: one.item() for name, one in expected.items()}


def test_other_numbers_of_levels_are_refused():
    with pytest.raises(ValueError, match="2 student levels for 3 teacher levels"):
        Distillation((2, 3), TEACHER, section())
    module, student, teacher = distillation(section()), views(0, STUDENT), views(9, TEACHER)
    short = Views(teacher.features[:2], teacher.logits, teacher.boxes)
    with pytest.raises(ValueError, match="3 student and 2 teacher levels"):
        module(student, short, *some_boxes(), IMAGE_SIZE)


def test_nonsense_in_the_section_is_refused():
    gains = {"box": 7.5, "cls": 0.5, "dfl": 1.5}
    assert not LossSection.model_validate(gains).needs_teacher
    wrong = [
        {"box": 7.5, "cls": 0.5},
        {**gains, "box": -1.0},
        {**gains, "box": True},
        {**gains, "regenerate": REGENERATED},
        {**gains, "responsive": {}},
        *({**gains, "regenerated": {**REGENERATED, name: -1.0}} for name in REGENERATED),
        {**gains, "regenerated": {**REGENERATED, "attention_temperature": 0.0}},
        *({**gains, "decoupled": {**DECOUPLED, name: "no"}} for name in DECOUPLED),
        {**gains, "decoupled": {**DECOUPLED, "temperature": 0.0}},
        *({**gains, "responsive": {**RESPONSIVE, name: -0.1}} for name in RESPONSIVE),
        {**gains, "responsive": {**RESPONSIVE, "alpha": 1.1}},
        {**gains, "responsive": {**RESPONSIVE, "gamma": 0.5}},
        {**gains, "responsive": {**RESPONSIVE, "min_score": 1.0}},
    ]
    for one in wrong:
        with pytest.raises(ValidationError):
            LossSection.model_validate(one)
