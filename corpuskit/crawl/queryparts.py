"""The parts of a query list, each with its queries in order: the best, then the most frequent first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.crawl.countfile import Entries, entries
from corpuskit.crawl.logs import Fault
from corpuskit.crawl.pmi import SCORED, Wanted, best_first
from corpuskit.crawl.wordnet import is_lexicon, lexicon, synset_names
from corpuskit.dataset import Dataset

__all__ = ["PART", "SOURCES", "PartReader"]

SOURCES = ("numbers", "wordnet", "words", "bigrams", "titles", "file")
"""Where queries come from, in the order in which they stand; MetaCLIP's, and files of one's own last."""

PART = pa.schema(
    [
        pa.field("query", pa.large_string(), nullable=False),
        pa.field("count", pa.int64()),
        pa.field("pmi", pa.float64()),
    ]
)
"""A query of a part, no two of which are the same."""

_SPACE = pa.scalar(" ", pa.large_string())


@dataclass
class PartReader:
    """Reads the parts of a list; `facts` says what was too rare, `faults` which lines of files are damaged.

    With `plain` queries stay as they are written; else each is brought under Unicode's form C, which is how
    the web is written: in another form it would match next to nothing.
    """

    plain: bool
    facts: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[str, str, list[Fault]]] = field(default_factory=list)

    def numbers(self) -> pa.Table:
        """List the numbers with which MetaCLIP begins."""
        texts = pa.array([str(number) for number in range(100)], pa.large_string())
        return pa.table([texts, pa.nulls(100, pa.int64()), pa.nulls(100, pa.float64())], schema=PART)

    def wordnet(self, paths: Sequence[str], name: str | None) -> pa.Table:
        """Read the synsets of files, or of a lexicon."""
        if name is not None and is_lexicon(name):
            return self._part([_table(lexicon(name, cut=self.plain))])
        return self._part(self._read("wordnet", path, synset_names(path, cut=self.plain)) for path in paths)

    def listed(self, paths: Sequence[str]) -> pa.Table:
        """Read files of queries."""
        return self._part(self._read("file", path, entries(path)) for path in paths)

    def counted(self, path: str, least: int, rare: str) -> pa.Table:
        """Read the words or titles of a dataset that occur at least so often, or nobody knows how often."""
        found = []
        for batch in Dataset(path).batches():
            enough = pc.fill_null(pc.greater_equal(batch["count"], least), True)
            kept = batch.filter(enough)
            if len(kept) < len(batch):
                self.facts[rare] = self.facts.get(rare, 0) + len(batch) - len(kept)
            found.append(_rows(kept["word"], kept["count"]))
        return self._part(found)

    def bigrams(self, path: str, wanted: Wanted) -> pa.Table:
        """Read the bigrams that are wanted."""
        pairs = SCORED.empty_table()
        for batch in Dataset(path).batches():
            found = pa.Table.from_batches([batch])
            if wanted.least is not None:
                pairs = pa.concat_tables([pairs, found.filter(pc.greater_equal(found["pmi"], wanted.least))])
            else:
                pairs = best_first(pa.concat_tables([pairs, found])).slice(0, wanted.top)
        texts = pc.binary_join_element_wise(pairs["first"], pairs["second"], _SPACE)
        return self._part([pa.table([texts, pairs["count"], pairs["pmi"]], schema=PART)])

    def _read(self, name: str, path: str, found: Iterator[Entries]) -> pa.Table:
        tables = [PART.empty_table()]
        for some in found:
            if some.faults:
                self.faults.append((name, path, some.faults))
            tables.append(_table(some))
        return pa.concat_tables(tables)

    def _part(self, tables: Iterator[pa.Table] | Sequence[pa.Table]) -> pa.Table:
        """Make one part of tables: a query that is written twice is one, and its counts are added up."""
        rows = pa.concat_tables([PART.empty_table(), *tables])
        texts = pc.utf8_trim_whitespace(rows["query"])
        if not self.plain:
            texts = pc.utf8_normalize(pc.replace_substring_regex(texts, r"\s+", " "), "NFC")
        rows = rows.set_column(0, PART.field(0), texts)
        rows = rows.group_by("query").aggregate([("count", "sum"), ("pmi", "max")])
        order = [("pmi_max", "descending"), ("count_sum", "descending"), ("query", "ascending")]
        rows = rows.sort_by(order)
        return pa.table([rows["query"], rows["count_sum"], rows["pmi_max"]], schema=PART)


def _table(found: Entries) -> pa.Table:
    return _rows(found.texts, found.counts)


def _rows(texts: pa.Array, counts: pa.Array) -> pa.Table:
    return pa.table([texts, counts, pa.nulls(len(texts), pa.float64())], schema=PART)
