"""The blocks of an HTML page in reading order: paragraphs, items, rows, code, with the images in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from resiliparse.parse.html import DOMNode, ElementNode, HTMLTree, NodeType

__all__ = ["Block", "Element", "Page", "read"]

_APART = frozenset(("nav", "aside", "footer", "menu"))
# fmt: off
_NOTHING = frozenset(
    (
        "script", "style", "template", "head", "title", "svg", "math", "iframe", "object", "embed",
        "video", "audio", "canvas", "map", "select", "option", "optgroup", "datalist", "button",
        "textarea", "input", "progress", "meter", "dialog",
    )
)
_INLINE = frozenset(
    (
        "a", "abbr", "acronym", "amp-img", "b", "bdi", "bdo", "big", "cite", "code", "data", "del",
        "dfn", "em", "font", "i", "img", "ins", "kbd", "label", "mark", "nobr", "noscript",
        "output", "picture", "q", "rp", "rt", "ruby", "s", "samp", "small", "source", "span",
        "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
    )
)
# fmt: on
_KINDS = {
    "li": "item",
    "tr": "row",
    "pre": "code",
    "figcaption": "caption",
    "caption": "caption",
    "dt": "item",
    "dd": "item",
} | dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading")
_IMAGES = frozenset(("img", "amp-img"))
_LISTS = frozenset(("ul", "ol"))
_LAYOUT = "table, p, h1, h2, h3, h4, ul, ol, blockquote, pre, div div"
"""What no cell of a table of data holds; a table that does is how the page is laid out."""
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_BOILERPLATE = re.compile(
    r"(?:\A|[\s_-])(?:nav|navbar|navigation|menu|related|recommend\w*|share|sharing|social|sidebar|promo|"
    r"newsletter|cookies?|breadcrumbs?|comments?|avatar|advert\w*|ads?|banner|footer|sponsor\w*|"
    r"teasers?|popular|trending|outbrain|taboola|pagination|byline|author)(?=\Z|[\s_-])"
    r"|(?:\A|\s)widget(?=\Z|[\s_-])",  # not as in elementor-widget-image
    re.IGNORECASE,
)
_DEEPEST = 2_000


@dataclass(slots=True)
class Element:
    """An element of the page: its tag, the number of the element it is in (-1: none), and what it is."""

    tag: str
    parent: int
    apart: bool
    """Whether it, or an element around it, is marked as something beside the main text."""


@dataclass(slots=True)
class Block:
    """A stretch of text that stands by itself, with the images in it.

    `parts` are texts and, as numbers, images. `kind` is text, heading, item, row, code or caption. `links` is
    how many characters are in links.
    """

    place: int
    kind: str
    group: int
    """The list or table it is of, -1 for none: such blocks stand on lines below one another."""
    parts: list[str | int] = field(default_factory=list)
    indent: str = ""
    links: int = 0

    @property
    def text(self) -> str:
        """The text without the images."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> list[int]:
        """The numbers of the images."""
        return [part for part in self.parts if isinstance(part, int)]


@dataclass(slots=True)
class Page:
    """The elements of a page, by number, and its blocks in reading order."""

    elements: list[Element] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def above(self, place: int) -> Iterator[int]:
        """Yield an element and those it is in, from the inside out."""
        while place >= 0:
            yield place
            place = self.elements[place].parent


def read(tree: HTMLTree, images: Mapping[ElementNode, int]) -> Page:
    """Read a page's body; `images` number the elements that are images worth keeping.

    White space is that of HTML: runs are one space, but in `pre` all of it stays. Items of lists begin with
    `- ` or their number, indented by two spaces a level; the cells of a row are set apart by ` | `; a table
    whose cells hold blocks of their own is read cell by cell. Scripts, forms and what is hidden are left out,
    as is the text (not the images) of `noscript`.

    >>> page = read(HTMLTree.parse("<p>One<p>Two <b>x</b><ol><li>a<li>b</ol>"), {})
    >>> [(block.kind, block.indent + block.text) for block in page.blocks]
    [('text', 'One'), ('text', 'Two x'), ('item', '1. a'), ('item', '2. b')]
    """
    reader = _Reader(images)
    if tree.body is not None:
        reader.walk(tree.body)
    return reader.page


@dataclass(slots=True)
class _Open:
    """An element whose end has not come: its number, and what is to be said of the blocks in it."""

    place: int
    kind: str
    link: bool
    code: bool
    silent: bool
    group: int
    depth: int
    bullet: list[str]
    """What the next block of the item begins with: its bullet once, then as much space."""
    count: int = 0
    row: bool = False
    """Whether blocks within go on the line of their row."""
    data: bool = False


