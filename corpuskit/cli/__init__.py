"""The command `corpuskit`: four verbs, a few tools, and one way to say what went wrong."""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from corpuskit import __version__
from corpuskit.cli import tools
from corpuskit.cli.crawl import crawl
from corpuskit.cli.dedup import dedup
from corpuskit.cli.filter import filter
from corpuskit.cli.options import write_commands
from corpuskit.cli.running import CONTEXT, Session
from corpuskit.cli.shard import shard
from corpuskit.cli.train import train
from corpuskit.errors import CorpuskitError, DoesNotFit, TargetError

__all__ = ["command", "main"]

_INTERRUPTED, _TERMINATED, _BROKEN_PIPE = 130, 143, 141
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class Root(click.Group):
    """The command line as a whole: shows its parts in the order of the work, and reports every failure."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the work."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the verbs apart from the tools."""
        verbs = {name: one for name, one in self.commands.items() if isinstance(one, click.Group)}
        write_commands(formatter, "Verbs", verbs)
        write_commands(
            formatter, "Tools", {name: self.commands[name] for name in self.commands if name not in verbs}
        )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the exit statuses, for scripts and cron."""
        with formatter.section("Exit status"):
            formatter.write_dl(list(_STATUSES))

    def invoke(self, ctx: click.Context) -> None:
        """Run the command; a reader that goes away before it has read all, as `head` does, is no bug."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(_BROKEN_PIPE) from None

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command line and exit with the status that says how it went."""
        session = Session()
        try:
            extra.pop("standalone_mode", None)
            status = super().main(args, prog_name or "corpuskit", standalone_mode=False, obj=session, **extra)
        except BaseException as error:  # noqa: BLE001 - the one place that turns failures into exit statuses
            status = _report(error, session)
        sys.exit(status or 0)


_STATUSES = (
    ("0", "done, or nothing to do"),
    ("1", "a bug: please report it"),
    ("2", "a wrong command, option, recipe or rule table"),
    ("3", "input is missing, unreadable, changed, or matches nothing"),
    ("4", "the target holds something else"),
    ("5", "more damaged records than --max-bad"),
    ("6", "does not fit in memory or on the disk"),
    ("75", "try later: network, quota, or another run holds the target"),
    ("130, 143", "interrupted: the same command goes on where it stopped"),
)


def _report(error: BaseException, session: Session) -> int:
    """Tell the user what happened, and return the exit status."""
    match error:
        case SystemExit(code=int(code)) if code != _TERMINATED:
            return code
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return error.exit_code
        case click.ClickException():
            _say(*_usage(error))
            return error.exit_code
        case KeyboardInterrupt() | click.Abort() | SystemExit():
            _say("interrupted", "what is finished stands; the same command again goes on from there")
            return _TERMINATED if isinstance(error, SystemExit) else _INTERRUPTED
    known = _known(error)
    if known is None or known.exit_code == 1:
        return _report_bug(error, session)
    _say(known.what, known.fix)
    return known.exit_code


def _usage(error: click.ClickException) -> tuple[str, str | None]:
    """Say click's own complaints in our form."""
    ctx = getattr(error, "ctx", None)
    close = getattr(error, "possibilities", None)
    what = error.message if close else error.format_message()
    fix = f"did you mean {close[0]!r}?" if close else f"see {ctx.command_path} --help" if ctx else None
    return what[:1].lower() + what[1:].rstrip("."), fix


def _known(error: BaseException) -> CorpuskitError | None:
    """Return an error the user can act on, or null for a bug."""
    if isinstance(error, CorpuskitError):
        return error
    if isinstance(error, MemoryError):
        return DoesNotFit("out of memory", fix="use fewer --workers, or a machine with more memory")
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return DoesNotFit(
            f"no room to write {error.filename or 'the output'}", fix="free some disk space, then run again"
        )
    if isinstance(error, OSError) and error.errno in _NOT_OURS and error.filename:
        return TargetError(f"cannot write {error.filename}: {error.strerror}", fix="choose another target")
    return None


def _report_bug(error: BaseException, session: Session) -> int:
    trace = "".join(traceback.format_exception(error))
    lines = (
        error.what if isinstance(error, CorpuskitError) else f"{type(error).__name__}: {error}"
    ).splitlines()
    what = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
    fix = f"{error.fix}; otherwise " if isinstance(error, CorpuskitError) and error.fix else ""
    if session.verbose:
        click.echo(trace, err=True, nl=False)
    try:
        handle, path = tempfile.mkstemp(prefix="corpuskit-bug-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(
                f"corpuskit {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
            )
            file.write(f"{sys.argv}\n\n{trace}")
        _say(what, f"{fix}this is a bug: please report it with {path}")
    except OSError:
        _say(what, f"{fix}this is a bug: please report it with what -v shows")
    return 1


def _say(what: str, fix: str | None) -> None:
    plain = "NO_COLOR" in os.environ
    click.secho("error:", err=True, nl=False, fg=None if plain else "red", bold=not plain)
    click.echo(f" {what}", err=True)
    if fix:
        click.secho("fix:", err=True, nl=False, fg=None if plain else "green", bold=not plain)
        click.echo(f" {fix}", err=True)


command = Root(
    "corpuskit",
    context_settings=CONTEXT,
    options_metavar="",
    subcommand_metavar="VERB KIND SOURCE... TARGET [OPTIONS]",
    help="""Build training corpora: crawl the world, filter each document, drop duplicates, write shards.

    Like cp, the last path is the target. The same command again goes on where it stopped.
    """,
)
for _part in (crawl, filter, dedup, shard, train, *tools.COMMANDS):
    command.add_command(_part)
click.version_option(__version__, prog_name="corpuskit", message="%(prog)s %(version)s")(command)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(_TERMINATED)


def main() -> NoReturn:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminate)
    command.main()
