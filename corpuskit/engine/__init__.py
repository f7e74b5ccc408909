"""Runs stages over datasets: plans tasks, hands them to workers, and finishes the target exactly once."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.engine.local import Job, Todo, crew, perform_all
from corpuskit.engine.target import Source, Target, describe_sources
from corpuskit.errors import InputError, TooManyBadRecords
from corpuskit.stage import Chain, Stage, Step, Task, check_memory

__all__ = ["Options", "Outlook", "Progress", "crew", "kept_folders", "outlook", "run"]

ENGINE_BAD_RULES = frozenset({"engine.crash", "engine.timeout"})


@dataclass(frozen=True)
class Progress:
    """How far a run is: what the workers have read and kept so far in this stage."""

    stage: str
    tasks: int
    done: int
    rows_in: int
    rows_out: int
    bytes_out: int
    workers: int
    restarts: int


@dataclass(frozen=True)
class Options:
    """How to run, none of which changes what is written."""

    workers: int | None = None
    force: bool = False
    verify: bool = False
    max_bad: float = 0.01
    task_seconds: float = 6 * 3600
    progress: Callable[[Progress], None] | None = None
    engine: Literal["local", "ray", "slurm"] = "local"
    address: str = "auto"


@dataclass(frozen=True)
class Outlook:
    """What a run would do: its tasks, how many stand already, the input's rows (null: unknown) and bytes.

    `notes` are what the first stage foresees; `memory` is the bytes a worker needs, where a stage knows.
    """

    tasks: int
    done: int
    rows: int | None
    bytes: int
    notes: tuple[str, ...] = ()
    memory: int | None = None


def run(
    stages: Stage | Sequence[Stage],
    sources: str | Sequence[str],
    target: str,
    *,
    options: Options | None = None,
) -> Dataset:
    """Run a stage, or several fused into one pass, from `sources` into the dataset `target`.

    All but the first of several stages look at one document. The same call again resumes where a
    run ended, and does nothing where it was finished.

    Raises:
        CorpuskitError: See the exit codes of its kinds.
    """
    chosen, paths = _as_tuples(stages, sources)
    options = options or Options()
    place = Target(str(target))
    chosen = tuple(stage.placed(place.path) for stage in chosen)
    label = _Label(chosen, describe_sources(place.path, paths))
    for stage in chosen:
        stage.content()  # raises where what the settings name is not there; before anything is removed
    place.check_foreign() if options.force else place.check(*label)  # before the lock leaves a trace
    if not place.finished():
        _check_memory(chosen[0], paths)
    with files.lock(place.path), _workers(options), contextlib.ExitStack() as held:
        for folder in [folder for stage in chosen for folder in stage.locks()]:
            held.enter_context(files.lock(folder))
        if options.force:
            place.clear()
            for folder in kept_folders(chosen[0], place.path):
                files.remove(folder)
        if isinstance(chosen[0], Chain):
            dataset = _run_chain(chosen[0], paths, place, label, options)
        else:
            dataset = _run_tasks(chosen, paths, place, options, label)
        for stage in chosen:
            stage.finish(dataset)
    _check_bad(dataset, chosen, options.max_bad)
    return dataset


class _Label(NamedTuple):
    """What the manifest says was run on what; a chain stands for its last step and what that read.

    A chain whose last step reads kept steps is told as what it is: that step, and those it read.
    """

    stages: tuple[Stage, ...]
    sources: list[Source]


def _run_tasks(
    stages: tuple[Stage, ...],
    sources: tuple[str, ...],
    target: Target,
    options: Options,
    label: _Label | None = None,
    facts: Mapping[str, int] | None = None,
) -> Dataset:
    origin = describe_sources(target.path, sources)
    label = label or _Label(stages, origin)
    target.check(stages, origin)
    tasks = stages[0].plan(*sources)
    if not tasks:
        where = f" in {', '.join(sources)}" if sources else ""
        raise InputError(f"{stages[0].name}: there is nothing to do{where}")
    keys = [task.key(stages) for task in tasks]
    target.begin(stages, origin, tasks, keys)
    standing = target.standing(keys, verify=options.verify)
    again = {number for number, task in enumerate(tasks) if stages[0].reopens(task)}
    if again:
        target.reopen(again)
        standing -= again
    if target.finished() and len(standing) == len(tasks):
        return Dataset(target.path)
    todo = [(number, keys[number], task) for number, task in enumerate(tasks) if number not in standing]
    _engine(options)(Job(stages, target.path, label.stages[0].name), todo, len(tasks), options)
    return target.finish(label.stages, label.sources, keys, facts or {})


def _workers(options: Options) -> contextlib.AbstractContextManager[Any]:
    """Keep what performs the tasks over all steps of a run."""
    if options.engine == "ray":
        from corpuskit.engine import ray

        return ray.connected(options.address)
    return crew()


def _engine(options: Options) -> Callable[[Job, Sequence[Todo], int, Options], None]:
    """Import what performs the tasks; all engines write the same bytes."""
    if options.engine == "ray":
        from corpuskit.engine import ray

        return ray.perform_all
    if options.engine == "slurm":
        from corpuskit.engine import slurm

        return slurm.perform_all
    return perform_all


def _run_chain(
    chain: Chain, sources: tuple[str, ...], target: Target, label: _Label, options: Options
) -> Dataset:
    """Run a chain's steps one after the other, each into a folder of its own, the last into the target."""
    target.check(*label)
    work, steps, folders = files.join(target.path, "work"), chain.steps(), _step_folders(chain, target.path)
    if not target.begun():  # what cannot be planned leaves no plan behind
        steps[0].stage.placed(folders[0]).plan(*_inputs(steps[0], folders, sources))
    target.begin(*label, None, None)
    again = _reopened(steps, folders, sources)
    if again is not None:
        for path in (*folders[again + 1 : -1], work):
            files.remove(path)
        target.redo()
    stands = target.finished() and target.intact(verify=options.verify)
    if not stands or (files.exists(work) and any(_finishes(step.stage) for step in steps)):
        for step, folder in zip(steps[:-1], folders, strict=False):
            _run_step(step, _inputs(step, folders, sources), folder, options)
        facts = _facts(folder for step, folder in zip(steps[:-1], folders, strict=False) if not step.kept)
        last = Target(target.path, plan=f"{folders[-1]}.json")
        stage = steps[-1].stage.placed(target.path)
        inputs = _inputs(steps[-1], folders, sources)
        told = _told(steps, folders, sources, label, target)
        _run_tasks((stage, *label.stages[1:]), inputs, last, options, told, facts)
        for step, folder in zip(steps[:-1], folders, strict=False):
            step.stage.finish(Dataset(folder))
    files.remove(work)
    return Dataset(target.path)


