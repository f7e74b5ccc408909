"""Write a stage of your own: its fields are its settings, and `split` says what is kept."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import Split, Stage, reject_rows, setting
from corpuskit.testing import check_stage, documents


@dataclass(frozen=True)
class Questions(Stage):
    """Keep documents that ask at least so many questions."""

    name = "filter.questions"

    least: int = setting(1, "question marks a document must have")

    def split(self, batch: pa.RecordBatch) -> Split:
        """Count question marks; what has too few becomes a reject with its count and the bound."""
        count = pc.count_substring(batch["text"], "?")
        keep = pc.greater_equal(count, self.least)
        rows = pc.indices_nonzero(pc.invert(keep))
        values = count.take(rows).cast(pa.float64())
        rejected = reject_rows(batch, self.name, "questions.min", rows, value=values, bound=float(self.least))
        return Split(batch.filter(keep), rejected)


docs = documents(["Who rings so late?", "Nobody.", "Why? And why now?"])
check_stage(Questions(least=2), docs)  # the laws every stage keeps: nothing lost, nothing doubled, ...
print("kept:", Questions(least=2).split(docs).kept["text"].to_pylist())
