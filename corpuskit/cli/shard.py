"""The command `corpuskit shard`."""

from corpuskit.cli.options import Verb

__all__ = ["shard"]

shard = Verb(
    "shard",
    """Write the finished set as a trainer reads it.

    Each SOURCE is a dataset, the target of an earlier command; the last path is
    the TARGET. The same command again goes on where it stopped.

    Example: corpuskit shard parquet unique shards --size 500MB
    """,
)
