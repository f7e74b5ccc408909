"""Where a worker computes, on a GPU of its own if there is one, and with which numbers."""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
from pathlib import Path

import torch

from corpuskit.errors import UsageError
from corpuskit.filter.encoders import Encoding

__all__ = ["place"]

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def place(encoding: Encoding) -> tuple[torch.device, torch.dtype]:
    """Choose the device and the numbers that the settings ask for.

    Raises:
        UsageError: A GPU is asked for, and there is none that torch can use.
    """
    there = torch.cuda.is_available()
    if encoding.device == "cuda" and not there:
        raise UsageError("there is no GPU that torch can use", fix="leave --device out")
    on_gpu = there and encoding.device != "cpu"
    device = torch.device("cuda", _gpu()) if on_gpu else torch.device("cpu")
    usual = "bf16" if on_gpu else "float32"
    return device, _DTYPES[usual if encoding.dtype == "auto" else encoding.dtype]


@functools.cache
def _gpu() -> int:
    """Take the first GPU that no other process of ours has; with more workers than GPUs they share.

    The lock of a file marks a GPU as taken, and goes with its process, however that ends.
    """
    for number in range(torch.cuda.device_count()):
        name = f"corpuskit-gpu-{os.getuid()}-{torch.cuda.get_device_properties(number).uuid}.lock"
        lock = os.open(Path(tempfile.gettempdir()) / name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return number  # the file stays open, and the lock held, until the process ends
    return os.getpid() % torch.cuda.device_count()