class _Reader:
    """Walks a page once, without recursion: pages may be nested deeper than Python's stack."""

    def __init__(self, images: Mapping[ElementNode, int]) -> None:
        self.page = Page()
        self._images = images
        self._open = [_Open(-1, "text", False, False, False, -1, 0, [])]
        self._block: Block | None = None
        self._space = False
        """Whether white space is due before the next word."""

    def walk(self, body: DOMNode) -> None:
        node: DOMNode | None = body
        while node is not None:
            down = self._enter(node)
            child = node.first_child if down else None
            if child is not None:
                node = child
                continue
            if down:
                self._leave(node)
            following = None if node == body else node.next
            while following is None and node is not None and node != body:
                node = node.parent
                if node is not None:
                    self._leave(node)
                    following = None if node == body else node.next
            node = following
        self._end()

    def _enter(self, node: DOMNode) -> bool:
        """Take what a node gives; say whether its children are to be read."""
        if not isinstance(node, ElementNode):
            if node.type == NodeType.TEXT and not self._open[-1].silent:
                self._add(node.value or "")
            return False
        tag = node.tag or ""
        if tag in _IMAGES:
            if (number := self._images.get(node)) is not None:
                self._image(number)
            return False
        if tag == "br":
            self._line()
            return False
        if tag in _NOTHING or len(self._open) > _DEEPEST or _is_hidden(node):
            return False
        self._begin(node, tag)
        return True

    def _begin(self, node: ElementNode, tag: str) -> None:
        above = self._open[-1]
        if tag in ("td", "th") and above.row:
            self._cell()
        elif tag not in _INLINE and not above.row:
            self._end()
        if tag in _INLINE:
            place = above.place
        else:
            place = len(self.page.elements)
            apart = above.place >= 0 and self.page.elements[above.place].apart
            self.page.elements.append(Element(tag, above.place, apart or _is_apart(node, tag)))
        data = tag == "table" and node.query_selector(_LAYOUT) is None
        row = above.row or (tag == "tr" and self._in_data())
        kind = _KINDS.get(tag, above.kind)
        if tag == "tr" and not row:
            kind = above.kind
        elif tag in ("td", "th") and not row:
            kind = "text"
        self._open.append(
            _Open(
                place,
                kind,
                above.link or tag == "a",
                above.code or tag == "pre",
                above.silent or tag == "noscript",
                place
                if above.group < 0 and (tag in _LISTS or data)
                else above.group
                if tag not in ("td", "th") or row
                else -1,
                above.depth + (tag in _LISTS),
                self._bullet(above, tag) if tag == "li" else above.bullet,
                _start(node) if tag == "ol" else 0,
                row,
                data,
            )
        )

    def _in_data(self) -> bool:
        return any(one.data for one in self._open[-4:])

    def _bullet(self, above: _Open, tag: str) -> list[str]:
        indent = "  " * max(0, above.depth - 1)
        if above.place >= 0 and self.page.elements[above.place].tag == "ol":
            above.count += 1
            return [f"{indent}{above.count}. "]
        return [f"{indent}- "]

    def _leave(self, node: DOMNode) -> None:
        if node.tag not in _INLINE:
            if self._open[-2].row:
                self._space = True
            else:
                self._end()
        self._open.pop()

    def _current(self) -> Block:
        if self._block is None:
            one = self._open[-1]
            self._block = Block(one.place, one.kind, one.group)
            self._space = False
        return self._block

    def _add(self, text: str) -> None:
        one = self._open[-1]
        if one.code:
            block = self._current()
            block.parts.append(text)
            return
        words = _BLANKS.sub(" ", text)
        if not words.strip(" "):
            self._space = self._space or bool(words)
            return
        block = self._current()
        said = block.text
        lead = (self._space or words[0] == " ") and bool(said) and said[-1] not in " \n"
        bare = words.strip(" ")
        block.parts.append(" " + bare if lead else bare)
        block.links += len(bare) if one.link else 0
        self._space = words[-1] == " "

    def _image(self, number: int) -> None:
        block = self._current()
        if self._space and block.text and block.text[-1] not in " \n":
            block.parts.append(" ")
        self._space = False
        block.parts.append(number)

    def _line(self) -> None:
        """Begin a new line; a second one in a row begins a new block."""
        if self._open[-1].row:
            self._space = True
        elif self._block is not None:
            if self._block.parts[-1] == "\n" and not self._open[-1].code:
                self._end()
            else:
                self._block.parts.append("\n")
                self._space = False

    def _cell(self) -> None:
        if self._block is not None and self._block.parts:
            self._block.parts.append(" | ")
            self._space = False

    def _end(self) -> None:
        """Finish the block in hand, if there is anything in it."""
        block, self._block, self._space = self._block, None, False
        if block is None or not _trim(block):
            return
        bullet = self._open[-1].bullet
        if block.kind == "item" and bullet and block.text:
            block.indent = bullet[0]
            bullet[0] = " " * len(bullet[0])
        self.page.blocks.append(block)


def _trim(block: Block) -> bool:
    """Take white space off both ends, and empty lines off code; say whether anything is left."""
    texts = [place for place, part in enumerate(block.parts) if isinstance(part, str)]
    for place in texts:
        part = block.parts[place]
        text = part.lstrip("\n\r" if block.kind == "code" else None) if isinstance(part, str) else ""
        block.parts[place] = text
        if text.strip():
            break
    for place in reversed(texts):
        part = block.parts[place]
        text = part.rstrip() if isinstance(part, str) else ""
        block.parts[place] = text
        if text:
            break
    block.parts = [part for part in block.parts if part != ""]
    if not block.text.strip(" |\n\t\r\f\xa0"):
        block.parts = list(block.images)
    return bool(block.parts)


def _start(node: ElementNode) -> int:
    value = node.getattr("start") or ""
    return int(value) - 1 if re.fullmatch(r"[0-9]{1,6}", value) else 0


def _is_hidden(node: ElementNode) -> bool:
    return node.hasattr("hidden") or bool(_HIDDEN.search(node.getattr("style") or ""))


def _is_apart(node: ElementNode, tag: str) -> bool:
    if tag in _APART:
        return True
    if tag in ("body", "html", "main", "article"):
        return False
    named = f"{node.getattr('class') or ''} {node.getattr('id') or ''}"[:1000]
    return bool(_BOILERPLATE.search(named)) or node.getattr("role") in ("navigation", "complementary")
