"""The table of first places equals a dict, while it grows and when keys share a slot."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels.firstseen import FirstSeen

KEY = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 16, 32, 2**64 - 1]))


@given(st.lists(st.lists(KEY, max_size=30), max_size=6), st.integers(0, 4))
def test_it_equals_a_dict(batches, room):
    table, first, number = FirstSeen(room), {}, 0
    for keys in batches:
        high, low = (np.array([key[side] for key in keys], np.uint64) for side in (0, 1))
        numbers = np.arange(number, number + len(keys))
        entries = table.add((high, low), numbers, numbers * 3)
        for at, key in enumerate(keys):
            first.setdefault(key, (len(first), number + at))
        assert entries.tolist() == [first[key][0] for key in keys]
        number += len(keys)
    assert table.count == len(first)
    assert table.numbers[: table.count].tolist() == [place for _, place in first.values()]
    assert table.places[: table.count].tolist() == [3 * place for _, place in first.values()]
