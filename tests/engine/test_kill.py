"""kill -9, at random moments, of the driver and of workers: what is on disk in the end is the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_run import environment, snapshot

from corpuskit.engine import Options, run
from corpuskit.testing import documents, write_dataset

psutil = pytest.importorskip("psutil")
HERE = Path(__file__).parent
KILLS = int(os.environ.get("CORPUSKIT_KILLS", "4"))

SCRIPT = """
import sys
from stages import Longer, Most
from corpuskit.engine import Options, run
run((Most(limit=1000), Longer(nap=0.1)), {source!r}, {target!r}, options=Options(workers=2))
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    batches = [
        documents([f"{part} text " * size for size in range(20)], id=[f"{part}-{size}" for size in range(20)])
        for part in range(12)
    ]
    return write_dataset(tmp_path / "source", *batches)


def start(source: str, target: Path) -> subprocess.Popen[bytes]:
    script = SCRIPT.format(source=source, target=str(target))
    return subprocess.Popen([sys.executable, "-c", script], cwd=HERE, env=environment())


def clean(source: str, folder: Path) -> tuple[dict[str, bytes], float]:
    """Return what an undisturbed run writes, and the seconds it takes."""
    started = time.monotonic()
    driver = start(source, folder / "out")
    assert driver.wait(timeout=120) == 0
    return snapshot(folder / "out"), time.monotonic() - started


def test_driver_killed_at_random_moments(source: str, tmp_path: Path) -> None:
    expected, seconds = clean(source, tmp_path / "clean")
    chance = random.Random(4)
    killed = number = 0
    while killed < KILLS:
        number += 1
        target = tmp_path / f"run{number}" / "out"
        while True:
            driver = start(source, target)
            try:
                assert driver.wait(timeout=chance.uniform(0.2, seconds) if killed < KILLS else 120) == 0
                break
            except subprocess.TimeoutExpired:
                driver.send_signal(signal.SIGKILL)
                driver.wait()
                killed += 1
        assert snapshot(target) == expected
        assert not list(target.rglob(".tmp-*"))


def test_workers_killed_at_random_moments(source: str, tmp_path: Path) -> None:
    expected, _ = clean(source, tmp_path / "clean")
    chance = random.Random(5)
    target = tmp_path / "run" / "out"
    driver = start(source, target)
    killed, deadline = 0, time.monotonic() + 100
    while driver.poll() is None and time.monotonic() < deadline:
        time.sleep(chance.uniform(0.05, 0.4))
        if killed < KILLS and (workers := psutil.Process(driver.pid).children()):
            chance.choice(workers).kill()
            killed += 1
    assert driver.wait(timeout=10) == 0
    assert killed >= 3
    assert snapshot(target) == expected


def test_settings_of_the_run_do_not_show(source: str, tmp_path: Path) -> None:
    from stages import Longer

    run(Longer(), source, str(tmp_path / "a" / "out"), options=Options(workers=2, max_bad=0.5))
    run(Longer(), source, str(tmp_path / "b" / "out"), options=Options(workers=1, task_seconds=100))
    assert snapshot(tmp_path / "a" / "out") == snapshot(tmp_path / "b" / "out")
