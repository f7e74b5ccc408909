"""What all layouts have in common: a function that writes one shard, and the index of what it wrote."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files, settings
from corpuskit.dataset import Dataset, Part, read_batches
from corpuskit.document import REJECT, empty_rejects, reject_rows
from corpuskit.errors import UsageError
from corpuskit.kernels.utf8 import buffers
from corpuskit.stage import Input, Split, Step, dataset_input

__all__ = [
    "INDEX",
    "LAYOUTS",
    "STAGE",
    "TRAIN",
    "VAL",
    "Asked",
    "Joined",
    "Layout",
    "Shard",
    "asked_of",
    "contents",
    "counts_of",
    "index",
    "layout_of",
    "no_images",
    "no_text",
    "refused",
    "rejects_of",
    "write_texts",
]

STAGE = "shard.layouts"
TRAIN, VAL = "train", "val"

LAYOUTS = {
    "bert": "bert",
    "mingpt": "text",
    "imagefolder": "imagefolder",
    "kosmos": "interleaved",
    "igpt": "igpt",
    "hf": "huggingface",
    "jsonl": "jsonl",
    "chat": "chat",
}
"""Every layout, and the module of `corpuskit.shard.layout` that writes it, imported when it is needed."""

_ELSEWHERE = {"webdataset": "shard webdataset", "parquet": "shard parquet"} | dict.fromkeys(
    ("nanogpt", "llmc", "megatron", "mds", "litdata", "npy"), "shard tokens"
)

INDEX = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("place", pa.int64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
"""Where each document lies: the file, the first of its lines, rows, images or bytes there, and how many."""


@dataclass(frozen=True)
class Asked:
    """The settings that say how a layout is written."""

    seed: int = 0
    label: str | None = None
    turns: tuple[str, ...] = ()
    pixels: int = 32
    palette: str | None = None
    compressed: bool = False


def asked_of(stage: Any) -> Asked:  # noqa: ANN401 - any stage that has some of these settings
    """Take the settings that a stage has; null is the default.

    >>> asked_of(Asked(pixels=64)).pixels
    64
    """
    names = [field.name for field in dataclasses.fields(Asked)]
    given = {name: getattr(stage, name, None) for name in names}
    return Asked(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Shard:
    """One shard of the documents that train, or of those held out, and the folder its files are made for.

    `moved` are the ids in it that belong to the other of the two.
    """

    split: str
    number: int
    shards: int
    folder: str
    asked: Asked = dataclasses.field(default_factory=Asked)
    moved: frozenset[str] = frozenset()

    def named(self, ending: str) -> str:
        """Name a file of the shard.

        >>> Shard("train", 3, 9, "out").named(".jsonl")
        'train-00003.jsonl'
        """
        return f"{self.split}-{self.number:05d}{ending}"

    def scratch(self) -> Path:
        """Name a temporary file from which one of the target's is made."""
        return files.scratch(self.folder)

    def split_of(self, name: str) -> str:
        """Say whether a document of this shard trains or is held out."""
        if name not in self.moved:
            return self.split
        return VAL if self.split == TRAIN else TRAIN


Bins = Sequence[tuple[int, str]]
"""Documents by the bin of their key."""


@dataclass(frozen=True)
class Joined:
    """How a trainer's one file is made of the pieces that were written at the same time."""

    name: Mapping[str, str]
    """The file of the documents that train, and of those held out."""
    in_bytes: bool = False
    """Whether `place` counts the bytes of the pieces, or what they are made of."""
    head: Callable[[int, Asked], bytes] | None = None
    """What the file begins with, given how many there are of what it is made of."""
    beside: Callable[[Sequence[Dataset], Path], str] | None = None
    """Writes one more file, and names it."""


@dataclass(frozen=True)
class Layout:
    """One trainer's files: how they are written, and what they ask of documents and settings."""

    write: Callable[[Iterator[pa.RecordBatch], Shard], Iterator[Split]]
    check: Callable[[pa.Schema, Asked], None]
    """Raises UsageError where documents of a schema cannot be written so."""
    val: float = 0.0
    """The share that is held out where the user asks for none."""
    takes: tuple[str, ...] = ()
    """Settings that are its own."""
    joined: Joined | None = None
    moves: Callable[[Dataset, Asked, int], Bins] | None = None
    """Finds the documents that had better be on the other side of a bin of keys."""
    between: Callable[[Asked], tuple[Step, ...]] = lambda asked: ()
    """Further steps between those that write the pieces, step 1, and the one that joins them."""
    content: Callable[[Asked], Mapping[str, str]] = lambda asked: {}
    """Digests of what the settings only name."""


