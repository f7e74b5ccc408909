"""`corpuskit run`, `report`, `explain`, `sweep`, `status` and `task`: what is done with datasets."""

from __future__ import annotations

from typing import Any

import click

from corpuskit.cli import progress
from corpuskit.cli.options import check_target
from corpuskit.cli.running import CONTEXT, JSON, RUN_OPTIONS, VERBOSE, Running
from corpuskit.errors import UsageError

__all__ = ["COMMANDS"]

_SAMPLES = 12
_DATASET = click.Argument(["dataset"], type=click.Path())


@click.pass_context
def _run(ctx: click.Context, /, recipe: str, paths: tuple[str, ...], **_: Any) -> None:
    from corpuskit.recipe import load

    running = Running.of(ctx)
    *sources, target = paths or (None,)
    loaded = load(recipe)
    if target is not None:
        check_target(target, sources or loaded.sources)
    if running.dry_run:
        passes = [(one.stages, one.target, outlook) for one, outlook in loaded.outlook(sources, target)]
        progress.show_outlook(passes, running.as_json)
        return
    with running.watch() as watch:
        dataset = loaded.run(sources, target, options=running.options(watch))
    if running.as_json or not running.quiet:
        _show_report(dataset.path, running.as_json)


def _task(folder: str, index: int, **_: Any) -> None:
    from corpuskit.engine.slurm import perform_one

    perform_one(folder, index)


def _status(folder: str, as_json: bool, **_: Any) -> None:
    from corpuskit.status import status as status_of

    found = status_of(folder)
    if as_json:
        progress.print_json(found.json())
    else:
        click.echo(found.text())


def _clean(folder: str, dry_run: bool, as_json: bool, **_: Any) -> None:
    from corpuskit import files

    found = files.clean(folder, dry_run=dry_run)
    if as_json:
        progress.print_json({**found._asdict(), "removed": not dry_run})
        return
    for name in (*found.uploads, *found.files):
        click.echo(name)
    done = "to remove" if dry_run else "removed"
    click.echo(f"{len(found.uploads)} unfinished uploads and {len(found.files)} temporary files {done}")


def _explain(dataset: str, document: str, as_json: bool, **_: Any) -> None:
    from corpuskit.explain import explain as explain_document

    explanation = explain_document(dataset, document)
    if as_json:
        progress.print_json(explanation.json())
    else:
        click.echo(explanation.text().rstrip("\n"))


def _report(dataset: str, as_json: bool, as_html: bool, richness: bool, verbose: bool, **given: Any) -> None:
    if as_json and as_html:
        raise UsageError("--json and --html are given together", fix="choose one")
    given = {name: value for name, value in given.items() if value is not None}
    if richness:
        _show_richness(dataset, as_json, as_html, **given)
    elif given:
        raise UsageError(f"--{next(iter(given))} is given without --richness", fix="add --richness")
    elif as_html:
        from corpuskit.report import report as report_on

        click.echo(report_on(dataset, images=_SAMPLES).html())
    else:
        _show_report(dataset, as_json)


def _show_richness(
    dataset: str, as_json: bool, as_html: bool, against: str | None = None, **sampling: Any
) -> None:
    from corpuskit.richness import Sampling
    from corpuskit.richness import richness as richness_of

    found = richness_of(dataset, against=against, sampling=Sampling(**sampling))
    if as_json:
        progress.print_json(found.json())
    else:
        click.echo(found.html() if as_html else found.text().rstrip("\n"))


def _sweep(
    dataset: str, rule: str, bounds: tuple[float, float], as_json: bool, verbose: bool, **given: Any
) -> None:
    from corpuskit.sweep import sweep as sweep_over

    found = sweep_over(dataset, rule, *bounds, **given)
    if as_json:
        progress.print_json(found.json())
    else:
        click.echo(found.text().rstrip("\n"))


def _show_report(path: str, as_json: bool) -> None:
    from corpuskit.report import report as report_on

    found = report_on(path)
    if as_json:
        progress.print_json(found.json())
    else:
        click.echo(found.text().rstrip("\n"))


