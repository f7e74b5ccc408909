"""The first step of `crawl links`: every outbound link of Reddit's dumps, and why other items give none."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import urls
from corpuskit.crawl import reddit
from corpuskit.crawl.gates import read_block_list
from corpuskit.crawl.mentions import Sorter, canonical_column, faults, file_tasks, host_column, mention_schema
from corpuskit.document import SCHEMA
from corpuskit.errors import UsageError
from corpuskit.stage import Split, Stage, Task

__all__ = ["Outbound", "day_seconds"]

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_DATE = SCHEMA.field("date")
_OWN = [
    _DATE,
    pa.field("title", pa.string()),
    pa.field("score", pa.int64()),
    pa.field("subreddit", pa.string()),
    pa.field("comment", pa.bool_()),
]
_MENTIONS = mention_schema(_OWN)

_MEDIA_HOSTS = Path(__file__).parent / "tables" / "media-hosts.txt"
_REDDIT = frozenset({"reddit.com", "redd.it", "redditmedia.com", "reddituploads.com", "reddit.app.link"})
_WIKIPEDIA = frozenset({"wikipedia.org"})
# Names that end like these are no pages: pictures, video, sound, archives, programs, office files, data.
_FILE = (
    r"(?i)\Ahttps?://[^/?]*/[^?]*\.(?:avif|bmp|gifv?|ico|jpe?g|png|psd|svg|tiff?|webp"
    r"|3gp|avi|flv|m4v|mkv|mov|mp4|mpe?g|ogv|webm|wmv|aac|flac|m4a|midi?|mp3|og[ag]|opus|wav|wma"
    r"|7z|apk|bin|bz2|deb|dmg|exe|gz|iso|jar|msi|rar|rpm|tar|tgz|torrent|xz|zip"
    r"|docx?|epub|mobi|odt|pdf|pp[st]x?|ps|rtf|xlsx?|csv|dat|log)(?:\?|\z)"
)
_DAY = 86_400


def day_seconds(name: str, day: str | None) -> float | None:
    """Turn the first or last day of a span into seconds since 1970: when it begins, or its last second.

    Raises:
        UsageError: It is no day.

    >>> day_seconds("since", "1970-01-02"), day_seconds("until", "1970-01-01"), day_seconds("until", None)
    (86400.0, 86399.0, None)
    """
    if day is None:
        return None
    try:
        start = datetime.datetime.combine(datetime.date.fromisoformat(day), datetime.time(), datetime.UTC)
    except ValueError:
        raise UsageError(f"{name} is {day!r}", fix="write a day like 2017-11-30") from None
    return start.timestamp() + (_DAY - 1 if name == "until" else 0)


@dataclass(frozen=True)
class Outbound(Stage):
    """Writes a row for every link of a submission or comment, and one for everything that gives no link."""

    name: ClassVar[str] = "crawl.links.outbound"

    self_text: bool
    over_18: bool
    wikipedia: bool
    pages_only: bool
    block_domains: tuple[str, ...]
    since: str | None
    until: str | None

    def content(self) -> Mapping[str, str]:
        """Digest the block lists."""
        entries = "\n".join(sorted(self._domains))
        return {"block_domains": hashlib.sha256(entries.encode()).hexdigest()} if entries else {}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of mentions."""
        return _MENTIONS

    def plan(self, *sources: str) -> list[Task]:
        """Plan a task per file."""
        return file_tasks(sources, _MENTIONS)

    def run(self, task: Task) -> Iterator[Split]:
        """Read one file."""
        sorter = Sorter(task)
        for chunk in reddit.read(task.inputs[0].path):
            found = _mentions(chunk, self.self_text)
            keys = canonical_column(found["url"])
            yield from sorter.add({**found, **self._judge(found, keys)}, found["place"], keys)
            yield from sorter.add(*faults(chunk.faults, "links"))
        yield from sorter.rest()

    def _judge(self, found: Mapping[str, pa.Array], keys: pa.StringArray) -> dict[str, pa.Array]:
        """Say by which rule each mention goes, the first that applies; null where none does."""
        seconds = pc.divide(found["date"].cast(pa.int64()), 1000).cast(pa.float64())
        first, last = day_seconds("since", self.since), day_seconds("until", self.until)
        early, late = _beyond(seconds, first, pc.less), _beyond(seconds, last, pc.greater)
        hosts = _Hosts(keys)
        marks = {
            "deleted": found["deleted"],
            "self": found["self"],
            "over_18": found["over_18"] if not self.over_18 else None,
            "date": early | late,
            "scheme": pc.is_null(hosts.column),
            "reddit": hosts.among(_REDDIT),
            "domain": hosts.among(self._domains),
            "wikipedia": hosts.among(_WIKIPEDIA) if not self.wikipedia else None,
            "file": pc.match_substring_regex(keys, _FILE) if self.pages_only else None,
        }
        code = np.full(len(keys), -1, np.int64)
        for number, mark in reversed(list(enumerate(marks.values()))):
            if mark is not None:
                code[_mask(mark)] = number
        names = pa.array([f"links.{name}" for name in marks])
        dated = pa.array(code == list(marks).index("date"))
        bounds = np.where(early, np.nan if first is None else first, np.nan if last is None else last)
        return {
            "rule": names.take(pa.array(code, mask=code < 0)),
            "value": pc.if_else(dated, seconds, pa.scalar(None, pa.float64())),
            "bound": pc.if_else(dated, pa.array(bounds, from_pandas=True), pa.scalar(None, pa.float64())),
        }

    @cached_property
    def _domains(self) -> frozenset[str]:
        paths = [*self.block_domains, *([str(_MEDIA_HOSTS)] if self.pages_only else [])]
        return frozenset(read_block_list(paths))


