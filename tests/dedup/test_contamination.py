"""Contamination equals a plain-Python twin of GPT-3's rule, on random corpora and on planted gsm8k items."""

import gzip
import json
import random
import re
import tempfile
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corpuskit.cli import command
from corpuskit.dataset import Dataset
from corpuskit.dedup.contamination import Contamination, text
from corpuskit.document import IMAGES
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.testing import check_stage, documents, write_dataset
from tests.dedup.chains import run_chain, spans, texts, whole

EXAMPLE = " ".join(f"word{number}" for number in range(13))
FILL = "The quick brown fox jumps over a lazy dog. " * 20


def bare(token):
    return "".join(char for char in token.lower() if char.isalnum())


def tokens(string):
    found = ((match.start(), match.end(), bare(match[0])) for match in re.finditer(r"\S+", string))
    return [token for token in found if token[2]]


def grams(string, n):
    words = tokens(string)
    for at in range(len(words) - n + 1):
        run_of = words[at : at + n]
        yield " ".join(word[2] for word in run_of), run_of[0][0], run_of[-1][1]


def twin(train, examples, rule):
    """GPT-3's rule, character by character: kept texts by id, whole rejects by id."""
    known = {gram for example in examples for gram, _, _ in grams(example, rule.ngram)}
    having = defaultdict(set)
    for number, document in enumerate(train):
        for gram, _, _ in grams(document, rule.ngram):
            having[gram].add(number)
    known = {gram for gram in known if len(having[gram]) <= rule.max_documents}
    kept, gone = {}, {}
    for number, document in enumerate(train):
        cut = [False] * len(document)
        for gram, start, end in grams(document, rule.ngram):
            if gram in known:
                first = max(0, start - rule.window)
                last = min(len(document), end + rule.window)
                cut[first:last] = [True] * (last - first)
        if not any(cut):
            kept[f"{number:x}"] = document
            continue
        pieces, piece = [], ""
        for char, is_cut in zip([*document, ""], [*cut, True], strict=True):
            if is_cut and piece:
                pieces.append(piece)
            piece = "" if is_cut else piece + char
        long = [piece for piece in pieces if len(piece) >= rule.min_piece]
        reasons = []
        if len(pieces) > rule.max_pieces:
            reasons.append(("contamination.pieces", float(len(pieces)), float(rule.max_pieces)))
        if not long:
            longest = max(map(len, pieces), default=0)
            reasons.append(("contamination.short", float(longest), float(rule.min_piece)))
        if reasons:
            gone[f"{number:032x}"] = reasons
        else:
            kept |= {f"{number:x}#{place}": piece for place, piece in enumerate(long)}
    return kept, gone


WORDS = st.sampled_from(["a", "B", "c,", "Don't", "--", "É!", "naïve", "$5", "x🙂", "“q”"])
TEXT = st.lists(st.tuples(WORDS, st.sampled_from([" ", "  ", "\n", "\u3000"])), max_size=40).map(
    lambda pairs: "".join(word + space for word, space in pairs)
)


@hypothesis_settings(max_examples=60)
@given(
    train=st.lists(TEXT, min_size=1, max_size=6),
    sets=st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=2),
    numbers=st.tuples(*(st.integers(low, high) for low, high in ((1, 4), (0, 6), (0, 5), (1, 3), (1, 3)))),
)
def test_it_equals_the_twin(train, sets, numbers):
    names = ("ngram", "window", "min_piece", "max_pieces", "max_documents")
    rule = Contamination(**dict(zip(names, numbers, strict=True)))
    with tempfile.TemporaryDirectory() as folder:
        half = len(train) // 2
        docs = documents(train)
        paths = [write_dataset(Path(folder, "train"), docs.slice(0, half), docs.slice(half))]
        for place, examples in enumerate(sets):
            paths.append(write_dataset(Path(folder, f"eval{place}"), documents(examples)))
        split = run_chain(rule, paths)
    kept, gone = twin(train, [example for examples in sets for example in examples], rule)
    assert texts(split) == kept
    assert whole(split) == gone


@pytest.fixture
def evaluated(tmp_path):
    """Run the rule on texts against one set of examples."""

    def contaminate(train, examples=(EXAMPLE,), **chosen):
        paths = [write_dataset(tmp_path / "train", documents(train))]
        ids = [f"example{number}" for number in range(len(examples))]
        paths.append(write_dataset(tmp_path / "eval", documents(examples, id=ids)))
        return run_chain(Contamination(**chosen), paths)

    return contaminate


def test_a_gram_goes_with_200_characters_on_each_side(evaluated):
    split = evaluated(["é" * 450 + " " + EXAMPLE.upper() + "! " + "€" * 450])
    kept = texts(split)
    assert kept == {"0#0": "é" * 251, "0#1": "€" * 251}
    [(name, start, end)] = spans(split, "contamination.ngram")
    assert (name, start) == ("0" * 32, 251 * 2)
    assert end - start == 199 * 2 + 1 + len(EXAMPLE) + 1 + 1 + 199 * 3
    assert split.rejected["twin"].to_pylist() == ["example0"]


