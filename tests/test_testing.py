"""check_stage catches a stage that breaks each of the seven laws."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from corpuskit.document import reject_rows
from corpuskit.stage import Split, Stage
from corpuskit.testing import LAWS, check_stage

_COUNTER = itertools.count()


@dataclass(frozen=True)
class Good(Stage):
    """Keep all."""

    name: ClassVar[str] = "filter.good"

    def split(self, batch: pa.RecordBatch) -> Split:
        return Split(batch)


def drop(stage: Stage, batch: pa.RecordBatch, gone: list[bool]) -> Split:
    keep = pa.array([not each for each in gone], pa.bool_())
    rows = pc.indices_nonzero(pc.invert(keep)).cast(pa.int64())
    return Split(batch.filter(keep), reject_rows(batch, stage.name, "test", rows))


class Impure(Good):
    def split(self, batch: pa.RecordBatch) -> Split:
        return drop(self, batch, [next(_COUNTER) % 2 == 0] * len(batch))


class Undeclared(Good):
    def split(self, batch: pa.RecordBatch) -> Split:
        return Split(batch.append_column("extra", pa.nulls(len(batch), pa.int64())))


class Lossy(Good):
    def split(self, batch: pa.RecordBatch) -> Split:
        return Split(batch.slice(1))


class Global(Good):
    def split(self, batch: pa.RecordBatch) -> Split:
        return drop(self, batch, [len(batch) > 3] * len(batch))


class Partial(Good):
    def split(self, batch: pa.RecordBatch) -> Split:
        batch["text"][0].as_py()
        return drop(self, batch, [not text for text in batch["text"].to_pylist()])


@dataclass(frozen=True)
class Fixed(Good):
    """Its setting does not survive TOML."""

    words: frozenset[str] = field(default_factory=frozenset)


class Unseeded(Good):
    def split(self, batch: pa.RecordBatch) -> Split:
        first = batch["id"][0].as_py() if len(batch) else ""
        return drop(self, batch, [str(each) < first for each in batch["id"]])


@pytest.mark.parametrize(
    ("stage", "law"),
    [
        (Impure(), "pure"),
        (Undeclared(), "declared"),
        (Lossy(), "conserving"),
        (Global(), "local"),
        (Partial(), "total"),
        (Fixed(), "portable"),
        (Unseeded(), "seeded"),
    ],
)
def test_each_law_is_enforced(stage: Stage, law: str) -> None:
    assert law in LAWS
    with pytest.raises(Exception, match=law if law != "portable" else "portable|words|frozenset"):
        check_stage(stage)


def test_a_good_stage_passes() -> None:
    check_stage(Good())
