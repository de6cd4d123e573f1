"""Recipes as data: where figures come from, what decides a digest, what is refused, and what is planned from them."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.origins import origins
from rgbt_bench.plain_yaml import read_mapping
from rgbt_bench.recipes import load_recipe, recipe_path
from rgbt_bench.registry import load_converter, load_submission, recipe_files

OURS = sorted(recipe_files())
ONE = "ffkd-teacher-rgb"
STUDENT = "ffkd-student"
QUICK_MAY_CHANGE = {"backbone", "detector", "freeze_backbones", "train_mode"}
GOLDEN = "253b3a951d03251fabeff1d7b9fd3b00572071069aad2970c27a654a7a856dff"


def own_digest(recipe):
    """The digest with what it builds on held still."""
    return recipe.building_on(dict.fromkeys(recipe.requires, "held")).digest


def figures_in(node):
    if isinstance(node, dict | list):
        return sum(map(figures_in, node.values() if isinstance(node, dict) else node))
    return type(node) in (int, float)


@pytest.mark.parametrize("name", OURS)
def test_every_figure_names_its_origin(name):
    found = origins(recipe_path(name))
    assert len(found) == figures_in(YAML(typ="safe").load(recipe_path(name).read_text()))
    assert len(found) > (20 if load_recipe(name).training else 1)
    assert {key: text for key, text in found.items() if not text.startswith(("paper", "official code", "ours"))} == {}


def test_origins_finds_the_figure_that_has_none(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1  # paper §1\nb:\n  c: [0.5, 2]\n  d: {e: 3, f: text}  # ours\ng: true\nh: '7'\n")
    assert origins(path) == {"a": "paper §1", "b.c.0": "", "b.c.1": "", "b.d.e": "ours"}


def test_scientific_notation_is_a_number(written):
    name = written([("learning_rate: 0.001", "learning_rate: 1e-5"), ("norm_eps: 0.001", "norm_eps: 1E-3")])
    recipe = load_recipe(name)
    assert recipe.optimizer.learning_rate == 1e-5
    assert recipe.model["norm_eps"] == 1e-3


def test_digest_is_the_frozen_one():
    assert load_recipe(ONE).digest == GOLDEN


@pytest.mark.parametrize(
    "change",
    [
        ("# official code: train_branch.py\n", "# said otherwise\n"),
        ('title: "FFKD teacher branch', 'title: "Another title'),
        ("learning_rate: 0.001", "learning_rate: 1.0e-3"),
        ("model.fpn_cells: 2", "model.fpn_cells: 3"),
        ("seed: 0", "seed: 7"),
        ("keep: best", "workers: 4\n  keep: best"),
        ("row: T-RGB", "row: T-Thermal"),
    ],
)
def test_words_quick_seed_and_workers_are_not_in_the_digest(written, change):
    assert load_recipe(written([change])).digest == load_recipe(ONE).digest


@pytest.mark.parametrize("name", [ONE, STUDENT])
def test_every_figure_is_in_the_digest(name):
    recipe = load_recipe(name)
    figures = recipe.model_dump(mode="json")
    paths = {re.sub(r"\.\d+$", "", path) for path in origins(recipe_path(name)) if not path.startswith("quick.")}
    paths -= {"seed"}
    digests = {own_digest(recipe)}
    for path in sorted(paths):
        value = figures
        for key in path.split("."):
            value = value[key]
        other = [one / 2 for one in value] if isinstance(value, list) else value + 1
        digests.add(own_digest(load_recipe(name, settings=(f"{path}={other}",))))
    assert len(paths) > 25
    assert len(digests) == len(paths) + 1


@pytest.mark.parametrize(
    "setting",
    ["modalities=[thermal]", "pretrained=none", "optimizer.schedule=one-cycle", "schedule.keep=last", "model.kind=x"],
)
def test_every_choice_is_in_the_digest(setting):
    assert load_recipe(ONE, settings=(setting,)).digest != load_recipe(ONE).digest


@pytest.mark.parametrize("field", ["submission", "protocol"])
def test_the_method_and_the_protocol_are_in_the_digest(field):
    recipe = load_recipe(ONE)
    assert recipe.model_copy(update={field: "another"}).digest != recipe.digest


def test_a_local_weights_file_counts_by_its_content(tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    of = lambda path: load_recipe(ONE, settings=(f"pretrained={path}",)).digest  # noqa: E731
    assert of(first) == of(second)
    second.write_bytes(b"two")
    assert of(first) != of(second)
    with pytest.raises(MissingError, match="no file"):
        of(tmp_path / "none.safetensors")


def test_a_copy_that_builds_on_another_recipe_is_another_recipe(written):
    same = written(of=STUDENT)
    assert load_recipe(same).digest == load_recipe(STUDENT).digest
    other = written([("teacher: ffkd-teacher-fusion", "teacher: ffkd-student-fusion")], of=STUDENT, name="other")
    assert load_recipe(other).digest != load_recipe(STUDENT).digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("optimizer:\n", "optimzer:\n"), r"unknown key 'optimzer'\. Did you mean 'optimizer'"),
        (("  learning_rate:", "  learning_rat:"), r"'optimizer\.learning_rat'\. Did you mean 'learning_rate'"),
        (("  epochs:", "  epoch:"), r"'schedule\.epoch'\. Did you mean 'epochs'"),
        (("table: table-2", "tabel: table-2"), r"'paper\.tabel'\. Did you mean 'table'"),
        (("title:", "titel:"), r"'titel'\. Did you mean 'title'"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest(written, change, message):
    with pytest.raises(BadInputError, match=message):
        load_recipe(written([change]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("  backbone:", "  backbon:"), r"model: .*'backbon'\. Did you mean 'backbone'"),
        (("    rgb_mean:", "    rgb_men:"), r"model: .*'normalisation\.rgb_men'\. Did you mean 'rgb_mean'"),
        (("  flip:", "  flipp:"), r"augment: .*'flipp'\. Did you mean 'flip'"),
        (("    match_iou:", "    match_iuo:"), r"loss: .*'detection\.match_iuo'\. Did you mean 'match_iou'"),
        (("    temperature:", "    temprature:"), r"loss: .*'distillation\.temprature'\. Did you mean 'temperature'"),
        (
            ("log: {form: joint27, detection:", "log: {form: joint27, detetion:"),
            r"loss: .*'distillation\.balances\.log\.detetion'\. Did you mean 'detection'",
        ),
        (("  image_size: 640", "  image_size: large"), r"model: image_size: "),
    ],
)
def test_the_submissions_own_sections_are_checked_at_every_level(written, change, message):
    recipe = load_recipe(written([change], of=STUDENT))
    with pytest.raises(BadInputError, match=message):
        load_submission("ffkd")(recipe, load_converter("flir").info)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: !!str x", "line 1: YAML tags, anchors and aliases"),
        (b"a: 1\nname: !!python/object/apply:os.system ['touch /tmp/owned']", "line 2: YAML tags"),
        (b"name: ! x", "YAML tags"),
        (b"!!set {a, b}", "YAML tags"),
        (b"a: &x {b: 1}\nc: 2", "anchors"),
        (b"a: &x 1\nc: *x", "anchors"),
        (b"a: 1\nc: *x", "line 2: .*aliases"),
        (b"%YAML 1.1\n---\na: 1e-5", "directives"),
        (b"\xff\xfe\x00\x01", "not UTF-8 text"),
        (b"a: \x00", "not valid YAML"),
        (b"a: [" * 20_000, "nested too deeply"),
        ("\n".join(" " * depth + "a:" for depth in range(200)).encode(), "nested too deeply"),
        (b"a: " + b"x" * 100_001, "larger than"),
        (b"", "mapping of keys"),
        (b"- 1", "mapping of keys"),
        (b"a: 1\n---\nb: 2", "line 2, .*another document"),
        (b"a: 1\na: 2", "line 2, .*duplicate key"),
        (b"a: [1", "line 1, .*not valid YAML"),
        (b"1: 2", "the key 1 is no text"),
        (b"a: {? [1, 2] : 3}", r"a: the key \(1, 2\) is no text"),
        (b"a: {b: 2020-01-01}", r"a\.b: 2020-01-01 is read as a date"),
        (b"a: [1, .nan]", r"a\.1: nan is no figure"),
        (b"a: -.inf", "a: -inf is no figure"),
    ],
)
def test_hostile_files_are_refused(tmp_path, content, message):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message) as caught:
        read_mapping(path, "a recipe")
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("submission: ffkd", "submission: rgbt_baselines.ffkd.submission:Ffkd"), "unknown submission 'rgbt_baselines"),
        (("submission: ffkd", "submission: os.system"), "unknown submission 'os.system'"),
        (("protocol: coco", "protocol: cocoo"), "unknown protocol 'cocoo'. Did you mean 'coco'"),
        (("modalities: [rgb]", "modalities: []"), "modalities: "),
        (("modalities: [rgb]", "modalities: [rgb, rgb]"), "modalities: .*named twice"),
        (("modalities: [rgb]", "modalities: rgb"), "modalities: "),
        (("modalities: [rgb]", "modalities: [depth]"), r"modalities\.0: .*'rgb' or 'thermal'"),
        (("epochs: 50", "epochs: fifty"), r"schedule\.epochs: "),
        (("epochs: 50", "epochs: true"), r"schedule\.epochs: "),
        (("epochs: 50", "epochs: '50'"), r"schedule\.epochs: "),
        (("epochs: 50", "epochs: 0"), r"schedule\.epochs: "),
        (("learning_rate: 0.001", "learning_rate: -1"), r"optimizer\.learning_rate: "),
        (("seed: 0", "seed: -1"), "seed: "),
        (("name: adam", "name: adamm"), r"optimizer\.name: "),
        (("name: mine", "name: yours"), "name is 'yours', but the file's name says 'mine'"),
        (("seed: 0", "preset: paper\nseed: 0"), "preset is chosen with --preset"),
    ],
)
def test_wrong_values_are_refused_by_key(written, change, message):
    with pytest.raises(BadInputError, match=message):
        load_recipe(written([change]))


def test_a_quick_section_that_is_no_mapping_is_refused(tmp_path):
    text = recipe_path(ONE).read_text()
    path = tmp_path / f"{ONE}.yaml"
    path.write_text(text[: text.index("quick:")] + "quick: [1]\n")
    with pytest.raises(BadInputError, match="quick: "):
        load_recipe(str(path), "quick")


@pytest.mark.parametrize("name", OURS)
def test_quick_changes_no_loss_and_no_structure(name):
    paper, quick = load_recipe(name), load_recipe(name, "quick")
    for same in ("loss", "requires", "submission", "dataset", "protocol", "modalities", "paper", "name"):
        assert getattr(quick, same) == getattr(paper, same)
    assert quick.model.keys() == paper.model.keys()
    changed = {key for key in paper.model if quick.model[key] != paper.model[key]}
    # sizes, and what is frozen: there is nothing to freeze without pretrained weights
    assert {key for key in changed if isinstance(paper.model[key], str | bool)} <= QUICK_MAY_CHANGE
    assert quick.pretrained == "none"
    assert quick.preset == "quick"
    assert quick.digest != paper.digest


@pytest.mark.parametrize("forbidden", ["loss.detection.focal_gamma: 2", "name: x", "preset: paper", "requires: {}"])
def test_a_quick_section_that_changes_more_is_refused(written, forbidden):
    name = written([("quick:\n", f"quick:\n  {forbidden}\n")])
    load_recipe(name)
    with pytest.raises(BadInputError, match="the quick preset never changes"):
        load_recipe(name, "quick")


def test_quick_looks_for_no_pretrained_weights(written):
    name = written([("quick:\n  pretrained: none\n", "quick:\n")])
    assert load_recipe(name).pretrained == "timm"
    with pytest.raises(BadInputError, match="no pretrained weights; add `pretrained: none`"):
        load_recipe(name, "quick")


def test_a_typing_mistake_in_the_quick_section_is_refused(written):
    name = written([("model.fpn_cells: 2", "model.fpn_cels: 2")])
    with pytest.raises(BadInputError, match=r"quick: unknown path 'model\.fpn_cels'\. Did you mean 'fpn_cells'"):
        load_recipe(name, "quick")


def test_settings_are_read_as_yaml():
    settings = ("optimizer.learning_rate=1e-4", "augment.zoom=[0.5, 1.5]", "schedule.patience=null", "seed=3",
                "model.backbone=hf-hub:timm/some=thing", "schedule.max_steps=5")  # fmt: skip
    recipe = load_recipe(ONE, settings=settings)
    assert recipe.optimizer.learning_rate == 1e-4
    assert recipe.augment["zoom"] == [0.5, 1.5]
    assert recipe.schedule.patience is None
    assert recipe.schedule.max_steps == 5
    assert recipe.seed == 3
    assert recipe.model["backbone"] == "hf-hub:timm/some=thing"
    assert load_recipe(ONE, settings=("seed=1", "seed=2")).seed == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("schedule.epoch=3", r"unknown path 'schedule\.epoch'\. Did you mean 'epochs'"),
        ("shedule.epochs=3", r"unknown path 'shedule'\. Did you mean 'schedule'"),
        ("model.fpn_cells.x=3", "'model.fpn_cells' has no keys below it"),
        ("model.nothing.x=3", "unknown path 'model.nothing'"),
        ("schedule.epochs", "write PATH=VALUE"),
        ("=3", "unknown path ''"),
        ("schedule.epochs=many", r"schedule\.epochs: "),
        ("schedule.epochs=", r"schedule\.epochs: "),
        ("optimizer.learning_rate=.inf", "inf is no figure"),
        ("seed=!!int 3", "tags"),
        ("seed=[1", "not valid YAML"),
        ("submission=os.system", "unknown submission"),
        ("name=other", "copy the recipe's file"),
        ("preset=quick", "use --preset"),
        ("dataset=other", "use --dataset"),
        ("quick.model.fpn_cells=1", "set the values themselves"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting, message):
    with pytest.raises(UsageError, match=message) as caught:
        load_recipe(ONE, settings=(setting,))
    assert "--set" in str(caught.value)


def test_names_are_suggested_whatever_their_case():
    with pytest.raises(UsageError, match="Did you mean 'ffkd-teacher-rgb'"):
        load_recipe("FFKD-Teacher-RGB")
    with pytest.raises(UsageError, match=r"unknown preset 'quik'\. Did you mean 'quick'"):
        load_recipe(ONE, "quik")
    with pytest.raises(UsageError, match="no such recipe file"):
        load_recipe("./none.yaml")


def test_gamma_goes_with_the_exponential_schedule_and_is_in_its_digest():
    falling = lambda gamma: load_recipe(  # noqa: E731
        ONE, settings=("optimizer.schedule=exponential", f"optimizer.gamma={gamma}")
    )
    assert len({load_recipe(ONE).digest, falling(0.9).digest, falling(0.8).digest}) == 3
    for settings in (("optimizer.schedule=exponential",), ("optimizer.gamma=0.9",)):
        with pytest.raises(UsageError, match=r"optimizer: .*gamma goes with exponential alone"):
            load_recipe(ONE, settings=settings)


def test_final_goes_with_the_linear_schedule_and_momentum_with_sgd():
    linear = lambda final: load_recipe(  # noqa: E731
        ONE, settings=("optimizer.schedule=linear", f"optimizer.final={final}")
    )
    sgd = lambda *more: load_recipe(ONE, settings=("optimizer.name=sgd", *more))  # noqa: E731
    assert len({load_recipe(ONE).digest, linear(0.1).digest, linear(0.2).digest}) == 3
    assert len({sgd().digest, sgd("optimizer.momentum=0.9").digest, sgd("optimizer.momentum=0.5").digest}) == 3
    for settings in (("optimizer.schedule=linear",), ("optimizer.final=0.1",)):
        with pytest.raises(UsageError, match=r"optimizer: .*final goes with linear alone"):
            load_recipe(ONE, settings=settings)
    with pytest.raises(UsageError, match="momentum goes with sgd alone"):
        load_recipe(ONE, settings=("optimizer.momentum=0.9",))


def test_precision_and_teacher_cache_are_in_the_digest_where_they_are_not_the_default():
    plain = load_recipe(ONE)
    assert (
        load_recipe(ONE, settings=("schedule.precision=float32", "schedule.teacher_cache=null")).digest == plain.digest
    )
    changed = [
        load_recipe(ONE, settings=(f"schedule.{one}",)).digest
        for one in ("precision=bfloat16", "teacher_cache=float32", "teacher_cache=float16")
    ]
    assert len({plain.digest, *changed}) == 4
    for wrong in ("precision=half", "teacher_cache=true"):
        with pytest.raises(UsageError, match=f"schedule.{wrong.partition('=')[0]}"):
            load_recipe(ONE, settings=(f"schedule.{wrong}",))


def test_a_whole_number_in_place_of_a_figure_with_a_point_is_the_same_recipe():
    half = load_recipe(ONE, settings=("loss.detection.focal_gamma=2.0",))
    assert load_recipe(ONE, settings=("loss.detection.focal_gamma=2",)).digest == half.digest
    assert load_recipe(ONE, settings=("loss.detection.focal_gamma=2.5",)).digest != half.digest
    as_it_is = half.loss["detection"]["focal_gamma"]
    assert (as_it_is, type(as_it_is)) == (2.0, float)
    # where a whole number stands, a true one is no other
    assert type(load_recipe(ONE, settings=("schedule.epochs=7",)).schedule.epochs) is int


def test_a_recipe_trains_with_both_optimizer_and_schedule_or_with_neither(written):
    for lone in ("optimizer:", "schedule:"):
        with pytest.raises(BadInputError, match="optimizer and schedule go together"):
            load_recipe(without(written(), lone, "quick:"))
    untrained = without(written(), "optimizer:", "schedule:", "quick:")
    recipe = load_recipe(untrained)
    assert recipe.training is None
    assert recipe.digest != load_recipe(ONE).digest
    with pytest.raises(UsageError, match="unknown path 'schedule'"):
        load_recipe(untrained, settings=("schedule.epochs=3",))
    with pytest.raises(BadInputError, match="neither optimizer nor schedule, and the submission ffkd trains"):
        load_submission("ffkd")(recipe, load_converter("flir").info)


def without(name, *sections):
    """Take sections with the lines below them out of a recipe's file, and return its name."""
    kept, dropped = [], False
    for line in Path(name).read_text().splitlines():
        if line and not line[0].isspace():
            dropped = line.startswith(sections)
        kept += [] if dropped else [line]
    Path(name).write_text("\n".join(kept) + "\n")
    return name
