"""A MediaWiki export: what it says of its site, and its pages one by one, each parsed on its own.

Pages are cut out by their tags before any XML is parsed, because text within a dump has no bare `<`. So a
damaged page costs that page alone, a document type declaration is never seen, and no parser ever holds more
than one page.
"""

from __future__ import annotations

import bisect
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from corpuskit.crawl.dumpfile import Chunk, Lost
from corpuskit.language import LANGUAGES

if TYPE_CHECKING:
    from lxml.etree import XMLParser, _Element

__all__ = ["Page", "RawPage", "Site", "pages", "parse_page", "read_site"]

_OPEN, _CLOSE = b"<page>", b"</page>"
_SITE_BYTES = 1 << 20
_SITE = re.compile(rb"<siteinfo>.*?</siteinfo>", re.DOTALL)
_LANGUAGE = re.compile(rb"<mediawiki\b[^>]{0,2000}?\bxml:lang=[\"']([A-Za-z-]{2,20})[\"']")
_GROUPS = frozenset({"bat", "fiu", "map", "roa", "zh"})
"""Codes of groups of languages that begin the codes of some Wikipedias."""
_FILE, _CATEGORY = 6, 14


@dataclass(frozen=True)
class Site:
    """What a dump says of its wiki: name of its database, address of its main page, language, namespaces."""

    name: str | None = None
    base: str | None = None
    lang: str | None = None
    files: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class RawPage(NamedTuple):
    """The bytes of a page, and where it is: `STREAM+OFFSET`, or `OFFSET` in a plain file.

    Null bytes: it was larger than the limit; `length` says how large it had become by then.
    """

    position: str
    data: bytes | None
    length: int


@dataclass(frozen=True)
class Page:
    """A page and its last revision; `text` is null where it was deleted from the dump."""

    title: str
    namespace: int
    page_id: int | None
    redirect: bool
    revision_id: int | None = None
    date: datetime | None = None
    model: str | None = None
    text: str | None = None


@dataclass
class _Splitter:
    """The bytes not yet done with, and which stream they are of."""

    buffer: bytearray = field(default_factory=bytearray)
    base: int = 0
    at: int = 0
    own_end: int | None = None
    starts: list[int] = field(default_factory=list)
    places: list[tuple[int | None, int]] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        """Append a chunk, and forget what lies before the current place."""
        del self.buffer[: self.at]
        self.base += self.at
        self.at = 0
        end = self.base + len(self.buffer)
        if not chunk.own and self.own_end is None:
            self.own_end = end
        known = max(0, bisect.bisect_right(self.starts, self.base) - 1)
        del self.starts[:known], self.places[:known]
        self.starts.append(end)
        self.places.append((chunk.stream, chunk.offset))
        self.buffer += chunk.data

    def seek(self) -> bool:
        """Go to where the next page begins; else to where one may begin that is cut off."""
        start = self.buffer.find(_OPEN, self.at)
        self.at = start if start >= 0 else max(self.at, len(self.buffer) - len(_OPEN) + 1)
        return start >= 0

    def position(self, index: int) -> str:
        """Say where a byte of the buffer is."""
        absolute = self.base + index
        place = bisect.bisect_right(self.starts, absolute) - 1
        stream, offset = self.places[place]
        offset += absolute - self.starts[place]
        return str(offset) if stream is None else f"{stream}+{offset}"

    def owns(self, index: int) -> bool:
        """Say whether a page that begins there is this range's."""
        return self.own_end is None or self.base + index < self.own_end


def pages(found: Iterable[Chunk | Lost], limit: int) -> Iterator[RawPage | Lost]:
    """Cut the pages that begin in `own` chunks out of a dump; one may end in a chunk that is not.

    What lies between pages is passed over. Memory: a page of `limit` bytes and a chunk.
    """
    state = _Splitter()
    inside = False
    for item in found:
        if isinstance(item, Lost):
            if inside:
                yield _take(state, len(state.buffer))
                inside = False
            if not item.own:
                return
            state.at = len(state.buffer)
            yield item
            continue
        state.add(item)
        while inside or state.seek():
            if not state.owns(state.at):
                return
            page, inside = _page(state, limit)
            if page is None:
                break
            yield page
        if not inside and not state.owns(state.at):
            return
    if inside:
        yield _take(state, len(state.buffer))


