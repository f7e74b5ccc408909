"""`dedup ngram` against a plain twin with exact sets, and what holds for any number of workers."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pybloom_live import BloomFilter, ScalableBloomFilter

from corpuskit.dataset import Dataset
from corpuskit.dedup import grams
from corpuskit.dedup.bloom import Header, NgramFilter
from corpuskit.dedup.grams import paragraphs
from corpuskit.dedup.ngram import Ngram
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, InputError, TargetError, UsageError
from corpuskit.kernels.utf8 import buffers
from corpuskit.testing import _run, check_stage, documents, write_dataset


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def ngrams(text, n):
    found = words(text)
    return [tuple(found[i : i + n]) for i in range(len(found) - n + 1)]


def cut_lines(text):
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def twin(texts, n, threshold, unit="document", known=()):
    """Judge documents with exact sets: what stays of each (None: nothing), and its share of seen n-grams."""
    seen = set(known)
    left, shares = [], []
    for text in texts:
        stays, total, hits = [], 0, 0
        for part in [text] if unit == "document" else cut_lines(text):
            found = ngrams(part, n)
            hit = sum(gram in seen for gram in found)
            seen.update(found)
            total, hits = total + len(found), hits + hit
            if not found or hit / len(found) < threshold:
                stays.append(part)
        gone = unit == "document" and not stays
        gone |= unit == "paragraph" and "".join(stays) != text and not "".join(stays).strip()
        left.append(None if gone else "".join(stays) if unit == "paragraph" else text)
        shares.append(hits / total if total else None)
    return left, shares


def corpus(seed, count=80, size=60):
    chance = random.Random(seed)
    known = [f"w{i}" for i in range(40)]
    texts = []
    for _ in range(count):
        text = " ".join(
            chance.choice(known) + chance.choice(["", "", ",", "."]) for _ in range(chance.randrange(size))
        )
        if texts and chance.random() < 0.4:
            text += chance.choice(["\n", " ", "\n\n"]) + chance.choice(texts)
        texts.append(chance.choice(texts) if texts and chance.random() < 0.1 else text)
    return texts


def done(stage, *sources):
    """Run a chain in this process."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(stage, sources, f"{folder}/work")


def check_against_twin(split, ids, texts, expected, shares, threshold):
    kept = dict(zip(split.kept["id"].to_pylist(), split.kept["text"].to_pylist(), strict=True))
    rejected = split.rejected.to_pylist()
    assert kept == {id: left for id, left in zip(ids, expected, strict=True) if left is not None}
    whole = {row["id"]: row["value"] for row in rejected if row["start"] is None}
    assert whole == {id: pytest.approx(shares[at]) for at, id in enumerate(ids) if expected[at] is None}
    by_id = dict(zip(ids, texts, strict=True))
    for row in rejected:
        assert (row["stage"], row["rule"], row["bound"], row["twin"]) == (
            "dedup.ngram",
            "ngram.seen",
            threshold,
            None,
        )
    for id, left in kept.items():
        data = by_id[id].encode()
        for row in sorted((row for row in rejected if row["id"] == id), key=lambda row: -row["start"]):
            data = data[: row["start"]] + data[row["end"] :]
        assert data.decode() == left


@pytest.mark.parametrize("unit", ["document", "paragraph"])
@pytest.mark.parametrize(("n", "threshold"), [(1, 1.0), (3, 0.5), (8, 0.8)])
def test_it_judges_as_exact_sets_do(tmp_path, unit, n, threshold):
    texts = corpus(n)
    ids = [f"d{i}" for i in range(len(texts))]
    batches = [documents(texts[i : i + 30], id=ids[i : i + 30]) for i in range(0, len(texts), 30)]
    sources = [write_dataset(tmp_path / "a", *batches[:2]), write_dataset(tmp_path / "b", *batches[2:])]
    stage = Ngram(unit=unit, ngram=n, threshold=threshold)
    split = done(stage, *sources)
    expected, shares = twin(texts, n, threshold, unit)
    assert None in expected
    if unit == "paragraph":
        assert any(left is not None and left != text for left, text in zip(expected, texts, strict=True))
    check_against_twin(split, ids, texts, expected, shares, threshold)


