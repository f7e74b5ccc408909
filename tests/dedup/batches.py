"""Batches of documents, runs over them one after the other with an index, and runs that are stopped."""

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.dedup.index import Generation, publish
from corpuskit.engine import Options, run
from corpuskit.testing import documents, write_dataset

ONE = Options(workers=1)


def text(words, start=0):
    return " ".join(f"w{number}" for number in range(start, start + words))


def batch(texts, first):
    names = [f"{number:032x}" for number in range(first, first + len(texts))]
    return documents(texts, id=names, url=[f"http://example.com/{name}" for name in names])


def batches(folder, *lists):
    """Write lists of texts as datasets of two parts, ids counted through."""
    paths, first = [], 0
    for number, texts in enumerate(lists):
        docs, half = batch(texts, first), len(texts) // 3
        paths.append(write_dataset(Path(folder, f"batch{number}"), docs.slice(0, half), docs.slice(half)))
        first += len(texts)
    return paths


def run_here(chain, sources, folder):
    """Run a chain in this process, as the engine does, and add to its index; return ids kept, and rejects."""
    written, made = [], chain.steps()
    for number, step in enumerate(made):
        inputs = [written[earlier] for earlier in step.steps] + (list(sources) if step.sources else [])
        splits = [split for task in step.stage.plan(*inputs) for split in step.stage.run(task)]
        if number < len(made) - 1:
            nothing = pa.RecordBatch.from_pylist([], step.stage.writes(pa.schema([])))
            kept = [split.kept for split in splits] or [nothing]
            written.append(write_dataset(Path(folder, str(number)), *kept))
            if isinstance(step.stage, Generation):
                generation = Dataset(written[-1])
    if chain.index is not None:
        publish(chain.index, chain.made_with, generation, [Dataset(source).sha256 for source in sources])
    rejects = [row for split in splits for row in split.rejected.to_pylist()]
    return [name for split in splits for name in split.kept["id"].to_pylist()], rejects


def in_turn(make, sources, folder):
    """Run one source after the other with one index."""
    kept, rejects = [], []
    for number, source in enumerate(sources):
        some, gone = run_here(make(f"{folder}/index"), [source], f"{folder}/run{number}")
        kept += some
        rejects += gone
    return kept, rejects


def both_ways(make, *lists):
    """Return what runs in turn keep and reject, what one run does, and what one without an index does."""
    with tempfile.TemporaryDirectory() as folder:
        sources = batches(folder, *lists)
        whole = run_here(make(f"{folder}/other"), sources, f"{folder}/whole")
        plain = run_here(make(None), sources, f"{folder}/plain")
        return in_turn(make, sources, folder), whole, plain


MANY = {"max_examples": 6, "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
LINES = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=8).map(" ".join), max_size=8)


def snapshot(folder):
    """What lies in a folder, but for what says where its inputs were."""
    found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name not in (".lock", "plan.json")
    }


def in_engine(make, sources, folder):
    return [
        run(make(f"{folder}/index"), source, f"{folder}/out{number}", options=ONE)
        for number, source in enumerate(sources)
    ]


class Stopped(BaseException):
    """As if the process had been killed there."""


def stops_at(monkeypatch, when, where, chain, source, target):
    """Run a chain and stop before a step runs, or before or within what comes after the manifest."""
    import corpuskit.engine as engine

    def stop(*_args, **_named):
        raise Stopped

    real = engine._run_tasks

    def tasks(stages, *rest):
        return stop() if stages[0].name == where else real(stages, *rest)

    with monkeypatch.context() as patch:
        if when == "run":
            patch.setattr(engine, "_run_tasks", tasks)
        elif when == "finish":
            patch.setattr(Generation, "finish", stop)
        elif when == "publish":
            patch.setattr(files, "write_bytes", _write_but(stop, f"{chain.index}/gen-"))
        elif when == "remove":
            patch.setattr(files, "remove", _remove_some(stop))
        with pytest.raises(Stopped):
            run(chain, source, target, options=ONE)


def _write_but(stop, prefix):
    real = files.write_bytes
    return lambda path, data: stop() if path.startswith(prefix) else real(path, data)


def _remove_some(stop):
    def remove(path):
        for name in sorted(Path(path).iterdir())[:2]:
            shutil.rmtree(name)
        stop()

    return remove
