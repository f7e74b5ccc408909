"""What can be dropped before extraction is: by its URL, its size, and the language of a cheap text."""

from __future__ import annotations

import functools
import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corpuskit import files, language, urls
from corpuskit.errors import InputError

__all__ = ["block_list_digests", "BlockList", "Verdict", "cheap_text", "language_verdict", "read_block_list"]

_UNREAD = re.compile(r"<(script|style|noscript|template|svg|!--)", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,2000}>")
_SPACE = re.compile(r"\s+")
_SAMPLE = 200_000  # characters of a page looked at; the head of a page can be long


@dataclass(frozen=True)
class Verdict:
    """Why a page does not pass: the rule, and where it measures something, the value and its bound."""

    rule: str
    value: float | None = None
    bound: float | None = None


class BlockList:
    """Hosts, registrable domains, and pieces of URLs that are not wanted.

    >>> blocked = BlockList(domains=["example.com", "blog.example.org"], urls=["/casino/"])
    >>> blocked.verdict("http://www.example.com/").rule
    'gate.domain'
    >>> blocked.verdict("http://www.example.org/a/casino/b").rule
    'gate.url'
    >>> blocked.verdict("http://www.example.org/") is None
    True
    """

    def __init__(self, domains: Sequence[str] = (), urls: Sequence[str] = ()) -> None:
        self._domains = frozenset(domain.lower().strip(".") for domain in domains)
        self._urls = re.compile("|".join(re.escape(piece.lower()) for piece in urls)) if urls else None

    def verdict(self, url: str | None) -> Verdict | None:
        """Say why a URL is blocked: `gate.domain` or `gate.url`; null if it is not, or is null."""
        if url is None:
            return None
        if self._domains:
            host = urls.host(url)
            if host in self._domains or urls.registrable_domain(url) in self._domains:
                return Verdict("gate.domain")
        if self._urls is not None and self._urls.search(url.lower()):
            return Verdict("gate.url")
        return None


def block_list_digests(domains: Sequence[str], urls: Sequence[str]) -> dict[str, str]:
    """Return the sha256 of what block lists hold, by setting; none where none are named."""
    return {
        kind: hashlib.sha256("\n".join(read_block_list(paths)).encode()).hexdigest()
        for kind, paths in (("block_domains", domains), ("block_urls", urls))
        if paths
    }


def read_block_list(paths: Sequence[str]) -> list[str]:
    """Read lists of one entry a line; blank lines and lines that start with `#` are passed over.

    Raises:
        InputError: A file is missing, or none of them has an entry.
    """
    entries = [entry for path in paths for entry in _entries(path)]
    if paths and not entries:
        raise InputError(f"no entries in {', '.join(paths)}", fix="give a file with one entry a line")
    return entries


def _entries(path: str) -> Iterator[str]:
    with files.open_input(path) as file:
        for line in file.read().decode("utf-8", "replace").splitlines():
            entry = line.strip()
            if entry and not entry.startswith("#"):
                yield entry


def cheap_text(page: str) -> str:
    """Strip the tags of a page roughly: enough to tell its language, at a fraction of the cost of parsing.

    >>> cheap_text("<p>One &amp; <b>two</b><script>three()</script></p>")
    'One & two'
    """
    text = _TAG.sub(" ", _without_scripts(page[:_SAMPLE]))
    return _SPACE.sub(" ", html.unescape(text)).strip()


def _without_scripts(page: str) -> str:
    """Cut scripts, styles and comments; one that is never closed costs one search, not one each."""
    lower = page.lower() if page.isascii() else page
    kept, at, start, open_ended = [], 0, 0, set[str]()
    while opened := _UNREAD.search(page, at):
        name = opened[1].lower()
        close, after = ("-->", "") if name == "!--" else (f"</{name}", ">")
        end = -1 if name in open_ended else lower.find(close, opened.end())
        if end < 0:
            open_ended.add(name)
            at = opened.end()
            continue
        kept.append(page[start : opened.start()])
        end += len(close)
        start = at = max(end, page.find(after, end) + 1) if after else end
    return " ".join([*kept, page[start:]])


@functools.cache
def _wanted(languages: tuple[str, ...]) -> frozenset[str]:
    return frozenset(language.language(name) for name in languages)


def language_verdict(page: str, languages: tuple[str, ...], least: float) -> Verdict | None:
    """Say why a page is in none of the languages (`gate.language`); null if it is, or if none can be told.

    Menus and notices blur the cheap text, so only a language told with a score of at least `least` counts.
    """
    found, scores = language.detect([cheap_text(page)])
    name, score = found[0].as_py(), scores[0].as_py()
    if name is None or score < least or name in _wanted(languages):
        return None
    return Verdict("gate.language", value=score, bound=least)
