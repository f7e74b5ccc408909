"""Owners' words against use for training: X-Robots-Tag, meta robots, and TDM reservation."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterable, Iterator

from corpuskit.crawl.agent import PRODUCT

__all__ = ["opted_out"]

_HEAD_BYTES = 256 << 10  # of a page; some put their styles before their tags
_VALUE_CHARS = 8192
_OPT_OUTS = frozenset({"noai", "noml", "noindex", "none"})
_IMAGE_OPT_OUTS = _OPT_OUTS | {"noimageai", "noimageindex"}
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_EVERYONE = frozenset({"*", "robots", "all"})
_SCOPE = re.compile(r"\s*([*\w][\w.-]*)(?:/[\w.]*)?\s*:(.*)", re.DOTALL)
_TAGS = ("x-robots-tag", "robots")
_RESERVED = "tdm-reservation"
# No `<` and no `>` within, and possessive: linear however hostile the page.
_META = re.compile(rb"<meta[\s/]([^<>]{1,2000})")
_ATTRIBUTE = re.compile(r"(?<![\w-])([\w-]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++))")


def opted_out(
    headers: Iterable[tuple[str, str]], page: bytes = b"", agent: str = PRODUCT, for_images: bool = False
) -> str | None:
    """Return the first directive that opts a page (or the images in it) out; null if there is none.

    `noai`, `noml`, `noindex` and `none` do, for images also `noimageai` and `noimageindex`, when they
    are for everyone or for `agent`; so does a TDM reservation. `headers` are pairs, a repeated header
    as several (`exchange.headers.items()`); `page` is the inflated body of an HTML page, of which the
    first 256 KiB are read. Never raises.

    Source: Google's robots meta tag and X-Robots-Tag specification; DeviantArt's `noai`; W3C TDMRep.

    >>> opted_out([("X-Robots-Tag", "noai, unavailable_after: Wed, 01 Jan 2031 00:00:00 GMT")])
    'noai'
    >>> opted_out([("X-Robots-Tag", "max-image-preview:none, otherbot: noai")]) is None
    True
    >>> opted_out([], b'<meta name="robots" content="follow, noindex">')
    'noindex'
    """
    agent = agent.lower()
    directives = _IMAGE_OPT_OUTS if for_images else _OPT_OUTS
    for name, value in headers:
        name = name.strip().lower()
        if name == _TAGS[0]:
            found = _directive(value, agent, directives)
            if found is not None:
                return found
        elif name == _RESERVED and value.strip() == "1":
            return _RESERVED
    for name, content in _metas(page):
        if name in _TAGS or name == agent:
            found = _directive(content, agent, directives)
            if found is not None:
                return found
        elif name == _RESERVED and content.strip() == "1":
            return _RESERVED
    return None


def _directive(value: str, agent: str, directives: frozenset[str]) -> str | None:
    """Return the first of the directives that a comma-separated value has for everyone or for us.

    A name with a colon scopes what follows up to the next one, unless it is a directive with a value.
    """
    ours = True
    for part in re.split(r"[,;]", value[:_VALUE_CHARS].lower()):
        scope = _SCOPE.match(part)
        if scope is not None:
            name, part = scope[1], scope[2]
            if name in _VALUED:
                continue
            if name in directives and ours:  # `noai: true`
                return name
            ours = name == agent or name in _EVERYONE
        if ours:
            found = next((word for word in part.split() if word in directives), None)
            if found is not None:
                return found
    return None


def _metas(page: bytes) -> Iterator[tuple[str, str]]:
    """Yield the name and content of each meta element at the start of a page, in lower case."""
    head = page[:_HEAD_BYTES]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head.decode("utf-16", "replace").encode()
    for found in _META.finditer(_without_comments(head.lower())):
        attributes = {
            match[1]: next(filter(None, match.groups()[1:]), "")
            for match in _ATTRIBUTE.finditer(found[1].decode("utf-8", "replace"))
        }
        name = attributes.get("name") or attributes.get("http-equiv") or ""
        yield html.unescape(name).strip(), html.unescape(attributes.get("content", ""))


def _without_comments(head: bytes) -> bytes:
    """Cut comments out; one that does not end is kept, for it may be none."""
    kept, start = [], 0
    while (at := head.find(b"<!--", start)) >= 0 and (end := head.find(b"-->", at + 4)) >= 0:
        kept.append(head[start:at])
        start = end + 3
    return b"".join((*kept, head[start:]))
