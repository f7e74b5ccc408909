"""Asks one search service for pages: one request at a time, with a pause after each, and not for ever."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from corpuskit.crawl.patience import Again, Patience, Terms, Turns, retry_after
from corpuskit.crawl.payload import BadPayload, Bomb
from corpuskit.crawl.results import Cursor, Page, Service, Unusable
from corpuskit.crawl.transport import Exchange, Failed, Refused, Transport, inflated
from corpuskit.errors import InputError, TryLater, UsageError

__all__ = ["ANSWER_BYTES", "Asked", "Pager", "json_object", "wait_asked_for"]

ANSWER_BYTES = 4 << 20
"""The most that an answer may have, on the wire and inflated."""

_LONGEST_WAIT = 3600.0
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"[0-9]{1,9}/([smhd])[a-z]*\Z", re.IGNORECASE)
_LIMIT, _LEFT = "x-ratelimit-limit-", "x-ratelimit-available-"
_NETWORK = frozenset({"fetch.dns", "fetch.connect", "fetch.tls"})
_BROKEN = ("time", "disconnect")


class Asked(NamedTuple):
    """A page, and when the service gave it, by the clock of its server where that tells."""

    page: Page
    date: datetime


class _Broken(Again):
    """A fault that may be of this one request, and no sign that the service wants us to wait."""

    def __init__(self, what: str, code: int | None = None) -> None:
        super().__init__(what)
        self.code = code


@dataclass
class Pager:
    """A conversation with one service.

    After each request `delay` seconds pass. 429, 5xx and network faults are tried again up to `retries`
    times, later each time; what Retry-After or, on 429, X-RateLimit headers ask for is waited up to an hour.
    """

    transport: Transport
    service: Service
    turns: Turns
    delay: float
    retries: int
    _ready: float = 0.0

    def ask(self, query: str, cursor: Cursor) -> Asked:
        """Ask for one page of a query.

        Raises:
            Unusable: The answer is no page, or the service failed every time.
            TryLater: The service wants to be left alone, or cannot be reached.
            UsageError: It does not want to be asked by us at all.
        """
        terms = Terms(1, self.retries, pause=self.delay or 1.0, obeyed=_LONGEST_WAIT)
        broken: list[_Broken] = []

        def attempt() -> Asked:
            broken.clear()
            try:
                return self._attempt(query, cursor)
            except _Broken as fault:
                broken.append(fault)
                raise

        try:
            return Patience(terms, self.turns).ask(f"{self.service.name}, {query[:100]!r}", attempt)
        except TryLater:
            if broken:
                raise Unusable(str(broken[0]), broken[0].code) from None
            raise

    def _attempt(self, query: str, cursor: Cursor) -> Asked:
        exchange = self._exchange(query, cursor)
        _check_status(exchange, self.service.name, first=not cursor)
        try:
            return Asked(self.service.read(json_object(exchange), cursor), _date(exchange))
        except Again as busy:
            raise Again(str(busy), wait_asked_for(exchange.headers)) from None

    def _exchange(self, query: str, cursor: Cursor) -> Exchange:
        time.sleep(max(0.0, self._ready - time.monotonic()))
        request = self.service.request(query, cursor)
        try:
            return self.transport.get(request.url, {"Accept": "application/json", **request.headers})
        except Refused as error:
            where = request.url.partition("?")[0]
            raise InputError(f"{where} may not be asked: {error.rule}", fix="check --service-url") from None
        except Failed as error:
            raise Again(str(error)) if error.rule in _NETWORK else _Broken(str(error)) from None
        finally:
            self._ready = time.monotonic() + self.delay


def _check_status(exchange: Exchange, service: str, *, first: bool) -> None:
    """Raise unless the answer is whole and has status 200."""
    status = exchange.status
    said = f"{status} {exchange.reason[:100]}".strip()
    if status == 401 and not first:
        raise Unusable(said, status, blames_query=True)  # deeper than this service lets us look
    if status in (401, 403):
        raise UsageError(
            f"{service} refuses to be asked: {said}",
            fix="check --contact and the key or token, or ask the service whether it blocks this address",
        )
    if status == 429:
        raise Again(said, wait_asked_for(exchange.headers))
    if status >= 500 or status == 408 or exchange.truncated in _BROKEN:
        after = wait_asked_for(exchange.headers)
        if after is not None and status >= 500:
            raise Again(said, after)
        raise _Broken(said, status)
    if status != 200:
        raise Unusable(said, status, blames_query=400 <= status < 500)


def json_object(exchange: Exchange) -> Mapping[str, Any]:
    """Read the body of an answer as one JSON object.

    Raises:
        Unusable: It is something else, too deep, or larger than `ANSWER_BYTES`.
    """
    try:
        body = inflated(exchange, ANSWER_BYTES)
    except (Bomb, BadPayload):
        body = None
    if body is None or exchange.truncated:
        raise Unusable("an answer too large, or not coded as it says", exchange.status)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Unusable("an answer that is no JSON", exchange.status) from None
    if not isinstance(found, dict):
        raise Unusable("an answer that is no JSON object", exchange.status)
    return found


def wait_asked_for(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that a service asks to wait: Retry-After, else the longest limit that is used up.

    Null where it says nothing that makes sense.

    >>> wait_asked_for({"Retry-After": "7"})
    7.0
    >>> wait_asked_for({"X-RateLimit-Limit-anon_burst": "20/min", "X-RateLimit-Available-anon_burst": "0"})
    60.0
    """
    said = {name.lower(): value.strip() for name, value in headers.items()}
    after = retry_after({"Retry-After": said.get("retry-after", "")}, now())
    if after is not None:
        return after
    used_up = [
        name.removeprefix(_LEFT) for name, left in said.items() if name.startswith(_LEFT) and left == "0"
    ]
    rates = [_RATE.match(said.get(_LIMIT + name, "")) for name in used_up]
    return max((_PERIODS[rate[1].lower()] for rate in rates if rate), default=None)


def _date(exchange: Exchange) -> datetime:
    try:
        told = email.utils.parsedate_to_datetime(exchange.headers.get("Date", ""))
        return told.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return exchange.date.replace(microsecond=0)
