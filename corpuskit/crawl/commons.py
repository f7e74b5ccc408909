"""Wikimedia Commons' search: files with a description, their author and licence as the file's page states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from corpuskit.crawl.patience import Again
from corpuskit.crawl.results import (
    Cursor,
    NoResult,
    Page,
    Request,
    Result,
    Unusable,
    credit,
    licence_name,
    link,
    members,
    number,
    plain,
    text,
)

__all__ = ["Commons"]

_BASE = "https://commons.wikimedia.org"
_PAGE_SIZE = 50
_BUSY = re.compile(
    r"maxlag|ratelimited|readonly|internal_api_error_\w+|cirrussearch-(?:too-busy|backend)-error"
)
_CC = re.compile(r"cc[- ](by(?:-nc)?(?:-sa|-nd)?)[- ]([0-9]\.[0-9])", re.IGNORECASE)
_ENDING = re.compile(r"\.[A-Za-z0-9]{2,5}\Z")
_LONGEST_VALUE = 1000
_MOST_VALUES = 20
_SEARCH = frozenset({"continue", "gsroffset"})


@dataclass(frozen=True)
class Commons:
    """`action=query&generator=search` of the API, with `maxlag`; 10,000 results a query are the most."""

    name: ClassVar[str] = "commons"
    most_pages: ClassVar[int] = 200
    secret: ClassVar[str | None] = None
    secret_needed: ClassVar[bool] = False
    licenses: ClassVar[frozenset[str] | None] = None

    license: tuple[str, ...] = ()
    width: int | None = None
    key: str | None = field(default=None, repr=False)
    base: str = _BASE

    def request(self, query: str, cursor: Cursor) -> Request:
        """Ask for one page; all of what the last answer's `continue` says is passed on."""
        asked = {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "generator": "search",
            "gsrsearch": query,
            "gsrnamespace": 6,
            "gsrlimit": _PAGE_SIZE,
            "prop": "imageinfo",
            "iiprop": "url|size|mime|sha1|extmetadata",
            "maxlag": 5,
        }
        if self.width is not None:
            asked["iiurlwidth"] = self.width
        return Request(f"{self.base.rstrip('/')}/w/api.php?{urlencode({**cursor, **asked})}", {})

    def read(self, told: Mapping[str, Any], cursor: Cursor) -> Page:
        """Read one page.

        The facts of one page of results may be spread over several answers: what an answer leaves out comes
        with the next.
        """
        _check(told)
        query = told.get("query", {})
        if not isinstance(query, dict) or not ("query" in told or "batchcomplete" in told):
            raise Unusable("an answer without pages")
        pages = sorted(members(query.get("pages")), key=lambda page: number(page.get("index")) or 0)
        partly = "batchcomplete" not in told or not cursor.keys() <= _SEARCH
        found = [self._result(page) for page in pages if not (partly and "imageinfo" not in page)]
        return Page(tuple(found), _continued(told))

    def _result(self, page: Mapping[str, Any]) -> Result | NoResult:
        info = next(iter(members(page.get("imageinfo"))), {})
        scaled = self.width is not None and link(info.get("thumburl")) is not None
        name, image = number(page.get("pageid")), link(info.get("thumburl" if scaled else "url"))
        if name is None or image is None:
            return NoResult("images.search_result")
        kind, _, filetype = (
            text(info.get("thumbmime" if scaled else "mime") or info.get("mime")) or ""
        ).partition("/")
        if kind != "image":
            return NoResult("images.search_type")
        given = info.get("extmetadata")
        facts = {name: fact.get("value") for name, fact in _items(given)}
        title = _ENDING.sub("", (text(page.get("title")) or "").partition(":")[2]).strip()
        licence, version = _licence(facts)
        where, creator = link(facts.get("LicenseUrl")), plain(facts.get("Artist"))
        said = plain(facts.get("LicenseShortName")) or licence_name(licence, version)
        tags = [tag for tag in (text(facts.get("Categories")) or "").split("|") if tag.strip()]
        return Result(
            service_id=str(name),
            url=link(info.get("descriptionurl")),
            image=image,
            text=plain(facts.get("ImageDescription")) or title,
            width=number(info.get("thumbwidth" if scaled else "width")),
            height=number(info.get("thumbheight" if scaled else "height")),
            license=licence,
            license_version=version,
            license_url=where,
            creator=creator,
            attribution=plain(facts.get("Attribution"))
            or credit(title, creator, said, where, "Wikimedia Commons"),
            tags=tags or None,
            filetype=filetype.removeprefix("x-").removesuffix("+xml").replace("jpeg", "jpg") or None,
        )


def _items(given: object) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(given, dict):
        return []
    return [(name, fact) for name, fact in given.items() if isinstance(fact, dict)]


def _check(told: Mapping[str, Any]) -> None:
    """Raise what the API says went wrong, which it says with status 200."""
    if "error" not in told:
        return
    error = told["error"] if isinstance(told["error"], dict) else {}
    code = text(error.get("code")) or "unknown"
    said = f"error {code[:100]}: {(text(error.get('info')) or '')[:200]}"
    if _BUSY.fullmatch(code):
        raise Again(said)
    raise Unusable(said, blames_query=True)


def _continued(told: Mapping[str, Any]) -> Cursor | None:
    after = told.get("continue")
    if after is None:
        return None
    if not isinstance(after, dict) or not 0 < len(after) <= _MOST_VALUES:
        raise Unusable("an answer whose continuation makes no sense")
    for value in after.values():
        if isinstance(value, bool) or not isinstance(value, int | str) or len(str(value)) > _LONGEST_VALUE:
            raise Unusable("an answer whose continuation makes no sense")
    return after


def _licence(facts: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return a licence as Creative Commons writes it, and its version; others as Commons names them."""
    code, name = text(facts.get("License")), plain(facts.get("LicenseShortName"))
    for said in (code, name):
        if said and (found := _CC.match(said)):
            return found[1].lower(), found[2]
    said = (code or name or "").lower()
    if said in ("cc0", "cc-zero") or said.startswith("cc0 "):
        return "cc0", "1.0"
    if said == "public domain" or re.match(r"pd(?:\Z|-)", said):
        return "pd", None
    return said or None, None
