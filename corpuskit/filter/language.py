"""`filter language`: annotate documents with their language and keep some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.document import SCHEMA, reject_rows
from corpuskit.errors import UsageError
from corpuskit.language import detect, language, model_digest
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage

__all__ = ["Language"]

_COLUMNS = ("lang", "lang_score")


@dataclass(frozen=True)
class Language(Stage):
    """Write each document's language into `lang` (ISO 639-3) and `lang_score` (0 to 1), and keep some.

    With nothing in `keep` every document stays. Otherwise one goes by the rule `language.keep` if it is in
    another language or, empty, in none, and by `language.min_score` if the model is less sure of it than
    `min_score`. The value of both is the score; both are recorded where both are broken.

    Source: FineWeb (arXiv:2406.17557), section 3.3: English with a score of at least .65.

    Raises:
        UsageError: A language the model does not know, or a `min_score` outside 0 to 1.

    >>> from corpuskit.testing import documents
    >>> split = Language(keep=("en",)).split(documents(["How are you today?", "Wie geht es dir?"]))
    >>> split.kept["lang"].to_pylist(), split.rejected["rule"].to_pylist()
    (['eng'], ['language.keep'])
    """

    name = "filter.language"

    keep: tuple[str, ...] = setting(
        (), "languages to keep, such as en or eng; none given: annotate and keep all"
    )
    min_score: float = setting(0.65, "with keep: how sure the model must be of the language, 0 to 1")

    def __post_init__(self) -> None:
        """Check the settings, and bring `keep` under one spelling."""
        object.__setattr__(self, "keep", tuple(sorted({language(name) for name in self.keep})))
        if not 0 <= self.min_score <= 1:
            raise UsageError(
                f"{self.name}: min_score is {self.min_score}", fix="give a score between 0 and 1"
            )

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that the two columns are there."""
        for field in map(SCHEMA.field, _COLUMNS):
            at = schema.get_field_index(field.name)
            schema = schema.append(field) if at < 0 else schema.set(at, field)
        return schema

    def content(self) -> Mapping[str, str]:
        """Return the digest of the language model."""
        return {"model": model_digest()}

    def split(self, batch: pa.RecordBatch) -> Split:
        """Annotate, and reject what is not to be kept."""
        langs, scores = detect(batch["text"])
        found = dict(zip(_COLUMNS, (langs, scores), strict=True))
        schema = self.writes(batch.schema)
        columns = [found.get(field.name) or batch[field.name] for field in schema]
        annotated = pa.RecordBatch.from_arrays(columns, schema=schema)
        if not self.keep:
            return Split(annotated)
        other = np.asarray(pc.invert(pc.is_in(langs, pa.array(self.keep, pa.string()))))
        unsure = np.asarray(pc.fill_null(pc.less(scores.cast(pa.float64()), self.min_score), False))
        broken = [("language.keep", other, None), ("language.min_score", unsure, self.min_score)]
        rejects = [
            reject_rows(batch, self.name, rule, rows, value=scores.take(rows), bound=bound)
            for rule, where, bound in broken
            for rows in [pa.array(np.flatnonzero(where))]
        ]
        return Split(annotated.filter(pa.array(~(other | unsure))), pa.concat_batches(rejects))
