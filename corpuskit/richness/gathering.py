"""Reads a dataset once and keeps, for each source, what its richness is measured on: samples and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, UsageError
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import buffers
from corpuskit.richness.sampling import GROUPS, Numbers, Passages, Rows
from corpuskit.richness.vectors import read_vectors, vector_column
from corpuskit.seeds import choice_key
from corpuskit.urls import host, registrable_domain

__all__ = ["MOST_SOURCES", "Gathered", "Sampling", "Tally", "gather"]

MOST_SOURCES = 20
"""The most sources that are told apart, those of most documents; the others are taken together."""


@dataclass(frozen=True)
class Sampling:
    """What is drawn of every source, and of all together.

    Attributes:
        words: Words that every measure of words is taken on.
        documents: Documents with a host, and documents with a vector, that measures of those are taken on.
        vectors: Column of vectors; null: the only one there is, if there is one.
        seed: Another seed draws other samples.

    Raises:
        UsageError: A sample is too small to tell anything.
    """

    words: int = 100_000
    documents: int = 1_000
    vectors: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, given, least in (("words", self.words, 1_000), ("documents", self.documents, 100)):
            if given < least:
                raise UsageError(f"a sample of {given} {name} tells nothing", fix=f"at least {least:,}")


class Tally:
    """Documents by a value that they have, or not, and by group: int64[groups] for each value."""

    def __init__(self) -> None:
        self.counts: dict[Any, Numbers] = {}

    def add(self, values: pa.Array, groups: Numbers) -> None:
        """Count the documents whose value is not null."""
        encoded = values.dictionary_encode()
        table = np.zeros((len(encoded.dictionary), GROUPS), np.int64)
        there = np.asarray(pc.is_valid(encoded))
        np.add.at(table, (np.asarray(encoded.indices.drop_null()), groups[there]), 1)
        self._take(zip(encoded.dictionary.to_pylist(), table, strict=True))

    def merge(self, others: Iterable[Tally]) -> None:
        """Add what others counted."""
        for other in others:
            self._take(other.counts.items())

    def table(self) -> npt.NDArray[np.int64]:
        """Return int64[values, groups]."""
        return np.array([*self.counts.values()], np.int64).reshape(-1, GROUPS)

    def _take(self, counted: Iterable[tuple[Any, Numbers]]) -> None:
        for value, counts in counted:
            self.counts[value] = self.counts[value] + counts if value in self.counts else counts


class Gathered:
    """What was seen of one source, or of several."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self.documents = self.text_bytes = 0
        self.passages = Passages(sampling.words)
        self.languages, self.years = Tally(), Tally()
        self.hosts, self.vectors = Rows(sampling.documents), Rows(sampling.documents)

    def add(self, batch: pa.RecordBatch, rows: Numbers, keys: Hashes, vectors: str | None) -> None:
        """Look at some rows of a batch; `keys` has the key of every row."""
        keys, groups = keys[rows], (keys[rows] % np.uint64(GROUPS)).astype(np.int64)
        data, offsets = buffers(batch["text"])
        starts, ends = offsets[rows], offsets[rows + 1]
        self.documents += len(rows)
        self.text_bytes += int((ends - starts).sum())
        self.passages.add(keys, data, starts, ends)
        names = batch.schema.names
        if "lang" in names:
            self.languages.add(batch["lang"].take(pa.array(rows)), groups)
        if "date" in names:
            self.years.add(pc.year(batch["date"].take(pa.array(rows))), groups)
        if "url" in names:
            self.hosts.add(keys, lambda some: _hosts(batch["url"].take(pa.array(rows[some]))))
        if vectors:
            self.vectors.add(keys, lambda some: read_vectors(batch[vectors], rows[some]))

    @classmethod
    def together(cls, parts: Iterable[Gathered], sampling: Sampling) -> Gathered:
        """Return what would have been seen had all been one source."""
        whole, parts = cls(sampling), list(parts)
        whole.documents = sum(part.documents for part in parts)
        whole.text_bytes = sum(part.text_bytes for part in parts)
        whole.passages.merge(part.passages for part in parts)
        whole.languages.merge(part.languages for part in parts)
        whole.years.merge(part.years for part in parts)
        whole.hosts.merge(part.hosts for part in parts)
        whole.vectors.merge(part.vectors for part in parts)
        return whole


def _hosts(urls: pa.Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    found = [(registrable_domain(url) or host(url)) if url else None for url in urls.to_pylist()]
    return np.array([name is not None for name in found], np.bool_), np.array(found, object)


def gather(dataset: Dataset, sampling: Sampling) -> Mapping[str | None, Gathered]:
    """Read a dataset; return what was seen of each source, those of most documents first.

    Null stands for the sources beyond the twenty largest together. Memory is bounded by their samples.

    Raises:
        InputError: The dataset does not hold documents, or not the column of vectors.
        UsageError: It has several columns of vectors and none was named.
    """
    if not dataset.parts:
        return {}
    schema = dataset.schema
    if not {"id", "text"} <= set(schema.names):
        raise InputError(f"{dataset.path} does not hold documents: it has no id or no text")
    vectors = vector_column(dataset.path, schema, sampling.vectors)
    wanted = ["id", "text", "source", "url", "date", "lang", *([vectors] if vectors else [])]
    columns = [name for name in wanted if name in schema.names]
    found: dict[str | None, Gathered] = {name: Gathered(sampling) for name in _largest(dataset)}
    for batch in dataset.batches(columns):
        keys = choice_key(sampling.seed, batch["id"])
        for name, rows in _by_source(batch):
            one = name if name in found else None
            found.setdefault(one, Gathered(sampling)).add(batch, rows, keys, vectors)
    return found


def _largest(dataset: Dataset) -> list[str]:
    counts: Counter[str] = Counter()
    if "source" in dataset.schema.names:
        for batch in dataset.batches(["source"]):
            for told in pc.value_counts(batch["source"]).to_pylist():
                counts[told["values"]] += told["counts"]
    return sorted(counts, key=lambda name: (-counts[name], name))[:MOST_SOURCES]


def _by_source(batch: pa.RecordBatch) -> Iterator[tuple[str | None, Numbers]]:
    """Yield each source of a batch with its rows."""
    if "source" not in batch.schema.names:
        yield None, np.arange(len(batch))
        return
    encoded = batch["source"].dictionary_encode()
    codes = np.asarray(encoded.indices)
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        yield name, np.flatnonzero(codes == code)
