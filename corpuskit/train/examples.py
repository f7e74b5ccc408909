"""Documents to learn from: hashed, in an order of their own, and divided so that no site is on two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from corpuskit import seeds
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError
from corpuskit.kernels import hashingtf
from corpuskit.kernels.hashing import hash_strings
from corpuskit.kernels.utf8 import buffers
from corpuskit.urls import registrable_domain

__all__ = ["CALIBRATE", "TEST", "TRAIN", "Examples", "overlaps", "read"]

TRAIN, CALIBRATE, TEST = 0, 1, 2
_SHARES = (0.7, 0.85)
"""Where the second and the third fold begin."""

_LARGE = 0.05
"""A site with more than this share of a side's documents is divided by document, not held out whole."""


@dataclass(frozen=True)
class Examples:
    """Documents of both sides, sorted by side and id: the order and number of datasets leaves no trace.

    Attributes:
        counts: Sparse float64[n, 2^18]; how many tokens of each document are in each bucket.
        good: bool[n]; whether it is one of the positives.
        fold: int8[n]; TRAIN, CALIBRATE or TEST.
        domains: The registrable domain of its url; null where it has none.
        texts: uint64[n]; a hash of its text.
        sizes: int64[n]; bytes of its text.
        divided: Sites that are in more than one fold, as they are too large to be in one.
    """

    counts: sparse.csr_matrix
    good: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int8]
    domains: tuple[str | None, ...]
    texts: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.int64]
    divided: tuple[str, ...]


@dataclass
class _Side:
    """Documents of one side as they are read."""

    counts: list[sparse.csr_matrix]
    ids: list[str]
    domains: list[str | None]
    texts: list[npt.NDArray[np.uint64]]
    sizes: list[npt.NDArray[np.int64]]


def read(positives: Sequence[str], negatives: Sequence[str], sample: int, seed: int) -> Examples:
    """Read both sides, of each about `sample` documents at most, drawn by id, and divide them into folds.

    Raises:
        InputError: A dataset is missing, or a side has too few documents for every fold to have some.
    """
    sides = [_read_side(paths, sample, seed) for paths in (negatives, positives)]
    counts, ids, domains, texts, sizes, good = [], [], [], [], [], []
    folds, divided = [], set()
    for label, side in enumerate(sides):
        hashes = np.concatenate([np.zeros(0, np.uint64), *side.texts])
        order = sorted(range(len(side.ids)), key=lambda row: (side.ids[row], hashes[row]))  # noqa: B023
        counts.append(sparse.vstack([_nothing(), *side.counts], format="csr")[order])
        ids += [side.ids[row] for row in order]
        domains += [side.domains[row] for row in order]
        texts.append(hashes[order])
        sizes.append(np.concatenate([np.zeros(0, np.int64), *side.sizes])[order])
        good.append(np.full(len(order), bool(label)))
        sites = Counter(domain for domain in side.domains if domain)
        divided |= {site for site, count in sites.items() if count > _LARGE * len(order)}
    groups = [
        id if domain is None or domain in divided else domain for id, domain in zip(ids, domains, strict=True)
    ]
    folds = np.searchsorted(
        _SHARES, seeds.shuffle_key(seed, pa.array(groups, pa.string())) * 2.0**-64, "right"
    )
    examples = Examples(
        sparse.vstack(counts, format="csr"),
        np.concatenate(good),
        folds.astype(np.int8),
        tuple(domains),
        np.concatenate(texts),
        np.concatenate(sizes),
        tuple(sorted(divided)),
    )
    _check(examples)
    return examples


def _read_side(paths: Sequence[str], sample: int, seed: int) -> _Side:
    datasets = [Dataset(path) for path in paths]
    rows = sum(dataset.rows for dataset in datasets)
    side = _Side([], [], [], [], [])
    for dataset in datasets:
        columns = [name for name in ("id", "text", "url") if name in dataset.schema.names]
        for batch in dataset.batches(columns):
            if rows > sample:
                batch = batch.filter(pa.array(seeds.draw(seed, batch["id"]) < sample / rows))
            _add(side, batch)
    return side


def _add(side: _Side, batch: pa.RecordBatch) -> None:
    data, offsets = buffers(batch["text"])
    found, bounds = hashingtf.buckets(data, offsets)
    shape = (len(batch), hashingtf.BUCKETS)
    counts = sparse.csr_matrix((np.ones(len(found)), found, bounds), shape=shape)
    counts.sum_duplicates()
    urls = batch["url"].to_pylist() if "url" in batch.schema.names else [None] * len(batch)
    side.counts.append(counts)
    side.ids += batch["id"].to_pylist()
    side.domains += [registrable_domain(url) if url else None for url in urls]
    side.texts.append(hash_strings(data, offsets))
    side.sizes.append(np.diff(offsets))


def _nothing() -> sparse.csr_matrix:
    return sparse.csr_matrix((0, hashingtf.BUCKETS), dtype=np.float64)


def _check(examples: Examples) -> None:
    for side, name in ((True, "positive"), (False, "negative")):
        found = np.bincount(examples.fold[examples.good == side], minlength=3)
        if not found.all():
            raise InputError(
                f"there are too few {name} documents: {found[TRAIN]} to train, {found[CALIBRATE]} to calibrate "
                f"and {found[TEST]} to test",
                fix=f"give more {name} documents, from more sites; a hundred is the least that makes sense",
            )


def overlaps(examples: Examples) -> Mapping[str, Any]:
    """Count what the two sides share, and what was seen in training and is met again in the test."""
    good, domains = examples.good, np.array([domain or "" for domain in examples.domains], object)
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
