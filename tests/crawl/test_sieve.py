"""The sieve never loses a match of Python's own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.sieve import Sieve

EXPRESSIONS = [
    r"\Apost\Z",
    r"post[-_]text|article(?:-|__)?body",
    r"^[Cc]omment(?!ary)|disqus",
    r"(^|\s)bottom|bottom(\s|$)",
    r"(?i:fulltext)",
    r"display:\ none",
    r"[\s]odd",
    r"",
]
PIECES = st.sampled_from(
    [
        "post",
        "-text",
        "article",
        "__body",
        "body",
        "comment",
        "ary",
        "Comment",
        "bottom",
        " ",
        "\n",
        "\u00a0",
        "FullText",
    ]
    + ["display: none", "\u2003", "odd", "x", "é"]
)


@given(st.lists(PIECES, max_size=5).map("".join))
def test_every_match_may_match(text: str) -> None:
    found = Sieve(EXPRESSIONS).may_match(text)
    assert found == sorted(set(found))
    assert {number for number, each in enumerate(EXPRESSIONS) if re.search(each, text)} <= set(found)


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5])
def test_what_cannot_match_is_sieved_out(number: int) -> None:
    assert number not in Sieve(EXPRESSIONS).may_match("menu")
