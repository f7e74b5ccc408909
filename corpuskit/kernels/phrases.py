"""Counts of phrases in texts, any number of phrases in one pass (Aho and Corasick 1975), in any case.

The automaton reads the bytes of the lower-cased text. Between a word and what is no word it also reads an
edge symbol, so that whole words are found by the phrase itself having edges, and no match is looked at twice.
"""

from collections import deque
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.bits import HIGH, chunk
from corpuskit.kernels.unicode import DIGIT, IGNORABLE, LETTER, MARK, SPACE, UNSPACED
from corpuskit.kernels.utf8 import ASCII_CLASSES, Bytes, Offsets, class_of, decode, encode, lower_of, readonly

_EDGE = 256
_THREE = np.uint64(0xFFFFFF)
_LOWER = np.uint64(0x202020)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_NONE, _OTHER, _BLANK, _WORD, _UNSPACED = -1, 0, 1, 2, 3


class Automaton(NamedTuple):
    """The automaton of some phrases.

    Attributes:
        starts: Whether a phrase may begin with three bytes, by their `_place`.
        columns: The column of `steps` for each byte and for the edge; 0 for those in no phrase.
        steps: The next state, by state and column.
        found: How many phrases end in each state.
    """

    starts: npt.NDArray[np.bool_]
    columns: npt.NDArray[np.int32]
    steps: npt.NDArray[np.int32]
    found: npt.NDArray[np.int32]


def _ascii_kind(byte: int) -> int:
    if ASCII_CLASSES[byte] & SPACE:
        return _BLANK
    return _WORD if ASCII_CLASSES[byte] & (LETTER | DIGIT) or byte == ord("_") else _OTHER


_ASCII_KINDS = np.array([_ascii_kind(byte) for byte in range(128)], np.int8)
_ASCII_LOWER = np.array(
    [32 if chr(byte).isspace() else ord(chr(byte).lower()) for byte in range(128)], np.uint8
)


class Phrases:
    r"""Phrases to count.

    Letters match in any case (one code point for one), any whitespace matches a space, and joiners and soft
    hyphens in the text are skipped.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> data, offsets = buffers(pa.array(["Lorem ipsum, LOREM\nIPSUM", "lorems ipsum"]))
    >>> Phrases(["lorem ipsum"]).count(data, offsets[:-1], offsets[1:]).tolist()
    [2, 0]
    >>> Phrases(["ass"], whole_words=True).count(data, offsets[:-1], offsets[1:]).tolist()
    [0, 0]
    """

    def __init__(self, phrases: Iterable[str], *, whole_words: bool = False) -> None:
        """Build the automaton.

        Args:
            phrases: Empty ones are ignored, and repeats count once.
            whole_words: A phrase that begins or ends with a letter, digit or underscore must begin or end
                with a word there. Letters of scripts without spaces match anywhere.
        """
        symbols = {_spell(phrase, whole_words) for phrase in phrases} - {()}
        used = sorted({symbol for spelling in symbols for symbol in spelling})
        columns = np.zeros(257, np.int32)
        columns[used] = np.arange(1, len(used) + 1)
        steps, found = _automaton(sorted(symbols), columns, len(used) + 1)
        self._automaton = Automaton(_starts(symbols), columns, steps, found)

    def count(self, data: Bytes, starts: Offsets, ends: Offsets) -> npt.NDArray[np.int64]:
        """Return how often phrases occur in each `data[starts[i]:ends[i]]`, overlapping ones all counted."""
        out = np.zeros(len(starts), np.int64)
        spans = readonly(data), readonly(starts), readonly(ends)
        _count(*spans, self._automaton, out)
        return out


def _spell(phrase: str, whole_words: bool) -> tuple[int, ...]:
    """Return the symbols of a phrase: the bytes, and the edges between words and other characters."""
    data = np.frombuffer(phrase.encode(), np.uint8)
    out = np.zeros(3 * len(data), np.int64)
    size, first, last = _symbols(readonly(data), out)
    symbols = [int(symbol) for symbol in out[:size]]
    if whole_words and first == _WORD:
        symbols.insert(0, _EDGE)
    if whole_words and last == _WORD:
        symbols.append(_EDGE)
    return tuple(symbols)


def _starts(spellings: Iterable[tuple[int, ...]]) -> npt.NDArray[np.bool_]:
    """Return where in `Automaton.starts` the first three bytes of phrases lead that begin in ASCII."""
    blanks = [byte for byte in range(128) if _ASCII_KINDS[byte] == _BLANK]
    out = np.zeros(4096, np.bool_)
    for spelling in spellings:
        head = [symbol for symbol in spelling if symbol != _EDGE][:3]
        choices: list[Iterable[int]] = [range(128)] * 3
        for i, symbol in enumerate(
            head
        ):  # After a blank there may be more of them: any number counts as one.
            choices[i] = [symbol, *blanks] if ord(" ") in head[: i + 1] else [symbol]
        for one, two, three in product(*choices):
            out[_place(np.uint64(one | two << 8 | three << 16))] = True
    return out


