"""Signals of variety against a twin over Python's Counter."""

import math
import re
from collections import Counter
from importlib import resources

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.filter import signals

NAMES = ["unique_word_ratio", "word_entropy", "stop_word_ratio"]
PIECES = st.sampled_from(["the", "The,", "don't", "cat", "CAT!", "été", "7", "-", "\n", "on"])
TEXT = st.lists(PIECES, max_size=40).map(" ".join)
LIST = (
    resources.files("corpuskit.filter").joinpath("tables", "stop_words.txt").read_text("utf-8").splitlines()
)


def compute(*texts):
    found = signals.compute(NAMES, pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())}))
    return list(zip(*(found[name].to_pylist() for name in NAMES), strict=True))


def twin(text):
    words = re.findall(r"[^\W_]+", text.lower())
    if not words:
        return None, None, None
    shares = [count / len(words) for count in Counter(words).values()]
    entropy = -sum(share * math.log(share) for share in shares)
    stops = sum(word in LIST for word in words) / len(words)
    return len(shares) / len(words), pytest.approx(entropy, abs=1e-12), stops


@given(st.lists(st.none() | TEXT, max_size=4))
def test_signals_equal_their_twin(texts):
    assert compute(*texts) == [twin(text or "") for text in texts]


def test_one_word_has_no_entropy_and_different_words_the_most():
    (_, one, _), (_, same, _), (_, four, _) = compute("word", "word " * 999, "a b c d")
    assert (one, same) == (0.0, 0.0)
    assert four == pytest.approx(math.log(4))


def test_apostrophes_divide_stop_words():
    assert compute("Can't!")[0][2] == 1.0  # can, t
