"""Writes down what became of URLs: the records first, then the journal, in groups that one sync serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from corpuskit.crawl import fetched
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.journal import Entry, Journal
from corpuskit.crawl.recording import Earlier, Recorder, payload_digest
from corpuskit.crawl.transport import Exchange
from corpuskit.crawl.wanted import Outcome

__all__ = ["Clerk"]

_GROUP = 32
_NOT_RECORDED = frozenset({"fetch.optout", "fetch.type", "fetch.bomb", "fetch.coding"})
"""Rules about a page that came whole and is not wanted, by its owner or by us."""


class Clerk:
    """Turns outcomes into records and journal entries. `known` gives earlier responses by wanted URL."""

    def __init__(self, recorder: Recorder, journal: Journal, known: Mapping[str, Earlier]) -> None:
        self._recorder, self._journal, self._known = recorder, journal, known

    def write_down(self, outcomes: Iterable[Outcome], idle: Callable[[], bool]) -> Iterator[list[Entry]]:
        """Record outcomes as they come; yield entries, in groups, that are safe on the disk.

        A group ends when no further outcome is ready, or when it is large enough.
        """
        group: list[Entry] = []
        for outcome in outcomes:
            entry = self._entry(outcome)
            self._journal.add(entry)
            group.append(entry)
            if len(group) >= _GROUP or idle():
                yield self._commit(group)
                group = []
        if group:
            yield self._commit(group)

    def _commit(self, group: list[Entry]) -> list[Entry]:
        self._recorder.sync()
        self._journal.commit()
        return group

    def _entry(self, outcome: Outcome) -> Entry:
        verdict = outcome.verdict or Verdict("")
        hops = outcome.hops
        if verdict.rule in _NOT_RECORDED and hops and hops[-1].redirect is None:
            hops = hops[:-1]
        page = None
        for number, hop in enumerate(hops):
            if verdict.rule or number < len(hops) - 1:
                self._recorder.write(hop)
            else:
                page = self._page(hop, outcome.wanted.url, number)
        return {
            "row": outcome.wanted.key,
            "rule": verdict.rule or None,
            "value": verdict.value,
            "bound": verdict.bound,
            "why": outcome.why[:300],
            "host": urlsplit(outcome.hops[-1].url).netloc if outcome.hops else None,
            "seconds": round(sum(hop.seconds for hop in outcome.hops), 3),
            "at": round(time.time(), 1),
            "end": list(self._recorder.mark),
            "page": page,
        }

    def _page(self, exchange: Exchange, url: str, redirects: int) -> dict[str, object]:
        """Record a page, or that it is the same as one before."""
        known = self._known.get(url)
        earlier = None
        if exchange.status == 304:
            earlier = known
        elif exchange.body and not exchange.truncated:
            digest = payload_digest(exchange.body)
            earlier = known if known and known.digest == digest else self._journal.same(digest)
        page = fetched.page(exchange, self._recorder.write(exchange, earlier), redirects)
        if earlier is None:
            return page
        page |= {"digest": earlier.digest, "refers_to": earlier.record_id, "refers_to_date": earlier.date}
        if exchange.status == 304 and known:
            page |= {"etag": page["etag"] or known.etag}
            page |= {"last_modified": page["last_modified"] or known.last_modified}
        return page