def layout_of(name: str) -> Layout:
    """Import a layout.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in LAYOUTS:
        verb = _ELSEWHERE.get(name)
        fix = f"write it with corpuskit {verb}" if verb else settings.suggest(name, LAYOUTS)
        raise UsageError(f"{STAGE}: there is no layout {name!r}", fix=fix)
    module = importlib.import_module(f"corpuskit.shard.layout.{LAYOUTS[name]}")
    found: Layout = module.LAYOUT
    return found


def index(
    ids: pa.Array,
    names: str | Sequence[str],
    places: npt.NDArray[np.int64] | Sequence[int],
    counts: npt.NDArray[np.int64] | Sequence[int] | int = 1,
) -> pa.RecordBatch:
    """Say where documents lie; one name, or one count, is that of all.

    >>> index(pa.array(["a", "b"]), "train.txt", [0, 7]).to_pylist()[1]
    {'id': 'b', 'file': 'train.txt', 'place': 7, 'count': 1}
    """
    rows = len(ids)
    told = pa.repeat(pa.scalar(names), rows) if isinstance(names, str) else pa.array(names, pa.string())
    many = [counts] * rows if isinstance(counts, int) else counts
    columns = [ids, told, pa.array(places, pa.int64()), pa.array(many, pa.int64())]
    return pa.RecordBatch.from_arrays(columns, schema=INDEX)


def refused(batch: pa.RecordBatch, rules: Mapping[str, Sequence[int]]) -> pa.RecordBatch:
    """Build the rejects of a batch from the rows that break each rule, in the order of the rules' names."""
    found = [
        reject_rows(batch, STAGE, rule, pa.array(rows, pa.int64())) for rule, rows in sorted(rules.items())
    ]
    return pa.concat_batches([empty_rejects(), *found])


def write_texts(file: IO[bytes], *columns: pa.Array | str) -> npt.NDArray[np.int64]:
    """Write rows of texts, one text for all rows or a column, side by side without anything between.

    Returns:
        int64; the bytes before each row, and after the last.

    >>> import io
    >>> write_texts(io.BytesIO(), pa.array(["one", "é"], pa.large_string()), ";").tolist()
    [0, 4, 7]
    """
    kind = pa.large_string()
    plain = [pa.scalar(column, kind) if isinstance(column, str) else column for column in columns]
    data, offsets = buffers(pc.binary_join_element_wise(*plain, pa.scalar("", kind)))
    file.write(data[offsets[0] : offsets[-1]].data)
    return np.asarray(offsets - offsets[0], np.int64)


def contents(path: str) -> Input:
    """Name a step's dataset as a task's input by its rows and files: a source's new name renames nothing."""
    dataset = Dataset(path)
    hashes = [[item.sha256 for item in dataset.parts], [item.sha256 for item in dataset.rejects]]
    hashes.append([item.sha256 for item in dataset.files])
    return dataclasses.replace(dataset_input(path), identity=settings.digest(hashes))


def counts_of(batch: pa.RecordBatch) -> dict[str, int]:
    """Add up the counts of each file that an index names."""
    sums = pa.Table.from_batches([batch]).group_by("file").aggregate([("count", "sum")])
    return dict(zip(sums["file"].to_pylist(), sums["count_sum"].to_pylist(), strict=True))


def rejects_of(dataset: Dataset, part: Part) -> Iterator[pa.RecordBatch]:
    """Read the rejects of the task that wrote a part: the last step of a chain has to tell them."""
    if any(found.path == f"rejects/{part.path}" for found in dataset.rejects):
        yield from read_batches(files.join(dataset.path, "rejects", part.path), REJECT)


def no_text(schema: pa.Schema, asked: Asked) -> None:
    """Raise UsageError where the documents have no text."""
    if "text" not in schema.names:
        raise UsageError(
            f"{STAGE}: the documents have no column text", fix="give datasets of crawl, filter or dedup"
        )


def no_images(schema: pa.Schema, asked: Asked) -> None:
    """Raise UsageError where the documents have no images."""
    if "images" not in schema.names:
        raise UsageError(
            f"{STAGE}: the documents have no column of images",
            fix="fetch them first, with corpuskit crawl images",
        )
