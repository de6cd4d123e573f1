"""The metrics by name: what each one measures, its unit and which direction is better."""

from dataclasses import dataclass

from rgbt_bench.metrics import fusion_catalogue as fusion


@dataclass(frozen=True)
class Metric:
    """A metric's name, task, direction, range and definition in one sentence."""

    name: str
    task: str
    higher_is_better: bool
    unit: str
    definition: str


def _detection(name: str, definition: str) -> Metric:
    return Metric(name, "detection", True, "0..1", definition)


def _segmentation(name: str, definition: str) -> Metric:
    return Metric(name, "segmentation", True, "0..1", definition)


def _fusion(metric: fusion.Metric) -> Metric:
    return Metric(metric.name, "fusion", metric.higher_is_better, metric.unit, f"{metric.title} ({metric.source})")


METRICS = (
    _detection("AP", "COCO average precision, mean over IoU 0.50:0.05:0.95 and over the classes present"),
    _detection("AP50", "COCO average precision at IoU 0.50"),
    _detection("AP75", "COCO average precision at IoU 0.75"),
    _detection("AP_S", "AP over objects of at most 32^2 square pixels"),
    _detection("AP_M", "AP over objects between 32^2 and 96^2 square pixels"),
    _detection("AP_L", "AP over objects of at least 96^2 square pixels"),
    _detection("AR1", "COCO average recall with at most 1 detection a sample and class"),
    _detection("AR10", "COCO average recall with at most 10 detections a sample and class"),
    _detection("AR100", "COCO average recall with at most 100 detections a sample and class"),
    _detection("AR_S", "AR100 over objects of at most 32^2 square pixels"),
    _detection("AR_M", "AR100 over objects between 32^2 and 96^2 square pixels"),
    _detection("AR_L", "AR100 over objects of at least 96^2 square pixels"),
    _segmentation("mIoU", "mean IoU over all classes with background, a class without a pixel as 0"),
    _segmentation("mAcc", "mean Acc over all classes with background, a class without a labelled pixel as 0"),
    _segmentation("mIoU_present", "mean IoU over the classes that have a pixel, labelled or predicted"),
    _segmentation("mAcc_present", "mean Acc over the classes that have a labelled pixel"),
    _segmentation("IoU", "TP / (TP + FP + FN) of a class's pixels, summed over the part"),
    _segmentation("Acc", "TP / (TP + FN) of a class's pixels, summed over the part"),
    _segmentation("IoU_e", "IoU of the predicted edges between classes, mean over 11 thresholds, summed over the part"),
    *map(_fusion, fusion.METRICS.values()),
    Metric("latency", "any", False, "s", "median synchronised forward pass at a stated batch, without data loading"),
    Metric("parameters", "any", False, "count", "parameters by group, total and trainable"),
    Metric("MACs", "any", False, "count", "multiply-accumulates of one forward pass at a stated size"),
)
