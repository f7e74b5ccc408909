"""Local workers and their supervisor: a dead worker costs one retry, a deadly document becomes a reject.

Each worker has a pipe of its own. Workers that share a queue share its lock, and one killed while it holds
the lock hangs the rest: pebble 5.2 did so in four runs of four when workers with short tasks were killed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpuskit.engine.pipeline import BATCH_KEY
from corpuskit.engine.worker import IN_WORKER, Notebook
from corpuskit.errors import CorpuskitError, InputError, UsageError
from corpuskit.stage import Stage, Task

if TYPE_CHECKING:
    from corpuskit.engine import Options

__all__ = ["Job", "Todo", "WorkerFailed", "crew", "perform_all"]

DOCUMENT_STRIKES = 3
TASK_STRIKES = 10
START_STRIKES = 5
_POLL_SECONDS = 0.5

Todo = tuple[int, str, Task]


@dataclass(frozen=True)
class Job:
    """What every task of a run has in common."""

    stages: tuple[Stage, ...]
    folder: str
    name: str


class WorkerFailed(CorpuskitError):
    """A stage raised, or killed its workers for no document's sake: a bug, ours or the stage author's."""

    exit_code = 1


@dataclass
class _Counts:
    done: int
    restarts: int = 0
    rows_in: int = 0
    rows_out: int = 0
    bytes_out: int = 0


@dataclass
class _Strikes:
    """Who has killed how many workers, and what is to be done about it."""

    starts: int = 0
    tasks: Counter[int] = field(default_factory=Counter)
    documents: Counter[tuple[int, str]] = field(default_factory=Counter)
    verdicts: dict[int, dict[str, str]] = field(default_factory=dict)


@dataclass
class Worker:
    """One worker process, and what it is doing."""

    process: subprocess.Popen[bytes]
    connection: Connection
    notebook: Notebook
    ready: bool = False
    todo: Todo | None = None
    started: float = 0.0
    overdue: bool = False


class Crew:
    """Worker processes, which outlive the jobs they are given."""

    def __init__(self) -> None:
        self._pages = tempfile.TemporaryDirectory(prefix="corpuskit-")
        self._started = 0
        self.workers: list[Worker] = []

    def start(self) -> None:
        """Start one more worker."""
        ours, theirs = socket.socketpair()
        page = Path(self._pages.name) / str(self._started)
        self._started += 1
        Notebook.create(page)
        begin = "from corpuskit.engine.worker import main; main()"
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
            [sys.executable, "-c", begin, str(theirs.fileno()), str(page)],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.DEVNULL,
            env={
                **os.environ,
                IN_WORKER: "1",
                "TOKENIZERS_PARALLELISM": "false",  # a worker is one core
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            process_group=0,
        )
        theirs.close()
        connection = Connection(ours.detach())
        connection.send(sys.path)
        self.workers.append(Worker(process, connection, Notebook(page)))

    def bury(self, worker: Worker) -> int:
        """Let a dead worker go; return its exit status."""
        self.workers.remove(worker)
        worker.connection.close()
        worker.notebook.close()
        return worker.process.wait()

    def stop(self) -> None:
        """Kill all workers, whatever they are doing."""
        for worker in self.workers:
            worker.process.kill()
        while self.workers:
            self.bury(self.workers[0])

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        self._pages.cleanup()


_CREW: ContextVar[Crew | None] = ContextVar("_CREW", default=None)


@contextlib.contextmanager
def crew() -> Iterator[Crew]:
    """Keep workers for all jobs of a block, those of blocks within it too: starting one takes a second."""
    known = _CREW.get()
    if known is not None:
        yield known
        return
    hired = Crew()
    token = _CREW.set(hired)
    try:
        yield hired
    finally:
        _CREW.reset(token)
        hired.close()


def perform_all(job: Job, todo: Sequence[Todo], total: int, options: Options) -> None:
    """Perform tasks in worker processes, in any order, until all are done.

    Raises:
        CorpuskitError: What a stage raised; or a worker died again and again.
    """
    if os.environ.get(IN_WORKER):
        raise UsageError(
            "a run was started inside a worker", fix="guard your script with: if __name__ == '__main__':"
        )
    with crew() as hired:
        try:
            _Supervisor(job, todo, total, options, hired).run()
        except BaseException:
            hired.stop()  # they are in the middle of tasks nobody waits for
            raise


class _Supervisor:
    def __init__(self, job: Job, todo: Sequence[Todo], total: int, options: Options, hired: Crew) -> None:
        self._job, self._options, self._crew = job, options, hired
        self._main = _main_path(job.stages)
        self._patient = any(stage.patient for stage in job.stages)
        self._waiting: deque[Todo] = deque(todo)
        self._left = len(todo)
        self._total = total
        self._counts = _Counts(done=total - len(todo))
        self._strikes = _Strikes()
        self._size = max(1, min(options.workers or len(os.sched_getaffinity(0)), len(todo)))

    def run(self) -> None:
        self._tell()
        while self._left:
            while len(self._crew.workers) < min(self._size, self._left):
                self._crew.start()
            self._hand_out()
            by_connection = {worker.connection: worker for worker in self._crew.workers}
            for connection in wait(list(by_connection), _POLL_SECONDS):
                self._receive(by_connection[connection])  # type: ignore[index]
            self._check_time()

    def _hand_out(self) -> None:
        busy = sum(worker.todo is not None for worker in self._crew.workers)
        for worker in self._crew.workers:
            if busy < self._size and worker.ready and worker.todo is None and self._waiting:
                busy += 1
                worker.todo = self._waiting.popleft()
                worker.started = time.monotonic()
                number, key, task = worker.todo
                verdicts = self._strikes.verdicts.get(number, {})
                try:
                    order = (self._job.stages, task, number, key, self._job.folder, verdicts)
                    worker.connection.send((self._main, pickle.dumps(order)))
                except OSError:  # it died in between; _receive sees the end of its pipe
                    continue

    def _receive(self, worker: Worker) -> None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        kind, *rest = message
        if kind == "ready":
            worker.ready, self._strikes.starts = True, 0
        elif kind == "rows":
            self._counts.rows_in += rest[0]
            self._counts.rows_out += rest[1]
            self._counts.bytes_out += rest[2]
            self._tell()
        elif kind == "done":
            worker.todo = None
            self._left -= 1
            self._counts.done += 1
            self._tell()
        elif kind == "error":
            raise rest[0]
        else:
            raise WorkerFailed(f"{self._job.name} failed in a worker:\n{rest[0]}")

    def _bury(self, worker: Worker) -> None:
        """Take note of a dead worker: who is to blame, and put its task back in front."""
        key, _ = worker.notebook.read()
        status = self._crew.bury(worker)
        self._counts.restarts += 1
        if worker.todo is None:
            self._strikes.starts += 1
            if self._strikes.starts >= START_STRIKES:
                raise WorkerFailed(
                    f"{START_STRIKES} workers in a row died before they could start ({_death(status)})"
                )
            return
        number, _, task = worker.todo
        if any(item.path == "-" for item in task.inputs):
            raise InputError(
                f"a worker died ({_death(status)}) and standard input cannot be read twice",
                fix="write the stream to a file and read that",
            )
        if key:
            self._blame(number, key, "engine.timeout" if worker.overdue else "engine.crash")
        else:
            self._strikes.tasks[number] += 1
            if self._strikes.tasks[number] >= TASK_STRIKES:
                raise WorkerFailed(
                    f"task {number} of {self._job.name} lost {TASK_STRIKES} workers ({_death(status)})",
                    fix="if the system is short of memory, use fewer --workers",
                )
        self._waiting.appendleft(worker.todo)

    def _blame(self, number: int, key: str, rule: str) -> None:
        """Count a death against a document; a batch is only a hint to look at its documents one by one."""
        self._strikes.documents[number, key] += 1
        if key.startswith(BATCH_KEY) or self._strikes.documents[number, key] >= DOCUMENT_STRIKES:
            self._strikes.verdicts.setdefault(number, {})[key] = rule

    def _check_time(self) -> None:
        now = time.monotonic()
        for worker in self._crew.workers:
            if worker.todo is None:
                continue
            key, deadline = worker.notebook.read()
            slow = now - worker.started > self._options.task_seconds and not self._patient
            if (key and now > deadline) or slow:
                worker.overdue = True
                worker.process.kill()

    def _tell(self) -> None:
        if self._options.progress is None:
            return
        from corpuskit.engine import Progress

        self._options.progress(
            Progress(
                stage=self._job.name,
                tasks=self._total,
                done=self._counts.done,
                rows_in=self._counts.rows_in,
                rows_out=self._counts.rows_out,
                bytes_out=self._counts.bytes_out,
                workers=len(self._crew.workers),
                restarts=self._counts.restarts,
            )
        )


def _main_path(stages: Sequence[Stage]) -> str | None:
    """Find the script that defines a stage, where one was defined in the script being run."""
    if not any(type(stage).__module__ == "__main__" for stage in stages):
        return None
    path: Any = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        raise UsageError(
            "a stage defined at the prompt cannot be sent to workers",
            fix="put its class into a file and import it",
        )
    return str(Path(path).resolve())


def _death(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
