"""`run`, `report`, `explain` and `sweep` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpuskit.cli import command
from corpuskit.dataset import Dataset

RECIPE = """
source = ["pages.txt"]
target = "out"
stages = ["crawl.lines", "filter.longer", "dedup.first"]
filter.longer.least = 10
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, pages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.toml").write_text(RECIPE)


def test_run_prints_the_report(runner: CliRunner) -> None:
    result = runner.invoke(command, ["run", "recipe.toml", "--max-bad", "1"])
    assert (result.exit_code, result.stderr) == (0, "")
    for stage in ("crawl.lines", "filter.longer", "dedup.first"):
        assert stage in result.stdout
    assert result.stdout == runner.invoke(command, ["report", "out"]).stdout
    assert runner.invoke(command, ["run", "recipe.toml", "--max-bad", "1", "-q"]).output == ""


def test_run_takes_other_paths(runner: CliRunner) -> None:
    Path("more.txt").write_text("only one line here\n")
    told = json.loads(runner.invoke(command, ["run", "recipe.toml", "more.txt", "other", "--json"]).stdout)
    assert (told["path"], told["documents"]) == ("other", 1)
    told = json.loads(
        runner.invoke(command, ["run", "recipe.toml", "third", "--json", "--max-bad", "1"]).stdout
    )
    assert (told["path"], told["documents"]) == ("third", 1)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["run", "recipe.toml", "more.txt", "pages.txt"], "the target 'pages.txt' is a file"),
        (["run", "none.toml"], "cannot read the recipe none.toml"),
        (["report", "out", "--json", "--html"], "--json and --html"),
    ],
)
def test_wrong_calls(runner: CliRunner, arguments: list[str], error: str) -> None:
    result = runner.invoke(command, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert error in result.stderr


def test_dry_run_lists_the_passes_and_writes_nothing(runner: CliRunner) -> None:
    before = sorted(Path().rglob("*"))
    result = runner.invoke(command, ["run", "recipe.toml", "--dry-run", "--json"])
    first, second = json.loads(result.stdout)["passes"]
    assert (first["stages"], first["target"]) == (
        ["crawl.lines", "filter.longer"],
        "out/steps/01-crawl.lines",
    )
    assert (first["tasks"], first["done"]) == (1, 0)
    assert second == {"stages": ["dedup.first"], "target": "out"}
    assert sorted(Path().rglob("*")) == before


def test_explain_and_report(runner: CliRunner) -> None:
    runner.invoke(command, ["run", "recipe.toml", "--max-bad", "1"])
    (kept,) = Dataset("out").table()["id"].to_pylist()
    assert "kept in out" in runner.invoke(command, ["explain", "out", kept]).stdout
    told = json.loads(runner.invoke(command, ["explain", "out", "http://test/0", "--json"]).stdout)
    (story,) = told["documents"]
    assert [verdict["verdict"] for verdict in story["verdicts"]] == ["kept", "rejected"]
    missing = runner.invoke(command, ["explain", "out", "nothing"])
    assert (missing.exit_code, missing.stdout) == (3, "")
    told = json.loads(runner.invoke(command, ["report", "out", "--json"]).stdout)
    assert told["documents"] == 1
    assert runner.invoke(command, ["report", "out", "--html"]).stdout.startswith("<!doctype html>")
    assert runner.invoke(command, ["report", "nowhere"]).exit_code == 3


def test_sweep(runner: CliRunner, dataset: str) -> None:
    assert runner.invoke(command, ["filter", "rules", dataset, "s", "--signals-only", "-q"]).exit_code == 0
    call = ["sweep", "s", "gopher.word_count.min", "3", "7", "--steps", "2"]
    result = runner.invoke(command, call)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[:3] for line in result.stdout.splitlines() if line.startswith(">=")] == [
        [">=", "3", "7"],
        [">=", "7", "3"],
    ]
    told = json.loads(runner.invoke(command, [*call, "--json"]).stdout)
    assert [step["documents"] for step in told["steps"]] == [7, 3]
    given = ["sweep", "s", "word_count", "3", "7", "--direction", "max", "--json"]
    assert len(json.loads(runner.invoke(command, given).stdout)["steps"]) == 5


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["word_count", "1", "2"], 3, "has no column 'word_count'"),
        (["gopher.word_count.min", "1"], 2, "takes 2 values"),
        (["gopher.word_count.min", "1", "two"], 2, "'two' is not a valid float"),
        (["gopher.none", "1", "2"], 2, "no rule and no signal 'gopher.none'"),
    ],
)
def test_wrong_sweeps(runner: CliRunner, dataset: str, arguments: list[str], status: int, error: str) -> None:
    result = runner.invoke(command, ["sweep", dataset, *arguments])
    assert (result.exit_code, result.stdout) == (status, "")
    assert error in result.stderr
