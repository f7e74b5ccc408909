"""The stage: settings and one pure method; and what it is given (tasks) and gives back (splits)."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import Dataset, Part, read_batches, unify
from corpuskit.document import empty_rejects
from corpuskit.errors import DoesNotFit

__all__ = [
    "Answer",
    "Chain",
    "Input",
    "Poisoned",
    "Split",
    "Stage",
    "Step",
    "Task",
    "TookTooLong",
    "Watch",
    "check_conservation",
    "check_memory",
    "dataset_input",
    "document_tasks",
    "part_input",
    "watch_with",
    "watching",
]


@dataclass(frozen=True)
class Split:
    """What became of some documents: those kept, and a reject for every reason why others were not.

    `source` is the batch that was split, where there was one; with it the engine checks that
    nothing was lost or doubled. `beside` are files that belong beside the part, by their names in the
    target: finished, and written to `files.scratch(self.target)`; the engine moves them there. `facts` are
    counts that the manifest should tell of the stage, added up over all splits.
    """

    kept: pa.RecordBatch
    rejected: pa.RecordBatch = dataclasses.field(default_factory=empty_rejects)
    source: pa.RecordBatch | None = None
    beside: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Answer(NamedTuple):
    """What a user asked a stage for, where that is not the documents: to read, and as plain JSON values."""

    text: str
    json: Mapping[str, Any]


@dataclass(frozen=True)
class Input:
    """One file a task reads: where it lies, and what identifies it wherever it lies."""

    path: str
    name: str
    size: int
    identity: str


@dataclass(frozen=True)
class Task:
    """One independent piece of a stage's work: its inputs, their schema, and plain JSON the stage adds.

    Everything here but `Input.path` is part of the task's key, and the key is part of a file name:
    a path belongs into `inputs` (see `dataset_input`), never into `work`.
    """

    inputs: tuple[Input, ...]
    schema: pa.Schema = dataclasses.field(default_factory=lambda: pa.schema([]))
    work: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def key(self, stages: Sequence[Stage]) -> str:
        """Return 64 hex digits that change with anything that can change the task's output."""
        inputs = [[item.name, item.size, item.identity] for item in self.inputs]
        return settings.digest(
            [[stage.digest() for stage in stages], inputs, str(self.schema), dict(self.work)]
        )


@dataclass(frozen=True)
class Stage:
    """Settings (the fields of a frozen dataclass) and one pure method.

    A stage that looks at one document overrides `split`. A stage that sees more than a batch
    overrides `plan` and `run`. Both may override `writes`.
    """

    name: ClassVar[str] = "stage"
    version: ClassVar[int] = 1
    """Raised whenever the same input and settings would give other bytes."""
    bad_rules: ClassVar[frozenset[str]] = frozenset()
    """Rules that say a record was damaged, not unwanted: they count towards `--max-bad`."""
    reads: ClassVar[bool] = True
    """Whether there are sources to name: false where the settings say what is fetched."""
    patient: ClassVar[bool] = False
    """Whether its tasks wait for others, and so may take any time."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Folders in its target that are its own; a run that starts again removes them too."""
    inexact: ClassVar[float] = 0.0
    """How far floats that it adds may be off, or by which share of them, where batches are cut elsewhere."""
    target: ClassVar[str] = ""
    """The folder the stage runs into, while it runs."""

    def split(self, batch: pa.RecordBatch) -> Split:
        """Divide a batch into what is kept and what is rejected: pure, however the batches are cut."""
        raise TypeError(f"{self.name} defines neither split nor run")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of what is kept, given the schema of what comes in."""
        return schema

    def plan(self, *sources: str) -> list[Task]:
        """Divide the work into tasks, by the data alone: never by the number of workers."""
        return document_tasks(*sources)

    def run(self, task: Task) -> Iterator[Split]:
        """Do one task, a batch at a time."""
        for batch in read_batches(task.inputs[0].path, task.schema):
            yield dataclasses.replace(self.split(batch), source=batch)

    def finish(self, dataset: Dataset) -> None:
        """Write what belongs beside a finished dataset; may be called again, and must then change nothing."""

    def locks(self) -> tuple[str, ...]:
        """Name the folders besides the target that no other run may write to meanwhile."""
        return ()

    def compares(self) -> tuple[str, ...]:
        """Name what its documents are compared with besides the sources, where twins are found."""
        return ()

    def memory_needed(self, *sources: str) -> int | None:
        """Say how many bytes a worker needs, before anything is read; null where that does not grow.

        Where there is a setting `memory`, a run that needs more stops before it begins.
        """
        return None

    def on_gpu(self) -> bool:
        """Say whether its tasks compute on a GPU where there is one; a cluster then gives each task one."""
        return False

    def placed(self, target: str) -> Self:
        """Return the stage as it runs into the folder `target`, which may write more than parts there."""
        stage = copy.copy(self)
        object.__setattr__(stage, "target", target)
        return stage

    def reopens(self, task: Task) -> bool:
        """Say whether a task is to be done again though it was done; asked once a run, after `placed`."""
        return False

    def foresees(self, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Say what a dry run should tell about its tasks beyond their number, a sentence each."""
        return ()

    def recounts(self, dataset: Dataset) -> tuple[str, ...]:
        """Say what there is to tell about a finished dataset beyond its table, a line each."""
        return ()

    def answers(self, dataset: Dataset) -> Answer | None:
        """Return what the user asked for, where that is not the documents of a finished dataset."""
        return None

    def content(self) -> Mapping[str, str]:
        """Return digests of what the settings only name: rule tables, block lists, models."""
        return {}

    def digest(self) -> str:
        """Return 64 hex digits over name, version, content and every setting that can change the output."""
        named = {field.name for field in settings.fields(self) if field.content}
        chosen = {key: value for key, value in settings.to_mapping(self).items() if key in named}
        return settings.digest([self.name, self.version, chosen, dict(self.content())])


