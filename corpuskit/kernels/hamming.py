"""64-bit hashes that differ in few bits, found by the pieces that they have in common.

Hashes within a distance d agree on at least one of any d + 1 pieces of their bits. So only those that agree
on a piece are compared; and where many do, the bits in which those differ are cut into pieces again. Nothing
is missed: what is joined is exactly what comparing every pair would join.

Source: Manku, Jain and Das Sarma 2007, "Detecting near-duplicates for web crawling", section 3.
"""

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.unionfind import Parents, find, unite, unite_pairs
from corpuskit.kernels.utf8 import Offsets, readonly

__all__ = ["ALL", "distances", "join_groups", "join_near", "pieces"]


ALL = (1 << 64) - 1
"""The mask of all bits."""
COMPARED = 512
"""Up to so many hashes of a group are compared pair by pair."""

_PAIRS = np.uint64(0x5555555555555555)
_FOURS = np.uint64(0x3333333333333333)
_EIGHTS = np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES = np.uint64(0x0101010101010101)


def distances(one: Hashes, two: Hashes) -> npt.NDArray[np.int64]:
    """Return in how many bits `one[i]` and `two[i]` differ, int64.

    >>> distances(np.array([0b1011], np.uint64), np.array([0b0010], np.uint64)).tolist()
    [2]
    """
    return np.asarray(np.bitwise_count(one ^ two), np.int64)


def pieces(bits: int, count: int) -> list[int]:
    """Divide the one bits of a mask into `count` masks of neighbours, as even as can be, lowest bits first.

    Raises:
        ValueError: There are fewer one bits than pieces, or no pieces are wanted.

    >>> [bin(mask) for mask in pieces(0b1110111, 3)]
    ['0b11', '0b10100', '0b1100000']
    """
    ones = [1 << place for place in range(bits.bit_length()) if bits >> place & 1]
    if not 1 <= count <= len(ones):
        raise ValueError(f"{len(ones)} bits cannot be cut into {count} pieces")
    edges = [len(ones) * piece // count for piece in range(count + 1)]
    return [sum(ones[start:end]) for start, end in zip(edges[:-1], edges[1:], strict=True)]


def join_near(hashes: Hashes, rows: Offsets, distance: int, parents: Parents) -> None:
    """Join, in `parents`, those of the `rows` whose hashes differ in at most `distance` bits.

    Args:
        hashes: uint64; `parents` has a number for each.
        rows: int64, which of them are compared.
        distance: 0 or more.
        parents: As `unionfind.singletons` returns them.

    >>> parents = np.arange(4)
    >>> join_near(np.array([0, 7, 1, 3], np.uint64), np.arange(4), 1, parents)
    >>> from corpuskit.kernels.unionfind import roots
    >>> roots(parents).tolist()
    [0, 0, 0, 0]
    """
    if len(rows) < 2:
        return
    mine = hashes[rows]
    differ = int(np.bitwise_or.reduce(mine ^ mine[0]))
    if differ.bit_count() <= distance:
        unite_pairs(parents, np.full(len(rows) - 1, rows[0]), rows[1:])
        return
    for mask in pieces(differ, distance + 1):
        values = mine & np.uint64(mask)
        order = np.argsort(values, kind="stable")
        ends = np.flatnonzero(np.diff(values[order])) + 1
        join_groups(hashes, rows[order], np.concatenate([[0], ends, [len(rows)]]), distance, parents)


def join_groups(hashes: Hashes, rows: Offsets, bounds: Offsets, distance: int, parents: Parents) -> None:
    """Join what `join_near` would within each group; nothing across groups.

    Args:
        hashes: uint64; `parents` has a number for each.
        rows: int64, group after group.
        bounds: int64, one more than there are groups: group g is `rows[bounds[g]:bounds[g + 1]]`.
        distance: 0 or more.
        parents: As `unionfind.singletons` returns them.

    >>> parents = np.arange(4)
    >>> join_groups(np.array([0, 1, 1, 3], np.uint64), np.arange(4), np.array([0, 2, 4]), 1, parents)
    >>> parents.tolist()
    [0, 0, 2, 2]
    """
    mine = hashes[rows]
    _compare(readonly(mine), readonly(rows), readonly(bounds), distance, COMPARED, parents)
    for group in np.flatnonzero(np.diff(bounds) > COMPARED).tolist():
        start, end = int(bounds[group]), int(bounds[group + 1])
        crowd = rows[start:end]
        if _joined(parents, readonly(crowd)):
            continue
        differ = int(np.bitwise_or.reduce(mine[start:end] ^ mine[start]))
        if differ.bit_count() <= distance or 1 << differ.bit_count() // (distance + 1) > distance + 1:
            join_near(hashes, crowd, distance, parents)
        else:  # pieces so short that a pair would be met in more of them than they save
            whole = np.array([0, len(crowd)])
            _compare(readonly(mine[start:end]), readonly(crowd), whole, distance, len(crowd), parents)


@kernel
def _ones(value: Int) -> Int:
    """Count one bits."""
    value = value - ((value >> np.uint64(1)) & _PAIRS)
    value = (value & _FOURS) + ((value >> np.uint64(2)) & _FOURS)
    value = (value + (value >> np.uint64(4))) & _EIGHTS
    return np.int64((value * _BYTES) >> np.uint64(56))


@kernel
def _compare(
    mine: Hashes, rows: Offsets, bounds: Offsets, distance: int, most: int, parents: Parents
) -> None:
    """Compare all pairs of every group of at most `most` hashes."""
    for group in range(len(bounds) - 1):
        start, end = bounds[group], bounds[group + 1]
        if end - start > most:
            continue
        for j in range(start + 1, end):
            for i in range(start, j):
                if _ones(mine[i] ^ mine[j]) <= distance:
                    unite(parents, rows[i], rows[j])


@kernel
def _joined(parents: Parents, rows: Offsets) -> bool:
    """Say whether all rows are in one set already."""
    root = find(parents, rows[0])
    for row in rows:  # noqa: SIM110 - numba compiles no generator
        if find(parents, row) != root:
            return False
    return True
