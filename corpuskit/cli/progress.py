"""What a person sees: a progress bar on stderr while a run goes on, a table on stdout when it ends."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from corpuskit.cli.journal import Log, Metrics

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID
    from rich.table import Table

    from corpuskit.dataset import Dataset
    from corpuskit.engine import Outlook, Progress
    from corpuskit.funnel import Level, Rule
    from corpuskit.stage import Answer, Stage

__all__ = ["Watch", "print_json", "result", "show_lines", "show_outlook", "show_result"]

_REJECTING_SHOWN, _CUTTING_SHOWN = 8, 3
_PLAIN_WIDTH = 200


class Watch:
    """Follows a run: a bar on stderr if that is a terminal, files for machines, whether there was work."""

    def __init__(self, *, quiet: bool = False, log: str | None = None, metrics: str | None = None) -> None:
        self.worked = False
        self._journals: list[Log | Metrics] = [
            *([Log(log)] if log else []),
            *([Metrics(metrics)] if metrics else []),
        ]
        self._bar = _bar() if sys.stderr.isatty() and not quiet else None
        self._rows: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}

    def __enter__(self) -> Watch:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        for journal in self._journals:
            journal.end(error)

    def __call__(self, now: Progress) -> None:
        """Note how far the run is; called by the engine."""
        self.worked = True
        for journal in self._journals:
            journal.progress(now)
        if self._bar is None:
            return
        if now.stage not in self._rows:
            self._rows[now.stage] = self._bar.add_task(now.stage, total=None, rows="", workers="", trouble="")
        self._bar.update(
            self._rows[now.stage],
            total=now.tasks if now.tasks > 1 or now.done else None,
            completed=now.done,
            rows=self._rows_kept(now),
            workers=f"{now.workers} worker{'s' * (now.workers != 1)}",
            trouble=f"{now.restarts} restart{'s' * (now.restarts > 1)}" if now.restarts else "",
        )

    def _rows_kept(self, now: Progress) -> str:
        if not now.rows_in:
            return ""
        share = now.rows_out / now.rows_in
        return f"{now.rows_out:,} of {now.rows_in:,} kept ({share:.0%}){self._rate(now)}"

    def _rate(self, now: Progress) -> str:
        seconds = time.monotonic() - self._began.setdefault(now.stage, time.monotonic())
        return f", {now.rows_in / seconds:,.0f}/s" if seconds > 1 else ""


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]}"),
        TextColumn("{task.fields[workers]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("[red]{task.fields[trouble]}"),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, expand=True)


def print_json(value: object) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def show_result(dataset: Dataset, *, every_rule: bool, worked: bool, answer: Answer | None = None) -> None:
    """Print what became of the documents that came in, rule by rule; and what else was asked for."""
    from corpuskit.funnel import funnel

    own = funnel(dataset)[-1].levels[-_own(dataset, os.path.normpath(dataset.path)) :]
    if not worked:
        _print(f"{dataset.path} was finished before: nothing to do\n", style="dim")
    if answer is None or "text" in dataset.schema.names:
        _print(_table(own, every_rule))
    if answer is not None:
        _print("".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in answer.text))
        if "text" not in dataset.schema.names:
            _print(f"\n{dataset.path}", style="dim")
            return
    total = _Total.of(dataset)
    documents = f"{total.rows:,} document{'s' * (total.rows != 1)}"
    _print(f"\n{dataset.path}: {documents}, {total.words:,} words, {_size(total.text_bytes)}")
    if dataset.rejects:
        _print(f"to see why one went: corpuskit explain {dataset.path} ID_OR_URL", style="dim")


def _own(dataset: Dataset, target: str) -> int:
    """Count the stages of a dataset and of those within the target: the steps that its kind keeps."""
    from corpuskit.funnel import upstream

    within = [source for path, source in upstream(dataset) if source and path.startswith(f"{target}/")]
    return len(dataset.manifest["stages"]) + sum(_own(source, target) for source in within)


@dataclass(frozen=True)
class _Total:
    """What a dataset holds."""

    rows: int
    words: int
    text_bytes: int

    @classmethod
    def of(cls, dataset: Dataset) -> _Total:
        words = sum(part.words for part in dataset.parts)
        return cls(dataset.rows, words, sum(part.text_bytes for part in dataset.parts))


def result(dataset: Dataset, answer: Answer | None = None) -> dict[str, Any]:
    """Return what `show_result` shows as plain JSON values."""
    counted = ("name", "rows_in", "rows_out", "bytes_in", "bytes_out", "rules", "facts")
    stages = [{key: stage[key] for key in counted if key in stage} for stage in dataset.manifest["stages"]]
    told = {"path": dataset.path, **dataclasses.asdict(_Total.of(dataset)), "stages": stages}
    return told if answer is None else {**told, "answer": answer.json}


def _table(levels: Sequence[Level], every_rule: bool) -> Table:
    from rich.table import Table

    cuts = any(rule.spans for level in levels for rule in level.rules)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("stage and rule", overflow="fold", min_width=24)
    for title in ("documents", "share", *(("cuts", "text cut") if cuts else ())):
        table.add_column(title, justify="right", no_wrap=True)
    for level in levels:
        table.add_row(level.stage, f"{level.rows_in:,}", style="bold")
        table.add_row("  kept", f"{level.rows_out:,}", _share(level.rows_out, level.rows_in), style="green")
        shown = level.rules if every_rule else _foremost(level.rules)
        for rule in shown:
            gone = (
                (f"{rule.documents:,}", _share(rule.documents, level.rows_in)) if rule.documents else ("", "")
            )
            cut = (f"{rule.spans:,}", _size(rule.bytes)) if rule.spans else ("", "")
            table.add_row(f"  {rule.name}", *gone, *(cut if cuts else ()))
        if left := len(level.rules) - len(shown):
            table.add_row(f"  and {left} more rules: -v shows all")
        for name, count in level.facts.items():
            table.add_row(f"  {name}", f"{count:,}", style="dim")
    return table


def _foremost(rules: Sequence[Rule]) -> Sequence[Rule]:
    """Choose the rules that rejected or cut most, where there are many."""
    if len(rules) <= _REJECTING_SHOWN + _CUTTING_SHOWN:
        return rules
    rejecting = [rule for rule in rules if rule.documents][:_REJECTING_SHOWN]
    return rejecting + [rule for rule in rules if not rule.documents][:_CUTTING_SHOWN]


def show_lines(lines: Sequence[str]) -> None:
    """Print what a stage has to tell beyond its table."""
    for line in lines:
        _print(line)


def show_outlook(outlooks: Sequence[tuple[Sequence[Stage], str, Outlook | None]], as_json: bool) -> None:
    """Print what a run would do: each pass's stages, target, and outlook (null: not known yet)."""
    if as_json:
        print_json({"passes": [_outlook(stages, target, outlook) for stages, target, outlook in outlooks]})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("would run")
    for title in ("tasks", "done", "documents", "input", "memory a worker"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("into", overflow="fold")
    for stages, target, outlook in outlooks:
        names = "\n".join(stage.name for stage in stages)
        if outlook is None:
            table.add_row(names, "?", "0", "?", "?", "", target)
        else:
            rows = "?" if outlook.rows is None else f"{outlook.rows:,}"
            counts = (f"{outlook.tasks:,}", f"{outlook.done:,}", rows, _size(outlook.bytes))
            memory = "" if outlook.memory is None else _memory(outlook.memory)
            table.add_row(names, *counts, memory, target)
    _print(table)
    for note in [note for _, _, outlook in outlooks if outlook is not None for note in outlook.notes]:
        _print(f"\n{note}")
    _print("\nnothing was written", style="dim")


def _outlook(stages: Sequence[Stage], target: str, outlook: Outlook | None) -> dict[str, Any]:
    known = {} if outlook is None else {name: getattr(outlook, name) for name in outlook.__dataclass_fields__}
    return {"stages": [stage.name for stage in stages], "target": target, **known}


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.1f} %" if total else ""


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)


def _memory(count: int) -> str:
    """Write bytes in the unit that --memory is given in."""
    return f"{-(-count >> 20):,} MiB"


def _print(what: str | Table, style: str | None = None) -> None:
    """Print to stdout; what does not go to a terminal is neither coloured nor cut to its width."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(what, style=style, soft_wrap=isinstance(what, str))
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())
