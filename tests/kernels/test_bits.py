"""Eight bytes at a time against bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels import bits

EIGHT = st.binary(min_size=8, max_size=8)
ASCII = st.lists(st.integers(0, 127), min_size=8, max_size=8).map(bytes)


def number(eight):
    return np.uint64(int.from_bytes(eight, "little"))


def true_bytes(mask):
    return [bool(int(mask) >> (8 * i + 7) & 1) for i in range(8)]


@given(st.binary(max_size=20), st.data())
def test_chunk_has_zeros_after_the_end(data, draw):
    at = draw.draw(st.integers(0, len(data)))
    assert bits.chunk(np.frombuffer(data, np.uint8), at) == number(data[at : at + 8].ljust(8, b"\0"))


@given(ASCII, st.integers(0, 127), st.integers(0, 127))
def test_within(eight, low, high):
    low, high = sorted((low, high))
    assert true_bytes(bits.within(number(eight), low, high)) == [low <= byte <= high for byte in eight]


@given(EIGHT, st.integers(0, 127))
def test_equal_finds_the_first(eight, byte):
    found = true_bytes(bits.equal(number(eight), byte))
    assert (found.index(True) if True in found else -1) == eight.find(bytes([byte]))


@given(EIGHT, st.integers(0, 8))
def test_keep(eight, count):
    assert bits.keep(number(eight), count) == number(eight[:count].ljust(8, b"\0"))


@given(st.binary(max_size=40), st.integers(0, 127), st.data())
def test_find(data, byte, draw):
    end = draw.draw(st.integers(0, len(data)))
    at = draw.draw(st.integers(0, end))
    place = data.find(bytes([byte]), at, end)
    assert bits.find(np.frombuffer(data, np.uint8), at, end, byte) == (end if place < 0 else place)
