"""The tracks of fusion: keyed by pixels, ranking nothing; detection on fused images is of one recipe alone."""

import shutil

import pytest

from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import UsageError
from rgbt_bench.leaderboard.tracks import PROTOCOLS, leaderboard, protocol_digest, standing
from rgbt_bench.metrics.fusion.conventions import CONVENTIONS
from rgbt_bench.protocols import find_protocol, protocol_of_task
from rgbt_bench.recipes import recipe_path
from rgbt_bench.results import ModelProvenance
from rgbt_bench.runs import plan_run, settled_recipe
from rgbt_bench.scoring import score_file

DETECTOR = "yolov5s-on-fused"
FUSION = ("roadscene/fusion", "test", "fusion", "0" * 64)
BOARD = leaderboard()


def on_pixels(track=FUSION[0], **changes):
    data = BOARD.data[BOARD.tracks[track].data]
    what = {"pixels": (data.rgb_digest, data.thermal_digest), "ids_sha256": data.ids_sha256} | changes
    return standing(track, "test", "fusion", "any labels", **what)


def test_the_official_images_make_fusion_official_whatever_the_labels():
    assert on_pixels() == ("official", "scored on the official images of roadscene/fusion, where nothing ranks")
    assert on_pixels()[0] == on_pixels(model=model((), "tardal-dt"))[0]  # of any method


DATA = BOARD.data["roadscene-heldout"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pixels": (DATA.rgb_digest, "0" * 64)}, "these images are not the official ones"),
        ({"pixels": (DATA.thermal_digest, DATA.rgb_digest)}, "these images are not the official ones"),
        ({"pixels": (DATA.rgb_digest, None)}, "these images are not the official ones"),
        ({"pixels": ("", None)}, "these images are not the official ones"),
        ({"ids_sha256": "0" * 64}, "these samples are not the 40 of the official test part"),
        ({"ids_sha256": None}, "these samples are not the 40 of the official test part"),
        ({"skipped": 2}, "2 sample(s) of the set were left out at its conversion"),
    ],
)
def test_other_images_or_samples_are_unofficial(changes, reason):
    assert on_pixels(**changes) == ("unofficial", reason)


def test_pixels_nobody_confirmed_leave_it_pending():
    ids = leaderboard().data["m3fd-test"].ids_sha256
    verdict, reason = standing("m3fd/fusion", "test", "fusion", "0" * 64, ids_sha256=ids, pixels=("a", "b"))
    assert (verdict, reason) == ("pending", "nobody has confirmed the official pixel digests of m3fd/fusion yet")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("roadscene/fusion", "train", "fusion", "x"), "roadscene/fusion is scored on the part test, not train"),
        (("roadscene/fusion", "test", "miou", "x"), "the protocol is not the one frozen in leaderboard v1"),
        (("tno/fusion", "test", "fusion", "x"), "leaderboard v1 has no track tno/fusion"),
        (("pairs/fusion", "loose", "fusion", "x"), "leaderboard v1 has no track pairs/fusion"),
        (("sample/fusion", "test", "fusion", "x"), "sample/fusion is for checking an installation and never ranks"),
    ],
)
def test_no_other_part_protocol_or_set_is_official(arguments, reason):
    data = BOARD.data["roadscene-heldout"]
    pixels = (data.rgb_digest, data.thermal_digest)
    assert standing(*arguments, ids_sha256=data.ids_sha256, pixels=pixels) == ("unofficial", reason)


def test_another_definition_of_the_metrics_is_another_protocol(monkeypatch):
    monkeypatch.setitem(PROTOCOLS["fusion"], "definition", 2)
    assert on_pixels() == ("unofficial", "the protocol is not the one frozen in leaderboard v1")


def test_every_track_of_fusion_is_frozen_with_its_protocol():
    for name, track in BOARD.tracks.items():
        assert find_protocol(track.protocol) is protocol_of_task(name.partition("/")[2])
        assert protocol_digest(track.protocol) == BOARD.protocols[track.protocol]
        assert (track.key == "pixels") == (track.protocol == "fusion")


def model(settings=(), recipe=DETECTOR, digest=None, preset="paper"):
    return ModelProvenance(
        recipe=recipe, preset=preset, recipe_digest=digest or settled_recipe(recipe, preset, settings).digest,
        run_key="0" * 64, seed=0, settings=settings, weights_sha256="0" * 64, requires={}, parameters={}, epochs=1,
    )  # fmt: skip


def on_fused(found):
    labels = BOARD.data["m3fd-test"].label_digest
    return standing("m3fd/detection-on-fused", "test", "coco-on-fused", labels, model=found)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("requires.fusion=max",),
        ("requires.fusion=infrared", "model.colour=grey"),
        ("requires.fusion=tardal-dt", "tardal-dt:model.target_discriminator=false"),
        ("requires.fusion=laplacian", "laplacian:model.levels=2"),
    ],
)
def test_any_fusion_under_the_one_detector_is_official(settings):
    assert on_fused(model(settings)) == ("official", "scored on the official labels of m3fd/detection-on-fused")


