from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpuskit import files
from corpuskit.cli import command
from corpuskit.engine import Options, Progress, run
from corpuskit.errors import InputError
from corpuskit.filter.rules import Rules
from corpuskit.status import status
from corpuskit.testing import documents, write_dataset


@pytest.fixture
def source(tmp_path: Path) -> str:
    return write_dataset(
        tmp_path / "in", *(documents(["a text", ""], id=[f"{n}a", f"{n}b"]) for n in range(3))
    )


class Stopped(Exception):
    """The driver was told to stop."""


def test_running_stopped_and_finished(source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    seen = []

    def stop(now: Progress) -> None:
        if now.done == 2:
            seen.append(status(target))
            raise Stopped

    rules = Rules(tables=("gopher",))
    with pytest.raises(Stopped):
        run(rules, source, target, options=Options(workers=1, progress=stop))
    running, stopped = seen[0], status(target)
    assert (running.state, running.passes[0].done, running.passes[0].tasks) == ("running", 2, 3)
    assert running.passes[0].left is not None
    assert (stopped.state, stopped.passes[0].done) == ("stopped", 2)
    assert "the command that began it goes on where it stopped" in stopped.text()
    run(rules, source, target, options=Options(workers=1))
    finished = status(target)
    assert finished.state == "finished"
    assert finished.text().splitlines()[1] == "  filter.rules  3 of 3 tasks, 0 of 6 rows kept"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run has begun"):
        status(str(tmp_path))
    with pytest.raises(InputError, match="is a URL"):
        status("memory://run")


def test_looking_leaves_no_trace(source: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    run(Rules(tables=("gopher",)), source, str(target), options=Options(workers=1))
    before = sorted(target.rglob("*"))
    status(str(target))
    assert sorted(target.rglob("*")) == before
    with files.lock(str(target)):
        assert status(str(target)).state == "running"


def test_log_and_metrics_of_a_command(source: str, tmp_path: Path) -> None:
    log, page = tmp_path / "run.jsonl", tmp_path / "run.prom"
    given = ["filter", "rules", source, str(tmp_path / "out"), "--tables", "gopher", "-q", "-j", "1"]
    given += ["--log", str(log), "--metrics", str(page)]
    assert CliRunner().invoke(command, given, standalone_mode=False).exit_code == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert events[-1]["event"] == "end"
    assert [(event["stage"], event["done"]) for event in events[:-1]][-1] == ("filter.rules", 3)
    told = page.read_text()
    assert 'corpuskit_rows_in_total{stage="filter.rules"} 6' in told
    assert "corpuskit_success 1" in told
    assert told.count("# TYPE corpuskit_done gauge") == 1


def test_a_failed_run_is_told(tmp_path: Path) -> None:
    log, page = tmp_path / "run.jsonl", tmp_path / "run.prom"
    given = ["filter", "rules", str(tmp_path / "nothing"), str(tmp_path / "out"), "--tables", "gopher"]
    with pytest.raises(SystemExit) as left:
        command.main([*given, "--log", str(log), "--metrics", str(page)])
    assert left.value.code == 3
    told = json.loads(log.read_text().splitlines()[-1])
    assert (told["event"], told["error"]) == ("error", "InputError")
    assert "corpuskit_success 0" in page.read_text()
