"""Few requests for many pieces, and every piece whole."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.ranges import Piece, Span, fetched, merged
from corpuskit.crawl.store import Missing
from corpuskit.errors import TryLater

PIECES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 200), st.integers(1, 30)), max_size=30)


@given(PIECES, st.integers(0, 20), st.integers(1, 100))
def test_spans_hold_every_piece_once_and_keep_their_bounds(places, gap, limit):
    pieces = [Piece(*place, row) for row, place in enumerate(sorted(places))]
    spans = list(merged(pieces, gap, limit))
    assert [piece for span in spans for piece in span.pieces] == pieces
    for span in spans:
        end = span.start + span.length
        assert {piece.path for piece in span.pieces} == {span.path}
        assert min(piece.start for piece in span.pieces) == span.start
        assert max(piece.end for piece in span.pieces) == end
        assert span.length <= limit or len(span.pieces) == 1
        reached = span.start
        for piece in span.pieces:
            assert piece.start <= reached + gap
            reached = max(reached, piece.end)
    for one, other in zip(spans, spans[1:], strict=False):  # none could have been joined
        end = one.start + one.length
        first = other.pieces[0]
        apart = one.path != other.path or first.start > end + gap
        assert apart or max(end, first.end) - one.start > limit


@pytest.mark.parametrize(("gap", "limit", "count"), [(5, 30, 1), (4, 30, 2), (5, 25, 1), (5, 24, 2)])
def test_the_bounds_of_gap_and_size(gap, limit, count):
    assert len(list(merged([Piece("a", 0, 10, 0), Piece("a", 15, 10, 1)], gap, limit))) == count


class Slow:
    base = ""

    def __init__(self) -> None:
        self.at_once = self.peak = 0
        self.lock = threading.Lock()

    def read(self, path: str, start: int, length: int) -> bytes:
        with self.lock:
            self.at_once += 1
            self.peak = max(self.peak, self.at_once)
        time.sleep(0.02 if start % 2 else 0.001)
        with self.lock:
            self.at_once -= 1
        if path == "gone":
            raise Missing(path)
        if path == "later":
            raise TryLater("x")
        return bytes([start]) * length

    def whole(self, path: str, limit: int) -> bytes:
        raise AssertionError

    def size(self, path: str) -> int | None:
        raise AssertionError


def test_spans_come_in_order_and_a_few_are_read_ahead():
    store = Slow()
    spans = [Span("gone" if number == 3 else "a", number, 2, ()) for number in range(12)]
    found = list(fetched(store, spans, 4))
    assert [span for span, _ in found] == spans
    assert [data for _, data in found] == [None if n == 3 else bytes([n, n]) for n in range(12)]
    assert 2 <= store.peak <= 4


def test_a_service_that_gives_up_ends_it():
    with pytest.raises(TryLater):
        list(fetched(Slow(), [Span("later", 0, 1, ())] * 9, 2))
