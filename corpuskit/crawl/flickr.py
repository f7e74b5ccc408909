"""Flickr's photo search: 4,000 results a query, for those who have a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from corpuskit.crawl.patience import Again
from corpuskit.crawl.results import (
    Cursor,
    NoResult,
    Page,
    Request,
    Result,
    Unusable,
    credit,
    ending,
    licence_name,
    link,
    members,
    number,
    plain,
    text,
)
from corpuskit.errors import UsageError

__all__ = ["Flickr"]

_BASE = "https://api.flickr.com"
_PAGE_SIZE = 250
_MOST = 4000
_SIZES = ("o", "k", "h", "l", "c", "z", "m")
_BAD_KEY, _BUSY = 100, frozenset({10, 105, 106, 201})
_CC = "https://creativecommons.org"
_LICENSES: Mapping[str, tuple[str, str | None, str | None]] = {
    "0": ("all-rights-reserved", None, None),
    **{
        str(number): (name, "2.0", f"{_CC}/licenses/{name}/2.0/")
        for number, name in enumerate(("by-nc-sa", "by-nc", "by-nc-nd", "by", "by-sa", "by-nd"), 1)
    },
    "7": ("no-known-copyright", None, "https://www.flickr.com/commons/usage/"),
    "8": ("us-government", None, "https://www.usa.gov/copyright.shtml"),
    "9": ("cc0", "1.0", f"{_CC}/publicdomain/zero/1.0/"),
    "10": ("pdm", "1.0", f"{_CC}/publicdomain/mark/1.0/"),
}
_OPEN = tuple(number for number in _LICENSES if number != "0")
_OWNER = re.compile(r"[\w@.-]{1,100}\Z", re.ASCII)


@dataclass(frozen=True)
class Flickr:
    """`flickr.photos.search`; without a choice of licences all but "all rights reserved" are asked for.

    Deviation: the numbers of Creative Commons' 4.0 licences, which Flickr added in 2025, are not known here.
    """

    name: ClassVar[str] = "flickr"
    most_pages: ClassVar[int] = _MOST // _PAGE_SIZE
    secret: ClassVar[str | None] = "CORPUSKIT_FLICKR_KEY"  # noqa: S105 - the name of a variable
    secret_needed: ClassVar[bool] = True
    licenses: ClassVar[frozenset[str] | None] = frozenset(name for name, _, _ in _LICENSES.values())

    license: tuple[str, ...] = ()
    width: int | None = None
    key: str | None = field(default=None, repr=False)
    base: str = _BASE

    def request(self, query: str, cursor: Cursor) -> Request:
        """Ask for one page."""
        chosen = [key for key, (name, _, _) in _LICENSES.items() if name in self.license]
        asked = {
            "method": "flickr.photos.search",
            "api_key": self.key or "",
            "format": "json",
            "nojsoncallback": 1,
            "text": query,
            "media": "photos",
            "safe_search": 1,
            "sort": "relevance",
            "license": ",".join(chosen or _OPEN),
            "extras": ",".join(
                ["license", "owner_name", "description", "tags", *(f"url_{size}" for size in _SIZES)]
            ),
            "per_page": _PAGE_SIZE,
            "page": cursor.get("page", 1),
        }
        return Request(f"{self.base.rstrip('/')}/services/rest/?{urlencode(asked)}", {})

    def read(self, told: Mapping[str, Any], cursor: Cursor) -> Page:
        """Read one page."""
        if told.get("stat") != "ok":
            _fail(told)
        photos = told.get("photos")
        if not isinstance(photos, dict) or not isinstance(photos.get("photo"), list):
            raise Unusable("an answer without photos")
        page, pages = int(cursor.get("page", 1)), number(photos.get("pages")) or 0
        after = {"page": page + 1} if page < min(pages, self.most_pages) else None
        return Page(tuple(map(self._result, members(photos["photo"]))), after)

    def _result(self, photo: Mapping[str, Any]) -> Result | NoResult:
        name, owner = text(photo.get("id")), text(photo.get("owner"))
        size = self._size(photo)
        if name is None or not name.isascii() or not name.isdecimal() or size is None:
            return NoResult("images.search_result")
        image, width, height = size
        code = photo.get("license")
        known = str(code) if isinstance(code, int | str) else ""
        licence, version, where = _LICENSES.get(known, (None, None, None))
        about = photo.get("description")
        told = plain(about.get("_content") if isinstance(about, dict) else None)
        title, creator = text(photo.get("title")), text(photo.get("ownername")) or owner
        said = licence_name(licence, version)
        return Result(
            service_id=name,
            url=f"https://www.flickr.com/photos/{quote(owner, safe='@')}/{name}"
            if owner and _OWNER.match(owner)
            else None,
            image=image,
            text=title or told or "",
            width=width,
            height=height,
            license=licence,
            license_version=version,
            license_url=where,
            creator=creator,
            attribution=credit(title, creator, said, where, "Flickr"),
            tags=(text(photo.get("tags")) or "").split() or None,
            filetype=ending(image),
        )

    def _size(self, photo: Mapping[str, Any]) -> tuple[str, int | None, int | None] | None:
        """Choose the original, else the largest size; with a width, the smallest that is as wide."""
        found = [
            (image, number(photo.get(f"width_{size}")), number(photo.get(f"height_{size}")))
            for size in _SIZES
            if (image := link(photo.get(f"url_{size}")))
        ]
        if not found:
            return None
        if self.width is None:
            return found[0]
        enough = [one for one in found if (one[1] or 0) >= self.width]
        return min(enough, key=lambda one: one[1] or 0) if enough else max(found, key=lambda one: one[1] or 0)


def _fail(told: Mapping[str, Any]) -> None:
    """Raise what Flickr says went wrong, which it says with status 200."""
    if told.get("stat") != "fail":
        raise Unusable("an answer that does not say whether it succeeded")
    code, said = number(told.get("code")), (text(told.get("message")) or "no reason given")[:200]
    if code == _BAD_KEY:
        raise UsageError(f"Flickr does not accept the key: {said}", fix=f"check {Flickr.secret}")
    if code in _BUSY:
        raise Again(f"failure {code}: {said}")
    raise Unusable(f"failure {code}: {said}", code, blames_query=True)
