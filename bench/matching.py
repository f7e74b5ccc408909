"""Which of many queries texts hold, by MetaCLIP's rule, against Aho-Corasick packages and MetaCLIP's loop.

    python bench/matching.py [--queries 500000] [--texts 1000000] [--rounds 3] [--json]

All sides get the same queries and texts, and must find the same pairs. The packages are used plainly: queries
and texts have a space at both ends, and each match is a query. The loop tries every query on every text, as
MetaCLIP's code does; it gets so few texts that it ends, and its rate is what counts.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import measure

PACKAGES = ("corpuskit", "pyahocorasick", "ahocorasick-rs", "numba", "numpy")
LOOP_TEXTS = 20
BATCH = 50_000
MARKS = re.compile("([,.;:?!`])")
BREAKS = re.compile("[\t\n\r]")


def words_of(chance: random.Random) -> tuple[list[str], list[float]]:
    """Make 100,000 words, and how often each occurs: Zipf's law, as in real texts."""
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    weights = range(26, 0, -1)
    words = dict.fromkeys(
        "".join(chance.choices(letters, weights, k=chance.randint(2, 9))) for _ in range(130_000)
    )
    found = list(words)[:100_000]
    total, sums = 0.0, []
    for place in range(len(found)):
        total += 1 / (place + 2.7)
        sums.append(total)
    return found, sums


def queries_of(count: int) -> list[str]:
    """Make distinct queries: half of the words, and phrases of two and three."""
    chance = random.Random(1)
    words, sums = words_of(random.Random(0))
    found = dict.fromkeys(words[::2])
    while len(found) < count:
        found[" ".join(chance.choices(words, cum_weights=sums, k=chance.choice((2, 2, 2, 3))))] = None
    return list(found)[:count]


def texts_of(count: int) -> list[str]:
    """Make captions of 3 to 20 words, some with a mark."""
    chance = random.Random(2)
    words, sums = words_of(random.Random(0))
    texts = []
    for _ in range(count):
        run = chance.choices(words, cum_weights=sums, k=chance.randint(3, 20))
        if chance.random() < 0.5:
            run[chance.randrange(len(run))] += chance.choice(",.!")
        texts.append(" ".join(run))
    return texts


def spaced(text: str) -> str:
    """Write a text as MetaCLIP looks at it."""
    return " " + MARKS.sub(r" \1 ", BREAKS.sub(" ", text)) + " "


def report(found: Iterable[Iterable[int]]) -> dict[str, Any]:
    """Sum up what was found, so that the sides can be compared."""
    pairs = check = 0
    for place, numbers in enumerate(found):
        for number in numbers:
            pairs += 1
            check = (check + (place + 1) * (number + 7)) % (1 << 61)
    return {"pairs": pairs, "check": check}


def corpuskit_side(queries: list[str], texts: list[str]) -> None:
    """Time ours."""
    import numpy as np
    import pyarrow as pa

    from corpuskit.crawl.matching import Matcher

    wanted = pa.array(queries)
    batches = [pa.array(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]

    def work() -> dict[str, Any]:
        matcher = Matcher(wanted, "metaclip")
        pairs, check, first = 0, 0, 0
        for batch in batches:
            found = matcher.find(batch)
            places = np.repeat(np.arange(first, first + len(batch)), np.diff(found.offsets)) + 1
            pairs += len(places)
            check += int((places * (found.phrases.astype(np.int64) + 7)).sum())
            first += len(batch)
        return {"pairs": pairs, "check": check % (1 << 61), "bytes": matcher.trie.nbytes}

    measure.timed(lambda: Matcher(wanted[:10], "metaclip").find(batches[0][:10]), work, PACKAGES)


def pyahocorasick_side(queries: list[str], texts: list[str]) -> None:
    """Time pyahocorasick."""
    import ahocorasick

    def work() -> dict[str, Any]:
        automaton = ahocorasick.Automaton()
        for number, query in enumerate(queries):
            automaton.add_word(f" {query} ", number)
        automaton.make_automaton()
        return report({number for _, number in automaton.iter(spaced(text))} for text in texts)

    measure.timed(lambda: None, work, PACKAGES)


def ahocorasick_rs_side(queries: list[str], texts: list[str]) -> None:
    """Time ahocorasick-rs."""
    import ahocorasick_rs

    def work() -> dict[str, Any]:
        automaton = ahocorasick_rs.AhoCorasick([f" {query} " for query in queries], store_patterns=False)
        return report(
            {number for number, _, _ in automaton.find_matches_as_indexes(spaced(text), overlapping=True)}
            for text in texts
        )

    measure.timed(lambda: None, work, PACKAGES)


def loop_side(queries: list[str], texts: list[str]) -> None:
    """Time MetaCLIP's loop on a few texts."""
    few = texts[:LOOP_TEXTS]
    padded = [f" {query} " for query in queries]

    def work() -> dict[str, Any]:
        found = []
        for text in map(spaced, few):
            found.append([number for number, query in enumerate(padded) if query in text])
        return report(found)

    measure.timed(lambda: None, work, PACKAGES)


SIDES: dict[str, Callable[[list[str], list[str]], None]] = {
    "corpuskit": corpuskit_side,
    "pyahocorasick": pyahocorasick_side,
    "ahocorasick-rs": ahocorasick_rs_side,
    "MetaCLIP's loop": loop_side,
}


def main(arguments: Sequence[str]) -> None:
    """Run all sides in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--queries", type=int, default=500_000)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.side:
        SIDES[given.side](queries_of(given.queries), texts_of(given.texts))
        return
    size = ("--queries", str(given.queries), "--texts", str(given.texts))
    sides = {name: partial(measure.side, sys.executable, __file__, name, *size) for name in SIDES}
    found = measure.rounds(given.rounds, sides)
    for name, one in found.items():
        one["texts_per_second"] = (LOOP_TEXTS if name.startswith("Meta") else given.texts) / one["seconds"]
    if given.json:
        print(json.dumps({"machine": measure.machine(), "sides": found}))
        return
    ours = found["corpuskit"]
    rows = [["queries in texts, one core", "texts a second", "corpuskit is", "peak memory", "pairs"]]
    for name, one in found.items():
        ratio = ours["texts_per_second"] / one["texts_per_second"]
        rows.append(
            [
                name,
                f"{one['texts_per_second']:,.1f}",
                f"{ratio:,.1f} x as fast",
                f"{one['peak_bytes'] / 2**20:,.0f} MiB",
                f"{one['pairs']:,}",
            ]
        )
    full = [one for name, one in found.items() if not name.startswith("Meta")]
    same = len({(one["pairs"], one["check"]) for one in full}) == 1
    notes = [
        f"{given.queries:,} queries, {given.texts:,} texts; building the automaton counts.",
        "Every side but the loop found the same pairs." if same else "THE SIDES DIFFER.",
        f"The loop had {LOOP_TEXTS} texts. Memory is of the whole process, its input included.",
        f"corpuskit's table: {ours['bytes'] / 2**20:.0f} MiB.",
        f"Versions: {json.dumps(found['corpuskit']['versions'])}",
    ]
    measure.show("queries in texts", rows, notes)


if __name__ == "__main__":
    main(sys.argv[1:])
