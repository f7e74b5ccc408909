"""What comes before the documents: references, and an index of what earlier runs have seen.

An index is a folder with a generation for each run, a dataset that is never changed:
`INDEX/index.json`, which says what it was made with, and `INDEX/gen-00003-<batch>/`. A batch is known by the
manifests of its sources, wherever they lie: it is compared with the generations before its own, so that the
same run again, into any target, gives the same answer, and adds nothing.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files, settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.survivors import columns_read
from corpuskit.errors import InputError, TargetError, UsageError
from corpuskit.stage import Chain, Split, Stage, Task, dataset_input, document_tasks

__all__ = [
    "AGAINST_HELP",
    "INDEX_HELP",
    "Before",
    "Generation",
    "Generations",
    "Indexed",
    "batch_key",
    "before",
    "check_keep_first",
    "generations",
    "identities",
    "numbered",
    "old_batches",
    "opened",
    "publish",
    "reference_rank",
    "reference_tasks",
    "rows_of",
]

AGAINST_HELP = "references: datasets whose rows are compared with, never dropped and never written"
INDEX_HELP = "folder that keeps what was seen, for the runs after this one"

Numbers = npt.NDArray[np.int64]

GENERATIONS = pa.schema([pa.field("generation", pa.string(), nullable=False)])

_FORMAT = 1
_HEADER = "index.json"
_NAME = re.compile(r"gen-([0-9]{5,})-([0-9a-f]{16})")


class Before(NamedTuple):
    """What is numbered before the documents: the rows of references, then those of generations."""

    references: int
    old: int
    generations: tuple[str, ...]

    def work(self) -> dict[str, int]:
        """Return what a task has to know of it."""
        return {"references": self.references, "old": self.old, "generations": len(self.generations)}


def before(against: Sequence[str], index: str | None, pinned: Sequence[str]) -> Before:
    """Say what comes before the documents; `pinned` holds the dataset that `Generations` wrote, if any."""
    references = sum(Dataset(path).rows for path in against)
    paths = generations(index, pinned)
    return Before(references, sum(Dataset(path).rows for path in paths), paths)


def generations(index: str | None, pinned: Sequence[str]) -> tuple[str, ...]:
    """List the generations that a batch is compared with, as `Generations` wrote them; none without index."""
    if index is None:
        return ()
    return tuple(files.join(index, name) for name in Dataset(pinned[0]).table()["generation"].to_pylist())


def rows_of(index: str | None) -> int:
    """Count what all generations of an index hold; 0 without one.

    Raises:
        TargetError: A generation is damaged.
    """
    return sum(dataset.rows for dataset in opened(index)) if index is not None else 0


def opened(index: str) -> list[Dataset]:
    """Open all generations of an index, in order.

    Raises:
        TargetError: A generation is damaged.
    """
    return [_opened(files.join(index, name)) for _, _, name in _listed(index)]


def numbered(rows: Numbers, work: Mapping[str, int]) -> Numbers:
    """Number the rows of a dataset that has the references and then the documents, but not the old ones.

    >>> numbered(np.arange(3), {"references": 1, "old": 10}).tolist()
    [0, 11, 12]
    """
    return rows + np.where(rows >= work["references"], work["old"], 0)


def old_batches(
    generations: Sequence[str], work: Mapping[str, int], columns: list[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read columns of generations; each batch comes with its first number, which follow the references'."""
    first = work["references"]
    for path in generations:
        for batch in Dataset(path).batches(columns):
            yield first, batch
            first += len(batch)


def reference_tasks(against: Sequence[str], sources: Sequence[str], keep: str) -> list[Task]:
    """Plan one task per part, those of references first; `work` says which those are.

    Raises:
        UsageError: The policy's signal is not in the documents.
    """
    tasks = []
    for paths, reference in ((against, True), (sources, False)):
        for task in document_tasks(*paths) if paths else []:
            if not reference:
                columns_read(keep, task.schema)
            tasks.append(dataclasses.replace(task, work={"reference": reference}))
    return tasks


def reference_rank(batch: pa.RecordBatch) -> pa.DoubleArray:
    """Return ranks that no document reaches, whatever the policy."""
    return pa.array(np.full(len(batch), np.inf))


def check_keep_first(keep: str, index: str | None) -> None:
    """Check that an index comes with the only policy that need not undo what earlier runs have kept.

    Raises:
        UsageError: It does not.
    """
    if index is not None and keep != "first":
        what = f"keep is {keep!r}, and with an index only 'first' can be kept: what earlier runs kept stays"
        raise UsageError(what, fix="use --keep first, or no --index")


def identities(against: Sequence[str]) -> dict[str, str]:
    """Say what identifies references, wherever they lie: for `content`.

    Raises:
        InputError: A reference is no finished dataset.
    """
    return {f"against {place}": Dataset(path).sha256 for place, path in enumerate(against)}


class Indexed(Chain):
    """A kind of dedup with the settings `against` and `index`: what all such kinds do alike."""

    against: tuple[str, ...]
    index: str | None

    @property
    def made_with(self) -> tuple[str, ...]:
        """What an index must have been made with, each as KEY=VALUE."""
        raise NotImplementedError(f"{self.name} keeps no index")

    def references(self) -> dict[str, str]:
        """Say what identifies the references."""
        return identities(self.against)

    def content(self) -> dict[str, str]:
        """Return what identifies the references, and whether there is an index.

        Raises:
            InputError: A reference is not there.
            TargetError: The index was made with other settings, or is none.
        """
        if self.index is None:
            return self.references()
        _check_header(self.index, self.made_with)
        return {**self.references(), "index": settings.digest([_FORMAT, *self.made_with])}

    def compares(self) -> tuple[str, ...]:
        """Name the references and the index."""
        return self.against if self.index is None else (*self.against, self.index)

    def locks(self) -> tuple[str, ...]:
        """Name the index."""
        return () if self.index is None else (self.index,)

    def finish(self, dataset: Dataset) -> None:
        """Check that the index knows the documents, where there is one.

        Raises:
            TargetError: The run was finished with another index, and is not done again for this one.
        """
        if self.index is None:
            return
        batch = batch_key([source.get("manifest", "") for source in dataset.manifest["inputs"]])
        if all(key != batch for _, key, _ in _listed(self.index)):
            what = f"{self.index} does not know what {dataset.path} was made of: that run had another index"
            raise TargetError(what, fix="name that index, or run it again with --force")


