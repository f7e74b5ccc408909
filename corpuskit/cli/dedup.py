"""The command `corpuskit dedup`."""

from corpuskit.cli.options import Verb

__all__ = ["dedup"]

dedup = Verb(
    "dedup",
    """Compare documents with one another, and keep one of each.

    Each SOURCE is a dataset, the target of an earlier command; the last path is
    the TARGET. The same command again goes on where it stopped.

    Example: corpuskit dedup minhash documents unique --threshold 0.8
    """,
)
