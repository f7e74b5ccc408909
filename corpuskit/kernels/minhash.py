"""MinHash signatures, their bands, and the true Jaccard similarity of sets of hashes.

Permutations are datasketch 2's `affine32`: the low 32 bits of a hash go through MurmurHash3's finaliser, then
permutation k maps h to `a[k] * h + b[k]` modulo 2**32, `a[k]` odd, so that it is a bijection. A signature
equals `datasketch.MinHash(permutations, seed=seed, hashfunc=lambda h: h & 0xFFFFFFFF)` fed the same hashes.

Source: Broder 1997, "On the resemblance and containment of documents"; datasketch 2.0.0, scheme affine32.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import kernel
from corpuskit.kernels.hashing import Hashes, mix64
from corpuskit.kernels.unionfind import Parents, find, unite
from corpuskit.kernels.utf8 import Offsets, readonly

Signatures = npt.NDArray[np.uint32]
UInt = Any
"""An unsigned scalar in a kernel: numba wraps it around, numpy's stubs do not take it for an int."""

EMPTY = 0xFFFFFFFF
"""The minimum over no hash at all."""
COMPARED = 16
"""In a bucket of a band, a set is compared with the first 16 and with the 16 before it: linear in the bucket,
and every pair in a bucket of up to 33."""

_M1 = np.uint32(0x85EBCA6B)
_M2 = np.uint32(0xC2B2AE35)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def permutations(count: int, seed: int) -> tuple[Signatures, Signatures]:
    """Return the multipliers and the addends of `count` permutations, uint32 each.

    numpy's RandomState is frozen: a seed gives the same permutations for ever, and datasketch's.

    >>> a, b = permutations(4, 1)
    >>> [int(value) & 1 for value in a]
    [1, 1, 1, 1]
    """
    random = np.random.RandomState(seed)
    a = random.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, random.randint(0, 1 << 32, count, dtype=np.uint32)


def signatures(hashes: Hashes, offsets: Offsets, a: Signatures, b: Signatures) -> Signatures:
    """Return the MinHash signature of each text's hashes.

    Args:
        hashes: uint64; repeats change nothing.
        offsets: int64, n + 1; text i has the hashes `offsets[i]` to `offsets[i + 1]`.
        a: Multipliers, as `permutations` returns them.
        b: Addends, likewise.

    Returns:
        uint32, n x permutations. A text without a hash has `EMPTY` everywhere, as in datasketch.

    >>> a, b = permutations(2, 1)
    >>> signatures(np.array([7, 7], np.uint64), np.array([0, 2, 2]), a, b)[1].tolist()
    [4294967295, 4294967295]
    """
    out = np.full((len(offsets) - 1, len(a)), EMPTY, np.uint32)
    _signatures(readonly(hashes), readonly(offsets), readonly(a), readonly(b), out)
    return out


@kernel
def _scramble(value: UInt) -> UInt:
    """MurmurHash3's 32-bit finaliser."""
    mixed = np.uint32(value)
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(16))) * _M1)
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(13))) * _M2)
    return np.uint32(mixed ^ (mixed >> np.uint32(16)))


@kernel
def _signatures(hashes: Hashes, offsets: Offsets, a: Signatures, b: Signatures, out: Signatures) -> None:
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        row = out[text]
        at = start
        # Eight hashes a turn: the signature is loaded and stored once for all of them.
        while at + 8 <= end:
            h0, h1 = _scramble(hashes[at]), _scramble(hashes[at + 1])
            h2, h3 = _scramble(hashes[at + 2]), _scramble(hashes[at + 3])
            h4, h5 = _scramble(hashes[at + 4]), _scramble(hashes[at + 5])
            h6, h7 = _scramble(hashes[at + 6]), _scramble(hashes[at + 7])
            for k in range(len(a)):
                low = min(row[k], np.uint32(a[k] * h0 + b[k]))
                low = min(low, np.uint32(a[k] * h1 + b[k]))
                low = min(low, np.uint32(a[k] * h2 + b[k]))
                low = min(low, np.uint32(a[k] * h3 + b[k]))
                low = min(low, np.uint32(a[k] * h4 + b[k]))
                low = min(low, np.uint32(a[k] * h5 + b[k]))
                low = min(low, np.uint32(a[k] * h6 + b[k]))
                row[k] = min(low, np.uint32(a[k] * h7 + b[k]))
            at += 8
        while at < end:
            h = _scramble(hashes[at])
            for k in range(len(a)):
                row[k] = min(row[k], np.uint32(a[k] * h + b[k]))
            at += 1


