"""Writing the network of a finished run as one ONNX file, which is kept only if it finds what the run's own finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgbt_bench import __version__
from rgbt_bench.datasets.sheet import spread
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, MissingError, UsageError, enumerate_faults
from rgbt_bench.files import canonical_json, sha256_file, write_with
from rgbt_bench.finding import RunFolder
from rgbt_bench.near_ties import Agreement, Allowance, agreement
from rgbt_bench.predicting import require_weights
from rgbt_bench.predictions import Detections
from rgbt_bench.previewing import scored_part
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.registry import load_submission
from rgbt_bench.submissions import Choice, OnnxForm

SUFFIX = ".onnx"
OPSET = 18  # of all that torch 2.11 to 2.15 write, what the most runtimes read
_BATCHES = (1, 3)  # by turns, so that a batch size that got into the file is seen
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")

Outputs = Sequence[NDArray[np.float32]]
Session = Callable[[Mapping[str, NDArray[np.float32]]], Outputs]


@dataclass(frozen=True)
class Difference:
    """The largest difference of a quantity between the file and the network, and the largest that may be."""

    largest: float
    tolerance: float


@dataclass(frozen=True)
class Comparison:
    """What a file computed against what its network did, on `samples`; `detections` is None where there are none."""

    samples: int
    differences: Mapping[str, Difference]
    detections: Agreement | None = None


@dataclass(frozen=True)
class ExportedModel:
    """A file that was written, and how it was compared."""

    run: RunFolder
    file: Path
    size: int
    sha256: str
    opset: int
    inputs: Mapping[str, Sequence[int | str]]
    outputs: Mapping[str, Sequence[int | str]]
    metadata: Mapping[str, str]
    comparison: Comparison

    def to_dict(self) -> dict[str, Any]:
        """Return what was written and compared as JSON-ready data; a dimension that is free has a name."""
        found = self.comparison
        agreed = found.detections
        return {
            "run": self.run.label,
            "file": str(self.file),
            "bytes": self.size,
            "sha256": self.sha256,
            "opset": self.opset,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "outputs": {name: list(shape) for name, shape in self.outputs.items()},
            "metadata": dict(self.metadata),
            "samples": found.samples,
            "differences": {name: asdict(one) for name, one in found.differences.items()},
            "detections": None
            if agreed is None
            else {"both": agreed.both, "near_ties": agreed.near_ties, "largest": asdict(agreed.largest)},
        }


def export_model(
    run: RunFolder, out: Path, samples: int = 16, dataset: str | None = None, progress: Progress = no_progress
) -> ExportedModel:
    """Write the network of a finished run as ONNX, and compare both on samples of the part that the run was scored on.

    They are spread over the part and made as `predict` makes them; torch and onnxruntime compute on the CPU, the latter
    in one thread. Every quantity has to be within its tolerance, and the detections have to be the same but for
    near-ties, with twice the largest difference that was found as their margin.

    Raises:
        UsageError: `out` is called otherwise than `*.onnx`.
        MissingError: a package, the set, or the weights are not here, or the run is not finished.
        BadInputError: no ONNX form, other weights than the result's, or the file computes something else; then `out`
            is as it was.
        OSError: `out` cannot be written.
    """
    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: name a file that ends in {SUFFIX}")
    recipe = run.load_recipe()
    require_weights(run)
    part = scored_part(run, dataset)
    form = load_submission(recipe.submission)(recipe, part.dataset.info).onnx_form(run.weights)
    _require_packages()
    places = spread(len(part), samples)
    written: list[ExportedModel] = []

    def write(aside: Path) -> None:
        progress("writing", 0, 1)
        model = _as_proto(form, _metadata(run, form))
        aside.write_bytes(model.SerializeToString(deterministic=True))
        comparison = compare(form, _session(aside, form), part, places, progress)
        shapes = [{one.name: _shape(one) for one in ends} for ends in (model.graph.input, model.graph.output)]
        metadata = {one.key: one.value for one in model.metadata_props}
        size, digest = aside.stat().st_size, sha256_file(aside)
        opset = next(one.version for one in model.opset_import if not one.domain)
        written.append(ExportedModel(run, out, size, digest, opset, shapes[0], shapes[1], metadata, comparison))

    write_with(out, write)
    return written[0]


def compare(
    form: OnnxForm, session: Session, part: Part, places: Sequence[int], progress: Progress = no_progress
) -> Comparison:
    """Compare what a session computes of samples with what the form's network does.

    Raises:
        BadInputError: another shape, a quantity beyond its tolerance, or other detections; the message names each.
    """
    seen = _Seen(form)
    for batch in _batches(places):
        seen.add(part, batch, session)
        progress("comparing", len(seen.samples), len(places))
    differences = {name: Difference(seen.largest[name], most) for name, most in form.tolerances.items()}
    faults = [
        f"{name} differ by up to {one.largest:.3g}, and {one.tolerance:g} may be; most in {seen.worst[name]}"
        for name, one in differences.items()
        if not one.largest <= one.tolerance  # nor is what is no number
    ]
    agreed = None
    if not faults and form.choice is not None:
        agreed = seen.agreement(form.choice)
        faults = [f"{seen.samples[sample]}: {words}" for sample, words in agreed.faults]
    if faults:
        raise BadInputError(
            enumerate_faults("the ONNX file computes something else than the network, and was not kept:", faults)
        )
    return Comparison(len(places), differences, agreed)


@dataclass
class _Seen:
    """What was compared so far: largest differences, the sample of each, and both sides' detections."""

    form: OnnxForm
    samples: list[str] = field(default_factory=list)
    largest: dict[str, float] = field(default_factory=dict)
    worst: dict[str, str] = field(default_factory=dict)
    found: tuple[list[Detections], list[Detections]] = field(default_factory=lambda: ([], []))

    def add(self, part: Part, batch: Sequence[int], session: Session) -> None:
        """Compute a batch on both sides and compare its outputs."""
        inputs = self.form.prepare(part, batch)
        expected = _run_network(self.form, inputs)
        computed = session({name: one.numpy() for name, one in inputs.items()})
        for name, one, other in zip(self.form.outputs, expected, computed, strict=True):
            if one.shape != other.shape:
                raise BadInputError(f"the ONNX file's {name} has the shape {other.shape}, the network's {one.shape}")
        ids = [part.ids[place] for place in batch]
        quantities = (self.form.quantities(outputs) for outputs in (expected, computed))
        for (name, one), other in zip(*(next(quantities).items(), next(quantities).values()), strict=True):
            apart = np.abs(one.astype(np.float64) - other).reshape(len(batch), -1).max(1, initial=0.0)
            apart[np.isnan(apart)] = np.inf
            if name not in self.largest or apart.max() > self.largest[name]:
                self.largest[name], self.worst[name] = float(apart.max()), ids[int(apart.argmax())]
        if self.form.choice is not None:
            for outputs, kept in zip((expected, computed), self.found, strict=True):
                kept.append(_moved(self.form.choice.detections(outputs), len(self.samples)))
        self.samples += ids

    def agreement(self, choice: Choice) -> Agreement:
        """Compare the detections of all batches."""
        boxes, scores = (2 * self.largest[name] for name in ("boxes", "scores"))
        tolerances = self.form.tolerances
        first, second = (_joined(side) for side in self.found)
        return agreement(
            first,
            second,
            choice.selection,
            Allowance(2 * tolerances["boxes"], tolerances["scores"]),  # an edge is the centre and half a side
            Allowance(boxes, scores),
            ("torch", "the file"),
        )


