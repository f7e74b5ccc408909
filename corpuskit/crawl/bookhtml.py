"""The text of a book's HTML: its paragraphs and headings, without what stands beside the text."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["BadMarkup", "Block", "Matter", "blocks", "is_left_out", "links", "parse"]

_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE\b[^\[>]*(?:\[[^\]]*\]\s*)?>", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")
_INVISIBLE = re.compile(r"[\u2060\ufeff\u00ad\x00-\x08\x0b\x0e-\x1f]")
_CELL, _PIECE = "\x01", "\x02"  # the end of a table's cell, and of a part of a group of headings
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = (
    _HEADINGS
    | {
        "p",
        "div",
        "section",
        "article",
        "aside",
        "blockquote",
        "header",
        "footer",
        "hgroup",
        "figure",
        "figcaption",
    }
    | {
        "ul",
        "ol",
        "dl",
        "li",
        "dt",
        "dd",
        "table",
        "tr",
        "caption",
        "pre",
        "address",
        "main",
        "body",
        "center",
        "hr",
    }
)
_GONE = frozenset(
    {"head", "script", "style", "nav", "svg", "img", "iframe", "object", "audio", "video", "form", "button"}
    | {"rt", "rp"}
)
_LEFT_OUT = frozenset(
    {"cover", "titlepage", "halftitlepage", "halftitle", "imprint", "copyright-page", "colophon", "toc"}
    | {"toc-brief", "landmarks", "page-list", "loi", "lot", "loa", "lov", "index", "seriespage", "errata"}
    | {
        "endnotes",
        "footnotes",
        "rearnotes",
        "footnote",
        "endnote",
        "rearnote",
        "noteref",
        "pagebreak",
        "backlink",
    }
    | {"other-credits", "doc-cover", "doc-toc", "doc-endnotes", "doc-endnote", "doc-footnote", "doc-noteref"}
    | {"doc-backlink", "doc-pagebreak", "doc-pagelist", "doc-index", "doc-colophon", "doc-credits"}
)
"""Parts of a book that are no text of it, by `epub:type` (EPUB 3 Structural Semantics) and DPUB-ARIA role."""
_BESIDE = frozenset(
    {
        "navheader",
        "navfooter",
        "toc",
        "docnav",
        "list-of-figures",
        "list-of-tables",
        "banner",
        "pagenum",
        "pageno",
    }
    | {"pg-boilerplate", "pgheader", "pgfooter", "pg-header", "pg-footer", "pg-machine-header"}
)
"""Classes and ids of the same, of DocBook, Publican and Project Gutenberg."""
_TYPE = "{http://www.idpf.org/2007/ops}type"


class BadMarkup(ValueError):
    """Markup that no parser makes a page of."""


class Block(NamedTuple):
    """A paragraph (level 0), an item of a list (-1) or a heading (1 to 6)."""

    level: int
    text: str


class Matter(NamedTuple):
    """A part of a book: its blocks, and what its head says; null where it does not."""

    blocks: list[Block]
    title: str | None
    author: str | None
    lang: str | None
    is_title_page: bool = False


def parse(text: str) -> _Element:
    """Parse XHTML or HTML: no entities, no network, no document type.

    Raises:
        BadMarkup: Nothing can be made of it.
    """
    from lxml import etree

    text = _DOCTYPE.sub("", _DECLARATION.sub("", text.lstrip("\ufeff")), count=1)
    text = _ENTITY.sub(_character, text)
    data = text.encode("utf-8", "replace")
    if "http://www.w3.org/1999/xhtml" in text[:4096]:
        try:
            strict = etree.XMLParser(
                resolve_entities=False, no_network=True, load_dtd=False, encoding="utf-8"
            )
            return etree.fromstring(data, strict)
        except etree.XMLSyntaxError:
            pass  # called XHTML, and is not
    lenient = etree.HTMLParser(no_network=True, encoding="utf-8")
    try:
        tree = etree.fromstring(data, lenient)
    except etree.XMLSyntaxError as error:
        raise BadMarkup(str(error)) from None
    if tree is None:
        raise BadMarkup("no element")
    return tree


def _character(found: re.Match[str]) -> str:
    return found[0] if found[1] in _XML_ENTITIES else html.unescape(found[0])


def blocks(tree: _Element) -> Matter:
    """Read the text of a page, block by block, whatever it is nested in."""
    from lxml import etree

    writer = _Writer()
    skipped = 0

    for event, element in etree.iterwalk(tree, events=("start", "end", "comment", "pi")):
        if not isinstance(element.tag, str):  # a comment or the like; what follows it is its parent's text
            if not skipped:
                writer.write(element.tail)
            continue
        name = etree.QName(element).localname.lower()
        if skipped or is_left_out(element, name):
            skipped += 1 if event == "start" else -1
            if event == "end" and not skipped:
                writer.write(element.tail)
        elif event == "start":
            writer.open(name)
            writer.write(element.text)
        else:
            writer.close(name)
            writer.write(element.tail)
    writer.end()
    page = _titled(tree)
    if page is not None:
        return Matter(writer.found, *page, _language(tree), is_title_page=True)
    return Matter(writer.found, _head(tree, "title"), _author(tree), _language(tree))


def links(tree: _Element) -> list[str]:
    """List the files beside it that a page links, in order; of its table of contents, if it has one."""
    listed = [item for item in tree.iter() if isinstance(item.tag, str) and _is_contents(item)]
    found = [
        link.get("href", "").partition("#")[0] for item in listed or [tree] for link in item.iter("{*}a")
    ]
    return [name for name in dict.fromkeys(found) if name and "/" not in name]


def _is_contents(element: _Element) -> bool:
    return bool(_names(element, _TYPE, "epub:type", "role", "class", "id") & {"toc", "doc-toc"})


def is_left_out(element: _Element, name: str) -> bool:
    """Say whether an element, and all in it, is none of the book's text."""
    if name in _GONE or (_names(element, _TYPE, "epub:type", "role") & _LEFT_OUT):
        return True
    if _names(element, "class", "id") & _BESIDE:
        return True
    return element.get("hidden") is not None and name != "body"


