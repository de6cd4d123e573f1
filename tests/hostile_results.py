"""Entries to refuse by the numbers and names of their row: each with its rule and a word of the reason."""

import base64

import numpy as np

from checking_cases import brought, restand
from hostile_entries import each, hostile, model, put, result
from rgbt_bench.leaderboard.rows import encode_resamples

MFNET = "mfnet/segmentation-rgbt"
ROADSCENE = "roadscene/fusion"
ON_FUSED = "m3fd/detection-on-fused"


def metric(path, value):
    return result(f"metrics.{path}", value)


def drawing(path, value):
    return metric(f"intervals.resampling.all.{path}", value)


def told_anew(entry):
    restand(entry.result)


def of_fusion(entry):
    entry.result["metrics"] = brought(ROADSCENE).metrics


def seed_below_zero(entry):
    entry.run["seed"] = -1
    entry.run["predictions"] |= {"file": None, "hub": f"hub:ann/x@{'a' * 40}/p.json.gz"}


def class_left_out(entry):
    entry.metrics["per_class"].pop("bike")


def on_test_labels(which):
    def spoil(entry):
        entry.result["data"][f"{which}_label_digest"] = entry.result["data"]["label_digest"]

    return spoil


def drawn(values):
    return put("runs.0.resamples", encode_resamples(np.asarray(values, dtype=np.float64)))


def latency(**changes):
    timing = {
        "recipe": "ffkd-student", "preset": "paper", "batch": 1, "image_size": [640, 640], "precision": "float32",
        "compile_mode": "eager", "includes": "the network", "warm_up": 20, "passes": 100, "median_s": 0.01,
        "p90_s": 0.02, "p99_s": 0.03, "images_per_s": 100.0, "macs": 10, "parameters": 5, "weights": "random",
    }  # fmt: skip
    teacher = timing | {"recipe": "ffkd-teacher", "median_s": 0.02, "images_per_s": 50.0, "macs": 20}
    report = {
        "definition": 1, "device": {"name": "a GPU"}, "threads": 1, "timings": [teacher, timing],
        "ratio_to_teacher": {"1": 0.5}, "macs_ratio_to_teacher": 0.5,
    }  # fmt: skip
    told = {key: value for key, value in changes.items() if key in report}
    timing |= {key: value for key, value in changes.items() if key not in report}
    return put("latency", [report | told])


def swapped(entry):
    """AP50 as the main figure."""
    for figures in (entry.metrics["figures"], entry.metrics["intervals"]["figures"]):
        told = figures.pop("AP")
        figures["AP"] = told


