"""How kernels are compiled."""

import numba

from corpuskit import kernels


def test_kernels_are_cached_and_free_of_the_gil():
    options = kernels.kernel(lambda x: x).targetoptions
    assert options["nopython"] and options["nogil"]


def test_a_kernel_runs_where_no_cache_can_be_written(monkeypatch):
    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(kernels, "njit", njit)
    assert kernels.kernel(lambda x: x + 1)(1) == 2
