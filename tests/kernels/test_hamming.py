"""Joining by pieces equals comparing all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.kernels import hamming
from corpuskit.kernels.hamming import ALL, distances, join_groups, join_near, pieces
from corpuskit.kernels.unionfind import roots, singletons


def by_all_pairs(hashes, distance):
    """Union-find over every pair, in Python."""
    labels = list(range(len(hashes)))
    for j, one in enumerate(hashes):
        for i in range(j):
            if (one ^ hashes[i]).bit_count() <= distance and labels[i] != labels[j]:
                low, high = sorted((labels[i], labels[j]))
                labels = [low if label == high else label for label in labels]
    return labels


def by_pieces(hashes, distance):
    parents = singletons(len(hashes))
    join_near(np.array(hashes, np.uint64), np.arange(len(hashes)), distance, parents)
    return roots(parents).tolist()


@st.composite
def families(draw):
    """Hashes of which many are a few bits from another."""
    bits = draw(st.integers(1, 64))
    hashes = draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=1, max_size=12))
    for _ in range(draw(st.integers(0, 20))):
        flips = draw(st.lists(st.integers(0, 63), max_size=6))
        hashes.append(draw(st.sampled_from(hashes)) ^ sum({1 << flip for flip in flips}))
    return hashes


@given(families(), st.integers(0, 16), st.sampled_from([1, 3, 512]))
@settings(max_examples=200, deadline=None)
def test_pieces_join_what_all_pairs_join(hashes, distance, compared):
    before, hamming.COMPARED = hamming.COMPARED, compared
    try:
        assert by_pieces(hashes, distance) == by_all_pairs(hashes, distance)
    finally:
        hamming.COMPARED = before


@pytest.mark.parametrize(("flipped", "joined"), [(4, True), (5, True), (6, False)])
def test_the_bound(flipped, joined):
    random = np.random.default_rng(flipped)
    for _ in range(200):
        flips = random.choice(64, flipped, replace=False).tolist()
        one = int(random.integers(0, 1 << 64, dtype=np.uint64))
        two = one ^ sum(1 << flip for flip in flips)
        assert by_pieces([one, two], 5) == [0, 0 if joined else 1]


def test_groups_are_not_joined_with_one_another():
    parents = singletons(5)
    rows, bounds = np.array([4, 0, 2, 1, 3]), np.array([0, 2, 5])
    join_groups(np.zeros(5, np.uint64), rows, bounds, 3, parents)
    assert roots(parents).tolist() == [0, 1, 1, 1, 0]


def test_a_crowd_that_is_near_is_no_quadratic_work(monkeypatch):
    compared = []
    compare = hamming._compare
    monkeypatch.setattr(hamming, "_compare", lambda *given: (compared.append(given), compare(*given)))
    count = 200_000
    hashes = np.random.default_rng(0).permutation(count).astype(np.uint64)  # all 18-bit numbers, or nearly
    parents = singletons(count)
    join_near(hashes, np.arange(count), 4, parents)
    assert not roots(parents).any()
    pairs = 0
    for _, _, bounds, _, most, _ in compared:
        sizes = np.diff(bounds)
        pairs += int(np.sum(sizes[sizes <= most].astype(object) ** 2)) // 2
    assert pairs < count**2 // 2 // 40


def test_distances():
    one, two = np.array([0, ALL, 5], np.uint64), np.array([0, 0, 6], np.uint64)
    assert distances(one, two).tolist() == [0, 64, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 6, 17, 64])
def test_pieces_tile_the_bits_evenly(count):
    masks = pieces(ALL, count)
    assert sum(masks) == ALL and len(masks) == count
    sizes = {mask.bit_count() for mask in masks}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [0, 4])
def test_more_pieces_than_bits(count):
    with pytest.raises(ValueError, match="3 bits cannot be cut"):
        pieces(0b10101, count)
