"""`crawl books`: whole books with their chapters, from plain text, EPUB and HTML."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from corpuskit import files
from corpuskit.crawl import gutenberg
from corpuskit.crawl.bookfiles import BookFiles, HtmlFiles, find_books
from corpuskit.crawl.bookhtml import Block, Matter, blocks, parse
from corpuskit.crawl.collected import Collected, watched
from corpuskit.crawl.columns import as_language
from corpuskit.crawl.epub import BadBook, Document, Package, Protected, read_epub, read_package
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.lines import Damaged, inflated
from corpuskit.crawl.payload import Bomb, decode
from corpuskit.document import SCHEMA, document_id
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.stage import Input, Split, Stage, Task

__all__ = ["Books"]

_CHAPTER = pa.struct([pa.field("title", pa.string()), pa.field("offset", pa.int64())])
_SCHEMA = pa.schema(
    [
        *SCHEMA,
        pa.field("title", pa.string()),
        pa.field("author", pa.string()),
        pa.field("chapters", pa.list_(_CHAPTER)),
    ]
)
_TASK_BYTES, _TASK_BOOKS = 16 << 20, 200
_LANGUAGES = {
    **{
        "english": "eng",
        "german": "deu",
        "french": "fra",
        "spanish": "spa",
        "italian": "ita",
        "dutch": "nld",
    },
    **{
        "portuguese": "por",
        "latin": "lat",
        "finnish": "fin",
        "swedish": "swe",
        "danish": "dan",
        "greek": "ell",
    },
    **{"chinese": "zho", "polish": "pol", "hungarian": "hun", "esperanto": "epo", "tagalog": "tgl"},
}
"""As Project Gutenberg writes them."""


@dataclass(frozen=True)
class _Book:
    """A book as it was read: its documents' blocks, and what is said of it."""

    matter: Sequence[Sequence[Block]]
    facts: Package