@kernel
def _fold(value: UInt, item: UInt) -> UInt:
    return mix64((value ^ np.uint64(item)) + _GOLDEN)


def band_hashes(rows: Signatures, bands: int) -> Hashes:
    """Return one 64-bit hash for each band of each signature.

    Args:
        rows: Signatures, n x permutations.
        bands: How many bands of `permutations // bands` neighbouring values; what is left over is not used.

    Returns:
        uint64, bands x n: two texts meet in a band where its hashes are equal.

    Raises:
        ValueError: there are more bands than permutations, or fewer than one.

    >>> hashes = band_hashes(np.array([[1, 2, 3, 4], [1, 2, 9, 9]], np.uint32), 2)
    >>> (hashes[:, 0] == hashes[:, 1]).tolist()
    [True, False]
    """
    if not 1 <= bands <= rows.shape[1]:
        raise ValueError(f"{bands} bands do not fit into {rows.shape[1]} permutations")
    out = np.empty((bands, len(rows)), np.uint64)
    _band_hashes(readonly(rows), rows.shape[1] // bands, out)
    return out


@kernel
def _band_hashes(rows: Signatures, size: int, out: Hashes) -> None:
    for text in range(len(rows)):
        for band in range(len(out)):
            value: UInt = np.uint64(band)
            for k in range(band * size, (band + 1) * size):
                value = _fold(value, rows[text, k])
            out[band, text] = value


def sequence_hashes(hashes: Hashes, offsets: Offsets) -> Hashes:
    """Return one 64-bit hash of each text's hashes in their order, uint64; 0 for a text without any.

    Every step is mixed, so that texts cannot be built to collide as they can for a polynomial modulo 2**64.

    >>> one, two, none = sequence_hashes(np.array([1, 2, 2, 1], np.uint64), np.array([0, 2, 4, 4]))
    >>> bool(one == two), int(none)
    (False, 0)
    """
    out = np.zeros(len(offsets) - 1, np.uint64)
    _sequence_hashes(readonly(hashes), readonly(offsets), out)
    return out


@kernel
def _sequence_hashes(hashes: Hashes, offsets: Offsets, out: Hashes) -> None:
    for text in range(len(out)):
        value: UInt = np.uint64(0)
        for at in range(offsets[text], offsets[text + 1]):
            value = _fold(value, hashes[at])
        out[text] = value


def sets(hashes: Hashes, offsets: Offsets) -> tuple[Hashes, Offsets]:
    """Return each text's hashes as a sorted set.

    Returns:
        `members` (uint64) and `offsets` (int64, n + 1): the members of text i ascend and do not repeat.

    >>> members, offsets = sets(np.array([3, 1, 3, 2], np.uint64), np.array([0, 3, 4]))
    >>> members.tolist(), offsets.tolist()
    ([1, 3, 2], [0, 2, 3])
    """
    members = hashes[offsets[0] : offsets[-1]].copy()
    edges = offsets - offsets[0]
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        members[start:end].sort()  # numpy's sort is vectorised; numba's is not
    bounds = np.zeros(len(offsets), np.int64)
    _drop_repeats(members, readonly(edges), bounds)
    return members[: bounds[-1]], bounds


@kernel
def _drop_repeats(members: Hashes, edges: Offsets, bounds: Offsets) -> None:
    put = 0
    for text in range(len(edges) - 1):
        first = put
        for at in range(edges[text], edges[text + 1]):
            if put == first or members[at] != members[put - 1]:
                members[put] = members[at]
                put += 1
        bounds[text + 1] = put


@kernel
def similarity(members: Hashes, offsets: Offsets, one: int, two: int, least: float) -> float:
    """Return the Jaccard similarity of two sets, or 0 as soon as it is seen to be below `least`.

    Args:
        members: As `sets` returns them.
        offsets: Likewise.
        one: Number of a set.
        two: Number of another.
        least: The similarity of interest; 0 computes it in any case. Two empty sets have 0.

    >>> members, offsets = sets(np.array([1, 2, 3, 2, 3, 4], np.uint64), np.array([0, 3, 6]))
    >>> similarity(members, offsets, 0, 1, 0.0), similarity(members, offsets, 0, 1, 0.6)
    (0.5, 0.0)
    """
    i, i_end = offsets[one], offsets[one + 1]
    j, j_end = offsets[two], offsets[two + 1]
    total = (i_end - i) + (j_end - j)
    if total == 0 or min(i_end - i, j_end - j) < least * max(i_end - i, j_end - j):
        return 0.0
    # shared >= J * union and total = union + shared, so the union is at most total / (1 + J).
    most = total / (1.0 + least) + 0.5
    union = 0
    shared = 0
    while i < i_end and j < j_end:
        left, right = members[i], members[j]
        shared += left == right
        i += left <= right
        j += right <= left
        union += 1
        if union > most:
            return 0.0
    found = shared / (total - shared)
    return found if found >= least else 0.0


def similarities(members: Hashes, offsets: Offsets, one: Offsets, two: Offsets) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarities of the sets `one[i]` and `two[i]`, float64.

    >>> members, offsets = sets(np.array([1, 2, 3, 2, 3, 4], np.uint64), np.array([0, 3, 6]))
    >>> similarities(members, offsets, np.array([0, 0]), np.array([0, 1])).tolist()
    [1.0, 0.5]
    """
    out = np.empty(len(one), np.float64)
    _similarities(readonly(members), readonly(offsets), readonly(one), readonly(two), out)
    return out


@kernel
def _similarities(
    members: Hashes, offsets: Offsets, one: Offsets, two: Offsets, out: npt.NDArray[np.float64]
) -> None:
    for i in range(len(out)):
        out[i] = similarity(members, offsets, one[i], two[i], 0.0)


def confirm_band(values: Hashes, members: Hashes, offsets: Offsets, least: float, parents: Parents) -> None:
    """Join, in `parents`, the sets that meet in a band and are alike.

    Args:
        values: uint64, the hash of each set in the band; sets are ordered by preference.
        members: As `sets` returns them.
        offsets: Likewise.
        least: The Jaccard similarity from which two sets are alike, above 0.
        parents: As `unionfind.singletons` returns them; pairs joined already are not compared.

    >>> members, offsets = sets(np.array([1, 2, 1, 2, 3, 8], np.uint64), np.array([0, 2, 5, 6]))
    >>> parents = np.arange(3)
    >>> confirm_band(np.zeros(3, np.uint64), members, offsets, 0.6, parents)
    >>> parents.tolist()
    [0, 0, 2]
    """
    order = np.argsort(values, kind="stable")
    found = readonly(members), readonly(offsets)
    _compare_band(readonly(values), readonly(order), found, least, _Task(0, True), parents)


class _Task(NamedTuple):
    """What is done with a band: from which set on, and whether sets are joined or linked."""

    first: int
    joins: bool


@kernel
def _compare_band(
    values: Hashes, order: Offsets, found: tuple[Hashes, Offsets], least: float, task: _Task, out: Parents
) -> None:
    """Compare the sets of each bucket of a band, from `task.first` on, with those before them."""
    members, offsets = found
    start = 0
    for at in range(1, len(order) + 1):
        if at < len(order) and values[order[at]] == values[order[start]]:
            continue
        for j in range(1, at - start):
            two = order[start + j]
            for k in range(min(j, 2 * COMPARED) if two >= task.first else 0):
                one = order[start + (k if k < COMPARED else k + max(0, j - 2 * COMPARED))]
                if task.joins:
                    _confirm(members, offsets, one, two, least, out)
                else:
                    _link(members, offsets, one, two, least, out)
        start = at


@kernel
def _confirm(members: Hashes, offsets: Offsets, one: int, two: int, least: float, parents: Parents) -> None:
    if find(parents, one) != find(parents, two) and similarity(members, offsets, one, two, least) > 0.0:
        unite(parents, one, two)


def link_band(
    values: Hashes, members: Hashes, offsets: Offsets, least: float, first: int, links: Offsets
) -> None:
    """Link, in `links`, each set to the smallest before it that it meets in a band and is like.

    What a set is linked to depends on the sets before it alone. The pairs compared are those of
    `confirm_band`.

    Args:
        values: uint64, the hash of each set in the band; sets are ordered by preference.
        members: As `sets` returns them.
        offsets: Likewise.
        least: The Jaccard similarity from which two sets are alike, above 0.
        first: Sets before this one are not linked to others.
        links: int64, the set that each is linked to so far, at first itself; only ever made smaller.

    >>> members, offsets = sets(np.array([1, 2, 3, 4, 1, 2, 3, 4], np.uint64), np.array([0, 2, 4, 8]))
    >>> links = np.arange(3)
    >>> link_band(np.zeros(3, np.uint64), members, offsets, 0.5, 0, links)
    >>> links.tolist()
    [0, 1, 0]
    """
    order = np.argsort(values, kind="stable")
    found = readonly(members), readonly(offsets)
    _compare_band(readonly(values), readonly(order), found, least, _Task(first, False), links)


@kernel
def _link(members: Hashes, offsets: Offsets, one: int, two: int, least: float, links: Offsets) -> None:
    if one < links[two] and similarity(members, offsets, one, two, least) > 0.0:
        links[two] = one
