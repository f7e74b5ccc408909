"""`crawl webtext`: Reddit's dumps in, the pages that its users liked out as documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from corpuskit import settings
from corpuskit.crawl.extract import ExtractorName
from corpuskit.crawl.fetch import Fetch
from corpuskit.crawl.links import Links, Score
from corpuskit.crawl.warc import Warc
from corpuskit.settings import setting
from corpuskit.stage import Chain, Stage, Step, Task

__all__ = ["WebText"]


@dataclass(frozen=True)
class WebText(Chain):
    """Build a WebText: the pages that Reddit's users linked and liked, fetched politely, as documents.

    Three steps, each a command of its own with more settings: `crawl links` on the dumps, `crawl fetch` on
    what that finds, `crawl warc` on what that fetches. The links, the archives and what was fetched stay in
    `TARGET/steps`; documents have the score and the subreddits of their link as columns.

    Source: GPT-2 (Radford et al. 2019, 2.1). Deviation: the text is trafilatura's, not Dragnet's.

    Raises:
        UsageError: A setting outside its range, or no contact.
    """

    name: ClassVar[str] = "crawl.webtext"
    bad_rules: ClassVar[frozenset[str]] = Warc.bad_rules
    patient: ClassVar[bool] = True
    fetcher: ClassVar[type[Fetch]] = Fetch

    contact: str = setting(
        dataclasses.MISSING, "a mail address or web page for those whose hosts are asked", content=False
    )
    min_score: int = setting(3, "least karma of a page")
    score: Score = setting(
        "highest", "the karma compared: that of the submission liked most, or the sum of all"
    )
    over_18: bool = setting(False, "take what is marked as not for minors too")
    wikipedia: bool = setting(False, "take links to Wikipedia too")
    block_domains: tuple[str, ...] = setting((), "files of hosts and registrable domains to leave out")
    since: str | None = setting(None, "first day of submissions to take, such as 2008-01-01")
    until: str | None = setting(None, "last day of submissions to take")
    delay: float = setting(5.0, "seconds from the end of a request to the next to that host", content=False)
    retries: int = setting(2, "how often to try again after network errors, 429 and 5xx", content=False)
    threads: int = setting(64, "most requests at a time, in each worker", content=False)
    extractor: ExtractorName = setting("trafilatura", "how the main text is found")
    precision: bool = setting(True, "with trafilatura: rather lose text than keep boilerplate")
    source: str | None = setting("webtext", "name of the collection")

    def __post_init__(self) -> None:
        self.steps()  # raises where a setting is out of range

    def content(self) -> Mapping[str, str]:
        """Digest what the steps' settings name."""
        return {name: digest for step in self.steps() for name, digest in step.stage.content().items()}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of documents with the columns of their links."""
        for step in self.steps():
            schema = step.stage.writes(schema)
        return schema

    def plan(self, *sources: str) -> list[Task]:
        """Plan what the first step does: a task per dump."""
        return self.steps()[0].stage.plan(*sources)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: links, fetch, warc."""
        links, fetch, warc = (self._step(kind) for kind in (Links, self.fetcher, Warc))
        return (
            Step(links, sources=True, kept=True),
            Step(fetch, steps=(0,), kept=True),
            Step(warc, steps=(1,)),
        )

    def _step(self, kind: type[Stage]) -> Stage:
        stage: Stage = settings.passed_on(kind, self)
        return stage
