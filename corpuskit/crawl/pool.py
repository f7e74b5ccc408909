"""`crawl pool`: the images of web pages and what the pages say about each, a pair a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from resiliparse.parse.html import HTMLTree

from corpuskit.crawl import gates
from corpuskit.crawl.archive import RECORD_BYTES, Record
from corpuskit.crawl.collected import Collected, watched
from corpuskit.crawl.gates import BlockList, Verdict
from corpuskit.crawl.pages import Item, archive_tasks, html, is_wat, items, unusable
from corpuskit.crawl.payload import PAGE_BYTES
from corpuskit.crawl.pictures import licence, page_language, pictures
from corpuskit.crawl.wat import describe
from corpuskit.document import IMAGES, SCHEMA, document_id
from corpuskit.errors import UsageError
from corpuskit.language import language
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task

__all__ = ["PAIRS", "Pool"]

PAIRS = pa.schema(
    [
        *SCHEMA,
        IMAGES,
        pa.field("kind", pa.string()),
        pa.field("title", pa.string()),
        pa.field("license", pa.string()),
        pa.field("declared_width", pa.int32()),
        pa.field("declared_height", pa.int32()),
    ]
)
"""A pair is a document of one image: `text` is said of it, and `kind` says where: alt, caption or title."""

_KINDS = ("alt", "caption", "title")


@dataclass(frozen=True)
class Pool(Stage):
    """Read WARC, ARC and WAT files and list the images of every page, a row for each text about each image.

    An image is found in `img` (its largest `srcset`, what it loads lazily, its `src`), in `picture` and in
    `noscript`; the texts are its `alt`, its `title` and its figure's caption. Nothing is fetched: `crawl
    images` does that. A WAT gives the same but for captions and lazy images, which it does not hold. `url` is
    the page, `lang` what the page declares, `license` the licence it links to. Rejects by rule:

    - those of `crawl warc` for records that hold no page; `gate.domain`, `gate.url`: the page's address
    - `pool.none`: no image about which anything is said; the value is how many images there are
    - `pool.bad`: a WAT record that is not JSON; `pool.timeout`, `pool.crash`

    Raises:
        UsageError: A setting outside its range.
    """

    name = "crawl.pool"
    bad_rules = frozenset(
        {"warc.lost", "payload.bomb", "payload.bad", "pool.bad", "pool.timeout", "pool.crash"}
    )

    texts: tuple[str, ...] = setting(_KINDS, "which texts make a pair: alt, caption, title")
    source: str | None = setting(
        None, "name of the collection  [default: from the file: CC-MAIN-..., or its name]"
    )
    block_domains: tuple[str, ...] = setting((), "files of hosts and registrable domains to leave out")
    block_urls: tuple[str, ...] = setting((), "files of pieces of URLs to leave out, of pages and of images")
    max_page: int = setting(PAGE_BYTES, "most bytes of a page, inflated")
    max_record: int = setting(RECORD_BYTES, "most bytes of a record; a larger one counts as lost")
    timeout: float = setting(10.0, "seconds of processor time a page may take")

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("max_page", "max_record", "timeout"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{self.name}: {name} is {getattr(self, name)}", fix="give a number above 0")
        wrong = [kind for kind in self.texts if kind not in _KINDS]
        if wrong or not self.texts:
            what = f"{self.name}: texts has {wrong[0]!r}" if wrong else f"{self.name}: texts is empty"
            raise UsageError(what, fix=f"give some of {', '.join(_KINDS)}")

    def content(self) -> Mapping[str, str]:
        """Digest the block lists."""
        return gates.block_list_digests(self.block_domains, self.block_urls)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of pairs."""
        return PAIRS

    def plan(self, *sources: str) -> list[Task]:
        """Make every archive a task, once; a folder stands for the archives in it and below."""
        return archive_tasks(sources, PAIRS, named=self.source is not None)

    def run(self, task: Task) -> Iterator[Split]:
        """Read one archive, at most 16 MiB of text at a time."""
        rows = Collected(self.name, PAIRS)
        for item in items(task, self.source, self.max_record, wat=True):
            found = self._judge(item)
            if isinstance(found, Verdict):
                url = item.what.url if isinstance(item.what, Record) else None
                rows.reject({"id": item.id, "url": url, "origin": item.origin}, found)
            for row in found if isinstance(found, list) else ():
                rows.keep({**row, "source": item.source, "origin": item.origin})
            if rows.full:
                yield rows.take()
        yield rows.take()

    def _judge(self, item: Item) -> list[dict[str, Any]] | Verdict | None:
        """Return the pairs of a record, or why it has none; null for a record that describes no page."""
        record = item.what
        if not isinstance(record, Record):
            return Verdict("warc.lost", value=record.length)
        if not is_wat(record) and (verdict := unusable(record)):
            return verdict
        if record.kind == "conversion":
            return Verdict("warc.kind")
        if blocked := self._blocked.verdict(record.url):
            return blocked
        if item.repeated:
            return Verdict("warc.duplicate_id")
        return watched(item.origin, self.timeout, "pool", lambda: self._read(record, item))

    def _read(self, record: Record, item: Item) -> list[dict[str, Any]] | Verdict | None:
        page = self._of_wat(record, item) if is_wat(record) else self._of_html(record, item)
        if page is None or isinstance(page, Verdict):
            return page
        return page.pairs(self.texts, self._blocked) or Verdict("pool.none", value=len(page.images))

    def _of_html(self, record: Record, item: Item) -> _Page | Verdict:
        page = html(record, self.max_page)
        if isinstance(page, Verdict):
            return page
        tree, url = HTMLTree.parse(page), record.url or ""
        images = [(one.url, dict(one.texts()), one.width, one.height) for one in pictures(tree, url)]
        common = {
            "url": record.url,
            "date": record.date,
            "lang": _code(page_language(tree)),
            "title": " ".join((tree.title or "").split()) or None,
            "license": licence(tree, url),
        }
        return _Page(item.source, record.record_id or item.id, common, images)

    def _of_wat(self, record: Record, item: Item) -> _Page | Verdict | None:
        found = describe(record.body, record.url or "")
        if found is None or isinstance(found, Verdict):
            return found
        images: list[_Image] = []
        for url, alt, title in found.images:
            texts = {kind: text for kind, text in (("alt", alt), ("title", title)) if text}
            if texts.get("title") == alt:
                texts.pop("title", None)
            images.append((url, texts, None, None))
        date = found.date or record.date
        common = {"url": record.url, "date": date, "title": found.title, "license": found.licence}
        return _Page(item.source, found.record_id or item.id, common, images)

    @cached_property
    def _blocked(self) -> BlockList:
        return BlockList(gates.read_block_list(self.block_domains), gates.read_block_list(self.block_urls))


_Image = tuple[str, dict[str, str], int | None, int | None]


@dataclass(frozen=True)
class _Page:
    """The images of a page, and the columns that its pairs share."""

    source: str
    record: str
    common: Mapping[str, Any]
    images: list[_Image]

    def pairs(self, kinds: tuple[str, ...], blocked: BlockList) -> list[dict[str, Any]]:
        """Make a row of each image and text, once; its id is that of the page's record, image and text."""
        rows: dict[str, dict[str, Any]] = {}
        for url, texts, width, height in self.images:
            if blocked.verdict(url):
                continue
            for kind, text in texts.items():
                if kind not in kinds:
                    continue
                name = document_id(self.source, f"{self.record} {url} {text}", "")
                image = {"offset": 0, "url": url, "alt": texts.get("alt")}
                own = {"id": name, "text": text, "images": [image], "kind": kind}
                size = {"declared_width": width, "declared_height": height}
                rows.setdefault(name, {**self.common, **own, **size})
        return list(rows.values())


def _code(name: str | None) -> str | None:
    """Return the ISO 639-3 code of a language a page declares; null for one that is not known."""
    try:
        return language(name) if name else None
    except UsageError:
        return None
