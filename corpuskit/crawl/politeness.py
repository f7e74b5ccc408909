"""Who is asked next: one request at a time per registrable domain and per address, and a pause after each.

Pure bookkeeping: the time is an argument, nothing here waits, and one thread at a time may call it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from corpuskit.crawl.slots import Blocked, Slots

__all__ = ["Politeness", "Schedule", "Turn"]

_CALM = 10
"""After so many answers in a row, a delay that was doubled is halved again."""
_LEAST_SECONDS = 0.5
"""What is doubled where there is no delay."""
_SHARED_SECONDS = 0.05
"""How long to wait for a slot that another name of ours happens to share."""

Job = TypeVar("Job")


@dataclass(frozen=True)
class Politeness:
    """How a host is treated.

    delay: seconds from the end of a request to the next; a host's Crawl-delay counts where it is larger.
    longest: the most seconds that a host can make us wait by Retry-After, or by throttling us.
    failures: so many requests without a proper answer, one after the other, end a host for this run.
    """

    delay: float = 5.0
    longest: float = 3600.0
    failures: int = 10


@dataclass
class _Host(Generic[Job]):
    domain: str
    jobs: deque[Job] = field(default_factory=deque)
    later: list[tuple[float, int, Job]] = field(default_factory=list)
    ready: float = 0.0
    entry: int = -1
    """Its one valid place in a heap; -1 while it is in none."""
    fresh: bool = False
    out: bool = False
    line: str | None = None
    """The address it waits for, in its line."""
    called: str | None = None
    """The address whose turn it has been given."""
    asked: float = 0.0
    doubled: int = 0
    failed: int = 0
    answered: int = 0
    ended: bool = False

    @property
    def left(self) -> int:
        return len(self.jobs) + len(self.later)


@dataclass
class Turn(Generic[Job]):
    """A job that may go out now, if its addresses are free."""

    job: Job
    host: _Host[Job]
    addresses: tuple[str, ...] = ()
    called: str | None = None
    claimed: bool = False


class Schedule(Generic[Job]):
    """Jobs by host. Take a `next`, then either `skip` it, or `claim` it, make the request and `release` it.

    Hosts already begun come first, so that few are open at a time; of the others, the largest, because
    it is what the crawl will wait for in the end.
    """

    def __init__(self, politeness: Politeness, slots: Slots) -> None:
        self._politeness, self._slots = politeness, slots
        self._hosts: dict[str, _Host[Job]] = {}
        self._open: list[tuple[float, int, _Host[Job]]] = []
        self._fresh: list[tuple[int, int, _Host[Job]]] = []
        self._lines: dict[str, deque[_Host[Job]]] = {}
        self._called: dict[str, _Host[Job]] = {}
        self._busy: set[str] = set()
        self._numbers = itertools.count()

    def begin(self, jobs: dict[str, list[Job]]) -> None:
        """Take the jobs a crawl begins with, by domain."""
        for domain, of_domain in jobs.items():
            host = self._hosts[domain] = _Host(domain, deque(of_domain))
            host.entry, host.fresh = next(self._numbers), True
            self._fresh.append((-len(of_domain), host.entry, host))
        heapq.heapify(self._fresh)

    def add(self, domain: str, job: Job, *, at: float = 0.0, first: bool = False) -> bool:
        """Queue a job, not before `at`; false where its host has ended."""
        host = self._hosts.get(domain)
        if host is None:
            host = self._hosts[domain] = _Host(domain)
        if host.ended:
            return False
        if at:
            heapq.heappush(host.later, (at, next(self._numbers), job))
        elif first:
            host.jobs.appendleft(job)
        else:
            host.jobs.append(job)
        if not (host.out or host.line or host.fresh):
            self._open_at(host, host.ready)
        return True

    def _open_at(self, host: _Host[Job], when: float) -> None:
        """Put a host into the heap, once, for when it has a job that may go out."""
        if not host.jobs and host.later:
            when = max(when, host.later[0][0])
        host.entry = next(self._numbers)
        heapq.heappush(self._open, (when, host.entry, host))

    def next(self, now: float) -> Turn[Job] | None:
        """Choose the job to do now; null if none may go out before `due`."""
        while self._open and self._open[0][0] <= now:
            _, entry, host = heapq.heappop(self._open)
            if entry == host.entry:
                return self._turn(host, now)
        while self._fresh:
            _, entry, host = heapq.heappop(self._fresh)
            if entry == host.entry:
                return self._turn(host, now)
        return None

    def _turn(self, host: _Host[Job], now: float) -> Turn[Job]:
        while host.later and host.later[0][0] <= now:
            host.jobs.append(heapq.heappop(host.later)[2])
        host.entry, host.fresh, host.out = -1, False, True
        called, host.called = host.called, None
        return Turn(host.jobs.popleft(), host, called=called)

    def due(self) -> float | None:
        """Say when there may be a next job; null if none waits for a time."""
        while self._open and self._open[0][1] != self._open[0][2].entry:
            heapq.heappop(self._open)
        return self._open[0][0] if self._open else None

    def skip(self, turn: Turn[Job], now: float) -> None:
        """End a turn without a request, claimed or not: the host's next job may go out at once."""
        self._pass_on(turn, now)
        if turn.claimed:
            self._give_back(turn, now, now)
        self._back(turn.host, turn.host.ready)

    def claim(self, turn: Turn[Job], addresses: Sequence[str], now: float) -> bool:
        """Take the host and all its addresses for the request; else the job waits for its turn again."""
        turn.addresses = tuple(dict.fromkeys(addresses))
        blocked = self._behind(turn) or self._slots.take((turn.host.domain, *turn.addresses), now)
        if blocked is None:
            turn.claimed = True
            self._busy.update(turn.addresses)
            if turn.called in turn.addresses:
                self._called.pop(turn.called)
                turn.called = None
            self._pass_on(turn, now)
            return True
        turn.host.jobs.appendleft(turn.job)
        if blocked.name in turn.addresses:
            self._line_up(turn, blocked, now)
        else:
            self._pass_on(turn, now)
            self._back(turn.host, now + _SHARED_SECONDS if blocked.until is None else blocked.until)
        return False

    def _line_up(self, turn: Turn[Job], blocked: Blocked, now: float) -> None:
        """Let a host wait for an address; one that was called keeps its place in front."""
        address, host, until = blocked.name, turn.host, blocked.until
        line = self._lines.setdefault(address, deque())
        host.out, host.line = False, address
        if turn.called == address:
            line.appendleft(host)
            self._called.pop(address)
            turn.called = None
        else:
            line.append(host)
            self._pass_on(turn, now)
        if address not in self._called and address not in self._busy:
            self._call(address, now + _SHARED_SECONDS if until is None else until)

    def _behind(self, turn: Turn[Job]) -> Blocked | None:
        """Name the address that others have waited for longer."""
        for address in turn.addresses:
            if address != turn.called and (address in self._called or self._lines.get(address)):
                return Blocked(address, None)
        return None

    def _pass_on(self, turn: Turn[Job], now: float) -> None:
        """Let the next in line have an address that this turn was called for and does not need."""
        if turn.called is not None:
            self._called.pop(turn.called, None)
            self._call(turn.called, now)
            turn.called = None

    def _call(self, address: str, when: float) -> None:
        """Give the first in line for an address its turn."""
        line = self._lines.get(address)
        if not line:
            self._lines.pop(address, None)
            return
        host = line.popleft()
        host.line, host.called = None, address
        self._called[address] = host
        self._open_at(host, max(when, host.ready))

    def _back(self, host: _Host[Job], when: float) -> None:
        host.out = False
        if host.left:
            self._open_at(host, when)
        elif not (host.ended or host.failed or host.doubled or host.asked):
            del self._hosts[host.domain]  # its slot remembers the pause

    def release(
        self,
        turn: Turn[Job],
        now: float,
        *,
        failed: bool = False,
        throttled: bool = False,
        wait: float | None = None,
    ) -> list[Job]:
        """End a request; `wait` is what Retry-After said. Returns the jobs given up if that ends the host."""
        host = turn.host
        self._judge(host, failed, throttled)
        pause = max(self._delay(host), min(wait or 0.0, self._politeness.longest))
        host.ready = now + pause
        given_up: list[Job] = []
        if host.ended:
            given_up = [*host.jobs, *(job for _, _, job in sorted(host.later))]
            host.jobs.clear()
            host.later.clear()
        self._give_back(turn, host.ready, now + self._politeness.delay)
        self._back(host, host.ready)
        return given_up

    def _give_back(self, turn: Turn[Job], ready: float, others: float) -> None:
        """Free a host and the addresses of a request, each from a time on, and call who waits for them."""
        self._slots.give([(turn.host.domain, ready), *((address, others) for address in turn.addresses)])
        self._busy.difference_update(turn.addresses)
        for address in turn.addresses:
            if address not in self._called:
                self._call(address, others)

    def _judge(self, host: _Host[Job], failed: bool, throttled: bool) -> None:
        if throttled:
            host.doubled += 1
        if not failed:
            host.failed, host.answered = 0, host.answered + 1
            if host.doubled and host.answered >= _CALM:
                host.doubled, host.answered = host.doubled - 1, 0
            return
        host.answered = 0
        host.failed += 1
        host.ended = host.failed >= self._politeness.failures

    def ask(self, domain: str, delay: float) -> None:
        """Note the Crawl-delay a host asks for."""
        host = self._hosts.setdefault(domain, _Host(domain))
        host.asked = max(host.asked, delay)

    def _delay(self, host: _Host[Job]) -> float:
        base = max(self._politeness.delay, host.asked)
        if not host.doubled:
            return base
        return max(base, min((base or _LEAST_SECONDS) * 2.0**host.doubled, self._politeness.longest))
