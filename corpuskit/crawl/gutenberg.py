"""What Project Gutenberg wraps around its books, in every form it has had since 1991, and its plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Facts", "book_lines", "facts", "is_heading", "paragraphs"]

_HEADER_LINES = 1200
"""No header, small print included, was ever longer."""
_START = re.compile(
    r"\s*(?:\*+\s*START OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\*+\s*START OF THE PROJECT GUTENBERG"
    r"|\*?END[*\s]+THE SMALL PRINT"
    r"|\*+\s*END\s*\**\s*THE SMALL PRINT"
    r"|.*\bSMALL PRINT!.{0,80}\*END\*"
    r"|\**\s*These original Project Gutenberg Etexts will be compiled"
    r"|<<THIS ELECTRONIC VERSION OF)",
    re.IGNORECASE,
)
_END = re.compile(
    r"\s*(?:\*+\s*END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|(?:The\s+)?End of (?:the |this |The )?Project Gutenberg(?:'s|’s|\b)"
    r"|Ende dieses Project Gutenberg|Fin de Project Gutenberg|Ende dieses Projekt Gutenberg"
    r"|\*{3}\s*START: FULL LICENSE|THE FULL PROJECT GUTENBERG LICENSE"
    r"|Project Gutenberg(?:'s)? (?:Etext )?.{0,80}\bis now complete)",
    re.IGNORECASE,
)
_CREDITS = re.compile(
    r"(?:Produced by|E-?texts? (?:was )?(?:prepared|produced|scanned) by|This (?:e-?text|e-?book) was"
    r" (?:prepared|produced|scanned|transcribed)|Transcribed from|Scanned (?:and proof(?:ed|read) )?by"
    r"|\[?(?:Note|Transcriber'?s? note): (?:See also|Project Gutenberg)|Updated editions will replace"
    r"|Prepared by|HTML version by|This file was produced from images|(?:http|https)://www\.(?:pgdp|gutenberg)\.)",
    re.IGNORECASE,
)
_FACT = re.compile(r"(Title|Author|Language)\s*:\s*(\S.*)", re.IGNORECASE)
_NAMED = re.compile(
    r".{0,40}\bProject Gutenberg(?:'s|’s)?\s+(?:EBook|E-text|Etext)? ?(?:of )?(.{2,120}?),? by (.{2,80})",
    re.IGNORECASE,
)

_DIGIT = "one|two|three|four|five|six|seven|eight|nine"
_NUMBER = (
    rf"{_DIGIT}|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    rf"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:[- ](?:{_DIGIT}))?"
    "|(?:the )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|last)"
    "|premier|première|erstes|zweites|drittes|viertes|primero|segundo|tercero|primo|secondo|terzo"
)
_NUMERAL = rf"(?:[IVXLCDM]{{1,8}}|[0-9]{{1,3}}|(?i:{_NUMBER}))"
_HEADING = re.compile(
    r"(?:(?:CHAPTER|BOOK|PART|VOLUME|ACT|SCENE|LETTER|CANTO|SECTION|STAVE|KAPITEL|CHAPITRE|CAP[IÍ]TULO|CAPITOLO"
    r"|HOOFDSTUK|TEIL|LIVRE|ГЛАВА|ЧАСТЬ|ADVENTURE|TALE|STORY"
    r"|Chapter|Book|Part|Volume|Act|Scene|Letter|Canto|Section|Stave|Kapitel|Chapitre|Cap[ií]tulo|Capitolo"
    rf"|Hoofdstuk|Teil|Livre|Глава|Часть|Adventure)\s+{_NUMERAL}\b[.:)—–-]*(?:\s.{{0,80}})?"
    r"|[IVXLC]{1,7}\.?(?:[ —–-]+[A-Z].{0,60})?"
    r"|(?:PREFACE|PROLOGUE|EPILOGUE|INTRODUCTION|FOREWORD|AFTERWORD|CONCLUSION|APPENDIX|DEDICATION|VORWORT|EINLEITUNG"
    r"|PRÉFACE|Preface|Prologue|Epilogue|Introduction|Foreword|Afterword|Conclusion|Appendix|Vorwort|Einleitung)\.?)"
)  # fmt: skip
_WIDE = re.compile(
    r"[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]"
)
_WIDEST = 100
"""Text with longer lines is not hard-wrapped: a line of it is a paragraph."""


class Facts(NamedTuple):
    """What the header says of a book; null where it does not."""

    title: str | None = None
    author: str | None = None
    language: str | None = None


def book_lines(lines: Sequence[str]) -> tuple[int, int]:
    """Return where in the lines (or paragraphs) of a file the book itself begins and ends.

    Everything, where no marker is found: a book that names the project in passing loses nothing.

    >>> start = "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***"
    >>> book_lines(["Title: Emma", start, "Text", "End of Project Gutenberg's Emma"])
    (2, 3)
    """
    first, last = 0, len(lines)
    for number, line in enumerate(lines[:_HEADER_LINES]):
        if _marked(_START, line) and 2 * (len(lines) - number) > number:  # else it is small print at the end
            first = number + 1
    after = first or int(len(lines) * 0.6)
    ends = (number for number in range(after, len(lines)) if _marked(_END, lines[number]))
    last = next(ends, last)
    return (_past_credits(lines, first, last), last) if first else (first, last)


def _marked(marker: re.Pattern[str], paragraph: str) -> bool:
    return any(map(marker.match, paragraph.split("\n")))


def _past_credits(lines: Sequence[str], first: int, last: int) -> int:
    """Pass over the end of a marker that runs on, and over paragraphs that say who made the file."""
    while first < last and lines[first].strip() and lines[first].rstrip().endswith("***"):
        first += 1
    at = first
    for _ in range(4):
        while at < last and not lines[at].strip():
            at += 1
        if at == last or not _CREDITS.match(lines[at].strip()):
            return first
        while at < last and lines[at].strip():
            at += 1
        first = at
    return first


def facts(lines: Sequence[str]) -> Facts:
    """Read title, author and language from the header of a file of Project Gutenberg.

    >>> facts(["The Project Gutenberg eBook of Emma", "", "Title: Emma", "Author: Jane Austen"]).author
    'Jane Austen'
    """
    found: dict[str, str] = {}
    head = [line.strip() for line in lines[:60]]
    if not any("project gutenberg" in line.lower() for line in head):
        return Facts()
    for line in head:
        if fact := _FACT.match(line):
            found.setdefault(fact[1].lower(), " ".join(fact[2].split()))
        elif named := _NAMED.match(line):
            found.setdefault("title", named[1].strip())
            found.setdefault("author", named[2].strip(" *"))
    return Facts(found.get("title"), found.get("author"), found.get("language"))


def is_heading(paragraph: str) -> bool:
    """Say whether a paragraph of a plain text is the heading of a chapter.

    >>> [is_heading(text) for text in ("CHAPTER I. The Sea", "XIV", "Book lovers came.", "I went home.")]
    [True, True, False, False]
    """
    return (
        len(paragraph) <= 100
        and paragraph.count("\n") < 3
        and _HEADING.fullmatch(paragraph.replace("\n", " ")) is not None
    )


def paragraphs(lines: Sequence[str], rewrap: bool) -> list[str]:
    """Divide lines at blank ones; with `rewrap`, join those that were broken only to fit a page's width.

    Lines stay apart in a paragraph that is indented or whose lines end well before the width, as in verse,
    letterheads and tables.
    """
    width = _width(lines) if rewrap else None
    found: list[str] = []
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line.rstrip())
        elif block:
            found.extend(_unwrapped(block, width))
            block = []
    return found


def _width(lines: Sequence[str]) -> int | None:
    """Return the width lines were broken at; null where they were not."""
    pairs = zip(lines, lines[1:], strict=False)
    lengths = sorted(_columns(line.rstrip()) for line, after in pairs if line.strip() and after.strip())
    if len(lengths) < 2:
        return None
    width = lengths[int(len(lengths) * 0.9)]
    return width if 40 <= width <= _WIDEST else None


def _unwrapped(block: Sequence[str], width: int | None) -> list[str]:
    if width is None or len(block) == 1:
        return ["\n".join(line.strip() if len(block) == 1 else line for line in block)]
    margin = min(len(line) - len(line.lstrip()) for line in block)
    bare = [line[margin:] for line in block]
    inner = bare[1:] if bare[0].startswith(" ") and len(bare) > 2 else bare
    indented = any(line.startswith(" ") for line in inner)
    pairs = zip(block, block[1:], strict=False)
    early = sum(_columns(line) + 1 + _columns(after.split()[0]) <= width - 8 for line, after in pairs)
    if indented or early * 4 > len(block) - 1:
        return ["\n".join(bare)]
    text = bare[0].strip()
    for line in bare[1:]:
        text += line.strip() if _runs_on(text, line.strip()) else f" {line.strip()}"
    return [text]


def _columns(line: str) -> int:
    """Return how wide a line is; an ideograph takes the place of two letters."""
    return len(line) + (0 if line.isascii() else len(_WIDE.findall(line)))


def _runs_on(text: str, line: str) -> bool:
    """Say whether a line ends within a word, at a dash that no space follows, or between ideographs."""
    if _WIDE.match(text[-1:]) and _WIDE.match(line[:1]):
        return True
    return text.endswith(("--", "—")) or (text.endswith("-") and text[-2:-1].isalpha())
