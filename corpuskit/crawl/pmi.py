"""Bigrams: pairs of words in a row that occur together more often than their words let expect."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.crawl.counts import PAIRS
from corpuskit.crawl.sourcecounts import STAGE, SourceTally
from corpuskit.dataset import Dataset, read_batches
from corpuskit.errors import InputError, UsageError
from corpuskit.kernels.hashing import Hashes, hash_strings
from corpuskit.kernels.utf8 import buffers
from corpuskit.stage import Split, Stage, Task, document_tasks

__all__ = ["SCORED", "PairTally", "Score", "Wanted", "best_first", "highest_pmi", "pmi"]

SCORED = PAIRS.append(pa.field("pmi", pa.float64(), nullable=False))
"""A pair, its count, and its pointwise mutual information in bits."""

Floats = npt.NDArray[np.float64]
_DIGITS = 9


class Wanted(NamedTuple):
    """Which bigrams are wanted: those of at least some PMI, or the best; the other is null."""

    least: float | None
    top: int | None

    @classmethod
    def of(cls, told: str) -> Wanted:
        """Read what a user wrote.

        Raises:
            UsageError: It is neither.

        >>> Wanted.of("pmi:30"), Wanted.of("top:100646")
        (Wanted(least=30.0, top=None), Wanted(least=None, top=100646))
        """
        kind, _, value = told.partition(":")
        try:
            if kind == "pmi" and math.isfinite(float(value)):
                return cls(float(value), None)
            if kind == "top" and int(value) > 0:
                return cls(None, int(value))
        except ValueError:
            pass
        raise UsageError(f"crawl.queries: bigrams is {told!r}", fix="write it like pmi:30 or top:100000")


def pmi(pairs: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, total: float) -> Floats:
    """Return log2(pairs * total) - log2(first * second), to 9 decimals, so that a bound is met exactly.

    >>> pmi([1, 4], [1, 8], [1, 4], 2**30).tolist()
    [30.0, 27.0]
    """
    together, one, other = (np.log2(np.asarray(values, np.float64)) for values in (pairs, first, second))
    found: Floats = np.round(together + np.log2(total) - one - other, _DIGITS)
    return found


def highest_pmi(total: int, least_count: int) -> float:
    """Return the highest PMI that a pair which occurs `least_count` times can have among `total` words.

    Its words occur at least as often as it does.

    >>> highest_pmi(2**30, 1), highest_pmi(2**30, 4)
    (30.0, 28.0)
    """
    return math.log2(total / least_count)


def best_first(pairs: pa.Table | pa.RecordBatch) -> pa.Table:
    """Order pairs by PMI, then count, both falling, then as the alphabet has them."""
    keys = [("pmi", "descending"), ("count", "descending"), ("first", "ascending"), ("second", "ascending")]
    return pairs.sort_by(keys)


@dataclass(frozen=True)
class PairTally(SourceTally):
    """Counts pairs of words, if any could be wanted."""

    name: ClassVar[str] = "crawl.queries.pairs"

    bigrams: str
    min_bigram_count: int

    def plan(self, *sources: str) -> list[Task]:
        """Make every part of the sources a task; the first is the words, by which it is known what can be.

        Raises:
            InputError: Among so many words no pair can have the PMI that is wanted.
        """
        total, least = _total(sources[0]), Wanted.of(self.bigrams).least
        most = highest_pmi(total, self.min_bigram_count) if total else math.inf
        if least is not None and least > most:
            often = f"that occurs {self.min_bigram_count} times " if self.min_bigram_count > 1 else ""
            raise InputError(
                f"{STAGE}: 0 bigrams can have a PMI of {least:g}: among {total:,} words no pair {often}"
                f"can have more than {most:.1f}",
                fix="take the best with --bigrams top:N, lower the bound with "
                f"--bigrams pmi:{max(0, math.floor(most) - 1)}, or give more text",
            )
        return super().plan(*sources[1:])


@dataclass(frozen=True)
class Score(Stage):
    """Gives pairs their PMI; keeps those that may be wanted, and of each part its best.

    Memory: 16 bytes for every word that occurs often enough to be in a pair that does.
    """

    name: ClassVar[str] = "crawl.queries.pmi"

    bigrams: str
    min_bigram_count: int

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that pairs have a PMI."""
        return SCORED

    def plan(self, *sources: str) -> list[Task]:
        """Make every part of the pairs a task; the sources are the words and the pairs.

        Raises:
            InputError: There are words, but no pair occurs often enough.
        """
        words, pairs = sources
        total = _total(words)
        if total and not Dataset(pairs).rows:
            raise InputError(
                f"{STAGE}: no two words in a row occur {self.min_bigram_count} times",
                fix="lower --min-bigram-count, give documents or a file of pairs and their counts, "
                "or leave --bigrams out",
            )
        tasks = document_tasks(pairs, beside=[words])
        return [Task(task.inputs, task.schema, {"total": total}) for task in tasks]

    def run(self, task: Task) -> Iterator[Split]:
        """Score one part, which holds its share of all pairs."""
        pairs, words = task.inputs
        known = _vocabulary(words.path, words.identity, self.min_bigram_count)
        found = SCORED.empty_table()
        rows = unknown = 0
        for batch in read_batches(pairs.path, task.schema):
            scored = _scored(batch, known, task.work["total"])
            rows, unknown = rows + len(scored), unknown + len(batch) - len(scored)
            found = self._chosen(pa.concat_tables([found, scored]))
        facts = {"pairs often enough": rows, "pairs of words without a count": unknown}
        batches = found.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], SCORED)]
        yield Split(batches[0], facts={name: count for name, count in facts.items() if count})

    def _chosen(self, pairs: pa.Table) -> pa.Table:
        wanted, ordered = Wanted.of(self.bigrams), best_first(pairs)
        if wanted.top is not None:
            return ordered.slice(0, wanted.top)
        enough = int(pc.sum(pc.greater_equal(ordered["pmi"], wanted.least)).as_py() or 0)
        return ordered.slice(0, max(1, enough))


