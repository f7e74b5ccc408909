"""kill -9 of the whole FineWeb recipe, its driver and its workers: what ends on disk is the clean run's.

`CORPUSKIT_KILLS=50 CORPUSKIT_WARCS='.../*.warc.gz' pytest tests/test_crash.py` is the long form.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil")
ROOT = Path(__file__).parent.parent
KILLS = int(os.environ.get("CORPUSKIT_KILLS", "3"))
WARCS = os.environ.get("CORPUSKIT_WARCS", str(ROOT / "examples" / "data" / "pages.warc.gz"))
RECIPE = str(ROOT / "examples" / "recipes" / "fineweb.toml")


def start(target: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "corpuskit", "run", RECIPE, WARCS, str(target), "-q", "--max-bad", "0.1"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def written(folder: Path) -> dict[str, bytes]:
    """Return all that a run leaves behind but its locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    # As deep as the others, as plans hold relative paths; twice, as the first run may compile kernels.
    for name in ("first", "second"):
        target = tmp_path_factory.mktemp(name) / "run" / "out"
        began = time.monotonic()
        assert start(target).wait(timeout=600) == 0
        seconds = time.monotonic() - began
    return written(target), seconds


def test_driver_killed(clean: tuple[dict[str, bytes], float], tmp_path: Path) -> None:
    expected, seconds = clean
    chance = random.Random(1)
    kills = runs = 0
    while kills < KILLS:
        target = tmp_path / f"run{runs}" / "out"
        runs += 1
        while True:
            driver = start(target)
            try:
                patience = chance.uniform(0.3, seconds) if kills < KILLS else 600
                assert driver.wait(timeout=patience) == 0
                break
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
                kills += 1
        assert written(target) == expected
    print(f"{kills} kills of the driver over {runs} runs")  # noqa: T201 - the long form is read by a person


def test_workers_killed(clean: tuple[dict[str, bytes], float], tmp_path: Path) -> None:
    expected, seconds = clean
    chance = random.Random(2)
    kills = runs = 0
    while kills < max(1, KILLS * 2 // 5):
        target = tmp_path / f"run{runs}" / "out"
        runs += 1
        driver = start(target)
        for _ in range(3):  # ten deaths at one task, and a run gives up
            time.sleep(chance.uniform(0.2, seconds / 3))
            if driver.poll() is None and (workers := psutil.Process(driver.pid).children()):
                chance.choice(workers).kill()
                kills += 1
        assert driver.wait(timeout=600) == 0
        assert written(target) == expected
    print(f"{kills} kills of workers over {runs} runs")  # noqa: T201 - the long form is read by a person
