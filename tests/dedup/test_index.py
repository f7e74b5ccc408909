"""Over time: runs that keep an index, one after the other, against one run over all of it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpuskit import files
from corpuskit.cli import command
from corpuskit.dataset import Dataset
from corpuskit.dedup import links, numbering
from corpuskit.dedup.exact import Exact
from corpuskit.dedup.index import publish
from corpuskit.dedup.minhash import MinHash
from corpuskit.dedup.remember import Remember
from corpuskit.engine import Options, run
from corpuskit.errors import TargetError, TryLater, UsageError
from corpuskit.testing import check_stage, documents, write_dataset

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
            if isinstance(step.stage, Remember):
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


@given(LINES, LINES, LINES, st.sampled_from(["text", "normalised"]))
@settings(**MANY)
def test_exact_in_batches_is_exact_at_once(one, two, three, key):
    turns, whole, plain = both_ways(lambda index: Exact(key=key, index=index), one, two, three)
    assert turns == whole == plain


@given(LINES, LINES, LINES, st.sampled_from([0.4, 0.75]))
@settings(**MANY)
def test_minhash_in_batches_is_minhash_at_once(one, two, three, threshold):
    """Also against all pairs: a document goes if it is like any earlier one, and its twin stayed for that."""

    def make(index):
        return MinHash(threshold=threshold, ngram=2, bands=40, rows=1, index=index)

    turns, whole, plain = both_ways(make, one, two, three)
    assert turns == whole
    assert set(plain[0]) <= set(whole[0])  # a cluster closed by a later document: see the next test
    lines, stays, twins = [*one, *two, *three], [], {}
    for number, line in enumerate(lines):
        like = [at for at in range(number) if line and lines[at] and _jaccard(lines[at], line) >= threshold]
        if like:
            twins[number] = twins.get(like[0], like[0])
        else:
            stays.append(number)
    assert [int(name, 16) for name in turns[0]] == stays
    assert {int(row["id"], 16): int(row["twin"], 16) for row in turns[1]} == twins
    assert all(row["value"] >= row["bound"] == threshold for row in turns[1])


def _jaccard(one, two):
    sets = []
    for words in (one.split(), two.split()):
        sets.append({tuple(words[at : at + 2]) for at in range(max(1, len(words) - 1))})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_a_later_document_cannot_undo_what_was_kept():
    """w8 is like w0 and like w16, which are not alike: closing the cluster would drop w16 after the fact."""
    turns, whole, plain = both_ways(
        lambda index: MinHash(bands=100, rows=1, index=index), [text(100), text(100, 16)], [text(100, 8)], []
    )
    assert turns == whole
    assert [int(name, 16) for name in turns[0]] == [0, 1]
    assert [int(name, 16) for name in plain[0]] == [0]


def test_what_is_like_a_dropped_old_document_goes_and_names_the_one_that_stayed():
    turns, whole, _ = both_ways(
        lambda index: MinHash(bands=100, rows=1, index=index), [text(100)], [text(100, 8)], [text(100, 16)]
    )
    assert turns == whole
    assert [(int(row["id"], 16), int(row["twin"], 16)) for row in turns[1]] == [(1, 0), (2, 0)]
    assert turns[1][1]["value"] == pytest.approx(_five(100, 8))


def _five(words, shift):
    runs = words - 4
    return (runs - shift) / (runs + shift)


def test_large_buckets_buckets_of_hashes_and_blocks_change_nothing(monkeypatch):
    chance = random.Random(7)
    lines = []
    for _ in range(150):
        words = text(60).split()
        for place in chance.sample(range(60), chance.randrange(4)):
            words[place] = f"v{chance.randrange(30)}"
        lines.append(" ".join(words))
    lists = (lines[:50], lines[50:90], lines[90:])
    turns, whole, _ = both_ways(lambda index: MinHash(index=index), *lists)
    assert turns == whole
    assert 1 < len(whole[0]) < 100
    monkeypatch.setattr(numbering, "BUCKET_ROWS", 20)
    monkeypatch.setattr(links, "BUCKET_ROWS", 20)
    monkeypatch.setattr(links, "BLOCK_BYTES", 5000)
    again, _, _ = both_ways(lambda index: MinHash(index=index), *lists)
    assert (sorted(again[0]), sorted(again[1], key=str)) == (sorted(turns[0]), sorted(turns[1], key=str))
    exact, at_once, _ = both_ways(lambda index: Exact(index=index), *lists)
    assert exact == at_once


@pytest.mark.parametrize("chain", [Exact, MinHash])
def test_references_and_an_index_together(tmp_path, chain):
    reference = write_dataset(tmp_path / "reference", batch([text(100), text(90, 700)], 100))
    sources = batches(tmp_path, ["a", text(100)], [text(100), text(90, 700), "a"], ["b", text(100)])
    kept, rejects = in_turn(lambda at: chain(against=(reference,), index=at), sources, tmp_path / "turns")
    made = chain(against=(reference,), index=str(tmp_path / "other"))
    assert (kept, rejects) == run_here(made, sources, tmp_path / "whole")
    twins = {int(row["id"], 16): int(row["twin"], 16) for row in rejects}
    assert twins == {1: 100, 2: 100, 3: 101, 4: 0, 6: 100}
    late = write_dataset(tmp_path / "late", batch([text(100)], 200))
    _, (row,) = run_here(chain(index=str(tmp_path / "turns" / "index")), [late], tmp_path / "late-run")
    assert int(row["twin"], 16) == 100  # seen before, and gone for the reference's sake


@pytest.mark.parametrize("make", [Exact, MinHash])
def test_the_laws(tmp_path, make):
    (old,) = batches(tmp_path, [text(80), "old"])
    run_here(make(index=str(tmp_path / "index")), [old], tmp_path / "work")
    check_stage(make(index=str(tmp_path / "index")), batch([text(80), "old", "new", "new"], 50))
    check_stage(make(index=str(tmp_path / "none")), batch([text(80), "old", "new", "new"], 50))


# With the engine.


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


@pytest.mark.parametrize("make", [Exact, MinHash])
def test_one_run_after_the_other(tmp_path, make):
    lists = ([text(50), "a", text(50)], ["b", text(50), "a"], [text(50, 900), "b", "c", "c"])
    sources = batches(tmp_path, *lists)
    found = in_engine(lambda index: make(index=index), sources, str(tmp_path))
    kept = [name for dataset in found for name in dataset.table(["id"])["id"].to_pylist()]
    assert [int(name, 16) for name in kept] == [0, 1, 3, 6, 8]
    twins = [
        (int(row["id"], 16), int(row["twin"], 16))
        for dataset in found
        for rows in dataset.reject_batches()
        for row in rows.to_pylist()
    ]
    assert twins == [(2, 0), (4, 0), (5, 1), (7, 3), (9, 8)]
    generations = sorted(path.name[:9] for path in (tmp_path / "index").glob("gen-*"))
    assert generations == ["gen-00001", "gen-00002", "gen-00003"]
    old = [Dataset(str(path)).table() for path in sorted((tmp_path / "index").glob("gen-*"))]
    urls = {row["id"]: row["url"] for table in old for row in table.select(["id", "url"]).to_pylist()}
    assert urls[f"{1:032x}"] == f"http://example.com/{1:032x}"
    before = snapshot(tmp_path)
    in_engine(lambda index: make(index=index), sources, str(tmp_path))
    assert snapshot(tmp_path) == before
    assert not list(tmp_path.glob("out*/work"))


def test_a_batch_is_never_its_own_duplicate_wherever_it_goes(tmp_path):
    sources = batches(tmp_path, ["a", "b"], ["b", "c", "d"], ["a", "d", "e"])
    first = in_engine(lambda index: Exact(index=index), sources, str(tmp_path))
    index = snapshot(tmp_path / "index")
    shutil.move(tmp_path / "index", tmp_path / "moved")
    for number, source in enumerate(sources):
        made = Exact(index=str(tmp_path / "moved"))
        again = run(made, source, str(tmp_path / f"new{number}"), options=ONE)
        assert [part.sha256 for part in again.parts] == [part.sha256 for part in first[number].parts]
    forced = run(made, sources[1], str(tmp_path / "out1"), options=Options(workers=1, force=True))
    assert forced.table(["text"])["text"].to_pylist() == ["c", "d"]
    assert snapshot(tmp_path / "moved") == index


def test_a_resumed_run_sees_the_index_it_began_with(tmp_path, monkeypatch):
    sources = batches(tmp_path, ["a", "b"], ["b", "c"])
    index, target = str(tmp_path / "index"), str(tmp_path / "out0")
    stops_at(monkeypatch, "run", "dedup.survivors", Exact(index=index), sources[0], target)
    run(Exact(index=index), sources[1], str(tmp_path / "out1"), options=ONE)
    resumed = run(Exact(index=index), sources[0], target, options=ONE)
    assert resumed.table(["text"])["text"].to_pylist() == ["a", "b"]  # b is not yet old for it
    assert len(list((tmp_path / "index").glob("gen-*"))) == 2


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
            patch.setattr(Remember, "finish", stop)
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


STOPS = [
    ("run", "dedup.generations"),
    ("run", "dedup.remember"),
    ("run", "dedup.survivors"),
    ("finish", ""),
    ("publish", ""),
    ("remove", ""),
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Two batches, and what two undisturbed runs make of them."""
    folder = tmp_path_factory.mktemp("clean")
    sources = batches(folder, ["a", "b", "b"], ["b", "c", "a"])
    in_engine(lambda index: Exact(index=index), sources, str(folder / "runs"))
    return sources, snapshot(folder / "runs")


