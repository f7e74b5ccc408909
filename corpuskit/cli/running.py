"""What every command that runs stages has in common: its shared options, and what is made of them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from corpuskit.cli import progress
from corpuskit.errors import UsageError

if TYPE_CHECKING:
    from corpuskit.engine import Options
    from corpuskit.stage import Stage

__all__ = ["CONTEXT", "JSON", "RUN_OPTIONS", "VERBOSE", "Running", "Session"]

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass
class Session:
    """What must be known of a command line after its command has failed."""

    verbose: bool = False


class Share(click.ParamType[float]):
    """A share such as 0.01 or 1%."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a share between 0 and 1."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            self.fail(f"{text!r} is not a share between 0 and 1, like 0.01 or 1%", param, ctx)
        return share


def _be_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.ensure_object(Session).verbose |= value
    return value


JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object, and nothing else.")
VERBOSE = click.Option(
    ["-v", "--verbose"],
    is_flag=True,
    callback=_be_verbose,
    help="Show every rule; after a bug, its traceback too.",
)
RUN_OPTIONS: tuple[click.Parameter, ...] = (
    click.Option(
        ["-j", "--workers"],
        type=click.IntRange(min=1),
        metavar="N",
        help="Processes to use.  [default: one a core]",
    ),
    click.Option(["-n", "--dry-run"], is_flag=True, help="Say what would be done, and write nothing."),
    JSON,
    click.Option(["-q", "--quiet"], is_flag=True, help="Print nothing unless something is wrong."),
    VERBOSE,
    click.Option(["--force"], is_flag=True, help="Start again: replace what an earlier run wrote to TARGET."),
    click.Option(
        ["--engine"],
        type=click.Choice(["local", "ray", "slurm"]),
        default="local",
        show_default=True,
        help="Who does the work: this machine, a Ray cluster, or Slurm's array jobs.",
    ),
    click.Option(
        ["--address"],
        metavar="auto|local|HOST",
        default="auto",
        show_default=True,
        help="With --engine ray: the cluster this machine belongs to, one of its own, or one elsewhere.",
    ),
    click.Option(
        ["--max-bad"],
        type=Share(),
        default="1%",
        show_default=True,
        help="Exit with status 5 if a larger share of the records is damaged.",
    ),
    click.Option(["--verify"], is_flag=True, help="Read what stands again, and redo what is damaged."),
    click.Option(["--log"], type=click.Path(), metavar="FILE", help="Append progress to FILE as JSON lines."),
    click.Option(
        ["--metrics"], type=click.Path(), metavar="FILE", help="Keep FILE current in Prometheus's format."
    ),
)
"""The options of every command that runs stages."""


@dataclass(frozen=True)
class Running:
    """The shared options as they were given."""

    workers: int | None
    dry_run: bool
    as_json: bool
    quiet: bool
    verbose: bool
    force: bool
    max_bad: float
    engine: Literal["local", "ray", "slurm"]
    address: str
    verify: bool
    log: str | None
    metrics: str | None

    @classmethod
    def of(cls, ctx: click.Context) -> Running:
        """Take them from a command line.

        Raises:
            UsageError: Options contradict each other.
        """
        if ctx.params["dry_run"] and ctx.params["force"]:
            raise UsageError(
                "--dry-run and --force are given together",
                fix="leave --force out: the dry run says what stands in the way",
            )
        return cls(**{field.name: ctx.params[field.name] for field in dataclasses.fields(cls)})

    def watch(self) -> progress.Watch:
        """Make what follows the run."""
        return progress.Watch(quiet=self.quiet, log=self.log, metrics=self.metrics)

    def options(self, watch: progress.Watch) -> Options:
        """Return them as the engine takes them."""
        from corpuskit.engine import Options

        return Options(
            workers=self.workers,
            force=self.force,
            verify=self.verify,
            max_bad=self.max_bad,
            progress=watch,
            engine=self.engine,
            address=self.address,
        )

    def show(self, target: str, watch: progress.Watch, stage: Stage) -> None:
        """Print what a stage wrote, as they ask for it."""
        from corpuskit.dataset import Dataset

        dataset = Dataset(target)
        if self.as_json:
            progress.print_json(progress.result(dataset, stage.answers(dataset)))
        elif not self.quiet:
            told = {"every_rule": self.verbose, "worked": watch.worked}
            progress.show_result(dataset, **told, answer=stage.answers(dataset))
            if self.verbose:
                progress.show_lines(stage.recounts(dataset))