def test_keep_reject_and_the_boundary(tmp_path):
    first = "a b c d e f g h i j"  # 10 words, 9 bigrams
    cases = {
        "half": "a b c d e f x1 x2 x3 x4 x5",  # 5 of 10
        "below": "a b c d e y1 y2 y3 y4 y5",  # 4 of 9
        "itself": "z1 z2 z1 z2 z1 z2 z1 z2",  # repeats of its own are not seen
        "short": "a",  # no bigram at all
        "same": first.upper() + "!",
        "empty": "",
    }
    source = write_dataset(tmp_path / "in", documents([first, *cases.values()], id=["first", *cases]))
    split = done(Ngram(ngram=2, threshold=0.5), source)
    assert split.kept["id"].to_pylist() == ["first", "below", "itself", "short", "empty"]
    assert dict(zip(split.rejected["id"].to_pylist(), split.rejected["value"].to_pylist(), strict=True)) == {
        "half": 0.5,
        "same": 1.0,
    }


def test_what_goes_still_counts_as_seen(tmp_path):
    texts = ["a b c d", "a b c d e", "c d e f"]  # the second goes, and d-e is seen only there
    source = write_dataset(tmp_path / "in", documents(texts))
    split = done(Ngram(ngram=2, threshold=0.66), source)
    assert split.kept["text"].to_pylist() == ["a b c d"]


@pytest.mark.parametrize("unit", ["document", "paragraph"])
def test_the_stage_contract(unit):
    check_stage(Ngram(unit=unit, ngram=3, threshold=0.5), documents(corpus(5, 30)))


def test_a_paragraph_repeated_in_its_own_document_is_cut(tmp_path):
    text = "Read this before you go.\nSomething else is here to stay.\nRead this: before you go!\n"
    source = write_dataset(tmp_path / "in", documents([text]))
    split = done(Ngram(unit="paragraph", ngram=3), source)
    assert split.kept["text"].to_pylist() == ["Read this before you go.\nSomething else is here to stay.\n"]
    row = split.rejected.to_pylist()[0]
    assert (text[row["start"] : row["end"]], row["value"]) == ("Read this: before you go!\n", None)


@given(st.lists(st.text("a\né", max_size=8), max_size=5))
def test_paragraphs_are_lines_and_tile_the_texts(texts):
    array = pa.array(["skipped\n", *texts], pa.large_string()).slice(1)
    data, offsets = buffers(array)
    bounds, rows = paragraphs(data, offsets)
    found = [bytes(data[a:b]).decode() for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    assert list(zip(rows.tolist(), found, strict=True)) == [
        (row, line) for row, text in enumerate(texts) for line in cut_lines(text)
    ]


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_shards_give_the_same_answer_as_one_filter(seed, bits):
    texts = corpus(seed, 12)
    left, _ = twin(texts, 2, 0.6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grams, "shard_bits", lambda sources: bits)
        patch.setattr("corpuskit.dedup.seen.shard_bits", lambda sources: bits)
        with tempfile.TemporaryDirectory() as folder:
            source = write_dataset(folder, documents(texts[:5]), documents(texts[5:]))
            split = done(Ngram(ngram=2, threshold=0.6), source)
    assert split.kept["text"].to_pylist() == [text for text in left if text is not None]


def test_shards_follow_the_data_alone():
    with pytest.MonkeyPatch.context() as patch:
        for size, bits in [
            (0, 0),
            (6 * grams.SHARD_GRAMS, 0),
            (6 * grams.SHARD_GRAMS + 6, 1),
            (10**12, 8),
            (10**15, 8),
        ]:
            patch.setattr(grams, "text_bytes", lambda sources, size=size: size)
            assert grams.shard_bits(["x"]) == bits
        patch.setattr(grams, "text_bytes", lambda sources: 40 * 10**9)  # WebText: 6.7 G words
        assert grams.filter_bytes(["x"], 1e-8) < 200 << 20


def test_what_does_not_fit_is_said_before_it_starts(tmp_path):
    source = write_dataset(tmp_path / "in", documents(corpus(6)))
    stage = Ngram(memory=1000)
    assert stage.memory_needed(source) > 1000
    with pytest.raises(DoesNotFit, match="may use 0 MiB") as caught:
        done(stage, source)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0.0}, {"threshold": 1.1}, {"ngram": 0}, {"rate": 0.0}, {"seed": -1}]
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(UsageError):
        Ngram(**wrong)


