"""Keeps workers for all tests of a file."""

from collections.abc import Iterator

import pytest

from corpuskit.engine import crew


@pytest.fixture(autouse=True, scope="module")
def workers() -> Iterator[None]:
    """Keep worker processes from one run to the next: starting one takes a second."""
    with crew():
        yield