@dataclass(frozen=True)
class Books(Stage):
    """Read whole books, one a document: `.txt`, `.epub`, `.html` and `.xhtml`, and folders of chapters.

    What Project Gutenberg wraps around a book goes, and so does what EPUB's own marks or DPUB-ARIA roles say
    is none of the text: title pages, tables of contents, notes and their numbers, page numbers, colophons.
    Each book becomes a document or a reject:

    - `books.type`: a kind of file that holds no text to read, such as PDF; `books.drm`: encrypted
    - `books.bad`: damaged, or not what its name says; `books.empty`: no text
    - `books.bomb` (bytes, `max_book`): larger, unpacked
    - `books.timeout`, `books.crash`: it took too long, or broke the parser or its worker

    The output has columns `title`, `author` and `chapters`: of each its title, and the offset in UTF-8 bytes
    of the text where that title stands. `date` is when the file says it was published.

    Raises:
        UsageError: A setting outside its range.
    """

    name = "crawl.books"
    bad_rules = frozenset(f"books.{rule}" for rule in ("bad", "bomb", "timeout", "crash"))

    html: HtmlFiles = setting(
        "auto", "what HTML files in a folder are; auto: chapters where their names or a package file say so"
    )
    rewrap: bool = setting(True, "in .txt, join lines that were broken to fit a width; verse stays")
    source: str = setting("books", "name of the collection")
    max_book: int = setting(64 << 20, "most bytes of a book, unpacked")
    timeout: float = setting(60.0, "seconds of processor time a book may take")

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("max_book", "timeout"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{self.name}: {name} is {getattr(self, name)}", fix="give a number above 0")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that documents have a title, an author and chapters."""
        return _SCHEMA

    def plan(self, *sources: str) -> list[Task]:
        """Group books in order, 16 MiB or 200 in a task; all files of a book are in one."""
        if "-" in sources:
            raise UsageError(f"{self.name}: a book is not read from standard input", fix="name its file")
        found = find_books(sources, self.html)
        tasks: list[Task] = []
        group: list[BookFiles] = []
        for number, book in enumerate(found, 1):
            group.append(book)
            size = sum(item.size for one in group for item in one.inputs)
            if size >= _TASK_BYTES or len(group) == _TASK_BOOKS or number == len(found):
                told = [[one.kind, one.place, len(one.inputs)] for one in group]
                inputs = tuple(item for one in group for item in one.inputs)
                tasks.append(Task(inputs, _SCHEMA, {"books": told}))
                group = []
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Read the books of a task one by one."""
        rows = Collected(self.name, _SCHEMA)
        at = 0
        for kind, place, count in task.work["books"]:
            inputs = task.inputs[at : at + count]
            at += count
            origin = f"{inputs[0].path}@0"
            row: dict[str, Any] = {"id": document_id(self.source, f"{place}@0", "")}
            row |= {"source": self.source, "origin": origin}
            found = watched(origin, self.timeout, "books", partial(self._read, kind, inputs))
            if isinstance(found, Verdict):
                rows.reject(row, found)
            else:
                rows.keep(row | found)
            if rows.full:
                yield rows.take()
        yield rows.take()

    def _read(self, kind: str, inputs: Sequence[Input]) -> dict[str, Any] | Verdict:
        """Return the columns of a book, or why it has none."""
        size = sum(item.size for item in inputs)
        try:
            book = self._book(kind, inputs)
        except Protected:
            return Verdict("books.drm")
        except Bomb:
            return Verdict("books.bomb", value=size, bound=self.max_book)
        except (ValueError, Damaged):
            return Verdict("books.bad", value=size)
        if book is None:
            return Verdict("books.type", value=size)
        text, chapters = _assembled(book.matter)
        if not text:
            return Verdict("books.empty", value=0)
        told = book.facts
        lang = _LANGUAGES.get((told.lang or "").lower()) or as_language(told.lang)
        columns = {"title": told.title, "author": told.author, "date": told.date, "lang": lang}
        return {**columns, "text": text, "chapters": chapters}

    def _book(self, kind: str, inputs: Sequence[Input]) -> _Book | None:
        if kind == "text":
            return _from_text(self._bytes(inputs)[0], self.rewrap)
        if kind == "epub":
            with files.open_input(inputs[0].path) as file:
                return _from_documents(*read_epub(file, self.max_book))
        if kind == "html":
            return _from_documents(Package([]), [Document(inputs[0].name, self._bytes(inputs)[0])])
        if kind in ("chapters", "package"):
            found = self._bytes(inputs)
            package = read_package(found[0], inputs[0].name) if kind == "package" else Package([])
            documents = [Document(item.name, data) for item, data in zip(inputs, found, strict=True)]
            return _from_documents(package, documents[kind == "package" :])
        return None

    def _bytes(self, inputs: Sequence[Input]) -> list[bytes]:
        """Read files whole, as far as the limit for a book allows."""
        found: list[bytes] = []
        left = self.max_book
        for item in inputs:
            data = io.BytesIO()
            with files.open_input(item.path) as file:
                for chunk in inflated(file):
                    data.write(chunk)
                    if data.tell() > left:
                        raise Bomb
            left -= data.tell()
            found.append(data.getvalue())
        return found


def _from_text(data: bytes, rewrap: bool) -> _Book:
    text = (
        decode({}, data)[0].replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n").lstrip("\ufeff")
    )
    if "\0" in text:
        raise BadBook("bytes that are no text")
    lines = text.split("\n")
    told = gutenberg.facts(lines)
    first, last = gutenberg.book_lines(lines)
    found = gutenberg.paragraphs(lines[first:last], rewrap)
    headings = [*map(gutenberg.is_heading, found), True]
    # A heading right before another is a line of a table of contents.
    levels = [1 if here and not after else 0 for here, after in zip(headings, headings[1:], strict=False)]
    matter = [Block(level, one) for level, one in zip(levels, found, strict=True)]
    return _Book([matter], Package([], told.title, told.author, told.language))


def _from_documents(package: Package, documents: Sequence[Document]) -> _Book:
    matters = [blocks(parse(decode({}, document.data)[0])) for document in documents]
    found = _without_wrapping([matter.blocks for matter in matters])
    own = next((matter for matter in matters if matter.is_title_page), matters[0])
    told = Package(
        [],
        title=package.title or own.title,
        author=package.author or own.author,
        lang=package.lang or next((matter.lang for matter in matters if matter.lang), None),
        date=package.date,
    )
    return _Book(found, _as_gutenberg(told, matters))


def _as_gutenberg(told: Package, matters: Sequence[Matter]) -> Package:
    """Take title and author out of what Project Gutenberg calls a file."""
    named = gutenberg.facts([f"{told.title or ''}"])
    return (
        told._replace(title=named.title or told.title, author=told.author or named.author)
        if matters
        else told
    )


def _without_wrapping(found: list[list[Block]]) -> list[list[Block]]:
    """Take out what Project Gutenberg wraps around a book, wherever its documents begin and end."""
    places = [(number, block) for number, matter in enumerate(found) for block in matter]
    first, last = gutenberg.book_lines([block.text for _, block in places])
    kept: list[list[Block]] = [[] for _ in found]
    for number, block in places[first:last]:
        kept[number].append(block)
    return kept


def _assembled(matter: Sequence[Sequence[Block]]) -> tuple[str, list[dict[str, Any]]]:
    """Join the blocks of a book; also list its chapters."""
    pieces: list[str] = []
    chapters: list[dict[str, Any]] = []
    at, before = 0, 0
    for document in matter:
        level = _chapter_level(document, alone=len(matter) == 1)
        for block in document:
            between = "" if not pieces else "\n" if block.level == before == -1 else "\n\n"
            at += len(between)
            if block.level == level:
                chapters.append({"title": " ".join(block.text.split()), "offset": at})
            pieces += [between, block.text]
            at += len(block.text.encode())
            before = block.level
    return "".join(pieces), chapters


def _chapter_level(document: Sequence[Block], alone: bool) -> int | None:
    """Return the level of a document's chapters: its highest heading, but for a title that stands once."""
    levels = [block.level for block in document if block.level > 0]
    if not levels:
        return None
    repeated = [level for level in levels if levels.count(level) > 1]
    return min(repeated) if alone and repeated else min(levels)
