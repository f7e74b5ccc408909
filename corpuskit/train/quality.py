"""`train quality`: logistic regression over hashed tokens, calibrated, measured, and written with a card."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from corpuskit import __version__, files, settings
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, UsageError
from corpuskit.filter.qualitymodel import DESCRIPTION, HashedWeights, TermFrequency, write
from corpuskit.settings import setting
from corpuskit.train.card import card, summary
from corpuskit.train.examples import CALIBRATE, TEST, TRAIN, Examples, overlaps, read
from corpuskit.train.standing import standing

__all__ = ["QualityTraining", "Trained", "train_quality"]

_STEPS = 1000
_TOLERANCE: Mapping[TermFrequency, float] = {"raw": 1e-4, "relative": 1e-8}
"""Up to which slope the loss counts as level: along a share it rises as much less as texts are long."""
_MEASURED = ("documents", "test", "leakage", "steps", "converged")
_NAMES = {"settings": "settings", "positive": "positives", "negative": "negatives"}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class QualityTraining:
    """How a quality model is trained.

    Raises:
        UsageError: `sample` or `regularization` is not above 0.
    """

    hashing: Literal["spark"] = setting(
        "spark", "what a token is and which bucket it falls into: as in Spark"
    )
    term_frequency: TermFrequency = setting(
        "raw", "a bucket's value: how often its tokens occur, or (relative) their share of the document's"
    )
    regularization: float = setting(
        1.0, "weight of the squared weights beside the mean loss: Spark's regParam"
    )
    sample: int = setting(100_000, "documents of each side to learn from at most, drawn by id")
    seed: int = setting(0, "another seed draws another sample and other folds")

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("sample", "regularization"):
            if not getattr(self, name) > 0:
                raise UsageError(f"train.quality: {name} is {getattr(self, name)}", fix="give more than 0")


@dataclass(frozen=True)
class Trained:
    """A model that was trained: where it lies, and what its description tells."""

    path: str
    told: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """Return all that is told as plain JSON values."""
        return {"path": self.path, **self.told}

    def text(self) -> str:
        """Say for people how good the model is and what to look at."""
        return summary(self.path, self.told)


def train_quality(
    positives: Sequence[str],
    negatives: Sequence[str],
    model: str,
    training: QualityTraining | None = None,
    *,
    force: bool = False,
) -> Trained:
    """Learn from datasets of good and of other documents, and write the folder `model`.

    70 % of the documents train, 15 % calibrate (Platt's line), 15 % test; all documents of a site (the
    registrable domain of the url) go the same way, unless the site has more than a twentieth of a side.
    Both sides count the same, however many documents they have. The regression is L-BFGS over all
    documents at once, in the order of their ids and on one thread: the same documents give the same bytes
    on one machine, whatever the order of the datasets. The same call again does nothing.

    Source: Brown et al. 2020 (GPT-3), appendix A. Deviations: L2 regularisation, calibration, equal weight
    of the sides; Platt 1999 for the line. With relative term frequencies a document's value is the mean of
    its tokens' weights, as in fastText (Joulin et al. 2016), and its length has no part in it.

    Raises:
        InputError: A dataset is missing; a side has too few documents; the sides cannot be told apart.
        TargetError: The folder holds something else, and `force` is not given.
        UsageError: There are no positives or no negatives.
    """
    training = training or QualityTraining()
    if not positives or not negatives:
        missing = "negatives" if positives else "positives"
        raise UsageError(f"there are no {missing}", fix="give POSITIVE... --negative NEGATIVE... MODEL")
    asked = {
        "settings": settings.to_mapping(training),
        "positive": _describe(positives),
        "negative": _describe(negatives),
    }
    if not force and (stands := standing(model, DESCRIPTION, "quality model", asked, _NAMES)) is not None:
        return Trained(model, {key: stands.get(key) for key in ("corpuskit", *asked, *_MEASURED)})
    examples = read(positives, negatives, training.sample, training.seed, training.term_frequency)
    weights, steps = _fit(examples, training)
    calibrated = _calibrate(weights, examples)
    told = {
        "corpuskit": __version__,
        **asked,
        "documents": _documents(examples),
        "test": _measure(calibrated, examples),
        "leakage": overlaps(examples),
        "steps": steps,
        "converged": steps < _STEPS,
    }
    write(model, calibrated, told, card(told))
    return Trained(model, told)


def _describe(paths: Sequence[str]) -> list[dict[str, Any]]:
    datasets = [Dataset(path) for path in paths]
    found = [
        {"name": files.file_name(each.path), "rows": each.rows, "sha256": each.sha256} for each in datasets
    ]
    return sorted(found, key=lambda one: (one["name"], one["sha256"]))


def _fit(examples: Examples, training: QualityTraining) -> tuple[HashedWeights, int]:
    """Train on the first fold; return the model, not calibrated, and the steps it took."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    rows = np.flatnonzero(examples.fold == TRAIN)
    regression = LogisticRegression(
        C=1 / (training.regularization * len(rows)),
        class_weight="balanced",
        max_iter=_STEPS,
        tol=_TOLERANCE[training.term_frequency],
    )
    with warnings.catch_warnings(), threadpool_limits(1):  # several threads add in an order of their own
        warnings.simplefilter("ignore", ConvergenceWarning)  # the card tells
        regression.fit(examples.frequencies[rows], examples.good[rows])
    weights = np.ascontiguousarray(regression.coef_[0], np.float64)
    intercept, steps = float(regression.intercept_[0]), int(regression.n_iter_[0])
    return HashedWeights(weights, intercept, term_frequency=training.term_frequency), steps


