"""kill -9 of a crawl, its driver or its worker: every URL ends with one outcome, and every archive is whole.

`CORPUSKIT_KILLS=30 pytest tests/crawl/test_fetch_crash.py` is the long form.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from farm import Farm
from test_farm import check, links

from corpuskit.crawl.archive import records
from corpuskit.dataset import Dataset

KILLS = int(os.environ.get("CORPUSKIT_KILLS", "3"))
THREADS, GROUP = 8, 32
KINDS = ("ok", "gzip", "same", "chain/2", "status/404", "chunked", "flaky")


def start(source: str, target: Path, farm: Farm, *more: str) -> subprocess.Popen[bytes]:
    allow = [f"--allow={','.join(farm.addresses)}", f"--ports={farm.port}"]
    command = [sys.executable, "-m", "corpuskit", "crawl", "fetch", source, str(target), "-q", *allow, *more]
    manners = ["--contact=crawler@corpuskit.org", "--delay=0.02", f"--threads={THREADS}", "--timeout=2"]
    return subprocess.Popen([*command, *manners], stderr=subprocess.PIPE)


def finished(process: subprocess.Popen[bytes]) -> str:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()
    return said.decode()


def urls_of(farm: Farm) -> list[str]:
    places = [f"http://{ip}:{farm.port}" for ip in farm.addresses[:20]]
    return [f"{place}/{KINDS[page % 7]}/{page}" for page in range(21) for place in places]


def check_outcomes(target: Path, urls: list[str]) -> None:
    """Check that every URL has one outcome, and that what lies in the archives is what the rows say."""
    dataset = Dataset(str(target))
    kept = dataset.table().to_pylist()
    gone = pa.Table.from_batches(list(dataset.reject_batches())).to_pylist()
    assert Counter(row["url"] for row in [*kept, *gone]) == Counter(urls)
    assert {row["url"] for row in gone} == {url for url in urls if "/status/" in url}
    found = {}
    for path in sorted((target / "warc").glob("*.warc.gz")):
        check(path)
        with path.open("rb") as stream:
            found |= {(path.name, item.offset): item for item in records(stream, path.stat().st_size)}
    for row in kept:
        record = found[row["warc"], row["offset"]]
        assert (record.record_id, record.length, record.url) == (
            row["record_id"],
            row["length"],
            row["final_url"],
        )
    recorded = Counter(item.url for item in found.values() if item.kind in ("response", "revisit"))
    assert all(recorded[url] == 1 for url in urls), "what was cut off is not recorded twice"


def test_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(1)
    with Farm(latency=0.005) as farm:
        urls = urls_of(farm)
        source = links(tmp_path / "links", urls)
        began = time.monotonic()
        finished(start(source, tmp_path / "clean", farm))
        seconds = time.monotonic() - began
        check_outcomes(tmp_path / "clean", urls)
        kills = runs = 0
        while kills < KILLS:
            runs += 1
            target = tmp_path / f"run{runs}"
            farm.asked.clear()
            killed = 0
            while True:
                driver = start(source, target, farm)
                try:
                    driver.wait(timeout=chance.uniform(0.5, seconds) if kills < KILLS else 120)
                    finished(driver)
                    break
                except subprocess.TimeoutExpired:
                    workers = psutil.Process(driver.pid).children()
                    if workers and chance.random() < 0.3:
                        chance.choice(workers).kill()
                        killed, kills = killed + 1, kills + 1
                        finished(driver)
                        break
                    driver.kill()
                    driver.communicate()
                    killed, kills = killed + 1, kills + 1
            check_outcomes(target, urls)
            asked = Counter(one.path + one.ip for one in farm.asked if "robots" not in one.path)
            again = sum(count - 1 for count in asked.values()) - 20 * 3  # each flaky page is asked for twice
            assert again <= killed * 3 * (3 * THREADS + GROUP)
    print(f"{kills} kills over {runs} runs")  # noqa: T201 - the long form is read by a person


@pytest.mark.parametrize(("signal", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_stopped_and_resumed(tmp_path: Path, signal: str, status: int) -> None:
    with Farm(latency=0.02) as farm:
        urls = urls_of(farm)[:200]
        source = links(tmp_path / "links", urls)
        driver = start(source, tmp_path / "out", farm)
        while len(farm.asked) < 100:
            time.sleep(0.01)
        before = time.monotonic()
        driver.send_signal(getattr(__import__("signal"), signal))
        _, said = driver.communicate(timeout=30)
        assert driver.returncode == status and b"interrupted" in said
        assert time.monotonic() - before < 5
        finished(start(source, tmp_path / "out", farm))
        check_outcomes(tmp_path / "out", urls)


def test_failures_are_tried_again_only_when_asked(tmp_path: Path) -> None:
    with Farm() as farm:
        place = f"http://{farm.addresses[0]}:{farm.port}"
        urls = [f"{place}/{path}" for path in ("ok/1", "flaky/1", "status/404", "status/500")]
        urls.append(f"http://10.0.0.1:{farm.port}/")
        source = links(tmp_path / "links", urls)
        target = tmp_path / "out"

        def rules() -> dict[str, str | None]:
            dataset = Dataset(str(target))
            gone = {
                row["url"]: row["rule"] for batch in dataset.reject_batches() for row in batch.to_pylist()
            }
            return dict.fromkeys(dataset.table(["url"])["url"].to_pylist()) | gone

        finished(start(source, target, farm, "--retries=0"))
        first = dict.fromkeys(urls[1:4], "fetch.status") | {urls[4]: "fetch.address"}
        assert rules() == {urls[0]: None} | first
        before = len(farm.asked)
        finished(start(source, target, farm, "--retries=0"))
        assert len(farm.asked) == before, "without the flag there is nothing to do"
        finished(start(source, target, farm, "--retries=0", "--retry-failed"))
        again = [asked.path for asked in farm.asked[before:]]
        assert sorted(again) == ["/flaky/1", "/robots.txt", "/status/500"]
        assert rules() == {urls[0]: None} | first | {urls[1]: None}
        manifest = (target / "manifest.json").read_bytes()
        finished(start(source, target, farm, "--retries=0"))
        assert (target / "manifest.json").read_bytes() == manifest
        for path in (target / "warc").glob("*.warc.gz"):
            check(path)
        journal = next((target / "warc").glob("*.jsonl")).read_text()
        lines = [json.loads(line) for line in journal.splitlines()]
        assert [line["again"] for line in lines if "again" in line] == [[1, 3]]
