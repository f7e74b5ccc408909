"""The Ray engine: tasks as plain Ray tasks, each done on its node by a worker of the local engine."""

# ruff: noqa: ANN401 - ray is imported late, and its objects have no types that hold without it

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpuskit import files
from corpuskit.engine import local
from corpuskit.engine.target import marker_path
from corpuskit.errors import CorpuskitError, TargetError, TryLater, UsageError

if TYPE_CHECKING:
    from corpuskit.engine import Options, Progress

__all__ = ["connected", "perform_all"]

IN_FLIGHT = 2
"""Tasks handed out for each CPU of the cluster: one at work, one on its way."""
NODE_STRIKES = 10
"""Nodes or Ray workers that a task may lose."""


def perform_all(job: local.Job, todo: Sequence[local.Todo], total: int, options: Options) -> None:
    """Perform tasks on a Ray cluster, in any order, until all are done.

    Every node must see the sources and the target under the same paths, and have corpuskit installed.

    Raises:
        UsageError: Ray is not installed, or a stage was defined in the script being run.
        TryLater: There is no cluster at the address; a task lost too many nodes.
        CorpuskitError: What a stage raised.
    """
    if any(type(stage).__module__ == "__main__" for stage in job.stages):
        raise UsageError(
            "a stage defined in the script being run cannot be sent to a cluster",
            fix="put its class into a module that every node can import",
        )
    if todo:
        with connected(options.address) as ray:
            _Hand(ray, job, todo, total, options).run()


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Use the cluster at an address, and never start one but `local`, which listens on loopback alone."""
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError("ray is not installed", fix="pip install 'corpuskit[ray]'") from None
    ours = not ray.is_initialized()
    if ours:
        alone = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        here: dict[str, Any] = alone if address == "local" else {}
        try:
            ray.init(address=_full(address), log_to_driver=False, logging_level=logging.ERROR, **here)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise TryLater(
                f"there is no Ray cluster at {address}: {str(error).splitlines()[0]}",
                fix="start one with `ray start --head --node-ip-address 127.0.0.1`, or give --address local",
            ) from None
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _full(address: str) -> str:
    """Add Ray's usual port to a host that is named without one.

    >>> _full("auto"), _full("head.example"), _full("10.0.0.1:7000"), _full("ray://head:10001")
    ('auto', 'head.example:6379', '10.0.0.1:7000', 'ray://head:10001')
    """
    return address if address in ("auto", "local") or ":" in address else f"{address}:6379"


class _Hand:
    """Hands tasks out, a few for each CPU at a time, and takes note of what comes back."""

    def __init__(
        self, ray: Any, job: local.Job, todo: Sequence[local.Todo], total: int, options: Options
    ) -> None:
        self._ray, self._job, self._options, self._total = ray, job, options, total
        self._waiting = deque(todo)
        self._flying: dict[Any, int] = {}
        self._counts: Counter[str] = Counter(done=total - len(todo))
        cluster = ray.cluster_resources()
        self._cpus = int(options.workers or cluster.get("CPU", 1))
        gpus = 1 if cluster.get("GPU") and any(stage.on_gpu() for stage in job.stages) else 0
        self._remote = ray.remote(
            num_cpus=1, num_gpus=gpus, max_retries=NODE_STRIKES, retry_exceptions=False
        )(_perform)
        self._job_bytes = ray.put(pickle.dumps((job, options.task_seconds)))

    def run(self) -> None:
        self._tell()
        while self._waiting or self._flying:
            while self._waiting and len(self._flying) < IN_FLIGHT * self._cpus:
                todo = self._waiting.popleft()
                order = pickle.dumps(todo)
                self._flying[self._remote.remote(self._job_bytes, order, sys.path, os.getcwd())] = todo[0]  # noqa: PTH109
            ready, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=5.0)
            for reference in ready:
                self._take(reference, self._flying.pop(reference))

    def _take(self, reference: Any, number: int) -> None:
        try:
            counts = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, CorpuskitError):
                raise cause from None
            raise local.WorkerFailed(f"{self._job.name} failed on a node:\n{error}") from None
        except self._ray.exceptions.RayError as error:
            what = f"task {number} of {self._job.name} lost its nodes: {str(error).splitlines()[0]}"
            raise TryLater(what, fix="look at the cluster with `ray status`, then run again") from None
        if not files.exists(marker_path(self._job.folder, number)):
            raise TargetError(
                f"a node finished task {number}, but nothing of it is in {self._job.folder} here",
                fix="choose a target that all nodes share: a network folder or a URL such as s3://",
            )
        self._counts.update(counts)
        self._counts["done"] += 1
        self._tell()

    def _tell(self) -> None:
        if self._options.progress is None:
            return
        from corpuskit.engine import Progress

        names = ("done", "rows_in", "rows_out", "bytes_out", "restarts")
        counts = {name: self._counts[name] for name in names}
        flying = min(self._cpus, len(self._flying))
        self._options.progress(Progress(stage=self._job.name, tasks=self._total, workers=flying, **counts))


@functools.cache
def _hire() -> contextlib.ExitStack:
    """Keep the crew of a Ray worker process from one of its tasks to the next; both die together."""
    kept = contextlib.ExitStack()
    kept.enter_context(local.crew())
    return kept


def _perform(common: bytes, order: bytes, path: list[str], folder: str) -> dict[str, int]:
    """Do one task on a node, in a process that a poisonous document may kill; return its counts."""
    from corpuskit.engine import Options

    sys.path += [entry for entry in path if entry not in sys.path]
    if Path(folder).is_dir():  # relative paths are meant from where the driver stands
        os.chdir(folder)
    job, seconds = pickle.loads(common)  # noqa: S301 - the driver's own
    todo = pickle.loads(order)  # noqa: S301 - the driver's own
    _hire()
    last: list[Progress] = []
    options = Options(workers=1, task_seconds=seconds, progress=last.append)
    local.perform_all(job, [todo], 1, options)
    now = last[-1]
    return {name: getattr(now, name) for name in ("rows_in", "rows_out", "bytes_out", "restarts")}
