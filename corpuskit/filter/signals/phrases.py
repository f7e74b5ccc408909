"""Signals that count phrases: placeholder text, bad words, script notices and policy links."""

from collections.abc import Iterable
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.lines import line_table
from corpuskit.filter.signals.signal import Scan, Signal, counts
from corpuskit.kernels.phrases import Phrases

POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
"""Source: Raffel et al. 2020 (C4; tfds `c4_utils`)."""


def phrase_count(
    batch: pa.RecordBatch, phrases: Iterable[str], *, whole_words: bool = True
) -> npt.NDArray[np.int64]:
    """Return how often any of the phrases occurs in each text of a batch, in any case.

    >>> batch = pa.RecordBatch.from_pydict({"text": ["Darn it! Darned.", "fine"]})
    >>> phrase_count(batch, ["darn", "darn it"]).tolist()
    [2, 0]
    """
    data, offsets = Scan(batch).text
    return Phrases(phrases, whole_words=whole_words).count(data, offsets[:-1], offsets[1:])


@cache
def _lorem_ipsum() -> Phrases:
    return Phrases(["lorem ipsum"])


@cache
def _javascript() -> Phrases:
    return Phrases(["javascript"])


@cache
def _policy() -> Phrases:
    return Phrases(POLICY_PHRASES)


@cache
def _bad_words() -> Phrases:
    table = resources.files("corpuskit.filter").joinpath("tables", "bad_words.txt")
    lines = (line.strip() for line in table.read_text("utf-8").splitlines())
    return Phrases((line for line in lines if not line.startswith("#")), whole_words=True)


def _in_texts(scan: Scan, phrases: Phrases) -> pa.Array:
    data, offsets = scan.text
    return counts(phrases.count(data, offsets[:-1], offsets[1:]))


def _in_lines(scan: Scan, phrases: Phrases) -> pa.Array:
    data, _ = scan.text
    spans = scan.once(line_table).spans
    return pa.array(phrases.count(data, spans.first, spans.last) > 0)


_INT, _BOOL = pa.int64(), pa.bool_()

SIGNALS = (
    Signal(
        "lorem_ipsum_count",
        _INT,
        'How often "lorem ipsum" occurs, in any case.',
        lambda scan: _in_texts(scan, _lorem_ipsum()),
    ),
    Signal(
        "bad_word_count",
        _INT,
        "How often words of the list of dirty words (LDNOOBW) occur, as whole words and in any case.",
        lambda scan: _in_texts(scan, _bad_words()),
    ),
)
"""Document signals of phrases. Source: Raffel et al. 2020 (C4; tfds `c4_utils`)."""

LINE_SIGNALS = (
    Signal(
        "line_has_javascript",
        _BOOL,
        'Whether "javascript" occurs in the line, in any case.',
        lambda scan: _in_lines(scan, _javascript()),
    ),
    Signal(
        "line_has_policy",
        _BOOL,
        "Whether the line speaks of terms of use, privacy policy or cookies.",
        lambda scan: _in_lines(scan, _policy()),
    ),
)
"""Line signals of phrases. Source: Raffel et al. 2020 (C4; tfds `c4_utils`)."""
