"""`dedup contamination`: cut what evaluation sets contain out of training documents, by GPT-3's rule."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files, settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.cutting import check_no_images
from corpuskit.dedup.dirty import Table, dirty_examples, report_text
from corpuskit.dedup.evaluation import BYTES_A_BYTE, Evaluation, evaluation
from corpuskit.dedup.numbering import numbered_tasks, read_between
from corpuskit.dedup.pieces import Pieces, pieces_of
from corpuskit.document import empty_rejects, reject_rows
from corpuskit.errors import UsageError
from corpuskit.kernels.spans import gathered, united, widened
from corpuskit.kernels.utf8 import buffers, strings
from corpuskit.stage import Answer, Chain, Split, Stage, Step, Task, check_memory, dataset_input

__all__ = ["Contamination", "text"]

Numbers = npt.NDArray[np.int64]

REPORT_NAME = "contamination.json"
GRAM_RULE, PIECES_RULE, SHORT_RULE = "contamination.ngram", "contamination.pieces", "contamination.short"


@dataclass(frozen=True)
class Contamination(Chain):
    """Cuts out of the first source what the other sources, evaluation sets, contain too.

    Every document of an evaluation set is an example. An n-gram that an example and a document have in common
    is cut from the document, with `window` characters on each side, so that the document falls into pieces
    `ID#0`, `ID#1`, ... of its text. Pieces under `min_piece` characters are dropped; a document that falls
    into more than `max_pieces` (short ones counted), or of which no piece is left, goes as a whole. N-grams
    that more than `max_documents` documents have are ignored: quotations and boilerplate. A document that
    nothing is cut from is kept as it is, its id too. Other columns of a piece are those of its document.

    Words are bare (`corpuskit.kernels.bare`); that an n-gram is the same is told by its text, not only its
    hash. Characters are code points. An example of fewer than `ngram` words has no n-gram and removes
    nothing. Matched are the documents as they came in: pieces are not joined and matched again.

    Rejects: a cut is a span with the rule `contamination.ngram`, whose `twin` is the example; of several
    examples the first has the span, the others an empty one where it begins (those of documents that go are
    named too). A short piece is a span of `contamination.short`. A document goes by `contamination.pieces`
    (value: its pieces) or `contamination.short` (value: characters of its longest piece). A report,
    `contamination.json` beside the documents, names for each evaluation set the examples that were found.

    With `measure`, nothing is cut: the target has a row for every evaluation set, its examples and how many
    of them are dirty, which is every one with any n-gram that occurs in a document; each set's n is then the
    5th percentile of its examples' lengths in words, rounded down, between 8 and 13. No n-gram is ignored. An
    example of fewer words has no n-gram: it counts as clean, and as short.

    Steps: matches, frequent (n-grams to ignore), cut; or matches, table.

    Source: Brown et al. 2020 (GPT-3), appendix C.

    >>> [step.stage.name.split(".")[-1] for step in Contamination(measure=True).steps()]
    ['matches', 'table']
    """

    name: ClassVar[str] = "dedup.contamination"

    ngram: int = settings.setting(13, "words in an n-gram")
    window: int = settings.setting(200, "characters cut on each side of an n-gram")
    min_piece: int = settings.setting(200, "fewest characters of a piece")
    max_pieces: int = settings.setting(10, "most pieces of a document")
    max_documents: int = settings.setting(10, "most documents an n-gram may be in; else it is ignored")
    measure: bool = settings.setting(False, "cut nothing: write which examples of each set are dirty")
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        for name in ("ngram", "max_pieces", "max_documents"):
            if getattr(self, name) < 1:
                raise UsageError(f"{self.name}: {name} is {getattr(self, name)}", fix="at least 1")
        for name in ("window", "min_piece"):
            if getattr(self, name) < 0:
                raise UsageError(f"{self.name}: {name} is {getattr(self, name)}", fix="0 or more")

    def memory_needed(self, *sources: str) -> int:
        """Return about how many bytes one worker needs for the evaluation sets."""
        return _memory_needed(sources[1:])

    def steps(self) -> tuple[Step, ...]:
        """List the steps: matches, then table, or frequent and cut."""
        if self.measure:
            return Step(Matches(None, self.memory), sources=True), Step(Table(), steps=(0,), sources=True)
        cut = Cut(self.ngram, self.window, self.min_piece, self.max_pieces)
        return (
            Step(Matches(self.ngram, self.memory), sources=True),
            Step(Frequent(self.max_documents), steps=(0,)),
            Step(cut, steps=(0, 1), sources=True),
        )

    def finish(self, dataset: Dataset) -> None:
        """Write the report beside the dataset."""
        if self.measure:
            rows = dataset.table().to_pylist()
        else:
            plan = json.loads(files.read_bytes(files.join(dataset.path, "plan.json")))
            paths = [source["path"] for source in plan["sources"][1:]]
            local = not files.is_url(dataset.path)  # then the plan's paths begin there
            sets = [
                files.join(dataset.path, path) if local and not files.is_url(path) else path for path in paths
            ]
            rows = dirty_examples(sets, self.ngram, _found(dataset))
        told = {"measured": self.measure, "sets": rows}
        data = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        files.write_bytes(files.join(dataset.path, REPORT_NAME), data.encode())

    def answers(self, dataset: Dataset) -> Answer:
        """Return the report of each evaluation set."""
        report = _report(dataset)
        return Answer(report_text(report), report)


def _report(dataset: Dataset) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(files.read_bytes(files.join(dataset.path, REPORT_NAME)))
    return told


def _found(dataset: Dataset) -> dict[str, str]:
    """Return the examples that cuts name, each with the first document that was cut for it."""
    found: dict[str, str] = {}
    for batch in dataset.reject_batches():
        for rule, document, example in zip(
            *(batch[name].to_pylist() for name in ("rule", "id", "twin")), strict=True
        ):
            if rule == GRAM_RULE:
                found.setdefault(example, document)
    return found


def text(dataset: Dataset) -> str:
    """Return the report of a finished contamination as text: a line for every set, then the examples found.

    Raises:
        FileNotFoundError: The dataset is not one that `dedup contamination` wrote.
    """
    return report_text(_report(dataset))


def _memory_needed(sets: Sequence[str]) -> int:
    return BYTES_A_BYTE * sum(part.text_bytes for path in sets for part in Dataset(path).parts)


MATCHES = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("gram", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("first", pa.bool_(), nullable=False),
    ]
)
"""An occurrence of an n-gram: the document's number, the n-gram's (in `Evaluation.hashes`), the bytes, and
whether it is the first in its document."""


@dataclass(frozen=True)
class Matches(Stage):
    """Finds the n-grams of the evaluation sets in the training documents."""

    name: ClassVar[str] = "dedup.contamination.matches"

    ngram: int | None
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of matches."""
        return MATCHES

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part of the training documents; `sources` are those, then the evaluation sets.

        Raises:
            UsageError: There is no evaluation set, or text is to be cut from documents with images.
            DoesNotFit: The evaluation sets take more than the memory there is.
        """
        train, sets = sources[0], sources[1:]
        if not sets:
            raise UsageError(
                "there is no evaluation set", fix="corpuskit dedup contamination TRAIN EVAL... TARGET"
            )
        check_memory("dedup.contamination", _memory_needed(sets), self.memory)
        tasks = numbered_tasks(train, beside=sets)
        if self.ngram is not None:
            check_no_images(tasks)
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Look for the n-grams in one part."""
        grams = evaluation(task.inputs[1:], self.ngram)
        number = task.work["first"]
        for batch in read_batches(task.inputs[0].path, columns=["text"]):
            found = grams.occurrences(batch["text"])
            first = np.zeros(len(found.rows), bool)
            first[np.unique(np.stack([found.rows, found.grams]), axis=1, return_index=True)[1]] = True
            columns = [number + found.rows, found.grams, found.starts, found.ends, first]
            chosen = first if self.ngram is None else np.ones(len(first), bool)  # spans are for cutting
            arrays = [pa.array(column[chosen]) for column in columns]
            yield Split(pa.RecordBatch.from_arrays(arrays, schema=MATCHES))
            number += len(batch)


