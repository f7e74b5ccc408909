"""`shard mix`: so much of each source, drawn or repeated, in one global random order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import seeds
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import REJECT, reject_rows
from corpuskit.errors import UsageError
from corpuskit.settings import digest, passed_on, setting
from corpuskit.shard import card
from corpuskit.shard.mixcount import REPEAT, Count, tokenizer_digest
from corpuskit.shard.mixture import SHARES, WAYS, apportion, read_amounts, shares_told
from corpuskit.shard.parquet import MOST_BUCKETS_BITS, Gather, Scatter
from corpuskit.stage import Chain, Split, Stage, Step, Task, dataset_input

__all__ = ["Mix"]

ROUNDED = Fraction(2, 100)
"""Weights may sum to 1 but for this: those of a printed table are rounded, and GPT-3's sum to 1.01."""

_RULE = "mix.over_budget"


@dataclass(frozen=True)
class Mix(Chain):
    """Take so much of each source, and shuffle all of it into Parquet files.

    How much is said in one of three ways: `weight` (shares of `tokens`), `epochs`, or `budget`. Each source
    then has at most its budget, and misses it by less than one document. Where a budget is larger than its
    source, every document comes as often as the source goes into it. For the rest, or where the budget is
    smaller, those documents come that have the smallest hashes of (seed, id): a smaller budget keeps a part
    of what a larger one does, whatever the other sources do. A document that is not taken is rejected as
    `mix.over_budget`: the value is its hash, the bound the first that was too large, both as shares of 1.

    The first copy of a document keeps its id, the others are `id~1`, `id~2`. Each has its own place in the
    one order, which is that of `shard parquet`. A document is counted as its tokens, without any that a
    trainer puts between documents.

    Source: Brown et al. 2020 (GPT-3), table 2.2. Deviation: its weights, printed with two digits, sum to
    1.01; a weight is taken as it is written, not divided by the sum.

    Raises:
        UsageError: Not one way, or a wrong one; a source that is not there, or not named; no tokenizer.
        InputError: A document is twice in the inputs, has no count, or is itself a repeat.

    >>> [step.stage.name for step in Mix(epochs=("a=2",), count="words").steps()]
    ['shard.mix.count', 'shard.mix.shares', 'shard.mix.scatter', 'shard.mix.gather']
    """

    weight: tuple[str, ...] = setting((), "SOURCE=SHARE of --tokens, for each source; they sum to 1")
    tokens: int | None = setting(None, "with --weight: size of the whole mix, in what --count counts")
    epochs: tuple[str, ...] = setting((), "SOURCE=TIMES that it is seen, for each source")
    budget: tuple[str, ...] = setting((), "SOURCE=SIZE in what --count counts, for each source")
    count: str = setting("tokens", "what is counted: tokens, words, bytes, documents, or a column of counts")
    tokenizer: str | None = setting(None, "with --count tokens: a tokenizer's file or folder, or bytes")
    rows: int | None = setting(None, "documents a shard (replaces --size)")
    size: int = setting(512_000_000, "bytes a shard before compression, all columns counted")
    seed: int = setting(0, "another seed draws other documents and gives another order")

    name: ClassVar[str] = "shard.mix"

    def __post_init__(self) -> None:
        """Check the settings."""
        given = [way for way in WAYS if getattr(self, way)]
        if len(given) != 1:
            what = f"{' and '.join(given)} are given together" if given else "nothing says how much to take"
            fix = "give --weight SOURCE=0.6 and --tokens 300G, or --epochs SOURCE=2.9, or --budget SOURCE=60G"
            raise UsageError(f"shard.mix: {what}", fix=fix)
        if given == ["weight"] and self.tokens is None:
            raise UsageError("shard.mix: weight is a share of tokens", fix="say of how many: --tokens 300G")
        if given != ["weight"] and self.tokens is not None:
            raise UsageError(f"shard.mix: tokens has no part in {given[0]}", fix="leave tokens out")
        if self.count == "tokens" and self.tokenizer is None:
            what = "shard.mix: tokens are counted with a tokenizer"
            raise UsageError(what, fix="give --tokenizer PATH, or --count words")
        if self.count != "tokens" and self.tokenizer is not None:
            raise UsageError(f"shard.mix: tokenizer has no part in count {self.count}", fix="leave one out")
        for name in ("rows", "size", "tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"shard.mix: {name} must be at least 1, not {value}")
        _check_sum(self._amounts(), given[0])

    def _amounts(self) -> Mapping[str, Fraction]:
        return read_amounts(getattr(self, chosen_way(self)), chosen_way(self))

    def content(self) -> Mapping[str, str]:
        """Return the digest of the tokenizer."""
        return tokenizer_digest(self.tokenizer)

    def plan(self, *sources: str) -> list[Task]:
        """Plan what the first step does: a task for each part."""
        return self.steps()[0].stage.plan(*sources)

    def steps(self) -> tuple[Step, ...]:
        """Count each document, find the shares, scatter the copies into buckets, then gather each shard."""
        way, named = chosen_way(self), tuple(self._amounts())
        return (
            Step(Count(self.count, self.tokenizer, self.seed, way, named), sources=True),
            Step(passed_on(Shares, self), steps=(0,)),
            Step(ScatterCopies(self.seed), steps=(1,), sources=True),
            Step(GatherCopies(self.rows, self.size), steps=(2,)),
        )

    def finish(self, dataset: Dataset) -> None:
        """Write the dataset card beside the shards."""
        card.write(dataset)

    def recounts(self, dataset: Dataset) -> tuple[str, ...]:
        """Say how often each source is seen."""
        shares = shares_told(dataset.manifest["stages"][0].get("facts", {}), self.count)
        whole = sum(share.counted_out for share in shares)
        return tuple(
            f"{share.source}: {share.epochs:.2f} epochs of {share.counted:,} {self.count}, "
            f"{share.counted_out / whole if whole else 0:.1%} of the mix"
            for share in shares
        )


def _check_sum(amounts: Mapping[str, Fraction], way: str) -> None:
    total = sum(amounts.values(), Fraction())
    if not total:
        raise UsageError(f"shard.mix: {way} takes nothing of any source", fix="give one of them more than 0")
    if way == "weight" and abs(total - 1) > ROUNDED:
        scaled = ",".join(f"{name}={float(share / total):.4g}" for name, share in amounts.items())
        what = f"shard.mix: the weights sum to {float(total):g}, not 1"
        raise UsageError(what, fix=f"to keep their proportions: --weight '{scaled}'")


def chosen_way(stage: Mix | Shares) -> str:
    """Name the one setting that says how much there is to be of each source."""
    return next(way for way in WAYS if getattr(stage, way))


@dataclass(frozen=True)
class Shares(Stage):
    """Find how often each document of a source is taken, and which once more."""

    weight: tuple[str, ...] = setting((), "shares of tokens")
    tokens: int | None = setting(None, "size of the whole mix")
    epochs: tuple[str, ...] = setting((), "times that a source is seen")
    budget: tuple[str, ...] = setting((), "sizes")
    count: str = setting("tokens", "what was counted", content=False)

    name: ClassVar[str] = "shard.mix.shares"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the shares."""
        return SHARES

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task: it reads numbers only."""
        return [Task((dataset_input(sources[0]),))]

    def run(self, task: Task) -> Iterator[Split]:
        """Find all shares, and tell them as facts."""
        shares = apportion(Dataset(task.inputs[0].path), self._budget())
        facts = {name: count for share in shares for name, count in share.facts(self.count).items()}
        rows = [dataclasses.asdict(share) for share in shares]
        yield Split(pa.RecordBatch.from_pylist(rows, SHARES), facts=facts)

    def _budget(self) -> _Budget:
        way = chosen_way(self)
        return _Budget(read_amounts(getattr(self, way), way), way, self.tokens)


@dataclass(frozen=True)
class _Budget:
    """What a source may have, given its name and all that it counts."""

    amounts: Mapping[str, Fraction]
    way: str
    tokens: int | None

    def __call__(self, source: str, counted: int) -> int:
        if not counted:  # more than 0 of nothing is no budget, however small
            return math.ceil(self.amounts[source])
        of = {"weight": self.tokens or 0, "epochs": counted, "budget": 1}[self.way]
        return math.floor(self.amounts[source] * of)


@dataclass(frozen=True)
class ScatterCopies(Scatter):
    """Sort runs of rows by key, each row as often as it is taken; reject those that are not."""

    name: ClassVar[str] = "shard.mix.scatter"

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task for about 64 MiB that are read; a mix that is larger has more buckets."""
        shares = Dataset(sources[0])
        counts = shares.table(["documents", "documents_out"])
        came, left = (max(1, pc.sum(counts[name]).as_py() or 0) for name in counts.column_names)
        more = max(0, math.ceil(math.log2(left / came)))
        first = dataset_input(sources[0])
        return [
            Task(
                (first, *task.inputs),
                task.schema,
                {"bits": min(MOST_BUCKETS_BITS, int(task.work["bits"]) + more)},
            )
            for task in super().plan(*sources[1:])
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Scatter the copies, then tell what was not taken."""
        rows = Dataset(task.inputs[0].path).table(["source", "repeats", "cutoff"])
        dropped: list[pa.RecordBatch] = []
        yield from self.in_runs(self._copies(task, rows, dropped), task)
        nothing = pa.RecordBatch.from_pylist([], self.writes(task.schema))
        for rejected in dropped:
            yield Split(nothing, rejected)

    def _copies(
        self, task: Task, shares: pa.Table, dropped: list[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Yield each batch as often as any of its documents is taken, each time those that are."""
        for item in task.inputs[1:]:
            for batch in read_batches(item.path, task.schema):
                row = pc.index_in(batch["source"], shares["source"].combine_chunks())
                repeats, cutoffs = (shares[name].take(row).to_numpy() for name in ("repeats", "cutoff"))
                keys = seeds.choice_key(self.seed, batch["id"])
                taken = repeats + (keys < cutoffs)
                if len(gone := np.flatnonzero(taken == 0)):
                    dropped.append(_rejects(batch, gone, keys, cutoffs))
                for copy in range(int(taken.max(initial=0))):
                    again = taken > copy
                    yield _renamed(batch if again.all() else batch.filter(pa.array(again)), copy)


def _rejects(
    batch: pa.RecordBatch,
    rows: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    cutoffs: npt.NDArray[np.uint64],
) -> pa.RecordBatch:
    value, bound = (pa.array(numbers[rows] * 2.0**-64) for numbers in (keys, cutoffs))
    return reject_rows(batch, Mix.name, _RULE, pa.array(rows), value=value, bound=bound)


def _renamed(batch: pa.RecordBatch, copy: int) -> pa.RecordBatch:
    """Give the documents the ids of a copy; the first keeps them.

    >>> _renamed(pa.RecordBatch.from_pydict({"id": ["a", "b#0"]}), 2)["id"].to_pylist()
    ['a~2', 'b#0~2']
    """
    if not copy:
        return batch
    ids = pc.binary_join_element_wise(batch["id"], f"~{copy}", "")
    return batch.set_column(batch.schema.get_field_index("id"), batch.schema.field("id"), ids)


@dataclass(frozen=True)
class GatherCopies(Gather):
    """Write one shard a task, and tell again a part of what was rejected."""

    name: ClassVar[str] = "shard.mix.gather"

    def plan(self, *sources: str) -> list[Task]:
        """Plan as for Parquet, and divide the files of rejects among the shards."""
        tasks, rejects = super().plan(*sources), Dataset(sources[0]).rejects
        told = []
        for number, task in enumerate(tasks):
            start, stop = (len(rejects) * edge // len(tasks) for edge in (number, number + 1))
            mine = digest([part.sha256 for part in rejects[start:stop]])
            told.append(
                dataclasses.replace(task, work={**task.work, "rejects": [start, stop], "rejected": mine})
            )
        return told

    def run(self, task: Task) -> Iterator[Split]:
        """Write the rows of one shard, then its part of the rejects.

        A repeat is not among what came in: its document came in once.
        """
        for split in super().run(task):
            repeats = pc.match_substring_regex(split.kept["id"], REPEAT)
            came = split.kept.select(["id", "text"]).filter(pc.invert(repeats))
            yield Split(split.kept, source=came)
        scattered = Dataset(task.inputs[0].path)
        nothing = pa.RecordBatch.from_pylist([], self.writes(task.schema))
        for part in scattered.rejects[slice(*task.work["rejects"])]:
            for batch in read_batches(scattered.path_of(part), REJECT):
                yield Split(nothing, batch)
