"""What machines see of a run: JSON lines by `--log`, and Prometheus's text format by `--metrics`."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from corpuskit import files
from corpuskit.errors import UsageError

if TYPE_CHECKING:
    from corpuskit.engine import Progress

__all__ = ["Log", "Metrics"]

_SECONDS = 1.0
"""The least time between two lines, or two pages, about one stage; the last of a stage is always written."""

_METRICS = {
    "tasks": ("gauge", "Tasks of the stage."),
    "done": ("gauge", "Tasks that are done."),
    "rows_in": ("counter", "Rows read by this run."),
    "rows_out": ("counter", "Rows kept by this run."),
    "bytes_out": ("counter", "Bytes of text kept by this run."),
    "workers": ("gauge", "Workers at work."),
    "restarts": ("counter", "Workers that died and were replaced."),
}


class _Pace:
    """Says when it is time to tell of a stage again."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def due(self, now: Progress) -> bool:
        clock = time.monotonic()
        if now.done < now.tasks and clock - self._told.get(now.stage, -_SECONDS) < _SECONDS:
            return False
        self._told[now.stage] = clock
        return True


class Log:
    """Appends a JSON line for each step of progress, at most one a second and stage, and how the run ended.

    Raises:
        UsageError: The file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._pace = _Pace()
        self._path = path
        self._file: TextIO = _open(path)

    def progress(self, now: Progress) -> None:
        """Write how far a stage is."""
        if self._pace.due(now):
            self._write("progress", **dataclasses.asdict(now))

    def end(self, error: BaseException | None) -> None:
        """Write how the run ended, and close the file."""
        if error is None:
            self._write("end")
        else:
            self._write("error", error=type(error).__name__, message=str(error))
        self._file.close()

    def _write(self, event: str, **told: object) -> None:
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._file.write(json.dumps({"time": at, "event": event, **told}, ensure_ascii=False) + "\n")
        self._file.flush()


class Metrics:
    """Writes a page for node_exporter's textfile collector, whole or not at all, at most once a second."""

    def __init__(self, path: str) -> None:
        _open(path).close()
        self._pace = _Pace()
        self._path = path
        self._stages: dict[str, Progress] = {}

    def progress(self, now: Progress) -> None:
        """Write the page anew."""
        self._stages[now.stage] = now
        if self._pace.due(now):
            self._write(None)

    def end(self, error: BaseException | None) -> None:
        """Write the page for the last time, with when and how the run ended."""
        self._write(error is None)

    def _write(self, success: bool | None) -> None:
        lines = []
        for name, (kind, help_text) in _METRICS.items():
            full = f"corpuskit_{name}" + ("_total" if kind == "counter" else "")
            lines += [f"# HELP {full} {help_text}", f"# TYPE {full} {kind}"]
            for stage, now in self._stages.items():
                lines.append(f'{full}{{stage="{stage}"}} {getattr(now, name)}')
        if success is not None:
            ended = {"success": ("Whether the run ended well.", int(success))}
            ended["end_seconds"] = ("When the run ended.", int(time.time()))
            for name, (help_text, value) in ended.items():
                lines += [f"# HELP corpuskit_{name} {help_text}", f"# TYPE corpuskit_{name} gauge"]
                lines.append(f"corpuskit_{name} {value}")
        files.write_bytes(self._path, ("\n".join(lines) + "\n").encode())


def _open(path: str) -> TextIO:
    try:
        return Path(path).open("a", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", fix="name a file in a folder that is there"
        ) from None
