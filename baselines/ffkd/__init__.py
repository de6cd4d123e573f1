"""FFKD: feature fusion and knowledge distillation for RGB-T detection (arXiv 2506.00365)."""
