"""TarDAL's losses against values by hand, torchmetrics and finite differences."""

import pytest
import torch
from torch import nn
from torchmetrics.functional.image import structural_similarity_index_measure as reference_ssim

from rgbt_baselines.tardal.losses import (
    adversarial_loss,
    details_of,
    discriminator_loss,
    gradient,
    pixel_loss,
    ssim_loss,
    ssim_map,
    targets_of,
)


def images(*values):
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def noise(seed, size=(24, 30)):
    return torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_ssim_is_torchmetrics():
    first = noise(0)
    for second in (noise(1), (first + 0.1 * noise(1)).clamp(0, 1)):
        _, padded = reference_ssim(first, second, data_range=1.0, sigma=1.5, return_full_image=True)
        torch.testing.assert_close(ssim_map(first, second), padded[..., 5:-5, 5:-5], rtol=1e-6, atol=1e-9)


def test_ssim_of_constant_images_is_the_closed_form():
    first, second = torch.full((1, 1, 11, 11), 0.2), torch.full((1, 1, 11, 11), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim_map(first, second).tolist() == [[[[pytest.approx(expected, rel=1e-3)]]]]


def test_ssim_has_the_gradient_of_finite_differences():
    first = noise(0, (12, 12)).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda one: ssim_map(one, noise(1, (12, 12))).mean(), first)


def test_the_ssim_loss_is_half_of_both_distances():
    fused, thermal, luma = noise(0), noise(1), noise(2)
    expected = (1 - ssim_map(fused, thermal).mean()) / 2 + (1 - ssim_map(fused, luma).mean()) / 2
    assert ssim_loss(fused, thermal, luma).item() == pytest.approx(expected.item())
    assert ssim_loss(fused, fused, fused).item() == pytest.approx(0, abs=1e-12)
    only_thermal = ssim_loss(fused, thermal, luma, torch.ones_like(fused))
    assert only_thermal.item() == pytest.approx((1 - ssim_map(fused, thermal).mean().item()) / 2)


def test_the_pixel_loss_by_hand_with_weights_on_losses_and_on_images():
    fused, thermal, luma, weight = images(0.5, 1.0), images(1.0, 1.0), images(0.0, 0.2), images(0.75, 0.25)
    # losses: .75 * .5 + .25 * .5 and .25 * 0 + .75 * .8
    assert pixel_loss(fused, thermal, luma, weight, "losses").item() == pytest.approx((0.5 + 0.6) / 2)
    # images: |.5 - .75| + |.5 - 0| and |1 - .25| + |1 - .15|
    assert pixel_loss(fused, thermal, luma, weight, "images").item() == pytest.approx((0.75 + 1.6) / 2)


def test_the_gradient_of_a_step_and_of_a_ramp():
    step = torch.zeros(1, 1, 6, 6)
    step[..., 3:] = 1
    found = gradient(step)[0, 0, 2]
    assert found.tolist() == pytest.approx([1e-4, 1e-4, 0.5, 0.5, 1e-4, 1e-4], abs=1e-6)
    ramp = torch.arange(6.0).view(1, 1, 6, 1).expand(1, 1, 6, 6)
    assert gradient(ramp)[0, 0, 1:-1].unique().tolist() == pytest.approx([1.0])


def test_the_gradient_can_be_learnt_through_where_an_image_is_constant():
    flat = torch.full((1, 1, 5, 5), 0.3, requires_grad=True)
    gradient(flat).sum().backward()
    assert flat.grad.isfinite().all()


def test_targets_are_inside_the_mask_and_details_outside():
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., 3:] = 1
    image = noise(0, (6, 6))[:1].float()
    targets, details = targets_of(image, mask), details_of(image, mask)
    assert torch.equal(targets[..., 3:], image[..., 3:])
    assert targets[..., :3].abs().max() == 0
    assert torch.equal(details[..., :3], gradient(image)[..., :3])
    assert details[..., 3:].abs().max() == 0


class Weighed(nn.Module):
    """D(x) = the sum of a x + b x^2 / 2."""

    def __init__(self, a, b=0.0):
        super().__init__()
        self.a, self.b = nn.Parameter(images(*a)), b

    def forward(self, one):
        return (self.a * one + self.b * one**2 / 2).flatten(1).sum(1)


def test_the_wasserstein_divergence_of_a_linear_discriminator_by_hand():
    # grad D is (1, 2) everywhere, so |grad D|^6 is 5^3; D(real) = 3, D(fake) = 0.5
    loss = discriminator_loss(Weighed((1, 2)), images(1, 1), images(0.5, 0), 2.0, 6.0, images(0.3))
    assert loss.item() == pytest.approx(0.5 - 3 + 2 * 125)


def test_the_divergence_is_taken_between_real_and_fake():
    # grad D at the mixture .25 * real + .75 * fake = (1, 2) is (1 + 1, 1 + 2)
    loss = discriminator_loss(Weighed((1, 1), 1.0), images(4, 2), images(0, 2), 0.5, 2.0, images(0.25))
    real, fake = 6 + (16 + 4) / 2, 2 + 4 / 2
    assert loss.item() == pytest.approx(fake - real + 0.5 * (4 + 9))


def test_the_divergence_teaches_the_discriminator_what_finite_differences_say():
    def loss(a):
        module = Weighed((0, 0), 1.0)
        del module.a
        module.a = a
        return discriminator_loss(module, images(0.4, 0.2), images(0.1, 0.6), 2.0, 6.0, images(0.5))

    assert torch.autograd.gradcheck(loss, images(0.3, -0.2).requires_grad_(True))


def test_the_generator_is_told_to_be_judged_as_real():
    assert adversarial_loss(Weighed((1, 2)), images(1, 1)).item() == pytest.approx(-3)
