"""Commands made from stages: every setting of the dataclass is an option, so the two cannot drift."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from corpuskit import settings
from corpuskit.cli import progress
from corpuskit.cli.running import CONTEXT, RUN_OPTIONS, Running
from corpuskit.errors import CorpuskitError, TooManyBadRecords, UsageError
from corpuskit.recipe import KINDS, stage_type

if TYPE_CHECKING:
    from corpuskit.stage import Stage

__all__ = [
    "PATHS",
    "StageCommand",
    "Verb",
    "check_target",
    "default",
    "divide",
    "option",
    "write_commands",
]


class Count(click.ParamType[int]):
    """A whole number, or a size such as 2GiB."""

    name = "integer"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a count or a number of bytes."""
        try:
            return settings.parse_size(str(value))
        except CorpuskitError:
            self.fail(f"{value!r} is not a whole number or a size like 500MB or 2GiB", param, ctx)


class Listed(click.ParamType[list[Any]]):
    """Values separated by commas."""

    def __init__(self, item: click.ParamType[Any]) -> None:
        self._item = item
        self.name = item.name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Convert each value; blank ones are dropped, so that '' is the empty list."""
        items = str(value).split(",")
        return [self._item.convert(item.strip(), param, ctx) for item in items if item.strip()]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show one value, and that there may be more."""
        return f"{self._item.get_metavar(param, ctx) or self.name.upper()},..."


PATHS = click.Argument(["paths"], nargs=-1, type=click.Path(), metavar="SOURCE... TARGET")
TARGET = click.Argument(["paths"], nargs=-1, type=click.Path(), metavar="TARGET")


def divide(paths: Sequence[str], reads: bool = True) -> tuple[tuple[str, ...], str]:
    """Divide SOURCE... TARGET, as `cp` does: the last path is the target; the only one where nothing is read.

    Raises:
        UsageError: There are too few paths or too many, or the target is a file or one of the sources.
    """
    if not reads:
        if len(paths) != 1:
            raise UsageError(
                f"{len(paths)} paths are given", fix="give TARGET alone: the settings say the rest"
            )
        check_target(paths[0], ())
        return (), paths[0]
    if len(paths) < 2:
        given = f"only {paths[0]!r} is given" if paths else "no paths are given"
        raise UsageError(given, fix="give SOURCE... TARGET: the last path is the target")
    *sources, target = paths
    check_target(target, sources)
    return tuple(sources), target


def check_target(target: str, sources: Sequence[str]) -> None:
    """Catch a target that was forgotten, so that the last source took its place.

    Raises:
        UsageError: The target is a file or one of the sources.
    """
    fix = "the last path is the target: name a new folder there, or the one to go on with"
    if Path(target).is_file():
        raise UsageError(f"the target {target!r} is a file", fix=fix)
    if target.rstrip("/") in (source.rstrip("/") for source in sources):
        raise UsageError(f"{target!r} is both a source and the target", fix=fix)


