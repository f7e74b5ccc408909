"""One request under way: what it may cost, how it can end, and what is known of it so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpuskit.crawl.addresses import Origin

if TYPE_CHECKING:
    from corpuskit.crawl.answer import Answer

__all__ = ["Failed", "Hop", "Limits", "Refused", "Resolver"]

Resolver = Callable[[str, int], Sequence[tuple[str, int]]]
"""(host, port) to socket addresses (ip, port); raises OSError. It is asked for names only."""


@dataclass(frozen=True)
class Limits:
    """What one request may cost, and whom it may reach."""

    seconds: float = 30.0
    """From the look-up of the name to the last byte of the body."""
    connect: float = 10.0
    """To resolve, dial and shake hands, all within `seconds`."""
    bytes: int = 10 << 20
    """Of the answer on the wire, head and framing included."""
    ports: tuple[int, ...] = (80, 443)
    allow: tuple[str, ...] = ()
    """Addresses, in their normal form, that may be dialled though they are not public."""


class _NoAnswer(Exception):
    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule = rule
        self.what = what

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


class Refused(_NoAnswer):
    """A request that must not be made, and not be tried again.

    Rules: `fetch.scheme`, `fetch.port`, `fetch.address`, `fetch.url`.
    """


class Failed(_NoAnswer):
    """A request without an answer, which may succeed later.

    Rules: `fetch.dns`, `fetch.connect`, `fetch.tls`, `fetch.timeout`, `fetch.disconnect`, `fetch.protocol`.
    """


class Hop:
    """One request under way in this thread: its limits, and what the connection learns of it.

    urllib3 makes connections and answers itself, and has no place to hand them a deadline; so they
    ask for the hop of their thread.
    """

    _of_thread = threading.local()

    def __init__(self, origin: Origin, target: str, limits: Limits, resolver: Resolver) -> None:
        self.origin = origin
        self.target = target
        self.limits = limits
        self.resolver = resolver
        start = time.monotonic()
        self.deadline = start + limits.seconds
        self.connect_by = start + min(limits.connect, limits.seconds)
        self.fresh = False  # whether the connection was dialled for this request
        self.ip = ""
        self.request = b""
        self.answer: Answer | None = None

    def __enter__(self) -> Hop:
        self._of_thread.hop = self
        return self

    def __exit__(self, *_: object) -> None:
        self._of_thread.hop = None

    @classmethod
    def under_way(cls) -> Hop:
        """Return the hop of this thread."""
        hop: Hop = cls._of_thread.hop
        return hop

    def left(self) -> float:
        """Return the seconds left, at least a millisecond: 0 would mean not to wait, or for ever."""
        return max(self.deadline - time.monotonic(), 0.001)
