"""What an image search service says of images, read from JSON that may hold anything."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from corpuskit import urls

__all__ = [
    "Cursor",
    "NoResult",
    "Page",
    "Request",
    "Result",
    "Service",
    "Unusable",
    "credit",
    "ending",
    "licence_name",
    "link",
    "members",
    "number",
    "plain",
    "text",
]

Cursor = Mapping[str, Any]
"""What tells the service which page is meant, as JSON; empty for the first."""

_TAG = re.compile(r"<[^<>]*>")
_SPACE = re.compile(r"\s+")
_ENDING = re.compile(r"\.([A-Za-z0-9]{1,5})\Z")
_NAMES = {"cc0": "CC0", "pdm": "Public Domain Mark", "pd": "Public domain"}
_LONGEST_URL = 8192
_LARGEST = (1 << 31) - 1
_DIGITS = 10


class Request(NamedTuple):
    """What is asked for a page: a URL, which may hold a key and is not to be shown, and headers."""

    url: str
    headers: Mapping[str, str]


class Result(NamedTuple):
    """An image as a service describes it; `text` is empty where the image has no title."""

    service_id: str
    url: str | None
    image: str
    text: str
    width: int | None
    height: int | None
    license: str | None
    license_version: str | None
    license_url: str | None
    creator: str | None
    attribution: str | None
    tags: list[str] | None
    filetype: str | None


class NoResult(NamedTuple):
    """One of the results that is of no use, and the rule that says why."""

    rule: str


@dataclass(frozen=True)
class Page:
    """Results in the service's order, and where the next page begins; null where this was the last."""

    results: tuple[Result | NoResult, ...]
    next: Cursor | None


class Unusable(Exception):
    """An answer that gives no page; `code` is the status or the service's own number, null if it has none."""

    def __init__(self, what: str, code: int | None = None, *, blames_query: bool = False) -> None:
        super().__init__(what)
        self.code = code
        self.blames_query = blames_query


class Service(Protocol):
    """How one service is asked, and how its answers read."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def most_pages(self) -> int:
        """How many pages of one query may be asked for."""

    def request(self, query: str, cursor: Cursor) -> Request:
        """Say what to ask for a page."""

    def read(self, told: Mapping[str, Any], cursor: Cursor) -> Page:
        """Read the answer.

        Raises:
            Again: The service says that it cannot answer now.
            Unusable: It is no page of results.
            UsageError: The service does not accept the key.
        """


def text(value: object) -> str | None:
    """Return a text that can be written as UTF-8; null where there is none.

    >>> text("  a dog "), text(" "), text(7)
    ('a dog', None, None)
    """
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode().strip() or None


def plain(value: object) -> str | None:
    r"""Return what a snippet of HTML says, in one line; null where it says nothing.

    >>> plain('<a href="//x">Ann</a> &amp;\n Bob')
    'Ann & Bob'
    """
    found = text(value)
    if found is None:
        return None
    return text(_SPACE.sub(" ", html.unescape(_TAG.sub(" ", found))))


def number(value: object) -> int | None:
    """Return a positive whole number of 31 bits, which may be written as a text; null for anything else.

    >>> number("640"), number(0), number(True), number(1e3), number(2**31)
    (640, None, None, None, None)
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value <= _LARGEST else None


def link(value: object) -> str | None:
    """Return an http or https URL with a host; null for anything else.

    >>> link("https://a.example/b.jpg"), link("javascript:alert(1)"), link("//a/b")
    ('https://a.example/b.jpg', None, None)
    """
    found = text(value)
    if found is None or len(found) > _LONGEST_URL or _SPACE.search(found):
        return None
    return found if found.lower().startswith(("http://", "https://")) and urls.host(found) else None


def members(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in a list, or in the values of an object; what is no object is an empty one."""
    listed = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [item if isinstance(item, dict) else {} for item in listed]


def ending(url: str) -> str | None:
    """Return the ending of a URL's file name in small letters; null where it has none.

    >>> ending("https://a.example/b.JPEG?x=y.z"), ending("https://a.example/b")
    ('jpg', None)
    """
    found = _ENDING.search(urlsplit(url).path)
    return found[1].lower().replace("jpeg", "jpg") if found else None


def licence_name(licence: str | None, version: str | None) -> str | None:
    """Write a licence as people read it; null where it is not known.

    >>> licence_name("by-sa", "4.0"), licence_name("cc0", "1.0"), licence_name("gfdl", None)
    ('CC BY-SA 4.0', 'CC0 1.0', 'gfdl')
    """
    if licence is None:
        return None
    named = f"CC {licence.upper()}" if licence.startswith("by") else _NAMES.get(licence, licence)
    return f"{named} {version}" if version else named


def credit(
    title: str | None, creator: str | None, licence: str | None, licence_url: str | None, where: str
) -> str:
    """Compose the attribution of an image whose service gives none; what is not known is left out.

    >>> credit("A dog", "Ann", "CC BY 2.0", "https://x.example", "Flickr")
    '"A dog" by Ann, CC BY 2.0 (https://x.example), via Flickr'
    """
    if licence and licence_url:
        licence = f"{licence} ({licence_url})"
    named = f'"{title}"' if title else "Untitled"
    parts = [f"{named} by {creator}" if creator else named, licence, f"via {where}"]
    return ", ".join(part for part in parts if part)
