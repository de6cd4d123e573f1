"""The attention of a teacher's feature map (Eq. 1-2), by which cells and channels are masked."""

from torch import Tensor

from rgbt_bench.distillation import full_precision


@full_precision
def spatial_attention(features: Tensor, temperature: float) -> Tensor:
    """Return the soft-max over cells of the mean absolute feature, times their number.

    `features` are (B, C, H, W), the result (B, 1, H, W) in float32 or wider. Each image's sum is H·W, so that 1 is the
    mean. Source: RDR-KD Eq. 1, which is FGD's (arXiv:2111.11837).
    """
    strength = features.abs().mean(1, keepdim=True) / temperature
    return strength.flatten(1).softmax(1).view_as(strength) * strength[0].numel()


@full_precision
def channel_attention(features: Tensor, temperature: float) -> Tensor:
    """Return the soft-max over channels of the mean absolute feature, times their number.

    `features` are (B, C, H, W), the result (B, C, 1, 1) in float32 or wider. Each image's sum is C, so that 1 is the
    mean. Source: RDR-KD Eq. 2.
    """
    strength = features.abs().mean((2, 3), keepdim=True) / temperature
    return strength.softmax(1) * features.shape[1]
