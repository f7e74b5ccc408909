"""Signals and rules of URLs: FineWeb's lists of words, at the bound and beyond it."""

import pytest

from corpuskit.filter import signals
from corpuskit.filter.rules import Rules
from corpuskit.testing import documents

NAMES = ["url_hard_word_count", "url_soft_word_count", "url_subword_count"]


def counts(url: str | None) -> list[int | None]:
    found = signals.compute(NAMES, documents(["text"], url=[url]))
    return [found[name][0].as_py() for name in NAMES]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, [None, None, None]),
        ("", [0, 0, 0]),
        ("https://www.example.org/harbour/history.html", [0, 0, 0]),
        ("https://www.example.org/Porn/a", [1, 0, 0]),
        ("https://example.org/PORN_a?x=porn", [2, 0, 0]),
        ("https://example.org/unpornlike", [0, 0, 0]),
        ("https://example.org/sex-education", [0, 1, 0]),
        ("https://example.org/sex/webcam", [0, 2, 0]),
        ("https://blow-job.example.org/", [0, 0, 1]),
        ("https://example.org/%F0%9F%99%82/中文", [0, 0, 0]),
    ],
)
def test_words_and_pieces_are_counted(url: str | None, expected: list[int | None]) -> None:
    assert counts(url) == expected


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://example.org/sex-education", None),
        ("https://example.org/sex/webcam", "url_soft_word_count.max"),
        ("https://example.org/porn/", "url_hard_word_count.max"),
        ("https://blow-job.example.org/", "url_subword_count.max"),
        (None, None),
    ],
)
@pytest.mark.parametrize("table", ["fineweb-url", "refinedweb"])
def test_rules_keep_the_bound_and_drop_beyond_it(url: str | None, rule: str | None, table: str) -> None:
    split = Rules(tables=(table,)).split(documents(["a text"], url=[url]))
    assert split.rejected["rule"].to_pylist() == ([f"{table}.{rule}"] if rule else [])
    assert len(split.kept) == (rule is None)


def test_without_a_url_column_the_signals_are_null() -> None:
    batch = documents(["text"]).drop_columns(["url"])
    assert signals.compute(NAMES, batch)[NAMES[0]].to_pylist() == [None]


def test_the_language_score_can_be_judged_and_is_null_before_it_is_known() -> None:
    batch = documents(["a", "b"], lang_score=[0.25, None])
    assert signals.compute(["lang_score"], batch)["lang_score"].to_pylist() == [0.25, None]
    assert signals.compute(["lang_score"], batch.drop_columns(["lang_score"]))["lang_score"].null_count == 2