@dataclass(frozen=True)
class Step:
    """One stage of a chain, and what it reads: earlier steps by number, and the chain's own sources.

    Its dataset is removed when the chain is done, unless it is `kept`, in TARGET/steps as a recipe's are.
    """

    stage: Stage
    steps: tuple[int, ...] = ()
    sources: bool = False
    kept: bool = False


@dataclass(frozen=True)
class Chain(Stage):
    """A method of several steps with files between them, each resumable; the last writes the target.

    A step's `plan` is called with the datasets of the steps it names, then the chain's sources. When the
    target is finished, each other step's `finish` is called with its dataset, before that is removed.
    """

    def steps(self) -> tuple[Step, ...]:
        """List the steps in order."""
        raise NotImplementedError(f"{self.name} lists no steps")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the last step's output."""
        return self.steps()[-1].stage.writes(schema)


def check_memory(kind: str, needed: int, memory: int) -> None:
    """Stop before the work begins where it cannot fit.

    Raises:
        DoesNotFit: `needed` bytes are more than `memory`.
    """
    if needed > memory:
        raise DoesNotFit(
            f"{kind} needs {-(-needed >> 20):,} MiB a worker, and may use {memory >> 20:,} MiB",
            fix=f"give it --memory {-(-needed >> 20)}MiB, or fewer documents at a time",
        )


def document_tasks(*sources: str, beside: Sequence[str] = ()) -> list[Task]:
    """Plan one task per part of the source datasets, in order, under their common schema.

    Each task's first input is its part; whole datasets that every task reads `beside` it follow.
    """
    datasets = [Dataset(source) for source in sources]
    schema = unify([dataset.schema for dataset in datasets])
    others = tuple(dataset_input(path) for path in beside)
    return [
        Task(inputs=(part_input(dataset, part), *others), schema=schema)
        for dataset in datasets
        for part in dataset.parts
    ]


def part_input(dataset: Dataset, part: Part) -> Input:
    """Name one part of a dataset as a task's input."""
    return Input(dataset.path_of(part), part.path, part.file_bytes, part.sha256)


def dataset_input(path: str) -> Input:
    """Name a whole dataset as a task's input: `Dataset(input.path)` opens it."""
    dataset = Dataset(path)
    return Input(dataset.path, "", dataset.rows, dataset.sha256)


