"""`export-model`: one file that says all of itself and finds what its network finds, or no file."""

import json
import re
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime", reason="needs onnx, onnxruntime and onnxscript, which the extra onnx brings")

import onnx
import onnxruntime
import torch

from cli_cases import only_object
from onnx_cases import SIDE, Cells, WithForm, form
from rgbt_bench import onnx_export
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import sha256_file
from run_cases import make_done

RECIPE = "ffkd-student-rgb"


@pytest.fixture
def run(home, tiny_folder, monkeypatch):
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    monkeypatch.setattr(onnx_export, "load_submission", lambda name: WithForm)
    return make_done(home, tiny_folder)


@pytest.fixture
def no_export(monkeypatch):
    """Nothing is asked of torch's exporter: it would take seconds, and what is wrong is seen before."""
    monkeypatch.setattr(onnx_export, "_as_proto", lambda *arguments: pytest.fail("something was exported"))


@pytest.fixture(scope="session")
def proto():
    return onnx_export._as_proto(form(), {})


@pytest.fixture
def exported(proto, monkeypatch):
    """The small network's model, which is written by the exporter once for all tests."""
    monkeypatch.setattr(onnx_export, "_as_proto", lambda *arguments: proto)
    return proto


def test_a_file_is_written_compared_and_told(run, bench, tmp_path):
    out = tmp_path / "new" / "folder" / "m.onnx"
    code, printed, err = bench("export-model", RECIPE, "--out", out, "--samples", 5, "--json")
    assert code == 0, err
    content = only_object(printed)
    assert content["file"] == str(out)
    assert (content["bytes"], content["sha256"]) == (out.stat().st_size, sha256_file(out))
    assert content["inputs"] == {"images": ["batch", 3, SIDE, SIDE]}
    assert content["outputs"] == {"cells": ["batch", 7, 4]}
    assert content["samples"] == 5
    assert content["differences"]["boxes"]["largest"] <= content["differences"]["boxes"]["tolerance"] == 1e-3
    assert content["detections"]["both"] > 0
    assert [one.name for one in out.parent.iterdir()] == ["m.onnx"]
    onnx.checker.check_model(str(out), full_check=True)
    model = onnx.load(out)
    told = {one.key: one.value for one in model.metadata_props}
    assert told == content["metadata"]
    assert told["weights_sha256"] == sha256_file(run / "weights.safetensors")
    assert (told["recipe"], told["preset"], told["dataset"]) == (RECIPE, "quick", "sample")
    assert json.loads(told["outputs"]) == {"cells": "float32 [batch, 7, 4]: boxes and scores"}
    assert [(one.domain, one.version) for one in model.opset_import] == [("", content["opset"])]