FREQUENT = pa.schema([pa.field("gram", pa.int64(), nullable=False)])


@dataclass(frozen=True)
class Frequent(Stage):
    """Finds the n-grams that too many documents have."""

    name: ClassVar[str] = "dedup.contamination.frequent"

    max_documents: int

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema: the numbers of n-grams, ascending."""
        return FREQUENT

    def plan(self, *sources: str) -> list[Task]:
        """Plan the one task; `sources` are the matches."""
        return [Task((dataset_input(sources[0]),), FREQUENT)]

    def run(self, task: Task) -> Iterator[Split]:
        """Count the documents of each n-gram."""
        counts = np.zeros(0, np.int64)
        for batch in Dataset(task.inputs[0].path).batches(["gram", "first"]):
            more = np.bincount(batch.filter(batch["first"])["gram"].to_numpy(), minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        frequent = pa.array(np.flatnonzero(counts > self.max_documents))
        yield Split(pa.RecordBatch.from_arrays([frequent], schema=FREQUENT))


@dataclass(frozen=True)
class Cut(Stage):
    """Cuts the n-grams from the documents and divides these into pieces."""

    name: ClassVar[str] = "dedup.contamination.cut"

    ngram: int
    window: int
    min_piece: int
    max_pieces: int

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part; `sources` are matches, n-grams to ignore, training documents, sets."""
        matches, frequent, train, *sets = sources
        return numbered_tasks(train, beside=(matches, frequent, *sets))

    def run(self, task: Task) -> Iterator[Split]:
        """Cut each batch of one part."""
        part, matches, frequent, *sets = task.inputs
        first, rows = task.work["first"], task.work["rows"]
        found = read_between(matches.path, "number", first, first + rows)
        ignored = Dataset(frequent.path).table()["gram"].to_numpy()
        found = found.filter(pa.array(~np.isin(found["gram"].to_numpy(), ignored)))
        found = found.sort_by([("number", "ascending"), ("start", "ascending"), ("gram", "ascending")])
        numbers = found["number"].to_numpy()
        grams = evaluation(sets, self.ngram) if len(found) else None
        for batch in read_batches(part.path, task.schema):
            low, high = (int(place) for place in np.searchsorted(numbers, [first, first + len(batch)]))
            if grams is None or low == high:
                yield Split(batch, empty_rejects(), batch)
            else:
                mine = found.slice(low, high - low)
                columns = [mine[name].to_numpy() for name in ("gram", "start", "end")]
                yield self._divide(batch, grams, numbers[low:high] - first, *columns)
            first += len(batch)

    def _divide(
        self, batch: pa.RecordBatch, grams: Evaluation, rows: Numbers, gram: Numbers, *span: Numbers
    ) -> Split:
        data, offsets = buffers(batch["text"])
        begins = offsets[rows]
        starts, ends = widened(
            data, (begins + span[0], begins + span[1]), (begins, offsets[rows + 1]), self.window
        )
        heads, stops = united(rows, starts, ends)
        pieces = pieces_of(data, offsets, (rows[heads], starts[heads], stops), self.min_piece)
        many = pieces.counts > self.max_pieces
        none = np.bincount(pieces.rows[~pieces.short], minlength=len(batch)) == 0
        gone = (pieces.touched & none) | many
        cuts = (rows[heads], starts[heads] - begins[heads], stops - begins[heads])
        named = _named(batch, grams, cuts, np.split(gram, heads[1:]))
        first = dict(zip(named["id"].to_pylist()[::-1], named["twin"].to_pylist()[::-1], strict=True))
        rejects = [named]
        for rule, mask, value, bound in (
            (PIECES_RULE, many, pieces.counts, self.max_pieces),
            (SHORT_RULE, pieces.touched & none, pieces.longest, self.min_piece),
        ):
            chosen = np.flatnonzero(mask)
            twins = pa.array(
                [first[name] for name in batch["id"].take(pa.array(chosen)).to_pylist()], pa.string()
            )
            value_of = pa.array(value[chosen].astype(float))
            rejects.append(_rejects(batch, rule, chosen, value=value_of, bound=float(bound), twin=twins))
        short = pieces.short & ~gone[pieces.rows]
        spans = {
            name: pa.array(values[short] - offsets[pieces.rows[short]])
            for name, values in (("start", pieces.starts), ("end", pieces.ends))
        }
        rejects.append(_rejects(batch, SHORT_RULE, pieces.rows[short], bound=float(self.min_piece), **spans))
        return Split(_kept(batch, pieces, gone), pa.concat_batches(rejects), batch)


