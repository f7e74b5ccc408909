"""Find the books in files and folders: which files make one, and in which order."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from corpuskit import files
from corpuskit.crawl.bookhtml import BadMarkup, links, parse
from corpuskit.crawl.corpora import unpacked
from corpuskit.crawl.epub import BadBook, read_package
from corpuskit.crawl.payload import decode
from corpuskit.errors import InputError
from corpuskit.stage import Input

__all__ = ["BookFiles", "HtmlFiles", "find_books"]

HtmlFiles = Literal["auto", "book", "chapter"]
Kind = Literal["text", "html", "epub", "chapters", "package", "other"]

_KINDS: dict[str, Kind] = {
    ".txt": "text", ".text": "text", ".epub": "epub", ".html": "html", ".htm": "html", ".xhtml": "html",
}  # fmt: skip
_OTHER = frozenset(
    {
        ".pdf",
        ".mobi",
        ".azw",
        ".azw3",
        ".prc",
        ".lit",
        ".lrf",
        ".pdb",
        ".djvu",
        ".fb2",
        ".doc",
        ".docx",
        ".odt",
        ".rtf",
    }
)
"""Kinds of file that are books and cannot be read: each is a reject."""
_CHAPTERS = re.compile(
    r"(?:chapter|chap|ch|part|section|titlepage|toc|nav|index|preface|introduction|letter)"
    r"[-_.]?\d*(?:[-_.][a-z]{2})*\Z",
    re.IGNORECASE,
)
_CONTENTS = re.compile(r"(?:index|toc|nav|contents|bk\d*-toc|book)(?:[-_.][a-z-]{2,5})?\Z", re.IGNORECASE)
_FRONT = (
    *(
        "cover",
        "index",
        "titlepage",
        "halftitle",
        "imprint",
        "dedication",
        "epigraph",
        "foreword",
        "preface",
        "pr",
    ),
    *("preamble", "introduction", "intro", "etymology", "extracts", "prologue", "letter"),
)
_BACK = (
    *(
        "epilogue",
        "afterword",
        "conclusion",
        "appendix",
        "ap",
        "endnotes",
        "notes",
        "glossary",
        "bibliography",
    ),
    *("loi", "colophon", "copyright", "uncopyright"),
)
_NUMBER = re.compile(r"(\d+)")
_HEAD_BYTES = 4 << 20


class BookFiles(NamedTuple):
    """The files of one book in order, what they are, and the name by which its id is made."""

    kind: Kind
    inputs: tuple[Input, ...]
    place: str


def find_books(sources: Sequence[str], html: HtmlFiles) -> list[BookFiles]:
    """List the books that sources name, once each: files and patterns, and folders with all below them.

    Raises:
        InputError: Nothing is there, or no book in a folder.
    """
    found: dict[tuple[str, ...], Kind] = {}
    for source in sources:
        if files.is_url(source) or not Path(source).is_dir():
            for path in files.expand(source):
                found.setdefault((path,), _kind(path) or "other")
            continue
        books = _in_folder(Path(source), html)
        if not books:
            raise InputError(f"there are no books in {source}", fix="name .txt, .epub, .html or .xhtml files")
        for paths, kind in books:
            found.setdefault(paths, kind)
    places = _places([_stands_for(paths, kind) for paths, kind in found.items()])
    return [
        BookFiles(kind, tuple(map(_input, paths)), place)
        for (paths, kind), place in zip(found.items(), places, strict=True)
    ]


def _input(path: str) -> Input:
    return Input(path, files.file_name(path), *files.identity(path))


def _kind(path: str) -> Kind | None:
    suffix = Path(unpacked(files.file_name(path))).suffix.lower()
    return _KINDS.get(suffix) or ("other" if suffix in _OTHER else None)


def _stands_for(paths: tuple[str, ...], kind: Kind) -> str:
    """Return the path a book is named by: its file's, or the folder's that holds its chapters."""
    return paths[0].rpartition("/")[0] if kind in ("chapters", "package") else paths[0]


def _places(paths: Sequence[str]) -> list[str]:
    """Name each book by the end of its path, as much of it as no other book has."""
    names = [path.split("/") for path in paths]
    counts = Counter("/".join(parts[-size:]) for parts in names for size in range(1, len(parts) + 1))
    tails = ((("/".join(parts[-size:])) for size in range(1, len(parts) + 1)) for parts in names)
    return [
        next((tail for tail in each if counts[tail] == 1), path)
        for each, path in zip(tails, paths, strict=True)
    ]


def _in_folder(folder: Path, html: HtmlFiles) -> list[tuple[tuple[str, ...], Kind]]:
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            by_folder[path.parent].append(path)
    found: list[tuple[tuple[str, ...], Kind]] = []
    taken: set[Path] = set()
    for inside in by_folder.values():
        for package in (path for path in inside if path.suffix == ".opf"):
            documents = _spine(package)
            taken.update(documents)
            found.append((tuple(map(str, (package, *documents))), "package"))
        pages = [path for path in inside if _kind(path.name) == "html"]
        if html == "chapter" or (html == "auto" and _are_chapters(pages)):
            ordered = [path for path in _ordered(pages) if path not in taken]
            taken.update(ordered)
            if ordered:
                found.append((tuple(map(str, ordered)), "chapters"))
    for inside in by_folder.values():
        for path in inside:
            kind = _kind(path.name)
            if kind is not None and path not in taken:
                found.append(((str(path),), kind))
    return sorted(found)


def _spine(package: Path) -> list[Path]:
    try:
        names = read_package(package.read_bytes()[:_HEAD_BYTES], package.name).names
    except BadBook:
        return []
    return [path for path in (package.parent / name for name in names) if path.is_file()]


def _are_chapters(pages: Sequence[Path]) -> bool:
    """Say whether HTML files of one folder are chapters, by the names of two of them."""
    return sum(_CHAPTERS.match(path.stem) is not None for path in pages) >= 2


def _ordered(pages: Sequence[Path]) -> list[Path]:
    """Order chapters: as a page of contents links them, if it links most; else by their names."""
    named = sorted(pages, key=_by_name)
    for contents in (path for path in named if _CONTENTS.match(path.stem)):
        linked = [contents.parent / name for name in _linked(contents)]
        order = {path: number for number, path in reversed(list(enumerate(linked, 1)))}
        if 2 * sum(path in order for path in pages) >= len(pages):
            order[contents] = 0
            return sorted(named, key=lambda path: _after(path, named, order))
    return named


def _after(path: Path, named: Sequence[Path], order: dict[Path, int]) -> tuple[int, int]:
    """Place a page that is not linked after the one before it by name that is."""
    at = named.index(path)
    before = next((order[one] for one in named[at::-1] if one in order), 0)
    return before, at


def _linked(contents: Path) -> Iterable[str]:
    try:
        return links(parse(decode({}, contents.read_bytes()[:_HEAD_BYTES])[0]))
    except BadMarkup:
        return []


def _by_name(path: Path) -> tuple[int, int, list[tuple[int, str]]]:
    """Sort front matter first, back matter last, and numbers as numbers."""
    stem = path.stem.lower()
    natural = [(int(part), "") if part.isdigit() else (0, part) for part in _NUMBER.split(stem)]
    for rank, names in ((0, _FRONT), (2, _BACK)):
        for number, name in enumerate(names):
            if re.match(rf"{name}(?![a-z])", stem) or (len(name) > 3 and stem.startswith(name)):
                return rank, number, natural
    return 1, 0, natural