def _check_header(index: str, made_with: Sequence[str]) -> None:
    try:
        header = json.loads(files.read_bytes(files.join(index, _HEADER)))
        then = dict(pair.split("=", 1) for pair in header["made_with"])
    except (FileNotFoundError, NotADirectoryError):
        _check_foreign(index)
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TargetError(f"{index}/{_HEADER} is damaged", fix="choose another --index") from None
    now = dict(pair.split("=", 1) for pair in made_with)
    differ = [
        f"{key} was {then.get(key)}, is {now.get(key)}"
        for key in {**then, **now}
        if then.get(key) != now.get(key)
    ]
    if header.get("format") != _FORMAT:
        differ.insert(0, f"format was {header.get('format')}, is {_FORMAT}")
    if differ:
        what = f"the index {index} was made with other settings: {'; '.join(differ)}"
        raise TargetError(what, fix="choose another --index, or the settings it was made with")


def _check_foreign(index: str) -> None:
    if files.is_url(index) or not Path(index).exists():
        return
    if not Path(index).is_dir() or any(not path.name.startswith(".") for path in Path(index).iterdir()):
        raise TargetError(f"{index} is not an index: it has no {_HEADER}", fix="choose another --index")


def batch_key(manifests: Sequence[str]) -> str:
    """Name a batch by the sha256 of its sources' manifests, in order: 16 hex digits."""
    return settings.digest(list(manifests))[:16]


def _listed(index: str) -> list[tuple[int, str, str]]:
    """List the finished generations: number, batch and name, in order."""
    if files.is_url(index):
        try:
            found = files.expand(files.join(index, "gen-*", "manifest.json"))
        except InputError:
            found = []
        names = [path.split("/")[-2] for path in found]
    else:
        names = [path.parent.name for path in Path(index).glob("gen-*/manifest.json")]
    matches = [match for name in names if (match := _NAME.fullmatch(name))]
    return sorted((int(match[1]), match[2], match[0]) for match in matches)


@dataclass(frozen=True)
class Generations(Stage):
    """Writes which generations a batch is compared with, once: whoever resumes the run sees the same."""

    name: ClassVar[str] = "dedup.generations"

    index: str = settings.setting("", "the index", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of names."""
        return GENERATIONS

    def plan(self, *sources: str) -> list[Task]:
        """Plan the one task; `sources` are the documents.

        Raises:
            TargetError: A generation is damaged.
        """
        opened(self.index)  # raises
        return [Task(tuple(dataset_input(source) for source in sources), GENERATIONS)]

    def run(self, task: Task) -> Iterator[Split]:
        """List the generations before that of this batch; all where it has none yet."""
        listed = _listed(self.index)
        batch = batch_key([item.identity for item in task.inputs])
        end = min((number for number, key, _ in listed if key == batch), default=None)
        names = [name for number, _, name in listed if end is None or number < end]
        yield Split(pa.RecordBatch.from_arrays([pa.array(names, pa.string())], schema=GENERATIONS))


def _opened(generation: str) -> Dataset:
    try:
        found = Dataset(generation)
        parts = [(found.path_of(part), part.file_bytes) for part in found.parts]
        torn = [path for path, size in parts if not files.exists(path) or files.size(path) != size]
        if not torn:
            return found
    except (InputError, KeyError, TypeError):
        torn = [files.join(generation, "manifest.json")]
    what = f"the index is damaged: {torn[0]} is not what was written there"
    raise TargetError(what, fix="put it back, or choose another --index and run all batches again")


@dataclass(frozen=True)
class Generation(Stage):
    """A step that writes a generation; its sources are two steps, then the documents."""

    index: str = settings.setting("", "the index", content=False)
    made_with: tuple[str, ...] = ()

    def finish(self, dataset: Dataset) -> None:
        """Add the generation to the index."""
        manifests = [source["manifest"] for source in dataset.manifest["inputs"][2:]]
        publish(self.index, self.made_with, dataset, manifests)


def publish(index: str, made_with: Sequence[str], dataset: Dataset, manifests: Sequence[str]) -> None:
    """Add a dataset to an index as the generation of a batch, unless the batch has one.

    The manifest is written last: a folder without one is no generation, and is removed by the next attempt.
    """
    _check_header(index, made_with)
    header = {"format": _FORMAT, "made_with": list(made_with)}
    files.create(files.join(index, _HEADER), (json.dumps(header, indent=1) + "\n").encode())
    listed, batch = _listed(index), batch_key(manifests)
    if any(key == batch for _, key, _ in listed):
        return
    if not files.is_url(index):
        for torn in Path(index).glob(f"gen-*-{batch}"):
            files.remove(str(torn))
    number = max((number for number, _, _ in listed), default=0) + 1
    folder = files.join(index, f"gen-{number:05d}-{batch}")
    for part in dataset.parts:
        temporary = files.scratch(folder)
        with dataset.open(part) as source, temporary.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        files.commit(temporary, files.join(folder, part.path))
    manifest = files.read_bytes(files.join(dataset.path, "manifest.json"))
    files.write_bytes(files.join(folder, "manifest.json"), manifest)
