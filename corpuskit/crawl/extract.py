"""Take the main text out of a page: trafilatura by default, resiliparse where speed counts more."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from lxml.html import HtmlElement

    from corpuskit.crawl.accelerate import Trafilatura

__all__ = ["EXTRACTORS", "Extracted", "ExtractorName", "extract"]

ExtractorName = Literal["trafilatura", "resiliparse"]
EXTRACTORS: tuple[ExtractorName, ...] = ("trafilatura", "resiliparse")


class Extracted(NamedTuple):
    """The main text of a page (empty where there is none) and its title (null where it has none)."""

    text: str
    title: str | None


def extract(page: str, extractor: ExtractorName = "trafilatura", precision: bool = True) -> Extracted:
    """Extract the main text and the title of an HTML page.

    trafilatura's text is that of `trafilatura.extract(page, favor_precision=precision,
    include_comments=False)`; resiliparse's that of `extract_plain_text(page, main_content=True)`.
    Raises what the extractor raises.

    >>> extract("<html><title>A  title</title><body><p>Some text.</p></body></html>", "resiliparse")
    Extracted(text='Some text.', title='A title')
    """
    if extractor == "resiliparse":
        return _by_resiliparse(page)
    trafilatura = _trafilatura(precision)
    tree = trafilatura.parse(page)
    if tree is None:
        return Extracted("", None)
    title = _title(tree)
    return Extracted(trafilatura.text(tree) or "", title)


@functools.cache
def _trafilatura(precision: bool) -> Trafilatura:
    import logging

    from corpuskit.crawl.accelerate import Trafilatura

    # It warns of every page without text; that is a counted reject here.
    logging.getLogger("corpuskit.crawl._trafilatura").setLevel(logging.CRITICAL + 1)
    return Trafilatura(precision)


def _title(tree: HtmlElement) -> str | None:
    found = tree.findtext(".//head/title") or tree.findtext(".//title") or ""
    return " ".join(found.split()) or None


def _by_resiliparse(page: str) -> Extracted:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(page)
    return Extracted(
        extract_plain_text(tree, main_content=True), " ".join((tree.title or "").split()) or None
    )