def _batches(places: Sequence[int]) -> Iterator[Sequence[int]]:
    first, turn = 0, 0
    while first < len(places):
        size = _BATCHES[turn % len(_BATCHES)]
        yield places[first : first + size]
        first, turn = first + size, turn + 1


def _run_network(form: OnnxForm, inputs: Mapping[str, Any]) -> Outputs:
    import torch

    with torch.no_grad():
        outputs = form.network(*inputs.values())
    return [one.numpy() for one in (outputs if isinstance(outputs, tuple | list) else (outputs,))]


def _require_packages() -> None:
    for name in _PACKAGES:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise MissingError(
                f"export-model needs the package {error.name!r}, which is not installed: pip install 'rgbt-bench[onnx]'"
            ) from None


def _as_proto(form: OnnxForm, metadata: Mapping[str, str]) -> Any:
    """Return the network as an ONNX model, without the exporter's notes: they hold paths of this machine.

    The exporter is the one on torch.export: torch's older one, which traces, is deprecated and gets no new operators.

    Raises:
        BadInputError: torch cannot write this network, or not for any batch size.
    """
    import warnings

    import torch

    batch = torch.export.Dim("batch")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for its developers; what was written is compared
            program: Any = torch.onnx.export(
                form.network,
                tuple(form.example.values()),
                input_names=list(form.example),
                output_names=list(form.outputs),
                dynamic_shapes=tuple({0: batch} for _ in form.example),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise BadInputError(f"torch {torch.__version__} cannot write this network as ONNX: {reason}") from None
    model = program.model_proto
    graph = model.graph
    if bound := [one.name for one in (*graph.input, *graph.output) if not isinstance(_shape(one)[0], str)]:
        raise BadInputError(
            f"the ONNX file would be for one batch size alone, that of the example ({', '.join(bound)}): make the"
            " network's forward independent of the batch size"
        )
    for one in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        one.ClearField("metadata_props")
        one.ClearField("doc_string")
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model


def _metadata(run: RunFolder, form: OnnxForm) -> dict[str, str]:
    """Return what stands in the file: the form's words, and which run, recipe and weights it is of."""
    result = run.result()
    model = result.model
    if model is None:  # require_weights has refused it
        raise BadInputError(f"{run.folder}: its result names no weights")
    return {
        **form.metadata,
        "outputs": canonical_json(dict(form.outputs)),
        "dataset": run.dataset,
        "recipe": model.recipe,
        "preset": model.preset,
        "recipe_digest": model.recipe_digest,
        "run_key": model.run_key,
        "weights_sha256": model.weights_sha256,
        "written_by": f"rgbt-bench {__version__}",
    }


def _session(path: Path, form: OnnxForm) -> Session:
    """Return a function that computes a file's outputs with onnxruntime, on the CPU in one thread.

    Raises:
        BadInputError: onnxruntime cannot run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no class in common
        raise BadInputError(f"onnxruntime {onnxruntime.__version__} cannot load the ONNX file: {error}") from None
    return partial(_run_session, session, list(form.outputs))


def _run_session(session: Any, outputs: Sequence[str], inputs: Mapping[str, NDArray[np.float32]]) -> Outputs:
    try:
        computed: Outputs = session.run(outputs, inputs)
    except Exception as error:  # as above
        raise BadInputError(f"onnxruntime cannot run the ONNX file: {' '.join(str(error).split())[:300]}") from None
    return computed


def _shape(value: Any) -> list[int | str]:
    return [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]


def _moved(found: Detections, first: int) -> Detections:
    return Detections(found.sample_index + first, found.category, found.bbox, found.score)


def _joined(found: Sequence[Detections]) -> Detections:
    columns = ([getattr(one, name) for one in found] for name in ("sample_index", "category", "bbox", "score"))
    return Detections(*map(np.concatenate, columns))
