"""What is wanted of a Common Crawl, and how its services may be asked: settings, listing and captures."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from corpuskit import files
from corpuskit.crawl import captures, cdx, columnar
from corpuskit.crawl.captures import Wanted
from corpuskit.crawl.patience import Patience, Terms, Turns
from corpuskit.crawl.store import Missing, RemoteFile, Store, Web, open_store
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, UsageError
from corpuskit.language import language
from corpuskit.seeds import draw
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task

__all__ = ["LISTED", "Captures", "Listing", "Selection", "Services"]

LISTED = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("page", pa.int32()),
    ]
)
"""What is to be read: the path of an archive or of a part of the index, or a page of a pattern's captures."""

_CRAWL = re.compile(r"CC-MAIN-\d{4}(?:-\d{2}|-\d{4})?\Z")
_LISTING_BYTES = 64 << 20
_INDEX_AHEAD = 64 << 10


@dataclass(frozen=True)
class Services:
    """What of Common Crawl can be asked: its files, and its CDX server."""

    store: Store
    web: Web


@dataclass(frozen=True)
class Selection(Stage):
    """What is wanted of a crawl, and how its services may be asked.

    Raises:
        UsageError: Settings that contradict each other, or one outside its range.
    """

    patient = True

    crawl: str = setting(dataclasses.MISSING, "name of the crawl, such as CC-MAIN-2024-22")
    subset: Literal["warc", "wet"] = setting("warc", "whole pages, or Common Crawl's own plain text of them")
    sample: float | None = setting(
        None, "take so many archives, or with a selection captures; below 1, that share of them"
    )
    seed: int = setting(0, "another number draws another sample")
    url: tuple[str, ...] = setting((), "URLs, prefixes such as example.com/a/*, or domains such as *.gov")
    domain: tuple[str, ...] = setting((), "domains with all their hosts")
    language: tuple[str, ...] = setting((), "main languages by the index, such as en")
    mime: tuple[str, ...] = setting((), "media types as detected, such as text/html")
    status: tuple[int, ...] = setting((), "HTTP statuses")
    index: Literal["cdx", "columnar"] | None = setting(
        None, "which index to ask  [default: cdx with url or domain, else columnar]"
    )
    base_url: str = setting(
        "https://data.commoncrawl.org/", "where the files lie: https://, s3:// or a folder"
    )
    cdx_url: str = setting("https://index.commoncrawl.org/", "where the CDX server is", content=False)
    gap: int = setting(64 << 10, "records no further apart are fetched with one request", content=False)
    max_request: int = setting(16 << 20, "most bytes of a request, but for a longer record", content=False)
    connections: int = setting(4, "most requests at a time, of all workers together", content=False)
    retries: int = setting(6, "how often to ask again after a refusal or fault", content=False)
    pause: float = setting(1.0, "seconds before asking again, doubled from try to try", content=False)
    deadline: float = setting(300.0, "seconds a request may take, all told", content=False)

    def __post_init__(self) -> None:
        """Check the settings, and bring lists under one spelling."""
        if not _CRAWL.match(self.crawl):
            raise UsageError(f"{self.name}: {self.crawl!r} is no crawl", fix="name it like CC-MAIN-2024-22")
        if self.selects and self.subset == "wet":
            raise UsageError(
                f"{self.name}: the index knows the pages of the WARC files only",
                fix="leave out --subset wet, or the selection",
            )
        if self.selects and self.asks_cdx and not (self.url or self.domain):
            raise UsageError(
                f"{self.name}: the CDX server is asked by URL",
                fix="add --url or --domain, or --index columnar",
            )
        if self.index and not self.selects:
            raise UsageError(f"{self.name}: --index, and nothing to look up", fix="add --url or --language")
        self._check_numbers()
        codes = tuple(sorted({_language(name) for name in self.language}))
        object.__setattr__(self, "language", codes)
        object.__setattr__(self, "domain", tuple(sorted({_domain(self.name, name) for name in self.domain})))
        object.__setattr__(self, "url", tuple(sorted(set(self.url))))
        object.__setattr__(self, "mime", tuple(sorted({kind.strip().lower() for kind in self.mime})))
        object.__setattr__(self, "status", tuple(sorted(set(self.status))))
        for pattern in self.patterns:
            columnar.ranges(pattern)  # raises where it is none

    def _check_numbers(self) -> None:
        least = {"gap": 0, "max_request": 1, "connections": 1, "retries": 0, "pause": 0.0, "deadline": 0.001}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise UsageError(
                    f"{self.name}: {name} is {getattr(self, name)}", fix=f"give at least {bound}"
                )
        if self.sample is not None and not (0 < self.sample < 1 or float(self.sample).is_integer()):
            raise UsageError(
                f"{self.name}: sample is {self.sample:g}", fix="give a number like 100, or a share"
            )
        if self.sample is not None and self.sample <= 0:
            raise UsageError(f"{self.name}: sample is {self.sample:g}", fix="give a number above 0")

    @property
    def selects(self) -> bool:
        """Whether captures are looked up in an index; else whole archives are read."""
        return any((self.url, self.domain, self.language, self.mime, self.status))

    @property
    def asks_cdx(self) -> bool:
        """Whether the index is the CDX server."""
        return self.index == "cdx" if self.index else bool(self.url or self.domain)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The URLs, prefixes and domains that are wanted, as the CDX server takes them; none: all."""
        return tuple(dict.fromkeys([*self.url, *(f"*.{name}" for name in self.domain)]))

    @property
    def wanted(self) -> Wanted:
        """What the index is asked for."""
        return Wanted(self.patterns, self.language, self.mime, self.status)

    @property
    def count(self) -> int | None:
        """How many archives or captures to take; null where all or a share."""
        return int(self.sample) if self.sample is not None and self.sample >= 1 else None

    @property
    def share(self) -> float | None:
        """Which share to take; null where all or a number."""
        return self.sample if self.sample is not None and self.sample < 1 else None

    @contextlib.contextmanager
    def services(self) -> Iterator[Services]:
        """Open what can be asked; afterwards nothing waits for it any longer."""
        terms = Terms(self.connections, self.retries, self.pause, self.deadline)
        patience = Patience(terms, Turns.of(self.target, self.connections))
        web = Web(patience, self.deadline)
        try:
            yield Services(open_store(self.base_url, web, patience), web)
        finally:
            patience.close()

    def nothing(self) -> InputError:
        """Say that the crawl holds nothing of what is wanted."""
        return InputError(
            f"nothing in {self.crawl} matches", fix="check the selection, or take more than this --sample"
        )

    def place(self, path: str) -> str:
        """Return the full name of a file."""
        return files.join(self.base_url.rstrip("/"), path)


@dataclass(frozen=True)
class Listing(Selection):
    """List the archives of a crawl, the parts of its columnar index, or the pages that the CDX server has."""

    name = "crawl.listing"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that these are no documents."""
        return LISTED

    def plan(self, *sources: str) -> list[Task]:
        """Make one task: there is little to list."""
        return [Task(inputs=())]

    def run(self, task: Task) -> Iterator[Split]:
        """Ask for the list."""
        with self.services() as services:
            if self.selects and self.asks_cdx:
                found = cdx.Server(services.web, self.cdx_url, self.crawl).pages(self.patterns)
            elif self.selects:
                listed = self._listed(services.store, "cc-index-table.paths.gz")
                found = [(path, None) for path in listed if "/subset=warc/" in path]
            else:
                found = [(path, None) for path in self._sampled(self._listed(services.store, self._paths))]
        if not found:
            raise self.nothing()
        rows = [
            {"id": path if page is None else f"{path} {page}", "path": path, "page": page}
            for path, page in found
        ]
        yield Split(pa.RecordBatch.from_pylist(rows, LISTED))

    @property
    def _paths(self) -> str:
        return f"{self.subset}.paths.gz"

    def _listed(self, store: Store, name: str) -> list[str]:
        path = f"crawl-data/{self.crawl}/{name}"
        try:
            packed = store.whole(path, _LISTING_BYTES)
        except Missing:
            raise InputError(
                f"there is no {self.place(path)}",
                fix="see the names of crawls at https://index.commoncrawl.org",
            ) from None
        try:
            inflater = zlib.decompressobj(31)
            lines = inflater.decompress(packed, _LISTING_BYTES).decode("ascii").split("\n")
            whole = inflater.eof
        except (zlib.error, UnicodeDecodeError):
            whole = False
        paths = [line.strip() for line in lines if line.strip()] if whole else []
        if not paths or not all(map(captures.is_path, paths)):
            raise InputError(f"{self.place(path)} is damaged, or no list of paths", fix="check --base-url")
        return list(dict.fromkeys(paths))

    def _sampled(self, paths: list[str]) -> list[str]:
        if self.sample is None:
            return paths
        numbers = draw(self.seed, pa.array(paths, pa.string()))
        if self.share is not None:
            return [path for path, number in zip(paths, numbers, strict=True) if number < self.share]
        chosen = np.sort(np.argsort(numbers, kind="stable")[: self.count])
        return [paths[row] for row in chosen]


