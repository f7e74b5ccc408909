"""`dedup exact`: documents with the same text, the same words, or the same page address."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings, urls
from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.index import (
    AGAINST_HELP,
    INDEX_HELP,
    Generations,
    Indexed,
    before,
    check_keep_first,
    numbered,
    old_batches,
    reference_rank,
    reference_tasks,
)
from corpuskit.dedup.numbering import (
    among,
    bucket_bits,
    bucket_rows,
    ids_of,
    in_bucket,
    numbered_batches,
)
from corpuskit.dedup.remember import FOUND, Remember
from corpuskit.dedup.survivors import (
    KEEP_HELP,
    Survivors,
    check_keep,
    duplicates,
    ranks,
)
from corpuskit.kernels.utf8 import buffers
from corpuskit.kernels.words import normalised_word_hashes
from corpuskit.stage import Split, Stage, Step, Task, check_memory, dataset_input

__all__ = ["Exact", "keys"]

Key = Literal["text", "normalised", "url"]

Numbers = npt.NDArray[np.int64]

KEYS = pa.schema(
    [pa.field("high", pa.uint64()), pa.field("low", pa.uint64()), pa.field("rank", pa.float64())]
)
RECORD_BYTES = 64
"""What one document takes while its bucket is sorted: key, rank, number, order and their copies."""


@dataclass(frozen=True)
class Exact(Indexed):
    """Drops documents whose text, normalised words or url another document has too.

    text: the same bytes. normalised: the same lower-case alphanumeric words in the same order. url: the same
    address in canonical form. Keys are compared by 128-bit hashes. A document without a key (empty text, no
    words, null url) is never a duplicate: there is nothing by which it could be the same as another.

    Several sources are numbered through in their order: with `first`, the earlier source wins. Rejects have
    the rule `exact.KEY` and the id of the survivor as `twin`.

    Whatever equals a row of a reference (`against`) goes, whatever the policy, with that row as its twin.
    With an `index`, so does what equals a document of an earlier run; its twin is the one that stayed then.

    Steps: keys (a hash for every document), groups (equal hashes), survivors (drops the others); with an
    index, generations (what there is) before them and remember (adds to it) after them.

    >>> Exact(key="url", keep="newest").steps()[-1].stage.rule
    'exact.url'
    """

    name: ClassVar[str] = "dedup.exact"

    key: Key = settings.setting("text", "what must be the same: text, normalised (its words), or url")
    keep: str = settings.setting("first", KEEP_HELP)
    against: tuple[str, ...] = settings.setting((), AGAINST_HELP, content=False)
    index: str | None = settings.setting(None, INDEX_HELP, content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        check_keep(self.keep)
        check_keep_first(self.keep, self.index)

    @property
    def made_with(self) -> tuple[str, ...]:
        """What an index must have been made with."""
        return (f"kind={self.name}", f"key={self.key}")

    def memory_needed(self, *sources: str) -> int:
        """Return about what a worker needs for a bucket of keys."""
        return _memory_needed((*self.against, *sources))

    def steps(self) -> tuple[Step, ...]:
        """List the steps: keys, groups, survivors; and those of the index."""
        keys = Step(Keys(self.key, self.keep, self.against, self.memory), sources=True)
        groups = Groups(self.keep, self.against, self.index)
        last = Survivors(self.name, f"exact.{self.key}")
        if self.index is None:
            return keys, Step(groups, steps=(0,), sources=True), Step(last, steps=(1,), sources=True)
        remember = Remember(self.index, self.made_with, ("high", "low"))
        return (
            Step(Generations(self.index), sources=True),
            keys,
            Step(groups, steps=(1, 0), sources=True),
            Step(remember, steps=(1, 2), sources=True),
            Step(last, steps=(2,), sources=True),
        )


def _memory_needed(sources: Sequence[str]) -> int:
    return bucket_rows(sum(Dataset(source).rows for source in sources)) * RECORD_BYTES


@dataclass(frozen=True)
class Keys(Stage):
    """Writes the 128-bit key and the rank of every document, references first; null where it has no key."""

    name: ClassVar[str] = "dedup.exact.keys"

    key: Key
    keep: str
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of keys."""
        return KEYS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part, the references first.

        Raises:
            DoesNotFit: A bucket of keys would take more than the memory there is.
            UsageError: The policy's signal is not in the documents.
        """
        check_memory(Exact.name, _memory_needed((*self.against, *sources)), self.memory)
        return reference_tasks(self.against, sources, self.keep)

    def run(self, task: Task) -> Iterator[Split]:
        """Hash each document of one part."""
        for batch in read_batches(task.inputs[0].path, task.schema):
            high, low = keys(batch, self.key)
            rank = reference_rank(batch) if task.work["reference"] else ranks(batch, self.keep)
            yield Split(pa.RecordBatch.from_arrays([high, low, rank], schema=KEYS))


def keys(batch: pa.RecordBatch, key: Key) -> tuple[pa.UInt64Array, pa.UInt64Array]:
    """Return both halves of each document's 128-bit key; null where it has none.

    >>> docs = pa.RecordBatch.from_pylist([{"text": "To be."}, {"text": "to  BE"}, {"text": "?"}])
    >>> one, two, none = keys(docs, "normalised")[0].to_pylist()
    >>> one == two, none is None
    (True, True)
    """
    if key == "url":
        pages = (urls.canonical(url or "") for url in batch["url"].to_pylist())
        return _hashed((page.encode("utf-8", "surrogatepass") for page in pages), len(batch))
    data, offsets = buffers(batch["text"])
    if key == "normalised":
        # 64-bit hashes of the words stand for the words: equal sequences are equal texts.
        words, offsets = normalised_word_hashes(data, offsets)
        data, offsets = words.view(np.uint8), offsets * words.itemsize
    view, edges = memoryview(data.data), offsets.tolist()
    return _hashed((view[start:end] for start, end in zip(edges[:-1], edges[1:], strict=True)), len(batch))


def _hashed(pieces: Iterable[Any], count: int) -> tuple[pa.UInt64Array, pa.UInt64Array]:
    """Return both halves of the 128-bit hashes of byte strings; an empty one has none."""
    absent = np.zeros(count, bool)
    digests = bytearray()
    for row, piece in enumerate(pieces):
        absent[row] = not len(piece)
        digests += hashlib.blake2b(piece, digest_size=16).digest()
    halves = np.frombuffer(bytes(digests), "<u8").reshape(count, 2)
    return pa.array(halves[:, 0].copy(), mask=absent), pa.array(halves[:, 1].copy(), mask=absent)


@dataclass(frozen=True)
class Groups(Stage):
    """Finds documents with equal keys and writes which of them go, with the ids of their twins."""

    name: ClassVar[str] = "dedup.exact.groups"

    keep: str
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    index: str | None = settings.setting(None, "the index", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of what is found."""
        return FOUND

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per bucket of hashes; `sources` are the keys, the generations, then the documents."""
        bits = bucket_bits(Dataset(sources[0]).rows)
        pinned = 1 if self.index is None else 2
        known = before(self.against, self.index, sources[1:pinned])
        paths = (sources[0], *self.against, *known.generations, *sources[pinned:])
        inputs = tuple(dataset_input(path) for path in paths)
        work = known.work() | {"bits": bits}
        return [Task(inputs, FOUND, {**work, "bucket": bucket}) for bucket in range(1 << bits)]

    def run(self, task: Task) -> Iterator[Split]:
        """Sort one bucket and choose the survivors of its groups."""
        numbers, found = self._bucket(task)
        order = np.lexsort((numbers, found["low"], found["high"]))
        high, low = found["high"][order], found["low"][order]
        begins = np.ones(len(order), bool)
        begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        alone = begins & np.append(begins[1:], True)
        order, groups = order[~alone], np.cumsum(begins)[~alone]
        numbers = numbers[order]
        gone, twins = duplicates(groups, numbers, found["rank"][order], self.keep)
        first = task.work["references"] + task.work["old"]
        ours = numbers[gone] >= first
        gone, twins = gone[ours], twins[ours]
        survivors, which = np.unique(numbers[twins], return_inverse=True)
        ids = self._ids(task, survivors).take(pa.array(which))
        known = pa.array(numbers[twins] >= task.work["references"])
        columns = [pa.array(numbers[gone] - first), ids, pa.nulls(len(gone), pa.float64()), known]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=FOUND))

    def _ids(self, task: Task, numbers: Numbers) -> pa.StringArray:
        """Look up ids by number; that of an old document is its survivor's."""
        paths = [item.path for item in task.inputs[1:]]
        old = len(self.against)
        new = old + task.work["generations"]
        first, end = task.work["references"], task.work["references"] + task.work["old"]
        low, high = np.searchsorted(numbers, [first, end])
        return pa.concat_arrays(
            [
                ids_of(paths[:old], numbers[:low]),
                ids_of(paths[old:new], numbers[low:high] - first, "survivor"),
                ids_of(paths[new:], numbers[high:] - end),
            ]
        )

    def _bucket(self, task: Task) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]:
        """Read the documents of one bucket: their numbers, and columns `high`, `low` and `rank`."""
        numbers = [np.zeros(0, np.int64)]
        found = {field.name: [np.zeros(0, field.type.to_pandas_dtype())] for field in KEYS}
        for first, batch in numbered_batches(task.inputs[0].path, KEYS.names):
            given = np.asarray(batch["high"].is_valid())
            high, low = (batch[name].fill_null(0).to_numpy() for name in ("high", "low"))
            rows = np.flatnonzero(given & in_bucket(high, task.work["bucket"], task.work["bits"]))
            numbers.append(numbered(rows + first, task.work))
            found["high"].append(high[rows])
            found["low"].append(low[rows])
            found["rank"].append(batch["rank"].to_numpy(zero_copy_only=False)[rows])
        wanted = np.sort(np.concatenate(found["high"]))
        old = task.inputs[1 + len(self.against) :][: task.work["generations"]]
        for first, batch in old_batches([item.path for item in old], task.work, ["high", "low"]):
            rows = np.flatnonzero(among(batch["high"].to_numpy(), wanted))
            numbers.append(rows + first)
            for name in ("high", "low"):
                found[name].append(batch[name].to_numpy()[rows])
            found["rank"].append(np.zeros(len(rows)))
        return np.concatenate(numbers), {name: np.concatenate(parts) for name, parts in found.items()}
