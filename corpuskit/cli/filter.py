"""The command `corpuskit filter`."""

from corpuskit.cli.options import Verb

__all__ = ["filter"]

filter = Verb(
    "filter",
    """Look at each document alone: keep it, reject it, or cut parts.

    Each SOURCE is a dataset, the target of an earlier command; the last path is
    the TARGET. The same command again goes on where it stopped.

    Example: corpuskit filter language documents english --keep en
    """,
)
