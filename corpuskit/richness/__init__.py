"""`report --richness`: how rich a dataset's text is, for each source, for all, and beside another dataset.

No number tells what a corpus is worth: each sees one side, and what it cannot see is said with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpuskit.dataset import Dataset
from corpuskit.errors import InputError
from corpuskit.richness.gathering import Gathered, Sampling, Tally, gather
from corpuskit.richness.noise import Difference, Measure, compare, measured
from corpuskit.richness.sampling import GROUPS, Numbers, Rows
from corpuskit.richness.vectors import CLUSTERS, Vectors, centres, nearest, vendi_score
from corpuskit.richness.words import entropy, measure_words

__all__ = ["MEASURES", "Corpus", "Difference", "Measure", "Richness", "Sampling", "Source", "richness"]

_OF_WORDS = (
    "distinct_1",
    "distinct_2",
    "distinct_4",
    "mtld",
    "entropy_1",
    "entropy_2",
    "zipf_slope",
    "heaps_exponent",
    "compression_ratio",
)
MEASURES = (
    *_OF_WORDS,
    "language_entropy",
    "languages",
    "host_entropy",
    "hosts",
    "year_entropy",
    "years",
    "vendi_score",
    "cluster_entropy",
    "clusters",
)
"""The measures. Entropies are in bits; `languages`, `hosts`, `years` and `clusters` are effective numbers."""


@dataclass(frozen=True)
class Source:
    """The richness of one source.

    Attributes:
        name: The source; null stands for all of a corpus, or for the sources beyond the twenty largest.
        documents, text_bytes: All there are, not those of the samples.
        measures: Every one of `MEASURES`.
    """

    name: str | None
    documents: int
    text_bytes: int
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class Corpus:
    """The richness of one dataset: of the whole, and of each source, those of most documents first."""

    path: str
    whole: Source
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Richness:
    """What `richness` found: of the dataset, and of the one it was compared with if there was one."""

    sampling: Sampling
    corpora: tuple[Corpus, ...]

    def differences(self) -> dict[str, Difference]:
        """Return how far the second dataset lies from the first, by measure; empty without a second."""
        if len(self.corpora) < 2:
            return {}
        return _differences(self.corpora[0].whole, self.corpora[1].whole)

    def source_differences(self) -> dict[str, dict[str, Difference]]:
        """Return the differences for each source that both datasets name."""
        if len(self.corpora) < 2:
            return {}
        first, second = ({one.name: one for one in corpus.sources if one.name} for corpus in self.corpora)
        return {name: _differences(first[name], second[name]) for name in first if name in second}

    def json(self) -> dict[str, Any]:
        """Return everything as plain JSON values; what is undefined is null."""
        told: dict[str, Any] = {
            "sample": dataclasses.asdict(self.sampling),
            "datasets": [dataclasses.asdict(corpus) for corpus in self.corpora],
        }
        if len(self.corpora) > 1:
            told["differences"] = _as_json(self.differences())
            told["source_differences"] = {
                name: _as_json(found) for name, found in self.source_differences().items()
            }
        return told

    def text(self) -> str:
        """Return tables for a terminal of 80 columns, without colour."""
        from corpuskit.richness.story import tell

        return "\n".join(tell(self))

    def html(self) -> str:
        """Return one page that loads nothing from elsewhere; everything a stranger wrote is escaped."""
        from corpuskit.richness.story import page_of

        return page_of(self)


def richness(path: str, *, against: str | None = None, sampling: Sampling | None = None) -> Richness:
    """Measure how rich a finished dataset is, and how another beside it.

    Words, hosts and vectors are measured on samples of one size everywhere, drawn by hash of the ids, because
    most measures change with the size of a text; a source too small for a sample has null there. Languages
    and years are counted over all documents. The same documents give the same numbers, in whatever parts and
    order they lie.

    Raises:
        InputError: There is no finished dataset of documents at a path, or the vectors of two differ in size.
        UsageError: A dataset has several columns of vectors, and none was named.
    """
    drawn = sampling or Sampling()
    paths = [path] if against is None else [path, against]
    gathered = [gather(Dataset(one), drawn) for one in paths]
    wholes = [Gathered.together(found.values(), drawn) for found in gathered]
    middles = _middles(wholes, paths, drawn)
    corpora = []
    for where, whole, found in zip(paths, wholes, gathered, strict=True):
        sources = tuple(_measured(name, one, middles) for name, one in found.items())
        alone = len(sources) == 1
        everything = dataclasses.replace(sources[0], name=None) if alone else _measured(None, whole, middles)
        corpora.append(Corpus(str(where), everything, sources))
    return Richness(drawn, tuple(corpora))


def _middles(wholes: list[Gathered], paths: list[str], sampling: Sampling) -> Vectors | None:
    """Find the clusters that all sources of all datasets are counted in."""
    samples = [sample[0] for whole in wholes if (sample := whole.vectors.sample()) is not None]
    sizes = {sample.shape[1] for sample in samples}
    if len(sizes) > 1:
        what = f"the vectors of {' and '.join(paths)} have {' and '.join(map(str, sorted(sizes)))} numbers"
        raise InputError(what, fix="compare vectors of one model")
    if not samples:
        return None
    return centres(samples, min(CLUSTERS, sampling.documents // 10), sampling.seed)


def _measured(name: str | None, gathered: Gathered, middles: Vectors | None) -> Source:
    words = gathered.passages.sample()
    found: dict[str, Measure] = {}
    if words is not None:
        found |= measured(words, words.without_each(), measure_words)
    found |= _spread(gathered.languages, "language_entropy", "languages")
    found |= _hosts(gathered.hosts)
    found |= _spread(gathered.years, "year_entropy", "years")
    if middles is not None:
        found |= _vectors(gathered.vectors, middles)
    whole = {one: found.get(one, Measure()) for one in MEASURES}
    return Source(name, gathered.documents, gathered.text_bytes, whole)


def _spread(tally: Tally, bits: str, effective: str) -> dict[str, Measure]:
    """Measure how documents spread over the values of a tally."""
    table = tally.table()
    counts = table.sum(axis=1)
    groups = np.flatnonzero(table.sum(axis=0))
    others = (counts - table[:, group] for group in groups if len(groups) > 1)
    return measured(counts, others, lambda some: _entropies(some, bits, effective))


def _entropies(counts: Numbers, bits: str, effective: str) -> dict[str, float | None]:
    found = entropy(counts)
    return {bits: found, effective: None if found is None else 2**found}


def _hosts(rows: Rows) -> dict[str, Measure]:
    sample = rows.sample()
    if sample is None:
        return {}
    _, numbers = np.unique(sample[0].astype(str), return_inverse=True)
    return measured(
        numbers,
        (numbers[kept] for kept in _without_each(sample[1])),
        lambda some: _entropies(np.bincount(some), "host_entropy", "hosts"),
    )


def _vectors(rows: Rows, middles: Vectors) -> dict[str, Measure]:
    sample = rows.sample()
    if sample is None:
        return {}
    vectors, groups = sample
    numbers = nearest(vectors, middles)

    def measure(kept: Numbers) -> dict[str, float | None]:
        spread = _entropies(np.bincount(numbers[kept]), "cluster_entropy", "clusters")
        return {"vendi_score": vendi_score(vectors[kept]), **spread}

    return measured(np.arange(len(vectors)), _without_each(groups), measure)


def _without_each(groups: Numbers) -> Iterator[Numbers]:
    """Yield the rows that are left without each group, each time the first so many of them."""
    sizes = np.bincount(groups, minlength=GROUPS)
    left = len(groups) - int(sizes.max())
    if left:
        yield from (np.flatnonzero(groups != group)[:left] for group in np.flatnonzero(sizes))


def _differences(first: Source, second: Source) -> dict[str, Difference]:
    return {name: compare(first.measures[name], second.measures[name]) for name in MEASURES}


def _as_json(found: Mapping[str, Difference]) -> dict[str, Any]:
    return {name: dataclasses.asdict(one) for name, one in found.items()}
