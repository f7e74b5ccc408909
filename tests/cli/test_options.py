"""Options are made of settings: none is missing, each arrives as the dataclass wants it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from corpuskit import settings
from corpuskit.cli import command
from corpuskit.cli.options import StageCommand, default
from corpuskit.cli.running import RUN_OPTIONS
from corpuskit.recipe import KINDS, stage_type

DOCUMENTED = re.compile(r"^\| `--([a-z0-9-]+)[^`]*` \|([^|]*)\|", re.MULTILINE)
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
def given(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `filter every` with options, and return the stage the engine would get."""
    seen: list[Any] = []

    def outlook(stage: Any, *_: object) -> Any:
        from corpuskit.engine import Outlook

        seen.append(stage)
        return Outlook(0, 0, 0, 0)

    monkeypatch.setattr("corpuskit.engine.outlook", outlook)

    def give(*arguments: str) -> Any:
        result = runner.invoke(command, ["filter", "every", "a", "b", "-n", *arguments])
        assert result.exit_code == 0, result.stderr
        return seen.pop()

    return give


def test_no_option_keeps_every_default(given: Any) -> None:
    assert given() == stage_type("filter.every")()


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--word", "other"], "word", "other"),
        (["--maybe", "x"], "maybe", "x"),
        (["--words", "c,d"], "words", ("c", "d")),
        (["--words", "c", "--words", "d, e"], "words", ("c", "d", "e")),
        (["--words", ""], "words", ()),
        (["--shares", "0.5,1"], "shares", (0.5, 1.0)),
        (["--mode", "longest"], "mode", "longest"),
        (["--modes", "x,y"], "modes", ("x", "y")),
        (["--no-check"], "check", False),
        (["--count-only"], "count_only", True),
        (["--score", "0"], "score", 0.0),
        (["--memory", "500MB"], "memory", 500_000_000),
        (["--memory", "1_000"], "memory", 1000),
    ],
)
def test_an_option_sets_its_setting_alone(given: Any, arguments: list[str], name: str, value: object) -> None:
    stage = given(*arguments)
    assert getattr(stage, name) == value
    default = stage_type("filter.every")()
    others = [field.name for field in settings.fields(stage) if field.name != name]
    assert [getattr(stage, other) for other in others] == [getattr(default, other) for other in others]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--shares", "0.5,much"], "'much' is not a valid float"),
        (["--mode", "frist"], "'frist' is not one of 'first', 'longest'"),
        (["--modes", "x,z"], "'z' is not one of 'x', 'y'"),
        (["--score", "high"], "'high' is not a valid float"),
        (["--memory", "lots"], "'lots' is not a whole number or a size"),
    ],
)
def test_a_wrong_value_is_named(runner: CliRunner, arguments: list[str], error: str) -> None:
    result = runner.invoke(command, ["filter", "every", "a", "b", *arguments])
    assert result.exit_code == 2
    assert error in result.stderr


def test_help_is_the_docstring_and_shows_defaults_as_one_would_type_them(runner: CliRunner) -> None:
    help = " ".join(runner.invoke(command, ["filter", "every", "--help"]).stdout.split())
    assert "Have a setting of every kind there is. Settings:" in help
    assert "Keep everything." not in help  # the second paragraph is for the library's reader
    for shown in (
        "--words TEXT,... Words. [default: a,b]",
        "--mode [first|longest] A choice. [default: first]",
        "--check / --no-check A switch that is on. [default: check]",
        "--count-only / --no-count-only A switch that is off. --score",
        "[default: 0.65]",
        "[default: 2GiB]",
        "--maybe TEXT A word or none. --words",
    ):
        assert shown in help


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_setting_of_every_stage_is_an_option(kind: str) -> None:
    stage = StageCommand(kind)
    options = {name: param for param in stage.get_params(click.Context(stage)) for name in param.opts}
    shared = {name for option in RUN_OPTIONS for name in option.opts}
    for field in settings.fields(stage_type(kind)):
        flag = f"--{field.name.replace('_', '-')}"
        assert options[flag].name == field.name
        assert flag not in shared
        assert field.help


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_documentation_lists_the_options_of_every_stage_with_their_defaults(kind: str) -> None:
    section = DOCS.read_text("utf-8").split(f"\n### {kind.replace('.', ' ')}\n")[1]
    told = {
        name: default.strip(" `").removeprefix("--")
        for name, default in DOCUMENTED.findall(section.split("\n##")[0])
    }
    fields = settings.fields(stage_type(kind))
    assert told == {field.name.replace("_", "-"): default(field) for field in fields}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_stage_has_a_one_line_summary_and_a_help(kind: str) -> None:
    stage = StageCommand(kind)
    assert stage_type(kind).name == kind
    assert 10 < len(stage.get_short_help_str(200)) <= 200
    assert stage_type(kind).__doc__
    result = CliRunner().invoke(command, [*kind.split("."), "--help"])
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_every_shared_option_is_documented() -> None:
    text = DOCS.read_text("utf-8")
    for option in RUN_OPTIONS:
        for name in option.opts:
            assert f"`{name}" in text
