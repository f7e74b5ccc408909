"""Sentence counts: golden lines, and a twin of regular expressions."""

import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.kernels import sentences

WORD = st.sampled_from(
    [
        "He",
        "he",
        "No",
        "5a",
        "The",
        "the",
        "Mr",
        "mr",
        "J",
        "U.S",
        "p.m",
        "3",
        "1,000.5",
        "(Dr",
        "“Inc",
        "word",
        "Été",
        "字",
        "x-y",
        "It's",
        "",
    ]
)
MARK = st.sampled_from(
    [
        ".",
        "!",
        "?",
        "...",
        "…",
        "?!",
        ". ",
        '." ',
        "!) ",
        "。",
        "！」",
        "？ ",
        " ",
        " ",
        "\u3000",
        "।",
        ",",
        "“",
        '"',
    ]
)
LINE = st.lists(st.tuples(WORD, MARK).map("".join), max_size=8).map("".join).map(str.strip).filter(bool)


def count(*lines):
    data = "".join(lines).encode()
    ends = np.cumsum([len(line.encode()) for line in lines])
    starts = np.concatenate([[0], ends[:-1]])
    return sentences.count_sentences(np.frombuffer(data, np.uint8), starts, ends).tolist()


def abbreviation(word):
    letters_apart = regex.fullmatch(r"\p{L}(\.\p{L})*\.?", word)
    return bool(letters_apart) or word.lower() in sentences._ABBREVIATIONS.split()


def ends_sentence(mark, word, following):
    if not set(mark) <= {".", "…"}:
        return True
    following = following.lstrip("\"'“‘([{«「『*")
    first = following[:1]
    if len(mark) > 1 or mark == "…":
        return first.isupper()
    word = word[-16:].lstrip("\"'“‘([{«「『*")
    if word and set(word) <= set("0123456789.,"):
        return not (first.islower() or first.istitle() and not first.isupper())
    if unicodedata.category(first or " ")[0] == "N" and word.lower() in sentences._BEFORE_NUMBERS.split():
        return False
    if not abbreviation(word):
        return True
    starter = regex.match(r"[A-Za-z0-9']*", following).group().lower()
    return first.isupper() and starter in sentences._STARTERS.split()


def twin(line):
    total = 1
    for found in regex.finditer(r"[\p{Sentence_Terminal}…]+", line):
        rest = line[found.end() :].lstrip("\"'”’)]}»」』）】")
        wide = any(char in "。！？｡" for char in found.group())
        words = line[: found.start()].split()
        word = words[-1] if words and not line[found.start() - 1].isspace() else ""
        if rest.strip() and (
            wide or (rest[0].isspace() and ends_sentence(found.group(), word, rest.strip()))
        ):
            total += 1
    return total


@settings(max_examples=500)
@given(st.lists(LINE, min_size=1, max_size=4))
def test_counts_equal_their_twin(lines):
    assert count(*lines) == [twin(line) for line in lines]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("One. Two! Three? Four", 4),
        ("No end", 1),
        ("Dr. Smith and Mr. J. R. Jones met at 5 p.m. in St. Louis.", 1),
        ("He lives in the U.S. The weather is fine.", 2),
        ("It was 3.5 percent. See No. 5 for details.", 2),
        ("It grew by 7. that was all", 1),
        ('He said "Stop." Then he left.', 2),
        ("Well... maybe. Well... Maybe.", 3),
        ("See www.example.com. It works.", 2),
        ("Really?! Yes!!! No", 3),
        ("我喜欢读书。你呢？好！", 3),
        ("「好。」他说。", 2),
        ("यह एक वाक्य है। यह दूसरा है।", 2),
        ("Mme. Curie", 2),
    ],
)
def test_golden(line, expected):
    assert count(line) == [expected]


def test_lists_hold_words_the_kernel_can_read():
    for word in f"{sentences._ABBREVIATIONS} {sentences._STARTERS} {sentences._BEFORE_NUMBERS}".split():
        assert word == word.lower() and len(word.encode()) <= 8, word