@pytest.mark.parametrize(("when", "where"), STOPS)
def test_stopped_anywhere_and_run_again_it_is_the_same(tmp_path, monkeypatch, clean, when, where):
    sources, expected = clean
    made = Exact(index=f"{tmp_path}/index")
    stops_at(monkeypatch, when, where, made, sources[0], f"{tmp_path}/out0")
    in_engine(lambda index: Exact(index=index), sources, str(tmp_path))
    assert snapshot(tmp_path) == expected


SCRIPT = """
import sys
from corpuskit.dedup.minhash import MinHash
from corpuskit.engine import Options, run
if __name__ == "__main__":
    for number, source in enumerate({sources!r}):
        target = {folder!r} + f"/out{{number}}"
        run(MinHash(index={folder!r} + "/index"), source, target, options=Options(workers=1))
"""


def test_killed_at_random_moments_it_is_the_same(tmp_path):
    chance = random.Random(3)
    texts = [text(40, chance.randrange(40) * 2) for _ in range(60)]
    sources = batches(tmp_path, texts[:20], texts[20:40], texts[40:])
    in_engine(lambda index: MinHash(index=index), sources, str(tmp_path / "clean"))
    script = tmp_path / "script.py"
    folder = str(tmp_path / "killed")
    script.write_text(SCRIPT.format(sources=sources, folder=folder))
    root = str(Path(__file__).parents[2])
    killed = 0
    for _ in range(50):
        driver = subprocess.Popen(
            [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": root}, process_group=0
        )
        try:
            assert driver.wait(timeout=chance.uniform(1.5, 5)) == 0
            break
        except subprocess.TimeoutExpired:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            killed += 1
            time.sleep(0.1)
    assert snapshot(folder) == snapshot(tmp_path / "clean")
    assert killed
    assert not list(Path(folder).rglob(".tmp-*"))


def test_other_settings_are_refused_by_name(tmp_path):
    sources = batches(tmp_path, ["a"], ["b"])
    index = str(tmp_path / "index")
    run(MinHash(index=index), sources[0], str(tmp_path / "out"), options=ONE)
    target = tmp_path / "other"
    for made, told in {
        MinHash(index=index, ngram=4): "ngram was 5, is 4",
        MinHash(index=index, threshold=0.9): "threshold was 0.8, is 0.9; bands was 14, is 9",
        MinHash(index=index, seed=2): "seed was 1, is 2",
        Exact(index=index): "kind was dedup.minhash, is dedup.exact",
    }.items():
        with pytest.raises(TargetError, match=told):
            run(made, sources[1], str(target), options=ONE)
        assert not (target / "plan.json").exists()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "mine.txt").write_text("x")
    with pytest.raises(TargetError, match="is not an index"):
        run(Exact(index=str(tmp_path / "foreign")), sources[1], str(target), options=ONE)
    (tmp_path / "index" / "index.json").write_text("{")
    with pytest.raises(TargetError, match="is damaged"):
        run(MinHash(index=index), sources[1], str(target), options=ONE)


