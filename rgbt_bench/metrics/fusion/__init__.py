"""Fusion metrics of one RGB-thermal pair and its fused image, in one stated definition each."""

from rgbt_bench.metrics.fusion.figures import METRICS, PROTOCOL, Metric, fusion_figures
from rgbt_bench.metrics.fusion.triple import Triple, luma_of

__all__ = ["METRICS", "PROTOCOL", "Metric", "Triple", "fusion_figures", "luma_of"]
