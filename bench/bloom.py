"""Bulk insert and query of n-grams at 1e-8, against rbloom and pybloom-live, and what the filter promises.

    python bench/bloom.py [--grams 1000000] [--rounds 3] [--json]

All sides get the same texts and normalise their words, and have a filter for as many 8-grams as there are.
The job is from texts to filter, and from texts to an answer for every 8-gram. The peers take strings one by
one, so beside the whole job the table has their time with all strings made beforehand, which corpuskit never
makes.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import measure

N = 8
RATE = 1e-8
WORD = re.compile(r"[a-z0-9]+")
PACKAGES = ("corpuskit", "rbloom", "pybloom-live", "numba", "numpy")
NEGATIVES = 10_000_000
PROBES = 1_000_000


def texts_of(grams: int, seed: int) -> list[str]:
    """Make texts of random words, 500 to a text, that hold `grams` distinct 8-grams in all.

    Every tenth word begins with a capital, and every tenth ends with a mark.
    """
    chance = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    words = [
        "".join(chance.choices(letters, range(26, 0, -1), k=chance.randint(1, 9))) for _ in range(50_000)
    ]
    texts = []
    while grams > 0:
        count = min(500, grams + N - 1)
        texts.append(" ".join(chance.choices(words, k=count)))
        grams -= count - N + 1
    return texts


def strings_of(texts: Iterable[str]) -> list[str]:
    """Make the 8-grams as the peers want them."""
    found = []
    for text in texts:
        words = WORD.findall(text.lower())
        found += [" ".join(words[i : i + N]) for i in range(len(words) - N + 1)]
    return found


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    """Do some work and say how many seconds it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def corpuskit_side(count: int) -> None:
    """Time ours."""
    import pyarrow as pa

    from corpuskit.dedup.bloom import Header, NgramFilter

    arrays = [pa.array(texts_of(count, seed), pa.large_string()) for seed in (1, 2)]

    def work() -> dict[str, Any]:
        seen, made = clocked(lambda: NgramFilter(Header(n=N, rate=RATE, capacity=count)))
        _, insert = clocked(lambda: seen.add_texts(arrays[0]))
        known, query = clocked(lambda: [int(seen.contains_texts(array).sum()) for array in arrays])
        return {"insert": made + insert, "query": query, "known": known, "bytes": seen.size.table_bytes}

    def warm_up() -> None:
        seen = NgramFilter(Header())
        seen.add_texts(arrays[0][:10])
        seen.contains_texts(arrays[0][:10])

    measure.timed(warm_up, work, PACKAGES)


def peer_side(count: int, make: Callable[[], Any], insert: Callable[[Any, Iterable[str]], Any]) -> None:
    """Time a filter that takes strings."""
    texts = [texts_of(count, seed) for seed in (1, 2)]

    def work() -> dict[str, Any]:
        (ready, unseen), made = clocked(lambda: [strings_of(some) for some in texts])
        seen = make()
        _, bare_insert = clocked(lambda: insert(seen, ready))
        known, bare_query = clocked(lambda: [sum(gram in seen for gram in some) for some in (ready, unseen)])
        return {
            "insert": made / 2 + bare_insert,
            "query": made + bare_query,
            "bare_insert": bare_insert,
            "bare_query": bare_query,
            "known": known,
        }

    measure.timed(lambda: None, work, PACKAGES)


def rbloom_side(count: int) -> None:
    """Time rbloom, with Python's own hash, its fastest."""
    from rbloom import Bloom

    peer_side(count, lambda: Bloom(count, RATE), lambda seen, grams: seen.update(grams))


def pybloom_side(count: int) -> None:
    """Time pybloom-live, spared the look before it adds."""
    from pybloom_live import BloomFilter

    def insert(seen: Any, grams: Iterable[str]) -> None:  # noqa: ANN401 - it has no types
        for gram in grams:
            seen.add(gram, skip_check=True)

    peer_side(count, lambda: BloomFilter(count, RATE), insert)


def promises_side(count: int) -> None:
    """Ask a full filter for generated strings that were never added, and for all that were."""
    import pyarrow as pa

    from corpuskit.dedup.bloom import Header, NgramFilter
    from corpuskit.kernels.bloom import probe_hashes

    def work() -> dict[str, Any]:
        seen = NgramFilter(Header(n=N, rate=RATE, capacity=count))
        seen.add_texts(pa.array(texts_of(count, 1), pa.large_string()))
        others = seen.contains_texts(pa.array(texts_of(PROBES, 3), pa.large_string()))
        large = NgramFilter(Header(n=N, rate=RATE, capacity=NEGATIVES))
        hashes = probe_hashes(NEGATIVES, 5)
        large.add_hashes(hashes)
        return {
            "count": len(seen),
            "capacity": count,
            "random_strings": len(others),
            "hits": int(others.sum()),
            "random_hashes_hit": large.measure(),
            "added": len(large),
            "false_negatives": int((~large.contains(hashes)).sum()),
        }

    measure.timed(lambda: None, work, PACKAGES)


SIDES = {
    "corpuskit": corpuskit_side,
    "rbloom": rbloom_side,
    "pybloom-live": pybloom_side,
    "promises": promises_side,
}


def row_of(name: str, found: dict[str, Any], ours: dict[str, Any], count: int) -> list[str]:
    """Write one side's row: millions of 8-grams a second, and how many times ours is faster."""
    cells = [name]
    for prefix in ("", "bare_"):
        for job, grams in (("insert", count), ("query", 2 * count)):
            seconds = found.get(prefix + job)
            if seconds is None:
                cells.append("")
            else:
                cells.append(f"{grams / seconds / 1e6:.2f} ({seconds / ours[job]:.0f}x)")
    return cells


def main(arguments: Sequence[str]) -> None:
    """Run all sides in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--grams", type=int, default=1_000_000, help="8-grams to insert")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.side:
        SIDES[given.side](given.grams)
        return
    size = str(given.grams)
    sides = {
        name: lambda name=name: measure.side(sys.executable, __file__, name, "--grams", size)
        for name in ("corpuskit", "rbloom", "pybloom-live")
    }
    found = measure.rounds(given.rounds, sides)
    promises = measure.side(sys.executable, __file__, "promises", "--grams", size)
    if given.json:
        print(json.dumps({"machine": measure.machine(), "sides": found, "promises": promises}))
        return
    heading = ["millions a second", "insert", "query", "insert, strings ready", "query, strings ready"]
    rows = [heading] + [row_of(name, one, found["corpuskit"], given.grams) for name, one in found.items()]
    notes = [
        f"{given.grams:,} distinct {N}-grams at {RATE:g}; queries: all of them, and as many not added.",
        "(10x): corpuskit, from texts, is 10 times as fast. corpuskit never makes strings.",
        f"A full filter, asked for {promises['random_strings']:,} random strings: {promises['hits']} hits.",
        f"Of {promises['added']:,} that were added, {promises['false_negatives']} are not found.",
        f"Table: {8 * found['corpuskit']['bytes'] / given.grams:.1f} bits an element.",
        f"Versions: {json.dumps(found['rbloom']['versions'])}",
    ]
    measure.show("n-gram Bloom filters", rows, notes)


if __name__ == "__main__":
    main(sys.argv[1:])
