"""The Slurm engine, with a stand-in for sbatch that runs the tasks of an array one after the other."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from stages import Longer
from test_run import snapshot

from corpuskit.dedup.minhash import MinHash
from corpuskit.engine import Options, run
from corpuskit.engine.slurm import perform_one
from corpuskit.errors import InputError, TryLater, UsageError
from corpuskit.testing import documents, write_dataset

SBATCH = """#!{python}
import os, re, subprocess, sys
script = sys.argv[-1]
text = open(script).read()
last = int(re.search(r"--array=0-(\\d+)", text)[1])
logs = re.search(r"--output=(\\S+)/%a", text)[1]
for task in range(last + 1):
    if str(task) == os.environ.get("FAILS"):
        continue
    with open(f"{{logs}}/{{task}}.log", "wb") as log:
        env = {{**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}}
        subprocess.run(["sh", script], env=env, stdout=log, stderr=log)
"""


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in first on the path."""
    path = tmp_path / "bin" / "sbatch"
    path.parent.mkdir()
    path.write_text(SBATCH.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in sys.path if entry))


@pytest.fixture
def source(tmp_path: Path) -> str:
    texts = [f"the same long text with many words in it, number {number // 2}" for number in range(6)]
    batches = [documents(texts, id=[f"{part}-{row}" for row in range(6)]) for part in range(2)]
    return write_dataset(tmp_path / "source", *batches)


@pytest.mark.usefixtures("sbatch")
def test_a_chain_over_array_jobs_writes_the_local_bytes(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(TryLater, match="1 of 2 tasks of dedup.minhash.* are not done"):
        run(MinHash(), source, str(tmp_path / "slurm"), options=Options(engine="slurm"))
    monkeypatch.delenv("FAILS")
    run(MinHash(), source, str(tmp_path / "slurm"), options=Options(engine="slurm"))
    run(MinHash(), source, str(tmp_path / "local"), options=Options(workers=1))
    assert snapshot(tmp_path / "slurm") == snapshot(tmp_path / "local")
    assert not list(tmp_path.glob("slurm/**/array.sh"))


def test_without_sbatch(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no sbatch"):
        run(MinHash(), source, str(tmp_path / "out"), options=Options(engine="slurm"))


@pytest.mark.usefixtures("sbatch")
def test_only_stages_of_corpuskit_go_into_an_order(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Longer is no stage of corpuskit"):
        run(Longer(), source, str(tmp_path / "out"), options=Options(engine="slurm"))


@pytest.mark.parametrize("kind", ["os:system", "corpuskit.files:remove", "corpuskit.stage:nothing"])
def test_an_order_names_nothing_else(tmp_path: Path, kind: str) -> None:
    order = {"stages": [{"class": kind, "settings": {}}], "number": 0, "key": "", "task": {}}
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "0.json").write_text(json.dumps(order))
    with pytest.raises(UsageError, match="no stage of corpuskit"):
        perform_one(str(tmp_path), 0)


def test_no_such_task_and_a_damaged_order(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no task 7"):
        perform_one(str(tmp_path), 7)
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "7.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        perform_one(str(tmp_path), 7)
