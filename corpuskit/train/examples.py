"""Documents to learn from: hashed, in an order of their own, and divided so that no site is on two sides."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from corpuskit import seeds
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError
from corpuskit.filter.qualitymodel import TermFrequency
from corpuskit.kernels import hashingtf
from corpuskit.kernels.hashing import hash_strings
from corpuskit.kernels.utf8 import buffers
from corpuskit.urls import host, registrable_domain

__all__ = ["CALIBRATE", "TEST", "TRAIN", "Examples", "overlaps", "read"]

TRAIN, CALIBRATE, TEST = 0, 1, 2
_STARTS = (0.7, 0.85)
"""Where the second and the third fold begin."""

_LARGE = 0.05
"""A site with more than this share of a side's documents is divided by document, not held out whole."""


@dataclass(frozen=True)
class Examples:
    """Documents of both sides, sorted by side and id: the order and number of datasets leaves no trace.

    Attributes:
        frequencies: Sparse float64[n, 2^18]; how many tokens of each document are in each bucket, or which
            share of them.
        good: bool[n]; whether it is one of the positives.
        fold: int8[n]; TRAIN, CALIBRATE or TEST.
        domains: The registrable domain of its url, else the host; null where it has none.
        texts: uint64[n]; a hash of its text.
        sizes: int64[n]; bytes of its text.
        divided: Sites that are in more than one fold, as they are too large to be in one.
    """

    frequencies: sparse.csr_matrix
    good: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int8]
    domains: npt.NDArray[np.object_]
    texts: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.int64]
    divided: tuple[str, ...]


@dataclass(frozen=True)
class _Documents:
    """Some documents of one side, a value each."""

    frequencies: sparse.csr_matrix
    ids: npt.NDArray[np.object_]
    domains: npt.NDArray[np.object_]
    texts: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.int64]


def read(
    positives: Sequence[str],
    negatives: Sequence[str],
    sample: int,
    seed: int,
    term_frequency: TermFrequency = "raw",
) -> Examples:
    """Read both sides, of each about `sample` documents at most, drawn by id, and divide them into folds.

    Raises:
        InputError: A dataset is missing, or a side has too few documents for every fold to have some.
    """
    sides = [_read_side(paths, sample, seed, term_frequency) for paths in (negatives, positives)]
    divided = sorted({site for side in sides for site in _large(side.domains)})
    both = _joined(sides)
    whole = both.domains != None  # noqa: E711 - of each
    whole &= ~np.isin(both.domains, np.array(divided, object))
    groups = pa.array(np.where(whole, both.domains, both.ids), pa.string())
    fold = np.searchsorted(_STARTS, seeds.shuffle_key(seed, groups) * 2.0**-64, "right").astype(np.int8)
    good = np.repeat([False, True], [len(side.ids) for side in sides])
    _check(good, fold)
    return Examples(both.frequencies, good, fold, both.domains, both.texts, both.sizes, tuple(divided))


def _read_side(paths: Sequence[str], sample: int, seed: int, term_frequency: TermFrequency) -> _Documents:
    """Read the documents of one side, sorted by id."""
    datasets = [Dataset(path) for path in paths]
    rows = sum(dataset.rows for dataset in datasets)
    read = []
    for dataset in datasets:
        columns = [name for name in ("id", "text", "url") if name in dataset.schema.names]
        for batch in dataset.batches(columns):
            if rows > sample:
                batch = batch.filter(pa.array(seeds.draw(seed, batch["id"]) < sample / rows))
            read.append(_hashed(batch, term_frequency))
    side = _joined(read)
    order = np.lexsort([side.texts, side.ids.astype(str)])
    return _Documents(*(getattr(side, field.name)[order] for field in dataclasses.fields(side)))


def _hashed(batch: pa.RecordBatch, term_frequency: TermFrequency) -> _Documents:
    data, offsets = buffers(batch["text"])
    found, bounds = hashingtf.buckets(data, offsets)
    shape = (len(batch), hashingtf.BUCKETS)
    tokens = np.diff(bounds)
    each = np.ones(len(batch)) if term_frequency == "raw" else 1 / np.maximum(tokens, 1)
    frequencies = sparse.csr_matrix((np.repeat(each, tokens), found, bounds), shape=shape)
    frequencies.sum_duplicates()
    urls = batch["url"].to_pylist() if "url" in batch.schema.names else [None] * len(batch)
    domains = [(registrable_domain(url) or host(url)) if url else None for url in urls]
    ids = np.array(batch["id"].to_pylist(), object)
    sizes = np.diff(offsets)
    return _Documents(frequencies, ids, np.array(domains, object), hash_strings(data, offsets), sizes)


def _joined(some: Sequence[_Documents]) -> _Documents:
    return _Documents(
        sparse.vstack([_NOTHING.frequencies, *(each.frequencies for each in some)], format="csr"),
        *(
            np.concatenate([getattr(each, name) for each in (_NOTHING, *some)])
            for name in ("ids", "domains", "texts", "sizes")
        ),
    )


_NOTHING = _Documents(
    sparse.csr_matrix((0, hashingtf.BUCKETS), dtype=np.float64),
    np.zeros(0, object),
    np.zeros(0, object),
    np.zeros(0, np.uint64),
    np.zeros(0, np.int64),
)


def _large(domains: npt.NDArray[np.object_]) -> list[str]:
    """List the sites that have too many of a side's documents to be in one fold."""
    sites = Counter(domain for domain in domains if domain)
    return [site for site, count in sites.items() if count > _LARGE * len(domains)]


def _check(good: npt.NDArray[np.bool_], fold: npt.NDArray[np.int8]) -> None:
    for side, name in ((True, "positive"), (False, "negative")):
        found = np.bincount(fold[good == side], minlength=3)
        if not found.all():
            raise InputError(
                f"there are too few {name} documents: {found[TRAIN]} to train, {found[CALIBRATE]} to "
                f"calibrate and {found[TEST]} to test",
                fix=f"give more {name} documents, from more sites; a hundred is the least that makes sense",
            )


def overlaps(examples: Examples) -> Mapping[str, Any]:
    """Count what the two sides share, and what was seen in training and is met again in the test."""
    good, domains = examples.good, np.where(examples.domains == None, "", examples.domains)  # noqa: E711
    ours, theirs = set(domains[good]) - {""}, set(domains[~good]) - {""}
    shared = sorted(ours & theirs)
    seen, met = examples.fold == TRAIN, examples.fold == TEST
    return {
        "sites_on_both_sides": len(shared),
        "documents_of_those_sites": int(np.isin(domains, shared).sum()),
        "some_sites_on_both_sides": shared[:20],
        "sites_in_several_folds": list(examples.divided),
        "documents_without_site": int((domains == "").sum()),
        "texts_on_both_sides": len(np.intersect1d(examples.texts[good], examples.texts[~good])),
        "texts_in_train_and_test": len(np.intersect1d(examples.texts[seen], examples.texts[met])),
    }
