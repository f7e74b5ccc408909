"""Runs the sides of a benchmark: each in its own process on one core, warmed up, timed, its memory read."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def machine() -> str:
    """Name the processor and the system."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or "unknown processor"
    return f"{name}, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def versions(*packages: str) -> dict[str, str]:
    """Say which version of each package this process uses; those that are missing are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def timed(
    warm_up: Callable[[], object],
    work: Callable[[], Mapping[str, Any]],
    packages: Sequence[str],
    least: float = 0,
) -> None:
    """Run one side in this process and print what it took as one line of JSON: the child's half of `side`.

    `warm_up` is not timed. `work` is done once, or again until `least` seconds have passed, and the mean
    is given. Memory is the largest resident size of this process or of one it started.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warm_up()
    times: list[float] = []
    while not times or sum(times) < least:
        start = time.perf_counter()
        found = dict(work())
        times.append(time.perf_counter() - start)
    found["seconds"] = sum(times) / len(times)
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found |= {"peak_bytes": max(peaks) * 1024, "versions": versions(*packages)}
    print(json.dumps(found))


def side(python: str, script: str, name: str, *arguments: str) -> dict[str, Any]:
    """Run one side of `script` under the interpreter `python` and return what it printed last.

    Raises:
        SystemExit: The side failed; what it wrote to stderr is shown.
    """
    command = [python, script, "--side", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def rounds(count: int, sides: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Run the sides in turn, `count` times, and give the round of median time of each.

    All times are kept beside it as `all_seconds`.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(count):
        for name, run in sides.items():
            runs[name].append(run())
    chosen = {}
    for name, results in runs.items():
        seconds = [result["seconds"] for result in results]
        middle = statistics.median_low(seconds)
        best = next(result for result in results if result["seconds"] == middle)
        chosen[name] = best | {"all_seconds": seconds}
    return chosen


def show(title: str, rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    """Print a table, its first row the heading, and what one must know to read it."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"{title}\n{machine()}\n")
    for row in rows:
        cells = [
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print()
    for note in notes:
        print(f"- {note}")
