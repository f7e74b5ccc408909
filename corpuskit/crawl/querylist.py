"""The last step of `crawl queries`: its parts in order, each without what came before or can never match."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.crawl.matching import Compat, Matcher
from corpuskit.crawl.pmi import Wanted
from corpuskit.crawl.queryparts import PART, SOURCES, PartReader
from corpuskit.crawl.sourcecounts import STAGE, fault_rows, file_inputs
from corpuskit.crawl.wordnet import is_lexicon, wordnet_files
from corpuskit.dataset import Dataset, cut
from corpuskit.document import BATCH_BYTES, REJECT, document_id
from corpuskit.errors import InputError
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["QUERIES", "Listing"]

QUERIES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("count", pa.int64()),
        pa.field("pmi", pa.float64()),
    ]
)
"""A query as it is matched and shown, where it is from, how often it occurs or is viewed, a bigram's PMI."""

_FORBIDDEN = pa.array(list(string.punctuation), pa.large_string())
_AT_ONCE = 1 << 16
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Listing(Stage):
    """Makes one list of all parts. It is held in memory, as it will be when it is matched."""

    name: ClassVar[str] = STAGE
    bad_rules: ClassVar[frozenset[str]] = frozenset({"queries.lost", "queries.malformed"})

    min_count: int
    bigrams: str | None
    min_views: int
    titled: bool
    compat: Compat | None
    wordnet: str | None = setting(None, "where WordNet is", content=False)
    extra: tuple[str, ...] = setting((), "files of further queries", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of queries."""
        return QUERIES

    def plan(self, *sources: str) -> list[Task]:
        """Make it one task, over what counted words, words, bigrams, what added up titles, and titles.

        Raises:
            InputError: There are words, but no bigram is good enough.
        """
        names = ["word tally", "words"]
        names += ["bigrams"] if self.bigrams else []
        names += ["title tally", "titles"] if self.titled else []
        inputs = [(name, dataset_input(path)) for name, path in zip(names, sources, strict=True)]
        if self.bigrams:
            _check_bigrams(Dataset(sources[2]), Wanted.of(self.bigrams))
        if self.wordnet and not is_lexicon(self.wordnet):
            inputs += [("wordnet", item) for item in file_inputs(wordnet_files(self.wordnet))]
        inputs += [("file", item) for item in file_inputs(self.extra)]
        return [Task(tuple(item for _, item in inputs), QUERIES, {"inputs": [name for name, _ in inputs]})]

    def run(self, task: Task) -> Iterator[Split]:
        """Read the parts, and divide what they hold."""
        paths: dict[str, list[str]] = {}
        for name, item in zip(task.work["inputs"], task.inputs, strict=True):
            paths.setdefault(name, []).append(item.path)
        nothing = pa.RecordBatch.from_pylist([], QUERIES)
        for path in (*paths["word tally"], *paths.get("title tally", ())):
            for batch in Dataset(path).reject_batches():
                yield Split(nothing, batch)
        reader = PartReader(plain=self.compat is not None)
        joined = _Joined.of(self._parts(reader, paths))
        for name, path, faults in reader.faults:
            yield Split(nothing, fault_rows(path, name, faults))
        yield from self._divided(joined, reader.facts)

    def _parts(self, reader: PartReader, paths: Mapping[str, list[str]]) -> dict[str, pa.Table]:
        parts = {"words": reader.counted(paths["words"][0], self.min_count, "words too rare")}
        if self.compat:
            parts["numbers"] = reader.numbers()
        if self.wordnet:
            parts["wordnet"] = reader.wordnet(paths.get("wordnet", []), self.wordnet)
        if self.bigrams:
            parts["bigrams"] = reader.bigrams(paths["bigrams"][0], Wanted.of(self.bigrams))
        if self.titled:
            parts["titles"] = reader.counted(paths["titles"][0], self.min_views, "titles too rarely viewed")
        if self.extra:
            parts["file"] = reader.listed(paths["file"])
        return {name: parts[name] for name in SOURCES if name in parts}

    def _divided(self, joined: _Joined, facts: Mapping[str, int]) -> Iterator[Split]:
        """Divide the list into queries, those that are one again, and those that can never match."""
        matcher = Matcher(joined.texts, self.compat)
        same = matcher.trie.same.astype(np.int64)
        if self.compat:  # what MetaCLIP leaves out
            same[
                np.asarray(pc.or_(pc.is_in(joined.texts, _FORBIDDEN), pc.equal(joined.texts, "")), bool)
            ] = -1
        first = same == np.arange(len(same))
        queries = joined.queries(first)
        told = {f"from {name}": int((joined.sources[first] == name).sum()) for name in joined.names}
        told |= facts
        if self.compat:
            told["cannot match"] = int(first.sum()) - _matching(matcher, joined.texts, first)
        again, never = np.flatnonzero((same >= 0) & ~first), np.flatnonzero(same < 0)
        twins = queries["id"].take(pa.array((np.cumsum(first) - 1)[same[again]], pa.int64()))
        rejected = [joined.rejects(again, "duplicate", twins), joined.rejects(never, "unmatchable", None)]
        yield Split(queries.slice(0, 0), pa.concat_batches(rejected), facts=told)
        for batch in cut(queries, BATCH_BYTES):
            yield Split(batch)


class _Joined(NamedTuple):
    """All parts, one after the other: their queries and the source of each."""

    names: list[str]
    sources: npt.NDArray[np.str_]
    texts: pa.LargeStringArray
    counts: pa.Int64Array
    pmi: pa.DoubleArray

    @classmethod
    def of(cls, parts: Mapping[str, pa.Table]) -> _Joined:
        """Join parts in their order."""
        rows = pa.concat_tables(parts.values()).combine_chunks()
        columns = [pa.concat_arrays([pa.nulls(0, field.type), *rows[field.name].chunks]) for field in PART]
        sources = np.repeat(np.array(list(parts), np.str_), [len(part) for part in parts.values()])
        return cls(list(parts), sources, *columns)

    def queries(self, first: npt.NDArray[np.bool_]) -> pa.RecordBatch:
        """Lay out the queries that are the first of their kind; a query has one id in every list."""
        kept = pa.array(first)
        texts = self.texts.filter(kept)
        ids = [document_id(STAGE, f"query {text}", "") for text in texts.to_pylist()]
        columns = [
            pa.array(ids, pa.string()),
            texts.cast(pa.string()),
            pa.array(self.sources[first], pa.string()),
            self.counts.filter(kept),
            self.pmi.filter(kept),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=QUERIES)

    def rejects(self, rows: Numbers, rule: str, twins: pa.Array | None) -> pa.RecordBatch:
        """Lay out queries that go; `origin` says where each is from, and what it is."""
        told = [f"{self.sources[row]}: {self.texts[int(row)].as_py()}" for row in rows]
        columns = {
            "id": pa.array([document_id(STAGE, f"reject {text}", "") for text in told], pa.string()),
            "origin": pa.array(told, pa.string()),
            "stage": pa.array([STAGE] * len(told), pa.string()),
            "rule": pa.array([f"queries.{rule}"] * len(told), pa.string()),
            "twin": twins,
        }
        arrays = [
            pa.nulls(len(told), field.type) if columns.get(field.name) is None else columns[field.name]
            for field in REJECT
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=REJECT)


def _matching(matcher: Matcher, texts: pa.LargeStringArray, first: npt.NDArray[np.bool_]) -> int:
    """Count the queries that are found in a text which is the query itself."""
    total = 0
    for start in range(0, len(texts), _AT_ONCE):
        found = matcher.find(texts.slice(start, _AT_ONCE))
        rows = np.repeat(np.arange(start, start + len(found.offsets) - 1), np.diff(found.offsets))
        total += int((first[rows] & (found.phrases == rows)).sum())
    return total


def _check_bigrams(scored: Dataset, wanted: Wanted) -> None:
    """Raise InputError where there are pairs, but none as good as is wanted."""
    if not scored.rows or wanted.least is None:
        return
    most = max(pc.max(batch["pmi"]).as_py() for batch in scored.batches(["pmi"]))
    if most < wanted.least:
        raise InputError(
            f"{STAGE}: 0 bigrams have a PMI of {wanted.least:g}: the highest is {most:.2f}",
            fix=f"take the best with --bigrams top:N, or lower the bound, like --bigrams pmi:{most // 2:g}",
        )
