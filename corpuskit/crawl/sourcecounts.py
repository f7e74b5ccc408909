"""The first steps of `crawl queries`: words, pairs and titles of documents and files, a part at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.crawl.countfile import Entries, entries
from corpuskit.crawl.counts import PAIRS, WORDS, Tally, Words, count_pairs, count_words
from corpuskit.crawl.logs import Fault
from corpuskit.crawl.matching import Compat, spaced
from corpuskit.crawl.pageviews import is_page_views, page_views
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import REJECT, document_id
from corpuskit.errors import InputError, UsageError
from corpuskit.settings import setting
from corpuskit.stage import Input, Split, Task, document_tasks

__all__ = ["STAGE", "SourceTally", "TitleTally", "fault_rows", "file_inputs", "is_dataset", "written_words"]

STAGE = "crawl.queries"
_FILE = "file"
_TRIED = 1000


@dataclass(frozen=True)
class SourceTally(Tally):
    """Counts the words, or the pairs, of documents, and takes those of count files as they stand there."""

    name: ClassVar[str] = "crawl.queries.tally"

    compat: Compat | None

    def plan(self, *sources: str) -> list[Task]:
        """Make every part of a dataset a task, and every file."""
        datasets = [source for source in sources if is_dataset(source)]
        for source in datasets:
            if "text" not in Dataset(source).schema.names:
                raise InputError(f"{source} has no column text to count words in", fix="give documents")
        others = [source for source in sources if source not in datasets]
        return [
            *(document_tasks(*datasets) if datasets else ()),
            *(Task((item,), pa.schema([]), {_FILE: True}) for item in file_inputs(others)),
        ]

    def counted(self, task: Task) -> Iterable[pa.RecordBatch | Split]:
        """Count some of a part, or read some of a file."""
        path = task.inputs[0].path
        if task.work.get(_FILE):
            return self._of_file(path)
        count = count_words if self.unit == "word" else count_pairs
        batches = read_batches(path, columns=["text"])
        if self.compat:
            return (count(batch["text"], written_words) for batch in batches)
        return (count(batch["text"]) for batch in batches)

    def _of_file(self, path: str) -> Iterator[pa.RecordBatch | Split]:
        for number, found in enumerate(entries(path)):
            pieces = pc.utf8_split_whitespace(found.texts)
            sizes = np.asarray(pc.list_value_length(pieces))
            if not number:
                _check_words(path, sizes[:_TRIED])
            wrong = np.flatnonzero((sizes != 1) & (sizes != 2))
            faults = found.faults + [
                Fault(int(found.places[row]), "malformed", float(sizes[row])) for row in wrong
            ]
            if faults:
                yield Split(_nothing(self), fault_rows(path, "words", faults))
            mine = pa.array(sizes == (1 if self.unit == "word" else 2))
            words, counts = pieces.filter(mine), found.counts.filter(mine)
            columns = [pc.list_element(words, place) for place in range(1 if self.unit == "word" else 2)]
            schema = WORDS if self.unit == "word" else PAIRS
            yield pa.RecordBatch.from_arrays([*columns, counts], schema=schema)


@dataclass(frozen=True)
class TitleTally(Tally):
    """Adds up the views of titles, in page views, files of titles, and datasets that have a column title."""

    name: ClassVar[str] = "crawl.queries.titles"

    titles: tuple[str, ...] = setting((), "where titles are", content=False)
    title_column: str | None = None
    project: str = "en"
    min_hourly_views: int = 50
    compat: Compat | None = None

    def plan(self, *sources: str) -> list[Task]:
        """Make every part of a dataset a task, and every file."""
        datasets = [path for path in self.titles if is_dataset(path)]
        for path in datasets:
            if "title" not in Dataset(path).schema.names:
                raise InputError(f"{path} has no column title", fix="give what crawl wikipedia wrote")
        others = [path for path in self.titles if path not in datasets]
        return [
            *(document_tasks(*datasets) if datasets else ()),
            *(Task((item,), pa.schema([]), {_FILE: True}) for item in file_inputs(others)),
        ]

    def counted(self, task: Task) -> Iterator[pa.RecordBatch | Split]:
        """Read some titles of a part, or of a file."""
        path = task.inputs[0].path
        if not task.work.get(_FILE):
            for batch in read_batches(path, columns=["title"]):
                yield _titles(batch["title"].drop_null().cast(pa.large_string()), None)
            return
        for found in self._of_file(path):
            if found.faults:
                yield Split(_nothing(self), fault_rows(path, "titles", found.faults))
            yield _titles(found.texts, found.counts)

    def _of_file(self, path: str) -> Iterator[Entries]:
        if self.title_column is None and is_page_views(path):
            return page_views(path, self.project, self.min_hourly_views, unescape=self.compat is None)
        return entries(path, self.title_column)


def is_dataset(path: str) -> bool:
    """Say whether a finished dataset is at a path."""
    return files.exists(files.join(path, "manifest.json"))


def file_inputs(paths: Sequence[str]) -> list[Input]:
    """List the files that paths, folders and patterns name, once each.

    Raises:
        InputError: Nothing is there.
        UsageError: One is standard input, which cannot be read a second time.
    """
    found = dict.fromkeys(one for path in paths for one in _members(path))
    if "-" in found:
        raise UsageError(f"{STAGE} reads its files more than once", fix="give files, not standard input")
    return [Input(path, files.file_name(path), *files.identity(path)) for path in found]


def _members(path: str) -> list[str]:
    if files.is_url(path) or not Path(path).is_dir():
        return files.expand(path)
    if files.exists(files.join(path, "plan.json")):
        Dataset(path)  # raises: not finished
    found = sorted(
        str(one) for one in Path(path).rglob("*") if one.is_file() and not one.name.startswith(".")
    )
    if not found:
        raise InputError(f"there are no files in {path}", fix="check the path")
    return found


def fault_rows(path: str, part: str, faults: Sequence[Fault]) -> pa.RecordBatch:
    """Make rejects of the lines of a file that are no entries of a part."""
    rows: list[dict[str, Any]] = [
        {
            "id": document_id(STAGE, f"{part} {path}@{fault.at}", ""),
            "origin": f"{path}@{fault.at}",
            "stage": STAGE,
            "rule": f"queries.{fault.rule}",
            "value": fault.value,
        }
        for fault in faults
    ]
    return pa.RecordBatch.from_pylist(rows, REJECT)


def written_words(texts: pa.Array) -> Words:
    """Return the words of texts as MetaCLIP matches them: in their case, and each mark a word.

    >>> words, offsets = written_words(pa.array(["St. Louis", " ", None]))
    >>> words.to_pylist(), offsets.tolist()
    (['St', '.', 'Louis'], [0, 3, 3, 3])
    """
    pieces = pc.utf8_split_whitespace(spaced(texts.cast(pa.large_string())))
    words = pieces.flatten()
    there = np.asarray(pc.not_equal(words, ""), bool)
    bounds = np.concatenate([[0], np.cumsum(np.asarray(pc.list_value_length(pieces)))])
    return words.filter(pa.array(there)), np.concatenate([[0], np.cumsum(there)])[bounds].astype(np.int64)


def _nothing(tally: Tally) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], tally.writes(pa.schema([])))


def _check_words(path: str, sizes: Any) -> None:  # noqa: ANN401 - an array of whole numbers
    """Raise InputError where most lines hold more than two words, so that the file is a text."""
    if 2 * int((sizes > 2).sum()) > len(sizes):
        raise InputError(
            f"{path} is no count file: most of its lines hold more than two words",
            fix="give lines of a word, or of two, and a count; texts become documents with corpuskit crawl",
        )


def _titles(texts: pa.Array, counts: pa.Array | None) -> pa.RecordBatch:
    known = pa.nulls(len(texts), pa.int64()) if counts is None else counts
    return pa.RecordBatch.from_arrays([texts, known], schema=WORDS)
