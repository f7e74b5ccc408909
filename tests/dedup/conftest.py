"""Runs a chain in this process, as the engine does, and keeps workers for all tests of a file."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from corpuskit.dataset import Dataset
from corpuskit.document import REJECT
from corpuskit.engine import crew
from corpuskit.stage import Chain, Split, Stage, check_conservation
from corpuskit.testing import write_dataset

Runs = Callable[[Chain, Sequence[str]], Split]


@pytest.fixture(autouse=True, scope="module")
def workers() -> Iterator[None]:
    """Keep worker processes from one run to the next: starting one takes a second."""
    with crew():
        yield


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Run a chain's steps one after the other; return what its last step keeps and rejects."""

    def step(stage: Stage, inputs: Sequence[str], folder: str | None) -> Split:
        splits, schema = [], None
        for task in stage.plan(*inputs):
            schema = stage.writes(task.schema)
            splits += list(stage.run(task))
        for split in splits:
            check_conservation(split, stage.name)
        nothing = pa.RecordBatch.from_pylist([], schema)
        kept = pa.concat_batches([nothing, *(split.kept for split in splits)])
        rejected = pa.concat_batches([pa.RecordBatch.from_pylist([], REJECT), *(s.rejected for s in splits)])
        if folder:
            half = len(kept) // 2  # several parts, as from several tasks
            write_dataset(folder, kept.slice(0, half), kept.slice(half))
        return Split(kept, rejected)

    def run(chain: Chain, sources: Sequence[str]) -> Split:
        written: list[str] = []
        steps = chain.steps()
        for number, one in enumerate(steps):
            inputs = [written[earlier] for earlier in one.steps] + (list(sources) if one.sources else [])
            last = number == len(steps) - 1
            folder = None if last else str(tmp_path / "steps" / f"{len(list(tmp_path.glob('steps/*')))}")
            result = step(one.stage, inputs, folder)
            if folder:
                written.append(folder)
        assert sum(Dataset(source).rows for source in sources) == len(result.kept) + len(result.rejected)
        return result

    return run
