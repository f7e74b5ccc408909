"""Keeps workers for all tests of a file; makes the modules beside the tests importable."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpuskit.engine import crew

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="module")
def workers() -> Iterator[None]:
    """Keep worker processes from one run to the next: starting one takes a second."""
    with crew():
        yield