@dataclass(frozen=True)
class Captures(Selection):
    """Look up in an index where the records of the wanted pages lie.

    What the index says in a way that makes no sense is a reject, `captures.line`.
    """

    name = "crawl.captures"
    bad_rules = frozenset({"captures.line"})

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that these are no documents."""
        return captures.SCHEMA

    def plan(self, *sources: str) -> list[Task]:
        """Make every part or page of the index a task."""
        rows = (row for batch in Dataset(sources[0]).batches() for row in batch.to_pylist())
        return [self.task(row) for row in rows]

    def task(self, row: dict[str, Any]) -> Task:
        """Make a row of the listing a task."""
        return Task(inputs=(), work={"path": row["path"], "page": row["page"]})

    def run(self, task: Task) -> Iterator[Split]:
        """Read one part or page of the index."""
        path, page = task.work["path"], task.work["page"]
        with self.services() as services:
            if page is not None:
                server = cdx.Server(services.web, self.cdx_url, self.crawl)
                yield self._sampled(server.captures(path, page, self.wanted))
                return
            file = RemoteFile(services.store, path, _INDEX_AHEAD)
            try:
                for split in columnar.captures_in(file, self.place(path), self.wanted):
                    yield self._sampled(split)
            except Missing:
                raise InputError(f"there is no {self.place(path)}", fix="check --base-url") from None

    def _sampled(self, split: Split) -> Split:
        if self.share is None or not len(split.kept):
            return split
        chosen = pa.array(captures.chances(split.kept, self.seed) < self.share)
        return dataclasses.replace(split, kept=split.kept.filter(chosen))


def _language(name: str) -> str:
    """Return the code that the index uses; it knows languages that our model does not."""
    try:
        return language(name)
    except UsageError:
        if re.fullmatch(r"[a-z]{3}", name):
            return name
        raise


def _domain(where: str, name: str) -> str:
    found = name.strip().lower().removeprefix("*.").strip(".")
    if not re.fullmatch(r"[^\s/:*?#@]+", found):
        raise UsageError(
            f"{where}: {name!r} is no domain", fix="give it like example.com; --url takes patterns"
        )
    return found