def _margins(model: HashedWeights, examples: Examples, fold: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    rows = np.flatnonzero(examples.fold == fold)
    return examples.frequencies[rows] @ model.weights + model.intercept, examples.good[rows]


def _calibrate(model: HashedWeights, examples: Examples) -> HashedWeights:
    """Fit Platt's line on the second fold: the score is the chance of a document if both sides are equal.

    Each document counts as good by (n + 1)/(n + 2) and 1/(n + 2), which keeps the line finite where a
    threshold separates the sides. Source: Platt 1999, equation 1.

    Raises:
        InputError: Higher values do not mean better documents.
    """
    from sklearn.linear_model import LogisticRegression

    margins, good = _margins(model, examples, CALIBRATE)
    scale = float(margins.std()) or 1.0
    count = np.where(good, good.sum(), (~good).sum())
    chance = np.where(good, count + 1, 1) / (count + 2)
    weight = len(good) / (2 * count)
    line = LogisticRegression(C=1e6).fit(
        np.concatenate([margins, margins])[:, None] / scale,
        np.repeat([1, 0], len(good)),
        np.concatenate([weight * chance, weight * (1 - chance)]),
    )
    slope = float(line.coef_[0, 0]) / scale
    if slope <= 0:
        raise InputError(
            "the model does not tell the two sides apart on documents that it has not seen",
            fix="give more documents, or sides that differ more",
        )
    return dataclasses.replace(model, slope=slope, offset=float(line.intercept_[0]))


def _documents(examples: Examples) -> dict[str, dict[str, int]]:
    return {
        name: {
            fold: int((examples.good[examples.fold == number] == side).sum())
            for fold, number in (("train", TRAIN), ("calibrate", CALIBRATE), ("test", TEST))
        }
        for name, side in (("positive", True), ("negative", False))
    }


def _measure(model: HashedWeights, examples: Examples) -> dict[str, float]:
    """Measure on the third fold: at score 0.5, over all thresholds, and beside what length alone can do."""
    from sklearn.metrics import roc_auc_score

    margins, good = _margins(model, examples, TEST)
    scores = 1 / (1 + np.exp(-np.clip(model.slope * margins + model.offset, -700, 700)))
    kept = scores >= 0.5
    right = int((kept & good).sum())
    precision, recall = right / max(1, int(kept.sum())), right / int(good.sum())
    chance = (2 - scores) ** -9.0
    rows = [np.flatnonzero(examples.fold == fold) for fold in (TRAIN, TEST)]
    trained, tested = (float(roc_auc_score(examples.good[at], examples.sizes[at])) for at in rows)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if right else 0.0,
        "auc": float(roc_auc_score(good, margins)),
        "auc_of_length": tested if trained >= 0.5 else 1 - tested,
        "mean_score_of_positives": float(scores[good].mean()),
        "mean_score_of_negatives": float(scores[~good].mean()),
        "pareto_9_keeps_of_positives": float(chance[good].mean()),
        "pareto_9_keeps_of_negatives": float(chance[~good].mean()),
    }
