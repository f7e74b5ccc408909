"""Lines equals a plain-Python twin: the first copy of a paragraph, line or span of sentences stays."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corpuskit.dedup.lines import Lines
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import check_stage, documents, write_dataset
from tests.dedup.chains import run_chain, spans, texts, whole


def units(document, unit):
    if unit == "paragraph":
        return [part.strip() for part in re.split(r"\n\s*\n", document) if part.strip()]
    lines = [line.strip() for line in document.split("\n") if line.strip()]
    if unit == "line":
        return lines
    return [part.strip() for line in lines for part in re.split(r"(?<=[.!?]) ", line)]


def twin(train, unit, n):
    """Return the units of each document that are left."""
    seen, left = {}, []
    for number, document in enumerate(train):
        found = units(document, unit)
        gone = [False] * len(found)
        for at in range(len(found) - n + 1):
            first, place = seen.setdefault(tuple(found[at : at + n]), (number, at))
            if first != number or at - place >= n:
                gone[at : at + n] = [True] * n
        left.append([one for one, is_gone in zip(found, gone, strict=True) if not is_gone])
    return left


SENTENCE = st.sampled_from(["So it goes.", "Why?", "Ää öö!", "Third one.", "🙂 yes!"])
LINE = st.lists(SENTENCE, max_size=3).map(" ".join)
TEXT = st.lists(st.tuples(LINE, st.sampled_from(["\n", "\n\n", "\n \t\n", " \n  "])), max_size=8).map(
    lambda pairs: "".join(line + end for line, end in pairs)
)


@pytest.mark.parametrize(("unit", "n"), [("paragraph", 1), ("line", 1), ("sentences", 3), ("sentences", 1)])
@hypothesis_settings(max_examples=40)
@given(train=st.lists(TEXT, min_size=1, max_size=6))
def test_it_equals_the_twin(unit, n, train):
    with tempfile.TemporaryDirectory() as folder:
        docs, half = documents(train), len(train) // 2
        path = write_dataset(Path(folder, "docs"), docs.slice(0, half), docs.slice(half))
        split = run_chain(Lines(unit=unit, n=n if unit == "sentences" else 3), [path])
    left = twin(train, unit, n)
    kept = {f"{number:x}": found for number, found in enumerate(left) if found or not train[number].strip()}
    assert {name: units(text, "sentences") for name, text in texts(split).items()} == {
        name: [sentence for one in found for sentence in units(one, "sentences")]
        for name, found in kept.items()
    }
    assert set(whole(split)) == {f"{n:032x}" for n in range(len(train)) if f"{n:x}" not in kept}


def lines(tmp_path, train, **chosen):
    return run_chain(Lines(**chosen), [write_dataset(tmp_path / "docs", documents(train))])


def test_lines(tmp_path):
    train = [
        "menu\n\none\n",
        "Menu\n\nmenu\n\ntwo\nmenu",
        "menu\n \n",
        " menu\nthree",
        "four\nmenu\n\n",
        "one",
    ]
    split = lines(tmp_path, train)
    assert texts(split) == {"0": train[0], "1": "Menu\n\ntwo", "3": "three", "4": "four\n\n"}
    assert whole(split) == {f"{n:032x}": [("lines.repeat", None, None)] for n in (2, 5)}
    assert spans(split, "lines.repeat") == [
        (f"{1:032x}", 6, 12),
        (f"{1:032x}", 15, 20),
        (f"{3:032x}", 0, 6),
        (f"{4:032x}", 4, 9),
    ]
    assert set(split.rejected["twin"].to_pylist()) == {f"{0:032x}"}


def test_paragraphs(tmp_path):
    train = ["a\nb\n\nc", "c\n\n\na\nb\n\nd", "a\n\nb"]
    assert texts(lines(tmp_path, train, unit="paragraph")) == {"0": train[0], "1": "d", "2": train[2]}


def test_normalised_words_and_what_has_none(tmp_path):
    train = ["To be, or not\n***\n我喜欢。", "TO BE -- or not!\n***\n我喜欢", "other\n***"]
    assert texts(lines(tmp_path, train, normalised=True)) == {"0": train[0], "1": "***", "2": train[2]}
    assert texts(lines(tmp_path, train)) == {"0": train[0], "1": "TO BE -- or not!\n我喜欢", "2": "other"}


def test_any_three_sentence_span_is_kept_once(tmp_path):
    train = [
        "A cat. A dog. A hen. A pig.",
        "An ox. A dog. A hen. A pig. A bee.",
        "A hen. A pig.",
        "一。二。三。",
    ]
    train.append("零。" + train[-1])
    assert texts(lines(tmp_path, train, unit="sentences")) == {
        "0": train[0],
        "1": "An ox. A bee.",
        "2": train[2],
        "3": train[3],
        "4": "零。",
    }


def test_references_are_never_cut(tmp_path):
    old = write_dataset(tmp_path / "old", documents(["seen", "seen\nbefore"], id=["x", "y"]))
    new = write_dataset(tmp_path / "new", documents(["new\nseen", "before", "new"]))
    split = run_chain(Lines(against=(old,)), [new])
    assert texts(split) == {"0": "new"}
    twins = {row["id"][-1]: row["twin"].lstrip("0") for row in split.rejected.to_pylist()}
    assert twins == {"0": "x", "1": "y", "2": ""}
    assert Lines(against=(old,)).digest() != Lines(against=(new,)).digest() != Lines().digest()


def test_the_same_bytes_for_any_number_of_workers(tmp_path):
    train = [f"menu {number % 7}\nbody {number}\nfooter" for number in range(300)]
    docs = documents(train)
    path = write_dataset(tmp_path / "docs", *(docs.slice(at, 50) for at in range(0, 300, 50)))
    one, two = (
        run(Lines(), path, str(tmp_path / f"out{workers}"), options=Options(workers=workers))
        for workers in (1, 2)
    )
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts]
    assert [part.sha256 for part in one.rejects] == [part.sha256 for part in two.rejects]
    assert one.table(["text"])["text"].to_pylist()[7:] == [f"body {number}" for number in range(7, 300)]


@pytest.mark.parametrize("unit", ["paragraph", "line", "sentences"])
@pytest.mark.parametrize("normalised", [False, True])
def test_the_laws(unit, normalised):
    docs = documents(
        ["one. two. three.\n\nfour", "four\n\none. two. three.", "", "four", "中文没有空格。日本語もです。"]
    )
    check_stage(Lines(unit=unit, normalised=normalised), docs)


def test_mistakes(tmp_path):
    with pytest.raises(UsageError, match="n is 0"):
        Lines(n=0)
    with pytest.raises(InputError, match="no dataset at"):
        Lines(against=(str(tmp_path / "none"),)).digest()
