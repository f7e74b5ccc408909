"""`crawl fetch`: links in, web archives and a row a page out, politely and whatever happens."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import __version__, files
from corpuskit.crawl import fetched, shares, summary
from corpuskit.crawl.addresses import resolve
from corpuskit.crawl.agent import user_agent
from corpuskit.crawl.clerk import Clerk
from corpuskit.crawl.fetcher import Fetcher
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.journal import Entry, Journal
from corpuskit.crawl.lookup import Lookup
from corpuskit.crawl.optouts import opted_out
from corpuskit.crawl.payload import BadPayload, Bomb
from corpuskit.crawl.politeness import Politeness
from corpuskit.crawl.recording import Earlier, Recorder
from corpuskit.crawl.slots import Slots
from corpuskit.crawl.transport import Exchange, Limits, Resolver, Transport, inflated
from corpuskit.crawl.wanted import Terms, Validators, Wanted, passes
from corpuskit.dataset import Dataset
from corpuskit.document import reject_rows
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["Fetch"]

TASK_URLS = 100_000
_BATCH_ROWS, _BATCH_SECONDS = 500, 2.0
_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Fetch(Stage):
    """Fetch the pages of links politely, into WARC files beside a dataset of what was fetched.

    A source is any dataset with `id` and `url`; its other columns go along, except `text` and `images`.
    Every redirect and answer is recorded in `TARGET/warc/`, which `crawl warc` reads. A URL is done when
    its records are on the disk, so a crawl that is killed goes on where it was. Rejects by rule:

    - `fetch.robots`: robots.txt says no; `fetch.robots_unreachable`: it answered with 429 or 5xx
    - `fetch.status`: the status, not 200; `fetch.redirects`: more than five, or in a circle
    - `fetch.type`: not of `types`; `fetch.optout`: its owner does not want it indexed or trained on, by
      X-Robots-Tag, meta robots, or Content-Signal in robots.txt
    - `fetch.bomb`: larger than `max_bytes` inflated; `fetch.coding`: not coded as its headers say
    - `fetch.url`, `fetch.scheme`, `fetch.port`, `fetch.address`: not a URL that may be fetched
    - `fetch.dns`, `fetch.connect`, `fetch.tls`, `fetch.timeout`, `fetch.disconnect`, `fetch.protocol`
    - `fetch.host`: its host had ended after ten failures in a row
    - `fetch.duplicate`: the same URL as `twin`

    Raises:
        UsageError: A setting outside its range, or no contact.
    """

    name = "crawl.fetch"
    patient = True
    keeps = ("warc",)
    headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "gzip, deflate"}
    """What is sent with every request; no brotli, as warcio 1.8 fails at such bodies."""

    contact: str = setting(
        dataclasses.MISSING, "a mail address or web page for those whose hosts are asked", content=False
    )
    delay: float = setting(5.0, "seconds from the end of a request to the next to that host", content=False)
    retries: int = setting(2, "how often to try again after network errors, 429 and 5xx", content=False)
    timeout: float = setting(30.0, "seconds a request may take, all told", content=False)
    max_bytes: int = setting(10 << 20, "most bytes of a page, on the wire and inflated")
    types: tuple[str, ...] = setting(_HTML, "media types to keep, such as text/*; '' keeps any")
    opt_outs: bool = setting(True, "leave out what its owner does not want indexed or trained on")
    source: str | None = setting(None, "name of the collection, for crawl warc")
    known: str | None = setting(
        None, "target of an earlier fetch: only what has changed since is sent again", content=False
    )
    retry_failed: bool = setting(
        False, "try again what failed and may have passed: network errors, 429, 5xx", content=False
    )
    threads: int = setting(64, "most requests at a time, in each worker", content=False)
    ports: tuple[int, ...] = setting((80, 443), "ports that may be asked", content=False)
    allow: tuple[str, ...] = setting((), "addresses that may be asked though not public", content=False)

    def __post_init__(self) -> None:
        """Check the settings."""
        user_agent(self.contact)
        least = {"delay": 0, "retries": 0, "timeout": 0.001, "max_bytes": 1, "threads": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise UsageError(
                    f"{self.name}: {name} is {getattr(self, name)}", fix=f"give at least {bound}"
                )
        object.__setattr__(self, "types", tuple(sorted({kind.lower() for kind in self.types if kind})))
        for address in self.allow:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise UsageError(
                    f"{self.name}: allow has {address!r}, which is no address", fix="give it like 10.0.0.7"
                ) from None

    def content(self) -> Mapping[str, str]:
        """Digest what an earlier fetch said."""
        return {"known": Dataset(self.known).sha256} if self.known is not None else {}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that the links' own columns come first, and what was fetched after them."""
        names = shares.carried(schema, fetched.SCHEMA.names)
        return pa.schema([*(schema.field(name) for name in names), *fetched.SCHEMA])

    def placed(self, target: str) -> Self:
        """Return the stage as it writes archives into `target`.

        Raises:
            UsageError: The target is no local folder.
        """
        if files.is_url(target):
            raise UsageError(
                f"{self.name} writes archives while it fetches, which {target} cannot take",
                fix="fetch into a local folder, and copy that",
            )
        return super().placed(target)

    def plan(self, *sources: str) -> list[Task]:
        """Divide the hosts among as many tasks as there are 100,000 links."""
        schema = shares.link_schema(sources)
        inputs = tuple(dataset_input(source) for source in sources)
        count = max(1, -(-sum(item.size for item in inputs) // TASK_URLS))
        return [Task(inputs, schema, {"share": number, "of": count}) for number in range(count)]

    def foresees(self, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Say how many hosts there are, and how long politeness makes the crawl last."""
        found = shares.hosts([item.path for item in tasks[0].inputs])
        if not found:
            return ("There are no links.",)
        (largest, count), total = found.most_common(1)[0], sum(found.values())
        least = (count + 1) * self.delay  # with its robots.txt
        return (
            f"{total:,} URLs of {len(found):,} hosts. The largest, {largest}, has {count:,}: "
            f"with {self.delay:g} s between two requests the crawl lasts at least {summary.duration(least)}.",
        )

    def recounts(self, dataset: Dataset) -> tuple[str, ...]:
        """Say how fast it was, how much succeeded, and which hosts were slow."""
        return summary.lines(sorted((Path(dataset.path) / "warc").glob("*.jsonl")))

    def run(self, task: Task) -> Iterator[Split]:
        """Fetch what is not fetched yet; rows come in the order in which their records were written."""
        links, schema = self._links(task), self.writes(task.schema)
        first = shares.firsts(links["url"])
        repeated = pa.array(np.flatnonzero(first != np.arange(len(first))), pa.int64())
        twins = links["id"].take(pa.array(first).take(repeated))
        nameless = pc.indices_nonzero(pc.is_null(links["url"])).cast(pa.int64())
        passed_over = [
            reject_rows(links, self.name, "fetch.duplicate", repeated, twin=twins),
            reject_rows(links, self.name, "fetch.url", nameless),
        ]
        yield Split(fetched.kept_rows(links, [], schema), pa.concat_batches(passed_over))
        if len(links) == len(repeated) + len(nameless):
            return
        with self._journal(task, len(links)) as journal:
            rows = sorted({*journal.open_rows()} - {*repeated.to_pylist()} - {*nameless.to_pylist()})
            for batch in _batches(journal.entries(), self._fetch(task, links, rows, journal)):
                kept = [entry for entry in batch if entry["rule"] is None]
                gone = [entry for entry in batch if entry["rule"] is not None]
                rejected = fetched.rejected_rows(links, gone, self.name)
                yield Split(fetched.kept_rows(links, kept, schema), rejected)

    def _links(self, task: Task) -> pa.RecordBatch:
        names = shares.carried(task.schema, fetched.SCHEMA.names)
        paths = [item.path for item in task.inputs]
        table = shares.share(paths, names, task.work["share"], task.work["of"])
        return table.to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], table.schema)

    def _folder(self) -> Path:
        if not self.target:
            raise UsageError(f"{self.name} writes into a folder", fix="run it with corpuskit.run")
        folder = Path(self.target) / "warc"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _journal(self, task: Task, rows: int | None = None) -> Journal:
        return Journal(self._folder() / f"{_stem(task)}.jsonl", task.key((self,)), rows)

    def reopens(self, task: Task) -> bool:
        """With `retry_failed`, open again what may have passed; say whether anything is open."""
        if not self.retry_failed or not (self._folder() / f"{_stem(task)}.jsonl").exists():
            return False
        with self._journal(task) as journal:
            return journal.reopen(lambda entry: passes(entry["rule"] or "", entry["value"]))

    def _fetch(
        self, task: Task, links: pa.RecordBatch, rows: list[int], journal: Journal
    ) -> Iterator[list[Entry]]:
        """Fetch the links of these rows and write down what became of them."""
        if not rows:
            return
        urls = links["url"].take(pa.array(rows, pa.int64()))
        known = {} if self.known is None else shares.known_pages(self.known, urls)
        wanted = [
            Wanted(row, url, _validators(known.get(url)))
            for row, url in zip(rows, urls.to_pylist(), strict=True)
        ]
        limits = Limits(seconds=self.timeout, bytes=self.max_bytes, ports=self.ports, allow=self._allowed())
        lookup = Lookup(self.resolver(), patience=min(limits.connect, limits.seconds))
        terms = Terms(Politeness(self.delay), self.retries, self.threads, self.opt_outs, self.headers)
        with ExitStack() as stack:
            slots = stack.enter_context(Slots(self._folder() / ".hosts"))
            transport = stack.enter_context(Transport(user_agent(self.contact), limits, lookup))
            recorder = Recorder(self._folder(), _stem(task), self._info(), journal.mark)
            stack.enter_context(recorder)
            fetcher = Fetcher(transport, lookup, terms, slots=slots, judge=self._judge)
            outcomes = stack.enter_context(closing(fetcher.fetch(wanted)))
            yield from Clerk(recorder, journal, known).write_down(outcomes, fetcher.idle)

    def resolver(self) -> Resolver:
        """Say what looks names up: a subclass may know names of its own."""
        return resolve

    def _allowed(self) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_address(address)) for address in self.allow)

    def _judge(self, exchange: Exchange) -> Verdict | None:
        """Say why a page is not wanted; null if it is."""
        kind = exchange.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        family = kind.partition("/")[0] + "/*"
        if self.types and kind and not {kind, family} & {*self.types}:
            return Verdict("fetch.type")
        try:
            body = inflated(exchange, self.max_bytes)
        except Bomb:
            return Verdict("fetch.bomb", len(exchange.body), self.max_bytes)
        except BadPayload:
            return None if exchange.truncated else Verdict("fetch.coding", len(exchange.body))
        page = body if kind in ("", *_HTML) else b""
        if self.opt_outs and opted_out(exchange.headers.items(), page):
            return Verdict("fetch.optout")
        return None

    def _info(self) -> dict[str, str]:
        """Say in every archive who crawled, and how."""
        return {
            "software": f"corpuskit/{__version__}",
            "format": "WARC File Format 1.1",
            "isPartOf": self.source or "",
            "operator": self.contact,
            "http-header-user-agent": user_agent(self.contact),
            "robots": "RFC 9309, for the agent corpuskit; Crawl-delay up to 60 s",
            "opt-outs": "X-Robots-Tag, meta robots, Content-Signal" if self.opt_outs else "not asked",
            "politeness": f"one request at a time and {self.delay:g} s between two, per registrable domain "
            "and per address; Retry-After up to 1 h",
        }


def _stem(task: Task) -> str:
    return f"fetch-{task.work['share']:05d}"


def _validators(known: Earlier | None) -> Validators | None:
    return None if known is None else Validators(known.url, known.etag, known.last_modified)


def _batches(old: Iterator[Entry], new: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
    """Hand entries on in batches, so that a run that goes on for days shows how far it is."""
    batch: list[Entry] = []
    last = time.monotonic()
    for group in itertools.chain(([entry] for entry in old), new):
        batch += group
        if len(batch) >= _BATCH_ROWS or time.monotonic() > last + _BATCH_SECONDS:
            yield batch
            batch, last = [], time.monotonic()
    yield batch
