import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rdrkd_reference as reference
from rdrkd_cases import BATCH, BOXES, IMAGE_SIZE, decoupled, draw, features, random_boxes, some_boxes
from rgbt_baselines.rdrkd.boxes import box_map
from rgbt_baselines.rdrkd.decoupled import area_weights, cell_weights, decoupled_loss

SWITCHES = [
    {},
    {"background_by": "literal"},
    {"size_by": "covered"},
    {"area_unit": "pixels", "temperature": 300.0},
    {"area_unit": "pixels", "background_by": "literal", "size_by": "covered"},
    {"foreground": 2.0, "background": 0.0, "temperature": 0.1},
    {"foreground": 0.0, "background": 3.0, "bias": 1.0},
]


def maps_of(boxes, images, levels):
    return [box_map(boxes, images, len(one), *one.shape[2:]) for one in levels]


def loss_of(students, teachers, boxes, images, **changed):
    maps = maps_of(boxes, images, students)
    return decoupled_loss(students, teachers, maps, IMAGE_SIZE, decoupled(**changed))


def one_image(*boxes, height=4, width=4):
    rows = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    return box_map(rows, torch.zeros(len(rows), dtype=torch.int64), 1, height, width)


def test_a_hand_made_image():
    """A 2x4 level, 1 channel: one box of 2 cells, one of 1 cell, 5 cells of background."""
    teacher = torch.tensor([[[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]], dtype=torch.float64)
    student = torch.zeros_like(teacher)
    boxes = torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.875, 0.75, 0.25, 0.5]], dtype=torch.float64)
    images = torch.zeros(2, dtype=torch.int64)
    # areas 0.25 and 0.125 of the image; soft-max of (1 - 0.25 - 0.005)/20 and (1 - 0.125 - 0.005)/20
    first, second = math.exp(0.745 / 20), math.exp(0.87 / 20)
    first, second = first / (first + second), second / (first + second)
    foreground = first / 2 * (1**2 + 2**2) + second / 1 * 8**2
    background = 3**2 + 4**2 + 5**2 + 6**2 + 7**2
    found = loss_of([student], [teacher], boxes, images)
    assert found.item() == pytest.approx(0.5 * foreground + 0.5 * background / 5, rel=1e-12)
    found = loss_of([student], [teacher], boxes, images, background_by="literal")
    assert found.item() == pytest.approx(0.5 * foreground + 0.5 * background, rel=1e-12)
    found = loss_of([student], [teacher], boxes, images, foreground=2.0, background=0.25)
    assert found.item() == pytest.approx(2 * foreground + 0.25 * background / 5, rel=1e-12)


@pytest.mark.parametrize("changed", SWITCHES)
def test_hard_boxes_by_loops(changed):
    check(*some_boxes(), changed)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 30), seed=st.integers(0, 2**32), changed=st.sampled_from(SWITCHES))
def test_random_boxes_by_loops(count, seed, changed):
    check(*random_boxes(count, seed), changed)


def check(boxes, images, changed):
    students, teachers = features(0, 2), features(9, 2)
    lists = [[one.tolist() for one in maps] for maps in (students, teachers)]
    expected = reference.decoupled(*lists, boxes.tolist(), images.tolist(), IMAGE_SIZE, decoupled(**changed))
    assert loss_of(students, teachers, boxes, images, **changed).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unit", ["image", "pixels"])
def test_weights_are_1_together_in_each_image_and_those_of_its_cells_too(unit):
    """The paper's sum over regions of (W/S)·S."""
    boxes, images = some_boxes()
    found = box_map(boxes, images, BATCH, 8, 8)
    weights = area_weights(found, IMAGE_SIZE, decoupled(area_unit=unit))
    for image in (0, 2):
        assert weights[images == image].sum().item() == pytest.approx(1, rel=1e-12)
    cells = cell_weights(found, IMAGE_SIZE, decoupled(area_unit=unit, foreground=1.0, background=0.0))
    assert cells.sum((1, 2)).tolist() == pytest.approx([1, 0, 1], rel=1e-12)
    owned = found.spread(torch.ones(len(boxes)), torch.zeros(BATCH)) > 0
    assert torch.equal(cells > 0, owned)


