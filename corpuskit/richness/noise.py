"""How far a number would move had other documents come: the noise that a difference must exceed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Difference", "Measure", "compare", "jackknife", "measured"]

Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Measure:
    """A number and its noise: half of its 95 % interval. Either is null where it is undefined."""

    value: float | None = None
    noise: float | None = None


@dataclass(frozen=True)
class Difference:
    """How far the second of two numbers lies from the first.

    `noise` is half of the 95 % interval of the difference, and `differs` whether that leaves 0 out; both are
    null where the noise of one number is unknown, and all are where a number is.
    """

    difference: float | None = None
    noise: float | None = None
    differs: bool | None = None


def measured(
    sample: Sample,
    without_each: Iterable[Sample],
    measure: Callable[[Sample], Mapping[str, float | None]],
) -> dict[str, Measure]:
    """Measure a sample, and how far each number moves when a group of documents is left out."""
    found = measure(sample)
    others = [measure(one) for one in without_each]
    return {name: Measure(value, jackknife([one[name] for one in others])) for name, value in found.items()}


def jackknife(values: Sequence[float | None]) -> float | None:
    """Return half of the 95 % interval of a number, from its values without each of several groups.

    Null with fewer than two groups, or where a value is undefined. With few groups it is wide, as it must be:
    Student's t of one degree of freedom less than there are groups.

    Source: Tukey 1958; Kott 2001 (The Delete-a-Group Jackknife).

    >>> round(jackknife([1.0, 2.0, 3.0]), 3), jackknife([1.0]), jackknife([1.0, None])
    (4.968, None, None)
    """
    from scipy.special import stdtrit

    known = [value for value in values if value is not None]
    groups = len(values)
    if len(known) < groups or groups < 2:
        return None
    mean = math.fsum(known) / groups
    spread = math.fsum((value - mean) ** 2 for value in known)
    return float(stdtrit(groups - 1, 0.975)) * math.sqrt((groups - 1) / groups * spread)


def compare(first: Measure, second: Measure) -> Difference:
    """Compare two numbers, as if their documents had been drawn independently.

    Where corpora share documents the noise is overstated, never understated.

    >>> compare(Measure(1.0, 0.3), Measure(2.0, 0.4))
    Difference(difference=1.0, noise=0.5, differs=True)
    """
    if first.value is None or second.value is None:
        return Difference()
    difference = second.value - first.value
    if first.noise is None or second.noise is None:
        return Difference(difference)
    noise = math.hypot(first.noise, second.noise)
    return Difference(difference, noise, abs(difference) > noise)
