"""Disjoint sets over the numbers 0 to n - 1: who belongs together, given pairs.

`parents` (int32 or int64, n) is a forest: a number's parent is at most the number itself, and a root is its
own parent. The root of a set is therefore its smallest member, whatever the order of the pairs.

Source: Tarjan and van Leeuwen 1984, "Worst-case analysis of set union algorithms" (path halving). Deviation:
union by the smaller number instead of by rank, which makes the roots independent of the order of the pairs
and keeps the forest in one array; halving alone bounds m operations by O(m log n).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import kernel
from corpuskit.kernels.utf8 import Offsets, readonly

Parents = npt.NDArray[Any]


def singletons(count: int) -> Parents:
    """Return `count` sets of one number each: 4 bytes a number below 2**31 numbers, 8 above.

    >>> singletons(3).tolist()
    [0, 1, 2]
    """
    return np.arange(count, dtype=np.int32 if count < 1 << 31 else np.int64)


def bytes_needed(count: int) -> int:
    """Return the bytes that `singletons(count)` takes.

    >>> bytes_needed(1000), bytes_needed(1 << 31)
    (4000, 17179869184)
    """
    return count * (4 if count < 1 << 31 else 8)


@kernel
def find(parents: Parents, number: int) -> int:
    """Return the root of a number's set, halving the path to it. For use inside kernels.

    >>> find(np.array([0, 0, 1, 2]), 3)
    0
    """
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


@kernel
def unite(parents: Parents, one: int, two: int) -> None:
    """Join the sets of two numbers under the smaller root. For use inside kernels.

    >>> parents = np.array([0, 1, 2])
    >>> unite(parents, 2, 1), parents.tolist()
    (None, [0, 1, 1])
    """
    one, two = find(parents, one), find(parents, two)
    if one < two:
        parents[two] = one
    elif two < one:
        parents[one] = two


def unite_pairs(parents: Parents, first: Offsets, second: Offsets) -> None:
    """Join the sets of `first[i]` and `second[i]` for every i, in place.

    Args:
        parents: As `singletons` returns them.
        first: int64, numbers below n.
        second: int64, as many.

    Raises:
        IndexError: a number is outside 0 to n - 1.

    >>> parents = singletons(5)
    >>> unite_pairs(parents, np.array([3, 4]), np.array([1, 3]))
    >>> roots(parents).tolist()
    [0, 1, 2, 1, 1]
    """
    for numbers in (first, second):
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < len(parents):
            raise IndexError(f"a pair names a number outside 0 to {len(parents) - 1}")
    _unite_pairs(parents, readonly(first), readonly(second))


@kernel
def _unite_pairs(parents: Parents, first: Offsets, second: Offsets) -> None:
    for i in range(len(first)):
        unite(parents, first[i], second[i])


def roots(parents: Parents) -> Parents:
    """Point every number at its root, in place, and return `parents`.

    >>> roots(np.array([0, 0, 1, 2])).tolist()
    [0, 0, 0, 0]
    """
    _flatten(parents)
    return parents


@kernel
def _flatten(parents: Parents) -> None:
    # Ascending, so the parent, which is smaller, points at its root already.
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]