def test_a_box_that_owns_no_cell_has_no_weight():
    """The fourth is the third again, the eighth has no width."""
    boxes, images = some_boxes()
    weights = area_weights(box_map(boxes, images, BATCH, 8, 8), IMAGE_SIZE, decoupled())
    assert (weights[3], weights[7]) == (0, 0)
    alone = box_map(torch.tensor([[0.5, 0.5, 0.0, 0.3]]), torch.tensor([0]), 1, 4, 4)
    assert area_weights(alone, IMAGE_SIZE, decoupled()).tolist() == [0]


@pytest.mark.parametrize("unit", ["image", "pixels"])
@pytest.mark.parametrize("bias", [0.0, 0.005, -3.0, 1000.0])
def test_the_1_and_the_bias_cancel(unit, bias):
    found = box_map(*some_boxes(), BATCH, 8, 8)
    plain = decoupled(area_unit=unit, temperature=20.0)
    areas = found.areas * (IMAGE_SIZE**2 if unit == "pixels" else 1)
    for image in (0, 2):
        mine = (found.images == image) & (found.owned > 0)
        without = (-areas[mine] / 20).softmax(0)  # neither 1 nor b
        weights = area_weights(found, IMAGE_SIZE, plain.model_copy(update={"bias": bias}))[mine]
        assert weights.tolist() == pytest.approx(without.tolist(), rel=1e-9, abs=1e-300)


def test_areas_of_the_image_make_the_weights_nearly_uniform_and_pixels_make_them_one():
    """With T_s = 20: shares are at most 1 apart, so weights at most e^0.05; pixels are hundreds apart."""
    image = one_image((0.1, 0.1, 0.03, 0.03), (0.3, 0.3, 0.05, 0.05), (0.7, 0.7, 0.6, 0.6), height=40, width=40)
    shares = area_weights(image, 640, decoupled())
    assert shares.max() / shares.min() < math.exp(0.05)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, rel=0.02)
    pixels = area_weights(image, 640, decoupled(area_unit="pixels"))  # areas 369, 1024, 147456
    assert pixels[0] > 1 - 1e-12
    assert pixels.sum().item() == pytest.approx(1)


def test_small_boxes_count_more_a_cell():
    image = one_image((0.125, 0.125, 0.25, 0.25), (0.75, 0.5, 0.5, 1.0))  # 1 cell and 8 cells
    cells = cell_weights(image, IMAGE_SIZE, decoupled(foreground=1.0))[0]
    first, second = (math.exp(-area / 20) for area in (1 / 16, 1 / 2))
    assert cells[0, 0].item() == pytest.approx(first / (first + second), rel=1e-12)
    assert cells[2, 2].item() == pytest.approx(second / (first + second) / 8, rel=1e-12)


def test_size_by_covered_lets_a_box_that_is_partly_hidden_count_less():
    """Two boxes of 4 cells share 1; it is the second's, the smaller one's."""
    image = one_image((0.25, 0.25, 0.5, 0.5), (0.5, 0.5, 0.45, 0.45))
    assert (image.covered.tolist(), image.owned.tolist()) == ([4, 4], [3, 4])
    owned = cell_weights(image, 64, decoupled(foreground=1.0, background=0.0))
    covered = cell_weights(image, 64, decoupled(foreground=1.0, background=0.0, size_by="covered"))
    assert owned.sum().item() == pytest.approx(1)
    weight = area_weights(image, 64, decoupled())
    assert covered.sum().item() == pytest.approx((3 * weight[0] + 4 * weight[1]).item() / 4)
    assert covered[0, 0, 0] / owned[0, 0, 0] == pytest.approx(3 / 4)


