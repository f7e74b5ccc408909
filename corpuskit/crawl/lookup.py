"""Names looked up once: who is counted as asked is who is asked."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from corpuskit.crawl.addresses import Origin, literal
from corpuskit.crawl.transport import Resolver

__all__ = ["Lookup"]

Found = tuple[tuple[str, int], ...] | OSError | UnicodeError


class Lookup:
    """A resolver that remembers its answers, failures too, for a minute. Many threads may share one.

    A fetcher counts requests by address before they are made, so it and its transport must be told the same.
    What is not found within `patience` seconds counts as not there: the system's resolver takes no deadline.
    """

    def __init__(
        self,
        resolver: Resolver,
        seconds: float = 60.0,
        patience: float = 10.0,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver, self._seconds, self._patience = resolver, seconds, patience
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int], tuple[float, Found]] = OrderedDict()

    def __call__(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """Return the socket addresses of a host.

        Raises:
            OSError: The name does not resolve.
        """
        with self._lock:
            until, found = self._known.get((host, port), (0.0, ()))
        if until <= self._clock():
            found = self._ask(host, port)
            with self._lock:
                self._known[host, port] = self._clock() + self._seconds, found
                self._known.move_to_end((host, port))
                while len(self._known) > self._most:
                    self._known.popitem(last=False)
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found

    def _ask(self, host: str, port: int) -> Found:
        try:
            return tuple(self._resolver(host, port))
        except (OSError, UnicodeError) as error:
            return error

    def addresses(self, origin: Origin) -> tuple[str, ...]:
        """Return the addresses an origin may be reached at; none where its name does not resolve."""
        if literal(origin.host) is not None:
            return (origin.host,)
        with self._lock:
            until, found = self._known.get((origin.host, origin.port), (0.0, ()))
        if until <= self._clock():
            thread = threading.Thread(target=self._quietly, args=origin[1:], name="resolve", daemon=True)
            thread.start()
            thread.join(self._patience)
            with self._lock:
                if thread.is_alive():
                    late = OSError(f"{origin.host} was not resolved in {self._patience:g} s")
                    self._known[origin.host, origin.port] = self._clock() + self._seconds, late
                _, found = self._known[origin.host, origin.port]
        return () if isinstance(found, Exception) else tuple(ip for ip, _ in found)

    def _quietly(self, host: str, port: int) -> None:
        with contextlib.suppress(Exception):
            self(host, port)
