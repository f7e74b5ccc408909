"""A table of 128-bit keys that remembers where each was seen first."""

from typing import Any

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import readonly

Numbers = npt.NDArray[np.int64]
Entries = npt.NDArray[np.int32]
Word = Any
"""A uint64 inside a kernel; numba infers it."""

ENTRY_BYTES = 40
"""What a table takes for each key it has room for."""


class FirstSeen:
    """Keys in the order they came, each with the two numbers that came with it first.

    Attributes:
        numbers, places: int64, one an entry; only the first `count` have a meaning.
        count: Entries so far.

    >>> table = FirstSeen(4)
    >>> keys = np.array([7, 8, 7], np.uint64)
    >>> table.add((keys, keys), np.array([0, 1, 2]), np.array([5, 6, 7])).tolist()
    [0, 1, 0]
    >>> table.numbers[:table.count].tolist(), table.places[:table.count].tolist()
    ([0, 1], [5, 6])
    """

    def __init__(self, room: int) -> None:
        """Make an empty table with room for `room` keys; it grows where they are more, up to 2**30."""
        self.numbers: Numbers = np.empty(room, np.int64)
        self.places: Numbers = np.empty(room, np.int64)
        self.count = 0
        self._high: Hashes = np.empty(room, np.uint64)
        self._low: Hashes = np.empty(room, np.uint64)
        self._slots: Entries = _no_slots(room)

    def add(self, keys: tuple[Hashes, Hashes], numbers: Numbers, places: Numbers) -> Entries:
        """Add keys, both halves of each, that are not there yet; return the entry of each."""
        out = np.empty(len(numbers), np.int32)
        given = (readonly(keys[0]), readonly(keys[1]), readonly(numbers), readonly(places))
        done = 0
        while True:
            table = (self._high, self._low, self.numbers, self.places)
            self.count, done = _add(self._slots, table, self.count, given, out, done)
            if done == len(out):
                return out
            self._grow()

    def find(self, keys: tuple[Hashes, Hashes]) -> Entries:
        """Return the entry of each key, both halves of it; -1 where it is not there.

        >>> table = FirstSeen(1)
        >>> keys = np.array([7, 8], np.uint64)
        >>> _ = table.add((keys[:1], keys[:1]), np.array([0]), np.array([0]))
        >>> table.find((keys, keys)).tolist()
        [0, -1]
        """
        out = np.empty(len(keys[0]), np.int32)
        _find(self._slots, self.keys, (readonly(keys[0]), readonly(keys[1])), out)
        return out

    @property
    def keys(self) -> tuple[Hashes, Hashes]:
        """Both halves of the keys; only the first `count` have a meaning."""
        return self._high, self._low

    def _grow(self) -> None:
        room = 2 * len(self.numbers) + 16
        for name in ("numbers", "places", "_high", "_low"):
            grown = np.empty(room, getattr(self, name).dtype)
            grown[: self.count] = getattr(self, name)[: self.count]
            setattr(self, name, grown)
        self._slots = _no_slots(room)
        _place(self._slots, self._low, self.count)


def _no_slots(room: int) -> Entries:
    return np.full(1 << max(4, (2 * room - 1).bit_length()), -1, np.int32)


@kernel
def _slot(slots: Entries, keys: tuple[Hashes, Hashes], high: Word, low: Word) -> Int:
    """Return the slot of a key, or the empty one it would have, by linear probing."""
    mask = len(slots) - 1
    slot = np.int64(low & np.uint64(mask))
    while slots[slot] >= 0 and (keys[0][slots[slot]] != high or keys[1][slots[slot]] != low):
        slot = (slot + 1) & mask
    return slot


@kernel
def _find(slots: Entries, keys: tuple[Hashes, Hashes], given: tuple[Hashes, Hashes], out: Entries) -> None:
    for i in range(len(out)):
        out[i] = slots[_slot(slots, keys, given[0][i], given[1][i])]


@kernel
def _add(
    slots: Entries,
    table: tuple[Hashes, Hashes, Numbers, Numbers],
    count: Int,
    given: tuple[Hashes, Hashes, Numbers, Numbers],
    out: Entries,
    done: Int,
) -> tuple[Int, Int]:
    """Look up keys from `done` on; return entries and keys done, fewer if the table is full."""
    high, low, numbers, places = table
    for i in range(done, len(out)):
        slot = _slot(slots, (high, low), given[0][i], given[1][i])
        entry = np.int64(slots[slot])
        if entry < 0:
            if count == len(high):
                return count, i
            entry = count
            slots[slot] = entry
            high[entry], low[entry] = given[0][i], given[1][i]
            numbers[entry], places[entry] = given[2][i], given[3][i]
            count += 1
        out[i] = entry
    return count, len(out)


@kernel
def _place(slots: Entries, low: Hashes, count: Int) -> None:
    mask = len(slots) - 1
    for entry in range(count):
        slot = np.int64(low[entry] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = entry