def test_as_printed_the_background_is_all_of_the_loss():
    """FACTS B.3 has a background of about 52,000 beside a foreground of 4.8 on a real image.

    Here the maps are equally far apart in each cell, by a squared distance of 4.8: divided by its cells, each part is
    4.8; as printed the background is that times its cells, some 10,600 of a level of 104 x 104.
    """
    boxes, images = random_boxes(60, 1, batch=1)
    boxes[:, 2:] = boxes[:, 2:].clamp(max=0.03)
    teacher = torch.zeros(1, 3, 104, 104, dtype=torch.float64)
    student = teacher + math.sqrt(4.8 / 3)
    empty = box_map(boxes, images, 1, 104, 104).empty_cells().item()
    assert 10_000 < empty < 104**2 - 60

    def part(**changed):
        return loss_of([student], [teacher], boxes, images, **changed).item()

    foreground = part(foreground=1.0, background=0.0)
    printed = part(foreground=0.0, background=1.0, background_by="literal")
    ours = part(foreground=0.0, background=1.0)
    assert foreground == pytest.approx(4.8)
    assert printed == pytest.approx(4.8 * empty)
    assert 48_000 < printed < 52_000
    assert ours == pytest.approx(4.8)
    assert foreground / (foreground + printed) < 1e-4


@pytest.mark.parametrize("changed", SWITCHES)
def test_equal_maps_have_no_loss_and_no_gradient(changed):
    students = features(0, 2)
    found = loss_of(students, [one.detach().clone() for one in students], *some_boxes(), **changed)
    found.backward()
    assert found.item() == 0
    assert all(one.grad.abs().max() == 0 for one in students)


def test_an_image_without_boxes_has_its_background_alone():
    student, teacher = draw(0, 1, 2, 3, 4), draw(1, 1, 2, 3, 4)
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    squares = (student - teacher).square().sum().item()
    assert loss_of([student], [teacher], *none).item() == pytest.approx(0.5 * squares / 12)
    assert loss_of([student], [teacher], *none, background_by="literal").item() == pytest.approx(0.5 * squares)
    outside = torch.tensor([[3.0, 3.0, 0.5, 0.5]]), torch.tensor([0])
    assert loss_of([student], [teacher], *outside).item() == pytest.approx(0.5 * squares / 12)


def test_an_image_that_is_all_box_has_no_background():
    student, teacher = draw(0, 1, 2, 3, 4), draw(1, 1, 2, 3, 4)
    whole = torch.tensor([[0.5, 0.5, 1.0, 1.0]]), torch.tensor([0])
    squares = (student - teacher).square().sum().item()
    for by in ("cells", "literal"):
        found = loss_of([student], [teacher], *whole, background_by=by)
        assert found.item() == pytest.approx(0.5 * squares / 12)


@pytest.mark.parametrize("changed", SWITCHES)
def test_the_gradient_is_that_of_finite_differences(changed):
    teacher, student = draw(9, 2, 2, 3, 4), draw(0, 2, 2, 3, 4)
    boxes = random_boxes(4, 0, 2)
    assert torch.autograd.gradcheck(lambda one: loss_of([one], [teacher.detach()], *boxes, **changed), student)
    loss_of([student], [teacher], *boxes, **changed).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0


def test_half_precision_maps_give_what_their_float32_gives():
    halves = [features(seed, 2, dtype=torch.float16) for seed in (0, 9)]
    halves = [[(one.detach() * 300).requires_grad_() for one in maps] for maps in halves]  # squares beyond 65504
    wides = [[one.detach().float() for one in maps] for maps in halves]
    boxes, images = some_boxes(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss_of(*halves, boxes, images)
    assert found.dtype == torch.float32
    assert found.isfinite()
    assert found.item() == loss_of(*wides, boxes, images).item()


def test_the_order_of_the_boxes_does_not_matter():
    boxes, images = some_boxes()
    order = torch.randperm(len(BOXES), generator=torch.Generator().manual_seed(0))
    maps = features(0, 2), features(9, 2)
    mixed = loss_of(*maps, boxes[order], images[order]).item()
    assert mixed == pytest.approx(loss_of(*maps, boxes, images).item(), rel=1e-12)
