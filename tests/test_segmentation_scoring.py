"""Folders of label maps scored on a part: figures against slow counts, subsets, intervals, and refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from label_map_cases import VOID, maps_of, put_maps, truths, without_class
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import read_json, write_json
from rgbt_bench.leaderboard.tracks import PROTOCOLS, leaderboard, protocol_digest, standing
from rgbt_bench.metrics.segmentation import segmentation_figures
from rgbt_bench.predictions import write_predictions
from rgbt_bench.printing import console
from rgbt_bench.printing import scores as shown
from rgbt_bench.protocols import find_protocol, protocol_of_task
from rgbt_bench.registry import load_converter
from rgbt_bench.results import read_result
from rgbt_bench.scoring import official_note, score_file
from rgbt_bench.statistics import blocks, draw_weights
from test_scoring import perfect

TASK = "segmentation-rgbt"
CLASSES = ("background", "person", "bike", "car")
THRESHOLDS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


@pytest.fixture
def part(tiny):
    return tiny.part("test")


@pytest.fixture
def score(part, tmp_path):
    """Score maps; each call has a folder of its own."""
    calls = iter(range(99))

    def score(maps, task=TASK, **how):
        return score_file(put_maps(tmp_path / f"maps-{next(calls)}", part, maps), part, task, **how)

    return score


def counted(part, maps, places=None):
    """The confusion matrix by scikit-learn over all pixels that are not void."""
    chosen = range(len(part)) if places is None else places
    truth = np.concatenate([truths(part)[place].ravel() for place in chosen])
    found = np.concatenate([maps[place].labels.ravel() for place in chosen])
    return confusion_matrix(truth[truth != VOID], found[truth != VOID], labels=range(4))


def rates(matrix):
    """IoU and Acc of each class, NaN where undefined, one class at a time."""
    iou, acc = [], []
    for one in range(len(matrix)):
        hit, of_truth, said = matrix[one, one], matrix[one].sum(), matrix[:, one].sum()
        acc.append(hit / of_truth if of_truth else np.nan)
        iou.append(hit / (of_truth + said - hit) if of_truth + said else np.nan)
    return np.array(iou), np.array(acc)


def edge_counts_by_hand(truth, edges):
    """TP, FP and FN at each threshold, pixel by pixel."""
    step = truth.shape[0] // edges.shape[0]
    small = truth[::step, ::step].tolist()
    height, width = edges.shape
    counts = np.zeros((11, 3), dtype=int)
    for y in range(height):
        for x in range(width):
            if small[y][x] == VOID:
                continue
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [small[v][u] for v, u in around if 0 <= v < height and 0 <= u < width]
            is_edge = any(one not in (small[y][x], VOID) for one in inside)
            share = int(edges[y, x]) / 255
            for place, threshold in enumerate(THRESHOLDS):
                said = share > threshold
                counts[place] += (is_edge and said, said and not is_edge, is_edge and not said)
    return counts


def test_perfect_maps_score_one_and_everything_is_recorded(part, score):
    result = score(maps_of(part))
    metrics = result.metrics
    assert list(metrics.figures.values()) == [1.0] * 4
    assert list(metrics.figures) == ["mIoU", "mAcc", "mIoU_present", "mAcc_present"]
    assert list(metrics.per_class) == list(CLASSES)
    assert metrics.main == "mIoU"
    assert (metrics.edge_iou, metrics.kind) == (None, "segmentation")
    assert (result.track, result.evaluator) == ("sample/segmentation-rgbt", "rgbt-bench")
    assert result.protocol_digest == protocol_digest("miou")
    assert result.data.label_digest == part.record.label_digest
    assert (result.standing, result.standing_reason) == (
        "unofficial", "sample/segmentation-rgbt is for checking an installation and never ranks"
    )  # fmt: skip


def test_the_figures_are_those_of_scikit_learns_confusion_matrix(part, score):
    maps = maps_of(part, 0.3)
    metrics = score(maps).metrics
    expected = counted(part, maps)
    assert np.array_equal(metrics.confusion, expected)
    assert expected.sum() == sum(int((one != VOID).sum()) for one in truths(part)) < 12 * 96 * 96
    iou, acc = rates(expected)
    assert metrics.figures["mIoU"] == pytest.approx(iou.mean(), abs=1e-12)
    assert metrics.figures["mAcc"] == pytest.approx(acc.mean(), abs=1e-12)
    for place, name in enumerate(CLASSES):
        one = metrics.per_class[name]
        assert (one["IoU"], one["Acc"]) == (pytest.approx(iou[place], abs=1e-12), pytest.approx(acc[place], abs=1e-12))
        assert (one["truth_pixels"], one["predicted_pixels"]) == (expected[place].sum(), expected[:, place].sum())


def test_what_is_said_under_void_counts_nowhere(part, score):
    maps = maps_of(part, 0.3)
    changed = [
        replace(one, labels=np.where(truth == VOID, 3, one.labels).astype(np.uint8))
        for one, truth in zip(maps, truths(part), strict=True)
    ]
    first, second = score(maps), score(changed)
    assert first.metrics == second.metrics
    assert first.predictions_sha256 != second.predictions_sha256


@pytest.mark.parametrize("step", [2, 4])
def test_iou_e_is_that_of_counting_pixel_by_pixel(part, score, step):
    maps = maps_of(part, 0.3, edge_step=step)
    metrics = score(maps).metrics
    counts = sum(edge_counts_by_hand(truth, one.edges) for truth, one in zip(truths(part), maps, strict=True))
    expected = counts[:, 0] / counts.sum(axis=1)
    assert list(metrics.edge_iou) == ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.99"]
    assert list(metrics.edge_iou.values()) == pytest.approx(expected.tolist(), abs=1e-12)
    assert metrics.figures["IoU_e"] == pytest.approx(expected.mean(), abs=1e-12)
    assert 0 < metrics.figures["IoU_e"] < 1
    assert list(metrics.figures)[-1] == "IoU_e"
    by_day = [place for place, labels in enumerate(part.labels) if labels.illumination == "day"]
    counts = sum(edge_counts_by_hand(truths(part)[place], maps[place].edges) for place in by_day)
    assert metrics.subsets["day"]["IoU_e"] == pytest.approx((counts[:, 0] / counts.sum(axis=1)).mean(), abs=1e-12)


def test_edge_maps_of_one_value_have_no_iou_e_at_high_thresholds(part, score):
    nothing = [replace(one, edges=np.zeros((48, 48), np.uint8)) for one in maps_of(part)]
    assert score(nothing).metrics.figures["IoU_e"] == 0.0


@pytest.mark.parametrize("said", [False, True])
def test_both_conventions_where_a_class_is_absent(part, score, monkeypatch, said):
    """No sample has a bike; background is said in its place, or a bike is said all the same."""
    stored = list(part.masks())
    monkeypatch.setattr(type(part), "masks", lambda self: ((name, without_class(mask, 2)) for name, mask in stored))
    maps = maps_of(part)
    if said:
        maps[0].labels[:5, :5] = 2
    metrics = score(maps).metrics
    matrix = counted(part, maps)
    assert matrix[2].sum() == 0
    iou, acc = rates(matrix)
    bike = metrics.per_class["bike"]
    assert (bike["Acc"], bike["IoU"], bike["truth_pixels"]) == (None, 0.0 if said else None, 0)
    assert metrics.figures == {
        "mIoU": pytest.approx(np.nansum(iou) / 4), "mAcc": pytest.approx(np.nansum(acc) / 4),
        "mIoU_present": pytest.approx(np.nanmean(iou)), "mAcc_present": pytest.approx(np.nanmean(acc)),
    }  # fmt: skip
    assert metrics.figures["mIoU"] < 0.76
    assert (metrics.figures["mIoU_present"] == metrics.figures["mIoU"]) is said
    assert metrics.figures["mAcc_present"] == pytest.approx(1, abs=2e-3)


def test_day_and_night_are_scored_on_their_own_samples(part, score):
    maps = maps_of(part, 0.2)
    metrics = score(maps).metrics
    for name in ("day", "night"):
        places = [place for place, labels in enumerate(part.labels) if labels.illumination == name]
        alone = segmentation_figures(counted(part, maps, places).astype(np.int64))
        assert metrics.subsets[name] == {one: getattr(alone, one) for one in metrics.figures}
        assert metrics.subset_samples[name] == len(places)


@pytest.mark.parametrize("edge_step", [None, 2])
def test_an_interval_is_that_of_counting_the_drawn_scenes(part, score, edge_step):
    part.__dict__["labels"] = tuple(replace(labels, scene=labels.sample_id) for labels in part.labels)
    maps = maps_of(part, 0.2, edge_step=edge_step)
    intervals = score(maps).metrics.intervals
    pixels = [(truth[truth != VOID], one.labels[truth != VOID]) for truth, one in zip(truths(part), maps, strict=True)]
    edges = [edge_counts_by_hand(truth, one.edges) for truth, one in zip(truths(part), maps, strict=True) if edge_step]
    values = []
    for weights in draw_weights(blocks([labels.scene for labels in part.labels])):
        copies = np.repeat(np.arange(len(part)), weights)
        truth, found = (np.concatenate([pixels[place][side] for place in copies]) for side in (0, 1))
        matrix = np.bincount(truth * np.int64(4) + found, minlength=16).reshape(4, 4)
        iou, acc = rates(matrix)
        whole = matrix.sum(axis=1).all()  # every class of the part is in the ground truth of this draw
        means = [iou.mean(), acc.mean(), iou.mean(), acc.mean()] if whole else [np.nan] * 4
        if edge_step:
            counts = sum(edges[place] for place in copies)
            means.append((counts[:, 0] / counts.sum(axis=1)).mean())
        values.append([*means, *(one for pair in zip(acc, iou, strict=True) for one in pair)])
    low, high = np.nanquantile(values, [0.025, 0.975], axis=0)
    names = ["mIoU", "mAcc", "mIoU_present", "mAcc_present", *(["IoU_e"] if edge_step else [])]
    expected = dict(zip(names, zip(low, high, strict=False), strict=False))
    assert {name: pytest.approx(one, abs=1e-12) for name, one in expected.items()} == intervals.figures
    for place, name in enumerate(CLASSES):
        for offset, figure in enumerate(("Acc", "IoU")):
            column = len(names) + 2 * place + offset
            assert intervals.per_class[name][figure] == pytest.approx((low[column], high[column]), abs=1e-12)
    undefined = intervals.resampling["all"].undefined
    missing = np.isnan(values).sum(axis=0)
    assert undefined.get("mIoU", 0) == missing[0]
    assert undefined.get("bike Acc", 0) == missing[len(names) + 4]
    assert intervals.resampling["all"].blocks == 12


def test_too_few_scenes_have_no_interval_and_a_reason(part, score):
    intervals = score(maps_of(part, 0.2)).metrics.intervals
    assert set(intervals.figures.values()) == {None}
    assert intervals.resampling["all"].reason == "too few scenes: 2, an interval needs at least 10"


def test_the_order_in_which_files_were_written_decides_nothing(part, score):
    maps = maps_of(part, 0.2, edge_step=4)
    shuffled = [maps[place] for place in np.random.default_rng(1).permutation(len(maps))]
    first, second = score(maps), score(shuffled)
    assert first.metrics == second.metrics
    assert first.predictions_sha256 == second.predictions_sha256


def test_a_result_is_written_whole_and_read_back_equal(part, score, tmp_path):
    result = score(maps_of(part, 0.2, edge_step=4))
    result.write(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result
    stored = read_json(tmp_path / "result.json")["metrics"]
    assert (stored["kind"], len(stored["confusion"]), len(stored["edge_iou"])) == ("segmentation", 4, 11)
    assert result.metrics.by_name()["car IoU"] == stored["per_class"]["car"]["IoU"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "depth"}, r"not a result of schema 2 \(1 fault\(s\), the first in metrics: .*'depth'"),
        ({"kind": None}, "the first in metrics: "),
        ({"kind": ["segmentation"]}, "the first in metrics: "),
        ({"kind": "detection"}, r"the first in metrics\.confusion: Extra inputs are not permitted"),
        ({"confusion": "many"}, r"the first in metrics\.confusion: "),
        ({"confusion": [[0.5]]}, r"the first in metrics\.confusion\.0\.0: "),
    ],
)
def test_a_result_of_another_kind_is_refused_in_one_line(part, score, tmp_path, change, message):
    score(maps_of(part)).write(tmp_path / "result.json")
    content = read_json(tmp_path / "result.json")
    content["metrics"] |= change
    write_json(tmp_path / "result.json", content)
    with pytest.raises(BadInputError, match=message) as caught:
        read_result(tmp_path / "result.json")
    assert "the same `run` or `evaluate` again scores it anew" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_result_of_boxes_from_before_there_were_kinds_is_read(part, tmp_path):
    write_predictions(tmp_path / "p.json", perfect(part), part.ids)
    result = score_file(tmp_path / "p.json", part, "detection-rgbt")
    content = json.loads(result.model_dump_json())
    del content["metrics"]["kind"]
    write_json(tmp_path / "result.json", content)
    assert read_result(tmp_path / "result.json") == result


@pytest.mark.parametrize("modality", ["rgbt", "rgb", "thermal"])
def test_a_track_with_a_pending_digest_is_decided_by_its_ids(modality):
    track, ids = f"mfnet/segmentation-{modality}", leaderboard().data["mfnet-test"].ids_sha256
    assert standing(track, "test", "miou", "a" * 64, ids_sha256=ids) == (
        "pending", f"nobody has confirmed the official label digest of {track} yet"
    )  # fmt: skip
    for other in (None, "0" * 64):
        assert standing(track, "test", "miou", "a" * 64, ids_sha256=other) == (
            "unofficial", "these samples are not the 393 of the official test part"
        )  # fmt: skip
    assert standing(track, "test", "coco", "a" * 64, ids_sha256=ids)[0] == "unofficial"
    assert standing(track, "test", "miou", "a" * 64, 1, ids)[0] == "unofficial"
    assert standing(track, "val", "miou", "a" * 64, ids_sha256=ids)[0] == "unofficial"


def test_what_is_frozen_is_what_the_code_says():
    board = leaderboard()
    assert board.protocols == {name: protocol_digest(name) for name in PROTOCOLS}
    (published,) = load_converter("mfnet")().published_splits()
    data, ids = board.data["mfnet-test"], published.parts["test"]
    assert (data.samples, data.ids_sha256) == (len(ids), split_hash(ids))


def test_a_pending_digest_is_not_said_to_be_another():
    note = official_note("mfnet", "test", "a" * 64)
    assert note == "nobody has confirmed the official label digest yet (393 samples)"


def test_a_part_without_label_maps_is_refused(part, score, monkeypatch):
    maps = maps_of(part)
    stored = list(part.masks())
    monkeypatch.setattr(
        type(part),
        "masks",
        lambda self: ((name, None if place % 5 else mask) for place, (name, mask) in enumerate(stored)),
    )
    with pytest.raises(
        BadInputError, match="sample: 9 of 12 samples of the part test have no label map, such as sample_"
    ):
        score(maps)
    part.dataset.record = part.dataset.record.model_copy(
        update={"info": part.dataset.info.model_copy(update={"mask_classes": ()})}
    )
    with pytest.raises(BadInputError, match="sample has no label maps, and so no segmentation to score"):
        find_protocol("miou").require_labels(part)


def test_a_part_with_label_maps_and_no_boxes_says_what_to_score(part):
    part.__dict__["labels"] = tuple(replace(labels, objects=()) for labels in part.labels)
    with pytest.raises(BadInputError, match="no boxes to score against; it has label maps, which a folder"):
        find_protocol("coco").require_labels(part)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("segmentation-thermel", r"unknown task 'segmentation-thermel'\. Did you mean 'segmentation-thermal'"),
        ("segmentation", "Did you mean 'segmentation-rgb' or 'segmentation-rgbt'"),
        ("Segmentation-RGBT", "Did you mean 'segmentation-rgbt'"),
        ("fusion-rgbt", "unknown task 'fusion-rgbt'"),
        ("", "detection-on-fused, detection-rgb, detection-rgbt, detection-thermal, fusion, segmentation-rgb"),
    ],
)
def test_a_mistyped_task_is_offered_the_near_ones(task, message):
    with pytest.raises(UsageError, match=message):
        protocol_of_task(task)


def test_each_task_has_its_protocol_and_its_evaluators(part, score, tmp_path):
    assert protocol_of_task("segmentation-thermal") is find_protocol("miou")
    assert protocol_of_task("detection-rgb") is find_protocol("coco")
    with pytest.raises(UsageError, match=r"unknown evaluator 'pycocotools'\. Known: rgbt-bench"):
        score(maps_of(part), evaluator="pycocotools")
    with pytest.raises(UsageError, match=r"unknown protocol 'mIoU'\. Did you mean 'miou'"):
        find_protocol("mIoU")
    with pytest.raises(BadInputError, match="maps-0: is a folder, and boxes are one JSON file"):
        score_file(tmp_path / "maps-0", part, "detection-rgbt")
    (tmp_path / "p.json").write_text("[]")
    with pytest.raises(BadInputError, match=r"p\.json: is a file; label maps are a folder"):
        score_file(tmp_path / "p.json", part, TASK)
    with pytest.raises(MissingError, match="nowhere: no such folder"):
        score_file(tmp_path / "nowhere", part, TASK)


def test_the_figures_are_printed_with_their_classes(part, score, capsys, monkeypatch):
    monkeypatch.setattr(console._out, "width", 200)
    result = score(maps_of(part, 0.2, edge_step=4))
    shown.result(result, None)
    text = capsys.readouterr().out
    for name in ("mIoU", "mAcc_present", "IoU_e", "background", "pixels", "day", "night"):
        assert name in text
    assert f"{result.metrics.per_class['car']['IoU']:.4f}" in text
    assert console.count(result.metrics.per_class["car"]["truth_pixels"]) in text
