"""Openverse's image search: 800 million openly licensed images, 20 results a page and 20 pages a query.

Its terms forbid to scrape the catalogue, so no more than these 400 results of a query are ever asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

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
    text,
)

__all__ = ["Openverse"]

_BASE = "https://api.openverse.org"
_PAGE_SIZE = 20


@dataclass(frozen=True)
class Openverse:
    """`GET /v1/images/`; without a token 20 requests a minute and 200 a day, with one more of them."""

    name: ClassVar[str] = "openverse"
    most_pages: ClassVar[int] = 20
    secret: ClassVar[str | None] = "CORPUSKIT_OPENVERSE_TOKEN"  # noqa: S105 - the name of a variable
    secret_needed: ClassVar[bool] = False
    licenses: ClassVar[frozenset[str] | None] = frozenset(
        ["by", "by-nc", "by-nc-nd", "by-nc-sa", "by-nd", "by-sa", "cc0", "pdm", "sampling+", "nc-sampling+"]
    )

    license: tuple[str, ...] = ()
    width: int | None = None
    key: str | None = field(default=None, repr=False)
    base: str = _BASE

    def request(self, query: str, cursor: Cursor) -> Request:
        """Ask for one page."""
        asked = {"q": query, "page": cursor.get("page", 1), "page_size": _PAGE_SIZE}
        if self.license:
            asked["license"] = ",".join(self.license)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return Request(f"{self.base.rstrip('/')}/v1/images/?{urlencode(asked)}", headers)

    def read(self, told: Mapping[str, Any], cursor: Cursor) -> Page:
        """Read one page; a page may be shorter than it could be, as dead images are left out."""
        if not isinstance(told.get("results"), list):
            raise Unusable("an answer without results")
        page, pages = int(cursor.get("page", 1)), number(told.get("page_count")) or 0
        after = {"page": page + 1} if page < min(pages, self.most_pages) else None
        return Page(tuple(map(_result, members(told["results"]))), after)


def _result(told: Mapping[str, Any]) -> Result | NoResult:
    name, image, title = text(told.get("id")), link(told.get("url")), text(told.get("title"))
    if name is None or image is None:
        return NoResult("images.search_result")
    licence, version = text(told.get("license")), text(told.get("license_version"))
    creator, where = text(told.get("creator")), link(told.get("license_url"))
    licence = licence.lower() if licence else None
    said = licence_name(licence, version)
    tags = [label for tag in members(told.get("tags")) if (label := text(tag.get("name")))]
    return Result(
        service_id=name,
        url=link(told.get("foreign_landing_url")),
        image=image,
        text=title or "",
        width=number(told.get("width")),
        height=number(told.get("height")),
        license=licence,
        license_version=version,
        license_url=where,
        creator=creator,
        attribution=text(told.get("attribution")) or credit(title, creator, said, where, "Openverse"),
        tags=tags or None,
        filetype=(text(told.get("filetype")) or ending(image) or "").lower().replace("jpeg", "jpg") or None,
    )
