"""How much of each source a mix takes: what was asked for, and what that makes of each document."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, UsageError
from corpuskit.settings import parse_size, suggest

__all__ = ["COUNTS", "SHARES", "WAYS", "Share", "apportion", "check_sources", "read_amounts", "shares_told"]

WAYS = ("weight", "epochs", "budget")
"""The settings that can say how much of each source there is to be."""

COUNTS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("counted", pa.int64(), nullable=False),
    ]
)
"""What is known of each document when the shares are found: its source, its draw, and its tokens."""

BIN_BITS = 16
"""The key at which a source is cut off lies in one of 2**16 bins; only that bin's documents are sorted."""


@dataclass(frozen=True)
class Share:
    """What a mix takes of a source: each document `repeats` times, once more if its key is below `cutoff`.

    `counted` is in the unit of the mix (tokens, say), as is `counted_out`, which is at most the budget and
    less than it by fewer than one document has.
    """

    source: str
    documents: int
    counted: int
    repeats: int
    cutoff: int
    documents_out: int
    counted_out: int

    @property
    def epochs(self) -> float:
        """How often the source is seen; 0 where there is nothing to see."""
        return self.counted_out / self.counted if self.counted else 0.0

    def facts(self, unit: str) -> dict[str, int]:
        """Return the counts as a manifest tells them; `shares_told` reads them back.

        >>> Share("books", 3, 30, 1, 9, 5, 48).facts("tokens")["books: tokens out"]
        48
        """
        return {
            f"{self.source}: documents in": self.documents,
            f"{self.source}: documents out": self.documents_out,
            f"{self.source}: {unit} in": self.counted,
            f"{self.source}: {unit} out": self.counted_out,
        }


SHARES = pa.schema(
    [
        pa.field(item.name, {"source": pa.string(), "cutoff": pa.uint64()}.get(item.name, pa.int64()))
        for item in dataclasses.fields(Share)
    ]
)
"""A row for each source of a mix, sorted by name."""


def shares_told(facts: Mapping[str, int], unit: str) -> list[Share]:
    """Read back the shares that a manifest tells, without how often and up to which key documents were taken.

    >>> shares_told(Share("books", 3, 30, 1, 9, 5, 48).facts("tokens"), "tokens")
    [Share(source='books', documents=3, counted=30, repeats=0, cutoff=0, documents_out=5, counted_out=48)]
    """
    end = ": documents in"
    return [
        Share(
            source,
            facts[f"{source}{end}"],
            facts[f"{source}: {unit} in"],
            0,
            0,
            facts[f"{source}: documents out"],
            facts[f"{source}: {unit} out"],
        )
        for source in sorted(name.removesuffix(end) for name in facts if name.endswith(end))
    ]


def read_amounts(told: Iterable[str], way: str) -> dict[str, Fraction]:
    """Read `SOURCE=NUMBER`, exactly; a budget may have a unit.

    Raises:
        UsageError: One is not of that form, or a source is named twice.

    >>> read_amounts(["a=0.6", "b=2"], "weight")
    {'a': Fraction(3, 5), 'b': Fraction(2, 1)}
    """
    found: dict[str, Fraction] = {}
    example = {"weight": "0.6", "epochs": "2.9", "budget": "60G"}[way]
    for item in told:
        source, _, number = item.rpartition("=")
        plain = re.fullmatch(r"[0-9]{0,18}\.?[0-9]{1,18}", number.strip())
        if not source.strip() or not (plain or (way == "budget" and number.strip()[:1].isdigit())):
            raise UsageError(
                f"shard.mix: {way} {item!r} is not SOURCE=NUMBER", fix=f"write it like webtext={example}"
            )
        source = source.strip()
        if source in found:
            raise UsageError(f"shard.mix: {way} names {source!r} twice", fix="name each source once")
        size = way == "budget" and not plain
        found[source] = Fraction(parse_size(number, f"shard.mix: {item}") if size else number.strip())
    return found


