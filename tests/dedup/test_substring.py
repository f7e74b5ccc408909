"""Substring equals a plain-Python twin: every repeated run of words is found and cut, and one copy stays."""

import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corpuskit.dedup import windows
from corpuskit.dedup.substring import Substring
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.testing import check_stage, documents, write_dataset
from tests.dedup.chains import run_chain, spans, texts, whole


def twin(train, length, against=()):
    """Return the words (start, end) of each document that are cut; the words of all runs seen before."""
    seen = {}
    cut = []
    for number, document in enumerate([*against, *train]):
        words = [(match.start(), match.end(), match[0]) for match in re.finditer(r"\S+", document)]
        gone = [False] * len(words)
        for at in range(len(words) - length + 1):
            key = tuple(word[2] for word in words[at : at + length])
            first, place = seen.setdefault(key, (number, at))
            if (first, place) != (number, at) and (first != number or at - place >= length):
                gone[at : at + length] = [True] * length
        cut.append([word[2] for word, is_gone in zip(words, gone, strict=True) if not is_gone])
    return cut[len(against) :]


TEXT = st.lists(
    st.tuples(st.sampled_from("abcé🙂"), st.sampled_from([" ", "\n", " \u3000"])), max_size=40
).map(lambda pairs: " " + "".join(word + space for word, space in pairs))


@hypothesis_settings(max_examples=80)
@given(
    train=st.lists(TEXT, min_size=1, max_size=6),
    against=st.lists(TEXT, max_size=2),
    length=st.sampled_from([1, 2, 3, 5, 9]),
)
def test_it_equals_the_twin(train, against, length):
    with tempfile.TemporaryDirectory() as folder:
        docs = documents(train)
        half = len(train) // 2
        paths = [write_dataset(Path(folder, "train"), docs.slice(0, half), docs.slice(half))]
        references = (write_dataset(Path(folder, "against"), documents(against)),) if against else ()
        split = run_chain(Substring(length=length, against=references), paths)
    left = twin(train, length, against)
    expected = {f"{n:x}": words for n, words in enumerate(left) if words or not train[n].strip()}
    assert {name: text.split() for name, text in texts(split).items()} == expected
    assert set(whole(split)) == {f"{n:032x}" for n in range(len(train)) if f"{n:x}" not in expected}


def story(draw, words):
    return " ".join(f"w{draw.randrange(10**9)}" for _ in range(words))


@pytest.fixture
def planted():
    """Texts of which none repeats another by itself, and 50 planted repeats of 50 words or more, and Han."""
    draw = random.Random(5)
    base = [story(draw, draw.randrange(60, 600)) for _ in range(80)]
    han = "".join(chr(draw.randrange(0x4E00, 0x9F00)) for _ in range(3000))
    base += [f"{base[1]} {han[:600]}。", han[600:2000] + "。"]
    cut = {}
    for _ in range(50):
        source = base[draw.randrange(80)].split(" ")
        size = draw.randrange(50, 301)
        begin = draw.randrange(max(1, len(source) - size))
        stretch = "\n".join(source[begin : begin + size])
        before, after = story(draw, draw.randrange(0, 30)), story(draw, draw.randrange(0, 30))
        base.append(f"{before}\t{stretch} {after}".strip())
        cut[len(base) - 1] = (f"{before} {after}".split(), min(size, len(source) - begin))
    base.append(f"前言。{han[700:1200]}。")
    return base, cut


def test_planted_repeats_are_all_found_and_one_copy_stays(planted, tmp_path):
    base, cut = planted
    docs = documents(base)
    path = write_dataset(tmp_path / "docs", docs.slice(0, 60), docs.slice(60))
    one, two = (
        run(Substring(), path, str(tmp_path / f"out{workers}"), options=Options(workers=workers))
        for workers in (1, 2)
    )
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts]
    assert [part.sha256 for part in one.rejects] == [part.sha256 for part in two.rejects]
    kept = dict(zip(*one.table(["id", "text"]).to_pydict().values(), strict=True))
    for number, text in enumerate(base[:81]):
        if number != 80:
            assert kept[f"{number:032x}"] == text  # the first copy stays as it is
    rejects = [row for batch in one.reject_batches() for row in batch.to_pylist()]
    for number, (left, size) in cut.items():
        assert size >= 50
        assert kept.get(f"{number:032x}", "").split() == left
    assert {row["rule"] for row in rejects} == {"substring.repeat"}
    tail = kept[f"{len(base) - 1:032x}"]
    assert (
        tail.startswith("前言。") and len(tail) < 110
    )  # a run of letters is cut where pairs of letters meet


def test_it_cuts_words_with_the_space_after_them(tmp_path):
    span = " ".join(f"s{number}" for number in range(50))
    train = [
        f"a {span} b",
        f"c\n{span}\n\nd",
        f"e.\n{span}\n",
        f" {span}  f ",
        span.replace(" ", "\n"),
        f"g {span[:-3]} h",
        f"{span}é {span}",
    ]
    split = run_chain(Substring(), [write_dataset(tmp_path / "docs", documents(train))])
    assert texts(split) == {
        "0": train[0],
        "1": "c\nd",
        "2": "e.\n",
        "3": "f ",
        "5": train[5],
        "6": f"{span}é",
    }
    assert whole(split) == {f"{4:032x}": [("substring.repeat", None, None)]}
    assert spans(split, "substring.repeat")[:2] == [
        (f"{1:032x}", 2, 2 + len(span) + 2),
        (f"{2:032x}", 2, 3 + len(span)),
    ]
    assert set(split.rejected["twin"].to_pylist()) == {f"{0:032x}"}


