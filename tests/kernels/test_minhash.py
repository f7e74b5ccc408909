import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.kernels import minhash, unionfind

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=40)
SMALL = st.lists(st.lists(st.integers(0, 12), max_size=12), min_size=1, max_size=8)


def columns(texts):
    """Lay lists of hashes out as a kernel wants them."""
    offsets = np.cumsum([0, *map(len, texts)])
    return np.array([value for text in texts for value in text], np.uint64), offsets


def scramble(value):
    value &= 0xFFFFFFFF
    value = (value ^ (value >> 16)) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ (value >> 13)) * 0xC2B2AE35 & 0xFFFFFFFF
    return value ^ (value >> 16)


def signature(hashes, a, b):
    """Slow twin."""
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return [min([minhash.EMPTY, *((m * scramble(h) + n) % 2**32 for h in hashes)]) for m, n in pairs]


def jaccard(one, two):
    return len(set(one) & set(two)) / len(set(one) | set(two)) if set(one) | set(two) else 0.0


@given(st.lists(HASHES, min_size=1, max_size=4), st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_signatures_equal_their_twin(texts, seed, count):
    a, b = minhash.permutations(count, seed)
    found = minhash.signatures(*columns(texts), a, b)
    assert found.dtype == np.uint32
    assert found.tolist() == [signature(text, a, b) for text in texts]


@given(HASHES, st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_signatures_equal_datasketch(hashes, seed):
    datasketch = pytest.importorskip("datasketch")
    theirs = datasketch.MinHash(64, seed=seed, hashfunc=lambda value: value & 0xFFFFFFFF)
    theirs.update_batch(hashes)
    ours = minhash.signatures(*columns([hashes]), *minhash.permutations(64, seed))
    assert ours[0].tolist() == theirs.hashvalues.tolist()


def test_permutations_are_bijections_of_a_seed():
    a, b = minhash.permutations(112, 1)
    assert (a % 2 == 1).all()
    assert len(set(a.tolist())) == len(set(b.tolist())) == 112
    assert minhash.permutations(112, 1)[0].tolist() == a.tolist()
    assert minhash.permutations(112, 2)[0].tolist() != a.tolist()


def test_texts_that_begin_inside_the_hashes():
    hashes = np.arange(20, dtype=np.uint64)
    a, b = minhash.permutations(8, 1)
    inside = minhash.signatures(hashes, np.array([5, 17, 20]), a, b)
    assert inside.tolist() == minhash.signatures(hashes[5:].copy(), np.array([0, 12, 15]), a, b).tolist()


def test_bands_differ_where_any_row_does():
    rows = np.arange(24, dtype=np.uint32).reshape(1, 24).repeat(25, axis=0)
    rows[np.arange(24), np.arange(24)] += 1
    hashes = minhash.band_hashes(rows, 3)
    assert hashes.shape == (3, 25)
    for text in range(24):
        assert (hashes[:, text] != hashes[:, 24]).tolist() == [band == text // 8 for band in range(3)]


def test_equal_rows_in_different_bands_have_different_hashes():
    hashes = minhash.band_hashes(np.full((1, 8), 7, np.uint32), 4)
    assert len(set(hashes[:, 0].tolist())) == 4


def test_left_over_permutations_are_not_used():
    rows = np.zeros((2, 7), np.uint32)
    rows[1, 6] = 1
    assert (minhash.band_hashes(rows, 2)[:, 0] == minhash.band_hashes(rows, 2)[:, 1]).all()


@pytest.mark.parametrize("bands", [0, 9])
def test_bands_must_fit(bands):
    with pytest.raises(ValueError, match="bands do not fit into 8 permutations"):
        minhash.band_hashes(np.zeros((1, 8), np.uint32), bands)


@given(SMALL)
def test_sequence_hashes_tell_sequences_apart(texts):
    found = minhash.sequence_hashes(*columns(texts)).tolist()
    for one, left in zip(texts, found, strict=True):
        for two, right in zip(texts, found, strict=True):
            assert (left == right) == (one == two)


def test_sequence_hashes_withstand_thue_morse():
    # These two sequences collide under every polynomial hash modulo 2**64.
    morse = [bin(number).count("1") % 2 for number in range(2048)]
    one, two = minhash.sequence_hashes(*columns([morse, [1 - bit for bit in morse]])).tolist()
    assert one != two


@given(SMALL)
def test_sets_equal_their_twin(texts):
    members, offsets = minhash.sets(*columns(texts))
    found = [members[start:end].tolist() for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
    assert found == [sorted(set(text)) for text in texts]


@given(SMALL, st.sampled_from([0.0, 0.1, 0.5, 0.8, 1.0]))
def test_similarity_equals_its_twin(texts, least):
    members, offsets = minhash.sets(*columns(texts))
    for i, one in enumerate(texts):
        for j, two in enumerate(texts):
            true = jaccard(one, two)
            found = minhash.similarity(members, offsets, i, j, least)
            assert found == (true if true >= least else 0.0)


def test_similarity_at_the_bound():
    members, offsets = minhash.sets(*columns([range(9), range(1, 10), range(8)]))
    assert minhash.similarity(members, offsets, 0, 1, 0.8) == 0.8
    assert minhash.similarity(members, offsets, 0, 1, 0.8000001) == 0.0
    assert minhash.similarities(members, offsets, np.array([0]), np.array([2])).tolist() == [8 / 9]


@given(SMALL, st.lists(st.integers(0, 2), min_size=8, max_size=8), st.sampled_from([0.2, 0.5, 1.0]))
def test_confirm_joins_the_pairs_of_a_bucket_that_are_alike(texts, values, least):
    members, offsets = minhash.sets(*columns(texts))
    parents = unionfind.singletons(len(texts))
    minhash.confirm_band(np.array(values[: len(texts)], np.uint64), members, offsets, least, parents)
    expected = unionfind.singletons(len(texts))
    for i, one in enumerate(texts):
        for j, two in enumerate(texts):
            if values[i] == values[j] and jaccard(one, two) >= least:
                unionfind.unite_pairs(expected, np.array([i]), np.array([j]))
    assert unionfind.roots(parents).tolist() == unionfind.roots(expected).tolist()


def test_confirm_is_linear_in_a_bucket():
    # Unlike sets in one bucket: in a quadratic comparison these would be 5 * 10**9 pairs.
    count = 100_000
    members, offsets = np.arange(count, dtype=np.uint64), np.arange(count + 1)
    parents = unionfind.singletons(count)
    minhash.confirm_band(np.zeros(count, np.uint64), members, offsets, 0.5, parents)
    assert (parents == np.arange(count)).all()


def test_no_warnings_from_wraparound():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minhash.signatures(*columns([[2**64 - 1] * 9]), *minhash.permutations(8, 1))