def _reopened(steps: Sequence[Step], folders: Sequence[str], sources: tuple[str, ...]) -> int | None:
    """Number the first kept step that is to be done again, which voids what came of it; null: none is."""
    for number, (step, folder) in enumerate(zip(steps[:-1], folders, strict=False)):
        if not step.kept or type(step.stage).reopens is Stage.reopens or not Target(folder).finished():
            continue
        stage = step.stage.placed(folder)
        if any(stage.reopens(task) for task in stage.plan(*_inputs(step, folders, sources))):
            return number
    return None


def _run_step(step: Step, inputs: tuple[str, ...], folder: str, options: Options) -> None:
    """Run one step, which may be a chain itself; stop where a step that is kept has too much damage."""
    stage, place = step.stage.placed(folder), Target(folder)
    if isinstance(stage, Chain):
        label = _Label((stage,), describe_sources(folder, inputs))
        dataset = _run_chain(stage, inputs, place, label, options)
    else:
        dataset = _run_tasks((stage,), inputs, place, options)
    if step.kept:
        _check_bad(dataset, (stage,), options.max_bad)


def _facts(folders: Iterable[str]) -> Mapping[str, int]:
    """Add up what the manifests of a chain's steps tell, as their datasets are removed."""
    total: Counter[str] = Counter()
    for folder in folders:
        for stage in Dataset(folder).manifest["stages"]:
            total.update(stage.get("facts", {}))
    return total


