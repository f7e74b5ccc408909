"""The engine's promises: resume, exactly once, clear refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stages import Deadly, Longer, Loses, Most

from corpuskit.dataset import Dataset
from corpuskit.engine import Options, outlook, run
from corpuskit.errors import InputError, TargetError, TooManyBadRecords, TryLater
from corpuskit.files import lock
from corpuskit.testing import documents, write_dataset

HERE = Path(__file__).parent


@pytest.fixture
def source(tmp_path: Path) -> str:
    batches = [
        documents(["x" * size for size in range(10)], id=[f"{part}-{size}" for size in range(10)])
        for part in range(4)
    ]
    return write_dataset(tmp_path / "source", *batches)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".json")
    }


def test_one_and_two_workers_write_the_same_bytes(source: str, tmp_path: Path) -> None:
    run(Longer(), source, str(tmp_path / "a" / "out"), options=Options(workers=1))
    run(Longer(), source, str(tmp_path / "b" / "out"), options=Options(workers=2))
    assert snapshot(tmp_path / "a" / "out") == snapshot(tmp_path / "b" / "out")


def test_kept_and_rejected_add_up(source: str, tmp_path: Path) -> None:
    dataset = run(Longer(bytes=3), source, str(tmp_path / "out"))
    assert sorted(dataset.table(["id"])["id"].to_pylist()) == sorted(
        f"{part}-{size}" for part in range(4) for size in range(4, 10)
    )
    rejected = [row for batch in dataset.reject_batches() for row in batch.to_pylist()]
    assert len(rejected) == 16
    assert {(row["stage"], row["rule"], row["bound"]) for row in rejected} == {
        ("filter.longer", "longer.min", 3.0)
    }
    told = dataset.manifest["stages"][0]
    assert (told["rows_in"], told["rows_out"], told["rules"]["longer.min"]["documents"]) == (40, 24, 16)
    assert told["bytes_in"] == 4 * 45


def test_a_finished_run_does_nothing_again(source: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    run(Longer(), source, str(target))
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.name != ".lock"}
    seen: list[object] = []
    run(Longer(), source, str(target), options=Options(progress=seen.append))
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.name != ".lock"} == times
    assert not seen


@pytest.mark.parametrize(
    "damage", ["truncated part", "missing part", "torn marker", "missing marker", "no manifest"]
)
def test_damage_is_redone_alone(source: str, tmp_path: Path, damage: str) -> None:
    target = tmp_path / "out"
    run(Longer(), source, str(target))
    clean = snapshot(target)
    part = sorted(target.glob("part-00002-*.parquet"))[0]
    marker = target / "done" / "00002.json"
    if damage == "truncated part":
        part.write_bytes(part.read_bytes()[:-20])
    elif damage == "missing part":
        part.unlink()
    elif damage == "torn marker":
        marker.write_bytes(marker.read_bytes()[:30])
    elif damage == "missing marker":
        marker.unlink()
    else:
        (target / "manifest.json").unlink()
    others = {path: path.stat().st_mtime_ns for path in target.glob("part-*") if path != part}
    run(Longer(), source, str(target))
    assert snapshot(target) == clean
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_verify_finds_a_flipped_byte(source: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    run(Longer(), source, str(target))
    clean = snapshot(target)
    part = sorted(target.glob("part-00001-*.parquet"))[0]
    data = bytearray(part.read_bytes())
    data[40] ^= 1
    part.write_bytes(bytes(data))
    run(Longer(), source, str(target), options=Options(verify=True))
    assert snapshot(target) == clean


def test_another_setting_is_refused_by_name(source: str, tmp_path: Path) -> None:
    run(Longer(bytes=3), source, str(tmp_path / "out"))
    with pytest.raises(TargetError, match="filter.longer bytes was 3, is 4") as caught:
        run(Longer(bytes=4), source, str(tmp_path / "out"))
    assert caught.value.exit_code == 4
    assert run(Longer(bytes=4), source, str(tmp_path / "out"), options=Options(force=True)).rows == 20


def test_a_setting_that_cannot_matter_may_change(source: str, tmp_path: Path) -> None:
    run(Longer(nap=0.0), source, str(tmp_path / "out"))
    assert run(Longer(nap=0.001), source, str(tmp_path / "out")).rows == 24


def test_a_folder_of_something_else_is_refused(source: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(TargetError, match="thesis.txt"):
            run(Longer(), source, str(tmp_path / "out"), options=Options(force=force))
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_changed_input_is_refused(source: str, tmp_path: Path) -> None:
    run(Longer(), source, str(tmp_path / "out"))
    write_dataset(source, documents(["other"]))
    with pytest.raises(InputError, match="has changed"):
        run(Longer(), source, str(tmp_path / "out"))


def test_missing_and_unfinished_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing matches"):
        run(Longer(), str(tmp_path / "none"), str(tmp_path / "out"))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "plan.json").write_text("{}")
    with pytest.raises(InputError, match="not finished"):
        run(Longer(), str(tmp_path / "half"), str(tmp_path / "out"))


def test_a_second_run_is_told_to_wait(source: str, tmp_path: Path) -> None:
    with lock(str(tmp_path / "out")), pytest.raises(TryLater):
        run(Longer(), source, str(tmp_path / "out"))


def test_a_chain_runs_fused_and_cleans_up(source: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    dataset = run((Most(limit=100), Longer(bytes=5)), source, str(target))
    assert dataset.rows == 16
    assert [stage["name"] for stage in dataset.manifest["stages"]] == ["dedup.most", "filter.longer"]
    assert dataset.manifest["inputs"][0]["name"] == "source"
    assert not (target / "work").exists()
    before = snapshot(target)
    run((Most(limit=100), Longer(bytes=5)), source, str(target))
    assert snapshot(target) == before
    with pytest.raises(TargetError, match="dedup.most limit was 100, is 99"):
        run((Most(limit=99), Longer(bytes=5)), source, str(target))


def test_a_lossy_stage_fails_and_says_what_was_lost(source: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="documents lost: 0-9"):
        run(Loses(), source, str(tmp_path / "out"), options=Options(workers=1))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_deadly_document_becomes_a_reject(tmp_path: Path) -> None:
    source = write_dataset(
        tmp_path / "source", documents(["fine", "kill me", "also fine"]), documents(["x"], id=["z"])
    )
    with pytest.raises(TooManyBadRecords):
        run(Deadly(), source, str(tmp_path / "out"))
    dataset = Dataset(str(tmp_path / "out"))
    assert dataset.table(["text"])["text"].to_pylist() == ["fine", "also fine", "x"]
    [row] = [row for batch in dataset.reject_batches() for row in batch.to_pylist()]
    assert (row["id"], row["rule"]) == (f"{1:032x}", "engine.crash")


def test_a_hanging_document_becomes_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_dataset(tmp_path / "source", documents(["fine", "hang me", "also fine"]))
    script = (
        (
            "import corpuskit.engine.pipeline as pipeline;"
            "pipeline.BATCH_SECONDS = pipeline.DOCUMENT_SECONDS = 0.2;"
            "from corpuskit.engine.pipeline import perform; from stages import Deadly;"
            "stage = Deadly(); task = stage.plan(SOURCE)[0];"
            "perform([stage], task, 0, task.key([stage]), TARGET, lambda *counts: None)"
        )
        .replace("SOURCE", repr(source))
        .replace("TARGET", repr(str(tmp_path / "out")))
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=HERE, env=environment(), timeout=60)
    marker = json.loads((tmp_path / "out" / "done" / "00000.json").read_text())
    assert marker["stages"][0]["rules"]["engine.timeout"]["documents"] == 1
    assert marker["part"]["rows"] == 2


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_an_error_in_a_stage_is_shown(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", documents(["raise me"]))
    with pytest.raises(Exception, match="ValueError: as told"):
        run(Deadly(), source, str(tmp_path / "out"))


def test_outlook_writes_nothing(source: str, tmp_path: Path) -> None:
    found = outlook(Longer(), source, str(tmp_path / "out"))
    assert (found.tasks, found.done, found.rows) == (4, 0, 40)
    assert not (tmp_path / "out").exists()


def test_temporary_files_of_dead_attempts_are_removed(source: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / ".tmp-1-dead").write_bytes(b"half")
    run(Longer(), source, str(target))
    assert not list(target.rglob(".tmp-*"))


def test_parts_have_the_declared_layout(source: str, tmp_path: Path) -> None:
    dataset = run(Longer(), source, str(tmp_path / "out"))
    column = pq.ParquetFile(dataset.path_of(dataset.parts[0])).metadata.row_group(0).column(1)
    assert column.path_in_schema == "text"
    assert column.compression == "ZSTD"
    assert not column.is_stats_set
    assert not column.has_dictionary_page


def test_twenty_starts_at_once(source: str, tmp_path: Path) -> None:
    script = (
        "import sys; from stages import Longer\n"
        "from corpuskit.engine import run; from corpuskit.errors import TryLater\n"
        f"try: run(Longer(nap=0.5), {source!r}, {str(tmp_path / 'out')!r})\nexcept TryLater: sys.exit(75)"
    )
    starts = [
        subprocess.Popen([sys.executable, "-c", script], cwd=HERE, env=environment()) for _ in range(20)
    ]
    codes = sorted(start.wait(timeout=120) for start in starts)
    finished = codes.count(0)
    assert set(codes) <= {0, 75}
    assert finished >= 1
    assert run(Longer(), source, str(tmp_path / "out")).rows == 24


def test_the_driver_dies_and_its_workers_with_it(source: str, tmp_path: Path) -> None:
    script = (
        "from stages import Longer; from corpuskit.engine import run;"
        f"run(Longer(nap=60), {source!r}, {str(tmp_path / 'out')!r})"
    )
    psutil = pytest.importorskip("psutil")
    driver = subprocess.Popen([sys.executable, "-c", script], cwd=HERE, env=environment())
    deadline = time.monotonic() + 30
    while not (workers := psutil.Process(driver.pid).children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert workers
    assert not alive