def _automaton(
    spellings: list[tuple[int, ...]], columns: npt.NDArray[np.int32], width: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the next state for (state, symbol), and the phrases that end in each state."""
    children: list[dict[int, int]] = [{}]
    found = [0]
    for spelling in spellings:
        state = 0
        for symbol in spelling:
            column = int(columns[symbol])
            if column not in children[state]:
                children[state][column] = len(children)
                children.append({})
                found.append(0)
            state = children[state][column]
        found[state] += 1
    steps = np.zeros((len(children), width), np.int32)
    fallback = [0] * len(children)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        if state:
            steps[state] = steps[fallback[state]]
            found[state] += found[fallback[state]]
        for column, child in children[state].items():
            fallback[child] = int(steps[state, column]) if state else 0
            steps[state, column] = child
            queue.append(child)
    return steps, np.array(found, np.int32)


@kernel
def _next(data: Bytes, at: Int, end: Int, kind: Int) -> tuple[Int, Int, Int]:
    """Return the lower-cased code point at `at`, its kind, and where the next begins; -1 for one to skip."""
    code, size = np.int64(data[at]), 1
    if code < 128:
        now = np.int64(_ASCII_KINDS[code])
        return (-1 if now == _BLANK == kind else np.int64(_ASCII_LOWER[code])), now, at + 1
    code, size = decode(data, at, end)
    flags = class_of(code)
    at += size
    if flags & SPACE:
        return (-1 if kind == _BLANK else 32), _BLANK, at
    if flags & IGNORABLE:
        return -1, kind, at
    if flags & UNSPACED:
        return code, _UNSPACED, at
    if flags & (LETTER | DIGIT):
        return lower_of(code), _WORD, at
    if flags & MARK and kind >= _WORD:
        return code, kind, at
    return code, _OTHER, at


@kernel
def _symbols(data: Bytes, out: npt.NDArray[np.int64]) -> tuple[Int, Int, Int]:
    """Write the symbols of a phrase; return how many, and the kinds of its ends."""
    first = kind = _NONE
    at = put = 0
    eight = np.zeros(4, np.uint8)
    while at < len(data):
        before = kind
        code, kind, at = _next(data, at, len(data), before)
        if code < 0:
            continue
        if before == _NONE:
            first = kind
        elif before != kind and max(before, kind) >= _WORD:
            out[put] = _EDGE
            put += 1
        for i in range(encode(code, eight, 0)):
            out[put] = eight[i]
            put += 1
    return put, first, kind


@kernel
def _idle(data: Bytes, at: Int, end: Int, kind: Int, automaton: Automaton) -> tuple[Int, Int]:
    """Skip ASCII characters at which no phrase begins; return where one may, and the kind before it."""
    starts = automaton.starts
    inside = automaton.steps[0, automaton.columns[_EDGE]] == 0
    while at < end:
        three = chunk(data, at) & _THREE
        if three & HIGH:
            break
        now = np.int64(_ASCII_KINDS[data[at]])
        if (inside or now != kind or now != _WORD) and starts[_place(three)]:
            break
        kind = now
        at += 1
    return at, kind


@kernel
def _place(three: Int) -> Int:
    """Return the place of three bytes, whatever the case of their letters, in `Automaton.starts`."""
    return np.int64(((three | _LOWER) * _SPREAD) >> np.uint64(52))


@kernel
def _count(
    data: Bytes,
    starts: Offsets,
    ends: Offsets,
    automaton: Automaton,
    out: npt.NDArray[np.int64],
) -> None:
    columns, steps, found = automaton.columns, automaton.steps, automaton.found
    edge = columns[_EDGE]
    symbols = np.zeros(4, np.uint8)
    for span in range(len(starts)):
        at, end = starts[span], ends[span]
        state, kind, total = np.int32(0), np.int64(_OTHER), 0
        while at < end:
            if state == 0:
                at, kind = _idle(data, at, end, kind, automaton)
                if at == end:
                    break
            before = kind
            code, kind, at = _next(data, at, end, before)
            if code < 0:
                continue
            if before != kind and max(before, kind) >= _WORD:
                state = steps[state, edge]
                total += found[state]
            if code < 128:
                state = steps[state, columns[code]]
                total += found[state]
                continue
            for i in range(encode(code, symbols, 0)):
                state = steps[state, columns[symbols[i]]]
                total += found[state]
        if kind >= _WORD:
            total += found[steps[state, edge]]
        out[span] = total
