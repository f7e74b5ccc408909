"""Fetches many URLs politely: robots.txt asked first, redirects followed, hosts spared, failures tried again.

Nothing here knows what becomes of the answers: they may be pages for an archive, or images.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from corpuskit.crawl.addresses import BadScheme, BadUrl, Origin, split
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.lookup import Lookup
from corpuskit.crawl.patience import retry_after
from corpuskit.crawl.politeness import Schedule, Turn
from corpuskit.crawl.robots import Robots, RobotsCache
from corpuskit.crawl.slots import Slots
from corpuskit.crawl.transport import Exchange, Failed, Refused, Transport
from corpuskit.crawl.wanted import PASSING, Outcome, Terms, Wanted, domain_of

__all__ = ["Fetcher", "Judge"]

REDIRECTS = 5
_READY = 16  # outcomes, each with its bodies, that may wait for whoever takes them
_THROTTLED = frozenset({429, 503})
_CUT_OFF = {"time": "fetch.timeout", "disconnect": "fetch.disconnect"}


@dataclass
class _Job:
    url: str
    origin: Origin
    wanted: Wanted | None = None
    robots_of: Origin | None = None
    """For a robots.txt on its way: whose it is."""
    hops: list[Exchange] = field(default_factory=list)
    tries: int = 0


Judge = Callable[[Exchange], Verdict | None]
Answer = Exchange | Refused | Failed


class Fetcher:
    """Fetches URLs with many threads, at one request at a time per registrable domain and per address.

    Args:
        transport: What makes one request; its resolver is `lookup`.
        lookup: What finds the addresses of a host.
        terms: How polite, how patient, how many at a time.
        slots: Where other processes see whom we talk to (default: there are no others).
        judge: Says why a 200 is not wanted, null if it is; called in many threads.
    """

    def __init__(
        self,
        transport: Transport,
        lookup: Lookup,
        terms: Terms | None = None,
        *,
        slots: Slots | None = None,
        judge: Judge = lambda exchange: None,
    ) -> None:
        self._transport, self._lookup, self._judge = transport, lookup, judge
        self._terms = terms or Terms()
        self._schedule: Schedule[_Job] = Schedule(self._terms.politeness, slots or Slots())
        self._robots = RobotsCache()
        self._unanswered: dict[Origin, list[_Job]] = {}
        """Jobs that wait for the robots.txt of their origin."""
        self._changed = threading.Condition()
        self._led_until = float("inf")
        self._stopped = False
        self._found: queue.Queue[Outcome | BaseException] = queue.Queue(_READY)

    def fetch(self, wanted: Iterable[Wanted]) -> Generator[Outcome, None, None]:
        """Yield one outcome for each URL, as they come. May be called once.

        Threads end with the iterator; requests in flight then are forgotten.
        """
        at_once, left = self._begin(wanted)
        yield from at_once
        threads = [
            threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
            for number in range(min(self._terms.threads, left))
        ]
        try:
            for thread in threads:
                thread.start()
            while left:
                found = self._found.get()
                if isinstance(found, BaseException):
                    raise found
                left -= 1
                yield found
        finally:
            self._stop()

    def idle(self) -> bool:
        """Say whether no outcome is ready to be yielded: a good moment to write down those that were."""
        return self._found.empty()

    def _begin(self, wanted: Iterable[Wanted]) -> tuple[list[Outcome], int]:
        at_once: list[Outcome] = []
        jobs: dict[str, list[_Job]] = {}
        count = 0
        for one in wanted:
            job = _job(one.url)
            if isinstance(job, Refused):
                at_once.append(Outcome(one, (), Verdict(job.rule), job.what))
                continue
            job.wanted = one
            jobs.setdefault(domain_of(job.origin), []).append(job)
            count += 1
        self._schedule.begin(jobs)
        return at_once, count

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        while not self._found.empty():  # whoever waits to put something may go
            self._found.get_nowait()

    def _work(self) -> None:
        try:
            while (turn := self._next()) is not None:
                for outcome in self._attend(turn):
                    self._put(outcome)
        except BaseException as error:  # noqa: BLE001 - whatever it is, who waits for outcomes must hear of it
            self._put(error)

    def _put(self, found: Outcome | BaseException) -> None:
        while not self._stopped:
            try:
                self._found.put(found, timeout=1.0)
                return
            except queue.Full:
                continue

    def _next(self) -> Turn[_Job] | None:
        """Wait for a turn; one thread watches the clock, the others wait to be woken."""
        with self._changed:
            while not self._stopped:
                now = time.time()
                turn = self._schedule.next(now)
                if turn is not None:
                    self._changed.notify()
                    return turn
                due = self._schedule.due()
                if due is None or due >= self._led_until:
                    self._changed.wait()
                    continue
                self._led_until = due
                self._changed.wait(max(0.0, due - now))
                if self._led_until == due:
                    self._led_until = float("inf")
        return None

    def _attend(self, turn: Turn[_Job]) -> list[Outcome]:
        job = turn.job
        if job.robots_of is None:
            robots = self._robots_for(turn)
            if robots is None:
                return []
            rule = self._forbids(robots, job.url)
            if rule is not None:
                with self._changed:
                    self._schedule.skip(turn, time.time())
                return self._end(job, rule, robots.opt_out or robots.why)
        addresses = self._lookup.addresses(job.origin)
        with self._changed:
            if not self._schedule.claim(turn, addresses, time.time()):
                return []
        answer = self._ask(job)
        robots = self._read_robots(job, answer)
        with self._changed:
            given_up = self._release(turn, answer, time.time())
        verdict = self._judge(answer) if _is_page(answer, job) else None
        with self._changed:
            found = self._settle(job, answer, robots or verdict)
            for other in given_up:
                found += self._end(
                    other, "fetch.host", f"{self._terms.politeness.failures} failures in a row"
                )
        return found

    def _robots_for(self, turn: Turn[_Job]) -> Robots | None:
        """Return the robots.txt for a job; null if the job must wait until it is fetched."""
        job = turn.job
        with self._changed:
            robots = self._robots.get(job.origin)
            if robots is None:
                waiting = self._unanswered.setdefault(job.origin, [])
                waiting.append(job)
                if len(waiting) == 1:
                    self._ask_robots(job.origin, turn)
                self._schedule.skip(turn, time.time())
        return robots

    def _forbids(self, robots: Robots, url: str) -> str | None:
        """Return the rule by which a robots.txt keeps us from a URL; null if it does not."""
        if not robots.reachable:
            return robots.why if robots.why in PASSING else "fetch.robots_unreachable"
        if not robots.allows(url):
            return "fetch.robots"
        return "fetch.optout" if robots.opt_out and self._terms.opt_outs else None

    def _ask_robots(self, origin: Origin, turn: Turn[_Job]) -> None:
        job = _Job(f"{origin}/robots.txt", origin, robots_of=origin)
        self._schedule.add(turn.host.domain, job, first=True)

    def _ask(self, job: _Job) -> Answer:
        try:
            return self._transport.get(job.url, {**self._terms.headers, **_conditions(job)})
        except (Refused, Failed) as error:
            return error

    def _read_robots(self, job: _Job, answer: Answer) -> Robots | None:
        """Read a robots.txt, and note what it asks before its own pause is reckoned."""
        if job.robots_of is None or not isinstance(answer, Exchange) or answer.redirect is not None:
            return None
        robots = Robots.read(answer)
        if robots.delay is not None:
            with self._changed:
                self._schedule.ask(domain_of(job.robots_of), robots.delay)
        return robots

    def _release(self, turn: Turn[_Job], answer: Answer, now: float) -> list[_Job]:
        if isinstance(answer, Refused):
            self._schedule.skip(turn, now)
            return []
        if isinstance(answer, Failed):
            return self._schedule.release(turn, now, failed=True)
        return self._schedule.release(
            turn,
            now,
            failed=_is_passing(answer),
            throttled=answer.status in _THROTTLED,
            wait=retry_after(answer.headers, now) if answer.status >= 400 else None,
        )

    def _settle(self, job: _Job, answer: Answer, read: Robots | Verdict | None) -> list[Outcome]:
        """Say what an answer means for its job: it goes on elsewhere, is tried again, or has ended."""
        if isinstance(answer, Refused):
            return self._end(job, answer.rule, answer.what)
        if isinstance(answer, Failed):
            return [] if self._again(job) else self._end(job, answer.rule, answer.what)
        if _is_passing(answer) and self._again(job):
            return []
        job.hops.append(answer)
        if answer.redirect is not None:
            return self._follow(job, answer.redirect)
        if isinstance(read, Robots):
            return self._answered(job, read)
        if answer.truncated in _CUT_OFF:
            return self._end(job, _CUT_OFF[answer.truncated], f"after {len(answer.body)} bytes")
        unchanged = answer.status == 304 and bool(_conditions(job))
        if answer.status != 200 and not unchanged:
            return self._end(job, "fetch.status", answer.reason, answer.status)
        assert job.wanted is not None  # noqa: S101 - it is no robots.txt
        return [Outcome(job.wanted, tuple(job.hops), read)]

    def _again(self, job: _Job) -> bool:
        """Queue a job once more, later each time; false where it was often enough, or its host has ended."""
        if job.tries >= self._terms.retries:
            return False
        pause = 4 * max(self._terms.politeness.delay, 0.25) * 2.0**job.tries
        job.tries += 1
        return self._schedule.add(domain_of(job.origin), job, at=time.time() + pause)

    def _follow(self, job: _Job, url: str) -> list[Outcome]:
        target = _job(url)
        if isinstance(target, Refused):
            return self._end(job, target.rule, target.what)
        if len(job.hops) > REDIRECTS or target.url in {hop.url for hop in job.hops}:
            return self._end(job, "fetch.redirects", f"to {url}", len(job.hops), REDIRECTS)
        job.url, job.origin, job.tries = target.url, target.origin, 0
        if not self._schedule.add(domain_of(job.origin), job):
            return self._end(job, "fetch.host", "redirected to a host that has ended")
        self._changed.notify()
        return []

    def _end(
        self, job: _Job, rule: str, why: str, value: float | None = None, bound: float | None = None
    ) -> list[Outcome]:
        if job.robots_of is None:
            assert job.wanted is not None  # noqa: S101 - it is no robots.txt
            return [Outcome(job.wanted, tuple(job.hops), Verdict(rule, value, bound), why)]
        if rule == "fetch.host" or (rule not in PASSING and not job.hops):  # the host itself is the matter
            waiting = self._unanswered.pop(job.robots_of, [])
            return [outcome for other in waiting for outcome in self._end(other, rule, why)]
        endless = Robots(reachable=True, why="redirects")  # RFC 9309, 2.3.1.2: as if there were none
        return self._answered(job, endless if rule == "fetch.redirects" else Robots.unreachable(rule))

    def _answered(self, job: _Job, robots: Robots) -> list[Outcome]:
        """Let those go on that waited for a robots.txt."""
        origin = job.robots_of
        assert origin is not None  # noqa: S101 - it is a robots.txt
        self._robots.put(origin, robots)
        domain = domain_of(origin)
        found: list[Outcome] = []
        for other in reversed(self._unanswered.pop(origin, [])):
            if not robots.reachable:
                found += self._end(other, self._forbids(robots, other.url) or "", robots.why)
            elif not self._schedule.add(domain, other, first=True):
                found += self._end(other, "fetch.host", "it has ended")
        self._changed.notify()
        return found


def _job(url: str) -> _Job | Refused:
    try:
        origin, target = split(url)
    except BadScheme as error:
        return Refused("fetch.scheme", str(error))
    except BadUrl as error:
        return Refused("fetch.url", str(error))
    return _Job(f"{origin}{target}", origin)


def _conditions(job: _Job) -> Mapping[str, str]:
    """Ask only for what has changed, where an earlier answer of this very URL is known."""
    validators = job.wanted.validators if job.wanted is not None else None
    if validators is None or validators.url != job.url:
        return {}
    named = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {name: value for name, value in named.items() if value}


def _is_page(answer: Answer, job: _Job) -> TypeGuard[Exchange]:
    if not isinstance(answer, Exchange) or job.robots_of is not None:
        return False
    return answer.status == 200 and answer.truncated not in _CUT_OFF


def _is_passing(answer: Exchange) -> bool:
    return answer.status == 429 or answer.status >= 500 or answer.truncated in _CUT_OFF
