"""Where the sentences of a line begin, and how many there are.

The last sentence of a line ends with the line. Within a line a sentence ends at a run of terminal marks, and
the quotation marks and brackets that close after it, if whitespace follows; marks of full width (。！？) need
none. After one or more full stops:

- "..." and "…" end a sentence if a capital follows;
- after a number, a full stop ends none if a small letter follows;
- after "No." and the like, a full stop ends none if a number follows;
- after an initial ("J."), a dotted abbreviation ("U.S.") or a known one ("Dr."), a full stop ends a sentence
  only if a word follows that often begins one ("The").

This follows nltk's punkt, with which C4 counts (Raffel et al. 2020; tfds `c4_utils`), without its trained
model. On 1,000 documents of C4 both find the same number in 97.4 % of the lines, this finds 0.5 % fewer in
all, and whether a document has three sentences differs for two of them. Where they differ on a full stop,
punkt mostly breaks after an abbreviation it does not know ("B.C. the").
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.bits import HIGH, chunk, equal, keep, trailing_zeros
from corpuskit.kernels.unicode import DIGIT, LETTER, LOWER, SPACE, TERMINAL, UPPER
from corpuskit.kernels.utf8 import Bytes, Offsets, before, class_of, decode, readonly

_ABBREVIATIONS = (
    "adm al approx apr assn assoc aug ave bldg blvd bros calif capt cf cie cmdr co col colo comdr conn "
    "corp cos ct dec dept dist dr drs ed eds est etc feb fig figs fla fr ft ga gen gov hon hr inc ill ind "
    "jan jr jul jun lt ltd maj mass messrs mfg mich min minn mo mr mrs ms mt nev nov oct ok okla ont ore "
    "pa pp pres prof prop pt pvt que rep reps rev sen sens sep sept sgt sp sq sr st ste supt tel tenn tex "
    "univ va vol vols vs vt wash wis wyo"
)
_STARTERS = (
    "a about after all also although an and another any anyone are as at because before both but by can "
    "despite did do during each even every finally first for from get here his how however i i'm i've if "
    "in instead is it it's its just let like many more most my no not now of on once one or other our "
    "over perhaps please she since so some still such that that's the their then there these they this "
    "those though through thus to today until we well what when where whether which while who why will "
    "with without yes yet you your"
)
_BEFORE_NUMBERS = "app art ch eq no nos nr par sec tab ver"


def _keys(words: Iterable[str]) -> npt.NDArray[np.uint64]:
    return np.array(sorted(int.from_bytes(word.encode(), "little") for word in words), np.uint64)


_ABBREVIATION_KEYS = _keys(_ABBREVIATIONS.split())
_BEFORE_NUMBER_KEYS = _keys(_BEFORE_NUMBERS.split())
_STARTER_KEYS = _keys(_STARTERS.split())
_SPACES = np.uint64(0x2020202020202020)
_CLOSERS = np.array([ord(mark) for mark in "\"'”’)]}»」』）】"], np.int64)
_OPENERS = np.array([ord(mark) for mark in "\"'“‘([{«「『*"], np.int64)
_WIDE = np.array([ord(mark) for mark in "。！？｡"], np.int64)
_DOT, _ELLIPSIS, _APOSTROPHE = 0x2E, 0x2026, 0x27


class Mark(NamedTuple):
    """A run of terminal marks: where it ends, how many there are, whether all are dots and one is wide."""

    end: Int
    size: Int
    dots: bool
    wide: bool


def count_sentences(data: Bytes, starts: Offsets, ends: Offsets) -> npt.NDArray[np.int64]:
    """Return the sentences of each line `data[starts[i]:ends[i]]`: at least one.

    Lines are without whitespace at their ends and not empty.

    >>> text = b"Mr. Smith went to the U.S. in May. He liked it!"
    >>> count_sentences(np.frombuffer(text, np.uint8), np.array([0]), np.array([len(text)])).tolist()
    [2]
    """
    out = np.ones(len(starts), np.int64)
    _count_sentences(readonly(data), readonly(starts), readonly(ends), out)
    return out


def sentence_starts(data: Bytes, starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
    """Return where each sentence of some lines begins, and the line it is of.

    Lines are without whitespace at their ends and not empty.

    >>> text = b"It rains. Dr. Ng stays in."
    >>> places, lines = sentence_starts(np.frombuffer(text, np.uint8), np.array([0]), np.array([len(text)]))
    >>> places.tolist(), lines.tolist()
    ([0, 10], [0, 0])
    """
    arrays = (readonly(data), readonly(starts), readonly(ends))
    counts = np.ones(len(starts), np.int64)
    _count_sentences(*arrays, counts)
    out = np.empty(int(counts.sum()), np.int64)
    _sentence_starts(*arrays, out)
    return out, np.repeat(np.arange(len(starts)), counts)


@kernel
def _count_sentences(data: Bytes, starts: Offsets, ends: Offsets, out: npt.NDArray[np.int64]) -> None:
    for line in range(len(starts)):
        start, end = starts[line], ends[line]
        at = _next_sentence(data, start, start, end)
        while at < end:
            out[line] += 1
            at = _next_sentence(data, at, start, end)


@kernel
def _sentence_starts(data: Bytes, starts: Offsets, ends: Offsets, out: Offsets) -> None:
    put = 0
    for line in range(len(starts)):
        start, end = starts[line], ends[line]
        at = start
        while at < end:
            out[put] = at
            put += 1
            at = _next_sentence(data, at, start, end)


@kernel
def _next_sentence(data: Bytes, at: Int, start: Int, end: Int) -> Int:
    """Return where the sentence after the one at `at` begins, in the line from `start` to `end`, or `end`."""
    at = _next_mark(data, at, end)
    while at < end:
        mark = _mark(data, at, end)
        after = _skip(data, mark.end, end, _CLOSERS)
        follows = _skip_space(data, after, end)
        if follows < end and (
            mark.wide or (follows > after and _ends(data, (start, at, follows, end), mark))
        ):
            return follows
        at = _next_mark(data, max(after, at + 1), end)
    return end


@kernel
def _next_mark(data: Bytes, at: Int, end: Int) -> Int:
    """Return where the next terminal mark or ellipsis begins."""
    while at < end:
        eight = chunk(data, at)
        stop = (eight & HIGH) | equal(eight, 46) | equal(eight, 33) | equal(eight, 63)
        place = trailing_zeros(stop) >> 3
        at += place
        if place < 8 and at < end:
            code, size = decode(data, at, end)
            if code == _ELLIPSIS or class_of(code) & TERMINAL:
                return at
            at += size
    return end


@kernel
def _mark(data: Bytes, at: Int, end: Int) -> Mark:
    count = 0
    dots, wide = True, False
    while at < end:
        code, size = decode(data, at, end)
        if code != _ELLIPSIS and not class_of(code) & TERMINAL:
            break
        count += 2 if code == _ELLIPSIS else 1
        dots = dots and code in (_DOT, _ELLIPSIS)
        wide = wide or _among(code, _WIDE)
        at += size
    return Mark(at, count, dots, wide)


@kernel
def _among(code: Int, marks: npt.NDArray[np.int64]) -> bool:
    for mark in marks:  # noqa: SIM110 - numba has no any() over a generator
        if mark == code:
            return True
    return False


@kernel
def _skip(data: Bytes, at: Int, end: Int, marks: npt.NDArray[np.int64]) -> Int:
    while at < end:
        code, size = decode(data, at, end)
        if not _among(code, marks):
            break
        at += size
    return at


@kernel
def _skip_space(data: Bytes, at: Int, end: Int) -> Int:
    while at < end:
        code, size = decode(data, at, end)
        if not class_of(code) & SPACE:
            break
        at += size
    return at


@kernel
def _ends(data: Bytes, places: tuple[Int, Int, Int, Int], mark: Mark) -> bool:
    """Tell whether a sentence ends at a mark, given (start of line, mark, what follows, end of line)."""
    start, at, follows, end = places
    if not mark.dots:
        return True
    follows = _skip(data, follows, end, _OPENERS)
    following = class_of(decode(data, follows, end)[0]) if follows < end else np.int64(0)
    if mark.size > 1:
        return bool(following & UPPER)
    first = at
    while first > start and at - first < 16:
        last = before(data, start, first)
        if class_of(decode(data, last, first)[0]) & SPACE:
            break
        first = last
    first = _skip(data, first, at, _OPENERS)
    if _is_number(data, first, at):
        return not following & LOWER
    if following & DIGIT and _is_listed(data, first, at, _BEFORE_NUMBER_KEYS):
        return False
    if not _is_abbreviation(data, first, at):
        return True
    return bool(following & UPPER) and _is_starter(data, follows, end)


@kernel
def _is_number(data: Bytes, at: Int, end: Int) -> bool:
    for byte in data[at:end]:
        if not (48 <= byte <= 57 or byte == 44 or byte == 46):
            return False
    return bool(at < end)


@kernel
def _is_abbreviation(data: Bytes, at: Int, end: Int) -> bool:
    """Tell whether the word before a full stop is an initial, initials with full stops, or a known one."""
    if _is_listed(data, at, end, _ABBREVIATION_KEYS):
        return True
    letters = 0
    while at < end:
        code, size = decode(data, at, end)
        if class_of(code) & LETTER:
            letters += 1
            if letters > 1:
                return False
        elif code == _DOT and letters:
            letters = 0
        else:
            return False
        at += size
    return letters > 0


@kernel
def _is_starter(data: Bytes, at: Int, end: Int) -> bool:
    size = 0
    while at + size < end and size < 9:
        byte = data[at + size]
        if not (class_of(np.int64(byte)) & (LETTER | DIGIT) or byte == _APOSTROPHE) or byte > 127:
            break
        size += 1
    return _is_listed(data, at, at + size, _STARTER_KEYS)


@kernel
def _is_listed(data: Bytes, at: Int, end: Int, keys: npt.NDArray[np.uint64]) -> bool:
    """Tell whether `data[at:end]`, in any case, is one of the words of `_keys`."""
    if end - at > 8:
        return False
    key = keep(chunk(data, at) | _SPACES, end - at)
    place = np.searchsorted(keys, key)
    return bool(place < len(keys) and keys[place] == key)
