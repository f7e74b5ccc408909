"""The pictures of an HTML page: where each lies, and what the page says about it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from resiliparse.parse.html import ElementNode, HTMLTree

__all__ = ["Picture", "base_url", "largest", "licence", "page_language", "pictures", "resolve"]

LAZY = (
    "data-src",
    "data-src-fg",
    "data-scroll-image",
    "data-lateloadsrc",
    "data-img-src",
    "data-original",
    "data-gt-lazy-src",
    "data-lazy",
    "data-lazy-src",
    "src2",
    "data-echo",
    "data-hi-res-src",
)
"""Where pages keep an image's address until it is scrolled to; most of them as OBELICS lists them."""
SETS = ("srcset", "data-srcset", "data-lazy-srcset")

_MOST = 10_000
"""Pictures of one page; what a page has beyond is no page's content."""
_TAGS = "img, amp-img"
_DEEP = 8
"""Elements between an image and its figure: links and wrappers."""
_CANDIDATE = re.compile(r"[\s,]*(\S*[^\s,])(?:\s+([0-9.]{1,12})([wx])\b[^,]*)?(?:,|\s|\Z)")
_BLANKS = "".join(map(chr, range(0x21)))
_CONTROLS = re.compile(r"[\t\r\n]")
_SAFE = "!#$%&'()*+,/:;=?@[]~"
_RIGHTS = re.compile(r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/", re.IGNORECASE)
_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_].*)?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a page: its address, what is said of it, the size its tag declares, and its node.

    A text that is not there, or is blank, is null; so is a size that is no whole number of pixels.
    """

    url: str
    alt: str | None
    title: str | None
    caption: str | None
    width: int | None
    height: int | None
    node: ElementNode

    def texts(self) -> tuple[tuple[str, str], ...]:
        """List what is said, each text once, with where it is said."""
        found = (("alt", self.alt), ("caption", self.caption), ("title", self.title))
        said = {text: kind for kind, text in reversed(found) if text}
        return tuple((kind, text) for kind, text in found if text and said[text] == kind)


def pictures(tree: HTMLTree, page: str) -> list[Picture]:
    """List the images of a page in reading order, those in `noscript` and `picture` too.

    An image that names several files is its largest in `srcset`, else what it will load when it is
    scrolled to, else its `src`. An image is listed once where its `noscript` twin repeats it. Those whose
    bytes stand in the page itself (`data:`) are left out, as are all but http and https.

    Source: the attributes are those of OBELICS (Laurencon et al. 2023, appendix A.1.1), which takes `src`
    before all others and so gets placeholders; it also reads neither `picture` nor `noscript`.

    >>> page = '<img src="data:," data-src="/b.png" alt=" A  bee "><img src=x.gif srcset="l.jpg 2x, m.jpg">'
    >>> [(one.url, one.alt) for one in pictures(HTMLTree.parse(page), "https://a.example/c/d")]
    [('https://a.example/b.png', 'A bee'), ('https://a.example/c/l.jpg', None)]
    """
    base = base_url(tree, page)
    found: dict[tuple[str, str | None], Picture] = {}
    for node in _elements(tree, _TAGS):
        url = next((url for url in map(lambda one: resolve(base, one), _addresses(node)) if url), None)
        if url is None:
            continue
        alt = _text(node.getattr("alt"))
        found.setdefault(
            (url, alt),
            Picture(
                url,
                alt,
                _text(node.getattr("title")),
                _caption(node),
                _pixels(node.getattr("width")),
                _pixels(node.getattr("height")),
                node,
            ),
        )
        if len(found) == _MOST:
            break
    return list(found.values())


def _elements(tree: HTMLTree, selector: str) -> Iterator[ElementNode]:
    if tree.document is not None:
        for node in tree.document.query_selector_all(selector)[
            :
        ]:  # the slice is linear, a loop over it is not
            if isinstance(node, ElementNode):
                yield node


def _addresses(node: ElementNode) -> Iterator[str]:
    """Yield where an image may lie, best first."""
    sets = [node.getattr(name) for name in SETS]
    parent = next((one for one in _parents(node) if one.tag != "noscript"), None)
    if parent is not None and parent.tag == "picture":
        for source in parent.get_elements_by_tag_name("source")[:]:
            sets += [source.getattr(name) for name in SETS if isinstance(source, ElementNode)]
    if best := largest(one for one in sets if one):
        yield best
    for name in (*LAZY, "src"):
        if value := node.getattr(name):
            yield value


def largest(sets: Iterable[str]) -> str | None:
    """Return the address of the largest image of some `srcset`s; null if they have none.

    Widths go before densities, which say nothing of the size; of equals, the first.

    >>> largest(["s.jpg 300w, m,1.jpg 1200w", "x.jpg 3x"])
    'm,1.jpg'
    """
    best, most = None, (-1, 0.0)
    for one in sets:
        for match in _CANDIDATE.finditer(one[:65536]):
            url, number, unit = match.groups()
            if url.startswith("data:"):
                continue
            try:
                size = (int(unit == "w"), float(number) if number else 1.0)
            except ValueError:  # 1.2.3x
                continue
            if size > most:
                best, most = url, size
    return best


def base_url(tree: HTMLTree, page: str) -> str:
    """Return what the page's relative addresses are relative to: its `base`, else its own address.

    >>> base_url(HTMLTree.parse('<base href="//cdn.example/a/">'), "https://a.example/")
    'https://cdn.example/a/'
    """
    for node in _elements(tree, "base"):
        if href := node.getattr("href"):
            return resolve(page, href) or page
    return page


def resolve(base: str, reference: str) -> str | None:
    """Resolve a reference (RFC 3986, 5.2), mended as browsers mend it; null unless it is http or https.

    Blanks around it and line breaks within go, backslashes are slashes, a fragment goes, and whatever may
    not stand in an address is escaped.

    >>> resolve("http://a/b/c/d;p?q", "../g h#s"), resolve("http://a/", "javascript:x")
    ('http://a/b/g%20h', None)
    """
    text = _CONTROLS.sub("", reference.strip(_BLANKS))
    path, mark, query = text.partition("?")
    try:
        joined = urljoin(base, path.replace("\\", "/") + mark + query).partition("#")[0]
        parts = urlsplit(joined)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return quote(joined, safe=_SAFE, errors="replace")


def licence(tree: HTMLTree, page: str) -> str | None:
    """Return the address of the licence the page states for its content; null where it states none.

    A link marked as such goes before one that merely leads to Creative Commons.

    >>> licence(HTMLTree.parse('<a rel="nofollow license" href="/terms">'), "https://a.example/x")
    'https://a.example/terms'
    """
    base = base_url(tree, page)
    mentioned = None
    for node in _elements(tree, "[rel][href], a[href*='creativecommons.org/']"):
        href = node.getattr("href") or ""
        if "license" in (node.getattr("rel") or "").lower().split() and (found := resolve(base, href)):
            return found
        if mentioned is None and _RIGHTS.match(href):
            mentioned = href
    return resolve(base, mentioned) if mentioned else None


def page_language(tree: HTMLTree) -> str | None:
    """Return the language the page declares, as it writes it, without region; null if it declares none.

    >>> page_language(HTMLTree.parse('<html lang="pt-BR">'))
    'pt'
    """
    for node in _elements(tree, "html[lang]"):
        if found := _LANGUAGE.match(node.getattr("lang") or ""):
            return found[1].lower()
    return None


def _caption(node: ElementNode) -> str | None:
    """Return the caption of the figure an image is in, if it is the figure's only one of its kind."""
    for parent in itertools.islice(_parents(node), _DEEP):
        if parent.tag == "figure":
            captions = parent.get_elements_by_tag_name("figcaption")
            return _text(captions[0].text) if len(captions) == 1 else None
    return None


def _parents(node: ElementNode) -> Iterator[ElementNode]:
    above = node.parent
    while isinstance(above, ElementNode):
        yield above
        above = above.parent


def _text(text: str | None) -> str | None:
    return " ".join(text.split()) or None if text else None


def _pixels(value: str | None) -> int | None:
    match = re.match(r"\s*([0-9]{1,6})\s*(?:px)?\s*\Z", value) if value else None
    return int(match[1]) if match else None
