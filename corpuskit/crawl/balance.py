"""How many pairs each query keeps: CLIP's cap, or MetaCLIP's balancing; both drawn by hash, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import seeds, settings
from corpuskit.crawl.matching import MATCHED
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import reject_rows
from corpuskit.kernels.hashing import mix64_each
from corpuskit.stage import Split, Stage, Task, dataset_input, document_tasks

__all__ = ["QUOTA", "Choose", "Quota", "chance"]

Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

QUOTA = pa.schema(
    [
        pa.field("number", pa.int32(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("matches", pa.int64(), nullable=False),
        pa.field("last", pa.uint64()),
        pa.field("share", pa.float64()),
    ]
)
"""The ledger: a row for each query that matches, with how many texts hold it, and what it keeps of them.

Those whose key is at most `last`; with balancing, each with the chance `share`. Null is no limit."""

QUERIES = pa.field("queries", pa.list_(pa.string()), nullable=False)
"""The queries for whose sake a pair stays."""

_ROWS = 4 << 20
"""Matched rows of which one task counts the queries of its own."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def chance(matches: npt.ArrayLike, balance: int) -> npt.NDArray[np.float64]:
    """Return with which chance a query keeps each pair it matches: `balance / max(matches, balance)`.

    A pair stays if any of its queries keeps it.

    Source: Xu et al. 2023, algorithm 1, with t = `balance`.

    >>> chance([5, 20000, 40000], 20000).tolist()
    [1.0, 1.0, 0.5]
    """
    return balance / np.maximum(np.asarray(matches, np.float64), balance)


