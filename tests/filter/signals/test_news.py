"""Signals of news articles: the site, the by-line, the date of publication."""

import pyarrow as pa
import pytest

from corpuskit.filter import signals
from corpuskit.testing import documents

STORY = "\nThe harbour was closed on Monday, the ministry said. It will open again next week.\n" * 20


def one(name, text="text", lists=None, **columns):
    batch = documents([text], **{key: [value] for key, value in columns.items()})
    return signals.compute([name], batch, lists)[name][0].as_py()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.nytimes.com/2019/04/25/a.html", True),
        ("https://edition.cnn.com/", True),
        ("http://CNN.com:80/x", True),
        ("https://notcnn.com/", False),
        ("https://cnn.com.example.org/", False),
        ("https://bxnewsnet.blogspot.com/", True),
        ("https://other.blogspot.com/", False),
        ("https://www.example.org/cnn.com", False),
        ("not a URL", None),
        (None, None),
    ],
)
def test_news_hosts(url, expected):
    assert one("news_host", url=url) is expected


def test_a_list_of_ones_own_takes_the_place_of_the_built_in_one():
    lists = {"news_host": ("Town-Gazette.example", "www.blog.example.org")}
    for url, expected in (
        ("http://town-gazette.example/a", True),
        ("http://sport.town-gazette.example/", True),
        ("http://blog.example.org/", True),
        ("http://example.org/", False),
        ("http://cnn.com/", False),
    ):
        assert one("news_host", url=url, lists=lists) is expected


@pytest.mark.parametrize(
    "line",
    [
        "By Jane Doe",
        "by Jane Doe and John Q. Smith",
        "By JANE DOE, Staff Writer",
        "Written by Jane Doe | April 3",
        "Von Jana Döring",
        "Par Anne-Marie Dupont",
        "Author: Jane Doe",
        "— By Seán O’Brien",
    ],
)
def test_bylines(line):
    assert one("has_byline", f"A Headline\n{line}\n{STORY}")
    assert one("has_byline", f"{STORY}\n{line}")
    assert not one("has_byline", f"{STORY}{line}\n{STORY}")  # in the middle of a story it is none


@pytest.mark.parametrize(
    "line",
    [
        "By Monday it was over",
        "by the way, Jane Doe came",
        "Standing by Jane Doe",
        "By 1900 The City had grown",
        "By Jane",
        "By Jane Doe we mean the woman who has no name in the records of this court, nor in any other.",
        "Authors: 3",
        "",
    ],
)
def test_what_is_no_byline(line):
    assert not one("has_byline", f"A Headline\n{line}\n{STORY}")


def test_an_author_column_is_a_byline():
    assert one("has_byline", STORY, author="Jane Doe")
    assert not one("has_byline", STORY, author=" ")
    assert not one("has_byline", STORY, author=None)
    assert not one("has_byline", STORY, author=7)


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        ("April 25, 2019", None, True),
        ("Thursday 25 Apr 2019", None, True),
        ("am 25. März 2019", None, True),
        ("le 3 août 2019", None, True),
        ("25 de abril de 2019", None, True),
        ("2019-04-25", None, True),
        ("25.4.2019", None, True),
        ("04/25/2019", None, True),
        ("2019年4月25日", None, True),
        ("April 2019", None, False),
        ("In 2019", None, False),
        ("call 2019-55-12345", None, False),
        ("version 2019.4", None, False),
        ("x", "https://a.example/2019/04/25/story", True),
        ("x", "https://a.example/2019/apr/25/story", True),
        ("x", "https://a.example/news/2019-04-25-story", True),
        ("x", "https://a.example/story-20190425", True),
        ("x", "https://a.example/2019/04", True),
        ("x", "https://a.example/2019/story", False),
        ("x", "https://a.example/id/20191399", False),
        ("x" * 1000 + " April 25, 2019", None, False),
    ],
)
def test_dates_of_publication(text, url, expected):
    assert one("has_published_date", text, url=url) is expected


def test_columns_that_are_not_there_are_unknown():
    batch = pa.RecordBatch.from_pydict({"text": pa.array(["April 25, 2019", None], pa.large_string())})
    found = signals.compute(["news_host", "has_byline", "has_published_date"], batch)
    assert [column.to_pylist() for column in found.values()] == [[None, None], [False, False], [True, False]]
