"""Tables: what the csv module reads, in blocks however they are cut, with the place of every row."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl import logs
from corpuskit.crawl.lines import Damage, split_lines
from corpuskit.crawl.logs import Fault, tables

FIELDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters='\n",\t'), max_size=6)


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=2), max_size=12), st.integers(1, 30))
def test_a_table_is_what_was_written(rows: list[list[str]], size: int) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["one", "two"], *rows])
    data = buffer.getvalue().encode()
    found = list(tables(split_lines(data[at : at + size] for at in range(0, len(data), size))))
    assert [row for table in found for row in table.rows] == [row for row in rows if row]
    assert all(table.names == ["one", "two"] and not table.faults for table in found)
    places = [place for table in found for place in table.places]
    for place, row in zip(places, rows, strict=True):
        assert next(csv.reader(io.StringIO(data[place:].decode(), newline=""))) == row


def test_tabs_divide_where_there_are_more_of_them_and_quote_nothing() -> None:
    [table] = tables(split_lines([b'a,b\tc\td\n"x\ty"\tz\n']), header=False)
    assert table.rows == [["a,b", "c", "d"], ['"x', 'y"', "z"]]


def test_faults_have_their_place_and_what_is_read_goes_on(monkeypatch) -> None:
    monkeypatch.setattr(logs, "_FIELD_BYTES", 50)
    items = [
        *split_lines([b'a,b\n1\n1,2\n3,"' + b"x" * 60 + b'"\n\n5,6\n'], limit=1000),
        Damage(90, 7, "cut"),
    ]
    [table] = tables(items)
    assert table.rows == [["1", "2"], ["5", "6"]]
    assert table.places == [6, 76]
    assert sorted(table.faults) == [Fault(4, "malformed", 1), Fault(10, "malformed"), Fault(90, "lost", 7)]


def test_an_empty_table() -> None:
    [table] = tables([])
    assert table == ([], [], [], [])
