"""Tells of a finished crawl, from its journals: how fast, how much succeeded, which hosts were slow."""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["duration", "lines"]

_PAUSE = 3600.0 + 600.0
"""Longer than a polite crawl is silent: it was interrupted."""
_HOSTS = 5


def lines(journals: Sequence[Path]) -> tuple[str, ...]:
    """Sum up the journals of a crawl; none give no lines."""
    seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    tried = fetched = 0
    spent = 0.0
    for path in journals:
        before = None
        for entry in _entries(path):
            tried, fetched = tried + 1, fetched + (entry["rule"] is None)
            if before is not None and 0 < entry["at"] - before < _PAUSE:
                spent += entry["at"] - before
            before = entry["at"]
            if entry["host"]:
                seconds[entry["host"]][0] += entry["seconds"]
                seconds[entry["host"]][1] += 1
    if not tried:
        return ()
    rate = f", {tried / spent:,.1f} URLs a second of each task's time" if spent else ""
    slow = heapq.nlargest(_HOSTS, seconds.items(), key=lambda item: item[1][0])
    told = ", ".join(f"{host} ({duration(spent)} for {count:,})" for host, (spent, count) in slow)
    return (
        f"{tried:,} tried, {100 * fetched / tried:.1f} % fetched{rate}",
        *([f"most time went to {told}"] if told else []),
    )


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            entry = json.loads(line)
            if "row" in entry:
                yield entry


def duration(seconds: float) -> str:
    """Write a time with one unit.

    >>> duration(0.5), duration(90), duration(5400), duration(400_000)
    ('0.5 s', '90 s', '90 min', '111.1 hours')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"