FROZEN = {
    "an-unknown-track": hostile("track", "no track", result("track", "flir/segmentation-rgbt")),
    "another-protocol": hostile("protocol", "parameters", result("protocol.version", 99)),
    "a-protocol-of-one-threshold": hostile("protocol", "parameters", result("protocol.max_detections", [1, 10, 1000])),
    "another-protocol-digest": hostile("protocol", "is frozen", result("protocol_digest", "0" * 64)),
    "another-evaluator": hostile("protocol", "evaluator", result("evaluator", "mine")),
    "other-labels": hostile("data", "label_digest", result("data.label_digest", "0" * 64), also={"standing"}),
    "other-labels-told-unofficial": hostile(
        "data", "label_digest", each(result("data.label_digest", "0" * 64), told_anew)
    ),
    "the-training-part": hostile("data", "data.part", result("data.part", "train"), also={"standing"}),
    "another-split": hostile("data", "data.split", result("data.split", "easy")),
    "another-dataset": hostile("data", "data.dataset", result("data.dataset", "m3fd"), also={"classes"}),
    "fewer-samples": hostile("data", "data.samples", result("data.samples", 1012), also={"counts"}),
    "a-digest-that-is-none": hostile("data", "no SHA-256", result("data.fingerprint", "none")),
    "other-ids": hostile("data", "ids_sha256", result("data.ids_sha256", "0" * 64), track=MFNET, also={"standing"}),
    "other-pixels": hostile(
        "data", "thermal_digest", result("data.thermal_digest", "0" * 64), track=ROADSCENE, also={"standing"}
    ),
    "samples-left-out": hostile("standing", "unofficial", result("data.skipped", 3)),
    "official-where-it-is-pending": hostile("standing", "pending", result("standing", "official"), track=MFNET),
    "official-on-the-sample-set": hostile(
        "standing", "never ranks", result("standing", "official"), track="sample/detection-rgbt"
    ),
    "a-reason-of-its-own": hostile("standing", "make it official", result("standing_reason", "the best")),
    "official-without-the-one-recipe": hostile(
        "standing", "yolov5s-on-fused", result("standing", "official"), track=ON_FUSED
    ),
    "a-convention-as-official": hostile(
        "standing", "computed as vifb", result("evaluator", "vifb"), track=ROADSCENE, also={"figures"}
    ),
    "trained-on-the-test-part": hostile("trained-on-test", "trained", on_test_labels("train")),
    "chosen-on-the-test-part": hostile("trained-on-test", "chosen", on_test_labels("val")),
    "our-name-for-another-recipe": hostile("recipe", "ffkd-student", model(recipe="ffkd-student")),
    "a-recipe-file": hostile("model", "no name of a recipe", model(recipe="../../x.yaml")),
    "the-quick-preset": hostile("preset", "quick", model(preset="quick")),
    "a-preset-of-its-own": hostile("model", "model.preset", model(preset="best")),
    "a-setting-that-is-none": hostile("model", "PATH=VALUE", model(settings=["--out evil"])),
    "weights-without-a-digest": hostile("model", "weights_sha256", model(weights_sha256="mine")),
    "weights-from-elsewhere": hostile("model", "weights_from", model(weights_from="http://evil")),
    "a-device-as-weights": hostile(
        "standing",
        "unofficial",
        each(
            model(recipe="yolov5s-on-fused", settings=["tardal:pretrained=/dev/zero"]), result("standing", "official")
        ),
        track=ON_FUSED,
        also={"local-path"},
    ),
    "the-seed-of-another": hostile("seeds", "model of seed", model(seed=7)),
    "a-result-of-another-schema": hostile("row-form", "schema 1", result("result_schema", 1)),
    "a-seed-below-zero": hostile("seeds", "no seed -1", seed_below_zero, also={"predictions-left-over"}),
    "seeds-of-two-recipes": hostile(
        "seeds", "one recipe", each(model(), put("runs.1.result.model.recipe", "other")), seeds=(0, 1)
    ),
    "one-prediction-for-two-seeds": hostile(
        "seeds",
        "same predictions",
        put("runs.*.result.predictions_sha256", "7" * 64),
        seeds=(0, 1),
        also={"predictions-digest"},
    ),
    "one-training-for-two-seeds": hostile(
        "seeds", "same trained weights", model(weights_sha256="7" * 64), seeds=(0, 1)
    ),
    "seeds-of-two-evaluators": hostile(
        "seeds", "scored alike", put("runs.1.result.evaluator", "pycocotools"), seeds=(0, 1)
    ),
}

