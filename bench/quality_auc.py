"""How well `train quality` tells good from other texts of sources it never saw, and as people did."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from quality_sources import GOOD, OTHER, build
from sklearn.metrics import roc_auc_score

from corpuskit import Dataset
from corpuskit.filter.qualitymodel import HashedWeights, TermFrequency, load
from corpuskit.train import QualityTraining, train_quality

_RESAMPLES = 2000

Floats = npt.NDArray[np.float64]
Paths = dict[str, str]


def scores(model: str, texts: pa.Array) -> Floats:
    """Return what a model says of texts; of our own models the margin, which does not saturate."""
    loaded = load(model)
    if isinstance(loaded, HashedWeights):
        return loaded.margins(texts)
    return np.asarray(loaded.scores(texts).to_numpy(zero_copy_only=False), np.float64)


def labelled(path: Path) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Read labels, 1 is good, and texts from JSON lines."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return np.array([row["label"] for row in rows]), pa.array(
        [row["text"] for row in rows], pa.large_string()
    )


def sizes(texts: pa.Array) -> Floats:
    """Return the lengths of texts in characters."""
    return np.array([len(text) for text in texts.to_pylist()], np.float64)


def interval(labels: npt.NDArray[np.int64], values: Floats, against: Floats | None = None) -> str:
    """Write an AUC, or how far it is above that of other values, with its 95 % bootstrap interval."""
    chance = np.random.default_rng(0)
    rows = [np.arange(len(labels)), *chance.integers(0, len(labels), (_RESAMPLES, len(labels)))]
    found = [roc_auc_score(labels[at], values[at]) for at in rows]
    if against is not None:
        found = [auc - roc_auc_score(labels[at], against[at]) for auc, at in zip(found, rows, strict=True)]
    low, high = np.percentile(found[1:], [2.5, 97.5])
    return f"{found[0]:.3f} [{low:.3f}, {high:.3f}]"


def _texts(path: str) -> pa.Array:
    return Dataset(path).table(["text"])["text"].combine_chunks().cast(pa.large_string())


def _train(paths: Paths, left_out: Sequence[str], model: Path, term_frequency: TermFrequency) -> str:
    good, other = ([paths[name] for name in side if name not in left_out] for side in (GOOD, OTHER))
    return train_quality(good, other, str(model), QualityTraining(term_frequency=term_frequency)).path


def _held_out(paths: Paths, folder: Path, term_frequency: TermFrequency) -> tuple[list[float], list[float]]:
    """Leave out one source of each side, train on all others, and tell the two apart: AUCs, and by length."""
    ours, by_length = [], []
    for pair in itertools.product(GOOD, OTHER):
        model = _train(paths, pair, folder / "-".join((*pair, term_frequency)), term_frequency)
        texts = [_texts(paths[name]) for name in pair]
        labels = np.repeat([1, 0], [len(each) for each in texts])
        both = pa.concat_arrays(texts)
        ours.append(float(roc_auc_score(labels, scores(model, both))))
        by_length.append(float(roc_auc_score(labels, sizes(both))))
    return ours, by_length


def compare(data: Path, folder: Path) -> list[tuple[str, ...]]:
    """Build the sources in `folder`, train on them with each term frequency, and return the table.

    The labels of people are looked at once a model, after everything was chosen.
    """
    paths = build(data, folder / "sources")
    labels, texts = labelled(data / "text/human_quality.jsonl")
    length = sizes(texts)
    rows = [("", "unseen sources: mean", "least", "pages judged by people", "above the length")]
    by_length: list[float] = []
    for term_frequency in get_args(TermFrequency):
        found, by_length = _held_out(paths, folder / "held_out", term_frequency)
        model = _train(paths, (), folder / f"model-{term_frequency}", term_frequency)
        values = scores(model, texts)
        people = (interval(labels, values), interval(labels, values, length))
        rows.append((term_frequency, f"{statistics.mean(found):.3f}", f"{min(found):.3f}", *people))
    lengths = (f"{statistics.mean(by_length):.3f}", f"{min(by_length):.3f}", interval(labels, length), "")
    return [*rows, ("length alone", *lengths)]
