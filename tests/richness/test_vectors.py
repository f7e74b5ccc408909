"""Vendi score and clusters against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.errors import InputError, UsageError
from corpuskit.richness.vectors import centres, nearest, read_vectors, vector_column, vendi_score


def directions(seed, count, size):
    vectors = np.random.default_rng(seed).normal(size=(count, size))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def vendi_twin(vectors):
    """Take the eigenvalues of the kernel itself, n x n, whatever n and d are."""
    rows = [[float(number) for number in row] for row in vectors]
    kernel = [[sum(a * b for a, b in zip(one, two, strict=True)) / len(rows) for two in rows] for one in rows]
    values = [value for value in np.linalg.eigvals(np.array(kernel)).real if value > 1e-12]
    return math.exp(-sum(value * math.log(value) for value in values))


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12))
def test_vendi_equals_its_twin_by_either_way(seed, count, size):
    vectors = directions(seed, count, size)
    assert vendi_score(vectors) == pytest.approx(vendi_twin(vectors), rel=1e-5)


def test_vendi_counts_groups_of_equals():
    assert vendi_score(np.repeat(np.eye(4, dtype=np.float32), 25, axis=0)) == pytest.approx(4)
    assert vendi_score(np.empty((0, 4), np.float32)) is None


def test_nearest_equals_plain_distances():
    vectors, middles = directions(1, 50, 8), directions(2, 6, 8) * 0.7
    plain = [min(range(6), key=lambda c: sum((v - middles[c]) ** 2)) for v in vectors]
    assert nearest(vectors, middles).tolist() == plain


def test_centres_find_what_is_apart_and_are_the_same_twice():
    vectors = np.repeat(np.eye(3, dtype=np.float32), 40, axis=0)
    found = centres([vectors[:60], vectors[60:]], 3, 0)
    assert sorted(found.round(4).tolist()) == sorted(np.eye(3).tolist())
    assert np.array_equal(found, centres([vectors[:60], vectors[60:]], 3, 0))


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_vectors_without_a_direction_are_left_out(kind):
    values = [[3.0, 4.0], None, [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0], [-2.0, 0.0]]
    column = pa.array(values, pa.float32() and pa.list_(pa.float32(), 2)).cast(pa.list_(kind, 2))
    there, vectors = read_vectors(column.slice(1), np.array([0, 1, 2, 3, 4]))
    assert there.tolist() == [False, False, False, False, True]
    assert vectors[4].tolist() == [-1.0, 0.0]
    there, vectors = read_vectors(column, np.array([5, 0]))
    assert vectors.round(6).tolist() == [[-1.0, 0.0], pytest.approx([0.6, 0.8])]


def test_the_column_of_vectors():
    vector = pa.list_(pa.float32(), 4)
    one = pa.schema([("id", pa.string()), ("embedding", vector), ("boxes", pa.list_(pa.int32(), 4))])
    two = one.append(pa.field("other", vector))
    assert vector_column("d", one, None) == "embedding"
    assert vector_column("d", one.remove(1), None) is None
    assert vector_column("d", two, "other") == "other"
    with pytest.raises(UsageError, match="embedding, other"):
        vector_column("d", two, None)
    with pytest.raises(InputError, match="no column of vectors 'boxes'"):
        vector_column("d", one, "boxes")
