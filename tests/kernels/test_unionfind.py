import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels import unionfind

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def components(count, pairs):
    """Slow twin: merge sets until nothing changes, and name each by its smallest member."""
    sets = [{number} for number in range(count)]
    for one, two in pairs:
        joined = sets[one] | sets[two]
        for number in joined:
            sets[number] = joined
    return [min(members) for members in sets]


def joined(count, pairs):
    parents = unionfind.singletons(count)
    numbers = np.array(pairs, np.int64).reshape(-1, 2)
    unionfind.unite_pairs(parents, numbers[:, 0].copy(), numbers[:, 1].copy())
    return unionfind.roots(parents).tolist()


@given(PAIRS)
def test_roots_are_the_smallest_members(pairs):
    assert joined(31, pairs) == components(31, pairs)


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_of_pairs_changes_nothing(pairs, random):
    turned = [pair[::-1] for pair in pairs]
    random.shuffle(turned)
    assert joined(31, turned) == joined(31, pairs)


def test_a_parent_is_never_larger_than_its_child():
    parents = unionfind.singletons(1000)
    random = np.random.default_rng(1)
    unionfind.unite_pairs(parents, random.integers(0, 1000, 500), random.integers(0, 1000, 500))
    assert (parents <= np.arange(1000)).all()


def test_a_long_chain_given_backwards():
    count = 100_000
    parents = unionfind.singletons(count)
    unionfind.unite_pairs(parents, np.arange(count - 1, 0, -1), np.arange(count - 2, -1, -1))
    assert not unionfind.roots(parents).any()


def test_both_widths_agree():
    one, two = np.array([3, 1, 4]), np.array([1, 5, 0])
    narrow, wide = np.arange(6, dtype=np.int32), np.arange(6, dtype=np.int64)
    unionfind.unite_pairs(narrow, one, two)
    unionfind.unite_pairs(wide, one, two)
    assert unionfind.roots(narrow).tolist() == unionfind.roots(wide).tolist() == [0, 1, 2, 1, 0, 1]


@pytest.mark.parametrize("pair", [(0, 3), (-1, 0)])
def test_a_number_outside_is_an_error(pair):
    with pytest.raises(IndexError, match="outside 0 to 2"):
        unionfind.unite_pairs(unionfind.singletons(3), np.array(pair[:1]), np.array(pair[1:]))


def test_no_pairs_and_no_numbers():
    nothing = np.zeros(0, np.int64)
    parents = unionfind.singletons(0)
    unionfind.unite_pairs(parents, nothing, nothing)
    assert not len(unionfind.roots(parents))
