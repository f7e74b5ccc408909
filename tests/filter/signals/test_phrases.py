"""Phrase counts against a twin of regular expressions."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpuskit.filter import signals

ALPHABET = st.sampled_from("abABß _-$\n\u3000éÉ字喜\u0301\u00ad.K😀2")
PHRASE = st.text(st.sampled_from("abé _-$字喜😀2"), min_size=1, max_size=4).filter(
    lambda text: text == " ".join(text.split())
)


def batch_of(*texts):
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})


def lowered(text):
    text = "".join(char.lower()[0] for char in text.replace("\u00ad", ""))
    return re.sub(r"\s+", " ", text)


def kind(text, i):
    """What a character is: part of a word, of an unspaced script, or other; a mark is what it is on."""
    if i >= len(text):
        return "other"
    while i >= 0 and text[i] == "\u0301":
        i -= 1
    if i < 0:
        return "other"
    if text[i] in "字喜":
        return "unspaced"
    return "word" if text[i].isalnum() or text[i] == "_" else "other"


def twin(text, phrases, whole_words):
    text, count = lowered(text), 0
    for phrase in {lowered(phrase) for phrase in phrases}:
        for i in range(len(text) - len(phrase) + 1):
            last = i + len(phrase) - 1
            if text[i : last + 1] != phrase:
                continue
            begins = kind(phrase, 0) != "word" or kind(text, i - 1) != "word"
            ends = kind(phrase, len(phrase) - 1) != "word" or kind(text, last + 1) != "word"
            if (
                last + 1 < len(text)
                and text[last + 1] == "\u0301"
                and kind(phrase, len(phrase) - 1) == "word"
            ):
                ends = False
            count += not whole_words or (begins and ends)
    return count


@settings(max_examples=400)
@given(st.lists(st.text(ALPHABET, max_size=14), max_size=3), st.lists(PHRASE, max_size=4), st.booleans())
@example(["a \n\u3000b"], ["a b"], True)
@example(["xab ab abx", "AB", "字ab字"], ["ab"], True)
def test_counts_equal_their_twin(texts, phrases, whole_words):
    got = signals.phrase_count(batch_of(*texts), phrases, whole_words=whole_words)
    assert got.tolist() == [twin(text, phrases, whole_words) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Lorem ipsum dolor", 1), ("LOREM\n IPSUM, loremipsum", 1), ("lorems ipsum", 0), ("xlorem ipsums", 1)],
)
def test_lorem_ipsum(text, expected):
    assert signals.compute(["lorem_ipsum_count"], batch_of(text))["lorem_ipsum_count"].to_pylist() == [
        expected
    ]


def test_no_phrase_counts_nothing():
    assert signals.phrase_count(batch_of("a b", ""), []).tolist() == [0, 0]
    assert signals.phrase_count(batch_of("a b"), ["", "a"]).tolist() == [1]


@pytest.mark.parametrize(("text", "expected"), [("What the HELL, shit.", 1), ("Scunthorpe and cocktails", 0)])
def test_bad_words_are_whole_words(text, expected):
    assert signals.compute(["bad_word_count"], batch_of(text))["bad_word_count"].to_pylist() == [expected]
