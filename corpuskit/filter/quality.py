"""`filter quality`: score documents with a trained model, and keep the best, or most of the better."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import seeds
from corpuskit.document import reject_rows
from corpuskit.errors import UsageError
from corpuskit.filter.qualitymodel import LABEL, digest, load
from corpuskit.filter.signals.signal import Scan, Signal
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage

__all__ = ["COLUMN", "Quality", "quality_score", "required_scores"]

COLUMN = "quality_score"


def quality_score(model: str, label: str = LABEL) -> Signal:
    """Make the signal of a model: `corpuskit.filter.signals.register` gives it to rule tables.

    The model is read when the first batch comes.

    >>> quality_score("models/quality").name
    'quality_score'
    """
    return Signal(
        COLUMN,
        pa.float64(),
        "How sure the quality model is that the document is one of the good, 0 to 1.",
        lambda scan: load(model, label).scores(scan.column("text")),
    )


@dataclass(frozen=True)
class Quality(Stage):
    """Write a quality model's score of each document into `quality_score`, and keep some documents.

    With neither `min_score` nor `pareto` every document stays. With `min_score` those of at least that score
    stay. With `pareto` a document of score s stays with the probability (2 - s)^-pareto, drawn from its id:
    of the best nearly all, and of the worst one in five hundred, so that what the model misjudges is not lost
    altogether. Rejects have the score as their value; the bound of `quality.pareto` is the score that the
    document's draw asked for. Where a fastText model says nothing the score is null, and the document goes.

    Source: Brown et al. 2020 (GPT-3), appendix A: keep where `np.random.pareto(9) > 1 - score`; numpy's
    pareto is Lomax's. Deviation: the draw is a hash of the id, so it repeats. DCLM (arXiv:2406.11794): a
    fastText model, score > 0.018112 (`min_score` itself is kept).

    Raises:
        UsageError: `min_score` and `pareto` together; a `min_score` outside 0 to 1; a `pareto` not above 0.
    """

    name = "filter.quality"

    model: str = setting(dataclasses.MISSING, "a folder that train quality wrote, or fastText's .bin or .ftz")
    min_score: float | None = setting(None, "keep what scores at least this, 0 to 1")
    pareto: float | None = setting(None, "keep by chance, the better the likelier: 9 as for GPT-3")
    seed: int = setting(0, "with pareto: another seed draws other documents")
    label: str = setting(LABEL, "with a fastText model: the label of a good document")

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.min_score is not None and self.pareto is not None:
            raise UsageError(
                f"{self.name}: min_score and pareto are given together", fix="choose one of the two"
            )
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise UsageError(
                f"{self.name}: min_score is {self.min_score}", fix="give a score between 0 and 1"
            )
        if self.pareto is not None and not (0 < self.pareto < math.inf):
            raise UsageError(f"{self.name}: pareto is {self.pareto}", fix="give a number above 0, such as 9")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that the score is there."""
        at, field = schema.get_field_index(COLUMN), pa.field(COLUMN, pa.float64())
        return schema.append(field) if at < 0 else schema.set(at, field)

    def content(self) -> Mapping[str, str]:
        """Return the digest of the model."""
        return {"model": digest(self.model)}

    def split(self, batch: pa.RecordBatch) -> Split:
        """Score, and reject what is not to be kept."""
        scores = quality_score(self.model, self.label).values(Scan(batch))
        schema = self.writes(batch.schema)
        columns = [scores if field.name == COLUMN else batch[field.name] for field in schema]
        scored = pa.RecordBatch.from_arrays(columns, schema=schema)
        if self.min_score is not None:
            rule, bounds = "quality.min_score", np.full(len(batch), self.min_score)
        elif self.pareto is not None:
            rule, bounds = "quality.pareto", required_scores(self.pareto, self.seed, batch["id"])
        else:
            return Split(scored)
        keep = pc.fill_null(pc.greater_equal(scores, pa.array(bounds)), False)
        rows = pa.array(np.flatnonzero(~np.asarray(keep)))
        rejected = reject_rows(
            batch, self.name, rule, rows, value=scores.take(rows), bound=pa.array(bounds).take(rows)
        )
        return Split(scored.filter(keep), rejected)


def required_scores(alpha: float, seed: int, ids: pa.Array) -> npt.NDArray[np.float64]:
    """Draw for each id the score it must have to stay: at most 1; s is enough in (2 - s)^-alpha of cases.

    1 minus a Lomax (numpy: Pareto) variate of shape `alpha`, by the inverse of its distribution.

    >>> required_scores(9, 0, pa.array(["a", "b"])).round(3).tolist()
    [0.987, 0.8]
    """
    with np.errstate(divide="ignore"):  # a draw of 0 asks for nothing
        return np.asarray(2 - seeds.draw(seed, ids) ** (-1 / alpha), np.float64)