@dataclass(frozen=True)
class Quota(Stage):
    """Counts the matches of every query, and says which of them it keeps."""

    name: ClassVar[str] = "crawl.images.quota"

    cap: int | None = settings.setting(20_000, "most pairs a query")
    balance: int | None = settings.setting(None, "pairs a query keeps on average")
    seed: int = settings.setting(0, "another seed keeps others")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the ledger."""
        return QUOTA

    def plan(self, *sources: str) -> list[Task]:
        """Plan tasks that share the queries, by number; `sources` are the matches, then the query list."""
        inputs = tuple(dataset_input(source) for source in sources)
        shares = max(1, -(-Dataset(sources[0]).rows // _ROWS))
        return [Task(inputs, QUOTA, {"share": share, "of": shares}) for share in range(shares)]

    def run(self, task: Task) -> Iterator[Split]:
        """Count the queries of one share; for those above the cap, find the last key that is kept."""
        share, of = int(task.work["share"]), int(task.work["of"])
        matched, queries = (Dataset(item.path) for item in task.inputs)
        texts = queries.table(["query"])["query"].combine_chunks()
        matches = np.zeros(len(texts), np.int64)
        for numbers, _ in self._matches(matched, share, of):
            matches += np.bincount(numbers, minlength=len(matches))
        last = self._last(matched, matches, share, of) if self.balance is None else {}
        found = np.flatnonzero(matches)
        columns = [
            pa.array(found, pa.int32()),
            texts.take(pa.array(found)).cast(pa.string()),
            pa.array(matches[found]),
            pa.array([last.get(number) for number in found.tolist()], pa.uint64()),
            pa.nulls(len(found), pa.float64())
            if self.balance is None
            else pa.array(chance(matches[found], self.balance)),
        ]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=QUOTA))

    def _matches(self, matched: Dataset, share: int, of: int) -> Iterator[tuple[Numbers, Keys]]:
        """Yield the queries of a share that texts hold, and the key of the pair each time."""
        for batch in matched.batches(["id", MATCHED.name]):
            numbers, rows = _flat(batch[MATCHED.name])
            mine = numbers % of == share
            keys = seeds.choice_key(self.seed, batch["id"])
            yield numbers[mine], keys[rows[mine]]

    def _last(self, matched: Dataset, matches: Numbers, share: int, of: int) -> dict[int, int]:
        if self.cap is None:
            return {}
        over = matches > self.cap
        if not over.any():
            return {}
        found = [
            (numbers[over[numbers]], keys[over[numbers]])
            for numbers, keys in self._matches(matched, share, of)
        ]
        numbers = np.concatenate([number for number, _ in found])
        keys = np.concatenate([key for _, key in found])
        order = np.lexsort((keys, numbers))
        firsts = np.searchsorted(numbers[order], np.flatnonzero(over))
        lasts = keys[order[firsts + self.cap - 1]]
        return dict(zip(np.flatnonzero(over).tolist(), lasts.tolist(), strict=True))


class _Ledger(NamedTuple):
    """The ledger by number of the query."""

    queries: pa.Array
    matches: Numbers
    last: Keys
    share: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Choose(Stage):
    """Keeps the pairs that a query keeps, and names those queries; the others are over every quota."""

    name: ClassVar[str] = "crawl.images.choose"

    cap: int | None = settings.setting(20_000, "most pairs a query")
    balance: int | None = settings.setting(None, "pairs a query keeps on average")
    seed: int = settings.setting(0, "another seed keeps others")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Put the queries in the place of their numbers."""
        return pa.schema([field for field in schema if field.name != MATCHED.name]).append(QUERIES)

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part; `sources` are the ledger, then the matches."""
        return document_tasks(*sources[1:], beside=sources[:1])

    def run(self, task: Task) -> Iterator[Split]:
        """Divide each batch by the ledger."""
        ledger = _ledger(task.inputs[1].path)
        for batch in read_batches(task.inputs[0].path, task.schema):
            yield self._split(batch, ledger)

    def _split(self, batch: pa.RecordBatch, ledger: _Ledger) -> Split:
        numbers, rows = _flat(batch[MATCHED.name])
        keys = seeds.choice_key(self.seed, batch["id"])[rows]
        if self.balance is None:
            stays = keys <= ledger.last[numbers]
        else:
            drawn = mix64_each(keys + (numbers.astype(np.uint64) + np.uint64(1)) * _SPREAD) >> np.uint64(11)
            stays = drawn * 2.0**-53 < ledger.share[numbers]
        counts = np.bincount(rows[stays], minlength=len(batch))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        queries = pa.ListArray.from_arrays(pa.array(offsets), ledger.queries.take(pa.array(numbers[stays])))
        schema = self.writes(batch.schema)
        plain = [batch[name] for name in schema.names[:-1]]
        kept = pa.RecordBatch.from_arrays([*plain, queries], schema=schema).filter(pa.array(counts > 0))
        fewest = np.full(len(batch), np.iinfo(np.int64).max)
        np.minimum.at(fewest, rows, ledger.matches[numbers])
        gone = np.flatnonzero(counts == 0)
        rejected = reject_rows(
            batch,
            self.name,
            "images.cap" if self.balance is None else "images.balance",
            pa.array(gone),
            value=pa.array(fewest[gone].astype(np.float64)),
            bound=self.cap if self.balance is None else self.balance,
        )
        return Split(kept, rejected, batch)


def _flat(matched: Any) -> tuple[Numbers, Numbers]:  # noqa: ANN401 - an Arrow list array
    """Return the numbers of all rows one after the other, and the row of each."""
    lengths = np.asarray(pa.compute.list_value_length(matched), np.int64)
    numbers = np.asarray(matched.flatten(), np.int64)
    return numbers, np.repeat(np.arange(len(lengths)), lengths)


def _ledger(path: str) -> _Ledger:
    table = Dataset(path).table()
    numbers = table["number"].to_numpy()
    size = int(numbers.max()) + 1 if len(numbers) else 0
    places = np.zeros(size, np.int64)
    places[numbers] = np.arange(len(numbers))
    matches, last = np.zeros(size, np.int64), np.full(size, np.iinfo(np.uint64).max, np.uint64)
    share = np.ones(size)
    matches[numbers] = table["matches"].to_numpy()
    last[numbers] = pa.compute.fill_null(table["last"], np.iinfo(np.uint64).max).to_numpy()
    share[numbers] = pa.compute.fill_null(table["share"], 1.0).to_numpy()
    queries = table["query"].combine_chunks().take(pa.array(places)) if size else pa.array([], pa.string())
    return _Ledger(queries, matches, last, share)
