"""The trie finds what a search for whole words finds, each phrase once a text."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels.search import Trie, separated_hashes
from corpuskit.kernels.utf8 import buffers, strings
from corpuskit.kernels.words import normalise, normalised_word_hashes

WORDS = st.lists(st.text("ab ", max_size=8), max_size=12)


def lists(found):
    return [found.phrases[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


@given(WORDS, WORDS)
def test_separated_phrases_are_found_where_they_stand_between_spaces(phrases, texts):
    trie = Trie(*separated_hashes(*buffers(pa.array(phrases, pa.string()))))
    found = lists(trie.find(*separated_hashes(*buffers(pa.array(texts, pa.string())))))
    assert trie.same.tolist() == [phrases.index(phrase) for phrase in phrases]
    for text, numbers in zip(texts, found, strict=True):
        expected = {phrase for phrase in phrases if f" {phrase} " in f" {text} "}
        assert len(numbers) == len(set(numbers))
        assert {phrases[number] for number in numbers} == expected


@given(
    st.lists(st.text("aB.é ", max_size=8), max_size=12), st.lists(st.text("Ab.É, ", max_size=12), max_size=8)
)
def test_folded_phrases_are_found_whatever_their_case_and_punctuation(phrases, texts):
    def folded(rows):
        return strings(*normalise(*buffers(pa.array(rows, pa.string())))).to_pylist()

    trie = Trie(*normalised_word_hashes(*buffers(pa.array(phrases, pa.string()))))
    found = lists(trie.find(*normalised_word_hashes(*buffers(pa.array(texts, pa.string())))))
    plain = folded(phrases)
    assert trie.same.tolist() == [plain.index(phrase) if phrase else -1 for phrase in plain]
    for text, numbers in zip(folded(texts), found, strict=True):
        assert {plain[number] for number in numbers} == {
            phrase for phrase in plain if phrase and f" {phrase} " in f" {text} "
        }


def test_more_matches_than_words_are_all_found():
    phrases = [" ".join("a" * n) for n in range(1, 40)]
    trie = Trie(*separated_hashes(*buffers(pa.array(phrases))))
    found = trie.find(*separated_hashes(*buffers(pa.array([" ".join("a" * 39)] * 2))))
    assert sorted(found.phrases[:39].tolist()) == list(range(39))
    assert found.offsets.tolist() == [0, 39, 78]


def test_no_phrases_and_no_texts():
    none = buffers(pa.array([], pa.string()))
    trie = Trie(*separated_hashes(*none))
    assert lists(trie.find(*separated_hashes(*buffers(pa.array(["a", None]))))) == [[], []]
    assert lists(trie.find(*separated_hashes(*none))) == []
    assert trie.same.dtype == np.int32
