"""The n-gram Bloom filter: runs of n normalised words, in memory or in a file that is mapped into memory."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files, settings
from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.kernels import bloom
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.ngrams import ngram_hashes
from corpuskit.kernels.utf8 import Bytes, Offsets, buffers
from corpuskit.kernels.words import normalised_word_hashes

__all__ = ["MAGIC", "PROBES", "Header", "NgramFilter", "grams_of", "in_shard"]

Flags = npt.NDArray[np.bool_]

MAGIC = b"CKBLOOM1"
PROBES = 1_000_000
"""Random hashes that a filter is asked for before it is saved; none of them was added."""
_ALIGNMENT = 4096
_MOST_LINES = 1 << 32
_PROBE_SEED = 0x6E6772616D73


@dataclass(frozen=True)
class Header:
    """What a filter was made for: two filters with equal headers and documents have equal bytes."""

    n: int = 8
    rate: float = 1e-8
    seed: int = 1
    capacity: int = 1_000_000
    shard: int = 0
    bits: int = 0
    """It holds the n-grams whose hash begins with the `bits` bits of `shard`; all of them where bits is 0."""
    inputs: tuple[str, ...] = ()
    """sha256 of the manifest of every dataset it was built from."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"n is {self.n}", fix="at least 1 word")
        if not 1e-12 <= self.rate <= 0.5:
            raise UsageError(f"the false-positive rate is {self.rate:g}", fix="between 1e-12 and .5")
        if not 0 <= self.seed < 1 << 63:
            raise UsageError(f"seed is {self.seed}", fix="0 or more, below 2**63")
        if self.capacity < 0:
            raise UsageError(f"the capacity is {self.capacity}", fix="0 or more n-grams")

    def differences(self, other: Header) -> list[str]:
        """Name the fields in which another differs, with both values: its own first."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in _FIELDS}
        return [
            f"{name} is {_told(one)}, not {_told(two)}" for name, (one, two) in pairs.items() if one != two
        ]


_FIELDS = dataclasses.fields(Header)


def _told(value: Any) -> str:  # noqa: ANN401 - a field of the header
    return ", ".join(item[:12] for item in value) or "none" if isinstance(value, tuple) else str(value)


def grams_of(data: Bytes, offsets: Offsets, n: int) -> tuple[Hashes, Offsets]:
    """Hash every run of n normalised words of each text; see `corpuskit.kernels.ngrams.ngram_hashes`.

    A text of fewer than n words has none.
    """
    return ngram_hashes(*normalised_word_hashes(data, offsets), n)


def in_shard(hashes: Hashes, shard: int, bits: int) -> Flags:
    """Say which hashes begin with the `bits` bits of `shard`."""
    if not bits:
        return np.ones(len(hashes), bool)
    return np.asarray(hashes >> np.uint64(64 - bits) == np.uint64(shard))


class NgramFilter:
    """A Bloom filter of runs of n normalised words; where it errs, it knows one that was never added.

    Words are normalised as in the GPT-2 paper: lower-case, letters and digits, one space between them. What a
    single string answers is what the bulk methods answer.

    Source: Radford et al. 2019 (GPT-2), section 4. Deviation: words in scripts without spaces
    are cut in twos.

    Raises:
        UsageError: A setting of the header makes no sense.
        DoesNotFit: The table is larger than this machine's memory.

    >>> seen = NgramFilter(Header(n=3, capacity=1000))
    >>> seen.add("To be, or"), "to be or" in seen, "be or not" in seen, len(seen)
    (False, True, False, 1)
    """

    def __init__(self, header: Header, *, table: Hashes | None = None, count: int = 0) -> None:
        self.header = header
        self.size = bloom.sizing(header.capacity, header.rate)
        if table is None:
            _check_fits(self.size, header)
            table = bloom.empty_table(self.size)
        self._table = table
        self._count = count

    def __len__(self) -> int:
        """Return how many distinct n-grams were added."""
        return self._count

    def __contains__(self, words: str) -> bool:
        """Say whether a run of n words may have been added.

        Raises:
            UsageError: The text does not have exactly n words, so it cannot be an element.
        """
        return bool(self.contains(self._hash(words))[0])

    def add(self, words: str) -> bool:
        """Add a run of n words, and say whether it was there before.

        Raises:
            UsageError: The text does not have exactly n words.
            DoesNotFit: The filter is full.
        """
        return bool(self.add_hashes(self._hash(words))[0])

    def add_texts(self, texts: pa.Array) -> Flags:
        """Add every n-gram of some texts; say of each, in order, whether it was there before its turn."""
        return self.add_hashes(grams_of(*buffers(texts), self.header.n)[0])

    def contains_texts(self, texts: pa.Array) -> Flags:
        """Say of every n-gram of some texts, in order, whether it may have been added."""
        return self.contains(grams_of(*buffers(texts), self.header.n)[0])

    def contains(self, hashes: Hashes) -> Flags:
        """Say of hashes, as `grams_of` returns them, whether they may have been added."""
        found = bloom.contains(self._table, hashes, self.header.seed)
        if self.header.bits:
            found &= in_shard(hashes, self.header.shard, self.header.bits)
        return found

    def add_hashes(self, hashes: Hashes) -> Flags:
        """Add hashes, and say of each whether it was there before its turn; see `add_units`."""
        room = self.header.capacity - self._count
        return self._added(len(hashes), *bloom.add(self._table, hashes, self.header.seed, room=room))

    def add_units(self, hashes: Hashes, units: Offsets) -> Flags:
        """Add the hashes of documents (or paragraphs), and say of each whether an earlier document had it.

        Args:
            hashes: uint64, as `grams_of` returns them, all of this filter's shard.
            units: int64; document i has the hashes `units[i]` to `units[i + 1]`.

        Raises:
            DoesNotFit: There are more distinct n-grams than it was sized for. It keeps those that fit.
        """
        room = self.header.capacity - self._count
        added = bloom.add_units(self._table, hashes, units, self.header.seed, room=room)
        return self._added(len(hashes), *added)

    def _added(self, wanted: int, known: Flags, done: int, new: int) -> Flags:
        self._count += new
        if done < wanted:
            raise DoesNotFit(
                f"the filter holds {self._count:,} n-grams, as many as it was made for: one more would break "
                f"its rate of {self.header.rate:g}",
                fix="count the n-grams first, and make it with that capacity",
            )
        return known

    def __or__(self, other: NgramFilter) -> NgramFilter:
        """Return a filter of what either holds, as `union` of pybloom-live does.

        Raises:
            UsageError: They differ in n, rate, seed, capacity or shard.
            DoesNotFit: Together they hold more than the capacity.
        """
        table = self._table | self._alike(other)._table
        count = bloom.estimate(table)
        most = len(self) + len(other)
        capacity = self.header.capacity
        if most > capacity and count > capacity + 3 * math.isqrt(capacity):
            raise DoesNotFit(
                f"the union holds about {count:,} n-grams, and was made for {capacity:,}",
                fix="make both filters with the capacity of the union",
            )
        return self._with(other, table, min(most, max(count, len(self), len(other))))

    union = __or__

    def __and__(self, other: NgramFilter) -> NgramFilter:
        """Return a filter of what both hold, as `intersection` of pybloom-live does.

        It may err more often than a filter made of what both hold, never more than either of the two.

        Raises:
            UsageError: They differ in n, rate, seed, capacity or shard.
        """
        table = self._table & self._alike(other)._table
        return self._with(other, table, min(len(self), len(other), bloom.estimate(table)))

    intersection = __and__

    def _alike(self, other: NgramFilter) -> NgramFilter:
        mine = dataclasses.replace(self.header, inputs=other.header.inputs)
        if found := mine.differences(other.header):
            raise UsageError(
                f"the filters differ: {'; '.join(found)}", fix="make both with the same settings"
            )
        return other

    def _with(self, other: NgramFilter, table: Hashes, count: int) -> NgramFilter:
        inputs = tuple(sorted({*self.header.inputs, *other.header.inputs}))
        return NgramFilter(dataclasses.replace(self.header, inputs=inputs), table=table, count=count)

    def measure(self, probes: int = PROBES) -> int:
        """Ask for random n-grams that were never added, always the same; return how many it claims to know.

        Raises:
            AssertionError: So many that the rate it was made for cannot be true.
        """
        hashes = bloom.probe_hashes(probes, _PROBE_SEED)
        if self.header.bits:
            hashes = (hashes >> np.uint64(self.header.bits)) | np.uint64(
                self.header.shard << 64 - self.header.bits
            )
        hits = int(self.contains(hashes).sum())
        expected = self.header.rate * probes
        if hits > expected + 6 * math.sqrt(expected) + 6:
            raise AssertionError(f"{hits} of {probes} random probes hit, at a rate of {self.header.rate:g}")
        return hits

    def save(self, path: str) -> None:
        """Write the filter whole or not at all, with its rate as measured by a million random probes."""
        told = {**dataclasses.asdict(self.header), "inputs": list(self.header.inputs)}
        told |= {"lines": self.size.lines, "probes": bloom.PROBES, "count": self._count}
        told["measured"] = {"probes": PROBES, "hits": self.measure()}
        head = settings.canonical(told).encode()
        start = MAGIC + len(head).to_bytes(8, "little") + head
        temporary = files.scratch(path.rsplit("/", 1)[0] if "/" in path else ".")
        with temporary.open("wb") as file:
            file.write(start + bytes(-len(start) % _ALIGNMENT))
            file.write(self._table.astype("<u8", copy=False).data)
        files.commit(temporary, path)

    @classmethod
    def load(cls, path: str, *, expect: Header | None = None) -> NgramFilter:
        """Open a saved filter, mapped into memory for reading.

        Args:
            path: A local file; a file behind a URL is read whole.
            expect: What it must have been made for.

        Raises:
            InputError: It is missing, damaged, or stale: made from other documents or with other settings.
        """
        told, start = read_header(path)
        try:
            header = Header(**{field.name: told[field.name] for field in _FIELDS if field.name != "inputs"})
            header = dataclasses.replace(header, inputs=tuple(told["inputs"]))
            size = bloom.Sizing(int(told["lines"]), header.rate)
            count = int(told["count"])
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise InputError(f"the header of {path} is damaged: {error!r}", fix=_AGAIN) from None
        if (
            told.get("probes") != bloom.PROBES
            or size.lines < 1
            or files.size(path) != start + size.table_bytes
        ):
            raise InputError(f"{path} is damaged: it is not as long as its header says", fix=_AGAIN)
        if expect is not None and (found := header.differences(expect)):
            raise InputError(f"{path} is not the filter that is wanted: {'; '.join(found)}", fix=_STALE)
        table = _table(path, start, size.table_bytes // 8)
        made = cls(header, table=table, count=count)
        made.size = size
        return made

    def _hash(self, words: str) -> Hashes:
        counted, _ = normalised_word_hashes(*buffers(pa.array([words], pa.large_string())))
        if len(counted) != self.header.n:
            raise UsageError(
                f"{words!r} has {len(counted)} words, and the filter holds runs of {self.header.n}"
            )
        return ngram_hashes(counted, np.array([0, len(counted)]), self.header.n)[0]


_AGAIN = "build it again"
_STALE = "remove it, or name another file or folder for the filters"


def _check_fits(size: bloom.Sizing, header: Header) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size.table_bytes > memory or size.lines >= _MOST_LINES:
        raise DoesNotFit(
            f"a filter of {header.capacity:,} n-grams at a rate of {header.rate:g} takes "
            f"{size.table_bytes / 2**30:,.1f} GiB, and this machine has {memory / 2**30:,.1f} GiB",
            fix="raise the rate, or build several filters by hash prefix as `dedup ngram` does",
        )


def read_header(path: str) -> tuple[Mapping[str, Any], int]:
    """Return what a saved filter says of itself, and where its table begins.

    Raises:
        InputError: It is missing or no filter of ours.
    """
    with files.open_input(path) as file:
        start = file.read(len(MAGIC) + 8)
        length = int.from_bytes(start[len(MAGIC) :], "little")
        if start[: len(MAGIC)] != MAGIC or length > 1 << 24:
            raise InputError(f"{path} is not an n-gram filter")
        head = file.read(length)
    try:
        told = json.loads(head)
    except ValueError as error:
        raise InputError(f"the header of {path} is damaged: {error}", fix=_AGAIN) from None
    if not isinstance(told, dict):
        raise InputError(f"the header of {path} is damaged", fix=_AGAIN)
    end = len(start) + length
    return told, end + -end % _ALIGNMENT


def _table(path: str, start: int, words: int) -> Hashes:
    if files.is_url(path):
        found = np.frombuffer(files.read_bytes(path), "<u8", words, start)
    else:
        found = np.memmap(Path(path), "<u8", "r", start, (words,))
    return np.asarray(found, np.uint64)
