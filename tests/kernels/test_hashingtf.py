"""HashingTF: equal to Spark itself (stored vectors), to a plain twin, and to scikit-learn's product."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels import hashingtf
from corpuskit.kernels.utf8 import buffers

VECTORS = json.loads(Path(__file__).with_name("hashingtf_spark.json").read_text("utf-8"))


def counts(texts: list[str]) -> list[dict[int, int]]:
    found, bounds = hashingtf.buckets(*buffers(pa.array(texts, pa.large_string())))
    return [
        dict(Counter(found[start:end].tolist())) for start, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]


def expected(case: dict[str, dict[str, int]]) -> dict[int, int]:
    return {int(bucket): count for bucket, count in case["counts"].items()}


def murmur3(data: bytes, seed: int = 42) -> int:
    """MurmurHash3_x86_32 as Austin Appleby's SMHasher has it."""
    value = seed
    rotate = lambda word, by: (word << by | word >> 32 - by) & 0xFFFFFFFF  # noqa: E731
    scramble = lambda word: rotate(word * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF  # noqa: E731
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        value = rotate(value ^ scramble(int.from_bytes(data[at : at + 4], "little")), 13) * 5 + 0xE6546B64
        value &= 0xFFFFFFFF
    value ^= scramble(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return value ^ value >> 16


def tokens(text: str) -> list[str]:
    """Java's `split("\\s")` of a text that holds no capital sigma."""
    pieces = re.split(r"[ \t\n\x0b\f\r]", text.lower())
    while len(pieces) > 1 and not pieces[-1]:
        pieces.pop()
    return [] if text and pieces == [""] else pieces


def test_equals_spark() -> None:
    cases = VECTORS["equal"]
    assert len(cases) > 150
    for case, found in zip(cases, counts([case["text"] for case in cases]), strict=True):
        assert found == expected(case), ascii(case["text"])


def test_differs_from_spark_only_where_the_module_says_so() -> None:
    """Capitals of Unicode 14; a mark after punctuation in a word; sigma after a character above U+FFFF."""
    for case, found in zip(
        VECTORS["different"], counts([case["text"] for case in VECTORS["different"]]), strict=True
    ):
        assert found != expected(case), ascii(case["text"])


def test_the_twin_is_murmur3() -> None:
    """Of the reference implementation: `murmur3("hello", 0)`, and an empty text with seed 1."""
    assert murmur3(b"hello", 0) == 0x248BFA47
    assert murmur3(b"", 1) == 0x514E28B7


TEXTS = st.text(
    st.one_of(st.sampled_from(" \t\n\r\x0b\x0c\u00a0AZaz\u0130\u00df"), st.characters(codec="utf-8"))
)


@given(st.lists(TEXTS.map(lambda text: text.replace("\u03a3", "")), max_size=4))
def test_equals_the_plain_twin(texts: list[str]) -> None:
    # Lowering by the tables' Unicode 14, which this Python's may be newer than.
    texts = ["".join(char for char in text if len(char.lower()) == 1 or char == "\u0130") for text in texts]
    twin = [Counter(murmur3(token.encode()) % hashingtf.BUCKETS for token in tokens(text)) for text in texts]
    assert counts(texts) == [dict(each) for each in twin]


@given(st.binary(max_size=40), st.integers(0, 8))
def test_reads_nothing_outside_a_text_whatever_its_bytes(raw: bytes, before: int) -> None:
    weights = np.arange(hashingtf.BUCKETS, dtype=float)
    alone = np.frombuffer(raw, np.uint8), np.array([0, len(raw)])
    inside = (
        np.frombuffer(b"\xce" * before + raw + b"\xa3a\x80", np.uint8),
        np.array([before, before + len(raw)]),
    )
    for data, offsets in (alone, inside):
        total, count = hashingtf.sums(data, offsets, weights)
        found, _ = hashingtf.buckets(data, offsets)
        assert count[0] == len(found)
        assert total[0] == found.sum()
    assert hashingtf.buckets(*alone)[0].tolist() == hashingtf.buckets(*inside)[0].tolist()


def test_sums_are_the_product_of_counts_and_weights() -> None:
    texts = ["To be or not to be", "", " ", "  a  b ", "ΟΔΟΣ 中文 \u00a0x", "word " * 1000]
    weights = np.random.default_rng(1).normal(size=hashingtf.BUCKETS)
    found, sizes = hashingtf.sums(*buffers(pa.array(texts)), weights)
    for each, size, total in zip(counts(texts), sizes, found, strict=True):
        assert size == sum(each.values())
        assert total == pytest.approx(
            sum(weights[bucket] * count for bucket, count in each.items()), abs=1e-9
        )


def test_white_space_alone_has_no_token_and_nothing_has_one() -> None:
    assert counts([" \t\n", ""]) == [{}, {murmur3(b"") % hashingtf.BUCKETS: 1}]


def test_no_texts_have_no_sums_and_weights_must_fit() -> None:
    assert [
        len(each) for each in hashingtf.sums(*buffers(pa.array([], pa.large_string())), np.ones(1 << 18))
    ] == [0, 0]
    with pytest.raises(ValueError, match="weights"):
        hashingtf.sums(*buffers(pa.array(["a"])), np.ones(8))


def test_long_runs_of_sigma_take_linear_time() -> None:
    """Each looks for cased letters no further than the next."""
    text = ("Σ" + "1" * 50) * 20_000
    found, _ = hashingtf.buckets(*buffers(pa.array([text])))
    assert len(found) == 1
