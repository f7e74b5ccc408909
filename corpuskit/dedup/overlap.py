"""`dedup overlap`: how much of evaluation sets the training documents contain, as GPT-2's table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpuskit import files, settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.bloom import Header, NgramFilter
from corpuskit.dedup.examples import Examples, identities, named
from corpuskit.dedup.grams import Grams, filter_bytes, shard_units
from corpuskit.dedup.hits import Locate, Table
from corpuskit.dedup.numbering import distinct
from corpuskit.dedup.seen import check_kept, facts_of, filter_path, header_of, shard_tasks
from corpuskit.errors import UsageError
from corpuskit.kernels.bloom import sizing
from corpuskit.stage import Answer, Chain, Split, Stage, Step, Task, check_memory

__all__ = ["Overlap", "text"]

REPORT = "overlap.json"


@dataclass(frozen=True)
class Overlap(Chain):
    """Counts how many n-grams of evaluation sets occur in the training documents, and finds the longest.

    The target has a row for every evaluation set: its examples and n-grams, how many of them were found and
    their share, and the longest runs of words found, each with the training document that it is from. A Bloom
    filter of the training documents answers first; what it knows is then looked for in the documents
    themselves, so that `found` is exact and `false_positives` tells where the filter erred. `overlap.json`
    beside the rows says the same, and `text` prints it.

    An example of fewer than `n` words has no n-grams. Every occurrence counts.

    Steps: examples, grams (hashes, divided into shards), probe (a Bloom filter a shard), locate, table.

    Source: Radford et al. 2019 (GPT-2), section 4 and table 6: 8-grams, a rate of at most 1e-8. Deviation:
    what the filter reports is verified.

    >>> [step.stage.name.split(".")[-1] for step in Overlap(eval=("a=b.txt",)).steps()]
    ['examples', 'grams', 'probe', 'locate', 'table']
    """

    name: ClassVar[str] = "dedup.overlap"

    eval: tuple[str, ...] = settings.setting(
        (), "evaluation sets, NAME=PATH: a dataset, .jsonl or .txt", content=False
    )
    ngram: int = settings.setting(8, "words in an n-gram")
    rate: float = settings.setting(1e-8, "false positives of a Bloom filter")
    longest: int = settings.setting(10, "how many of the longest hits to name for each set")
    filters: str | None = settings.setting(
        None, "folder to keep the training filters in, and take them from next time", content=False
    )
    seed: int = settings.setting(1, "seed of the filters")
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        if not named(self.eval):
            raise UsageError("there is no evaluation set", fix="add --eval NAME=PATH")
        if self.longest < 0:
            raise UsageError(f"longest is {self.longest}", fix="0 or more")
        Header(n=self.ngram, rate=self.rate, seed=self.seed)  # raises

    def content(self) -> dict[str, str]:
        """Return what identifies the evaluation sets."""
        return identities(self.eval)

    def memory_needed(self, *sources: str) -> int:
        """Return about how many bytes of filter one worker needs, before anything is read."""
        return filter_bytes(sources, self.rate)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: examples, grams, probe, locate, table."""
        probe = Probe(self.ngram, self.rate, self.seed, self.filters, self.memory)
        return (
            Step(Examples(self.eval)),
            Step(OverlapGrams(self.ngram, "document", self.rate, (), self.memory), steps=(0,), sources=True),
            Step(probe, steps=(1,), sources=True),
            Step(Locate(self.ngram), steps=(2,), sources=True),
            Step(Table(tuple(named(self.eval)), self.ngram, self.longest), steps=(0, 2, 3)),
        )

    def finish(self, dataset: Dataset) -> None:
        """Write the table as JSON beside the dataset."""
        check_kept(self.filters)
        data = json.dumps(self._told(dataset), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        files.write_bytes(files.join(dataset.path, REPORT), data.encode())

    def answers(self, dataset: Dataset) -> Answer:
        """Return the table."""
        return Answer(text(dataset), self._told(dataset))

    def _told(self, dataset: Dataset) -> dict[str, Any]:
        return {"ngram": self.ngram, "rate": self.rate, "sets": dataset.table().to_pylist()}


@dataclass(frozen=True)
class OverlapGrams(Grams):
    """Writes the hashes of the training documents' n-grams, as references, and of the examples'."""

    name: ClassVar[str] = "dedup.overlap.grams"

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part; `sources` are the examples, then the training documents.

        Raises:
            DoesNotFit: A shard's filter would take more than the memory there is.
        """
        return self.tasks(sources[1:], sources[:1], sources[1:])


PROBED = pa.schema([pa.field("hash", pa.uint64(), nullable=False)])


@dataclass(frozen=True)
class Probe(Stage):
    """Asks a Bloom filter of the training documents for the examples' n-grams, a shard at a time."""

    name: ClassVar[str] = "dedup.overlap.probe"

    n: int
    rate: float
    seed: int
    filters: str | None = settings.setting(None, "folder to keep the filters in", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema: the distinct hashes that the filter knows."""
        return PROBED

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per shard; `sources` are the n-grams, then the training documents.

        Raises:
            DoesNotFit: A shard's filter takes more than the memory there is.
        """
        tasks = shard_tasks(sources[0], sources[1:])
        most = max(task.work["grams"] for task in tasks)
        check_memory("dedup.overlap", sizing(most, self.rate).table_bytes, self.memory)
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Build the filter of one shard, or take the one that was kept, and ask it.

        Raises:
            InputError: The filter that was kept is of other documents or settings.
        """
        header = header_of(task, self.n, self.rate, self.seed)
        path = filter_path(self.filters, header) if self.filters is not None else None
        standing = path is not None and files.exists(path)
        found = NgramFilter.load(path, expect=header) if path and standing else NgramFilter(header)
        known = [np.zeros(0, np.uint64)]
        for units in shard_units(task.inputs[0].path, header.shard):
            examples = np.repeat(units.numbers >= 0, np.diff(units.bounds))
            if not standing:
                found.add_hashes(units.hashes[~examples])
            asked = units.hashes[examples]
            known.append(asked[found.contains(asked)])
        if path is not None and not standing:
            found.save(path)
        columns = [pa.array(distinct(np.concatenate(known)))]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=PROBED), facts=facts_of(found))


def text(dataset: Dataset) -> str:
    """Return the table of a finished overlap as text: a line for every set, then the longest hits.

    Raises:
        KeyError: The dataset is not one that `dedup overlap` wrote.
    """
    rows = dataset.table().to_pylist()
    width = max(len("set"), *(len(row["set"]) for row in rows))
    lines = [f"{'set':{width}}  {'examples':>10}  {'hit':>10}  {'n-grams':>12}  {'found':>12}  {'share':>8}"]
    for row in rows:
        share = "-" if row["share"] is None else f"{100 * row['share']:.2f} %"
        lines.append(
            f"{row['set']:{width}}  {row['examples']:>10,}  {row['examples_hit']:>10,}  "
            f"{row['ngrams']:>12,}  {row['found']:>12,}  {share:>8}"
        )
    for row in rows:
        lines += _hit_lines(row)
    return "\n".join(lines)


def _hit_lines(row: Mapping[str, Any]) -> list[str]:
    hits = row["longest"]
    return [
        line
        for hit in hits
        for line in (
            "",
            f"{row['set']} {hit['example']}: {hit['words']} words of {hit['url'] or hit['document']}",
            f"  {' '.join(hit['text'][:200].split())}",
        )
    ]
