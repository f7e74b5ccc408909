"""Compiled text kernels over Arrow's own UTF-8 buffers: no Python object per word.

Every kernel takes `data` (uint8) and `offsets` (int64, one more than there are texts) as
`corpuskit.kernels.utf8.buffers` returns them, and never reads outside a text, whatever its bytes.
Each is compiled once per machine, on first use, and cached on disk. numba sees that a kernel's own file has
changed, but not that a function it calls from another file has: who edits one deletes `__pycache__`.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

Int = Any
"""An integer inside a kernel: signed or unsigned, Python's or numpy's, as numba infers it."""

__all__ = ["Int", "kernel"]


def kernel(function: F) -> F:
    """Compile `function` with numba: nopython, without the GIL, cached on disk where a cache can be written.

    numba refuses to cache when neither the package's folder nor the user's cache folder can be written
    (a read-only container): then the kernel is compiled anew in each process instead of failing.

    >>> @kernel
    ... def double(x):
    ...     return 2 * x
    >>> double(21)
    42
    """
    compiled: Any
    try:
        compiled = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        compiled = njit(nogil=True, error_model="numpy")(function)
    return cast(F, compiled)
