"""Distillation losses shared by papers."""

from rgbt_bench.distillation.losses import (
    Reduction,
    binary_kl_with_temperature,
    feature_mse,
    kl_with_temperature,
    smooth_l1,
)

__all__ = ["Reduction", "binary_kl_with_temperature", "feature_mse", "kl_with_temperature", "smooth_l1"]
