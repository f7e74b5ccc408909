"""Spans equal what Python's own slices and strips give."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels import spans
from corpuskit.kernels.utf8 import buffers

CHARS = st.sampled_from(list("aé€🙂 \t\n\u00a0\u3000\u2028\x1c\x00"))
TEXT = st.text(CHARS, max_size=12)


@st.composite
def chosen(draw):
    """Texts, and for each the code points where a span of it begins and ends."""
    texts = draw(st.lists(TEXT, min_size=1, max_size=5))
    places = [sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2))) for text in texts]
    data, offsets = buffers(pa.array(texts, pa.large_string()))
    starts, ends = (
        offsets[:-1]
        + np.array([len(text[: at[side]].encode()) for text, at in zip(texts, places, strict=True)], np.int64)
        for side in (0, 1)
    )
    return texts, places, data, offsets, starts, ends


def read(data, starts, ends):
    return [bytes(data[start:end]).decode() for start, end in zip(starts, ends, strict=True)]


@given(chosen())
def test_spans_are_gathered_counted_and_trimmed(case):
    texts, places, data, _, starts, ends = case
    expected = [text[start:end] for text, (start, end) in zip(texts, places, strict=True)]
    copied, edges = spans.gathered(data, starts, ends)
    assert read(copied, edges[:-1], edges[1:]) == expected
    assert spans.characters(data, starts, ends).tolist() == [len(text) for text in expected]
    assert read(data, *spans.trimmed(data, starts, ends)) == [text.strip() for text in expected]


@given(chosen(), st.integers(0, 5))
def test_spans_are_widened_within_their_text(case, count):
    texts, places, data, offsets, starts, ends = case
    wide = spans.widened(data, (starts, ends), (offsets[:-1], offsets[1:]), count)
    assert read(data, *wide) == [
        text[max(0, start - count) : end + count] for text, (start, end) in zip(texts, places, strict=True)
    ]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(1, 6)), max_size=12))
def test_united_spans_cover_the_same_places(found):
    found.sort()
    rows, starts, sizes = (np.array([one[at] for one in found], np.int64) for at in range(3))
    heads, stops = spans.united(rows, starts, starts + sizes)
    groups = list(zip(rows[heads].tolist(), starts[heads].tolist(), stops.tolist(), strict=True))
    covered = {(row, at) for row, start, size in found for at in range(start, start + size)}
    assert {(row, at) for row, start, stop in groups for at in range(start, stop)} == covered
    assert all(row != other or stop < start for (row, _, stop), (other, start, _) in zip(groups, groups[1:]))  # noqa: B905


@given(chosen(), chosen())
def test_same_spans_have_the_same_bytes(one, other):
    count = min(len(one[0]), len(other[0]))
    mine, theirs = (case[4][:count] for case in (one, other)), (case[5][:count] for case in (one, other))
    (first, second), (end, last) = mine, theirs
    same = spans.same_spans(one[2], (first, end), other[2], (second, last))
    assert same.tolist() == [
        a == b for a, b in zip(read(one[2], first, end), read(other[2], second, last), strict=True)
    ]