def _beyond(seconds: pa.Array, bound: float | None, compare: Any) -> Mask:  # noqa: ANN401 - a function of Arrow's
    """Mark dates beyond a bound, and those that are not known where there is one."""
    if bound is None:
        return np.zeros(len(seconds), bool)
    return _mask(pc.fill_null(compare(seconds, bound), True))


def _mask(mark: pa.Array | Mask) -> Mask:
    return mark if isinstance(mark, np.ndarray) else np.asarray(pc.fill_null(mark, False))


class _Hosts:
    """The hosts of canonical URLs, each looked at once."""

    def __init__(self, keys: pa.StringArray) -> None:
        self.column = host_column(keys)
        names = self.column.dictionary.to_pylist()
        self._names = [{name, urls.registrable_domain(f"http://{name}/")} for name in names]

    def among(self, domains: frozenset[str]) -> Mask:
        """Mark the hosts that are listed, themselves or by their registrable domain."""
        found = [not names.isdisjoint(domains) for names in self._names]
        return _mask(pa.array(found, pa.bool_()).take(self.column.indices))


def _mentions(chunk: reddit.Chunk, self_text: bool) -> dict[str, pa.Array]:
    """Lay out what each item links: what a submission points to, and the links in texts."""
    items = chunk.items
    body = reddit.texts([item.body for item in items])
    comment = np.asarray(body.is_valid())
    own = pc.starts_with(reddit.texts([item.domain for item in items]), "self.")
    is_self = _mask(reddit.flags([item.is_self for item in items])) | _mask(own)
    texts = body
    if self_text:
        selftext = reddit.texts([item.selftext for item in items])
        texts = pc.if_else(pa.array(is_self & ~comment), selftext, body)
    of, number, link = _links(texts)
    emptied = np.flatnonzero(_mask(pc.is_in(body, pa.array(sorted(reddit.GONE)))))
    alone = np.flatnonzero(~comment & ~np.isin(np.arange(len(items)), of))
    target = _targets([items[row] for row in alone.tolist()])
    nothing = _mask(pc.equal(pc.fill_null(target, ""), "")) & ~is_self[alone]

    row = np.concatenate([of, emptied, alone])
    nth = np.concatenate([number, np.zeros(len(emptied) + len(alone), np.int64)])
    order = np.lexsort((nth, row))
    rows, nth = pa.array(row[order]), pa.array(nth[order])
    place = pa.array(chunk.places, pa.int64()).take(rows).cast(pa.string())
    further = pc.binary_join_element_wise(place, nth.cast(pa.string()), "+")
    no = np.zeros(len(of), bool)
    return {
        "url": pa.concat_arrays([link, pa.nulls(len(emptied), pa.string()), target]).take(pa.array(order)),
        "place": pc.if_else(pc.greater(nth, 0), further, place),
        "deleted": pa.array(np.concatenate([no, np.ones(len(emptied), bool), nothing])[order]),
        "self": pa.array(np.concatenate([no, np.zeros(len(emptied), bool), is_self[alone]])[order]),
        **{name: column.take(rows) for name, column in _facts(items, comment).items()},
    }


def _facts(items: Sequence[reddit.Item], comment: Mask) -> dict[str, pa.Array]:
    """Return what is known of each item, whatever it links."""
    created = [item.created_utc if item.created_utc is not None else item.created for item in items]
    adult = [item.over_18 if item.over_18 is not None else item.nsfw for item in items]
    score, ups, downs = (
        reddit.integers([getattr(item, name) for item in items]) for name in ("score", "ups", "downs")
    )
    return {
        "over_18": reddit.flags(adult),
        "date": reddit.dates(created),
        "title": pc.if_else(pa.array(comment), None, reddit.texts([item.title for item in items])),
        # Where dumps have no score yet, it is the up-votes without the down-votes.
        "score": pc.coalesce(score, pc.subtract(ups, pc.fill_null(downs, 0))),
        "subreddit": reddit.texts([item.subreddit for item in items]),
        "comment": pa.array(comment),
    }


def _links(texts: pa.StringArray) -> tuple[Numbers, Numbers, pa.StringArray]:
    """Find the links in some texts: of which text each is, counted from 1 within it, and the link."""
    some = np.flatnonzero(_mask(pc.match_substring(texts, "://")))
    rows, numbers, links = list[int](), list[int](), list[str]()
    for row, text in zip(some.tolist(), texts.take(pa.array(some)).to_pylist(), strict=True):
        for number, link in enumerate(reddit.links_in(text), 1):
            rows.append(row)
            numbers.append(number)
            links.append(link)
    return np.array(rows, np.int64), np.array(numbers, np.int64), pa.array(links, pa.string())


def _targets(items: Sequence[reddit.Item]) -> pa.StringArray:
    """Return what submissions point to, with the entities undone that dumps write in URLs."""
    found = reddit.texts([item.url_overridden_by_dest or item.url for item in items])
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        found = pc.replace_substring(found, entity, char)
    within = pc.starts_with(found, "/r/")  # crossposts name the post they repeat by its path alone
    return pc.if_else(within, pc.binary_join_element_wise("https://www.reddit.com", found, ""), found)
