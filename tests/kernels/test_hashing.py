"""Hashes against xxhash and slow twins."""

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels import hashing, utf8

MASK = 2**64 - 1
SEEDS = st.integers(0, MASK)


def rotate(x, n):
    return (x << n | x >> (64 - n)) & MASK


def word_hash_twin(word: bytes) -> int:
    p1, p2, p3, p4 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63
    value = 0
    for i in range(0, len(word), 8):
        eight = int.from_bytes(word[i : i + 8].ljust(8, b"\0"), "little")
        lane = rotate(eight * p2 & MASK, 31) * p1 & MASK
        value = (rotate(value ^ lane, 27) * p1 + p4) & MASK
    value = (value + len(word)) & MASK
    value = (value ^ value >> 33) * p2 & MASK
    value = (value ^ value >> 29) * p3 & MASK
    return value ^ value >> 32


@given(st.lists(st.text(max_size=100)), SEEDS)
def test_hash_strings_is_xxh64(texts, seed):
    hashes = hashing.hash_strings(*utf8.buffers(pa.array(texts, pa.string())), seed)
    assert hashes.tolist() == [xxhash.xxh64_intdigest(text.encode(), seed) for text in texts]


@pytest.mark.parametrize("size", [*range(70), 1000])
def test_every_size(size):
    data = np.arange(size, dtype=np.uint8)
    (got,) = hashing.hash_strings(data, np.array([0, size]), 7)
    assert got == xxhash.xxh64_intdigest(data.tobytes(), 7)


@given(st.binary(max_size=60), st.data())
def test_hash_spans(data, draw):
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    (got,) = hashing.hash_spans(np.frombuffer(data, np.uint8), np.array([start]), np.array([end]))
    assert got == xxhash.xxh64_intdigest(data[start:end])


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_has_64_bits(seed):
    with pytest.raises(OverflowError):
        hashing.hash_strings(np.zeros(0, np.uint8), np.zeros(1, np.int64), seed)


@given(st.binary(max_size=40), st.binary(max_size=9))
def test_word_hash(word, after):
    assert hashing.word_hash(np.frombuffer(word + after, np.uint8), 0, len(word)) == word_hash_twin(word)


def mix64_twin(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


@given(SEEDS)
def test_mix64(value):
    assert hashing.mix64(np.uint64(value)) == mix64_twin(value)


def test_mix64_turns_half_of_the_bits():
    flips = [(mix64_twin(i) ^ int(hashing.mix64(np.uint64(i ^ 1)))).bit_count() for i in range(0, 4000, 2)]
    assert 31 < sum(flips) / len(flips) < 33