def check_conservation(split: Split, stage: str) -> None:
    """Check that each document of `split.source` is kept or rejected, once, and each byte accounted for.

    Kept pieces `id#0`, `id#1` count as their document. Bytes in = bytes kept + bytes cut (spans of
    documents that stay) + bytes of rejected documents. A reject with a span may have `value` set to
    the bytes that were written in its place. Repeats `id~1`, `id~2` of a document, which may be in
    another split, are beside the account; no id is kept twice.

    Raises:
        AssertionError: The law is broken, which is the stage's fault; the ids are named.
    """
    if split.source is None or "text" not in split.source.schema.names:
        return
    source = split.source
    once = _without_repeats(split.kept, source["id"])
    kept = _documents(once["id"], source["id"])
    whole = split.rejected.filter(pc.is_null(split.rejected["start"]))
    gone = pc.unique(whole["id"])
    for fault, ids in {
        "lost": source["id"].filter(
            pc.invert(pc.or_(pc.is_in(source["id"], kept), pc.is_in(source["id"], gone)))
        ),
        "both kept and rejected": gone.filter(pc.is_in(gone, kept)),
        "made up": pc.unique(kept).filter(pc.invert(pc.is_in(pc.unique(kept), source["id"]))),
        "kept twice": split.kept["id"].filter(_repeated(split.kept["id"])),
    }.items():
        if len(ids):
            raise AssertionError(f"{stage}: documents {fault}: {', '.join(ids.to_pylist()[:5])}")
    stays = pc.invert(pc.is_in(source["id"], gone))
    cuts = split.rejected.filter(
        pc.and_(pc.is_valid(split.rejected["start"]), pc.is_in(split.rejected["id"], kept))
    )
    cut = _sum(pc.subtract(cuts["end"], cuts["start"])) - _sum(cuts["value"])
    before, after = _text_bytes(source["text"].filter(stays)), _text_bytes(once["text"])
    if before != after + cut:
        raise AssertionError(f"{stage}: {before} bytes came in, {after} are kept and {cut} were cut")


def _documents(ids: pa.Array, known: pa.Array) -> pa.Array:
    """Replace the ids of pieces, `id#0`, by the ids of the documents they were cut from."""
    cut = pc.replace_substring_regex(ids, r"#[0-9]+$", "")
    return pc.if_else(pc.is_in(ids, known), ids, cut)


def _without_repeats(kept: pa.RecordBatch, known: pa.Array) -> pa.RecordBatch:
    """Leave out repeats, `id~1`, that did not come in as such."""
    repeats = pc.and_not(pc.match_substring_regex(kept["id"], r"~[0-9]+$"), pc.is_in(kept["id"], known))
    return kept.filter(pc.invert(repeats)) if pc.any(repeats).as_py() else kept


def _repeated(ids: pa.Array) -> pa.Array:
    counts = ids.value_counts()
    return pc.is_in(ids, counts.field("values").filter(pc.greater(counts.field("counts"), 1)))


def _sum(values: pa.Array) -> int:
    return int(pc.sum(values).as_py() or 0)


def _text_bytes(text: pa.Array) -> int:
    return _sum(pc.binary_length(text))


class TookTooLong(BaseException):
    """The document being watched used up its time; no `Exception`, as libraries catch and forget those."""


class Poisoned(Exception):
    """The document being watched has killed or hung its worker three times; `rule` says which."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Watch:
    """What a worker knows of the document in hand; the engine's own watch tells the supervisor too."""

    def begin(self, key: str, seconds: float) -> None:
        """Note that work on `key` begins. Raises Poisoned where the document is to be passed over."""

    def end(self) -> None:
        """Note that work on it has ended."""


_watch = Watch()


def watch_with(watch: Watch) -> None:
    """Use `watch` for every `watching` block of this process; called by an engine's worker."""
    global _watch
    _watch = watch


@contextlib.contextmanager
def watching(key: str, seconds: float) -> Iterator[None]:
    """Limit the block to `seconds` of processor time for the document `key` (its origin or id).

    Code that never returns to Python is killed with its worker by the engine; after the third time
    the document is passed over. Only in a main thread; elsewhere the block runs without a limit.

    Raises:
        TookTooLong: The block used more than `seconds`.
        Poisoned: The document has killed or hung its worker three times.
    """
    _watch.begin(key, seconds)
    try:
        before = signal.signal(signal.SIGVTALRM, _ran_out)
    except ValueError:  # not the main thread
        before = None
    try:
        if before is not None:
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        if before is not None:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
        _watch.end()


def _ran_out(signum: int, frame: FrameType | None) -> None:
    raise TookTooLong
