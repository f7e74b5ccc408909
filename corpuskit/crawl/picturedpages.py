"""The first steps of `crawl interleaved`: pages with the places of their images; how often each is met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
from resiliparse.parse.html import HTMLTree

from corpuskit.crawl import gates
from corpuskit.crawl.archive import RECORD_BYTES, Record
from corpuskit.crawl.blocks import read
from corpuskit.crawl.collected import Collected, watched
from corpuskit.crawl.extract import extract
from corpuskit.crawl.gates import BlockList, Verdict
from corpuskit.crawl.maintext import chosen, render
from corpuskit.crawl.pages import Item, archive_tasks, html, items, unusable
from corpuskit.crawl.pairs import LINKS, address
from corpuskit.crawl.payload import PAGE_BYTES
from corpuskit.crawl.pictures import Picture, licence, pictures
from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES, REJECT, SCHEMA
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["INTERLEAVED", "PicturedPages", "RareAddresses"]

INTERLEAVED = pa.schema([*SCHEMA, IMAGES, pa.field("title", pa.string()), pa.field("license", pa.string())])
"""A page: its main text, and its images in reading order."""

_SHARE_IMAGES = 8_000_000
_ROWS = 1 << 16


class _Found(NamedTuple):
    row: dict[str, Any]
    small: list[dict[str, Any]]
    """Images too small to be of use, by what the page declares."""


@dataclass(frozen=True)
class PicturedPages(Stage):
    """Reads archives: the main text of every page that has an image in it, and where each image stands.

    Raises:
        UsageError: A setting outside its range.
    """

    name: ClassVar[str] = "crawl.interleaved.pages"
    bad_rules: ClassVar[frozenset[str]] = frozenset(
        {"warc.lost", "payload.bomb", "payload.bad", "interleaved.timeout", "interleaved.crash"}
    )

    min_image_size: int | None = setting(64, "fewest pixels of the shorter side")
    precision: bool = setting(True, "rather lose text than keep boilerplate")
    source: str | None = setting(None, "name of the collection")
    block_domains: tuple[str, ...] = setting((), "files of hosts and registrable domains to leave out")
    block_urls: tuple[str, ...] = setting((), "files of pieces of URLs to leave out, of pages and of images")
    max_page: int = setting(PAGE_BYTES, "most bytes of a page, inflated")
    max_record: int = setting(RECORD_BYTES, "most bytes of a record; a larger one counts as lost")
    page_timeout: float = setting(10.0, "seconds of processor time a page may take")

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("max_page", "max_record"):
            if getattr(self, name) <= 0:
                raise UsageError(
                    f"crawl.interleaved: {name} is {getattr(self, name)}", fix="give a number above 0"
                )

    def content(self) -> Mapping[str, str]:
        """Digest the block lists."""
        return gates.block_list_digests(self.block_domains, self.block_urls)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of pages with images."""
        return INTERLEAVED

    def plan(self, *sources: str) -> list[Task]:
        """Make every archive a task, once; a folder stands for the archives in it and below."""
        return archive_tasks(sources, INTERLEAVED, named=self.source is not None)

    def run(self, task: Task) -> Iterator[Split]:
        """Read one archive, at most 16 MiB of text at a time."""
        rows = Collected(self.name, INTERLEAVED)
        for item in items(task, self.source, self.max_record):
            found = self._judge(item)
            url = item.what.url if isinstance(item.what, Record) else None
            told = {"id": item.id, "url": url, "origin": item.origin}
            if isinstance(found, Verdict):
                rows.reject(told, found)
            else:
                rows.keep({**found.row, **told, "source": item.source})
                for image in found.small:
                    at = image["offset"]
                    place = {**told, "url": image["url"], "start": at, "end": at}
                    rows.reject(place, Verdict("interleaved.small", bound=self.min_image_size))
            if rows.full:
                yield rows.take()
        yield rows.take()

    def _judge(self, item: Item) -> _Found | Verdict:
        record = item.what
        if not isinstance(record, Record):
            return Verdict("warc.lost", value=record.length)
        verdict = unusable(record) or self._blocked.verdict(record.url)
        if verdict:
            return verdict
        if record.kind == "conversion":
            return Verdict("warc.kind")
        if item.repeated:
            return Verdict("warc.duplicate_id")
        return watched(item.origin, self.page_timeout, "interleaved", lambda: self._read(record))

    def _read(self, record: Record) -> _Found | Verdict:
        page = html(record, self.max_page)
        if isinstance(page, Verdict):
            return page
        tree, url = HTMLTree.parse(page), record.url or ""
        found = [one for one in pictures(tree, url) if not self._blocked.verdict(one.url)]
        if not found:
            return Verdict("interleaved.no_image", value=0)
        main = extract(page, "trafilatura", self.precision).text
        placed = render(chosen(read(tree, {one.node: number for number, one in enumerate(found)}), main))
        if not placed.text.strip():
            return Verdict("extract.empty", value=len(placed.text))
        images = [_image(found[number], offset) for number, offset in placed.images]
        small = [self._is_small(found[number]) for number, _ in placed.images]
        kept = [image for image, away in zip(images, small, strict=True) if not away]
        if not kept:
            return Verdict("interleaved.no_image", value=len(images))
        row = {
            "date": record.date,
            "text": placed.text,
            "images": kept,
            "title": " ".join((tree.title or "").split()) or None,
            "license": licence(tree, url),
        }
        return _Found(row, [image for image, away in zip(images, small, strict=True) if away])

    def _is_small(self, one: Picture) -> bool:
        sides = [side for side in (one.width, one.height) if side is not None]
        return self.min_image_size is not None and any(side < self.min_image_size for side in sides)

    @cached_property
    def _blocked(self) -> BlockList:
        return BlockList(gates.read_block_list(self.block_domains), gates.read_block_list(self.block_urls))