def test_the_same_run_gives_the_same_bytes_and_none_is_a_path_of_this_machine(run, bench, tmp_path):
    for name in "ab":
        assert bench("export-model", RECIPE, "--out", tmp_path / f"{name}.onnx", "--samples", 1)[0] == 0
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    for path in (sys.prefix, str(run), str(tmp_path), "site-packages", ".py"):
        assert path.encode() not in content


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_the_batch_is_free(proto, batch):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    images = torch.rand(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(batch))
    (computed,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(computed, Cells()(images).detach().numpy(), atol=1e-5)


def test_without_out_it_is_in_the_runs_folder_and_a_second_one_takes_its_place(run, exported, bench):
    for _ in range(2):
        code, printed, _ = bench("export-model", RECIPE)
        assert code == 0
        assert "compared in onnxruntime on 12 sample(s)" in printed
        assert "input images [batch, 3, 32, 32]" in printed
        assert (run / "model.onnx").is_file()
        (run / "model.onnx").write_bytes(b"older")


def damaged(proto, monkeypatch, change):
    """Let the exporter's model be another one."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(proto)
    change(wrong)
    monkeypatch.setattr(onnx_export, "_as_proto", lambda *arguments: wrong)


def shifted(name, by):
    def change(model):
        for one in model.graph.initializer:
            if one.name.endswith(name):
                values = onnx.numpy_helper.to_array(one) + np.float32(by)
                one.CopyFrom(onnx.numpy_helper.from_array(values, one.name))
                return
        pytest.fail(f"no {name} in the model")

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (shifted("bias", 0.1), r"boxes differ by up to 0\.\d+, and 0\.001 may be; most in sample_test_\d+"),
        (shifted("bias", np.nan), "boxes differ by up to inf"),
        (lambda model: model.graph.ClearField("initializer"), "onnxruntime .* cannot load the ONNX file"),
        (lambda model: setattr(model.graph.output[0], "name", "x"), "onnxruntime"),
    ],
)
def test_a_file_that_computes_something_else_is_not_kept(run, proto, bench, tmp_path, monkeypatch, change, says):
    damaged(proto, monkeypatch, change)
    (tmp_path / "m.onnx").write_bytes(b"as it was")
    before = sorted(tmp_path.iterdir())
    code, _, err = bench("export-model", RECIPE, "--out", tmp_path / "m.onnx")
    assert code == 3
    assert re.search(says, err), err
    assert (tmp_path / "m.onnx").read_bytes() == b"as it was"
    assert sorted(tmp_path.iterdir()) == before


def test_outputs_within_their_tolerance_with_other_detections_are_not_kept(tiny):
    """As where the two sides' detections are chosen in two ways."""
    made, calls = form(), []

    def less(outputs):
        calls.append(1)
        whole = made.choice.detections(outputs)
        return whole.take(np.arange(len(whole)) > 0) if len(calls) == 2 else whole

    wrong = form(choice=type(made.choice)(less, made.choice.selection))
    session = lambda inputs: [Cells()(torch.from_numpy(inputs["images"])).detach().numpy()]  # noqa: E731
    with pytest.raises(BadInputError, match=r"sample_test_0000: only torch has class \d at \[.*score 0\.\d+"):
        onnx_export.compare(wrong, session, tiny.part("test"), [0, 1, 2])


def test_another_shape_is_not_kept(tiny):
    session = lambda inputs: [np.zeros((1, 7, 5), np.float32)]  # noqa: E731
    with pytest.raises(BadInputError, match=r"cells has the shape \(1, 7, 5\), the network's \(1, 7, 4\)"):
        onnx_export.compare(form(), session, tiny.part("test"), [0])


def test_every_sample_is_compared_once_in_batches_of_one_and_three(tiny):
    seen = []

    def session(inputs):
        seen.append(len(inputs["images"]))
        return [Cells()(torch.from_numpy(inputs["images"])).detach().numpy()]

    found = onnx_export.compare(form(), session, tiny.part("test"), range(10))
    assert seen == [1, 3, 1, 3, 1, 1]
    assert found.samples == 10
    assert found.detections.near_ties == 0


def test_without_detections_the_outputs_alone_are_compared(tiny):
    made = form(choice=None)
    session = lambda inputs: [made.network(torch.from_numpy(inputs["images"])).detach().numpy()]  # noqa: E731
    assert onnx_export.compare(made, session, tiny.part("test"), [0]).detections is None


class OneOfTwo(Cells):
    """What it computes depends on the values of its input, in Python."""

    def forward(self, images):
        return super().forward(images if images.sum() > 0 else -images)


class OneByOne(Cells):
    """It counts the images in Python."""

    def forward(self, images):
        return torch.cat([super(OneByOne, self).forward(one[None]) for one in images])


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (OneOfTwo, r"torch \S+ cannot write this network as ONNX: .*data-dependent"),
        (OneByOne, r"one batch size alone, that of the example \(images, cells\)"),
    ],
)
def test_a_network_that_cannot_be_written_is_refused(network, says):
    with pytest.raises(BadInputError, match=says):
        onnx_export._as_proto(form(network()), {})


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ffkd-student-rbg"], 2, "Did you mean 'ffkd-student-rgb'"),
        ([RECIPE, "--out", "FOLDER.onnx"], 3, "is a folder; name a file"),
        ([RECIPE, "--out", "FILE/m.onnx"], 3, "FILE"),
        ([RECIPE, "--out", "weights.safetensors"], 2, "ends in .onnx"),
        ([RECIPE, "--samples", "0"], 2, "--samples"),
        ([RECIPE, "--dataset", "sampel"], 2, "Did you mean 'sample'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_exported(run, bench, tmp_path, arguments, code, says):
    (tmp_path / "FOLDER.onnx").mkdir()
    (tmp_path / "FILE").write_text("x")
    places = [tmp_path / one if arguments[place - 1] == "--out" else one for place, one in enumerate(arguments)]
    found, _, err = bench("export-model", *places)
    assert found == code, err
    assert says in err


@pytest.mark.usefixtures("no_export")
def test_weights_that_are_gone_or_others_are_refused(run, bench):
    (run / "weights.safetensors").write_bytes(b"others")
    code, _, err = bench("export-model", RECIPE)
    assert (code, "not the weights that the result was made with" in err) == (3, True)
    (run / "weights.safetensors").unlink()
    code, _, err = bench("export-model", RECIPE)
    assert (code, "no such weights file" in err) == (4, True)


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize("name", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_its_remedy(run, bench, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    code, _, err = bench("export-model", RECIPE)
    assert code == 4
    assert f"needs the package '{name}', which is not installed: pip install 'rgbt-bench[onnx]'" in err


def test_a_submission_without_a_form_says_so(home, tiny_folder, bench):
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    folder = make_done(home, tiny_folder)
    code, _, err = bench("export-model", folder)
    assert code == 3
    assert "the submission ffkd has no ONNX form yet" in err
    assert not (folder / "model.onnx").exists()


def test_an_interruption_leaves_nothing(run, exported, bench, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_export, "compare", interrupted)
    before = sorted(tmp_path.iterdir())
    code, _, _ = bench("export-model", RECIPE, "--out", tmp_path / "m.onnx")
    assert code == 130
    assert sorted(tmp_path.iterdir()) == before
