"""Fetches many small pieces of large files with few requests, some ahead of where they are used."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from corpuskit.crawl.store import Missing, Store

__all__ = ["Piece", "Span", "fetched", "merged"]


@dataclass(frozen=True)
class Piece:
    """Bytes of a file that are wanted, and the number of the row that wants them."""

    path: str
    start: int
    length: int
    row: int

    @property
    def end(self) -> int:
        """The offset of the first byte after it."""
        return self.start + self.length


@dataclass(frozen=True)
class Span:
    """Bytes to ask for at once, and the pieces that lie in them, in order."""

    path: str
    start: int
    length: int
    pieces: tuple[Piece, ...]


def merged(pieces: Iterable[Piece], gap: int, limit: int) -> Iterator[Span]:
    """Join pieces, sorted by file and start, that lie at most `gap` bytes apart, up to `limit` bytes a span.

    Pieces may overlap. One longer than `limit` has a span of its own.

    >>> spans = merged([Piece("a", 0, 10, 0), Piece("a", 15, 5, 1), Piece("a", 99, 1, 2)], 5, 100)
    >>> [(span.start, span.length, len(span.pieces)) for span in spans]
    [(0, 20, 2), (99, 1, 1)]
    """
    held: list[Piece] = []
    end = 0
    for piece in pieces:
        joins = held and piece.path == held[0].path and piece.start <= end + gap
        if held and not (joins and max(end, piece.end) - held[0].start <= limit):
            yield _span(held, end)
            held, end = [], 0
        held.append(piece)
        end = max(end, piece.end)
    if held:
        yield _span(held, end)


def _span(pieces: Sequence[Piece], end: int) -> Span:
    return Span(pieces[0].path, pieces[0].start, end - pieces[0].start, tuple(pieces))


def fetched(
    store: Store, spans: Iterable[Span], ahead: int
) -> Generator[tuple[Span, bytes | None], None, None]:
    """Read spans from a store in order, up to `ahead` of them before they are used; null for a missing file.

    A span comes with fewer bytes where its file ends before it does.
    """
    with ThreadPoolExecutor(ahead, thread_name_prefix="range") as pool, contextlib.ExitStack() as stack:
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        rest = iter(spans)
        waiting: deque[tuple[Span, Future[bytes | None]]] = deque()
        while True:
            for span in islice(rest, ahead - len(waiting)):
                waiting.append((span, pool.submit(_read, store, span)))
            if not waiting:
                return
            span, future = waiting.popleft()
            yield span, future.result()


def _read(store: Store, span: Span) -> bytes | None:
    try:
        return store.read(span.path, span.start, span.length)
    except Missing:
        return None