NUMBERS = {
    "above-one": hostile("figures", "outside 0..1", metric("figures.AP50", 1.5)),
    "below-zero": hostile("figures", "outside 0..1", metric("per_class.car.AP", -0.1)),
    "in-percent": hostile("figures", "outside 0..1", metric("subsets.day.AP", 55.0)),
    "another-main-figure": hostile("figures", "in this order", swapped, also={"intervals"}),
    "a-figure-of-its-own": hostile("figures", "in this order", metric("figures.beauty", 1.0), also={"intervals"}),
    "no-figures": hostile("figures", "figures are", metric("figures", {})),
    "fusion-on-a-detection-track": hostile("figures", "are of fusion", of_fusion, also={"predictions-name"}),
    "a-class-of-its-own": hostile("classes", "the classes are", metric("per_class.dog", {"AP": 0.9}), also={"figures"}),
    "a-script-as-a-class": hostile("classes", "the classes are", metric("per_class.<script>", {})),
    "a-class-left-out": hostile("classes", "the classes are", class_left_out),
    "a-subset-of-its-own": hostile("figures", "no subset", metric("subsets.easy", {}), also={"counts", "intervals"}),
    "a-count-below-zero": hostile("counts", "no count", metric("per_class.car.ground_truths", -1)),
    "more-boxes-than-there-are": hostile("counts", "together", metric("per_class.car.ground_truths", 9_000)),
    "a-figure-that-is-not-of-its-classes": hostile("figures", "mean of the classes", metric("figures.AP75", 0.4)),
    "resamples-of-a-better-model": hostile("resamples", "of all samples", drawn([0.8] * 1000), also={"intervals"}),
    "half-a-label": hostile("counts", "no count", metric("per_class.car.ground_truths", 1.5)),
    "subsets-of-more-samples": hostile("counts", "together", metric("subset_samples.day", 5000), also={"resampling"}),
    "time-that-ran-back": hostile("counts", "durations_s.score", result("durations_s.score", -1.0)),
    "an-interval-upside-down": hostile("intervals", "down to", metric("intervals.figures.AP50", [0.5, 0.4])),
    "an-interval-outside": hostile("intervals", "outside 0..1", metric("intervals.per_class.car.AP", [0.5, 1.4])),
    "an-interval-of-other-resamples": hostile(
        "intervals", "its resamples give", metric("intervals.figures.AP", [0.31, 0.32])
    ),
    "another-seed-of-resampling": hostile("resampling", "not as this version draws", drawing("seed", 7)),
    "fewer-resamples-told": hostile(
        "resampling", "not as this version draws", metric("intervals.resampling.day.resamples", 10)
    ),
    "another-level": hostile("resampling", "not as this version draws", drawing("level", 0.5)),
    "smaller-blocks": hostile("resampling", "not as this version draws", drawing("block_size", 1)),
    "more-blocks": hostile("resampling", "1,013 blocks", drawing("blocks", 1013)),
    "no-resampling-told": hostile(
        "resampling", "resampling is of", metric("intervals.resampling", {}), also={"resamples"}
    ),
    "a-reason-for-no-resamples": hostile(
        "resampling", "not as this version", drawing("reason", "lazy"), also={"resamples"}
    ),
    "fewer-resamples": hostile("resamples", "999 resamples", drawn([0.3] * 999)),
    "no-resamples": hostile("resamples", "0 resamples", drawn([])),
    "resamples-above-one": hostile("resamples", "outside 0..1", drawn([3.0] * 1000), also={"intervals"}),
    "infinite-resamples": hostile("resamples", "infinite", drawn([np.inf] * 1000)),
    "resamples-undefined-untold": hostile(
        "resamples", "undefined", drawn([np.nan] * 9 + [0.3] * 991), also={"intervals"}
    ),
    "resamples-in-another-alphabet": hostile("resamples", "base64", put("runs.0.resamples", "%%%%")),
    "resamples-cut-short": hostile(
        "resamples", "multiple of 8", put("runs.0.resamples", base64.b64encode(b"1234567").decode())
    ),
    "a-confusion-that-fits-not": hostile(
        "confusion", "confusion matrix gives", metric("figures.mIoU", 0.99), track=MFNET
    ),
    "a-confusion-below-zero": hostile("confusion", "below 0", metric("confusion.0.0", -5), track=MFNET),
    "a-confusion-of-fewer-classes": hostile("confusion", "not 9 by 9", metric("confusion", [[1]]), track=MFNET),
    "edges-of-nothing": hostile("figures", "go together", metric("edge_iou", {"0.5": 1.0}), track=MFNET),
    "controls-left-out": hostile("figures", "controls", metric("controls", {}), track=ROADSCENE),
    "a-spread-upside-down": hostile("figures", "not ascending", metric("spread.EN.minimum", 9.0), track=ROADSCENE),
    "more-undefined-than-samples": hostile("counts", "not there", metric("undefined", {"EN": 99}), track=ROADSCENE),
}

NETWORK = {
    "too-many-parameters": hostile("network", "parameters", put("size.parameters", 10**13)),
    "too-many-macs": hostile("network", "multiply", put("size.macs", 2 * 10**15)),
    "an-empty-image": hostile("network", "pixels", put("size.image_size", [0, 640])),
    "an-image-too-large": hostile("network", "pixels", put("size.image_size", [640, 99_999])),
    "too-few-passes": hostile("latency", "99 passes", latency(passes=99)),
    "no-warm-up": hostile("latency", "after 0", latency(warm_up=0)),
    "percentiles-upside-down": hostile("latency", "do not ascend", latency(p90_s=0.001)),
    "images-a-second-of-its-own": hostile("latency", "do not follow", latency(images_per_s=1000.0)),
    "a-time-of-zero": hostile("latency", "do not ascend", latency(median_s=0.0)),
    "a-ratio-of-its-own": hostile("latency", "ratio of the medians", latency(ratio_to_teacher={"1": 0.1})),
    "a-ratio-of-no-timings": hostile("latency", "of no timings", latency(ratio_to_teacher={"8": 0.5})),
    "a-ratio-of-macs-of-its-own": hostile("latency", "ratio of the MACs", latency(macs_ratio_to_teacher=0.1)),
    "a-ratio-without-a-teacher": hostile("latency", "1 recipe(s)", latency(recipe="ffkd-teacher")),
    "another-definition-of-latency": hostile("latency", "definition 7", latency(definition=7)),
    "a-device-in-a-device": hostile("hardware", "no text and no number", result("hardware.device", {"name": {"a": 1}})),
    "times-of-no-recipe": hostile("latency", "no timing of the row's own recipe", latency()),
    "a-size-measured-of-nothing": hostile("network", "it is stated", put("size", {"parameters": 1, "by": "measured"})),
    "a-list-as-hardware": hostile("hardware", "no text and no number", result("hardware.cpu", ["a"])),
    "a-device-that-is-no-object": hostile("hardware", "no object", result("hardware.device", "x")),
    "hundreds-of-libraries": hostile("hardware", "at most 40", result("libraries", {f"l{n}": "1" for n in range(300)})),
}

OF_RESULTS = FROZEN | NUMBERS | NETWORK