def _total(words: str) -> int:
    return sum(int(pc.sum(batch["count"]).as_py() or 0) for batch in Dataset(words).batches(["count"]))


class _Vocabulary(NamedTuple):
    """Hashes of words in order, and their counts."""

    hashes: Hashes
    counts: npt.NDArray[np.int64]

    def of(self, words: pa.Array) -> npt.NDArray[np.int64]:
        """Return the count of each word; 0 of those that are not known."""
        wanted = hash_strings(*buffers(words))
        if not len(self.hashes):
            return np.zeros(len(wanted), np.int64)
        places = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.where(self.hashes[places] == wanted, self.counts[places], 0)


@functools.lru_cache(maxsize=1)
def _vocabulary(path: str, identity: str, least: int) -> _Vocabulary:
    """Read the words that occur often enough, once a process; `identity` tells one set from the next."""
    hashes: list[Hashes] = [np.zeros(0, np.uint64)]
    counts = [np.zeros(0, np.int64)]
    for batch in Dataset(path).batches():
        often = batch.filter(pc.fill_null(pc.greater_equal(batch["count"], max(1, least)), False))
        hashes.append(hash_strings(*buffers(often["word"])))
        counts.append(often["count"].to_numpy())
    joined = np.concatenate(hashes)
    order = np.argsort(joined)
    return _Vocabulary(joined[order], np.concatenate(counts)[order])


def _scored(pairs: pa.RecordBatch, known: _Vocabulary, total: int) -> pa.Table:
    first, second = known.of(pairs["first"]), known.of(pairs["second"])
    counts = pairs["count"].fill_null(0).to_numpy()
    there = (first > 0) & (second > 0) & (counts > 0)
    values = pmi(counts[there], first[there], second[there], total)
    kept = pairs.filter(pa.array(there))
    return pa.Table.from_arrays([*kept.columns, pa.array(values)], schema=SCORED)
