"""The command `corpuskit crawl`."""

from corpuskit.cli.options import Verb

__all__ = ["crawl"]

crawl = Verb(
    "crawl",
    """Read the world, its archives and dumps, and write documents.

    Each SOURCE is a file, a folder, a quoted pattern, a URL, or - for standard
    input; the last path is the TARGET. The same command again goes on where it
    stopped.

    Example: corpuskit crawl warc 'crawl/*.warc.gz' documents
    """,
)