def test_a_finished_run_does_not_pretend_to_have_had_another_index(tmp_path):
    (source,) = batches(tmp_path, ["a"])
    target = str(tmp_path / "out")
    run(Exact(index=str(tmp_path / "index")), source, target, options=ONE)
    with pytest.raises(TargetError, match="does not know what"):
        run(Exact(index=str(tmp_path / "other")), source, target, options=ONE)
    with pytest.raises(TargetError, match="index has other content"):
        run(Exact(), source, target, options=ONE)


def test_only_first_can_be_kept_over_time():
    for keep in ("longest", "newest", "none", "best:score"):
        for chain in (Exact, MinHash):
            with pytest.raises(UsageError, match="with an index only 'first'"):
                chain(keep=keep, index="index")
    with pytest.raises(UsageError, match="verify"):
        MinHash(verify=False, index="index")


def test_one_run_at_a_time(tmp_path):
    (source,) = batches(tmp_path, ["a"])
    index = str(tmp_path / "index")
    with files.lock(index), pytest.raises(TryLater) as error:
        run(Exact(index=index), source, str(tmp_path / "out"), options=ONE)
    assert error.value.exit_code == 75


def test_on_the_command_line(tmp_path):
    sources = batches(tmp_path, ["a", "b"], ["b", "c"])
    for number, source in enumerate(sources):
        arguments = ["dedup", "exact", "-j1", "--index", str(tmp_path / "index"), source]
        result = CliRunner().invoke(command, [*arguments, str(tmp_path / f"out{number}")])
        assert result.exit_code == 0, result.stderr
    assert Dataset(str(tmp_path / "out1")).table(["text"])["text"].to_pylist() == ["c"]
    arguments += ["--key", "url", str(tmp_path / "out2")]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 4
    assert "key was text, is url" in result.stderr