run = click.Command(
    "run",
    callback=_run,
    params=[
        click.Argument(["recipe"], type=click.Path(dir_okay=False), metavar="RECIPE"),
        click.Argument(["paths"], nargs=-1, type=click.Path(), metavar="[[SOURCE]... TARGET]"),
        *RUN_OPTIONS,
    ],
    help="""Run a recipe: a TOML file that names sources, stages and a target.

    Paths given here take the place of those in the recipe; the last is the TARGET. What the steps
    before the last write is kept in TARGET/steps. The same command again goes on where it stopped.
    """,
    short_help="Run a recipe: stages with their settings in one TOML file.",
    context_settings=CONTEXT,
)

task = click.Command(
    "task",
    callback=_task,
    params=[
        click.Argument(["folder"], type=click.Path(), metavar="RUN"),
        click.Argument(["index"], type=click.IntRange(min=0), metavar="INDEX"),
        VERBOSE,
    ],
    help="""Do one task of an array job: what the script of --engine slurm calls on each node.""",
    context_settings=CONTEXT,
)

status = click.Command(
    "status",
    callback=_status,
    params=[click.Argument(["folder"], type=click.Path(), metavar="RUN"), JSON, VERBOSE],
    help="""Say how far the run that writes the folder RUN is, from any shell, while it goes on or after.""",
    context_settings=CONTEXT,
)

clean = click.Command(
    "clean",
    callback=_clean,
    params=[
        click.Argument(["folder"], type=click.Path(), metavar="TARGET"),
        click.Option(["-n", "--dry-run"], is_flag=True, help="List them, and remove nothing."),
        JSON,
        VERBOSE,
    ],
    help="""Remove what killed runs left in a target: uploads that never ended, and temporary files.

    An upload that was cut off is not seen in a bucket, and is paid for until it is aborted.
    """,
    short_help="Remove uploads and temporary files that killed runs left behind.",
    context_settings=CONTEXT,
)

explain = click.Command(
    "explain",
    callback=_explain,
    params=[_DATASET, click.Argument(["document"], metavar="ID_OR_URL"), JSON, VERBOSE],
    help="""Say what became of one document, and why.

    Every stage's verdict with its values and bounds, what was cut, the twin of a duplicate, and
    where the document came from.
    """,
    context_settings=CONTEXT,
)

report = click.Command(
    "report",
    callback=_report,
    params=[
        _DATASET,
        JSON,
        click.Option(["--html", "as_html"], is_flag=True, help="Print a page for a browser."),
        click.Option(["--richness"], is_flag=True, help="Show how rich the text is instead, by source."),
        click.Option(
            ["--against"],
            type=click.Path(),
            metavar="OTHER",
            help="With --richness: another dataset to compare with.",
        ),
        click.Option(
            ["--words"],
            type=click.IntRange(min=1_000),
            help="With --richness: words of each source to measure.  [default: 100000]",
        ),
        click.Option(
            ["--documents"],
            type=click.IntRange(min=100),
            help="With --richness: documents of each source for hosts and vectors.  [default: 1000]",
        ),
        click.Option(
            ["--vectors"],
            metavar="COLUMN",
            help="With --richness: column of vectors.  [default: the only one]",
        ),
        VERBOSE,
    ],
    help="""Show the way from the first input to a dataset: what every stage and rule kept and rejected.

    With --richness, read its text instead, and show how varied that is: words and phrases, compression,
    languages, hosts, years, vectors; for each source and for all.
    """,
    short_help="Show what every stage and rule kept and rejected.",
    context_settings=CONTEXT,
)

sweep = click.Command(
    "sweep",
    callback=_sweep,
    params=[
        _DATASET,
        click.Argument(["rule"], metavar="RULE"),
        click.Argument(["bounds"], nargs=2, type=click.FLOAT, metavar="LOW HIGH"),
        click.Option(
            ["--steps"],
            type=click.IntRange(min=1),
            default=5,
            show_default=True,
            help="How many bounds to try, from LOW to HIGH.",
        ),
        click.Option(
            ["--direction"],
            type=click.Choice(["min", "max"]),
            help="With a signal as RULE: whether the bound is a least or a greatest value.",
        ),
        JSON,
        VERBOSE,
    ],
    help="""Show what other bounds of a rule would keep, without running anything again.

    RULE is the name of a rule such as gopher.word_count.min, one of your own such as
    tables/mine.toml:word_count.min, or a signal that DATASET holds as a column. For each bound: the
    documents and words it keeps, and ten documents close to it.
    """,
    short_help="Show what other bounds of a rule would keep.",
    context_settings=CONTEXT,
)

COMMANDS = (run, report, explain, sweep, status, clean, task)
"""All of them, in the order of the help."""
