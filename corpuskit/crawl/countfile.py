"""Files of entries, a line each, with how often each occurs or without; their first lines say which."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.crawl.corpora import unpacked
from corpuskit.crawl.lines import Block, Damage, lines
from corpuskit.crawl.logs import Fault, tables
from corpuskit.errors import InputError
from corpuskit.kernels.utf8 import strings
from corpuskit.settings import suggest

__all__ = ["Entries", "block_rows", "entries"]

Places = npt.NDArray[np.int64]

_FORMS = (  # a number of 15 digits: thousands of such counts add up within 64 bits
    r"^\s*(?P<text>[^\t]*\S[^\t]*(?:\t[^\t]*\S[^\t]*)?)\t\s*(?P<count>[0-9]{1,15})\s*$",
    r"^\s*(?P<text>\"(?:[^\"]|\"\")*\"|[^\",]*[^\",\s][^\",]*)\s*,\s*(?P<count>[0-9]{1,15})\s*$",
    r"^\s*(?P<text>\S.*?)[ \t]+(?P<count>[0-9]{1,15})\s*$",
    r"^\s*(?P<count>[0-9]{1,15})[ \t]+(?P<text>\S.*?)\s*$",
)
_QUOTED = r'^"((?:[^"]|"")*)"$'
_HEAD = 1000
_TABLES = (".csv", ".tsv", ".tab")


class Entries(NamedTuple):
    """Some entries of a file as they stand there, the count of each (null: not told), and its offset.

    `faults` are lines that are none: their offset, the rule without its kind, and their bytes.
    """

    texts: pa.LargeStringArray
    counts: pa.Int64Array
    places: Places
    faults: list[Fault]


def entries(path: str, column: str | None = None) -> Iterator[Entries]:
    """Read a file of entries, plain or compressed, some thousand at a time.

    A line is an entry and its count, divided by a tab, a comma or spaces, in either order; or an entry alone,
    if most lines have no count. With `column`, by its name or by its number from 1, the file is a table whose
    fields in that column are the entries. A first line without digits above counts is a header. Blank lines
    are nothing. Faults: `malformed` (no count where others have one, no UTF-8) and `lost` (see
    `lines.Damage`).

    Raises:
        InputError: The file is missing, empty, or a table without counts and no column was named.
    """
    found = lines(path)
    first = next(found, None)
    if first is None:
        raise InputError(f"{path} is empty", fix="fetch it again, or leave it out")
    found = itertools.chain([first], found)
    if column is not None:
        yield from _of_table(path, found, column)
        return
    form, header = _form(path, first)
    for item in found:
        if isinstance(item, Damage):
            yield _none([Fault(item.offset, "lost", item.length)])
            continue
        texts, places, faults = block_rows(item)
        if header:
            texts, places, header = texts.slice(1), places[1:], False
        yield _read(texts, places, faults, form)


def block_rows(block: Block) -> tuple[pa.LargeStringArray, Places, list[Fault]]:
    r"""Return the lines of a block that are not blank, their offsets, and as faults those that are no UTF-8.

    >>> texts, places, faults = block_rows(Block(10, b"one\n\n\xff\ntwo"))
    >>> texts.to_pylist(), places.tolist(), faults
    (['one', 'two'], [10, 17], [Fault(at=15, rule='malformed', value=1)])
    """
    faults = []
    data = block.data
    try:
        data.decode()
    except UnicodeDecodeError:
        faults = [Fault(at, "malformed", len(line)) for at, line in block if not _is_text(line)]
        data = b"\n".join(line if _is_text(line) else b" " * len(line) for line in data.split(b"\n"))
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))
    starts = np.concatenate([[0], ends + 1])
    ends = np.append(ends, len(raw))
    bounds = np.concatenate([[0], np.cumsum(ends - starts)])
    texts = pc.utf8_trim_whitespace(strings(raw[raw != ord("\n")], bounds))
    there = pc.not_equal(texts, "")
    return texts.filter(there), (starts + block.offset)[np.asarray(there)], faults


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _form(path: str, first: Block | Damage) -> tuple[str | None, bool]:
    """Say how lines are laid out, null where they have no counts, and whether the first is a header."""
    texts = (
        block_rows(first)[0].slice(0, _HEAD) if isinstance(first, Block) else pa.array([], pa.large_string())
    )
    fits = [pc.match_substring_regex(texts, form) for form in _FORMS]
    sums = [int(pc.sum(fit).as_py() or 0) for fit in fits]
    best = int(np.argmax(sums))
    if 2 * sums[best] > len(texts):
        headed = not fits[best][0].as_py() and not any(char.isdigit() for char in texts[0].as_py())
        return _FORMS[best], headed
    name = unpacked(path).lower()
    divided = int(pc.sum(pc.match_substring_regex(texts, "[,\t]")).as_py() or 0)
    if name.endswith(_TABLES) and 2 * divided > len(texts):
        what = f"{path} is a table, and its lines are no entries with their counts"
        fix = (
            "leave it two columns, an entry and its count; of --titles name the column, like --title-column 2"
        )
        raise InputError(what, fix=fix)
    return None, False


def _read(texts: pa.Array, places: Places, faults: list[Fault], form: str | None) -> Entries:
    if form is None:
        return Entries(texts, pa.nulls(len(texts), pa.int64()), places, faults)
    found = pc.extract_regex(texts, form)
    wrong = np.flatnonzero(np.asarray(found.is_null()))
    sizes = pc.binary_length(texts)
    faults = faults + [Fault(int(places[row]), "malformed", sizes[int(row)].as_py()) for row in wrong]
    there = found.is_valid()
    found = found.filter(there)
    names = pc.replace_substring_regex(pc.struct_field(found, "text"), _QUOTED, r"\1")
    names = pc.replace_substring(names, '""', '"') if form is _FORMS[1] else names
    counts = pc.struct_field(found, "count").cast(pa.int64())
    return Entries(names, counts, places[np.asarray(there)], faults)


def _none(faults: list[Fault]) -> Entries:
    return Entries(pa.array([], pa.large_string()), pa.array([], pa.int64()), np.zeros(0, np.int64), faults)


def _of_table(path: str, found: Iterator[Block | Damage], column: str) -> Iterator[Entries]:
    place: int | None = None
    for table in tables(found, header=False):
        rows, places = table.rows, table.places
        if place is None and rows:
            place, header = _place(path, [name.strip() for name in rows[0]], column)
            rows, places = rows[header:], places[header:]
        texts = pa.array([row[place or 0].strip() for row in rows], pa.large_string())
        there = pc.not_equal(texts, "")
        kept = np.asarray(places, np.int64)[np.asarray(there)]
        yield _read(texts.filter(there), kept, table.faults, None)


def _place(path: str, names: Sequence[str], column: str) -> tuple[int, bool]:
    """Return which column is meant, and whether the first line is a header, which has its name."""
    if column.isdigit() and 0 < int(column) <= len(names):
        return int(column) - 1, False
    if column in names:
        return names.index(column), True
    if column.isdigit():
        raise InputError(f"{path} has {len(names)} columns, and no {column}", fix="count them from 1")
    what = f"{path} has no column {column!r} in its first line"
    raise InputError(
        what, fix=f"{suggest(column, names)}; or count its columns from 1, like --title-column 2"
    )
