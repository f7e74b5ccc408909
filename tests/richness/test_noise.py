"""The noise of a number, and whether a difference exceeds it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from corpuskit.richness.noise import Difference, Measure, compare, jackknife, measured


def test_of_a_mean_it_is_the_usual_interval():
    values = np.random.default_rng(0).normal(size=10)
    without = [np.delete(values, place) for place in range(10)]
    found = measured(values, without, lambda some: {"mean": float(np.mean(some))})["mean"]
    usual = stats.t.ppf(0.975, 9) * np.std(values, ddof=1) / math.sqrt(10)
    assert found.value == pytest.approx(values.mean()) and found.noise == pytest.approx(usual)


def test_nothing_is_known_from_one_group_or_an_undefined_value():
    assert jackknife([]) is None and jackknife([1.0]) is None
    assert jackknife([1.0, None, 2.0]) is None
    assert jackknife([2.0, 2.0]) == 0


def test_a_difference_at_the_noise_is_noise():
    assert compare(Measure(1.0, 3.0), Measure(6.0, 4.0)) == Difference(5.0, 5.0, False)
    assert compare(Measure(1.0, 3.0), Measure(6.1, 4.0)).differs
    assert compare(Measure(6.1, 3.0), Measure(1.0, 4.0)).differs
    assert compare(Measure(1.0, None), Measure(6.0, 4.0)) == Difference(5.0)
    assert compare(Measure(), Measure(6.0, 4.0)) == Difference()
