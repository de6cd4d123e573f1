"""The protocol `coco-on-fused`: COCO's figures of one detector that sees fused images alone."""

from rgbt_bench.protocols.coco import Coco


class CocoOnFused(Coco):
    """Boxes that a detector found in fused images: a task that fusion is ranked by."""

    name = "coco-on-fused"
    task = "detection-on-fused"
    modalities = ()
    what = "the detections on fused images that were scored"


PROTOCOL = CocoOnFused()