def _image(one: Picture, offset: int) -> dict[str, Any]:
    return {"offset": offset, "url": one.url, "alt": one.alt}


@dataclass(frozen=True)
class RareAddresses(Stage):
    """Lists the distinct addresses of images, as links to be fetched; those in too many pages are rejects.

    An address that cannot be fetched is left out. Source: OBELICS, which removes images whose URL is in more
    than 10 documents.
    """

    name: ClassVar[str] = "crawl.interleaved.addresses"

    max_frequency: int | None = setting(10, "most pages an image may be in")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of links."""
        return LINKS

    def plan(self, *sources: str) -> list[Task]:
        """Plan tasks that share the addresses by their ids: for every 8 million pages one."""
        pages = dataset_input(sources[0])
        shares = max(1, -(-Dataset(sources[0]).rows // _SHARE_IMAGES))
        return [Task((pages,), LINKS, {"share": share, "of": shares}) for share in range(shares)]

    def run(self, task: Task) -> Iterator[Split]:
        """Count in how many pages each address of one share is, then give them in the order first met."""
        counts: dict[bytes, int] = {}
        pages = Dataset(task.inputs[0].path)
        for name, _ in _addresses(pages, task.work):
            counts[name] = counts.get(name, 0) + 1
        links, often = [], []
        for name, url in _addresses(pages, task.work):
            count = counts.pop(name, 0)
            if self.max_frequency is not None and count > self.max_frequency:
                found = {"id": name.hex(), "url": url, "value": count, "bound": self.max_frequency}
                often.append({**found, "stage": self.name, "rule": "interleaved.frequent"})
            elif count:
                links.append({"id": name.hex(), "url": url})
            if len(links) + len(often) >= _ROWS:
                yield _split(links, often)
                links, often = [], []
        yield _split(links, often)


def _addresses(pages: Dataset, share: Mapping[str, Any]) -> Iterator[tuple[bytes, str]]:
    """Yield the ids and URLs of the addresses of one share, once a page."""
    of, mine = int(share["of"]), int(share["share"])
    for batch in pages.batches([IMAGES.name]):
        for images in batch[IMAGES.name].to_pylist():
            names = {address(image["url"]).id: image["url"] for image in images}
            for name, url in names.items():
                key = bytes.fromhex(name or "")
                if key and int.from_bytes(key[:8], "little") % of == mine:
                    yield key, url


def _split(links: list[dict[str, Any]], often: list[dict[str, Any]]) -> Split:
    return Split(pa.RecordBatch.from_pylist(links, LINKS), pa.RecordBatch.from_pylist(often, REJECT))
