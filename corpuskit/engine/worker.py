"""A worker process: receives tasks over a private pipe, performs them, and dies with the driver."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import pickle
import queue
import runpy
import signal
import struct
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from corpuskit.errors import CorpuskitError
from corpuskit.stage import Poisoned, Watch, watch_with

__all__ = ["IN_WORKER", "Notebook", "main"]

IN_WORKER = "CORPUSKIT_WORKER"
_HEAD = struct.Struct("<dI")
_ROOM = 4096


class Notebook:
    """A shared page that says which document is in hand and until when; it outlives its writer."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _ROOM)

    @staticmethod
    def create(path: Path) -> None:
        """Make an empty one."""
        path.write_bytes(bytes(_ROOM))

    def note(self, key: str, deadline: float) -> None:
        """Write down the document in hand; an empty key for none."""
        data = key.encode("utf-8", "replace")[: _ROOM - _HEAD.size]
        self._page[_HEAD.size : _HEAD.size + len(data)] = data
        self._page[: _HEAD.size] = _HEAD.pack(deadline, len(data))

    def close(self) -> None:
        """Let the page go."""
        self._page.close()

    def read(self) -> tuple[str, float]:
        """Return the document in hand (empty for none) and its deadline on the monotonic clock."""
        deadline, length = _HEAD.unpack(self._page[: _HEAD.size])
        return self._page[_HEAD.size : _HEAD.size + length].decode("utf-8", "replace"), deadline


class _WorkerWatch(Watch):
    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self.verdicts: dict[str, str] = {}

    def begin(self, key: str, seconds: float) -> None:
        if rule := self.verdicts.get(noted(key)):
            raise Poisoned(rule)
        self._notebook.note(key, time.monotonic() + 3 * seconds + 1)

    def end(self) -> None:
        self._notebook.note("", 0.0)


def noted(key: str) -> str:
    """Return a key as a notebook gives it back: cut to the room there is."""
    return key.encode("utf-8", "replace")[: _ROOM - _HEAD.size].decode("utf-8", "replace")


def main() -> None:
    """Serve tasks until the driver closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    notebook = Notebook(Path(sys.argv[2]))
    sys.path[:] = connection.recv()
    watch = _WorkerWatch(notebook)
    watch_with(watch)
    inbox = _listen(connection)
    from corpuskit.engine.pipeline import perform

    def tell(*message: object) -> None:
        try:
            connection.send(message)
        except OSError:  # the driver is gone, and nobody is left to tell
            os._exit(1)

    tell("ready")
    while True:
        script, order = inbox.get()
        try:
            _import_main(script)
            stages, task, number, key, folder, watch.verdicts = pickle.loads(order)  # noqa: S301 - the driver's
            perform(stages, task, number, key, folder, lambda *counts: tell("rows", *counts))
            tell("done", number)
        except CorpuskitError as error:
            tell("error", error)
        except BaseException:  # noqa: BLE001 - whatever it is, the driver must hear of it
            tell("bug", traceback.format_exc())


def _listen(connection: Connection) -> queue.SimpleQueue[Any]:
    """Receive in a thread, so that the driver's death is seen at once, whatever the worker is doing."""
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def listen() -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                inbox.put(connection.recv())
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    return inbox


@functools.cache
def _import_main(path: str | None) -> None:
    """Make the classes of the driver's script importable as `__main__`, where a stage was defined there."""
    if path is not None:
        found = runpy.run_path(path, run_name="__corpuskit_worker__")
        sys.modules["__main__"].__dict__.update(found)
