"""`crawl wikipedia`: the articles of a MediaWiki dump, or of a folder of wikitext pages, as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from corpuskit import files
from corpuskit.crawl.collected import Collected, watched
from corpuskit.crawl.corpora import corpus_files, unpacked
from corpuskit.crawl.dumpfile import Lost, chunks, ranges
from corpuskit.crawl.dumpxml import Page, RawPage, Site, pages, parse_page, read_site
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.payload import decode
from corpuskit.crawl.wikinames import Names, is_disambiguation, is_redirect, is_stub, names
from corpuskit.crawl.wikitext import plain_text
from corpuskit.document import SCHEMA, document_id
from corpuskit.errors import InputError, UsageError
from corpuskit.kernels.utf8 import buffers
from corpuskit.kernels.words import word_hashes
from corpuskit.settings import setting
from corpuskit.stage import Input, Split, Stage, Task

__all__ = ["Wikipedia"]

Format = Literal["auto", "xml", "wikitext"]

_SCHEMA = pa.schema(
    [
        *SCHEMA,
        pa.field("title", pa.string()),
        pa.field("page_id", pa.int64()),
        pa.field("revision_id", pa.int64()),
    ]
)
_DUMPS = re.compile(r"\.xml(?:-p\d+p\d+)?\Z", re.IGNORECASE)
_PAGES = re.compile(r"\.(?:txt|wiki|wikitext|mediawiki)\Z", re.IGNORECASE)
_NAMES: Mapping[Format, re.Pattern[str]] = {
    "xml": _DUMPS,
    "wikitext": _PAGES,
    "auto": re.compile(f"{_DUMPS.pattern}|{_PAGES.pattern}", re.IGNORECASE),
}
_INDEX = re.compile(r"-index\d*\.txt(?:-p\d+p\d+)?(?:\.bz2)?\Z", re.IGNORECASE)
_DUMP_NAME = re.compile(r"([a-z_]+wik[a-z]+)-(\d{8})-")
_ESCAPED = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&"))
_TASK_BYTES, _TASK_PAGES = 8 << 20, 1000
_URL_SAFE = ";@$!*(),/~:-_."  # what MediaWiki leaves as it is in the address of a page


@dataclass(frozen=True)
class Wikipedia(Stage):
    """Read the articles of a MediaWiki dump: pages-articles XML, packed or not, or a folder of wikitext.

    A bzip2 dump of many streams (`multistream`) is read in parallel; its streams are found in the file, so
    the index beside it is not needed. Every page becomes a document or a reject:

    - `wikipedia.namespace` (the namespace): not among `namespaces`; `wikipedia.model`: no wikitext
    - `wikipedia.redirect`, `wikipedia.disambiguation`; `wikipedia.stub`: it calls itself one
    - `wikipedia.words` (how many, `min_words`): too short; `wikipedia.empty`: no text, or deleted
    - `wikipedia.lost` (bytes): could not be inflated; `wikipedia.bad`: not well-formed
    - `wikipedia.size` (bytes, `max_page`): a larger page
    - `wikipedia.timeout`, `wikipedia.crash`: it took too long, or broke the parser or its worker

    The output has columns `title`, `page_id` and `revision_id`; `url` is the article's, `date` the revision's
    and `lang` the wiki's, as the dump says them; a page that is no dump's has none of these but the title.

    Raises:
        UsageError: A setting outside its range.
    """

    name = "crawl.wikipedia"
    bad_rules = frozenset(f"wikipedia.{rule}" for rule in ("lost", "bad", "size", "timeout", "crash"))

    format: Format = setting("auto", "what the files are; auto: dumps, or in a folder without any, wikitext")
    namespaces: tuple[int, ...] = setting((0,), "numbers of the namespaces to keep; 0 holds the articles")
    stubs: bool = setting(False, "keep pages that call themselves stubs")
    min_words: int | None = setting(50, "least words of an article's text")
    references: bool = setting(False, "keep sections such as References, See also and External links")
    source: str | None = setting(None, "name of the collection  [default: from the file or the dump: enwiki]")
    max_page: int = setting(8 << 20, "most bytes of a page; Wikipedia's own limit is 2 MiB of wikitext")
    timeout: float = setting(10.0, "seconds of processor time a page may take")

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("max_page", "timeout"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{self.name}: {name} is {getattr(self, name)}", fix="give a number above 0")
        if not self.namespaces:
            raise UsageError(f"{self.name}: no namespaces are given", fix="give 0 for the articles")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that documents have a title and numbers of page and revision."""
        return _SCHEMA

    def plan(self, *sources: str) -> list[Task]:
        """Make tasks of ranges of dumps, and of groups of wikitext pages."""
        dumps, loose = self._files(sources)
        tasks = [task for item, work in dumps for task in _dump_tasks(item, work)]
        return [*tasks, *_page_tasks(loose)]

    def _files(self, sources: Sequence[str]) -> tuple[list[_File], list[_File]]:
        """Tell dumps from pages, by their names; beside dumps only those pages count that are named."""
        if "-" in sources:
            raise UsageError(f"{self.name}: a dump is not read from standard input", fix="name its file")
        found = corpus_files(sources, _NAMES[self.format])
        dumps: list[_File] = []
        loose: list[_File] = []
        for file in found:
            name = file[0].name
            page = self.format == "wikitext" or (self.format == "auto" and _is_page(name))
            if page or not _INDEX.search(name):
                (loose if page else dumps).append(file)
        if dumps and self.format == "auto":
            loose = [file for file in loose if file[0].path in sources]
        if not dumps and not loose:
            raise InputError(f"{self.name}: there is no dump in {', '.join(sources)}", fix="name its file")
        return dumps, loose

    def run(self, task: Task) -> Iterator[Split]:
        """Read one range of a dump, or one group of pages, at most 16 MiB of text at a time."""
        rows = Collected(self.name, _SCHEMA)
        for one in self._dump(task) if "start" in task.work else self._loose(task):
            if isinstance(one.found, Verdict):
                rows.reject(one.row, one.found)
            else:
                rows.keep(one.row | {"text": one.found})
            if rows.full:
                yield rows.take()
        yield rows.take()

    def _dump(self, task: Task) -> Iterator[_Row]:
        item, work = task.inputs[0], task.work
        site = Site(**work["site"])
        source = self.source or _source(item.name, site)
        known = names(tuple(site.files), tuple(site.categories))
        place = work.get("place", item.name)
        for raw in pages(chunks(item.path, work["start"], work["end"]), self.max_page):
            row: dict[str, Any] = {
                "id": document_id(source, f"{place}@{raw.position}", ""),
                "source": source,
                "origin": f"{item.path}@{raw.position}",
            }
            if isinstance(raw, Lost):
                yield _Row(row, Verdict("wikipedia.lost", value=raw.length))
                continue
            page = self._page(raw)
            if isinstance(page, Page):
                row |= {"title": page.title, "page_id": page.page_id, "revision_id": page.revision_id}
                row |= {"url": _url(site, page.title), "date": page.date, "lang": site.lang}
            yield _Row(row, page if isinstance(page, Verdict) else self._article(page, row["origin"], known))

    def _page(self, raw: RawPage) -> Page | Verdict:
        if raw.data is None:
            return Verdict("wikipedia.size", value=raw.length, bound=self.max_page)
        try:
            return parse_page(raw.data)
        except ValueError:
            return Verdict("wikipedia.bad", value=raw.length)

    def _loose(self, task: Task) -> Iterator[_Row]:
        for item, place in zip(task.inputs, task.work["places"], strict=True):
            source = self.source or _folder(item.path)
            origin = f"{item.path}@0"
            row: dict[str, Any] = {"id": document_id(source, f"{place}@0", ""), "source": source}
            row |= {"origin": origin, "title": _PAGES.sub("", item.name).replace("_", " ")}
            with files.open_input(item.path) as file:
                data = file.read(self.max_page + 1)
            if len(data) > self.max_page:
                yield _Row(row, Verdict("wikipedia.size", value=item.size, bound=self.max_page))
                continue
            page = Page(row["title"], self.namespaces[0], None, False, text=_unescaped(decode({}, data)[0]))
            yield _Row(row, self._article(page, origin, names()))

    def _article(self, page: Page, origin: str, known: Names) -> str | Verdict:
        """Return the text of a page, or why it is none to keep."""
        if page.namespace not in self.namespaces:
            return Verdict("wikipedia.namespace", value=page.namespace)
        if page.model not in (None, "wikitext"):
            return Verdict("wikipedia.model")
        wikitext = page.text or ""
        if page.redirect or is_redirect(wikitext):
            return Verdict("wikipedia.redirect")
        if not wikitext.strip():
            return Verdict("wikipedia.empty", value=0)
        return watched(origin, self.timeout, "wikipedia", lambda: self._read(page.title, wikitext, known))

    def _read(self, title: str, wikitext: str, known: Names) -> str | Verdict:
        if is_disambiguation(title, wikitext, known):
            return Verdict("wikipedia.disambiguation")
        if not self.stubs and is_stub(wikitext):
            return Verdict("wikipedia.stub")
        text = plain_text(wikitext, known, self.references)
        if not text:
            return Verdict("wikipedia.empty", value=0)
        if self.min_words is not None:
            count = len(word_hashes(*buffers(pa.array([text])))[0])
            if count < self.min_words:
                return Verdict("wikipedia.words", value=count, bound=self.min_words)
        return text