def check_sources(named: Sequence[str], present: Iterable[str], way: str) -> None:
    """Check that a mix names the sources there are, each of them and no other.

    Raises:
        UsageError: A source is named that no document has, or one that documents have is not.
    """
    there = set(present)
    if unknown := sorted(set(named) - there):
        what = f"shard.mix: no document has the source {unknown[0]!r}, which {way} names"
        raise UsageError(what, fix=suggest(unknown[0], there))
    if left := sorted(there - set(named)):
        what = f"shard.mix: {way} does not say how much of {', '.join(map(repr, left[:5]))}"
        more = f" and {len(left) - 5} more sources" if len(left) > 5 else ""
        raise UsageError(what + more, fix=f"name it too, or leave it out with --{way} '{left[0]}=0'")


@dataclass
class _Tally:
    """The documents of one source, counted by bin of the key."""

    documents: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << BIN_BITS, np.int64))
    counted: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << BIN_BITS, np.int64))


@dataclass
class _Cut:
    """Where one source is cut off: the bin, what is below it, and the documents in it."""

    bin: int
    documents: int
    counted: int
    keys: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    counts: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def at(self, rest: int) -> tuple[int, int, int]:
        """Return the key of the first document that exceeds `rest`; documents and counts below that key."""
        keys, counts = np.concatenate(self.keys), np.concatenate(self.counts)
        order = np.argsort(keys, kind="stable")
        place = int(np.searchsorted(np.cumsum(counts[order]), rest - self.counted, side="right"))
        cutoff = keys[order[place]]
        below = keys < cutoff
        return int(cutoff), self.documents + int(below.sum()), self.counted + int(counts[below].sum())


def apportion(counts: Dataset, budget: Callable[[str, int], int]) -> list[Share]:
    """Find the share of each source, sorted by name; `budget` is given its name and all it counts.

    A budget is the whole source as often as it goes into it, and the documents with the smallest keys for the
    rest. So what a smaller budget keeps is a part of what a larger one keeps, copy by copy. `counts` is read
    twice: in memory there is a megabyte for each source, and the documents of one bin of keys.

    Raises:
        InputError: There is a budget for a source that counts nothing.
    """
    tallies: dict[str, _Tally] = {}
    for source, keys, counted in _by_source(counts):
        tally, bins = tallies.setdefault(source, _Tally()), _bins(keys)
        np.add.at(tally.documents, bins, 1)
        np.add.at(tally.counted, bins, counted)
    whole: dict[str, tuple[int, int]] = {}
    cuts: dict[str, _Cut] = {}
    for source, tally in tallies.items():
        total = int(tally.counted.sum())
        asked = budget(source, total)
        if asked and not total:
            what = f"the {int(tally.documents.sum()):,} documents of {source!r} hold nothing to count"
            raise InputError(what, fix="leave the source out, with 0")
        repeats, rest = divmod(asked, total) if total else (0, 0)
        whole[source] = repeats, rest
        if rest:
            cuts[source] = _cut(tally, rest)
    for source, keys, counted in _by_source(counts):
        if source in cuts:
            inside = _bins(keys) == cuts[source].bin
            cuts[source].keys.append(keys[inside])
            cuts[source].counts.append(counted[inside])
    return [_share(source, tallies[source], *whole[source], cuts.get(source)) for source in sorted(tallies)]


def _by_source(
    counts: Dataset,
) -> Iterable[tuple[str, npt.NDArray[np.uint64], npt.NDArray[np.int64]]]:
    for batch in counts.batches():
        names = batch["source"].dictionary_encode()
        codes, keys, counted = np.asarray(names.indices), batch["key"].to_numpy(), batch["counted"].to_numpy()
        for code, source in enumerate(names.dictionary.to_pylist()):
            yield source, keys[codes == code], counted[codes == code]


def _bins(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return (keys >> np.uint64(64 - BIN_BITS)).astype(np.int64)


def _cut(tally: _Tally, rest: int) -> _Cut:
    """Find the bin of the first document that does not go into `rest`, which is less than the whole."""
    sums = np.cumsum(tally.counted)
    at = int(np.searchsorted(sums, rest, side="right"))
    return _Cut(at, int(tally.documents[:at].sum()), int(sums[at - 1]) if at else 0)


def _share(source: str, tally: _Tally, repeats: int, rest: int, cut: _Cut | None) -> Share:
    documents, counted = int(tally.documents.sum()), int(tally.counted.sum())
    cutoff, more, extra = cut.at(rest) if cut else (0, 0, 0)
    return Share(
        source, documents, counted, repeats, cutoff, repeats * documents + more, repeats * counted + extra
    )