def _page(state: _Splitter, limit: int) -> tuple[RawPage | None, bool]:
    """Return the page that begins here, if all of it is there, and whether another begins after it."""
    start = state.at
    end = state.buffer.find(_CLOSE, start)
    other = state.buffer.find(_OPEN, start + len(_OPEN), end if end >= 0 else len(state.buffer))
    if other >= 0:  # the page before it has no end
        return _take(state, other), True
    if end >= 0:
        return _take(state, end + len(_CLOSE), limit), False
    if len(state.buffer) - start > limit:
        return _take(state, len(state.buffer) - len(_OPEN), limit), False
    return None, True


def _take(state: _Splitter, end: int, limit: int | None = None) -> RawPage:
    start, length = state.at, end - state.at
    state.at = end
    large = limit is not None and length > limit
    data = None if large else bytes(memoryview(state.buffer)[start:end])
    return RawPage(state.position(start), data, length)


def parse_page(data: bytes) -> Page:
    """Read one `page` element; of several revisions the last counts.

    Raises:
        ValueError: It is not well-formed, or lacks a title or a namespace that is a number.
    """
    element = _parse(data)
    title = element.findtext("title")
    if not title:
        raise ValueError("a page without a title")
    revisions = element.findall("revision")
    last = revisions[-1] if revisions else None
    found = Page(
        title=title,
        namespace=int(element.findtext("ns") or 0),
        page_id=_number(element.findtext("id")),
        redirect=element.find("redirect") is not None,
    )
    if last is None:
        return found
    text = last.find("text")
    return dataclasses.replace(
        found,
        revision_id=_number(last.findtext("id")),
        date=_date(last.findtext("timestamp")),
        model=last.findtext("model"),
        text=None if text is None or text.get("deleted") else text.text or "",
    )


def read_site(found: Iterable[Chunk | Lost]) -> Site | None:
    """Read what stands before the first page; null where the file is no export of a wiki.

    A dump that says nothing of its site gives a site of which nothing is known.
    """
    head, damaged = bytearray(), False
    for item in found:
        if isinstance(item, Lost):
            damaged = True
            break
        head += item.data
        if b"</siteinfo>" in head or _OPEN in head or len(head) > _SITE_BYTES:
            break
    if _OPEN not in head and b"<mediawiki" not in head and not damaged:
        return None
    language = _LANGUAGE.search(head)
    lang = _iso_639_3(language[1].decode()) if language else None
    told = _SITE.search(head)
    if told is None:
        return Site(lang=lang)
    try:
        element = _parse(told[0])
    except ValueError:
        return Site(lang=lang)
    spaces = _namespaces(element)
    return Site(
        name=element.findtext("dbname"),
        base=element.findtext("base"),
        lang=lang,
        files=tuple(name for number, name in spaces if number in (-2, _FILE)),
        categories=tuple(name for number, name in spaces if number == _CATEGORY),
    )


def _namespaces(element: _Element) -> list[tuple[int, str]]:
    listed = element.iterfind("namespaces/namespace")
    named = [(_number(item.get("key")), item.text) for item in listed]
    return [(number, name) for number, name in named if number is not None and name]


def _iso_639_3(code: str) -> str | None:
    """Return the language of a wiki; null where ISO 639-3 has none for its code.

    >>> _iso_639_3("de"), _iso_639_3("als"), _iso_639_3("haw"), _iso_639_3("map-bms")
    ('deu', 'gsw', 'haw', None)
    """
    first, _, rest = code.lower().partition("-")
    if rest and first in _GROUPS - {"zh"}:
        return None
    known: Mapping[str, str] = LANGUAGES
    return known.get(first) or (first if len(first) == 3 else None)


def _parse(data: bytes) -> _Element:
    """Parse a piece of a dump, or raise ValueError: no entities, no network, no text beyond 10 MB."""
    from lxml import etree

    try:
        return etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from None


def _parser() -> XMLParser:
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def _date(text: str | None) -> datetime | None:
    try:
        return datetime.strptime((text or "").strip(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