# References


@pytest.fixture
def sets(tmp_path):
    """Return documents of which every other one is in a reference too, and the two datasets."""
    chance = random.Random(9)
    texts = [" ".join(str(chance.randrange(10**6)) for _ in range(20)) for _ in range(10)]
    reference = write_dataset(tmp_path / "reference", documents(texts[::2]))
    return texts, write_dataset(tmp_path / "in", documents(texts)), reference


def kept_texts(split):
    return split.kept["text"].to_pylist()


def test_a_dataset_is_a_reference_and_is_not_dropped(sets, tmp_path):
    texts, source, reference = sets
    assert kept_texts(done(Ngram(against=(reference,)), source)) == texts[1::2]


@pytest.mark.parametrize("kind", [BloomFilter, ScalableBloomFilter])
def test_a_filter_that_pybloom_live_saved_is_a_reference(sets, tmp_path, kind):
    texts, source, _ = sets
    theirs = kind(20, error_rate=1e-6) if kind is ScalableBloomFilter else kind(1000, 1e-6)
    for text in texts[::2]:
        for gram in ngrams(text, 8):
            theirs.add(" ".join(gram))
    with (tmp_path / "theirs.bloom").open("wb") as file:
        theirs.tofile(file)
    stage = Ngram(against=(str(tmp_path / "theirs.bloom"),))
    assert kept_texts(done(stage, source)) == texts[1::2]


def test_kept_filters_are_a_reference_and_say_what_they_are_of(sets, tmp_path):
    texts, source, reference = sets
    folder = tmp_path / "filters"
    done(Ngram(filters=str(folder)), reference)
    assert [path.name for path in folder.iterdir()] == ["0-of-1.bloom"]
    saved = NgramFilter.load(str(folder / "0-of-1.bloom"))
    assert saved.header.inputs == (Dataset(reference).sha256,)
    assert " ".join(words(texts[0])[:8]) in saved
    stage = Ngram(against=(str(folder),))
    assert kept_texts(done(stage, source)) == texts[1::2]


def test_filters_of_something_else_are_not_written_over(sets, tmp_path):
    _, source, reference = sets
    stage = Ngram(filters=str(tmp_path / "filters"))
    done(stage, reference)
    with pytest.raises(TargetError, match="inputs is"):
        done(stage, source)


def test_filters_asked_for_after_the_run_are_not_silently_missing(sets, tmp_path):
    _, source, _ = sets
    run(Ngram(), source, str(tmp_path / "out"), options=Options(workers=1))
    with pytest.raises(TargetError, match="finished before it was asked"):
        run(Ngram(filters=str(tmp_path / "f")), source, str(tmp_path / "out"), options=Options(workers=1))


def test_a_reference_of_another_size_of_n_gram_is_refused(sets, tmp_path):
    _, source, _ = sets
    NgramFilter(Header(n=5)).save(str(tmp_path / "five.bloom"))
    stage = Ngram(against=(str(tmp_path / "five.bloom"),))
    with pytest.raises(InputError, match="runs of 5 words"):
        done(stage, source)


