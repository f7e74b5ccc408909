"""Reddit's items: the links in their texts, and values in all the ways dumps have written them."""

from __future__ import annotations

import datetime
import time

import pytest

from corpuskit.crawl.reddit import dates, flags, integers, links_in, read

A, B = "http://a.example/x", "https://b.example/y"


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("", []),
        (A, [A]),
        (f"{A}, {A} and ({B}).", [A, B]),
        (f'[text]({A}) [title]({B} "title")', [A, B]),
        (f"[{A}]({A})", [A]),
        (f"<{A}> &lt;{B}&gt;", [A, B]),
        ("[f](http://a.example/x_(y)) (http://a.example/x_(y))", ["http://a.example/x_(y)"]),
        ("(see http://a.example/x)", [A]),
        ("http://a.example/x_\\(y\\)", ["http://a.example/x_(y)"]),
        ("http://a.example/x\\_y", ["http://a.example/x_y"]),
        ("http://a.example/?a=1&amp;b=2", ["http://a.example/?a=1&b=2"]),
        (f"*{A}* **{B}** ~~{A}~~ `{A}`", [A, B]),
        (f"|{A}|{B}|", [A, B]),
        ("HTTP://A.example/x!", ["HTTP://A.example/x"]),
        ("http:// and https:// alone, ftp://a.example, www.a.example", []),
        ("日本語http://a.example/x　です", [A]),
    ],
)
def test_links_in_texts(text: str, links: list[str]) -> None:
    assert links_in(text) == links


@pytest.mark.parametrize(
    "text", ["http://a" + "(" * 50_000, "http://a(" * 20_000, "http://a" + "\\" * 50_000, "http://" * 20_000]
)
def test_a_hostile_text_takes_linear_time(text: str) -> None:
    start = time.process_time()
    links_in(text)
    assert time.process_time() - start < 1


def test_values_in_all_their_spellings() -> None:
    assert integers([1, -2, "3", "4.0", 5.9, None, False, "", "x", 1 << 70, float("nan")]).to_pylist() == [
        1,
        -2,
        3,
        4,
        5,
        *[None] * 6,
    ]
    assert flags([True, False, "true", "False", 0, "1", None, "", "yes?"]).to_pylist() == [
        True,
        False,
        True,
        False,
        False,
        True,
        None,
        None,
        None,
    ]
    found = dates([0, "86400.0", 1e9, -1, 10**12, None, "soon"]).to_pylist()
    assert [date and date.timestamp() for date in found] == [0, 86400, 1e9, None, None, None, None]
    assert found[0] == datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def test_where_items_stand(tmp_path) -> None:
    lines = [
        b'{"title": "a", "score": 1}',
        b"",
        b"\xff\xfe",
        b'{"title": "\\ud83d", "score": 1}',
        b'{"body": "http://b", "score": 2}\r',
    ]
    (tmp_path / "dump").write_bytes(b"\n".join(lines))
    [chunk] = read(str(tmp_path / "dump"))
    assert [item.title or item.body for item in chunk.items] == ["a", "http://b"]
    assert chunk.places == [0, len(b"\n".join(lines[:4])) + 1]
    assert [(fault.at, fault.rule) for fault in chunk.faults] == [(28, "malformed"), (31, "malformed")]