def _rejects(batch: pa.RecordBatch, rule: str, rows: Numbers, **columns: Any) -> pa.RecordBatch:  # noqa: ANN401
    return reject_rows(batch, Contamination.name, rule, pa.array(rows), **columns)


def _named(
    batch: pa.RecordBatch, grams: Evaluation, cuts: tuple[Numbers, Numbers, Numbers], found: list[Numbers]
) -> pa.RecordBatch:
    """Return the rejects of cuts: the first example of each has the span, the others an empty one."""
    examples = [np.unique(np.concatenate([grams.owners(gram) for gram in np.unique(one)])) for one in found]
    counts = np.array([len(one) for one in examples])
    rows, starts, ends = (np.repeat(column, counts) for column in cuts)
    others = np.ones(len(rows), bool)
    others[np.cumsum(counts) - counts] = False
    ends = np.where(others, starts, ends)
    twins = grams.examples.take(pa.array(np.concatenate(examples)))
    return _rejects(batch, GRAM_RULE, rows, start=pa.array(starts), end=pa.array(ends), twin=twins)


def _kept(batch: pa.RecordBatch, pieces: Pieces, gone: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """Return the documents that stay: whole where nothing was cut, else their pieces."""
    data, offsets = buffers(batch["text"])
    stays = ~pieces.short & ~gone[pieces.rows]
    whole = np.flatnonzero(~pieces.touched)
    rows = np.concatenate([whole, pieces.rows[stays]])
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.concatenate([offsets[whole], pieces.starts[stays]])[order]
    ends = np.concatenate([offsets[whole + 1], pieces.ends[stays]])[order]
    kept = batch.take(pa.array(rows))
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    ids = [
        f"{name}#{number}" if cut else name
        for name, number, cut in zip(
            kept["id"].to_pylist(), place.tolist(), pieces.touched[rows].tolist(), strict=True
        )
    ]
    texts = strings(*gathered(data, starts, ends))
    for name, column in (("id", pa.array(ids, pa.string())), ("text", texts)):
        at = kept.schema.get_field_index(name)
        kept = kept.set_column(at, kept.schema.field(at), column)
    return kept
