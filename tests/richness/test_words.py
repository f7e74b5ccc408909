"""Every measure of words against its definition, written slowly."""

from __future__ import annotations

import gzip
import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels.utf8 import strings
from corpuskit.kernels.words import normalise
from corpuskit.richness.sampling import Passages
from corpuskit.richness.words import (
    compression_ratio,
    distinct,
    entropy,
    heaps_exponent,
    measure_words,
    mtld,
    zipf_slope,
)

WORDS = st.lists(st.integers(0, 40), max_size=400)
TEXTS = st.lists(
    st.text(st.sampled_from("ab .é中文\n,") | st.characters(codec="utf-8")), min_size=1, max_size=8
)


def hashes(words):
    return np.array(words, np.uint64)


def mtld_twin(words):
    lengths = []
    for order in (words, words[::-1]):
        factors, stretch = 0.0, []
        for word in order:
            stretch.append(word)
            if len(set(stretch)) / len(stretch) < 0.72:
                factors += 1
                stretch = []
        if stretch:
            factors += (1 - len(set(stretch)) / len(stretch)) / (1 - 0.72)
        lengths.append(len(words) / factors if factors else None)
    return None if None in lengths else sum(lengths) / 2


def entropy_twin(counts):
    total = sum(counts)
    return -sum(count / total * math.log2(count / total) for count in counts) if total else None


def heaps_twin(words):
    half = len(words) // 2
    if not half:
        return None
    return math.log(len(set(words)) / len(set(words[:half]))) / math.log(len(words) / half)


def zipf_twin(counts):
    counts = sorted(counts, reverse=True)
    if len(counts) < 1000:
        return None
    points = [(math.log(rank), math.log(counts[rank - 1]), 1 / rank) for rank in range(10, 1001)]
    weight = sum(w for _, _, w in points)
    mean_x, mean_y = (sum(point[axis] * point[2] for point in points) / weight for axis in (0, 1))
    slope = sum(w * (x - mean_x) * (y - mean_y) for x, y, w in points)
    return slope / sum(w * (x - mean_x) ** 2 for x, _, w in points)


def same(found, expected):
    return found == expected if expected is None else found == pytest.approx(expected, abs=1e-9)


@given(WORDS)
def test_mtld_and_heaps_equal_their_twins(words):
    assert same(mtld(hashes(words)), mtld_twin(words))
    assert same(heaps_exponent(hashes(words)), heaps_twin(words))


@given(TEXTS, st.integers(1, 60))
def test_all_measures_of_texts_equal_their_twins(texts, count):
    drawn = Passages(count)
    data = [text.encode() for text in texts]
    ends = np.cumsum([len(one) for one in data])
    drawn.add(
        np.arange(len(data), dtype=np.uint64),
        np.frombuffer(b"".join(data), np.uint8),
        ends - [len(one) for one in data],
        ends,
    )
    sample = drawn.sample()
    if sample is None:
        return
    passages, left = [], count
    for text in sample.texts:
        one = np.frombuffer(text, np.uint8)
        words = strings(*normalise(one, np.array([0, len(one)]))).to_pylist()[0].split()
        passages.append(words[:left])
        left -= len(passages[-1])
    words = [word for passage in passages for word in passage]
    found = measure_words(sample)
    for n in (1, 2, 4):
        grams = Counter(tuple(p[i : i + n]) for p in passages for i in range(len(p) - n + 1))
        assert same(found[f"distinct_{n}"], len(grams) / grams.total() if grams else None)
        assert n == 4 or same(found[f"entropy_{n}"], entropy_twin(grams.values()))
    assert len(words) == count
    assert same(found["mtld"], mtld_twin(words))
    assert same(found["heaps_exponent"], heaps_twin(words))
    assert found["zipf_slope"] is None


def test_zipf_equals_its_twin_and_needs_a_thousand_words():
    chance = random.Random(1)
    counts = [chance.randint(1, 10_000) for _ in range(1500)]
    assert zipf_slope(np.array(counts)) == pytest.approx(zipf_twin(counts))
    steep = [round(10**12 / rank**1.3) for rank in range(1, 1001)]
    assert zipf_slope(np.array(steep)) == pytest.approx(-1.3, abs=1e-3)
    assert zipf_slope(np.array(steep[:999])) is None


def test_what_is_undefined_is_null():
    nothing = np.empty(0, np.int64)
    assert distinct(nothing) is None and entropy(nothing) is None
    assert mtld(hashes([])) is None and heaps_exponent(hashes([1])) is None
    assert compression_ratio(b"") is None


def test_a_factor_of_mtld_is_full_below_the_ratio_and_not_at_it():
    at = [*range(18), *range(7)]  # 18 of 25 words are distinct: 0.72
    below = [*range(17), *range(7)]
    assert mtld_twin(at) == pytest.approx(25.0) and mtld(hashes(at)) == pytest.approx(25.0)
    assert mtld(hashes(below)) == pytest.approx(24.0)
    assert mtld(hashes([*below, 90, 91])) == pytest.approx(mtld_twin([*below, 90, 91]))


def test_compression_sees_copies_that_gzip_does_not():
    text = random.Random(2).randbytes(100_000)
    twice = text + text
    assert compression_ratio(twice) > 1.9
    assert len(twice) / len(gzip.compress(twice)) < 1.1