@pytest.mark.parametrize(
    "settings",
    [
        ("schedule.epochs=300",),
        ("requires.fusion=max", "optimizer.learning_rate=0.01"),
        ("model.detector=yolov5n",),
        ("loss.box=5.0",),
    ],
)
def test_another_budget_or_detector_is_unofficial(settings):
    verdict, reason = on_fused(model(settings))
    assert verdict == "unofficial"
    assert reason == f"m3fd/detection-on-fused is of {DETECTOR} alone, where nothing is set but requires.fusion," + (
        " model.colour"
    )


def test_detections_of_nobody_or_another_recipe_are_unofficial():
    for found in (None, model(recipe="tardal-ct"), model(recipe="ffkd-teacher-rgb")):
        assert on_fused(found)[0] == "unofficial"


def test_a_recipe_file_of_the_same_name_is_not_the_recipe(tmp_path):
    text = recipe_path(DETECTOR).read_text()
    assert "epochs: 100 " in text
    path = tmp_path / f"{DETECTOR}.yaml"
    path.write_text(text.replace("epochs: 100 ", "epochs: 900 "))
    other = settled_recipe(str(path))
    assert other.name == DETECTOR
    assert on_fused(model(digest=other.digest))[0] == "unofficial"
    path.write_text(text.replace("title: YOLOv5s on", "title: A copy of YOLOv5s on"))
    assert on_fused(model(digest=settled_recipe(str(path)).digest))[0] == "official"  # words are no outcome


def test_settings_that_are_no_more_known_are_unofficial():
    assert on_fused(model(("requires.fusion=gone",), digest="0" * 64))[0] == "unofficial"


SETTINGS = [
    (),
    ("schedule.epochs=3",),
    ("requires.fusion=laplacian",),
    ("requires.fusion=laplacian", "laplacian:model.levels=2"),
    ("requires.fusion=tardal-dt", "tardal-dt:schedule.epochs=2", "model.colour=grey"),
    (f"{DETECTOR}:schedule.epochs=3",),
    ("average:model.image_size=[64, 64]",),
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("preset", ["paper", "quick"])
def test_a_settled_recipe_is_that_of_the_planned_run(tiny, settings, preset):
    planned = plan_run(DETECTOR, tiny, preset, None, settings).recipe
    settled = settled_recipe(DETECTOR, preset, settings)
    assert settled.digest == planned.digest
    assert settled == planned
    if settings:
        assert settled.digest != settled_recipe(DETECTOR, preset).digest


def test_a_chain_of_requirements_is_settled_to_its_end(tiny):
    settings = ("cekd-baseline:schedule.epochs=3",)
    name = "cekd-cenet"
    assert settled_recipe(name, "quick", settings).digest == plan_run(name, tiny, "quick", None, settings).recipe.digest
    assert settled_recipe(name, "quick", settings).digest != settled_recipe(name, "quick").digest


@pytest.mark.parametrize(
    "settings",
    [
        ("requires.fusion=avrage",),
        ("requires.detector=average",),
        ("requires.fusion=laplacian", "laplacian:model.level=2"),
        (f"requires.fusion={DETECTOR}",),
        ("avrage:model.levels=2",),
    ],
)
def test_both_refuse_the_same(tiny, settings):
    with pytest.raises(UsageError) as planned:
        plan_run(DETECTOR, tiny, "paper", None, settings)
    with pytest.raises(UsageError) as settled:
        settled_recipe(DETECTOR, "paper", settings)
    assert str(settled.value) == str(planned.value)


def test_a_named_convention_is_never_official(tiny, tmp_path, monkeypatch):
    part = tiny.part("test")
    folder = tmp_path / "fused"
    folder.mkdir()
    for sample_id, sample in zip(part.ids, part, strict=True):
        (folder / f"{sample_id}.png").write_bytes(sample.thermal.data)
    monkeypatch.setattr("rgbt_bench.scoring.standing", lambda *_, **__: ("official", "by this test"))
    monkeypatch.setattr("rgbt_bench.protocols.fusion.CONTROLS", {})  # which take the time
    for one in CONVENTIONS:
        result = score_file(folder, part, "fusion", one.name)
        is_default = one.name == "rgbt-bench"
        assert result.standing == ("official" if is_default else "unofficial")
        assert result.standing_reason == (
            "by this test" if is_default else f"computed as {one.name}, not as rgbt-bench"
        )
        assert tuple(result.metrics.figures) == one.metrics


def test_scoring_asks_for_the_pixels_at_hand(tiny_folder, tmp_path, monkeypatch):
    dataset = Dataset(shutil.copytree(tiny_folder, tmp_path / "set"))
    asked = []
    monkeypatch.setattr("rgbt_bench.scoring.standing", lambda *words, **_: asked.append(words) or ("pending", ""))
    monkeypatch.setattr("rgbt_bench.protocols.fusion.CONTROLS", {})
    part = dataset.part("test")
    folder = tmp_path / "fused"
    folder.mkdir()
    for sample_id, sample in zip(part.ids, part, strict=True):
        (folder / f"{sample_id}.png").write_bytes(sample.thermal.data)
    result = score_file(folder, part, "fusion")
    assert (result.track, result.standing) == ("sample/fusion", "pending")
    assert asked[0][6] == (part.record.rgb_digest, part.record.thermal_digest)
    assert part.record.thermal_digest
