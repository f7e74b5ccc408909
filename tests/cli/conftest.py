"""Let the command line's tests, and the workers they start, import their small stages as a user's module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpuskit import recipe
from corpuskit.cli import command
from corpuskit.cli.options import StageCommand

sys.path.insert(0, str(Path(__file__).parent))

FAKES = {
    "crawl.lines": "cli_stages:Lines",
    "filter.longer": "cli_stages:Longer",
    "filter.every": "cli_stages:Every",
    "filter.broken": "cli_stages:Broken",
    "dedup.first": "cli_stages:First",
}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the small stages of `cli_stages` known for one test."""
    for kind, place in FAKES.items():
        verb, name = kind.split(".")
        monkeypatch.setitem(recipe.KINDS, kind, place)
        monkeypatch.setitem(command.commands[verb].commands, name, StageCommand(kind))  # type: ignore[attr-defined]
    yield


@pytest.fixture
def runner(fakes: None) -> CliRunner:
    """Run command lines in this process, with the small stages known."""
    return CliRunner()


@pytest.fixture
def pages(tmp_path: Path) -> str:
    """Write ten documents as lines: `word` 1 to 10 times, the last one damaged."""
    path = tmp_path / "pages.txt"
    path.write_text("".join("word " * size + "\n" for size in range(1, 10)) + "!damaged\n")
    return str(path)


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    """Write a dataset of nine documents: `word` 1 to 9 times."""
    from corpuskit.testing import documents, write_dataset

    return write_dataset(tmp_path / "documents", documents(["word " * size for size in range(1, 10)]))
