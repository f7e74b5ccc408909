"""`crawl queries`: CLIP's list of queries, made of words, bigrams, titles and WordNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pyarrow as pa

from corpuskit import settings
from corpuskit.crawl.counts import Totals
from corpuskit.crawl.matching import Compat
from corpuskit.crawl.pmi import PairTally, Score, Wanted
from corpuskit.crawl.querylist import QUERIES, Listing
from corpuskit.crawl.sourcecounts import STAGE, SourceTally, TitleTally, file_inputs, is_dataset
from corpuskit.crawl.wordnet import is_lexicon, wordnet_files
from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.stage import Chain, Step, Task

__all__ = ["QUERIES", "Queries"]

_COUNTS = ("min_count", "min_bigram_count", "min_hourly_views", "min_views", "buckets")


@dataclass(frozen=True)
class Queries(Chain):
    """Make CLIP's list of queries: WordNet, frequent words, bigrams and titles, each without those before.

    Sources are documents, whose words are counted, and files of a word, or two in a row, and its count; all
    are added up. Titles come from hourly page views, from files of titles, with their views or without, or
    from the column `title` of documents. Within a source, the highest PMI comes first, then the highest
    count, then the alphabet. The rows are `QUERIES`; `count` is null where none is told.

    Queries that are the same to `Matcher`, which folds case and marks, are one: the first. With `compat` the
    list is MetaCLIP's: the numbers 0 to 99 stand first, words of documents keep their case, synsets are cut
    at a full stop, nothing is folded or repaired, and what can never match stays, and is counted.

    Rejects, whose `origin` is source and query, or file and offset:

    - `queries.duplicate`: the same as `twin`; `queries.unmatchable`: it has no letter and no digit, so that
      nothing could match it; with `compat` it is a mark of ASCII alone
    - `queries.malformed`: a line that is no entry; `queries.lost`: bytes that cannot be inflated. Both are
      damage

    Words, pairs and titles are added up a share at a time; the list itself is held in memory.

    Source: Radford et al. 2021 (CLIP), section 2.2; its thresholds are not published, so those of Xu et al.
    2023 (MetaCLIP), appendix A, are the defaults. CLIP says WordNet comes last: the order decides only which
    of two that are the same is named as the source.

    Raises:
        UsageError: A setting outside its range.
    """

    name: ClassVar[str] = STAGE
    bad_rules: ClassVar[frozenset[str]] = Listing.bad_rules

    min_count: int = setting(100, "least count of a word")
    bigrams: str | None = setting(
        None, "take pairs of words in a row: pmi:30, or the best by PMI as top:100000  [default: none]"
    )
    min_bigram_count: int | None = setting(
        None,
        "least count of a bigram  [default: 10 with top, as rare pairs have the highest PMI; 1 with pmi]",
    )
    titles: tuple[str, ...] = setting(
        (), "page views, files of titles, or documents that have titles", content=False
    )
    title_column: str | None = setting(
        None, "column of the title in tables, by its name or its number from 1"
    )
    project: str = setting("en", "the project whose page views count")
    min_hourly_views: int = setting(50, "least views in an hour for that hour to count")
    min_views: int = setting(70, "least views of a title, where they are known")
    wordnet: str | None = setting(
        None, "folder of WordNet's files, or a lexicon of the package wn such as oewn:2024", content=False
    )
    extra: tuple[str, ...] = setting((), "files of further queries, one a line", content=False)
    compat: Compat | None = setting(None, "make the list of another system, flaws and all")
    buckets: int = setting(64, "shares of what is counted that are added up one at a time", content=False)

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{self.name}: {name} is {value}", fix="at least 1")
        if self.bigrams is not None:
            Wanted.of(self.bigrams)
        if self.title_column is not None and not self.titles:
            raise UsageError(f"{self.name}: a title_column, but no titles", fix="give --titles too")

    def content(self) -> Mapping[str, str]:
        """Digest the files that settings name."""
        return self._content

    @cached_property
    def _content(self) -> Mapping[str, str]:
        named = {"titles": self.titles, "extra": self.extra}
        told = {name: _identity(paths) for name, paths in named.items() if paths}
        if self.wordnet is not None:
            name = self.wordnet
            told["wordnet"] = name if is_lexicon(name) else _identity(wordnet_files(name))
        return told

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of queries."""
        return QUERIES

    def plan(self, *sources: str) -> list[Task]:
        """Plan what its first step does: a task per part, and per file."""
        return self.steps()[0].stage.plan(*sources)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: words; pairs and their PMI; titles; the list."""
        steps = [Step(SourceTally("word", self.buckets, self.compat), sources=True)]
        steps.append(Step(Totals("word", None, self.buckets), steps=(0,)))
        read = [0, 1]
        if self.bigrams is not None:
            least = self._least_pairs
            pairs = PairTally("pair", self.buckets, self.compat, self.bigrams, least)
            steps.append(Step(pairs, steps=(1,), sources=True))
            steps.append(Step(Totals("pair", least, self.buckets), steps=(2,)))
            steps.append(Step(Score(self.bigrams, least), steps=(1, 3)))
            read.append(4)
        if self.titles:
            first = len(steps)
            rules = (self.title_column, self.project, self.min_hourly_views, self.compat)
            steps.append(Step(TitleTally("word", self.buckets, self.titles, *rules)))
            steps.append(Step(Totals("word", None, self.buckets), steps=(first,)))
            read += [first, first + 1]
        return (*steps, Step(self._listing, steps=tuple(read)))

    @property
    def _least_pairs(self) -> int:
        by_rank = self.bigrams is not None and Wanted.of(self.bigrams).top is not None
        return self.min_bigram_count or (10 if by_rank else 1)

    @property
    def _listing(self) -> Listing:
        bounds = (self.min_count, self.bigrams, self.min_views)
        return Listing(*bounds, bool(self.titles), self.compat, self.wordnet, self.extra)

    def recounts(self, dataset: Dataset) -> tuple[str, ...]:
        """Say how many bigrams such a corpus can give, where fewer were found than were asked for."""
        facts = dataset.manifest["stages"][-1].get("facts", {})
        top = Wanted.of(self.bigrams).top if self.bigrams is not None else None
        pairs = facts.get("pairs often enough", 0)
        if top is None or pairs >= top:
            return ()
        often = f"{self._least_pairs} time{'s' * (self._least_pairs > 1)}"
        return (f"bigrams: {pairs:,}, not {top:,}, as no more pairs of words occur {often}",)


def _identity(paths: Sequence[str]) -> str:
    """Digest what lies at some paths: datasets by their manifests, files by their bytes."""
    found: list[object] = []
    for path in paths:
        found += (
            [Dataset(path).sha256]
            if is_dataset(path)
            else [[item.name, item.size, item.identity] for item in file_inputs([path])]
        )
    return settings.digest(found)