@pytest.mark.parametrize("data", [b"", b"x" * 40, b"\0" * 100, bytes(range(200))])
def test_a_file_that_is_no_filter_is_refused(sets, tmp_path, data):
    _, source, _ = sets
    (tmp_path / "odd.bloom").write_bytes(data)
    with pytest.raises(InputError, match="neither a filter"):
        done(Ngram(against=(str(tmp_path / "odd.bloom"),)), source)


def test_a_cut_filter_of_pybloom_live_is_refused(tmp_path):
    from corpuskit.dedup.references import open_pybloom

    path = tmp_path / "cut.bloom"
    with path.open("wb") as file:
        BloomFilter(1000, 1e-3).tofile(file)
    data = path.read_bytes()
    assert "x" not in open_pybloom(str(path))
    for case in (data[:-1], data + b"x", data[:39], data[:8] + (10**9).to_bytes(8, "little") + data[16:]):
        path.write_bytes(case)
        with pytest.raises(InputError, match="neither a filter"):
            open_pybloom(str(path))


def test_the_digest_covers_a_references_content_and_not_its_name(sets, tmp_path):
    _, source, reference = sets
    moved = tmp_path / "moved"
    Path(reference).rename(moved)
    one = Ngram(against=(str(moved),)).digest()
    moved.rename(reference)
    assert Ngram(against=(reference,)).digest() == one
    assert Ngram(against=(source,)).digest() != one
    assert Ngram().digest() != one


# Any number of workers, and kill -9


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".json", ".bloom")
    }


@pytest.fixture
def many(tmp_path):
    texts = corpus(11, 300, 80)
    return write_dataset(
        tmp_path / "in",
        *(documents(texts[i : i + 100], id=[f"{i + j}" for j in range(100)]) for i in range(0, 300, 100)),
    )


def test_one_and_two_workers_write_the_same_bytes(many, tmp_path):
    stage = Ngram(unit="paragraph", ngram=4)
    for workers in (1, 2):
        run(stage, many, str(tmp_path / str(workers) / "out"), options=Options(workers=workers))
    assert snapshot(tmp_path / "1" / "out") == snapshot(tmp_path / "2" / "out")
    (told,) = Dataset(str(tmp_path / "1" / "out")).manifest["stages"]
    assert told["facts"]["filter ngrams"] > 1000
    assert (told["facts"]["filter probes"], told["facts"]["filter probes hit"]) == (1_000_000, 0)


def test_the_measured_rate_is_that_of_all_shards(tmp_path, monkeypatch):
    source = write_dataset(tmp_path / "in", documents(corpus(11, 40)))
    monkeypatch.setattr(grams, "SHARD_GRAMS", 200)
    bits = grams.shard_bits([source])
    made = run(Ngram(rate=0.01), source, str(tmp_path / "out"), options=Options(workers=1))
    facts = made.manifest["stages"][0]["facts"]
    assert bits > 0
    assert facts["filter probes"] == 1_000_000 << bits
    assert 0 < facts["filter probes hit"] < 0.011 * facts["filter probes"]


SCRIPT = """
from corpuskit.dedup.ngram import Ngram
from corpuskit.engine import Options, run
run(Ngram(ngram=4, filters={folder!r}), {source!r}, {target!r}, options=Options(workers=2))
"""


def test_killed_and_run_again_it_writes_the_same_bytes(many, tmp_path):
    def start(name):
        (tmp_path / name).mkdir(exist_ok=True)
        folder, target = (str(tmp_path / name / part) for part in ("filters", "out"))
        script = SCRIPT.format(folder=folder, source=many, target=target)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        return subprocess.Popen([sys.executable, "-c", script], env=environment)

    began = time.monotonic()
    assert start("whole").wait() == 0
    seconds = time.monotonic() - began
    for share in (0.5, 0.8):
        process = start("killed")
        time.sleep(share * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start("killed").wait() == 0
    assert snapshot(tmp_path / "killed") == snapshot(tmp_path / "whole")
