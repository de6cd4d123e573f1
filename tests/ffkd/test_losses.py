import math

import pytest
import torch
from torch.autograd import gradcheck

from rgbt_baselines.ffkd.losses import class_distillation, distillation_terms
from rgbt_baselines.ffkd.model import DetectorConfig, FusionDetector, Outputs, freeze_backbones, set_train_mode

LN3 = math.log(3)


def level(*places):
    """One image, one row of places, each a list of channels."""
    return torch.tensor(places, dtype=torch.float64).T[None, :, None, :]


# two anchors x two classes at two places, at T = 4; only the first place of the teacher differs from the student's
TEACHER = level([4 * LN3, 0, 4 * LN3, 0], [0, 0, 0, 0])
STUDENT = torch.zeros_like(TEACHER)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        # soft-max (3, 1, 3, 1)/8 against 1/4: 0.75 ln 1.5 + 0.25 ln 0.5 = 0.130812, times 16
        ("joint27", 2.092993),
        # two anchors of (0.75, 0.25) against (0.5, 0.5): 0.130812 each, times 16
        ("per-anchor", 4.185986),
        # two Bernoulli 0.75 against 0.5, the other logits agree
        ("per-anchor-sigmoid", 4.185986),
    ],
)
def test_class_forms_by_hand(form, expected):
    def kl(student, teacher):
        return class_distillation(student, teacher, num_classes=2, class_form=form).item()

    assert kl([STUDENT], [TEACHER]) == pytest.approx(expected, abs=1e-5)
    # levels add up, images are averaged
    assert kl([STUDENT, STUDENT], [TEACHER, TEACHER]) == pytest.approx(2 * expected, abs=1e-5)
    batch = torch.cat([STUDENT, STUDENT]), torch.cat([TEACHER, STUDENT])
    assert kl([batch[0]], [batch[1]]) == pytest.approx(expected / 2, abs=1e-5)
    assert kl([TEACHER], [TEACHER]) == pytest.approx(0, abs=1e-12)


def test_only_the_joint_form_sees_how_sure_an_anchor_is_of_any_object():
    # the second anchor's logits move together: its soft-max over classes stays as it was
    teacher = level([0, 0, 4 * LN3, 4 * LN3])
    student = torch.zeros_like(teacher)

    def kl(form):
        return class_distillation([student], [teacher], num_classes=2, class_form=form).item()

    assert kl("per-anchor") == pytest.approx(0, abs=1e-12)
    assert kl("joint27") == pytest.approx(2.092993, abs=1e-5)
    assert kl("per-anchor-sigmoid") == pytest.approx(4.185986, abs=1e-5)


def test_terms_by_hand():
    box = torch.zeros(1, 8, 1, 2, dtype=torch.float64)
    moved = box.clone()
    moved[0, 0, 0, 0], moved[0, 5, 0, 1] = 0.5, 3.0
    student = Outputs([STUDENT], [box], [torch.zeros(1, 3, 1, 2), torch.zeros(1, 3, 1, 1)])
    teacher = Outputs([TEACHER], [moved], [torch.ones(1, 3, 1, 2), torch.full((1, 3, 1, 1), 2.0)])
    terms = distillation_terms(student, teacher, num_classes=2)
    assert {name: pytest.approx(value.item(), abs=1e-5) for name, value in terms.items()} == {
        "feature": 1 + 4,
        "class_kl": 2.092993,
        # (0.125 + 2.5) over 16 codes
        "box_l1": 0.1640625,
        "response": 0.5 * 2.092993 + 0.5 * 0.1640625,
    }
    weighed = distillation_terms(student, teacher, num_classes=2, class_weight=1, box_weight=0, box_beta=2)
    assert weighed["response"].item() == pytest.approx(2.092993, abs=1e-5)
    # (0.0625 + 2) over 16 codes
    assert weighed["box_l1"].item() == pytest.approx(0.12890625)


@pytest.mark.parametrize("form", ["joint27", "per-anchor", "per-anchor-sigmoid"])
def test_gradient_of_the_response_term(form):
    generator = torch.Generator().manual_seed(0)

    def random(channels):
        return torch.randn(2, channels, 1, 2, dtype=torch.float64, generator=generator)

    teacher = Outputs([random(6)], [random(8)], [random(3)])

    def total(cls, box, fused):
        student = Outputs([cls], [box], [fused])
        terms = distillation_terms(student, teacher, num_classes=3, class_form=form)
        return terms["response"] + terms["feature"]

    assert gradcheck(total, tuple(random(channels).requires_grad_() for channels in (6, 8, 3)))


def tiny(backbone):
    config = DetectorConfig(
        backbone=backbone, num_classes=3, image_size=64, fpn_channels=16, fpn_cells=1, head_repeats=1, drop_path=0
    )
    return FusionDetector(config)


def test_gradients_reach_the_students_trainable_parameters_alone_and_one_step_lowers_the_terms():
    torch.manual_seed(0)
    student, teacher = tiny("lcnet_050"), tiny("mobilenetv4_conv_small_050")
    freeze_backbones(student)
    teacher.eval()
    set_train_mode(student, "fusion_cbam_only")
    optimizer = torch.optim.Adam((p for p in student.parameters() if p.requires_grad), lr=1e-4)
    rgb, thermal = torch.randn(2, 2, 3, 64, 64)

    def total():
        terms = distillation_terms(student(rgb, thermal), teacher(rgb, thermal), num_classes=3)
        return terms["feature"] + terms["response"]

    before = total()
    before.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    reached = {name.rsplit(".", 1)[0] for name, p in student.named_parameters() if p.grad is not None and p.grad.any()}
    used = ("rgb.bifpn", "thermal.bifpn", "fusion_cbam", "fused_class_net", "fused_box_net")
    assert {prefix for prefix in used if any(name.startswith(prefix) for name in reached)} == set(used)
    assert all(name.startswith(used) for name in reached)
    optimizer.step()
    assert total().item() < before.item()
