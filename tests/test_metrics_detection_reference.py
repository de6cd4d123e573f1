"""COCO figures against a slow reference written from the definition, in plain Python."""

import pytest

from detection_cases import close, random_case
from rgbt_bench.metrics.detection import coco_figures

REFERENCE_CASES = 60


def reference_iou(label, other):
    width = min(label["bbox"][0] + label["bbox"][2], other[0] + other[2]) - max(label["bbox"][0], other[0])
    height = min(label["bbox"][1] + label["bbox"][3], other[1] + other[3]) - max(label["bbox"][1], other[1])
    common = max(width, 0) * max(height, 0)
    own = other[2] * other[3]
    return common / (own if label["crowd"] else own + label["bbox"][2] * label["bbox"][3] - common)


def reference_matches(labels, rows, threshold, low, high):
    """Return one of hit, miss, none for each detection (score, bbox), best first."""
    open_labels = [(label, bool(not label["crowd"] and low <= label["area"] <= high)) for label in labels]
    taken = set()
    outcome = []
    for score, bbox in rows:
        best = None
        for wanted in (True, False):
            for place, (label, counts) in enumerate(open_labels):
                free = place not in taken or label["crowd"]
                overlap = reference_iou(label, bbox)
                if counts is wanted and free and overlap >= threshold and (best is None or overlap >= best[0]):
                    best = (overlap, place, counts)
            if best is not None:
                break
        if best is not None:
            taken.add(best[1])
            outcome.append((score, "hit" if best[2] else "none"))
        else:
            outcome.append((score, "miss" if low <= bbox[2] * bbox[3] <= high else "none"))
    return outcome


def reference_curve(case, category, threshold, area, allowed):
    """Return (average precision over 101 recalls, last recall), or None for a class without labels in the range."""
    truth, detections = case
    low, high = {"all": (0, 1e10), "small": (0, 1024), "medium": (1024, 9216), "large": (9216, 1e10)}[area]
    ranked, wanted = [], 0
    for sample in range(truth.n_samples):
        labels = [
            {"bbox": truth.bbox[i].tolist(), "area": truth.area[i], "crowd": truth.iscrowd[i] or truth.ignore[i]}
            for i in range(len(truth))
            if truth.sample_index[i] == sample and truth.category[i] == category
        ]
        labels.sort(key=lambda label: (label["bbox"], label["area"], label["crowd"]))
        wanted += sum(not label["crowd"] and low <= label["area"] <= high for label in labels)
        rows = [
            (detections.score[i], detections.bbox[i].tolist())
            for i in range(len(detections))
            if detections.sample_index[i] == sample and detections.category[i] == category
        ]
        rows.sort(key=lambda row: (-row[0], row[1]))
        ranked += reference_matches(labels, rows[:allowed], threshold, low, high)
    if not wanted:
        return None
    ranked.sort(key=lambda row: -row[0])
    points, hits, misses = [], 0, 0
    for _, outcome in ranked:
        hits += outcome == "hit"
        misses += outcome == "miss"
        points.append((hits / wanted, hits / max(hits + misses, 1)))
    precision = [max((p for r, p in points if r >= step * 0.01), default=0.0) for step in range(101)]
    return sum(precision) / 101, hits / wanted


def reference(case, thresholds, area, allowed, which, categories=None):
    curves = [
        reference_curve(case, category, threshold, area, allowed)
        for category in (range(case[0].n_classes) if categories is None else categories)
        for threshold in thresholds
    ]
    values = [curve[which] for curve in curves if curve is not None]
    return sum(values) / len(values) if values else None


ALL_IOUS = [0.5 + 0.05 * step for step in range(10)]
REFERENCE = {
    "AP": (ALL_IOUS, "all", 100, 0),
    "AP50": ([0.5], "all", 100, 0),
    "AP75": ([0.75], "all", 100, 0),
    "AP_S": (ALL_IOUS, "small", 100, 0),
    "AP_M": (ALL_IOUS, "medium", 100, 0),
    "AP_L": (ALL_IOUS, "large", 100, 0),
    "AR1": (ALL_IOUS, "all", 1, 1),
    "AR10": (ALL_IOUS, "all", 10, 1),
    "AR100": (ALL_IOUS, "all", 100, 1),
    "AR_S": (ALL_IOUS, "small", 100, 1),
    "AR_M": (ALL_IOUS, "medium", 100, 1),
    "AR_L": (ALL_IOUS, "large", 100, 1),
}


@pytest.mark.parametrize("seed", range(REFERENCE_CASES))
def test_the_figures_follow_from_the_definition(seed):
    case = random_case(3000 + seed, crowded=False)
    figures = coco_figures(*case)
    for name, how in REFERENCE.items():
        assert close(getattr(figures, name), reference(case, *how)), name
    for category, one in enumerate(figures.per_class):
        for name in ("AP", "AP50", "AP75", "AR100"):
            expected = reference(case, *REFERENCE[name], categories=[category])
            assert close(getattr(one, name), expected), (name, category)
