"""Settings and fixtures of the whole test suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent

# The first example of a test may compile a kernel, so no example is timed.
settings.register_profile("corpuskit", deadline=None)
settings.load_profile("corpuskit")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data (CORPUSKIT_DATA, or beside the checkout); where it is absent, skip."""
    folder = Path(os.environ.get("CORPUSKIT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: name its folder in CORPUSKIT_DATA")
    return folder


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a child process that finds this checkout of corpuskit wherever it runs."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "100"}
