"""`train quality` on the command line: what is a negative, what is the model, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpuskit.cli import command
from corpuskit.testing import documents, write_dataset


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, words in {
        "wiki": "history of",
        "books": "it was",
        "web": "click here",
        "spam": "buy now",
    }.items():
        rows = [f"{words} {number} " * (1 + number % 7) for number in range(60)]
        write_dataset(name, documents(rows, id=[f"{name}{number}" for number in range(60)]))


def run(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(command, ["train", "quality", *arguments, "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    sides = {side: [one["name"] for one in told[side]] for side in ("positive", "negative")}
    return {**sides, "path": told["path"], **told["settings"]}


BOTH = {"positive": ["books", "wiki"], "negative": ["spam", "web"], "path": "model"}


@pytest.mark.parametrize(
    "arguments",
    [
        "wiki books --negative web spam model",
        "wiki books --negative web --negative spam model",
        "wiki books --negative=web --negative=spam model",
        "--negative web spam --seed 0 wiki books model",
        "wiki --negative web spam --seed 0 books model",
        "wiki books --negative web spam model --seed 0",
    ],
)
def test_every_order_of_arguments(arguments: str) -> None:
    assert run(*arguments.split()).items() >= BOTH.items()


def test_settings_are_options() -> None:
    told = run(
        "wiki", "--negative", "web", "model", "--seed", "3", "--regularization", "0.5", "--sample", "1K"
    )
    assert (told["seed"], told["regularization"], told["sample"]) == (3, 0.5, 1000)


def test_prints_how_good_it_is_or_nothing() -> None:
    call = ["train", "quality", "wiki", "--negative", "web", "model"]
    result = CliRunner().invoke(command, call)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "AUC of the length alone" in result.stdout
    assert CliRunner().invoke(command, [*call, "-q"]).output == ""


def test_the_model_filters() -> None:
    run("wiki", "books", "--negative", "web", "spam", "model")
    result = CliRunner().invoke(
        command,
        ["filter", "quality", "web", "out", "--model", "model", "--min-score", "0.5", "--json", "-j", "1"],
    )
    assert (result.exit_code, json.loads(result.stdout)["rows"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        ("train quality wiki model", 2, "there must be negatives"),
        ("train quality wiki --negative web", 2, "there must be positives and a model"),
        ("train quality wiki --negative", 2, "--negative"),
        ("train quality wiki --negative absent model", 3, "there is no dataset at absent"),
        ("train quality wiki --negative web books", 4, "books holds something that is no quality model"),
        ("filter quality web out", 2, "missing option '--model'"),
        ("filter quality web out --model absent", 3, "there is nothing at absent"),
    ],
)
def test_wrong_calls(arguments: str, status: int, error: str) -> None:
    result = CliRunner().invoke(command, arguments.split())
    assert (result.exit_code, result.stdout) == (status, "")
    assert error in result.stderr
    assert not Path("out", "manifest.json").exists()