@pytest.mark.parametrize(("words", "stays"), [(99, 99), (100, 50), (101, 50), (149, 50), (1000, 50)])
def test_of_one_word_over_and_over_one_copy_stays(tmp_path, words, stays):
    docs = documents(["na " * words, "x " + "na " * 49])
    split = run_chain(Substring(), [write_dataset(tmp_path / "docs", docs)])
    assert {name: len(text.split()) for name, text in texts(split).items()} == {"0": stays, "1": 50}


def test_a_span_names_the_document_it_came_first_in(tmp_path):
    draw = random.Random(1)
    one, two = story(draw, 60), story(draw, 70)
    docs = documents([one, two, f"x {one} {two} y"])
    split = run_chain(Substring(), [write_dataset(tmp_path / "docs", docs)])
    rows = [(row["twin"][-1], row["start"], row["end"]) for row in split.rejected.to_pylist()]
    assert rows == [("0", 2, 3 + len(one)), ("1", 3 + len(one), 4 + len(one) + len(two))]
    assert texts(split)["2"] == "x y"


def test_the_same_document_twice_and_in_two_sources(tmp_path):
    text = story(random.Random(2), 120)
    one = write_dataset(tmp_path / "one", documents([text, text]))
    two = write_dataset(tmp_path / "two", documents([text + " more"], id=["new"]))
    split = run_chain(Substring(), [one, two])
    assert texts(split) == {"0": text, "new": "more"}
    split = run_chain(Substring(against=(one,)), [two])
    assert split.kept["text"].to_pylist() == ["more"]
    assert split.rejected["twin"].to_pylist() == ["0" * 32]


@pytest.mark.parametrize(("min_left", "stays"), [(None, True), (3, True), (4, False)])
def test_documents_with_little_left(tmp_path, min_left, stays):
    text = story(random.Random(2), 60)
    path = write_dataset(tmp_path / "docs", documents([text, f"é {text} é", "é"]))
    split = run_chain(Substring(min_left=min_left), [path])
    assert list(texts(split)) == (["0", "1", "2"] if stays else ["0", "2"])
    assert whole(split) == ({} if stays else {f"{1:032x}": [("substring.left", 3.0, 4.0)]})


def test_shards_and_turns_change_nothing(planted, tmp_path, monkeypatch):
    path = write_dataset(tmp_path / "docs", documents(planted[0]))
    before = run_chain(Substring(), [path])
    monkeypatch.setattr(windows, "SHARD_ROWS", 4000)
    monkeypatch.setattr(windows, "TABLE_ROWS", 1000)
    stage = Substring()
    assert windows.shard_bits([path], "word") >= 3
    after = run_chain(stage, [path])
    assert after.kept.equals(before.kept)
    assert after.rejected.equals(before.rejected)


def test_the_laws():
    text = story(random.Random(3), 80)
    docs = documents([text, f"{text} and {text}", "", text, f"one {text[:400]}", "na " * 120])
    check_stage(Substring(), docs)
    check_stage(Substring(length=1), docs)
    check_stage(Substring(length=8, min_left=20), docs)


def test_mistakes(tmp_path):
    path = write_dataset(tmp_path / "docs", documents(["a"]))
    with pytest.raises(UsageError, match="length is 0"):
        Substring(length=0)
    with pytest.raises(UsageError, match="min_left is -1"):
        Substring(min_left=-1)
    with pytest.raises(InputError, match="no dataset at"):
        Substring(against=(str(tmp_path / "none"),)).digest()
    with pytest.raises(DoesNotFit, match="fix: give it --memory"):
        run_chain(Substring(memory=1 << 20), [path])


LARGE = """
import resource, sys
import numpy as np
from corpuskit.dedup.substring import Substring
from corpuskit.engine import Options, run
from corpuskit.testing import documents, write_dataset

if __name__ == "__main__":
    draw = np.random.default_rng(7)
    words = np.array([f"{number:x}" for number in draw.integers(0, 1 << 32, 50_000)])
    texts = [" ".join(words[draw.integers(0, 50_000, 2_000)]) for _ in range(1_000)]
    docs = [documents(texts, id=[f"{half}{row:031x}" for row in range(1_000)]) for half in "ab"]
    path = write_dataset(sys.argv[1] + "/docs", *docs)
    found = run(Substring(memory=1 << 30), path, sys.argv[1] + "/out", options=Options(workers=1))
    print(found.rows, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)
"""


def test_memory_stays_under_the_budget(tmp_path, environment):
    (tmp_path / "large.py").write_text(LARGE)
    command = [sys.executable, str(tmp_path / "large.py"), str(tmp_path)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    rows, peak = map(int, told.split())
    assert rows == 1000  # of 36 MB, the second half repeats the first
    assert 100 << 20 < peak < 1 << 30
