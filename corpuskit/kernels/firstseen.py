"""A table of 128-bit keys that remembers where each was seen first."""

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import readonly

Numbers = npt.NDArray[np.int64]
Entries = npt.NDArray[np.int32]

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
def _add(
    slots: Entries,
    table: tuple[Hashes, Hashes, Numbers, Numbers],
    count: Int,
    given: tuple[Hashes, Hashes, Numbers, Numbers],
    out: Entries,
    done: Int,
) -> tuple[Int, Int]:
    """Look up keys from `done` on, by linear probing; return entries and keys done, fewer if it is full."""
    high, low, numbers, places = table
    mask = len(slots) - 1
    for i in range(done, len(out)):
        slot = np.int64(given[1][i] & np.uint64(mask))
        entry = np.int64(slots[slot])
        while entry >= 0 and (high[entry] != given[0][i] or low[entry] != given[1][i]):
            slot = (slot + 1) & mask
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
