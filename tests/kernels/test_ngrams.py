"""N-gram hashes against the formula of their docstring."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels.ngrams import ngram_hashes, window_minima

MASK = 2**64 - 1
TEXTS = st.lists(st.lists(st.integers(0, 5) | st.integers(0, MASK), max_size=12), max_size=5)


def twin(run):
    value = 0
    for word in run:
        value = (value * 0x9E6C63D0876A9A47 + word) & MASK
    value = (value + len(run) * 0x9E3779B97F4A7C15) & MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


@given(TEXTS, st.integers(1, 13), st.booleans())
def test_ngrams_equal_their_twin(texts, n, whole):
    words = np.array([word for text in texts for word in text], np.uint64)
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    hashes, bounds = ngram_hashes(words, offsets, n, whole=whole)
    expected = []
    for text in texts:
        runs = [text[i : i + n] for i in range(len(text) - n + 1)]
        expected.append([twin(run) for run in runs or ([text] if whole and text else [])])
    assert np.diff(bounds).tolist() == [len(runs) for runs in expected]
    assert hashes.tolist() == [value for runs in expected for value in runs]


def test_order_matters():
    hashes, _ = ngram_hashes(np.array([1, 2, 1], np.uint64), np.array([0, 3]), 2)
    assert hashes[0] != hashes[1]


def test_a_run_has_a_word():
    with pytest.raises(ValueError, match="at least one word"):
        ngram_hashes(np.zeros(1, np.uint64), np.array([0, 1]), 0)


@given(st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=4), st.integers(1, 7))
def test_minima_equal_their_twin(texts, size):
    hashes = np.array([value for text in texts for value in text], np.uint64)
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    minima, bounds = window_minima(hashes, offsets, size)
    expected = [[min(text[at : at + size]) for at in range(len(text) - size + 1)] for text in texts]
    assert np.diff(bounds).tolist() == [len(found) for found in expected]
    assert minima.tolist() == [least for found in expected for least in found]
