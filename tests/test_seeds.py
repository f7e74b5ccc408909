"""Random choices repeat, are uniform, and do not depend on each other or on how documents are batched."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.seeds import draw, shuffle_key

IDS = pa.array(
    [hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest() for number in range(20_000)]
)


def slow_hash(purpose: str, seed: int, text: str) -> int:
    salt = hashlib.blake2b(f"{purpose}\0{seed}".encode(), digest_size=8).digest()
    return xxhash.xxh64_intdigest(text.encode(), int.from_bytes(salt, "little"))


@given(st.integers(), st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_equals_slow_twin(seed: int, ids: list[str]) -> None:
    array = pa.array(ids, pa.string())
    assert shuffle_key(seed, array).tolist() == [slow_hash("shuffle", seed, text) for text in ids]
    assert draw(seed, array).tolist() == [(slow_hash("draw", seed, text) >> 11) / 2**53 for text in ids]


def test_known_values_never_change() -> None:
    ids = pa.array(["0" * 32, "0" * 32 + "#1", ""])
    assert shuffle_key(0, ids).tolist() == [3678605739072807076, 713422774160186215, 450884904753505811]


def test_uniform() -> None:
    numbers = draw(7, IDS)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, bins=100, range=(0, 1))[0]
    chi_square = float(((counts - 200) ** 2 / 200).sum())
    assert 55 < chi_square < 160  # 99 degrees of freedom: outside with probability below 1e-4


def test_order_and_batching_change_nothing() -> None:
    whole = draw(3, IDS)
    cut = np.concatenate([draw(3, IDS.slice(0, 1)), draw(3, IDS.slice(1, 4_999)), draw(3, IDS.slice(5_000))])
    assert np.array_equal(whole, cut)
    backwards = draw(3, IDS.take(pa.array(np.arange(len(IDS))[::-1])))
    assert np.array_equal(whole, backwards[::-1])
    assert np.array_equal(whole, draw(3, pa.chunked_array([IDS.slice(0, 77), IDS.slice(77)])))


@pytest.mark.parametrize("other", [draw(4, IDS), shuffle_key(3, IDS) / 2**64])
def test_seeds_and_purposes_are_independent(other: np.ndarray) -> None:
    assert abs(np.corrcoef(draw(3, IDS), other)[0, 1]) < 0.03


def test_empty_and_null() -> None:
    assert len(draw(0, pa.array([], pa.string()))) == 0
    assert draw(0, pa.array([None], pa.string())).tolist() == draw(0, pa.array([""])).tolist()