class StageCommand(click.Command):
    """`corpuskit VERB KIND`: its options are the stage's settings, imported when they are needed."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind.split(".")[1], context_settings=CONTEXT)
        self.kind = kind

    @cached_property
    def stage_type(self) -> type[Stage]:
        """The dataclass whose settings the options are."""
        return stage_type(self.kind)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the paths, the settings in order, and the shared options."""
        if not self.params:
            self.help = inspect.cleandoc(self.stage_type.__doc__ or "").split("\n\n")[0]
            paths = PATHS if self.stage_type.reads else TARGET
            self.params = [paths, *map(option, settings.fields(self.stage_type)), *RUN_OPTIONS]
        return super().get_params(ctx)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Read the first sentence about the stage from its source, without importing it."""
        return _summary(self.kind)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the stage's own settings apart from what every command has."""
        own = {field.name for field in settings.fields(self.stage_type)}
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for title, wanted in (("Settings", True), ("Options", False)):
            records = [param.get_help_record(ctx) for param in options if (param.name in own) is wanted]
            if shown := [record for record in records if record]:
                with formatter.section(title):
                    formatter.write_dl(shown)

    def invoke(self, ctx: click.Context) -> None:
        """Run the stage, or say what a run would do."""
        from corpuskit import engine

        running = Running.of(ctx)
        sources, target = divide(ctx.params["paths"], self.stage_type.reads)
        stage = settings.from_mapping(self.stage_type, self._given(ctx), self.kind)
        if running.dry_run:
            outlook = engine.outlook(stage, sources, target)
            progress.show_outlook([((stage,), target, outlook)], running.as_json)
            return
        watch = running.watch()
        try:
            with watch:
                engine.run(stage, sources, target, options=running.options(watch))
        except TooManyBadRecords:  # the dataset stands, and its table shows what was damaged
            running.show(target, watch, stage)
            raise
        running.show(target, watch, stage)

    def _given(self, ctx: click.Context) -> dict[str, Any]:
        """Return the settings that were given: what was not keeps the dataclass's own default."""
        return {
            field.name: _flat(ctx.params[field.name]) if field.many else ctx.params[field.name]
            for field in settings.fields(self.stage_type)
            if ctx.get_parameter_source(field.name) is ParameterSource.COMMANDLINE
        }


class Verb(click.Group):
    """`corpuskit VERB`: one command for each of its kinds."""

    def __init__(self, name: str, help: str) -> None:
        super().__init__(
            name,
            help=inspect.cleandoc(help),
            context_settings=CONTEXT,
            options_metavar="",
            subcommand_metavar="KIND SOURCE... TARGET [OPTIONS]",
        )
        for kind in KINDS:
            if kind.startswith(f"{name}."):
                self.add_command(StageCommand(kind))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the kinds in the order of the registry."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show what each kind does."""
        write_commands(formatter, "Kinds", self.commands)


def write_commands(formatter: click.HelpFormatter, title: str, commands: Mapping[str, click.Command]) -> None:
    """Write one line about each command, under a title."""
    with formatter.section(title):
        formatter.write_dl([(name, one.get_short_help_str(limit=200)) for name, one in commands.items()])


def option(field: settings.Field) -> click.Option:
    """Make the option of a setting: no default of its own, so that what was not given can be told."""
    flag = field.name.replace("_", "-")
    flags = f"--{flag}/--no-{flag}" if field.kind is bool else f"--{flag}"
    shown = default(field)
    kind = _parameter_type(field)
    required = field.default is dataclasses.MISSING
    optional: dict[str, Any] = (
        {} if required else {"default": None}
    )  # click takes a default of None for a value
    return click.Option(
        [flags, field.name],
        type=Listed(kind) if field.many else kind,
        multiple=field.many,
        required=required,
        help=_sentence(field.help) + (f"  [default: {shown}]" if shown else ""),
        **optional,
    )


def _sentence(text: str) -> str:
    """Begin a help text with a capital, and end it with a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "]")) else ".")


def _parameter_type(field: settings.Field) -> click.ParamType[Any]:
    if field.choices:
        return click.Choice(field.choices)
    kinds: dict[Any, click.ParamType[Any]] = {bool: click.BOOL, int: Count(), float: click.FLOAT}
    return kinds.get(field.kind, click.STRING)


def default(field: settings.Field) -> str:
    """Show a default as one would type it; no value, off, and an empty list show nothing."""
    value = field.default
    if isinstance(value, bool):
        return field.name.replace("_", "-") if value else ""
    if value is None or value is dataclasses.MISSING:
        return ""
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, int):
        return _number(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: int) -> str:
    """Write a number with the largest unit that leaves it whole, if that is at least a million."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("G", 10**9), ("M", 10**6)):
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)


def _flat(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return [item for items in lists for item in items]


def _summary(kind: str) -> str:
    """Return the first sentence of a stage's docstring, read from its source."""
    module, name = KINDS[kind].split(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _first_sentence(ast.get_docstring(node) or "")
    return ""


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0]
