"""The main text of a page with its images: the words that an extractor finds, and what stands among them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from corpuskit.crawl.blocks import Block, Page

__all__ = ["Placed", "chosen", "render"]

_LEVELS = 5
"""Wrappers between an image, list or table and the element that holds main text beside it."""
_SHORT = 24
"""Letters below which a block must be a whole line of the main text to be a part of it."""
_SAMPLE = 48
_CAPTION = 200
"""Most characters of a text beside an image that is taken with it."""
_MOST_LINKS = 0.5
_LETTERS = re.compile(r"[\W_]+")
_BESIDE = frozenset(("item", "row", "code", "caption", "heading"))


class Placed(NamedTuple):
    """A text, and for each image in reading order its number and its offset in UTF-8 bytes of the text."""

    text: str
    images: tuple[tuple[int, int], ...]


def chosen(page: Page, main: str) -> list[Block]:
    """Choose the blocks of a page's main text, given the text that an extractor took for it.

    Blocks whose words are in `main` are. So are images, lists, tables, code, captions and headings that stand
    among them and are not mostly links, which extractors drop; before the first and after the last of
    them, only images and their captions.
    """
    keys = [_key(block.text) for block in page.blocks]
    whole = _key(main)
    seeds = _seeds(page, keys, main, whole)
    if not seeds:
        return []
    around = _Around(page, seeds)
    taken, seen = [], set[str]()
    for number, block in enumerate(page.blocks):
        key = keys[number]
        if number in seeds or around.holds(number, block):
            if len(key) >= _SHORT and key in seen and not block.images and whole.count(key) < 2:
                continue  # pages hold a text twice, for narrow and for wide screens
            seen.add(key)
            taken.append(block)
    return taken


def _key(text: str) -> str:
    return _LETTERS.sub("", text).lower()


def _seeds(page: Page, keys: Sequence[str], main: str, whole: str) -> set[int]:
    """Number the blocks whose words are in the main text; `whole` is that text as a key."""
    lines = {_key(line) for line in main.split("\n")} - {""}
    found = set()
    for number, key in enumerate(keys):
        apart = page.elements[page.blocks[number].place].apart
        if len(key) < _SHORT:
            same = bool(key) and key in lines and not apart
        else:
            same = key in whole or (len(key) > 2 * _SAMPLE and _mostly(key, whole))
        if same:
            found.add(number)
    return found


def _mostly(key: str, whole: str) -> bool:
    """Whether most of some samples of a block are in the main text: an extractor may drop words of it."""
    middle = (len(key) - _SAMPLE) // 2
    samples = (key[:_SAMPLE], key[middle : middle + _SAMPLE], key[-_SAMPLE:])
    return sum(sample in whole for sample in samples) >= 2


@dataclass
class _Around:
    """What stands among the seeds."""

    page: Page
    seeds: set[int]
    _seeded: set[int] = field(default_factory=set)
    _units: dict[int, list[Block]] = field(default_factory=lambda: defaultdict(list))
    _unit_of: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._first, self._last = min(self.seeds), max(self.seeds)
        for number in self.seeds:
            self._seeded.update(self.page.above(self.page.blocks[number].place))
        for number, block in enumerate(self.page.blocks):
            if number not in self.seeds:
                unit, levels, holder = self._climb(number, block)
                self._unit_of[number] = unit, levels, holder
                self._units[unit].append(block)

    def _climb(self, number: int, block: Block) -> tuple[int, int, int]:
        """Return the largest element around a block without a seed, the levels between, and what holds it."""
        unit, levels = -1 - number, 0
        for place in self.page.above(block.place):
            if place in self._seeded:
                return unit, levels, place
            unit, levels = place, levels + 1
        return unit, levels, -1

    def holds(self, number: int, block: Block) -> bool:
        """Say whether a block that is no seed belongs to the main text all the same."""
        unit, levels, holder = self._unit_of[number]
        if levels > _LEVELS or holder < 0 or self.page.elements[block.place].apart:
            return False
        between = self._first < number < self._last
        if not between and self.page.elements[holder].tag in ("body", "html"):
            return False
        fellows = self._units[unit]
        length = sum(len(one.text) for one in fellows)
        figure = unit >= 0 and self.page.elements[unit].tag == "figure"  # whose caption may be a link
        if length and not figure and sum(one.links for one in fellows) > _MOST_LINKS * length:
            return False
        pictured = any(one.images for one in fellows)
        if not block.text or block.kind == "caption":
            return pictured or (between and block.kind == "caption")
        if pictured and block.kind == "text":
            return length <= _CAPTION
        return between and block.kind in _BESIDE


def render(blocks: Sequence[Block]) -> Placed:
    r"""Write blocks as text, a blank line between them (items of a list and rows of a table: a new line).

    An image that stands between blocks has the offset where the next begins.

    >>> page = [Block(0, "text", -1, ["é", 0]), Block(0, "text", -1, [1]), Block(0, "text", -1, ["b"])]
    >>> render(page)
    Placed(text='é\n\nb', images=((0, 2), (1, 4)))
    """
    pieces: list[str] = []
    images: list[tuple[int, int]] = []
    at, last = 0, None
    waiting: list[int] = []
    for block in blocks:
        if not block.text:
            waiting += block.images
            continue
        lead = "" if last is None else "\n" if last.group == block.group >= 0 else "\n\n"
        last = block
        for piece in _pieces(lead, waiting, block):
            if isinstance(piece, int):
                images.append((piece, at))
            else:
                pieces.append(piece)
                at += len(piece) if piece.isascii() else len(piece.encode())
        waiting = []
    images += [(number, at) for number in waiting]
    return Placed("".join(pieces), tuple(images))


def _pieces(lead: str, waiting: Sequence[int], block: Block) -> Iterator[str | int]:
    yield lead
    yield from waiting
    yield block.indent
    yield from block.parts
