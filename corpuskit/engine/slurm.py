"""The Slurm engine: a step's tasks as one array job of `corpuskit task RUN INDEX`."""

from __future__ import annotations

import base64
import importlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from corpuskit import files, settings
from corpuskit.engine import local
from corpuskit.engine.target import Target, marker_path
from corpuskit.errors import InputError, TryLater, UsageError
from corpuskit.stage import Input, Stage, Task

if TYPE_CHECKING:
    from corpuskit.engine import Options

__all__ = ["ORDERS", "perform_all", "perform_one"]

ORDERS = "slurm"
"""Where a run's folder holds the array script, its orders and its logs, until all is done."""
MOST_TASKS = 1000
"""Tasks of one array job: Slurm's usual MaxArraySize is 1001."""

_SCRIPT = """#!/bin/sh
#SBATCH --job-name={name}
#SBATCH --array=0-{last}{limit}
#SBATCH --output={logs}/%a.log
#SBATCH --cpus-per-task=1
cd {here} && exec {python} -m corpuskit task {folder} "$SLURM_ARRAY_TASK_ID"
"""


def perform_all(job: local.Job, todo: Sequence[local.Todo], total: int, options: Options) -> None:
    """Perform tasks as array jobs and wait; `sbatch` takes its other settings from SBATCH_* variables.

    Every node must see the sources and the target under the same paths, and have corpuskit installed.

    Raises:
        UsageError: There is no sbatch here; the target is a URL; a stage is not corpuskit's own.
        TryLater: A task is not done after its job ended; its log is named.
    """
    if shutil.which("sbatch") is None:
        raise UsageError("there is no sbatch on this machine", fix="run this where Slurm's commands are")
    if files.is_url(job.folder):
        raise UsageError("--engine slurm writes to a shared folder", fix="give a TARGET that is no URL")
    folder = Path(job.folder)  # as it was given: the script goes where the driver stands
    for start in range(0, len(todo), MOST_TASKS):
        some = todo[start : start + MOST_TASKS]
        _submit(job, some, folder, options)
        _check(job, some, folder)
    if todo:
        files.remove(str(folder / ORDERS))


def _submit(job: local.Job, todo: Sequence[local.Todo], folder: Path, options: Options) -> None:
    orders = folder / ORDERS
    files.remove(str(orders))
    (orders / "logs").mkdir(parents=True)
    stages = [_stage_json(stage) for stage in job.stages]
    for place, (number, key, task) in enumerate(todo):
        order = {"stages": stages, "number": number, "key": key, "task": _task_json(task)}
        Path(orders, f"{place}.json").write_text(settings.canonical(order), "utf-8")
    script = _SCRIPT.format(
        name=job.name,
        last=len(todo) - 1,
        limit=f"%{options.workers}" if options.workers else "",
        logs=shlex.quote(str(orders / "logs")),
        here=shlex.quote(str(Path.cwd())),
        python=shlex.quote(sys.executable),
        folder=shlex.quote(str(folder)),
    )
    path = orders / "array.sh"
    path.write_text(script, "utf-8")
    # --wait: the status is that of the worst task, which the markers tell better
    subprocess.run(["sbatch", "--wait", str(path)], stdout=subprocess.DEVNULL, check=False)  # noqa: S603, S607


def _check(job: local.Job, todo: Sequence[local.Todo], folder: Path) -> None:
    missing = [
        place
        for place, (number, _, _) in enumerate(todo)
        if not files.exists(marker_path(str(folder), number))
    ]
    if not missing:
        return
    log = folder / ORDERS / "logs" / f"{missing[0]}.log"
    said = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    raise TryLater(
        f"{len(missing)} of {len(todo)} tasks of {job.name} are not done"
        + (f"; the first said: {said[0]}" if said else ""),
        fix=f"see {log}, then run again: what is done stands",
    )


def perform_one(run: str, index: int) -> None:
    """Do one task of an array job that the Slurm engine has written; nothing where it is done already.

    Raises:
        InputError: There is no such run or task.
        UsageError: The order names something that is no stage of corpuskit.
        CorpuskitError: What a stage raised.
    """
    from corpuskit.engine import Options

    path = Path(run, ORDERS, f"{index}.json")
    try:
        order = json.loads(path.read_text("utf-8"))
        stages = tuple(_stage(told).placed(run) for told in order["stages"])
        task = _task(order["task"])
        number, key = int(order["number"]), str(order["key"])
    except FileNotFoundError:
        fix = f"the driver, with --engine slurm, writes {run}/{ORDERS}"
        raise InputError(f"{run} has no task {index}", fix=fix) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: {error}", fix="run the driver again") from None
    if key != task.key(stages):
        raise InputError(f"{path} is of another version of corpuskit", fix="install the driver's version")
    if not Target(run).stands(number, key):
        local.perform_all(
            local.Job(stages, run, stages[0].name), [(number, key, task)], 1, Options(workers=1)
        )


def _stage_json(stage: Stage) -> dict[str, Any]:
    kind = type(stage)
    if not kind.__module__.startswith("corpuskit."):
        raise UsageError(
            f"{kind.__name__} is no stage of corpuskit", fix="use --engine local or ray for your own stages"
        )
    return {"class": f"{kind.__module__}:{kind.__qualname__}", "settings": settings.to_mapping(stage)}


def _stage(told: dict[str, Any]) -> Stage:
    module, _, name = str(told["class"]).partition(":")
    if not module.startswith("corpuskit."):
        raise UsageError(f"{told['class']} is no stage of corpuskit", fix="run the driver again")
    kind = getattr(importlib.import_module(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, Stage)):
        raise UsageError(f"{told['class']} is no stage of corpuskit", fix="run the driver again")
    stage: Stage = settings.from_mapping(kind, told["settings"], name)
    return stage


def _task_json(task: Task) -> dict[str, Any]:
    inputs = [[item.path, item.name, item.size, item.identity] for item in task.inputs]
    schema = base64.b64encode(task.schema.serialize().to_pybytes()).decode()
    return {"inputs": inputs, "schema": schema, "work": dict(task.work)}


def _task(told: dict[str, Any]) -> Task:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(told["schema"])))
    return Task(tuple(Input(*item) for item in told["inputs"]), schema, told["work"])
