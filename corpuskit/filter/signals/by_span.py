"""Signals that are spans of a text, for rules that cut just them: RefinedWeb's formatting and menu phrases.

Citations, which C4 cuts, are in `corpuskit.filter.signals.by_line`, where lines that end in one are judged.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.by_line import TextSpans, first_words
from corpuskit.filter.signals.lines import line_table
from corpuskit.filter.signals.signal import Scan
from corpuskit.kernels import Int, kernel
from corpuskit.kernels.unicode import DIGIT, LETTER, PUNCTUATION, SPACE, UNSPACED
from corpuskit.kernels.utf8 import ASCII_CLASSES, Bytes, Offsets, class_of, decode, readonly

__all__ = ["excess_newlines", "items_in_cart", "read_more", "sign_in", "text_urls"]

_NEWLINES_KEPT = 2
_SHORT_LINE_WORDS = 10
_ANYWHERE, _START, _END = 0, 1, 2
_TRAILING = np.array([chr(byte) in ".,;:!?'*_]" for byte in range(128)])
_ENDS_URL = np.array([byte <= 32 or chr(byte) in '"<>`|\\^{}' for byte in range(128)])


def excess_newlines(batch: pa.RecordBatch) -> TextSpans:
    r"""Find what is more than two newlines in a row.

    Source: Penedo et al. 2023 (RefinedWeb), section 3.1; DCLM's `newline_removal_modifier`.

    >>> found = excess_newlines(pa.RecordBatch.from_pydict({"text": ["a\n\nb\n\n\n\nc"]}))
    >>> found.starts.tolist(), found.ends.tolist()
    ([6], [8])
    """
    data, offsets = Scan(batch).text
    places = np.flatnonzero(data[offsets[0] : offsets[-1]] == 10) + offsets[0]
    text = np.searchsorted(offsets, places, side="right") - 1
    apart = (np.diff(places) > 1) | (np.diff(text) > 0)
    firsts = np.flatnonzero(np.append(True, apart)[: len(places)])  # of each run
    lengths = np.diff(np.append(firsts, len(places)))
    firsts, lengths = firsts[lengths > _NEWLINES_KEPT], lengths[lengths > _NEWLINES_KEPT]
    starts = places[firsts] - offsets[text[firsts]]
    return TextSpans(text[firsts], starts + _NEWLINES_KEPT, starts + lengths)


def text_urls(batch: pa.RecordBatch) -> TextSpans:
    """Find URLs in the text, with the blanks before them: http://, https:// and ftp://, and www.

    A URL ends at white space, a quotation mark, a bracket that was not opened in it, or a letter of a script
    without spaces; marks of punctuation at its end are not part of it. A name without a scheme or www
    (example.org) stays: it may be the subject of its sentence.

    Source: Penedo et al. 2023 (RefinedWeb), section 3.1. Deviation: DCLM's `url_removal_modifier` removes
    also every name that ends in a top-level domain, and IP addresses.

    >>> found = text_urls(pa.RecordBatch.from_pydict({"text": ["See https://a.example/b?c=1. Or not."]}))
    >>> found.starts.tolist(), found.ends.tolist()
    ([3], [27])
    """
    data, offsets = Scan(batch).text
    body = data[offsets[0] : offsets[-1]]
    most = int(np.count_nonzero(body == ord(":")) + np.count_nonzero(body == ord(".")))
    table = np.empty((3, most), np.int64)
    text, starts, ends = table[:, : _urls(data, offsets, table)]
    return TextSpans(text, starts - offsets[text], ends - offsets[text])


@kernel
def _urls(data: Bytes, offsets: Offsets, table: npt.NDArray[np.int64]) -> Int:
    """Fill the rows text, start and end of `table`; return how many URLs there are."""
    count = 0
    for text in range(len(offsets) - 1):
        floor = at = offsets[text]
        end = offsets[text + 1]
        while at < end:
            byte = data[at]
            if byte != 58 and byte != 46:  # : .
                at += 1
                continue
            first, after = _url_head(data, floor, at, end)
            at += 1
            if first < 0:
                continue
            last = _url_end(data, after, end)
            if last == after:
                continue
            while first > floor and (data[first - 1] == 32 or data[first - 1] == 9):
                first -= 1
            table[0, count], table[1, count], table[2, count] = text, first, last
            count += 1
            floor = at = last
    return count


@kernel
def _url_head(data: Bytes, floor: Int, at: Int, end: Int) -> tuple[Int, Int]:
    """Return where the URL with `://` or the dot of `www.` at `at` begins, -1 if none does, and its host."""
    first = at
    if data[at] == 46:
        while first > floor and data[first - 1] | 32 == 119:  # w
            first -= 1
        found, after = at - first == 3, at + 1
    else:
        if at + 3 > end or data[at + 1] != 47 or data[at + 2] != 47:
            return -1, at
        while first > floor and 97 <= data[first - 1] | 32 <= 122:
            first -= 1
        found = at - first in (3, 4, 5) and _is(data, first, at, _SCHEMES[at - first - 3])
        after = at + 3
    edge = first == floor or data[first - 1] > 127 or not ASCII_CLASSES[data[first - 1]] & (LETTER | DIGIT)
    return (first if found and edge else -1), after


_SCHEMES = tuple(np.frombuffer(scheme, np.uint8) for scheme in (b"ftp\0\0", b"http\0", b"https"))


@kernel
def _is(data: Bytes, first: Int, last: Int, word: Bytes) -> bool:
    """Say whether `data[first:last]` begins the lower-case word, in any case of ASCII letters."""
    for i in range(last - first):
        byte = data[first + i]
        if byte != word[i] and not (65 <= byte <= 90 and byte | 32 == word[i]):
            return False
    return True


@kernel
def _url_end(data: Bytes, at: Int, end: Int) -> Int:
    """Return where the URL ends whose host begins at `at`; `at` if it has none."""
    first, opened = at, 0
    while at < end:
        if data[at] < 128:
            opened += (data[at] == 40) - (data[at] == 41)  # ( )
            if _ENDS_URL[data[at]] or opened < 0:
                break
            at += 1
            continue
        code, size = decode(data, at, end)
        if class_of(code) & (SPACE | PUNCTUATION | UNSPACED):
            break
        at += size
    while at > first and data[at - 1] < 128 and _TRAILING[data[at - 1]]:
        at -= 1
    return at


def sign_in(batch: pa.RecordBatch) -> TextSpans:
    """Find "sign-in" at the start of short lines, with the blank behind it; see `read_more`."""
    return _phrases(batch, ("sign-in",), _START)


def read_more(batch: pa.RecordBatch) -> TextSpans:
    r"""Find "read more..." at the end of short lines, with the blank before it.

    A line is short if it has at most ten words. Letters match in any case. A line that is nothing else goes
    with its newline.

    Source: Penedo et al. 2023 (RefinedWeb), appendix G.2, which gives one example for each of the start, the
    end and the inside of a line; DCLM's configuration has the same three.

    >>> texts = ["The pier reopens Read more...\nRead more…\n"]
    >>> found = read_more(pa.RecordBatch.from_pydict({"text": texts}))
    >>> found.starts.tolist(), found.ends.tolist()
    ([16, 30], [29, 43])
    """
    return _phrases(batch, ("read more...", "read more…"), _END)


def items_in_cart(batch: pa.RecordBatch) -> TextSpans:
    """Find "items in cart" anywhere in short lines, with the blank before it; see `read_more`."""
    return _phrases(batch, ("items in cart",), _ANYWHERE)


def _phrases(batch: pa.RecordBatch, phrases: tuple[str, ...], where: int) -> TextSpans:
    scan = Scan(batch)
    data, offsets = scan.text
    table = scan.once(line_table)
    short = np.diff(scan.once(first_words)) <= _SHORT_LINE_WORDS
    text = np.repeat(np.arange(scan.rows), np.diff(table.spans.offsets))[short]
    lines = np.stack([table.starts, table.ends, table.spans.first, table.spans.last])[:, short]
    found = []
    for phrase in phrases:
        word = np.frombuffer(phrase.encode(), np.uint8)
        out = np.empty((3, int(np.sum((lines[3] - lines[2]) // len(word)))), np.int64)
        found.append(out[:, : _find_phrase(data, readonly(lines), word, where, out)])
    line, starts, ends = np.concatenate(found, axis=1)
    order = np.argsort(starts, kind="stable")
    rows = text[line[order]]
    return TextSpans(rows, starts[order] - offsets[rows], ends[order] - offsets[rows])


@kernel
def _find_phrase(
    data: Bytes, lines: npt.NDArray[np.int64], word: Bytes, where: Int, out: npt.NDArray[np.int64]
) -> Int:
    """Fill the rows line, start and end of `out`; lines are starts, ends, first and last."""
    count = 0
    for line in range(lines.shape[1]):
        first, last = lines[2, line], lines[3, line]
        at = last - len(word) if where == _END else first
        stop = first if where == _START else last - len(word)
        while first <= at <= stop and at + len(word) <= last:
            after = at + len(word)
            apart = _apart(data, first, at, last) and _apart(data, first, after, last)
            if not (apart and _is(data, at, after, word)):
                at += 1
                continue
            start, end = at, after
            if first == at and last == after:
                start, end = lines[0, line], lines[1, line]
            elif where == _START:
                end += end < last and data[end] <= 32
            else:
                start -= start > first and data[start - 1] <= 32
            out[0, count], out[1, count], out[2, count] = line, start, end
            count += 1
            at = after
    return count


@kernel
def _apart(data: Bytes, first: Int, at: Int, last: Int) -> bool:
    """Say whether no ASCII word goes on across `at`, within a line."""
    if at in (first, last) or data[at - 1] > 127 or data[at] > 127:
        return True
    alnum = LETTER | DIGIT
    return not (ASCII_CLASSES[data[at - 1]] & alnum and ASCII_CLASSES[data[at]] & alnum)
