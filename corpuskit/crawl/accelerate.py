"""A private copy of trafilatura that returns the same text in about half the time.

Profiled on 570 real pages, half of trafilatura's time goes to regular expressions that libxml2 calls
back into Python for, an eighth to a second extractor (readability) whose answer is then mostly thrown
away, and a tenth to asking Python for the class of each element and to copying trees. The copy is
loaded under its own name, so a program that uses trafilatura itself keeps it unchanged.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

from lxml.etree import ElementDefaultClassLookup, HTMLParser, XPath, strip_elements
from lxml.html import HtmlElement

from corpuskit.crawl.marks import Marks

__all__ = ["Trafilatura"]

_NAME = "corpuskit.crawl._trafilatura"
_LISTS = (
    "BODY_XPATH",
    "RAW_TREE_PRUNE_XPATH",
    "REMOVE_COMMENTS_XPATH",
    "REMOVE_COMMENTS_AND_LISTS_XPATH",
    "OVERALL_DISCARD_XPATH",
    "TEASER_DISCARD_XPATH",
    "PRECISION_DISCARD_XPATH",
    "DISCARD_IMAGE_ELEMENTS",
)
# Elements whose content an HTML parser reads as raw text: after readability's trip through XML, markup in
# them may come back as text, and what follows an empty one may become its text.
_RAW = XPath("boolean(.//xmp|.//noembed|.//noframes|.//plaintext|.//textarea|.//title[not(node())])")
_VIDEO = 6  # readability writes "VIDEO" into some frames
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r")


class _Options(Protocol):
    """What is looked at of trafilatura's options: balanced, precision or recall."""

    focus: str


class _Parsed:
    """Hands over a tree that is already parsed; trafilatura would copy a bare one."""

    def __init__(self, tree: HtmlElement) -> None:
        self.tree = tree


class Trafilatura:
    """Extracts text with trafilatura's own rules; the result is that of `trafilatura.extract`.

    `precision` is its `favor_precision`. Comments are left out, tables are kept, and nothing is
    remembered from page to page (`deduplicate=False`).
    """

    def __init__(self, precision: bool = True) -> None:
        self._core = _accelerated()
        self._options = self._core.Extractor(precision=precision, comments=False)

    def parse(self, page: str) -> HtmlElement | None:
        """Parse a page; null where it is not HTML at all."""
        return self._core.parse(page)

    def text(self, tree: HtmlElement) -> str | None:
        """Return the main text of a parsed page, whose tree is used up; null where there is none."""
        self._core.marks.mark(tree)
        document = self._core.bare_extraction(_Parsed(tree), options=self._options)
        return None if document is None else str(self._core.determine_returnstring(document, self._options))


@functools.cache
def _accelerated() -> ModuleType:
    found = importlib.util.find_spec("trafilatura")
    if found is None or found.origin is None:
        raise ImportError("trafilatura is not installed")
    spec = importlib.util.spec_from_file_location(
        _NAME, found.origin, submodule_search_locations=found.submodule_search_locations
    )
    if spec is None:
        raise ImportError("trafilatura cannot be loaded from its files")
    # The package's own code is not run: it imports a downloader, which warns of what it lacks.
    sys.modules[_NAME] = importlib.util.module_from_spec(spec)
    core, utils, xpaths, external = (
        importlib.import_module(f"{_NAME}.{name}") for name in ("core", "utils", "xpaths", "external")
    )
    _use_plain_elements(utils)
    vars(core).update(
        parse=utils.load_html,
        load_html=lambda parsed, size=None: parsed.tree,
        marks=_use_marks(xpaths),
        _forum_thread_page=_then_drop_scripts(core._forum_thread_page),
        _extract_and_compare=_without_lost_comparisons(core, external),
    )
    return core


def _use_plain_elements(utils: ModuleType) -> None:
    """Give every element lxml's HTML class in C: the usual parser asks Python for the class of each one."""
    parser = HTMLParser(
        collect_ids=False, default_doctype=False, encoding="utf-8", remove_comments=True, remove_pis=True
    )
    parser.set_element_class_lookup(ElementDefaultClassLookup(element=HtmlElement))
    vars(utils).update(HTML_PARSER=parser, INVALID_XML_CHARS=_InvalidCharacters(utils.INVALID_XML_CHARS))


class _InvalidCharacters:
    """The expression for characters XML forbids, not run over pages that hold none of them."""

    def __init__(self, expression: re.Pattern[str]) -> None:
        self._expression = expression

    def sub(self, with_: str, page: str) -> str:
        data = page.encode("utf-8", "surrogatepass")
        if len(data.translate(None, _CONTROLS)) == len(data) and b"\xef\xbf" not in data:
            return page
        return self._expression.sub(with_, page)


def _use_marks(xpaths: ModuleType) -> Marks:
    """Rewrite the lists of expressions, in place, to ask for marks; what marks cannot express stays."""
    marks = Marks()
    for name in _LISTS:
        expressions: list[Any] = getattr(xpaths, name)
        expressions[:] = [marks.rewrite(expression) for expression in expressions]
    return marks


def _then_drop_scripts(forum: Callable[[HtmlElement], bool]) -> Callable[[HtmlElement], bool]:
    """Remove scripts and styles as soon as they have been looked at, before the tree is copied and copied."""

    def forum_thread_page(tree: HtmlElement) -> bool:
        answer = forum(tree)
        strip_elements(tree, "script", "style", with_tail=False)
        return answer

    return forum_thread_page


def _without_lost_comparisons(core: ModuleType, external: ModuleType) -> Callable[..., Any]:
    """Do not run readability where the rule that compares the two texts must choose trafilatura's own."""
    discards = external.OVERALL_DISCARD_XPATH

    def extract_and_compare(
        cleaned: HtmlElement, backup: HtmlElement, tree: HtmlElement, options: _Options
    ) -> tuple[HtmlElement, str]:
        body, text = core.extract_content(cleaned, options)
        lost = options.focus != "recall" and _wins_unless_far_shorter(body, text)
        if lost:
            dropped = discards if options.focus == "precision" else []
            lost = _at_most(2 * len(text), tree, [*dropped]) and not _RAW(tree)
        other = HtmlElement() if lost else core.copy(tree)
        found: tuple[HtmlElement, str] = external.compare_extraction(backup, other, body, text, options)
        return found

    return extract_and_compare


def _wins_unless_far_shorter(body: HtmlElement, text: str) -> bool:
    """Whether only a text twice as long can win: this one is in paragraphs, and has few tables."""
    return (
        bool(text)
        and len(body.findall(".//table")) <= len(body.findall(".//p"))
        and bool(body.xpath(".//p//text()"))
    )


def _at_most(limit: int, tree: HtmlElement, discards: list[XPath]) -> bool:
    """Say whether no text readability could take is longer, from a tree once `discards` are out of it."""
    most = _length(tree) + _VIDEO * len(tree.findall(".//iframe"))
    if most <= limit:
        return True
    matches = dict.fromkeys(element for discard in discards for element in discard(tree))
    outer = [element for element in matches if not any(above in matches for above in element.iterancestors())]
    return most - sum(_length(element) - 1 for element in outer) <= limit


def _length(element: HtmlElement) -> int:
    return len(" ".join(element.text_content().split()))