@pytest.mark.parametrize(("left", "kept"), [(199, []), (200, ["0#0"])])
def test_a_piece_has_at_least_200_characters(evaluated, left, kept):
    split = evaluated(["é" * left + "é" * 199 + " " + EXAMPLE])
    assert list(texts(split)) == kept
    assert whole(split) == ({} if kept else {"0" * 32: [("contamination.short", 199.0, 200.0)]})


def test_a_short_piece_is_a_span(evaluated):
    split = evaluated(["x" * 20 + " " * 200 + EXAMPLE + " " * 200 + "y" * 300])
    assert texts(split) == {"0#0": "y" * 300}
    assert spans(split, "contamination.short") == [("0" * 32, 0, 20)]


@pytest.mark.parametrize(("pieces", "stays"), [(10, True), (11, False)])
def test_a_document_of_more_than_10_pieces_goes(evaluated, pieces, stays):
    split = evaluated([f" {EXAMPLE} ".join([FILL] * pieces)])
    assert len(split.kept) == (10 if stays else 0)
    assert whole(split) == ({} if stays else {"0" * 32: [("contamination.pieces", 11.0, 10.0)]})
    named = [row for row in split.rejected.to_pylist() if row["rule"] == "contamination.ngram"]
    assert {row["twin"] for row in named} == {"example0"} and len(named) == pieces - 1


@pytest.mark.parametrize(("count", "cut"), [(10, True), (11, False)])
def test_a_gram_in_more_than_10_documents_is_ignored(evaluated, count, cut):
    train = [f"{number} {FILL} {EXAMPLE} {EXAMPLE} {FILL}" for number in range(count)]
    split = evaluated(train)
    assert (len(spans(split, "contamination.ngram")) == count) is cut
    assert (split.kept["text"].to_pylist() == train) is not cut


def test_repeats_in_one_document_count_once(evaluated):
    assert (
        len(spans(evaluated([f"{FILL} {EXAMPLE} {FILL}" * 9], max_documents=1), "contamination.ngram")) == 9
    )


def test_an_untouched_document_is_the_same_to_the_byte(evaluated):
    train = ["short", "", "\r\n \x00 é\u2028", EXAMPLE[: -len(" word12")], "中文没有空格。" * 40]
    split = evaluated(train)
    assert split.kept.equals(documents(train))
    assert not len(split.rejected)


def test_an_example_of_fewer_than_13_words_removes_nothing(evaluated):
    short = EXAMPLE[: -len(" word12")]
    assert len(evaluated([f"{FILL} {short} {FILL}"], [short, EXAMPLE.replace("0", "x")]).rejected) == 0


def test_scripts_without_spaces(evaluated):
    question = "小明有三个苹果，他给了小红一个，又买了五个。请问他现在一共有几个苹果？"
    split = evaluated(["天" * 401 + "。" + question + "地" * 401], [question])
    assert texts(split) == {"0#0": "天" * 202, "0#1": "地" * 201}


def test_every_example_that_has_a_gram_is_named(evaluated):
    split = evaluated([f"{FILL} {EXAMPLE} {FILL}"], ["other", EXAMPLE + " more", "less " + EXAMPLE])
    named = [row for row in split.rejected.to_pylist() if row["rule"] == "contamination.ngram"]
    assert [row["twin"] for row in named] == ["example1", "example2"]
    assert named[0]["end"] > named[0]["start"] == named[1]["start"] == named[1]["end"]


def test_pieces_of_a_piece(tmp_path):
    docs = documents([f"{FILL}{EXAMPLE} {FILL}"], id=["x#3"])
    paths = [write_dataset(tmp_path / "train", docs), write_dataset(tmp_path / "eval", documents([EXAMPLE]))]
    assert run_chain(Contamination(), paths).kept["id"].to_pylist() == ["x#3#0", "x#3#1"]


def test_the_laws(tmp_path):
    evaluation = write_dataset(
        tmp_path / "eval", documents([EXAMPLE, "中文没有空格。日本語もです。", "", "x"])
    )
    docs = documents([f"{FILL} {EXAMPLE} {FILL}", EXAMPLE, FILL, f" {EXAMPLE} ".join([FILL] * 12)])
    check_stage(Contamination(), docs, beside=[evaluation])
    check_stage(Contamination(ngram=1, window=0, min_piece=1), docs, beside=[evaluation])


def test_mistakes(tmp_path):
    train = write_dataset(tmp_path / "train", documents([FILL]))
    empty = write_dataset(tmp_path / "empty", documents([]))
    with pytest.raises(UsageError, match="no evaluation set"):
        run_chain(Contamination(), [train])
    with pytest.raises(InputError, match="empty has no example"):
        run_chain(Contamination(), [train, empty])
    with pytest.raises(DoesNotFit, match="--memory 1MiB"):
        run_chain(Contamination(memory=10), [train, train])
    with pytest.raises(UsageError, match="ngram is 0"):
        Contamination(ngram=0)
    images = documents([FILL]).append_column(IMAGES.name, pa.array([None], IMAGES.type))
    with pytest.raises(UsageError, match="images"):
        run_chain(Contamination(), [write_dataset(tmp_path / "images", images), train])


