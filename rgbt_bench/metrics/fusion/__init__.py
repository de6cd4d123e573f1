"""Fusion metrics of one RGB-thermal pair and its fused image, in one stated definition each."""

from rgbt_bench.metrics.fusion.figures import PROTOCOL, fusion_figures
from rgbt_bench.metrics.fusion.triple import Triple, luma_of
from rgbt_bench.metrics.fusion_catalogue import METRICS, Metric

__all__ = ["METRICS", "PROTOCOL", "Metric", "Triple", "fusion_figures", "luma_of"]
