"""The images that a WAT names: what Common Crawl wrote down of a page, so that the page need not be read."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.pictures import largest, resolve

__all__ = ["Described", "describe"]

_RIGHTS = "creativecommons.org/"
_IMAGES = ("IMG@/src", "IMG@/data-src", "IMG@/srcset")


@dataclass(frozen=True)
class Described:
    """A page as its WAT describes it: whose record it was, when, and its images with their texts."""

    record_id: str | None
    date: datetime.datetime | None
    title: str | None
    licence: str | None
    images: tuple[tuple[str, str | None, str | None], ...]
    """Address, alt and title of each."""


def describe(body: bytes, url: str) -> Described | Verdict | None:
    """Read the JSON of a WAT record; null where it describes no response.

    >>> page = {"Links": [{"path": "IMG@/src", "url": "a.png", "alt": "A"}]}
    >>> told = {"WARC-Header-Metadata": {"WARC-Type": "response"},
    ...         "Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": page}}}
    >>> describe(msgspec.json.encode({"Envelope": told}), "https://x.example/").images
    (('https://x.example/a.png', 'A', None),)
    """
    try:
        envelope = _mapping(msgspec.json.decode(body), "Envelope")
    except (msgspec.DecodeError, RecursionError):
        return Verdict("pool.bad", value=len(body))
    record = _mapping(envelope, "WARC-Header-Metadata")
    if record.get("WARC-Type") not in ("response", "resource"):
        return None
    answer = _mapping(_mapping(envelope, "Payload-Metadata"), "HTTP-Response-Metadata")
    status = str(_mapping(answer, "Response-Message").get("Status", "200"))
    if status != "200":
        return Verdict("warc.status", value=float(status) if status.isascii() and status.isdigit() else None)
    page = _mapping(answer, "HTML-Metadata")
    if not page:
        return Verdict("warc.type")
    head = _mapping(page, "Head")
    base = resolve(url, _string(head.get("Base")) or url) or url
    links = [link for link in _list(page.get("Links")) if isinstance(link, dict)]
    return Described(
        _string(record.get("WARC-Record-ID")),
        _date(record.get("WARC-Date")),
        _text(head.get("Title")),
        _licence([*_list(head.get("Link")), *links], base),
        tuple(_images(links, base)),
    )


def _images(links: list[dict[str, Any]], base: str) -> Iterator[tuple[str, str | None, str | None]]:
    for link in links:
        path = link.get("path")
        if path not in _IMAGES:
            continue
        named = _string(link.get("url")) or ""
        address = (
            resolve(base, (largest([named]) or "") if path == "IMG@/srcset" else named) if named else None
        )
        if address is not None:
            yield address, _text(link.get("alt")), _text(link.get("title"))


def _licence(links: list[Any], base: str) -> str | None:
    """Return the licence a page links to, first by what it says the link is."""
    mentioned = None
    for link in links:
        if not isinstance(link, dict):
            continue
        url = _string(link.get("url"))
        if url and "license" in (_string(link.get("rel")) or "").lower().split():
            return resolve(base, url)
        if url and mentioned is None and (f"{_RIGHTS}licenses/" in url or f"{_RIGHTS}publicdomain/" in url):
            mentioned = url
    return resolve(base, mentioned) if mentioned else None


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _text(value: object) -> str | None:
    return " ".join(value.split()) or None if isinstance(value, str) else None


def _date(value: object) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=datetime.UTC)