_File = tuple[Input, dict[str, Any]]


class _Row(NamedTuple):
    """What a page's row says whatever becomes of it, and its text or why it has none."""

    row: dict[str, Any]
    found: str | Verdict


def _is_page(name: str) -> bool:
    return not _INDEX.search(name) and _PAGES.search(unpacked(name)) is not None


def _dump_tasks(item: Input, work: dict[str, Any]) -> Iterator[Task]:
    site = read_site(chunks(item.path, 0, item.size))
    if site is None:
        raise InputError(
            f"{item.path} is not a MediaWiki dump", fix="name a pages-articles .xml, .bz2, .gz or .zst file"
        )
    for start, end in ranges(item.path, item.size):
        yield Task((item,), _SCHEMA, {**work, "site": vars(site), "start": start, "end": end})


def _page_tasks(found: Sequence[_File]) -> Iterator[Task]:
    """Group pages in order, 8 MiB or 1,000 in a task."""
    group: list[_File] = []
    for number, file in enumerate(found, 1):
        group.append(file)
        size = sum(item.size for item, _ in group)
        if size >= _TASK_BYTES or len(group) == _TASK_PAGES or number == len(found):
            places = [work.get("place", item.name) for item, work in group]
            yield Task(tuple(item for item, _ in group), _SCHEMA, {"places": places})
            group = []


def _folder(path: str) -> str:
    return path.split("/")[-2] if "/" in path else "wikitext"


def _source(name: str, site: Site) -> str:
    """Name a collection by its wiki and the day of the dump."""
    found = _DUMP_NAME.match(name)
    if found:
        return f"{found[1]}-{found[2]}"
    return site.name or name.partition(".")[0] or name


def _url(site: Site, title: str) -> str | None:
    """Return the address of an article, made as that of the main page is."""
    if site.base is None:
        return None
    end = max(site.base.rfind("/"), site.base.rfind("=")) + 1
    return site.base[:end] + quote(title.replace(" ", "_"), safe=_URL_SAFE)


def _unescaped(text: str) -> str:
    """Undo XML's escapes where a page was copied out of a dump as it stood."""
    if "<" not in text and "&lt;" in text:
        for escape, char in _ESCAPED:
            text = text.replace(escape, char)
    return text
