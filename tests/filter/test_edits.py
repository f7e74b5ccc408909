"""Edits against a slow twin: a list of (byte, position) pairs per text, cut with Python slices."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.filter.edits import Cuts, Edits


def as_rows(cuts: Cuts) -> list[tuple[int, int, int, int]]:
    return list(
        zip(*(values.tolist() for values in (cuts.rows, cuts.starts, cuts.ends, cuts.which)), strict=True)
    )


def cut(edits: Edits, *spans: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    starts, ends = np.array(spans, np.int64).reshape(-1, 2).T
    return as_rows(edits.cut(np.ascontiguousarray(starts), np.ascontiguousarray(ends)))


def test_cuts_one_after_another_are_told_in_bytes_of_what_came_in() -> None:
    edits = Edits(pa.array(["0123456789"]))
    assert cut(edits, (2, 4)) == [(0, 2, 4, 0)]
    assert cut(edits, (2, 3)) == [(0, 4, 5, 0)]  # just behind the first
    assert cut(edits, (1, 2)) == [(0, 1, 2, 0)]  # just before both
    assert edits.text.to_pylist() == ["056789"]
    assert cut(edits, (0, 3)) == [(0, 0, 1, 0), (0, 5, 7, 0)]  # across all three, which have grown into one
    assert edits.text.to_pylist() == ["789"]


def test_a_cut_at_the_edge_of_a_text_leaves_its_neighbour_alone() -> None:
    edits = Edits(pa.array(["ab", "", None, "cd"]))
    assert cut(edits, (1, 2), (2, 3)) == [(0, 1, 2, 0), (3, 0, 1, 1)]
    assert edits.text.to_pylist() == ["a", "", "", "d"]
    assert cut(edits, (0, 1), (1, 2)) == [(0, 0, 1, 0), (3, 1, 2, 1)]
    assert edits.text.to_pylist() == ["", "", "", ""]


@pytest.mark.parametrize("texts", [[], ["a"]])
def test_nothing_to_cut(texts: list[str]) -> None:
    edits = Edits(pa.array(texts, pa.large_string()))
    assert cut(edits) == []
    assert edits.text.to_pylist() == texts


def test_a_slice_of_an_array_begins_at_its_own_start() -> None:
    edits = Edits(pa.array(["xxxx", "abc", "yyyy"], pa.large_string()).slice(1, 1))
    assert cut(edits, (1, 2)) == [(0, 1, 2, 0)]
    assert edits.text.to_pylist() == ["ac"]


@st.composite
def spans_of(draw: st.DrawFn, lengths: list[int]) -> list[tuple[int, int, int]]:
    """Draw (text, start, end) of spans in order, apart, not empty."""
    found = []
    for row, length in enumerate(lengths):
        edges = sorted(draw(st.sets(st.integers(0, length), max_size=6))) if length else []
        found += [(row, a, b) for a, b in zip(edges, edges[1:], strict=False) if draw(st.booleans())]
    return found


@given(st.data())
def test_equals_the_slow_twin(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text("abcd", max_size=12), max_size=4))
    edits = Edits(pa.array(texts, pa.large_string()))
    left = [list(enumerate(text)) for text in texts]
    for _ in range(data.draw(st.integers(1, 4))):
        spans = data.draw(spans_of([len(text) for text in left]))
        offsets = np.cumsum([0] + [len(text) for text in left])
        expected = [
            (row, position, number)
            for number, (row, start, end) in enumerate(spans)
            for position, _ in left[row][start:end]
        ]
        for row, start, end in reversed(spans):
            del left[row][start:end]
        found = cut(
            edits, *[(int(offsets[row]) + start, int(offsets[row]) + end) for row, start, end in spans]
        )
        assert [(row, at, which) for row, start, end, which in found for at in range(start, end)] == expected
        assert all(start < end for _, start, end, _ in found)
        assert edits.text.to_pylist() == ["".join(letter for _, letter in text) for text in left]
        assert edits.offsets.tolist() == np.cumsum([0] + [len(text) for text in left]).tolist()