def _names(element: _Element, *attributes: str) -> set[str]:
    return {name for key in attributes for name in (element.get(key) or "").lower().split()}


@dataclass
class _Writer:
    """The blocks so far, and the one being written."""

    found: list[Block] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _level: int = 0
    _item: str = ""
    _lists: list[int | None] = field(default_factory=list)
    _as_is: int = 0
    _grouped: int = 0

    def open(self, name: str) -> None:
        if name in _BLOCKS:
            self.end()
        if name in _HEADINGS and not self._grouped:
            self._level = int(name[1])
        elif name in ("ul", "ol"):
            self._lists.append(0 if name == "ol" else None)
        elif name == "li":
            self._item = self._mark()
        elif name == "br":
            self._pieces.append("\n")
        self._as_is += name == "pre"
        self._grouped += name == "hgroup"

    def close(self, name: str) -> None:
        self._grouped -= name == "hgroup"
        if name == "hgroup":
            self._level = 2
        if name in _BLOCKS:
            self.end()
        if name in ("td", "th"):
            self._pieces.append(_CELL)
        elif name in ("ul", "ol") and self._lists:
            self._lists.pop()
        self._as_is -= name == "pre"

    def write(self, text: str | None) -> None:
        if text:
            text = _INVISIBLE.sub("", text)
            self._pieces.append(text if self._as_is else _SPACES.sub(" ", text))

    def end(self) -> None:
        """End the block, if it has text; within a group of headings, only its part of one."""
        if self._grouped:
            self._pieces.append(_PIECE)
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        text = text.strip("\n").rstrip() if self._as_is else _laid_out(text)
        level, self._level = self._level, 0
        if text.strip():
            self.found.append(Block(level or (-1 if self._item else 0), self._item + text))
            self._item = ""

    def _mark(self) -> str:
        """Return what stands before an item: a dash or its number, indented by how deep its list lies."""
        depth = "  " * (len(self._lists) - 1)
        number = self._lists[-1] if self._lists else None
        if number is None:
            return f"{depth}- "
        self._lists[-1] = number + 1
        return f"{depth}{number + 1}. "


def _laid_out(text: str) -> str:
    """Write the lines of a block; a bar divides the cells of a row, a colon a number from its title."""
    lines = []
    for line in text.split("\n"):
        for mark, between in ((_CELL, " | "), (_PIECE, ": ")):
            if mark in line:
                line = between.join(part.strip() for part in line.split(mark) if part.strip())
        lines.append(_SPACES.sub(" ", line).strip())
    return "\n".join(lines).strip()


def _titled(tree: _Element) -> tuple[str | None, str | None] | None:
    """Return title and author as a title page marks them; null where the page is none."""
    marked: dict[str, str] = {}
    is_page = False
    for element in tree.iter():
        if isinstance(element.tag, str):
            types = _names(element, _TYPE, "epub:type")
            is_page |= "titlepage" in types
            for mark in types & {"title", "z3998:author"}:
                marked.setdefault(mark, " ".join("".join(element.itertext()).split()))
    return (marked.get("title"), marked.get("z3998:author")) if is_page and "title" in marked else None


def _head(tree: _Element, name: str) -> str | None:
    for element in tree.iter("{*}" + name):
        return " ".join("".join(element.itertext()).split()) or None
    return None


def _author(tree: _Element) -> str | None:
    for element in tree.iter("{*}meta"):
        if (element.get("name") or "").lower() in ("author", "dc.creator", "dcterms.creator"):
            return " ".join((element.get("content") or "").split()) or None
    return None


def _language(tree: _Element) -> str | None:
    found: str | None = (
        tree.get("{http://www.w3.org/XML/1998/namespace}lang") or tree.get("lang") or tree.get("xml:lang")
    )
    return found
