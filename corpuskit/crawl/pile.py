"""`crawl pile`: The Pile and its kin, set by set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from corpuskit.crawl.columns import Layout, lookup
from corpuskit.crawl.corpora import Columns, Refused, Row, Rows, corpus_files, split_rows
from corpuskit.crawl.jsonl import check_fields, json_rows, line_tasks
from corpuskit.errors import UsageError
from corpuskit.settings import setting, suggest
from corpuskit.stage import Split, Stage, Task

__all__ = ["SETS", "Pile"]

SETS = (
    "ArXiv",
    "BookCorpus2",
    "Books3",
    "DM Mathematics",
    "Enron Emails",
    "EuroParl",
    "FreeLaw",
    "Github",
    "Gutenberg (PG-19)",
    "HackerNews",
    "NIH ExPorter",
    "OpenSubtitles",
    "OpenWebText2",
    "PhilPapers",
    "Pile-CC",
    "PubMed Abstracts",
    "PubMed Central",
    "StackExchange",
    "USPTO Backgrounds",
    "Ubuntu IRC",
    "Wikipedia (en)",
    "YoutubeSubtitles",
)
"""The 22 sets of The Pile, as its files name them. Source: Gao et al. 2020, arXiv:2101.00027, table 1."""

_SET = "meta.pile_set_name"
_COLUMNS = Columns(Layout(source=_SET))
_NAMES = re.compile(r"\.jsonl\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Pile(Stage):
    """Read The Pile: JSON lines, mostly `.zst`, each with its text and the set it is from.

    The set becomes the document's `source`. Besides the rejects of `crawl jsonl`, under `pile.`:

    - `pile.excluded`: of a set that `exclude_set` names
    - `pile.set`: without a set, or of none of the 22

    Raises:
        UsageError: A set that The Pile does not have.
    """

    name = "crawl.pile"
    bad_rules = frozenset({"pile.malformed", "pile.encoding", "pile.lost", "pile.type", "pile.set"})

    exclude_set: tuple[str, ...] = setting(
        (), "sets to leave out, such as Github, ArXiv, StackExchange, PubMed Central"
    )

    def __post_init__(self) -> None:
        """Bring the names of sets under the spelling of the files."""
        object.__setattr__(self, "exclude_set", tuple(sorted({_known(name) for name in self.exclude_set})))

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the columns of documents."""
        return _COLUMNS.schema

    def plan(self, *sources: str) -> list[Task]:
        """Make every file a task, and every 256 MiB or so of a file that is not compressed."""
        tasks = line_tasks(corpus_files(sources, _NAMES), _COLUMNS.schema)
        check_fields(tasks, ("text", _SET))
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Read one file, at most 16 MiB of text at a time."""
        rows = Rows.of(self, _COLUMNS.schema, task)
        yield from split_rows(self._wanted(json_rows(task)), _COLUMNS.read, rows)

    def _wanted(self, found: Iterable[Row | Refused]) -> Iterator[Row | Refused]:
        excluded = frozenset(self.exclude_set)
        for row in found:
            if isinstance(row, Row):
                name = lookup(row.record, _SET)
                if not isinstance(name, str) or name not in SETS:
                    row = Refused(row.at, "set")
                elif name in excluded:
                    row = Refused(row.at, "excluded")
            yield row


def _known(name: str) -> str:
    """Find a set by its name, in any case, with or without what stands between the words."""
    plain = {_plain(known): known for known in SETS}
    if _plain(name) not in plain:
        raise UsageError(f"The Pile has no set {name!r}", fix=suggest(name, SETS))
    return plain[_plain(name)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