def _inputs(step: Step, folders: Sequence[str], sources: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(folders[earlier] for earlier in step.steps) + (sources if step.sources else ())


def _step_folders(chain: Chain, target: str) -> list[str]:
    """Name the folder of each step; that of the last stands for the name of its plan alone."""
    return [
        files.join(
            target, "steps" if step.kept else "work", f"{number:02d}-{step.stage.name.rsplit('.', 1)[-1]}"
        )
        for number, step in enumerate(chain.steps(), 1)
    ]


def kept_folders(stage: Stage, target: str) -> list[str]:
    """Name the folders below `target` of the steps that a chain keeps; none where it is no chain."""
    if not isinstance(stage, Chain):
        return []
    pairs = zip(stage.steps(), _step_folders(stage, target), strict=True)
    return [folder for step, folder in pairs if step.kept]


def _told(
    steps: Sequence[Step], folders: Sequence[str], sources: tuple[str, ...], label: _Label, target: Target
) -> _Label:
    """Say what the manifest is to tell of a chain: kept steps that the last reads are its inputs."""
    kept = tuple(folders[earlier] for earlier in steps[-1].steps if steps[earlier].kept)
    if not kept:
        return label
    others = steps[-1].sources or len(kept) < len(steps[-1].steps)
    inputs = describe_sources(target.path, kept + (sources if others else ()))
    return _Label((steps[-1].stage, *label.stages[1:]), inputs)


def _finishes(stage: Stage) -> bool:
    return type(stage).finish is not Stage.finish


def outlook(stages: Stage | Sequence[Stage], sources: str | Sequence[str], target: str) -> Outlook:
    """Say what `run` would do, writing nothing.

    Raises:
        InputError: A source is missing.
        TargetError: The target holds something else.
    """
    chosen, paths = _as_tuples(stages, sources)
    place = Target(str(target))
    place.check(chosen, describe_sources(place.path, paths))
    first = chosen[0].placed(place.path)
    tasks: list[Task] = first.plan(*paths)
    done = 0 if isinstance(first, Chain) else len(place.standing([task.key(chosen) for task in tasks]))
    if isinstance(first, Chain) and place.finished():
        done = len(tasks)
    known = bool(paths) and all(files.exists(files.join(path, "manifest.json")) for path in paths)
    rows = sum(Dataset(path).rows for path in paths) if known else None
    size = sum(max(0, item.size) for task in tasks for item in task.inputs)
    return Outlook(len(tasks), done, rows, size, first.foresees(tasks), first.memory_needed(*paths))


def _check_memory(stage: Stage, sources: tuple[str, ...]) -> None:
    """Stop before anything is written where a worker needs more than the stage's setting `memory` allows."""
    needed, memory = stage.memory_needed(*sources), getattr(stage, "memory", None)
    if needed is not None and memory is not None:
        check_memory(stage.name, needed, memory)


def _as_tuples(
    stages: Stage | Sequence[Stage], sources: str | Sequence[str]
) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
    chosen = (stages,) if isinstance(stages, Stage) else tuple(stages)
    return chosen, (sources,) if isinstance(sources, str) else tuple(sources)


def _check_bad(dataset: Dataset, stages: tuple[Stage, ...], max_bad: float) -> None:
    """Raise where too many records were damaged; the dataset itself stands."""
    bad = total = 0
    for stage, told in zip(stages, dataset.manifest["stages"], strict=True):
        rules = stage.bad_rules | ENGINE_BAD_RULES
        bad += sum(count["documents"] for rule, count in told["rules"].items() if rule in rules)
        total = max(total, told["rows_in"])
    if bad > max_bad * total:
        raise TooManyBadRecords(
            f"{bad} of {total} records are damaged, more than --max-bad {max_bad:g}",
            fix=f"see which with corpuskit report {dataset.path}, or allow more with --max-bad",
        )