def measured(tmp_path, train, **sets):
    paths = [write_dataset(tmp_path / "train", documents(train))]
    for name, examples in sets.items():
        ids = [f"{name}{number}" for number in range(len(examples))]
        paths.append(write_dataset(tmp_path / name, documents(examples, id=ids)))
    return run(Contamination(measure=True), paths, str(tmp_path / "report"), options=Options(workers=1))


def test_measuring(tmp_path):
    words = [f"w{number}" for number in range(100)]
    sentence = [" ".join(words[at : at + 10]) for at in range(0, 100, 10)]
    short = ["only three words", sentence[3], " ".join(words[80:100])]  # n = 8
    long = [" ".join(words[at : at + 30]) for at in (0, 30, 60)]  # n = 13
    train = ["x " * 50 + sentence[3].upper() + "!", "y " + " ".join(words[60:73]), " ".join(words[0:12])]
    dataset = measured(tmp_path, train, short=short, long=long)
    first, second = dataset.table().to_pylist()
    assert first == {
        "set": "short",
        "ngram": 8,
        "examples": 3,
        "short": 1,
        "clean": 2,
        "dirty": 1,
        "found": [{"example": "short1", "document": f"{0:032x}"}],
    }
    assert (second["ngram"], second["dirty"], second["short"]) == (13, 1, 0)
    assert second["found"] == [{"example": "long2", "document": f"{1:032x}"}]
    told = json.loads((tmp_path / "report" / "contamination.json").read_text())
    assert told == {"measured": True, "sets": [first, second]}
    assert "short1" in text(dataset) and text(dataset).splitlines()[1].split()[-1] == "1"


@pytest.fixture
def planted(data):
    """1,319 questions, and 400 pages of C4 in which 150 of them are planted, some near one another."""
    lines = (data / "decontam/gsm8k/test.jsonl").read_text().splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    with gzip.open(next((data / "text/c4").glob("*.gz")), "rt") as file:
        pages = [json.loads(line)["text"] for line, _ in zip(file, range(400), strict=False)]
    draw = random.Random(3)
    where = {}
    for chosen in draw.sample(range(len(questions)), 150):
        page = draw.randrange(100) ** 2 // 25
        at = draw.choice([0, len(pages[page]), draw.randrange(len(pages[page]))])
        pages[page] = f"{pages[page][:at]} {questions[chosen].upper()} {pages[page][at:]}"
        where[chosen] = page
    return questions, pages, where


def test_planted_gsm8k_items_are_removed_as_the_rule_says(planted, tmp_path):
    questions, pages, where = planted
    docs = documents(pages)
    train = write_dataset(tmp_path / "train", docs.slice(0, 150), docs.slice(150))
    gsm8k = write_dataset(tmp_path / "gsm8k", documents(questions, id=[f"gsm{n}" for n in range(1319)]))
    one, two = (
        run(
            Contamination(), [train, gsm8k], str(tmp_path / f"out{workers}"), options=Options(workers=workers)
        )
        for workers in (1, 2)
    )
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts]
    assert [part.sha256 for part in one.rejects] == [part.sha256 for part in two.rejects]
    kept, gone = twin(pages, questions, Contamination())
    table = one.table(["id", "text"]).to_pydict()
    found = dict(zip(table["id"], table["text"], strict=True))
    assert found == {_long(name): piece for name, piece in kept.items()}
    assert len([name for name in found if "#" not in name]) == 400 - len(set(where.values()))
    rejects = Dataset(one.path).reject_batches()
    whole_rejects = {row["id"] for batch in rejects for row in batch.to_pylist() if row["start"] is None}
    assert whole_rejects == set(gone) and gone
    long = {f"gsm{chosen}" for chosen in where if len(tokens(questions[chosen])) >= 13}
    report = json.loads((tmp_path / "out1" / "contamination.json").read_text())["sets"][0]
    assert {one["example"] for one in report["found"]} == long
    assert (report["set"], report["dirty"], report["clean"]) == ("gsm8k", len(long), 1319 - len(long))
    assert f"  {report['found'][0]['example']}  " in text(one)


def test_the_command_prints_the_report_after_the_table(tmp_path):
    example = " ".join(f"w{number}" for number in range(20))
    train = write_dataset(tmp_path / "train", documents([f"{'a' * 900} {example} {'b' * 900}", "other"]))
    test = write_dataset(tmp_path / "test", documents([example], id=["example"]))
    result = CliRunner().invoke(
        command, ["dedup", "contamination", train, test, str(tmp_path / "out"), "-j1"]
    )
    assert result.exit_code == 0, result.stderr
    table, report = result.stdout.split("set ")
    assert "contamination.ngram" in table
    assert re.search(r"test +13 +1 +0 +0 +1\n", report)
    assert f"example  {0:032x}" in report


def _long(name):
    number, cut, piece = name.partition("#")
    return f"{int(number, 16):032x}{cut}{piece}"
