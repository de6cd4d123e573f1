"""What a scoring protocol owns: where predictions lie, how they are read, drawn and scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rgbt_bench.datasets.store import Part
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols.measuring import Column, Evidence
from rgbt_bench.results import AnyMetrics
from rgbt_bench.schema import DatasetInfo

if TYPE_CHECKING:
    from rgbt_bench.training.processes import Processes

P = TypeVar("P")


class ScoringProtocol(ABC, Generic[P]):
    """One way to score one task; `P` is what its predictions are in memory once they were read and checked."""

    name: ClassVar[str]
    task: ClassVar[str]
    stored: ClassVar[str]  # the file or folder of a run's predictions
    what: ClassVar[str]  # it in a few words
    unit: ClassVar[str]  # of the main figure
    ranks: ClassVar[bool] = True  # higher figures are better
    evaluators: ClassVar[tuple[str, ...]]  # the first is taken where nobody asks for one
    evaluators_agree: ClassVar[bool] = True  # on every figure
    modalities: ClassVar[tuple[str, ...]] = ("rgbt", "rgb", "thermal")  # a track each; none where the task says all
    labels_name: ClassVar[str]  # what the integers per class count, with their key
    labels_key: ClassVar[str]

    @abstractmethod
    def classes(self, info: DatasetInfo) -> tuple[str, ...]:
        """Return the classes that are scored."""

    @abstractmethod
    def columns(self, info: DatasetInfo) -> Sequence[Column]:
        """Return the figures in order, the main one first: (None, figure) over all classes, or (class, figure)."""

    @abstractmethod
    def require_labels(self, part: Part) -> None:
        """Raise a BadInputError unless a part has labels to score against."""

    @abstractmethod
    def store(self, path: Path, predicted: Any, part: Part, team: "Processes") -> None:
        """Write what a submission's `predict` returned, in every process of a run; whole or not at all."""

    @abstractmethod
    def read(self, path: Path, part: Part) -> P:
        """Return predictions after a check of all of them.

        Raises:
            MissingError: they are not there.
            BadInputError: they have faults; each is named.
        """

    @abstractmethod
    def digest(self, path: Path) -> str:
        """Return the SHA-256 of stored predictions."""

    @abstractmethod
    def files(self, path: Path) -> dict[str, Path]:
        """Return the files of stored predictions by their place beside a result."""

    @abstractmethod
    def evidence(
        self, part: Part, predictions: P, evaluator: str | None = None, progress: Progress = no_progress
    ) -> Evidence:
        """Return the evidence of a part's predictions; without an evaluator it is the first's."""

    @abstractmethod
    def metrics(self, part: Part, evidence: Evidence, evaluator: str, progress: Progress = no_progress) -> AnyMetrics:
        """Return the figures with their intervals."""

    @abstractmethod
    def draw(self, path: Path, part: Part, predictions: P) -> None:
        """Write a contact sheet of some pairs with labels and predictions."""
