"""The overlap with questions: equal to a twin over sets."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.filter import signals

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "The,", "the"]), max_size=12).map(" ".join)


def compute(texts, questions):
    batch = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})
    lists = {"question_overlap": tuple(questions)} if questions else None
    return signals.compute(["question_overlap"], batch, lists)["question_overlap"].to_pylist()


def ngrams(text, n):
    words = text.lower().replace(",", "").split()
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}


def twin(text, questions):
    if not text.split():
        return None
    score = 0.0
    for n in range(1, 5):
        own, asked = ngrams(text, n), set().union(*(ngrams(question, n) for question in questions))
        both = len(own & asked)
        if both:
            precision, recall = both / len(own), both / len(asked)
            score += n * 2 * precision * recall / (precision + recall)
    return pytest.approx(score / 10, abs=1e-12)


@given(st.lists(WORDS, max_size=4), st.lists(WORDS.filter(str.strip), min_size=1, max_size=3))
def test_the_signal_equals_its_twin(texts, questions):
    assert compute(texts, questions) == [twin(text, questions) for text in texts]


def test_the_questions_themselves_score_one_and_other_words_none():
    questions = ["The trophy does not fit in the suitcase.", "Who feared violence?"]
    assert compute(["the trophy does not fit in the suitcase", "Other words entirely."], questions[:1]) == [
        1.0,
        0.0,
    ]
    assert compute(["Who feared violence?"], questions) == [
        twin("who feared violence", ["who feared violence", "the trophy does not fit in the suitcase"])
    ]


def test_an_ngram_does_not_reach_over_two_questions():
    assert compute(["b c"], ["a b", "c d"])[0] == pytest.approx(2 * 2 / 6 / 10)


def test_without_questions_it_is_unknown():
    assert compute(["a text", ""], []) == [None, None]
