"""The last step from wikitext to text: lines to blocks, and no sign of what was left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from corpuskit.crawl.wikinames import Names, is_apparatus

__all__ = ["BREAK", "BULLET", "HEADING", "HOLE", "LITERAL", "tidy"]

# Control characters, which a page cannot hold once they were removed from it.
HOLE = "\x01"
"""Something was left out here."""
BREAK = "\x02"
"""A line ends here, and its paragraph does not."""
BULLET = "\x03"
"""The character after it marks an item of a list."""
HEADING = "\x04"
"""The digit after it is the level of a heading."""
LITERAL = "\x05"
"""The number between two of these is that of a text to put here as it is."""

_MARKS = re.compile(f"(?:{BULLET}[*#:;])+")
_TOKEN = re.compile(f"{LITERAL}([0-9]+){LITERAL}")
_SPACE = " \t\u00a0\u2002-\u200a\u202f\u3000"
_COMMA = ",;،؛、，；"
_SEPARATOR = f"{_COMMA}:：/·•–—-"
_GAP = f"[{_SPACE}]?{HOLE}[{_SPACE}]?"  # once `_RUN` has made it so
_RUN = re.compile(f"[{_SPACE}{HOLE}]+")
_EMPTY = re.compile(
    rf"[{_SPACE}]?(?:\((?=[^()]*{HOLE})(?:[{_SPACE}{HOLE}{_SEPARATOR}]|\bor\b|\band\b)*\)"
    rf"|（(?=[^（）]*{HOLE})[{_SPACE}{HOLE}{_SEPARATOR}]*）"
    rf"|\[(?=[^\[\]]*{HOLE})[{_SPACE}{HOLE}{_SEPARATOR}]*\])"
)
_AFTER_OPENING = re.compile(rf"([(（\[])(?=[{_SPACE}{_SEPARATOR}]*{HOLE})[{_SPACE}{HOLE}{_SEPARATOR}]+")
_BEFORE_CLOSING = re.compile(
    rf"[{_SPACE}{_SEPARATOR}]{{0,9}}{HOLE}[{_SPACE}{HOLE}{_SEPARATOR}]{{0,9}}([)）\]])"
)
_BETWEEN = re.compile(rf"[{_COMMA}]{_GAP}(?=[{_COMMA}.。])")
_AT_START = re.compile(rf"^[{_SPACE}]?{HOLE}[{_SPACE}{HOLE}{_COMMA}:：]*")
_AFTER_COLON = re.compile(rf"([:：])(?=[{_SPACE}{_COMMA}]{{0,9}}{HOLE})[{_SPACE}{HOLE}{_COMMA}]+")
_BEFORE_POINT = re.compile(rf"{_GAP}(?=[,.;:!?،؛、，；。：！？])")
_HOLES = re.compile(rf"([{_SPACE}]?){HOLE}([{_SPACE}]?)")
_QUOTED = re.compile(rf"[\"“„«‘']{_GAP}[\"”“»’']")
_SPACES = re.compile(r"[ \t\u00a0\u2002-\u200a\u202f]+")
_NOTHING = re.compile(rf"[\s{HOLE}{BREAK}.,;:|()\[\]/·•–—*#-]*")
_BARE_MARKUP = re.compile(r"\[\[|\]\]|\{\{\{?|\}?\}\}")
_TAG = re.compile(
    r"</?(?:ref|references|nowiki|pre|math|poem|gallery|span|div|small|big|br|center|font|sup|sub|b|i|u|s|p|tt|code|td|tr|th"
    r"|table|li|ul|ol|blockquote|noinclude|includeonly|onlyinclude|cite|del|ins|em|strong|abbr|source|section)\b[^<>\n]*>",
    re.IGNORECASE,
)
_FLAT_TABLE = re.compile(r"\{\|[^\n{]*?\|\}(?!\})")
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


class _Block(NamedTuple):
    """A paragraph (level 0), an item of a list (-1) or a heading (its level, 1 to 6)."""

    level: int
    text: str


def tidy(rendered: str, literals: Sequence[str], known: Names, apparatus: bool) -> str:
    """Make blocks of rendered lines, mend the holes, drop empty sections, and put the literals back."""
    text = _closed(_FLAT_TABLE.sub(HOLE, _TAG.sub("", rendered)), known)
    blocks = _sections(_blocks(text), apparatus)
    written: list[str] = []
    for number, block in enumerate(blocks):
        if number:
            written.append("\n" if block.level == blocks[number - 1].level == -1 else "\n\n")
        written.append(block.text)
    return _TOKEN.sub(lambda found: literals[int(found[1])], "".join(written)).strip()


def _closed(text: str, known: Names) -> str:
    """Take out links and templates that were never closed."""
    if "[[" not in text and "{{" not in text and "]]" not in text and "}}" not in text:
        return text
    lines = []
    for line in text.split("\n"):
        head, opened, rest = line.partition("[[")
        if opened and rest.partition(":")[0].strip().lower() in known.files | known.categories:
            line = head + HOLE
        head, opened, rest = line.partition("{{")
        if opened and "}}" not in rest:
            line = head + HOLE
        lines.append(_BARE_MARKUP.sub(HOLE, line))
    return "\n".join(lines)


def _blocks(text: str) -> list[_Block]:
    blocks: list[_Block] = []
    paragraph: list[str] = []
    numbers: list[int] = []

    def end() -> None:
        if paragraph:
            blocks.append(_Block(0, _joined(paragraph)))
            paragraph.clear()

    for line in text.split("\n"):
        marks = _MARKS.match(line)
        if marks or line.startswith(HEADING):
            end()
            if marks:
                item = _mend(line[marks.end() :])
                if item:
                    blocks.append(_item(marks[0].replace(BULLET, ""), item, numbers))
                continue
            title = _mend(line[2:])
            if title:
                blocks.append(_Block(int(line[1]), title.replace("\n", " ")))
        elif line.lstrip().startswith("|") or not _mend(line):  # the row of a table that is none
            if not line.strip() or HEADING in line:
                end()
        elif line.startswith(" ") and line.strip(" " + HOLE):
            end()
            blocks.append(_Block(0, _mend(line)))
        else:
            paragraph.append(_mend(line))
        numbers.clear()
    end()
    return blocks


def _item(marks: str, text: str, numbers: list[int]) -> _Block:
    """Write an item: a dash or its number, indented by how deep it lies; a term or an indented line bare."""
    depth = len(marks)
    del numbers[depth:]
    numbers.extend([0] * (depth - len(numbers)))
    if marks[-1] in ":;":
        return _Block(-1 if depth > 1 else 0, text)
    numbers[-1] += 1
    sign = f"{numbers[-1]}." if marks[-1] == "#" else "-"
    return _Block(-1, f"{'  ' * (depth - 1)}{sign} {text}")


def _joined(lines: Sequence[str]) -> str:
    """Join the lines of a paragraph; between two ideographs nothing stands."""
    text = lines[0]
    for line in lines[1:]:
        bare = _CJK.fullmatch(text[-1:]) and _CJK.fullmatch(line[:1])
        text += line if bare or text.endswith("\n") else f" {line}"
    return text


def _mend(line: str) -> str:
    """Close the holes of a line; one that holds nothing else comes back empty."""
    if HOLE in line:
        if _NOTHING.fullmatch(line):
            return ""
        line = _RUN.sub(_one_hole, line)
        line = _QUOTED.sub(HOLE, line)
        line = _EMPTY.sub(HOLE, line)
        line = _AFTER_OPENING.sub(r"\1", line)
        line = _BEFORE_CLOSING.sub(r"\1", line)
        line = _BETWEEN.sub("", line)
        line = _AFTER_COLON.sub(r"\1 ", _AT_START.sub("", line))
        line = _BEFORE_POINT.sub("", line)
        line = _HOLES.sub(lambda found: " " if found[1] or found[2] else "", line)
    text = _SPACES.sub(" ", line)
    return "\n".join(piece.strip() for piece in text.split(BREAK)).strip()


def _one_hole(found: re.Match[str]) -> str:
    """Make one hole of a run of holes and spaces, with the space that is before it and after it."""
    run = found[0]
    if HOLE not in run:
        return run
    return " " * (run[0] != HOLE) + HOLE + " " * (run[-1] != HOLE)


def _sections(blocks: Sequence[_Block], apparatus: bool) -> list[_Block]:
    """Drop sections that only list sources, and headings with nothing below them."""
    kept: list[_Block] = []
    dropping = 0
    for block in blocks:
        if block.level > 0 and dropping and block.level <= dropping:
            dropping = 0
        if block.level > 0 and not dropping and not apparatus and is_apparatus(block.text):
            dropping = block.level
        if not dropping:
            kept.append(block)
    found: list[_Block] = []
    for block in reversed(kept):
        if block.level > 0 and (not found or 0 < found[-1].level <= block.level):
            continue
        found.append(block)
    return found[::-1]
