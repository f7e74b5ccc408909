"""The blocked Bloom filter against a plain twin, and its rate against what it promises."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels import bloom

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
HASHES = st.lists(st.integers(0, 30) | st.integers(0, MASK), max_size=40)


def mix(value):
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def bits_of(value, lines):
    """Number the bits of the table that a hash sets, as the docstring of the module says."""
    draws = []
    for _ in range(4):
        value = mix((value + GOLDEN) & MASK)
        draws.append(value)
    one, two, *choices = draws
    places = (one * lines >> 64), lines + (two * lines >> 64)
    return [
        512 * line + 64 * word + (choice >> 6 * word & 63)
        for line, choice in zip(places, choices, strict=True)
        for word in range(8)
    ]


class Twin:
    def __init__(self, size):
        self.size, self.bits = size, set()

    def knows(self, value):
        return self.bits.issuperset(bits_of(value, self.size.lines))

    def add(self, value):
        self.bits.update(bits_of(value, self.size.lines))


def made(capacity, rate):
    size = bloom.sizing(capacity, rate)
    return size, bloom.empty_table(size)


def array(values):
    return np.array(values, np.uint64)


@given(HASHES, HASHES, st.sampled_from([0.5, 1e-2, 1e-4, 1e-8, 1e-12]), st.integers(1, 300))
def test_add_and_contains_equal_their_twin(added, asked, rate, capacity):
    size, table = made(capacity, rate)
    twin = Twin(size)
    known, done, new = bloom.add(table, array(added), room=MASK >> 1)
    expected = []
    for value in added:
        expected.append(twin.knows(value))
        twin.add(value)
    assert (known.tolist(), done, new) == (expected, len(added), expected.count(False))
    assert set(np.flatnonzero(np.unpackbits(table.view(np.uint8), bitorder="little")).tolist()) == twin.bits
    asked = asked + added
    assert bloom.contains(table, array(asked)).tolist() == [twin.knows(value) for value in asked]


@given(st.lists(HASHES, max_size=6))
def test_units_do_not_know_themselves(units):
    size, table = made(400, 1e-8)
    twin = Twin(size)
    bounds = np.cumsum([0, *map(len, units)])
    flat = [value for unit in units for value in unit]
    known, _, _ = bloom.add_units(table, array(flat), bounds, room=400)
    expected = []
    for unit in units:
        expected += [twin.knows(value) for value in unit]
        for value in unit:
            twin.add(value)
    assert known.tolist() == expected


def test_adding_stops_when_there_is_no_room():
    size, table = made(100, 1e-8)
    _, done, new = bloom.add(table, array([1, 2, 1, 2, 3, 4]), room=3)
    assert (done, new) == (5, 3)
    assert bloom.contains(table, array([1, 2, 3, 4])).tolist() == [True, True, True, False]
    known, done, new = bloom.add(table, array([1, 3, 2]), room=0)
    assert (known.all(), done, new) == (True, 3, 0)


@pytest.mark.parametrize("rate", [0.3, 1e-2, 1e-3])
def test_the_measured_rate_of_a_full_filter_is_the_promised_one(rate):
    size, table = made(300_000, rate)
    bloom.add(table, bloom.probe_hashes(300_000, 1), room=300_000)
    hits = int(bloom.contains(table, bloom.probe_hashes(1_000_000, 2)).sum())
    assert abs(hits - rate * 1e6) < 5 * math.sqrt(rate * 1e6) + 0.01 * rate * 1e6
    assert size.rate == pytest.approx(rate, rel=2e-3)
    assert size.rate <= rate


def test_no_false_negative_and_no_hit_among_a_million_random_probes_at_1e_8():
    hashes = bloom.probe_hashes(500_000, 3)
    size, table = made(len(hashes), 1e-8)
    _, done, new = bloom.add(table, hashes, room=len(hashes))
    assert done == new == len(hashes)
    assert bloom.contains(table, hashes).all()
    assert not bloom.contains(table, bloom.probe_hashes(1_000_000, 4)).any()


def test_every_line_is_used_whatever_their_number():
    # A mask instead of a remainder would leave most of a table whose size is no power of two empty.
    size, table = made(200_000, 1e-8)
    assert size.lines & (size.lines - 1)
    bloom.add(table, bloom.probe_hashes(200_000, 5), room=200_000)
    loads = np.bitwise_count(table).reshape(2 * size.lines, 8).sum(axis=1)
    assert loads.min() > 0
    assert abs(loads[: size.lines].mean() - loads[size.lines :].mean()) < 2
    quarters = loads.reshape(-1)[: size.lines // 4 * 4].reshape(4, -1).mean(axis=1)
    assert quarters.max() - quarters.min() < 3


def test_the_exact_rate_equals_a_simulation():
    chance = random.Random(6)
    load, trials = 60.0, 40_000
    draws = np.random.default_rng(7)
    hits = 0
    for count in draws.poisson(load, trials):
        words = draws.integers(0, 64, (8, count))
        hits += all(chance.randrange(64) in word for word in words)
    one = math.sqrt(bloom.false_positives(load))
    assert hits / trials == pytest.approx(one, abs=5 * math.sqrt(one / trials))


def test_sizes_at_known_rates():
    bits = {rate: 8e-6 * bloom.sizing(1_000_000, rate).table_bytes for rate in (1e-2, 1e-4, 1e-8)}
    assert bits == {
        rate: pytest.approx(bit, abs=0.01) for rate, bit in ((1e-2, 11.76), (1e-4, 20.20), (1e-8, 47.21))
    }
    lines = bloom.sizing(10**6, 1e-8).lines
    assert bloom.false_positives(10**6 / lines) <= 1e-8 < bloom.false_positives(10**6 / (lines - 10))


@pytest.mark.parametrize(("capacity", "rate"), [(-1, 0.1), (10, 0.0), (10, 0.6), (10, 1e-13), (10, math.nan)])
def test_senseless_sizes_are_refused(capacity, rate):
    with pytest.raises(ValueError, match="capacity|rate"):
        bloom.sizing(capacity, rate)


def test_the_estimate_is_near_the_count():
    size, table = made(100_000, 1e-8)
    assert bloom.estimate(table) == 0
    bloom.add(table, bloom.probe_hashes(60_000, 8), room=100_000)
    assert bloom.estimate(table) == pytest.approx(60_000, rel=0.01)
    table[:] = MASK
    assert bloom.estimate(table) > 10**18
