"""Files of entries are read by what their lines are like, and bad lines are told."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from corpuskit.crawl.countfile import entries
from corpuskit.errors import InputError


def read(path: Path, column: str | None = None) -> tuple[list[tuple[str, int | None]], list[tuple[int, str]]]:
    rows, faults = [], []
    for found in entries(str(path), column):
        rows += zip(found.texts.to_pylist(), found.counts.to_pylist(), strict=True)
        faults += [(fault.at, fault.rule) for fault in found.faults]
    return rows, faults


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("the 12\nof 3\n", [("the", 12), ("of", 3)]),
        ("the\t12\r\nnew\tyork\t3\r\n", [("the", 12), ("new\tyork", 3)]),
        ("new york 12\nof the 3", [("new york", 12), ("of the", 3)]),
        ("     12 the\n      3 of\n", [("the", 12), ("of", 3)]),  # as `uniq -c` writes it
        ("12\tthe\n3\tof\n7\t1984\n", [("the", 12), ("of", 3), ("1984", 7)]),
        ('word,count\n"St. Louis, ""MO""",12\nof,3\n', [('St. Louis, "MO"', 12), ("of", 3)]),
        (
            "Apollo 13\nJaws\n\n  Alien \nBrazil\n",
            [(title, None) for title in ("Apollo 13", "Jaws", "Alien", "Brazil")],
        ),
        ("\ufeffthe 12\n", [("the", 12)]),
        ("1984 7\n", [("1984", 7)]),
    ],
)
def test_the_lines_say_how_they_are_laid_out(tmp_path, text, rows):
    path = tmp_path / "some.txt"
    path.write_bytes(text.encode())
    assert read(path) == (rows, [])


def test_a_line_that_is_no_entry_is_told_with_its_place(tmp_path):
    path = tmp_path / "counts.txt.gz"
    good = "".join(f"w{number} 5\n" for number in range(20)).encode()
    path.write_bytes(
        gzip.compress(good + b"lonely\n\xff\xfe 5\nbig 1234567890123456\nmost 123456789012345\n")
    )
    rows, faults = read(path)
    assert rows[-1] == ("most", 123456789012345)
    assert len(rows) == 21
    at = len(good)
    assert sorted(faults) == [(at, "malformed"), (at + 7, "malformed"), (at + 12, "malformed")]


def test_what_was_read_before_damage_stays(tmp_path):
    path = tmp_path / "counts.gz"
    text = "".join(f"word{number} {number}\n" for number in range(200_000)).encode()
    path.write_bytes(gzip.compress(text)[:-2000])
    rows, faults = read(path)
    assert 150_000 < len(rows) < 200_000
    assert [rule for _, rule in faults] == ["lost"]


def test_a_column_of_a_table_is_named_or_counted(tmp_path):
    path = tmp_path / "books.csv"
    path.write_text('1,"Emma, a novel",1815,http://a/\n2,Persuasion,1817,http://b/\n3,short\n')
    assert read(path, "2") == ([("Emma, a novel", None), ("Persuasion", None)], [(61, "malformed")])
    path.write_text("id,title\n1,Emma\n2,\n")
    assert read(path, "title") == ([("Emma", None)], [])
    with pytest.raises(InputError, match="no column 'titel'"):
        read(path, "titel")
    with pytest.raises(InputError, match="2 columns, and no 3"):
        read(path, "3")
    with pytest.raises(InputError) as error:
        read(path)
    assert "--title-column" in str(error.value)


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "none").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path / "none")
