"""Status: how far a run is, read from its folder, while it goes on or after it ended."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpuskit import files
from corpuskit.errors import InputError, TryLater

__all__ = ["Pass", "Status", "status"]


@dataclass(frozen=True)
class Pass:
    """One folder that a run writes: its stages, its tasks (null: not known yet) and what is done.

    `seconds` is the time from the first finished task to the last, `idle` the time since then.
    """

    path: str
    stages: tuple[str, ...]
    tasks: int | None
    done: int
    rows_in: int
    rows_out: int
    finished: bool
    seconds: float
    idle: float | None

    @property
    def left(self) -> float | None:
        """Seconds that are left at the pace so far; null where there is none yet, or nothing is left."""
        if self.tasks is None or self.done < 2 or self.finished or self.done >= self.tasks:
            return None
        return self.seconds / (self.done - 1) * (self.tasks - self.done)


@dataclass(frozen=True)
class Status:
    """How far a run is: whether a process holds its folder, and its passes in the order they are written."""

    path: str
    running: bool
    passes: tuple[Pass, ...]

    @property
    def state(self) -> str:
        """`running`, `finished`, or `stopped`: begun, and nobody is at work on it."""
        if self.running:
            return "running"
        return "finished" if all(one.finished for one in self.passes) else "stopped"

    def json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        passes = [{**dataclasses.asdict(one), "left": one.left} for one in self.passes]
        return {"path": self.path, "state": self.state, "passes": passes}

    def text(self) -> str:
        """Say it for people, a line for each pass."""
        lines = [f"{self.path}: {self.state}"]
        wide = max(len(" + ".join(one.stages)) for one in self.passes)
        for one in self.passes:
            tasks = "?" if one.tasks is None else f"{one.tasks:,}"
            line = f"  {' + '.join(one.stages):{wide}}  {one.done:,} of {tasks} tasks"
            if one.rows_in:
                line += f", {one.rows_out:,} of {one.rows_in:,} rows kept"
            if one.left is not None:
                line += f", about {_clock(one.left)} left"
            if not one.finished and one.idle is not None:
                line += f", last task done {_clock(one.idle)} ago"
            lines.append(line)
        if self.state == "stopped":
            lines.append("the command that began it goes on where it stopped")
        return "\n".join(lines)


def status(path: str) -> Status:
    """Say how far the run that writes the folder `path` is; reads markers, and takes nothing from the run.

    Raises:
        InputError: No run has begun there.
    """
    if files.is_url(path):
        raise InputError(f"{path} is a URL, where nobody can see who is at work", fix="ask on its machine")
    passes = tuple(_passes(Path(path)))
    if not passes:
        raise InputError(f"no run has begun in {path}", fix="give the TARGET of a run")
    return Status(path, _held(Path(path)), passes)


def _passes(folder: Path) -> Iterator[Pass]:
    """Read the steps of a recipe or a chain below a folder, then the folder itself."""
    for below in (folder / "steps", folder / "work"):
        if below.is_dir():
            for step in sorted(path for path in below.iterdir() if path.is_dir()):
                yield from _passes(step)
    if (folder / "plan.json").exists():
        yield _pass(folder)


def _pass(folder: Path) -> Pass:
    plan = _read(folder / "plan.json") or {}
    found = [(_read(path), _written(path)) for path in folder.glob("done/*.json")]
    told = [marker for marker, _ in found if marker and marker.get("stages")]
    times = sorted(written for _, written in found if written is not None)
    tasks = plan.get("tasks")
    finished = (folder / "manifest.json").exists()
    if tasks is None and (last := _last_plan(folder)):
        tasks = last.get("tasks")
    return Pass(
        path=str(folder),
        stages=tuple(stage["name"] for stage in plan.get("stages", [])),
        tasks=len(tasks) if tasks is not None else len(told) if finished else None,
        done=len(told),
        rows_in=sum(marker["stages"][0]["rows_in"] for marker in told),
        rows_out=sum(marker["stages"][-1]["rows_out"] for marker in told),
        finished=finished,
        seconds=times[-1] - times[0] if times else 0.0,
        idle=max(0.0, time.time() - times[-1]) if times else None,
    )


def _last_plan(folder: Path) -> dict[str, Any] | None:
    """Read the plan of a chain's last step, which stands among its work while that goes on."""
    found = sorted((folder / "work").glob("*.json"))
    return _read(found[-1]) if found else None


def _read(path: Path) -> dict[str, Any] | None:
    """Read a file that a run may be replacing; null where it is gone or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _written(path: Path) -> float | None:
    """Say when a file was written; null where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _held(folder: Path) -> bool:
    """Say whether a process holds the lock of a folder, or of its steps: by taking it for an instant."""
    for place in (folder / "steps", folder):
        if (place / ".lock").exists():
            try:
                with files.lock(str(place)):
                    pass
            except TryLater:
                return True
    return False


def _clock(seconds: float) -> str:
    """Write a time in the two units that matter.

    >>> _clock(42), _clock(150), _clock(7260), _clock(266400)
    ('42 s', '2 min 30 s', '2 h 1 min', '3 d 2 h')
    """
    whole = round(seconds)
    for size, unit, small, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {name}"
    return f"{whole} s"
