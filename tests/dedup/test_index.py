"""An index of what earlier runs have seen: every kind keeps one alike, and loses nothing in a crash."""

import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpuskit import files
from corpuskit.cli import command
from corpuskit.dataset import Dataset
from corpuskit.dedup.exact import Exact
from corpuskit.dedup.lines import Lines
from corpuskit.dedup.minhash import MinHash
from corpuskit.dedup.ngram import Ngram
from corpuskit.dedup.substring import Substring
from corpuskit.engine import Options, crew, run
from corpuskit.errors import DoesNotFit, TargetError, TryLater, UsageError
from corpuskit.testing import check_stage
from tests.dedup.batches import ONE, batch, batches, in_engine, run_here, snapshot, stops_at, text

KINDS = {
    "exact": Exact,
    "minhash": MinHash,
    "ngram": functools.partial(Ngram, ngram=3),
    "lines": Lines,
    "substring": functools.partial(Substring, length=5),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
LISTS = (
    [text(50), text(9, 200), text(50)],
    [text(9, 300), text(50), text(9, 200)],
    [text(50, 900), text(9, 300), text(9, 400), text(9, 400)],
)


@pytest.fixture(scope="module", autouse=True)
def workers():
    """Keep the workers from one run to the next."""
    with crew():
        yield


@every_kind
def test_the_laws(tmp_path, make):
    (old,) = batches(tmp_path, [text(80), "old"])
    run_here(make(index=str(tmp_path / "index")), [old], tmp_path / "work")
    check_stage(make(index=str(tmp_path / "index")), batch([text(80), "old", "new", "new"], 50))
    check_stage(make(index=str(tmp_path / "none")), batch([text(80), "old", "new", "new"], 50))


@every_kind
def test_one_run_after_the_other(tmp_path, make):
    sources = batches(tmp_path, *LISTS)
    found = in_engine(lambda index: make(index=index), sources, str(tmp_path))
    kept = [name for dataset in found for name in dataset.table(["id"])["id"].to_pylist()]
    assert [int(name, 16) for name in kept] == [0, 1, 3, 6, 8]
    rejects = _rejects(*found)
    assert [int(row["id"], 16) for row in rejects] == [2, 4, 5, 7, 9]
    generations = sorted((tmp_path / "index").glob("gen-*"))
    assert [path.name[:9] for path in generations] == ["gen-00001", "gen-00002", "gen-00003"]
    if make is not KINDS["ngram"]:
        assert [int(row["twin"], 16) for row in rejects] == [0, 0, 1, 3, 8]
        named = "id" if make in (Exact, MinHash) else "document"
        tables = [Dataset(str(path)).table([named, "url"]) for path in generations]
        urls = {row[named]: row["url"] for table in tables for row in table.to_pylist()}
        assert urls[f"{1:032x}"] == f"http://example.com/{1:032x}"
    at_once = run(make(index=str(tmp_path / "other")), sources, str(tmp_path / "once"), options=ONE)
    assert at_once.table(["id"])["id"].to_pylist() == kept
    assert _rejects(at_once) == rejects
    before = snapshot(tmp_path)
    in_engine(lambda index: make(index=index), sources, str(tmp_path))
    assert snapshot(tmp_path) == before
    assert not list(tmp_path.glob("out*/work"))


def _rejects(*datasets):
    return [row for dataset in datasets for rows in dataset.reject_batches() for row in rows.to_pylist()]


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


@every_kind
def test_one_and_two_workers_write_the_same(tmp_path, make):
    sources = batches(tmp_path, *LISTS)
    for workers in (1, 2):
        for number, source in enumerate(sources):
            made = make(index=f"{tmp_path}/{workers}/index")
            run(made, source, f"{tmp_path}/{workers}/out{number}", options=Options(workers=workers))
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")


def test_a_resumed_run_sees_the_index_it_began_with(tmp_path, monkeypatch):
    sources = batches(tmp_path, ["a", "b"], ["b", "c"])
    index, target = str(tmp_path / "index"), str(tmp_path / "out0")
    stops_at(monkeypatch, "run", "dedup.survivors", Exact(index=index), sources[0], target)
    run(Exact(index=index), sources[1], str(tmp_path / "out1"), options=ONE)
    resumed = run(Exact(index=index), sources[0], target, options=ONE)
    assert resumed.table(["text"])["text"].to_pylist() == ["a", "b"]  # b is not yet old for it
    assert len(list((tmp_path / "index").glob("gen-*"))) == 2


STOPS = [
    (Exact, "run", "dedup.generations"),
    (Exact, "run", "dedup.remember"),
    (Exact, "run", "dedup.survivors"),
    (Exact, "finish", ""),
    (Exact, "publish", ""),
    (Exact, "remove", ""),
    (MinHash, "publish", ""),
    *((KINDS["ngram"], *stop) for stop in (("run", "dedup.ngram.seen"), ("publish", ""), ("remove", ""))),
    *((KINDS["lines"], *stop) for stop in (("run", "dedup.repeats.kept"), ("publish", ""), ("remove", ""))),
    (KINDS["substring"], "publish", ""),
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Two batches, and what two undisturbed runs of each kind make of them."""
    folder = tmp_path_factory.mktemp("clean")
    sources = batches(folder, *LISTS[:2])

    @functools.cache
    def expected(make):
        runs = f"{folder}/{list(KINDS.values()).index(make)}"
        in_engine(lambda index: make(index=index), sources, runs)
        return snapshot(runs)

    return sources, expected


@pytest.mark.parametrize(("make", "when", "where"), STOPS)
def test_stopped_anywhere_and_run_again_it_is_the_same(tmp_path, monkeypatch, clean, make, when, where):
    sources, expected = clean
    stops_at(monkeypatch, when, where, make(index=f"{tmp_path}/index"), sources[0], f"{tmp_path}/out0")
    in_engine(lambda index: make(index=index), sources, str(tmp_path))
    assert snapshot(tmp_path) == expected(make)


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


@pytest.mark.parametrize(
    ("first", "other", "told"),
    [
        (MinHash, functools.partial(MinHash, ngram=4), "ngram was 5, is 4"),
        (MinHash, functools.partial(MinHash, threshold=0.9), "threshold was 0.8, is 0.9; bands was 14, is 9"),
        (MinHash, functools.partial(MinHash, seed=2), "seed was 1, is 2"),
        (MinHash, Exact, "kind was dedup.minhash, is dedup.exact"),
        (Ngram, functools.partial(Ngram, ngram=9), "ngram was 8, is 9"),
        (Ngram, functools.partial(Ngram, unit="paragraph"), "unit was document, is paragraph"),
        (Lines, functools.partial(Lines, unit="paragraph"), "unit was line, is paragraph"),
        (Lines, functools.partial(Lines, normalised=True), "normalised was False, is True"),
        (Substring, functools.partial(Substring, length=40), "length was 50, is 40"),
    ],
)
def test_other_settings_are_refused_by_name_and_leave_no_trace(tmp_path, first, other, told):
    sources = batches(tmp_path, [text(60)], [text(60)])
    index = str(tmp_path / "index")
    run_here(first(index=index), [sources[0]], tmp_path / "work")
    with pytest.raises(TargetError, match=told) as error:
        run(other(index=index), sources[1], str(tmp_path / "out"), options=ONE)
    assert (error.value.exit_code, bool(error.value.fix)) == (4, True)
    assert not (tmp_path / "out").exists()


def test_what_leaves_an_index_alone_may_change(tmp_path):
    sources = batches(tmp_path, [text(60)], [text(60)])
    index = str(tmp_path / "index")
    run_here(Ngram(index=index), [sources[0]], tmp_path / "work")
    kept, _ = run_here(Ngram(index=index, threshold=0.5, rate=0.1), [sources[1]], tmp_path / "again")
    assert kept == []


@every_kind
def test_a_foreign_or_damaged_index_is_refused(tmp_path, make):
    sources = batches(tmp_path, *LISTS[:2])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "mine.txt").write_text("x")
    with pytest.raises(TargetError, match="is not an index"):
        run(make(index=str(tmp_path / "foreign")), sources[1], str(tmp_path / "out"), options=ONE)
    index = tmp_path / "index"
    run_here(make(index=str(index)), [sources[0]], tmp_path / "work")
    (generation,) = index.glob("gen-*")
    for path in (next(generation.glob("part-*")), generation / "manifest.json"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(TargetError, match="the index is damaged") as error:
            run(make(index=str(index)), sources[1], str(tmp_path / "out"), options=ONE)
        assert (error.value.exit_code, bool(error.value.fix)) == (4, True)
        path.write_bytes(whole)
    (index / "index.json").write_text("{")
    with pytest.raises(TargetError, match="is damaged"):
        run(make(index=str(index)), sources[1], str(tmp_path / "out"), options=ONE)


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
    with pytest.raises(UsageError, match="confirm"):
        MinHash(confirm=False, index="index")
    with pytest.raises(UsageError, match="not filters"):
        Ngram(filters="filters", index="index")


def test_one_run_at_a_time(tmp_path):
    (source,) = batches(tmp_path, ["a"])
    index = str(tmp_path / "index")
    with files.lock(index), pytest.raises(TryLater) as error:
        run(Exact(index=index), source, str(tmp_path / "out"), options=ONE)
    assert error.value.exit_code == 75
    assert not (tmp_path / "out").exists()


@every_kind
def test_a_run_that_does_not_fit_leaves_no_trace(tmp_path, make):
    sources = batches(tmp_path, *LISTS[:2])
    with pytest.raises(DoesNotFit, match="fix: give it --memory") as error:
        run(make(index=str(tmp_path / "index"), memory=10), sources, str(tmp_path / "out"), options=ONE)
    assert error.value.exit_code == 6
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "index").exists()


def test_a_run_that_fails_before_it_begins_leaves_no_empty_index(tmp_path):
    (source,) = batches(tmp_path, [text(60)])
    index = str(tmp_path / "index")
    with pytest.raises(UsageError, match="'worst'"):
        run(Exact(keep="best:worst"), source, str(tmp_path / "out"), options=ONE)
    with pytest.raises(UsageError), files.lock(index):
        raise UsageError("no")
    assert not Path(index).exists()


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
