"""`crawl links`: Reddit's dumps in, the pages that its users linked and liked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.crawl.mentions import Gather, Groups, Judged
from corpuskit.crawl.outbound import Outbound, day_seconds
from corpuskit.document import SCHEMA
from corpuskit.settings import setting
from corpuskit.stage import Chain, Step, Task

__all__ = ["LINKS", "Links"]

LINKS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("date", SCHEMA.field("date").type),
        pa.field("title", pa.string()),
        pa.field("score", pa.int64()),
        pa.field("score_sum", pa.int64()),
        pa.field("submissions", pa.int64()),
        pa.field("comments", pa.int64()),
        pa.field("subreddits", pa.list_(pa.string())),
    ]
)
"""A row per canonical URL: as and when it was first seen; title and score of the submission liked most."""

Score = Literal["highest", "sum"]
_UNKNOWN = -(1 << 62)
_NEVER = (1 << 63) - 1


@dataclass(frozen=True)
class Links(Chain):
    """Gather the outbound links of Reddit dumps: a row per page, with its karma and subreddits.

    Sources are dumps of submissions or comments, in any of their schemas, or CSV exports of them. A
    submission gives the page it links, a comment the links in its text. Equal pages, by `urls.canonical`, are
    one row: `id` is the hash of that form, `url` and `date` are of the first mention, `title` and `score` of
    the one with the highest score, `score_sum` is the sum of all scores, `submissions` and `comments` count
    mentions, `subreddits` lists where they were made. A score that is not known counts as none at all.

    A mention that gives nothing is a reject, under the first rule that applies:

    - `links.lost` (bytes that cannot be inflated), `links.malformed` (no JSON, or a row of another width) and
      `links.schema` (neither submission nor comment): damage
    - `links.deleted`: nothing left of it; `links.self`: a text without a link; `links.over_18`; `links.date`:
      before `since` or after `until`, in seconds, or undated where these are given
    - `links.scheme`: no http or https address; `links.reddit`: a page of Reddit itself; `links.domain`: a
      host of pictures, video, sound or chat, or in `block_domains`; `links.wikipedia`; `links.file`: a file
      that is no page

    A page that too few liked is the reject `links.score`. Comments without a link are passed over.

    Source: GPT-2 (Radford et al. 2019, 2.1): outbound links with at least 3 karma, no Wikipedia. OpenWebText2
    adds up the scores of a page: `score` is `sum`.

    Raises:
        UsageError: A date that is none.
    """

    name: ClassVar[str] = "crawl.links"
    bad_rules: ClassVar[frozenset[str]] = frozenset({"links.lost", "links.malformed", "links.schema"})

    min_score: int = setting(3, "least karma of a page")
    score: Score = setting(
        "highest", "the karma compared: that of the submission liked most, or the sum of all"
    )
    self_text: bool = setting(False, "take the links in the text of self posts too")
    over_18: bool = setting(False, "take what is marked as not for minors too")
    wikipedia: bool = setting(False, "take links to Wikipedia too")
    pages_only: bool = setting(
        True, "leave out hosts of pictures, video, sound and chats, and files that are no pages"
    )
    block_domains: tuple[str, ...] = setting((), "files of hosts and registrable domains to leave out")
    since: str | None = setting(None, "first day of submissions to take, such as 2008-01-01")
    until: str | None = setting(None, "last day of submissions to take")

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            day_seconds(name, getattr(self, name))

    def content(self) -> Mapping[str, str]:
        """Digest the block lists."""
        return self._outbound.content()

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of links."""
        return LINKS

    def plan(self, *sources: str) -> list[Task]:
        """Plan what its first step does: a task per file."""
        return self._outbound.plan(*sources)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: mentions, and the links they are gathered into."""
        return Step(self._outbound, sources=True), Step(settings.passed_on(GatherLinks, self), steps=(0,))

    @property
    def _outbound(self) -> Outbound:
        step: Outbound = settings.passed_on(Outbound, self)
        return step


@dataclass(frozen=True)
class GatherLinks(Gather):
    """The second step: one row for each page, and whether its karma is enough."""

    name: ClassVar[str] = Links.name
    bad_rules: ClassVar[frozenset[str]] = Links.bad_rules

    min_score: int
    score: Score

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of links."""
        return LINKS

    def links(self, groups: Groups) -> Mapping[str, pa.Array]:
        """Gather the mentions of each page."""
        rows = groups.rows
        known = np.asarray(rows["score"].is_valid())
        scores = rows["score"].fill_null(_UNKNOWN).to_numpy()
        dates = rows["date"].cast(pa.int64()).fill_null(_NEVER).to_numpy()
        comment = np.asarray(rows["comment"], bool)
        untitled = np.asarray(rows["title"].is_null())
        seen = pa.array(groups.first(dates))
        best = groups.first(-scores, untitled)
        highest = scores[groups.first(-scores)]
        unknown = highest == _UNKNOWN
        of, names, _ = groups.pairs("subreddit", np.ones(len(rows), np.int64))
        return {
            "url": rows["url"].take(seen),
            "date": rows["date"].take(seen),
            "title": rows["title"].take(pa.array(best)),
            "score": pa.array(highest, mask=unknown),
            "score_sum": pa.array(groups.total(np.where(known, scores, 0)), mask=unknown),
            "submissions": pa.array(groups.total((~comment).astype(np.int64))),
            "comments": pa.array(groups.total(comment.astype(np.int64))),
            "subreddits": pa.ListArray.from_arrays(groups.offsets(of), names),
        }

    def judge(self, links: pa.RecordBatch) -> Judged | None:
        """Say which pages too few liked."""
        values = links["score" if self.score == "highest" else "score_sum"]
        enough = pc.fill_null(pc.greater_equal(values, self.min_score), False)
        return Judged("links.score", pc.invert(enough), values, self.min_score)
