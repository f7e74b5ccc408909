"""The command line as a whole: exit statuses, errors, streams, help, and what it does not import."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpuskit import __version__, files
from corpuskit.cli import command
from corpuskit.errors import DoesNotFit, TryLater
from corpuskit.recipe import KINDS

SCRIPT = Path(__file__).with_name("cli_stages.py")
ROOT = Path(__file__).parents[2]


def start(*arguments: str, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start `corpuskit ARGUMENTS` as a process of its own, with the small stages known."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{SCRIPT.parent}", **more}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def python(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_version(runner: CliRunner) -> None:
    result = runner.invoke(command, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"corpuskit {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["dedup", "--help"], ["run", "-h"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = ["pyarrow", "numpy", "numba", "rich", "fsspec", "trafilatura"]
    code = f"""
import sys
from corpuskit.cli import command
try:
    command.main({arguments!r})
except SystemExit as exit:
    assert exit.code == 0
print("LOADED", sorted(set(sys.modules) & set({heavy!r})))
"""
    assert python(code).splitlines()[-1] == "LOADED []"


def test_help_names_every_verb_kind_and_status(runner: CliRunner) -> None:
    root = runner.invoke(command, ["--help"]).stdout
    for word in ("crawl", "filter", "dedup", "shard", "run", "explain", "report", "75", "130"):
        assert re.search(rf"\b{word}\b", root)
    for kind in KINDS:
        verb, name = kind.split(".")
        assert re.search(rf"^  {name}  ", runner.invoke(command, [verb, "--help"]).stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "error", "fix"),
    [
        (["dedupe"], "no such command 'dedupe'", "did you mean 'dedup'?"),
        (["filter", "langer"], "no such command 'langer'", "did you mean 'longer'?"),
        (
            ["filter", "longer", "a", "b", "--leest", "3"],
            "no such option '--leest'",
            "did you mean '--least'?",
        ),
        (["filter", "longer", "a", "b", "--least", "x"], "'x' is not a whole number", "filter longer --help"),
        (["filter", "longer", "a", "b", "--least", "0"], "filter.longer: least must be at least 1", ""),
        (["filter", "longer", "a", "b", "--max-bad", "2"], "not a share between 0 and 1", "--help"),
        (["filter", "longer", "a", "b", "--engine", "rey"], "'rey' is not one of", "--help"),
        (["filter", "longer", "a", "b", "-n", "--force"], "--dry-run and --force", "leave --force out"),
        (["filter", "longer", "a"], "only 'a' is given", "the last path is the target"),
        (["filter", "longer"], "no paths are given", "SOURCE... TARGET"),
        (["filter", "longer", "a/", "a"], "'a' is both a source and the target", "the last path"),
        (["explain", "a"], "missing argument 'ID_OR_URL'", "explain --help"),
    ],
)
def test_wrong_calls_exit_2_with_a_fix(runner: CliRunner, arguments: list[str], error: str, fix: str) -> None:
    result = runner.invoke(command, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert fix in "".join(lines[1:])
    assert len(lines) <= 2


def test_no_arguments_show_the_help_and_exit_2(runner: CliRunner) -> None:
    result = runner.invoke(command, [])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Verbs:" in result.stderr


def test_a_forgotten_target_is_not_overwritten(runner: CliRunner, pages: str) -> None:
    before = Path(pages).read_bytes()
    result = runner.invoke(command, ["crawl", "lines", "other.txt", pages])
    assert result.exit_code == 2
    assert "is a file" in result.stderr
    assert Path(pages).read_bytes() == before


def test_missing_input_exits_3(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(command, ["filter", "longer", str(tmp_path / "none"), str(tmp_path / "out")])
    assert (result.exit_code, result.stdout) == (3, "")
    assert (
        result.stderr.startswith(f"error: nothing matches '{tmp_path / 'none'}'")
        or "no dataset" in result.stderr
    )


def test_another_setting_exits_4_and_names_it_and_force_starts_again(runner: CliRunner, dataset: str) -> None:
    target = f"{dataset}-long"
    assert runner.invoke(command, ["filter", "longer", dataset, target, "--least", "10"]).exit_code == 0
    result = runner.invoke(command, ["filter", "longer", dataset, target, "--least", "20"])
    assert (result.exit_code, result.stdout) == (4, "")
    assert "least was 10, is 20" in result.stderr
    again = runner.invoke(
        command, ["filter", "longer", dataset, target, "--least", "20", "--force", "--json"]
    )
    assert again.exit_code == 0
    assert json.loads(again.stdout)["rows"] == 6


def test_damaged_records_exit_5_and_show_the_table(runner: CliRunner, pages: str, tmp_path: Path) -> None:
    arguments = ["crawl", "lines", pages, str(tmp_path / "out")]
    result = runner.invoke(command, arguments)
    assert result.exit_code == 5
    assert "1 of 10 records" in result.stderr
    assert re.search(r"^  damaged +1 +10\.0 %$", result.stdout, re.MULTILINE)
    assert runner.invoke(command, [*arguments, "--max-bad", "10%"]).exit_code == 0
    assert runner.invoke(command, [*arguments, "--max-bad", "0.09"]).exit_code == 5


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/part"), 6, "no room to write out/part"),
        (MemoryError(), 6, "out of memory"),
        (DoesNotFit("24 GiB are needed"), 6, "24 GiB are needed"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/out"),
            4,
            "cannot write /out: Permission denied",
        ),
        (TryLater("quota"), 75, "quota"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(143), 143, "interrupted"),
    ],
)
def test_what_is_raised_becomes_a_status(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, raised: BaseException, status: int, said: str
) -> None:
    def run(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("corpuskit.engine.run", run)
    result = runner.invoke(command, ["filter", "longer", "a", "b"])
    assert result.exit_code == status
    assert f"error: {said}" in result.stderr
    assert "Traceback" not in result.output


def test_a_bug_exits_1_and_keeps_its_traceback(
    runner: CliRunner, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    arguments = ["filter", "broken", dataset, str(tmp_path / "out")]
    result = runner.invoke(command, arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "KeyError: 'no such thing'" in result.stderr.splitlines()[0]
    assert "Traceback" not in result.stderr
    (log,) = tmp_path.glob("corpuskit-bug-*.txt")
    assert str(log) in result.stderr
    assert "cli_stages.py" in log.read_text()
    assert "Traceback" in runner.invoke(command, [*arguments, "-v"]).stderr


def test_a_second_start_exits_75(runner: CliRunner, dataset: str) -> None:
    target = f"{dataset}-busy"
    with files.lock(target):
        result = runner.invoke(command, ["filter", "longer", dataset, target])
    assert (result.exit_code, result.stdout) == (75, "")
    assert "another run is writing" in result.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_run_and_the_next_one_goes_on(
    tmp_path: Path, pages: str, number: signal.Signals, status: int
) -> None:
    slow = start("crawl", "lines", pages, "out", "--nap", "60", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "plan.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    slow.send_signal(number)
    stdout, stderr = slow.communicate(timeout=60)
    assert (slow.returncode, stdout) == (status, "")
    assert "error: interrupted" in stderr
    assert "Traceback" not in stderr
    quick = start("crawl", "lines", pages, "out", "--max-bad", "1", cwd=tmp_path)
    assert "9 documents" in quick.communicate(timeout=60)[0]
    assert quick.returncode == 0


def test_streams(tmp_path: Path, pages: str) -> None:
    made = start("crawl", "lines", pages, "out", "--json", "--max-bad", "1", cwd=tmp_path)
    stdout, stderr = made.communicate(timeout=60)
    assert (made.returncode, stderr) == (0, "")
    told = json.loads(stdout)
    assert stdout.count("\n") == 1
    assert (told["rows"], told["stages"][0]["rules"]["damaged"]["documents"]) == (9, 1)
    quiet = start("crawl", "lines", pages, "out", "-q", "--max-bad", "1", cwd=tmp_path)
    assert quiet.communicate(timeout=60) == ("", "")
    plain = start("crawl", "lines", pages, "out", "--max-bad", "1", cwd=tmp_path)
    stdout, stderr = plain.communicate(timeout=60)
    assert stderr == ""
    assert "\x1b" not in stdout
    assert "out was finished before: nothing to do" in stdout
    assert not any(line.endswith(" ") for line in stdout.splitlines())


def test_a_reader_that_goes_away_is_no_bug(tmp_path: Path, pages: str) -> None:
    run = start("crawl", "lines", pages, "out", "--max-bad", "1", cwd=tmp_path)
    assert run.stdout is not None
    run.stdout.close()
    assert run.communicate(timeout=60)[1] == ""
    assert run.returncode == 141


def test_dry_run_writes_nothing(runner: CliRunner, dataset: str, tmp_path: Path) -> None:
    before = entries(tmp_path)
    target = str(tmp_path / "out")
    result = runner.invoke(command, ["filter", "longer", dataset, target, "-n"])
    assert result.exit_code == 0
    assert re.search(r"^filter\.longer +1 +0 +9 ", result.stdout, re.MULTILINE)
    told = json.loads(runner.invoke(command, ["filter", "longer", dataset, target, "-n", "--json"]).stdout)
    assert told["passes"][0]["stages"] == ["filter.longer"]
    assert (told["passes"][0]["tasks"], told["passes"][0]["rows"]) == (1, 9)
    assert entries(tmp_path) == before


def test_completion_offers_kinds_and_settings(tmp_path: Path) -> None:
    def complete(words: str, number: int) -> list[str]:
        more = {"COMP_WORDS": words, "COMP_CWORD": str(number), "_CORPUSKIT_COMPLETE": "bash_complete"}
        return start(cwd=tmp_path, **more).communicate(timeout=60)[0].split()

    assert "plain,longer" in complete("corpuskit filter lon", 2)
    assert "plain,--least" in complete("corpuskit filter longer --le", 3)
