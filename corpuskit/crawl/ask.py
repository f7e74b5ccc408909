"""The first step of a search: asks a service for the images of every query, and notes each page it gives."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.crawl.agent import user_agent
from corpuskit.crawl.commons import Commons
from corpuskit.crawl.flickr import Flickr
from corpuskit.crawl.mentions import Sorter, mention_schema
from corpuskit.crawl.openverse import Openverse
from corpuskit.crawl.pager import ANSWER_BYTES, Pager
from corpuskit.crawl.patience import Turns
from corpuskit.crawl.replies import Replies, Reply
from corpuskit.crawl.results import NoResult, Result, Service, Unusable
from corpuskit.crawl.summary import duration
from corpuskit.crawl.transport import Limits, Transport
from corpuskit.dataset import Dataset
from corpuskit.document import SCHEMA
from corpuskit.errors import InputError, TryLater, UsageError
from corpuskit.settings import setting, suggest
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["FOUND", "Ask", "Site"]

Site = Literal["openverse", "commons", "flickr"]

FOUND = mention_schema(
    [
        pa.field("query", pa.string()),
        pa.field("place", pa.string()),
        pa.field("date", SCHEMA.field("date").type),
        pa.field("service_id", pa.string()),
        pa.field("image", pa.string()),
        pa.field("title", pa.large_string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("license", pa.string()),
        pa.field("license_version", pa.string()),
        pa.field("license_url", pa.string()),
        pa.field("creator", pa.string()),
        pa.field("attribution", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("filetype", pa.string()),
    ]
)
"""A row for every image a query found, and for every query or result that gave none, with the rule why."""

_SERVICES: Mapping[str, Any] = {kind.name: kind for kind in (Openverse, Commons, Flickr)}
_GIVEN_UP = 10
"""So many queries that fail in a row, and it is the service that fails."""
_ROWS = 1000
_SHOWN_SECONDS = 30.0
_ROW_BYTES = 2048
_BUCKET_BYTES = 64 << 20
_MOST_BITS = 8


class _Query(NamedTuple):
    """A row of the query list; `text` is null where there is none."""

    row: int
    id: str
    text: str | None

    def place(self, what: str = "") -> str:
        """Name where something came from, once in a search."""
        return f"{self.row} {self.text or self.id}{what}"


@dataclass(frozen=True)
class Ask(Stage):
    """Asks for the images of each query, page after page and one request at a time.

    Pages that stand are not asked for again.

    Raises:
        UsageError: A setting outside its range, no contact, or a service without the key it needs.
    """

    name: ClassVar[str] = "crawl.images.ask"
    patient: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ("pages",)

    from_: Site
    contact: str = setting(dataclasses.MISSING, "a mail address or web page for the service", content=False)
    per_query: int = setting(100, "most images of a query")
    license: tuple[str, ...] = setting((), "licences to keep, such as cc0,by,by-sa (default: all)")
    image_width: int | None = setting(None, "width to ask for where the service scales images")
    delay: float = setting(5.0, "seconds from the end of a request to the next", content=False)
    retries: int = setting(2, "how often to try again after network errors, 429 and 5xx", content=False)
    timeout: float = setting(30.0, "seconds a request may take, all told", content=False)
    service_url: str | None = setting(None, "where the service is, if elsewhere", content=False)
    ports: tuple[int, ...] = setting((80, 443), "ports that may be asked", content=False)
    allow: tuple[str, ...] = setting((), "addresses that may be asked though not public", content=False)

    def __post_init__(self) -> None:
        user_agent(self.contact)
        least = {"per_query": 1, "image_width": 1, "delay": 0, "retries": 0, "timeout": 0.001}
        for name, bound in least.items():
            if (value := getattr(self, name)) is not None and value < bound:
                raise UsageError(f"{self.name}: {name} is {value}", fix=f"give at least {bound}")
        object.__setattr__(self, "license", tuple(sorted({name.strip().lower() for name in self.license})))
        known = _SERVICES[self.from_].licenses
        for name in self.license if known is not None else ():
            if name not in known:
                raise UsageError(f"{self.from_} knows no licence {name!r}", fix=suggest(name, known))

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of what was found."""
        return FOUND

    def placed(self, target: str) -> Self:
        """Return the stage as it keeps its pages in `target`.

        Raises:
            UsageError: The target is no local folder.
        """
        if files.is_url(target):
            raise UsageError(
                f"{self.name} notes what it is told while it asks, which {target} cannot take",
                fix="search into a local folder, and copy that",
            )
        return super().placed(target)

    def foresees(self, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Say how many queries there are, and how long politeness makes the search last at least."""
        count = sum(item.size for task in tasks for item in task.inputs)
        return (
            f"{count:,} queries to {self.from_}, each with at least one request: "
            f"with {self.delay:g} s between two the search lasts at least {duration(count * self.delay)}.",
        )

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task, as there is one service; the sources are query lists.

        Raises:
            InputError: A source has no column `query` of texts.
            UsageError: The service needs a key, and there is none.
        """
        self.service()
        inputs = tuple(dataset_input(source) for source in sources)
        for item in inputs:
            schema = Dataset(item.path).schema
            if "query" not in schema.names or not pa.types.is_string(schema.field("query").type):
                raise InputError(f"{item.path} is no query list", fix="make one with corpuskit crawl queries")
        most = sum(item.size for item in inputs) * self.per_query * _ROW_BYTES
        bits = min(_MOST_BITS, (max(0, most - 1) // _BUCKET_BYTES).bit_length())
        return [Task(inputs, FOUND, {"bits": bits})]

    def service(self) -> Service:
        """Make the client of the service, with its key from the environment.

        Raises:
            UsageError: It needs a key, and there is none.
        """
        kind = _SERVICES[self.from_]
        key = os.environ.get(kind.secret, "").strip() if kind.secret else ""
        if kind.secret_needed and not key:
            raise UsageError(
                f"{self.from_} answers those with a key only", fix=f"put yours into {kind.secret}"
            )
        base = {} if self.service_url is None else {"base": self.service_url}
        made: Service = kind(license=self.license, width=self.image_width, key=key or None, **base)
        return made

    def run(self, task: Task) -> Iterator[Split]:
        """Ask for the pages that are not there yet; rows come in the order of queries and results."""
        sorter = Sorter(task)
        rows: list[dict[str, Any]] = []
        shown = time.monotonic()
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory()) if not self.target else self.target
            (Path(folder) / "pages").mkdir(parents=True, exist_ok=True)
            journal = Path(folder) / "pages" / f"{self.from_}.jsonl"
            replies = stack.enter_context(Replies(journal, task.key((self,))))
            limits = Limits(self.timeout, min(10.0, self.timeout), ANSWER_BYTES, self.ports, self._allowed())
            transport = stack.enter_context(Transport(user_agent(self.contact), limits))
            service = self.service()
            turns = Turns.of(self.service_url or f"search://{self.from_}", 1)
            pager = Pager(transport, service, turns, self.delay, self.retries)
            search = _Search(self, pager, replies)
            for query in _queries(task):
                rows += search.rows(query)
                if len(rows) >= _ROWS or time.monotonic() > shown + _SHOWN_SECONDS:
                    yield from _sorted(sorter, rows, self.from_)
                    rows = []
                if time.monotonic() > shown + _SHOWN_SECONDS:
                    yield from sorter.rest()
                    shown = time.monotonic()
            search.end()
        yield from _sorted(sorter, rows, self.from_)
        yield from sorter.rest()

    def _allowed(self) -> tuple[str, ...]:
        try:
            return tuple(str(ipaddress.ip_address(address)) for address in self.allow)
        except ValueError as error:
            raise UsageError(f"{self.name}: allow: {error}", fix="give addresses like 10.0.0.7") from None


class _Search:
    """Goes through the queries: pages that stand are read back, the others are asked for."""

    def __init__(self, stage: Ask, pager: Pager, replies: Replies) -> None:
        self._stage, self._pager, self._replies = stage, pager, replies
        self._seen: set[str] = set()
        self._answered = False
        self._failures = 0
        self._since = replies.mark

    def rows(self, query: _Query) -> Iterator[dict[str, Any]]:
        """Yield a row for each image of a query, and for what gave none."""
        if query.text is None or query.text in self._seen:
            rule = "images.search_query" if query.text is None else "images.search_repeated"
            yield {"rule": rule, "place": query.place()}
            return
        self._seen.add(query.text)
        kept = met = 0
        for reply in self._replies_to(query):
            if reply.page is None:
                told = {"value": reply.code, "place": query.place(" (failed)")}
                yield {"rule": "images.search_failed", **told}
                return
            for item in reply.page.results:
                met += 1
                place = query.place(f" ({met})")
                row = self._judge(item, kept)
                kept += "rule" not in row
                yield row | {"query": query.text, "place": place, "date": reply.date}
            if kept >= self._stage.per_query:
                return
        if not met:
            yield {"rule": "images.search_empty", "place": query.place()}

    def _judge(self, item: Result | NoResult, kept: int) -> dict[str, Any]:
        if isinstance(item, NoResult):
            return {"rule": item.rule}
        wanted = self._stage.license
        told = {"url": item.url}
        if wanted and item.license not in wanted:
            return told | {"rule": "images.search_licence"}
        if not item.text:
            return told | {"rule": "images.search_text"}
        if kept >= self._stage.per_query:
            return told | {"rule": "images.search_cap", "value": kept + 1, "bound": self._stage.per_query}
        facts = item._asdict()
        return {**facts, "title": facts.pop("text")}

    def _replies_to(self, query: _Query) -> Iterator[Reply]:
        """Yield the pages of a query until its last, or until one fails."""
        cursor: Mapping[str, Any] | None = {}
        for _ in range(self._pager.service.most_pages):
            before = self._replies.mark
            reply = self._replies.next(query.row) or self._ask(query, cursor)
            self._count(reply, before)
            yield reply
            cursor = reply.page.next if reply.page else None
            if cursor is None:
                return

    def _ask(self, query: _Query, cursor: Mapping[str, Any] | None) -> Reply:
        try:
            page, date = self._pager.ask(query.text or "", cursor or {})
            reply = Reply(query.row, page, date)
        except Unusable as error:
            reply = Reply(query.row, None, None, str(error), error.code, error.blames_query)
        self._replies.add(reply)
        return reply

    def _count(self, reply: Reply, before: int) -> None:
        """Count the failures in a row that no query is to blame for."""
        if reply.page is not None or reply.blames_query:
            self._answered, self._failures = True, 0
            return
        if not self._failures:
            self._since = before
        self._failures += 1
        if self._failures >= _GIVEN_UP:
            self._give_up(reply.failed)

    def end(self) -> None:
        """Take a search in which nothing succeeded for a service that is down.

        Raises:
            TryLater: So it is.
        """
        if self._failures and not self._answered:
            self._give_up("no query succeeded")

    def _give_up(self, why: str | None) -> None:
        self._replies.forget(self._since)
        raise TryLater(
            f"{self._stage.from_}: {self._failures} queries failed one after the other, at last: {why}",
            fix="run the same command again later: it goes on where this one ended",
        )


def _queries(task: Task) -> Iterator[_Query]:
    row = 0
    for item in task.inputs:
        dataset = Dataset(item.path)
        for batch in dataset.batches([name for name in ("id", "query") if name in dataset.schema.names]):
            texts = batch["query"].to_pylist()
            ids = batch["id"].to_pylist() if "id" in batch.schema.names else [""] * len(texts)
            for name, text in zip(ids, texts, strict=True):
                yield _Query(row, name or "", (text or "").strip() or None)
                row += 1


def _sorted(sorter: Sorter, rows: Sequence[Mapping[str, Any]], service: str) -> Iterator[Split]:
    """Hand rows to the sorter; an image is named by the service and its own id there."""
    own = [field for field in FOUND if field.name not in ("bucket", "high", "low", "origin")]
    batch = pa.RecordBatch.from_pylist(list(rows), pa.schema(own))
    columns = {name: batch[name] for name in batch.schema.names}
    names = pc.binary_join_element_wise(service, pc.fill_null(batch["service_id"], ""), ":")
    yield from sorter.add(columns, batch["place"], names)
