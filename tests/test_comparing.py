"""Comparing runs: what a name means, what is refused, and when a difference is a tie."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from rgbt_bench import cli
from rgbt_bench.comparing import compare
from rgbt_bench.converters import Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample import scenes
from rgbt_bench.datasets.sample_converter import SampleConverter, to_item
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import read_json, write_json
from rgbt_bench.metrics.detection import ground_truth
from rgbt_bench.metrics.resampling import encode, resampled_figures
from rgbt_bench.predictions import Detections, read_predictions, write_predictions
from rgbt_bench.printing import console
from rgbt_bench.recipes import load_recipe
from rgbt_bench.results import ModelProvenance
from rgbt_bench.scoring import score_file
from rgbt_bench.sides import find_side
from rgbt_bench.statistics import blocks, draw_seed_pairs, draw_weights, holm, interval, p_value

COUNTS = {"train": 1, "val": 1, "test": 12}
STUDENT, TEACHER = "ffkd-student", "ffkd-teacher-rgb"


class Spread(SampleConverter):
    """A few samples of the embedded set as if each were a scene of its own."""

    expected = COUNTS

    def scan(self, root):
        return Scan(
            "generated",
            [
                to_item(part, replace(sample, scene=sample.sample_id))
                for part, count in COUNTS.items()
                for sample in scenes(part, count)
            ],
        )


@pytest.fixture(scope="module")
def spread_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spread") / "sample"
    convert(Spread(), None, folder)
    return folder


@pytest.fixture
def spread(spread_folder, home):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "sample").symlink_to(spread_folder)
    return Dataset(spread_folder)


def noisy(part, noise, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(index, box) for index, labels in enumerate(part.labels) for box in labels.objects]
    bbox = np.array([box.bbox for _, box in rows])
    bbox[:, :2] += rng.normal(0, 1, (len(rows), 2)) * noise
    return Detections(
        np.array([index for index, _ in rows], dtype=np.int64),
        np.array([box.category for _, box in rows], dtype=np.int64),
        bbox,
        rng.permutation(len(rows)) / len(rows),
    )


@pytest.fixture
def put(spread, home):
    """Leave a finished run as the harness does, without a training; return its folder."""

    def put(recipe, key, noise, seed=0, preset="quick", dataset=spread, digest=None):
        part = dataset.part("test")
        folder = home / "runs" / dataset.name / f"{recipe}-{preset}" / key
        write_predictions(folder / "predictions.json", noisy(part, noise, seed), part.ids)
        model = ModelProvenance(
            recipe=recipe, preset=preset, recipe_digest=digest or load_recipe(recipe, preset).digest, run_key=key * 6,
            seed=seed, settings=(), weights_sha256="w", requires={}, parameters={}, epochs=1,
        )  # fmt: skip
        score_file(folder / "predictions.json", part, "detection-rgbt", model=model).write(folder / "result.json")
        return folder

    return put


def change(path, **to):
    content = read_json(path)
    for where, value in to.items():
        *above, last = where.split("__")
        place = content
        for name in above:
            place = place[name]
        place[last] = value
    write_json(path, content)


def only_pair(*texts, **how):
    (pair,) = compare(texts, **how)["pairs"]
    return pair


def test_a_clear_difference_of_one_seed_holds_for_this_test_set_alone(put):
    worse, better = put(TEACHER, "aaaa11112222", 6), put(STUDENT, "bbbb11112222", 0.5)
    pair = only_pair(str(worse), str(better))
    figures = [read_json(folder / "result.json")["metrics"]["figures"]["AP"] for folder in (worse, better)]
    assert [pair["first_figure"], pair["second_figure"]] == figures
    assert pair["difference"] == figures[1] - figures[0]
    assert 0 < pair["interval"][0] < pair["difference"] < pair["interval"][1]
    assert pair["p"] == pair["p_holm"] == pytest.approx(2 / 1001)
    assert pair["verdict"] == "differs on this test set, one seed"
    swapped = only_pair(str(better), str(worse))
    assert swapped["difference"] == -pair["difference"]
    assert swapped["interval"] == pytest.approx((-pair["interval"][1], -pair["interval"][0]))
    assert (swapped["p"], swapped["verdict"]) == (pair["p"], pair["verdict"])


def test_the_difference_is_that_of_the_same_resamples(put, spread):
    folders = put(TEACHER, "aaaa11112222", 4), put(STUDENT, "bbbb11112222", 3)
    part = spread.part("test")
    truth = ground_truth((labels.objects for labels in part.labels), 3)
    weights = draw_weights(blocks(part.ids), 500)
    values = []
    for folder in folders:
        found = read_predictions(folder / "predictions.json", part.ids, part.dataset.info.classes, {})
        values.append(resampled_figures(encode(truth, found), weights)[:, 1])
    first, second = values
    pair = only_pair(*map(str, folders), metric="AP50", resamples=500)
    assert pair["interval"] == pytest.approx(interval(second - first), abs=1e-12)
    assert pair["p"] == p_value(second - first)
    assert pair["figures"]["AP50"]["interval"] == pair["interval"]
    assert set(pair["figures"]) >= {"AP", "AR100", "bike AP75"}
    # Paired: far less spread than if each had resamples of its own.
    assert np.std(second - first) < np.hypot(np.std(second), np.std(first))


def test_a_run_ties_with_itself(put):
    folder = str(put(STUDENT, "aaaa11112222", 4))
    pair = only_pair(folder, folder)
    assert (pair["difference"], pair["interval"], pair["p"], pair["verdict"]) == (0.0, (0.0, 0.0), 1.0, "tie")


def test_noise_alone_is_a_tie(put):
    folders = [str(put(STUDENT, f"{seed}aaa11112222", 4, seed)) for seed in range(2)]
    pair = only_pair(*folders)
    assert pair["difference"] != 0
    assert pair["verdict"] == "tie"


@pytest.mark.parametrize(("noises", "verdict"), [((6, 0.5), "better"), ((0.5, 6), "worse")])
def test_five_pairs_of_seeds_allow_a_sentence(put, noises, verdict):
    for seed in range(5):
        put(TEACHER, f"{seed}aaa11112222", noises[0], seed)
        put(STUDENT, f"{seed}bbb11112222", noises[1], seed)
    pair = only_pair(TEACHER, STUDENT, preset="quick")
    assert pair["seeds"] == [[seed, seed] for seed in range(5)]
    assert pair["verdict"] == verdict


def test_only_common_seeds_are_paired_and_fewer_than_five_say_so(put):
    for seed in (0, 1, 2, 3):
        put(TEACHER, f"{seed}aaa11112222", 6, seed)
    for seed in (1, 2, 3, 7):
        put(STUDENT, f"{seed}bbb11112222", 0.5, seed)
    pair = only_pair(TEACHER, STUDENT, preset="quick")
    assert pair["seeds"] == [[1, 1], [2, 2], [3, 3]]
    assert pair["verdict"] == "differs on this test set, 3 seeds"
    # One run of a recipe with several seeds is paired by its seed.
    assert only_pair(TEACHER, "2bbb11112222", preset="quick")["seeds"] == [[2, 2]]
    with pytest.raises(
        UsageError, match=r"the seed\(s\) 0, 1, 2, 3, ffkd-student 7bbb11112222 has the seed\(s\) 7: none"
    ):
        compare([TEACHER, "7bbb"], preset="quick")


def test_seeds_are_the_outer_level(put, spread):
    """A difference that changes its sign with the seed is a tie, however clear each seed alone is."""
    for seed in range(6):
        put(TEACHER, f"{seed}aaa11112222", 6 if seed % 2 else 0.5, seed)
        put(STUDENT, f"{seed}bbb11112222", 0.5 if seed % 2 else 6, seed)
    pair = only_pair(TEACHER, STUDENT, preset="quick")
    alone = only_pair("1aaa", "1bbb", preset="quick")
    assert alone["verdict"].startswith("differs")
    assert pair["verdict"] == "tie"
    assert pair["interval"][0] < -0.05
    assert pair["interval"][1] > 0.05
    # Mean of the seeds' differences, seeds and blocks drawn apart.
    each = [only_pair(f"{seed}aaa", f"{seed}bbb", preset="quick")["difference"] for seed in range(6)]
    assert pair["difference"] == pytest.approx(np.mean(each), abs=1e-12)
    between = np.std(draw_seed_pairs(6) @ each)
    assert pair["interval"][1] - pair["interval"][0] > 3 * between


def test_holm_is_over_all_pairs_that_are_shown(put):
    folders = [str(put(STUDENT, f"{place}aaa11112222", noise, place)) for place, noise in enumerate((5, 4, 2, 0.5))]
    against_first = compare(folders)
    assert [pair["second"] for pair in against_first["pairs"]] == [f"{STUDENT} {n}aaa11112222" for n in (1, 2, 3)]
    every = compare(folders, all_pairs=True)
    assert len(every["pairs"]) == 6
    assert every["correction"] == "Holm over 6 comparison(s)"
    for content in (against_first, every):
        adjusted = [pair["p_holm"] for pair in content["pairs"]]
        assert adjusted == list(holm([pair["p"] for pair in content["pairs"]]))
        assert [pair["verdict"] == "tie" for pair in content["pairs"]] == [p >= 0.05 for p in adjusted]
    assert every["pairs"][0]["p"] == against_first["pairs"][0]["p"]


def test_predictions_of_ones_own_are_compared_with_a_run(put, spread, tmp_path):
    run = put(STUDENT, "aaaa11112222", 4)
    part = spread.part("test")
    write_predictions(tmp_path / "mine.json", noisy(part, 0.5), part.ids)
    pair = only_pair(str(run), str(tmp_path / "mine.json"))
    assert (pair["second"], pair["seeds"]) == (str(tmp_path / "mine.json"), [[0, None]])
    assert pair["difference"] > 0
    files = [str(tmp_path / "mine.json")] * 2
    assert only_pair(*files, dataset="sample")["verdict"] == "tie"
    with pytest.raises(UsageError, match="say with --dataset"):
        compare(files)
    for seed in range(2):
        put(TEACHER, f"{seed}bbb11112222", 4, seed)
    with pytest.raises(UsageError, match=r"mine\.json has no seed"):
        compare([TEACHER, files[0]], preset="quick")


def test_what_a_name_means(put, home, tmp_path, monkeypatch):
    first = put(STUDENT, "aaaa11112222", 4)
    put(STUDENT, "aaaa33334444", 4, seed=1)
    assert find_side(str(first)) == find_side("aaaa1")
    assert [one.seed for one in find_side(STUDENT, "quick").scored] == [0, 1]
    monkeypatch.chdir(first.parent)
    assert find_side(first.name) == replace(find_side("aaaa1"), scored=find_side(first.name).scored)
    with pytest.raises(UsageError, match=r"'aaaa' means 2 runs; name one by its key(.|\n)*aaaa33334444"):
        find_side("aaaa")
    with pytest.raises(UsageError, match=r"unknown run 'ffkd-studnt'\. Did you mean 'ffkd-student'"):
        find_side("ffkd-studnt")
    with pytest.raises(UsageError, match="Did you mean 'aaaa11112222'"):
        find_side("aaab11112222")
    with pytest.raises(UsageError, match="unknown run 'aaa'"):
        find_side("aaa")
    with pytest.raises(MissingError, match=r"preset paper\. Finished: preset quick on sample\."):
        find_side(STUDENT, "paper")
    with pytest.raises(MissingError, match="on flir"):
        find_side(STUDENT, "quick", "flir")
    with pytest.raises(MissingError, match=f"`rgbt-bench run {TEACHER}` makes one"):
        find_side(TEACHER, "quick")
    with pytest.raises(MissingError, match=r"none\.json: no such predictions file"):
        find_side(str(tmp_path / "none.json"))


def test_a_recipes_name_means_the_recipe_as_it_is_now(put):
    put(STUDENT, "aaaa11112222", 4, digest="0" * 64)
    with pytest.raises(MissingError, match=r"other settings or of an earlier version .* aaaa11112222 \(seed 0\)"):
        find_side(STUDENT, "quick")
    put(STUDENT, "bbbb11112222", 4)
    assert find_side(STUDENT, "quick").scored[0].predictions.parent.name == "bbbb11112222"
    put(STUDENT, "cccc11112222", 4)
    with pytest.raises(UsageError, match="several finished runs of one seed"):
        find_side(STUDENT, "quick")


def test_a_recipe_of_ones_own_is_known_by_its_finished_runs(put):
    put("mine", "aaaa11112222", 4, digest="0" * 64)
    assert find_side("mine", "quick").name == "mine"


def test_a_recipe_on_two_sets_asks_which(put, spread, home, tmp_path):
    put(STUDENT, "aaaa11112222", 4)
    other = put(STUDENT, "bbbb11112222", 4)
    change(other / "result.json", data__dataset="other")
    with pytest.raises(UsageError, match="was run on other and sample; say which with --dataset"):
        find_side(STUDENT, "quick")
    assert len(find_side(STUDENT, "quick", "sample").scored) == 1


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ({"data__label_digest": "f" * 64}, r"bbbb11112222 were scored on different labels \(.* of sample, f{12} of"),
        ({"data__part": "val"}, "bbbb11112222 was scored on the part val, not on test"),
        ({"protocol_digest": "e" * 64}, r"bbbb11112222 was scored by another protocol \(eeeeeeeeeeee\)"),
        ({"predictions_sha256": "d" * 64}, r"predictions\.json: changed since result\.json beside it was scored"),
    ],
)  # fmt: skip
def test_what_does_not_compare_is_refused(put, to, message):
    first, second = put(TEACHER, "aaaa11112222", 4), put(STUDENT, "bbbb11112222", 4)
    change(second / "result.json", **to)
    with pytest.raises(BadInputError, match=message):
        compare([str(first), str(second)])


def test_missing_predictions_and_other_labels_at_home_are_named(put, spread_folder, tiny_folder):
    first, second = put(TEACHER, "aaaa11112222", 4), put(STUDENT, "bbbb11112222", 4)
    for folder in (first, second):
        change(folder / "result.json", data__label_digest="f" * 64)
    with pytest.raises(BadInputError, match=r"its test has other labels .* give the right set with --dataset"):
        compare([str(first), str(second)])
    (second / "predictions.json").unlink()
    with pytest.raises(MissingError, match=r"bbbb11112222/predictions\.json: missing; `rgbt-bench run` makes"):
        compare([str(first), str(second)])
    with pytest.raises(UsageError, match="at least two"):
        compare([str(first)])


def test_unknown_metrics_and_parts(put):
    folder = str(put(TEACHER, "aaaa11112222", 4))
    with pytest.raises(UsageError, match=r"unknown metric 'ap50'\. Did you mean 'AP50'"):
        compare([folder, folder], metric="ap50")
    assert only_pair(folder, folder, metric="bike AP50")["difference"] == 0
    with pytest.raises(BadInputError, match="scored on the part test, not on val"):
        compare([folder, folder], part="val")


def test_too_few_blocks_are_not_tested(put, tiny):
    folders = [put(STUDENT, f"{place}aaa11112222", noise, dataset=tiny) for place, noise in enumerate((6, 0.5))]
    pair = only_pair(*map(str, folders), dataset=str(tiny.root))
    assert pair["difference"] > 0
    assert (pair["interval"], pair["p"], pair["p_holm"]) == (None, None, None)
    assert pair["verdict"] == "not tested: too few scenes: 2, an interval needs at least 10"


class OneBike(Spread):
    """The same, with bikes in the first sample of each part alone."""

    def scan(self, root):
        scan = super().scan(root)
        kept = [
            item
            if item.labels.sample_id.endswith("0000")
            else replace(
                item, labels=replace(item.labels, objects=tuple(b for b in item.labels.objects if b.category != 1))
            )
            for item in scan.items
        ]
        return replace(scan, items=kept)


def test_resamples_in_which_a_class_has_no_labels_are_counted(put, tmp_path, call, monkeypatch):
    convert(OneBike(), None, tmp_path / "sample")
    dataset = Dataset(tmp_path / "sample")
    folder = put(TEACHER, "aaaa11112222", 4, dataset=dataset)
    weights = draw_weights(blocks(dataset.part("test").ids))
    without = int((weights[:, 0] == 0).sum())
    assert 300 < without < 420
    run, where = str(folder), str(dataset.root)
    undefined = compare([run, run], dataset=where)["resampling"]["undefined"]
    assert undefined["AP"] == undefined["bike AP50"] == without
    result = read_json(folder / "result.json")
    assert undefined == result["metrics"]["intervals"]["resampling"]["all"]["undefined"]
    monkeypatch.setattr(console._out, "width", 250)
    text = f"resamples left out because a class has no labels in them: {without}"
    assert text in call("compare", run, run, "--dataset", where)[1]
    assert "left out" not in call("compare", run, run, "--dataset", where, "--metric", "car AP")[1]


def test_a_figure_that_is_not_defined_is_not_tested(put):
    folder = str(put(TEACHER, "aaaa11112222", 4))
    pair = only_pair(folder, folder, metric="AP_L")
    assert (pair["difference"], pair["p"], pair["verdict"]) == (None, None, "not tested: the figure is not defined")


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["rgbt-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr().out

    return call


def test_the_command_prints_one_row_a_pair(put, call, monkeypatch):
    monkeypatch.setattr(console._out, "width", 250)
    for place, noise in enumerate((6, 0.5, 5)):
        put(STUDENT, f"{place}aaa11112222", noise, place)
    code, out = call("compare", "0aaa", "1aaa", "2aaa", "--metric", "AP50")
    assert code == 0
    content = json.loads(call("compare", "0aaa", "1aaa", "2aaa", "--metric", "AP50", "--json")[1])
    pair = content["pairs"][0]
    low, high = pair["interval"]
    row = next(line for line in out.splitlines() if line.startswith(f"{STUDENT} 1aaa"))
    assert f"{pair['difference']:.4f} [{low:.4f}, {high:.4f}]" in row
    assert f"{pair['second_figure']:.4f} / {pair['first_figure']:.4f}" in row
    assert row.rstrip().endswith("differs on this test set, one seed")
    assert "95% intervals from 1,000 resamples of 12 scenes, the same for all; Holm over 2 comparison(s)" in out
    assert "fewer than 5 pairs of seeds" in out
    assert call("compare", "0aaa", "1aaa", "2aaa", "--metric", "AP50", "--json")[1] == json.dumps(content) + "\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("compare", 2), ("compare x", 2), ("compare x y", 2), ("compare x y --preset quik", 2),
     ("compare x y --resamples 5", 2), ("compare none.json none.json", 4), ("compare x y --dataset flir", 4)],
)  # fmt: skip
def test_the_command_has_the_house_s_exit_codes(call, arguments, code):
    assert call(*arguments.split())[0] == code
