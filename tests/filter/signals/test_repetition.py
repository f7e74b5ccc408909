"""Repetition signals against a twin that marks characters one by one."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpuskit.filter import signals
from corpuskit.filter.signals.repetition import repeats

WORDS = st.lists(st.sampled_from(["a", "b", "ccc", "été"]), max_size=40).map(" ".join)
PERIODIC = st.tuples(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=14), st.integers(1, 4)).map(
    lambda pair: " ".join(pair[0] * pair[1])
)
LINES = st.lists(st.sampled_from(["one", "two words", " one ", "", " \t", "été\r"]), max_size=12).map(
    "\n".join
)
NGRAMS = [f"top_{n}gram_char_ratio" for n in (2, 3, 4)] + [
    f"duplicate_{n}gram_char_ratio" for n in range(5, 11)
]
DUPLICATES = [
    f"duplicate_{kind}_{what}" for kind in ("line", "paragraph") for what in ("ratio", "char_ratio")
]  # fmt: skip


def compute(names, *texts):
    columns = signals.compute(names, pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())}))
    return [
        dict(zip(names, row, strict=True))
        for row in zip(*(c.to_pylist() for c in columns.values()), strict=True)
    ]


def covered(words, starts, n):
    """Share of the characters of the words that stand in the n-grams that begin at `starts`."""
    inside = {i + k for i in starts for k in range(n)}
    return sum(len(words[i]) for i in inside) / sum(map(len, words))


def ngram_twin(text):
    words = text.split()
    if not words:
        return dict.fromkeys(NGRAMS)
    out = {}
    for n in range(2, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        if n <= 4:
            times = Counter(grams)
            best = max(
                times, key=lambda gram: (times[gram], sum(map(len, gram)), -grams.index(gram)), default=None
            )
            starts = [i for i, gram in enumerate(grams) if gram == best] if best and times[best] > 1 else []
            out[f"top_{n}gram_char_ratio"] = covered(words, starts, n)
        else:
            starts = [i for i, gram in enumerate(grams) if gram in grams[:i]]
            out[f"duplicate_{n}gram_char_ratio"] = covered(words, starts, n)
    return out


def duplicate_twin(text):
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    paragraphs = [p.strip() for p in re.split(r"\n(?:\s*\n)+", text) if p.strip()]
    out = {}
    for kind, items in (("line", lines), ("paragraph", paragraphs)):
        copies = [item for i, item in enumerate(items) if item in items[:i]]
        total = sum(map(len, items))
        out[f"duplicate_{kind}_ratio"] = len(copies) / len(items) if items else None
        out[f"duplicate_{kind}_char_ratio"] = sum(map(len, copies)) / total if items else None
    return out


@settings(max_examples=300)
@given(st.lists(WORDS | PERIODIC, max_size=4))
@example(["a a a a a", "a", "", "a b c d e f g h i j a b c d e f g h i j"])
def test_ngrams_equal_their_twin(texts):
    assert compute(NGRAMS, *texts) == [ngram_twin(text) for text in texts]


@given(st.lists(st.none() | LINES, max_size=4))
def test_duplicates_equal_their_twin(texts):
    assert compute(DUPLICATES, *texts) == [duplicate_twin(text or "") for text in texts]


@given(st.lists(st.lists(st.integers(0, 4) | st.integers(0, 2**64 - 1), max_size=20), max_size=4))
def test_repeats_equal_their_twin(texts):
    offsets = np.concatenate([[0], np.cumsum([len(items) for items in texts])]).astype(np.int64)
    got = repeats(np.array([item for items in texts for item in items], np.uint64), offsets)
    assert got.tolist() == [item in items[:i] for items in texts for i, item in enumerate(items)]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("x\nx\ny\nz", "duplicate_line_ratio", 0.25),
        ("x\n\nx\n\ny\n\nz", "duplicate_paragraph_ratio", 0.25),
        ("x\ny\n\nx\nz", "duplicate_paragraph_ratio", 0.0),
        ("aa b\naa b\ncc d", "duplicate_line_char_ratio", 4 / 12),
        ("a b c a b", "top_2gram_char_ratio", 4 / 5),
        ("a b c d", "top_2gram_char_ratio", 0.0),
        ("a a a", "top_2gram_char_ratio", 1.0),
        ("v w x y z v w x y z", "duplicate_5gram_char_ratio", 0.5),
        ("v w x y z v w x y z", "duplicate_6gram_char_ratio", 0.0),
    ],
)
def test_golden(text, name, expected):
    assert compute([name], text) == [{name: expected}]
