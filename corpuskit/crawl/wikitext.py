"""Turn wikitext into text: what a reader of the page would read, without what stands beside it."""

from __future__ import annotations

import fnmatch
import html
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from corpuskit.crawl import wikinames
from corpuskit.crawl.wikilines import BREAK, BULLET, HEADING, HOLE, LITERAL, tidy
from corpuskit.crawl.wikinames import Form, Names, names
from corpuskit.language import LANGUAGES

if TYPE_CHECKING:
    from mwparserfromhell.nodes import Tag, Template, Wikilink
    from mwparserfromhell.wikicode import Wikicode

__all__ = ["plain_text"]

_LITERAL = frozenset({"nowiki", "pre", "syntaxhighlight", "source", "math", "chem", "ce"})
_BLOCK_LITERAL = frozenset({"pre", "syntaxhighlight", "source"})
_DROPPED = frozenset(
    {
        "ref",
        "references",
        "gallery",
        "timeline",
        "score",
        "graph",
        "hiero",
        "imagemap",
        "templatestyles",
        "chart",
    }
    | {"mapframe", "maplink", "inputbox", "categorytree", "indicator", "section", "includeonly", "phonos"}
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_OPENING = re.compile(
    r"<!--|<("
    + "|".join(sorted(_LITERAL | _DROPPED | {"poem"}))
    + r")(?=[\s/>])((?:[^<>\"]|\"[^\"<]*\")*?)(/?)>",
    re.IGNORECASE,
)
_SWITCH = re.compile(r"__[A-Z]{4,30}__")
_TABLE_START = re.compile(r"[ \t:*#]*\{\|")
_TABLE_END = re.compile(r"[ \t]*\|\}(?!\})")
_TABLE_ROW = re.compile(r"[ \t]*(?:[|!]|\{\|)")
_APOSTROPHES = re.compile(r"'{2,}")
_FIELD = re.compile(r"\{([^{}]+)\}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)+|simple")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_UNCLOSED = 200  # a page of 20 kB that opens twice as many links takes the parser a second
_SUPERSCRIPT = str.maketrans("0123456789+-−()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾")
_SUBSCRIPT = str.maketrans("0123456789+-−()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎")
_RAISED = re.compile(r"[0-9+\-−()]{1,8}")
_GONE_TAGS = frozenset({"table", "del", "script", "style", "rt", "rp", "noinclude-doc", *_DROPPED})
_BLOCK_TAGS = frozenset(
    {"p", "div", "blockquote", "center", "ul", "ol", "dl", "h1", "h2", "h3", "h4", "h5", "h6"}
)


def plain_text(wikitext: str, known: Names | None = None, apparatus: bool = False) -> str:
    """Return a page's paragraphs, headings and lists as text, a blank line between blocks; never raises.

    Left out: references, tables, images and their captions, galleries, categories, links to other languages,
    and templates that the table `wikitext.toml` does not say how to read, with the brackets and commas that
    would stand around nothing. Formulas stay as TeX between dollar signs. Sections of references, links and
    the like go unless `apparatus`, and so do headings with nothing below them.

    Args:
        wikitext: The page as it is stored.
        known: The namespaces of its wiki; those of every wiki known where not given.
        apparatus: Whether to keep sections that only list sources and links.

    >>> print(plain_text("'''Bern''' ({{audio|x}}; {{lang|fr|Berne}}) is a [[city]].<ref>A</ref>"))
    Bern (Berne) is a city.
    """
    import mwparserfromhell

    literals: list[str] = []
    text = _CONTROL.sub("", wikitext.replace("\r\n", "\n"))
    text = _without_extensions(text, literals)
    text = _without_tables(_SWITCH.sub("", text))
    try:
        rendered = text if _is_wild(text) else _Reader(known or names()).read(_parsed(text))
    except (mwparserfromhell.parser.ParserError, RecursionError):
        rendered = text  # `tidy` removes what markup it can
    return tidy(rendered, literals, known or names(), apparatus)


def _parsed(text: str) -> Wikicode:
    import mwparserfromhell

    return mwparserfromhell.parse(text, skip_style_tags=True)


def _is_wild(text: str) -> bool:
    """Say whether so much is opened and never closed that the parser, which tries each again, takes hours."""
    pairs = (("[[", "]]"), ("{{", "}}"), ("<", ">"), ("[", "]"))
    return any(text.count(opened) - text.count(closed) > _UNCLOSED for opened, closed in pairs)


def _without_extensions(text: str, literals: list[str]) -> str:
    """Take out comments and the tags whose content is no wikitext, as MediaWiki does before it parses."""
    found: list[str] = []
    endless: set[str] = set()
    at = 0
    while opening := _OPENING.search(text, at):
        found.append(text[at : opening.start()])
        if opening[0] == "<!--":
            end = text.find("-->", opening.end())
            at = len(text) if end < 0 else end + 3
            continue
        name = opening[1].lower()
        at = opening.end()
        closing = None
        if not opening[3] and name not in endless:
            closing = re.compile(rf"</{name}\s*>", re.IGNORECASE).search(text, at)
            if closing is None:
                endless.add(name)
        if closing is not None:
            content = text[at : closing.start()]
            at = closing.end()
            found.append(_extension(name, opening[2], content, literals))
        elif name in _DROPPED:
            found.append(HOLE)
    found.append(text[at:])
    return "".join(found)


def _extension(name: str, attributes: str, content: str, literals: list[str]) -> str:
    if name in _DROPPED:
        return HOLE
    if name == "poem":
        return "\n\n" + content.strip().replace("\n", BREAK) + "\n\n"
    if name in ("math", "chem", "ce"):
        content = f"${' '.join(content.split())}$"
        block = "block" in attributes
    else:
        content = html.unescape(content).strip("\n")
        block = name in _BLOCK_LITERAL
    literals.append(content)
    token = f"{LITERAL}{len(literals) - 1}{LITERAL}"
    return f"\n\n{token}\n\n" if block else token


def _without_tables(text: str) -> str:
    """Take out tables, also nested ones; of a table without an end, its rows alone."""
    if "{|" not in text:
        return text
    kept: list[str] = []
    inside: list[str] = []
    depth = 0
    for line in text.split("\n"):
        if _TABLE_START.match(line):
            depth += 1
        if not depth:
            kept.append(line)
            continue
        inside.append(line)
        end = _TABLE_END.match(line)
        if end:
            depth -= 1
            if not depth:
                inside.clear()
                kept.append(HOLE + line[end.end() :])
    return "\n".join([*kept, *(line for line in inside if not _TABLE_ROW.match(line))])


class _Reader:
    """Reads the nodes of a parsed page."""

    def __init__(self, known: Names) -> None:
        self._known = known

    def read(self, code: Wikicode | None) -> str:
        """Join what the nodes read as; null reads as nothing."""
        return "".join(self._node(node) for node in code.nodes) if code is not None else ""

    def _node(self, node: Any) -> str:  # noqa: ANN401 - the library's nodes have no common interface
        kind = type(node).__name__
        if kind == "Text":
            return _APOSTROPHES.sub(_without_style, str(node.value))
        if kind == "Template":
            return self._template(node)
        if kind == "Wikilink":
            return self._link(node)
        if kind == "Tag":
            return self._tag(node)
        if kind == "ExternalLink":
            return self._external(node)
        if kind == "Heading":
            return f"\n\n{HEADING}{node.level}{self.read(node.title).strip()}\n\n"
        if kind == "HTMLEntity":
            return html.unescape(str(node))
        return HOLE  # an argument of a template, or a comment

    def _external(self, node: Any) -> str:  # noqa: ANN401 - as above
        if not node.brackets:
            return str(node.url)
        return self.read(node.title).strip() or HOLE

    def _link(self, node: Wikilink) -> str:
        title = self.read(node.title).strip()
        shown = self.read(node.text).strip() if node.text is not None else ""
        prefix, colon, rest = title.partition(":")
        prefix = prefix.strip().lower()
        if colon and prefix in self._known.files | self._known.categories:
            return HOLE
        if colon and not shown and (prefix in LANGUAGES or _LANGUAGE.fullmatch(prefix)):
            return HOLE
        if colon and not shown and prefix in wikinames.table()["sister_prefixes"]:
            return rest.strip()
        return shown or title.lstrip(":#") or HOLE

    def _tag(self, node: Tag) -> str:
        markup = str(node.wiki_markup or "")
        if markup and markup[0] in "*#:;":
            return BULLET + markup
        name = str(node.tag).strip().lower()
        if markup == "----" or name == "hr":
            return "\n\n"
        if name == "br":
            return BREAK
        if name in _GONE_TAGS or _HIDDEN.search("".join(map(str, node.attributes))):
            return HOLE
        content = self.read(node.contents)
        if name in ("sup", "sub"):
            return _raise(content, _SUPERSCRIPT if name == "sup" else _SUBSCRIPT)
        if name == "li":
            return f"\n{BULLET}*{content.strip()}\n"
        return f"\n\n{content}\n\n" if name in _BLOCK_TAGS else content

    def _template(self, node: Template) -> str:
        name = wikinames.normal(str(node.name))
        call = _Call(self, node)
        for form in wikinames.form_of(name):
            if call.fits(form):
                return call.fill(form)
        return HOLE


class _Call:
    """A template and its parameters, each read once and only if asked for."""

    def __init__(self, reader: _Reader, node: Template) -> None:
        self._reader = reader
        self._node = node
        self._known: dict[str, str] = {}

    def fits(self, form: Form) -> bool:
        """Say whether the parameters are such as a form is for."""
        return all(_matches(self._value(name), patterns) for name, patterns in form.where)

    def fill(self, form: Form) -> str:
        """Write a form with its fields filled; a hole where none has a value."""
        filled = 0

        def field(found: re.Match[str]) -> str:
            nonlocal filled
            for choice in found[1].split("|"):
                name, _, kind = choice.partition(":")
                value = self._joined(form.skip) if name == "*" else self._value(name)
                if value.strip(HOLE):
                    filled += 1
                    words = wikinames.table()[f"{kind}s"] if kind else {}
                    return str(words.get(value.lstrip("0"), value))
            return HOLE

        text = _FIELD.sub(field, form.text)
        if text == form.text:
            return text.replace("\n", BREAK)
        return text.replace("\n", "\n\n") if filled else HOLE

    def _value(self, name: str) -> str:
        """Read the parameter `name`, or for 0 what follows the colon of a parser function; none is empty."""
        if name not in self._known:
            if name == "0":
                found = str(self._node.name).partition(":")[2]
            else:
                found = self._reader.read(self._node.get(name).value) if self._node.has(name) else ""
            self._known[name] = found.strip()
        return self._known[name]

    def _joined(self, skip: tuple[str, ...]) -> str:
        values = (self._reader.read(item.value).strip() for item in self._node.params if not item.showkey)
        return "".join(value for value in values if not _matches(value, skip))


def _matches(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


def _without_style(found: re.Match[str]) -> str:
    """Take out the marks of bold and italic type; of four apostrophes one is meant, and of six."""
    count = len(found[0])
    return "" if count in (2, 3, 5) else "'" * (count - 3 if count < 5 else count - 5)


def _raise(content: str, digits: dict[int, int]) -> str:
    return content.translate(digits) if _RAISED.fullmatch(content) else content
