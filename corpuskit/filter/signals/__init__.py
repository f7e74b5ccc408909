"""Signals: facts about one document (or one line of it), each a pure function from a batch to a column.

A signal states a fact; a rule (a row of a table in `filter/tables`) holds the opinion about it. Everywhere
null means undefined (0/0), never 0. What a word, a line and a sentence is, is said once: in
`corpuskit.kernels.words` and `corpuskit.filter.signals.lines`.

>>> import pyarrow as pa
>>> batch = pa.RecordBatch.from_pydict({"text": ["The cat sat on the mat.", ""]})
>>> columns = compute(["word_count", "mean_word_length"], batch)
>>> columns["word_count"].to_pylist()
[6, 0]
>>> columns["mean_word_length"].to_pylist()
[3.0, None]
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from corpuskit.errors import UsageError
from corpuskit.filter.signals import (
    by_line,
    diversity,
    image,
    language,
    lines,
    news,
    order,
    phrases,
    questions,
    repetition,
    url,
    words,
)
from corpuskit.filter.signals.by_line import Lines, TextSpans, citations, spans
from corpuskit.filter.signals.phrases import phrase_count
from corpuskit.filter.signals.signal import Scan, Signal
from corpuskit.settings import suggest

__all__ = [
    "IMAGE_SIGNALS",
    "LINE_SIGNALS",
    "LISTED",
    "SIGNALS",
    "TextSpans",
    "Lines",
    "Scan",
    "Signal",
    "citations",
    "compute",
    "compute_images",
    "compute_lines",
    "phrase_count",
    "register",
]

_documents = {
    signal.name: signal
    for module in (words, lines, repetition, diversity, order, phrases, questions, language, url, news, image)
    for signal in module.SIGNALS
}
_lines = {signal.name: signal for signal in (*by_line.SIGNALS, *phrases.LINE_SIGNALS)}

SIGNALS: Mapping[str, Signal] = MappingProxyType(_documents)
"""Signals with one value a document, by name."""

LISTED = frozenset({"question_overlap", "news_host", "noun_ratio"})
"""Document signals that read a list of the user's; `news_host` has one of its own too."""

LINE_SIGNALS: Mapping[str, Signal] = MappingProxyType(_lines)
"""Signals with one value a line, by name: for rules that cut lines."""


IMAGE_SIGNALS: Mapping[str, Signal] = MappingProxyType({one.name: one for one in image.IMAGE_SIGNALS})
"""Signals with one value an image, by name: for rules that drop images."""


def register(*signals: Signal) -> None:
    """Add document signals to `SIGNALS`, so that rule tables and the command line know them.

    Raises:
        UsageError: a signal of that name is there already.
    """
    for signal in signals:
        if _documents.setdefault(signal.name, signal) is not signal:
            raise UsageError(f"signal {signal.name!r} exists already", fix="give the new signal another name")


def compute(
    names: Iterable[str], batch: pa.RecordBatch, lists: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, pa.Array]:
    """Compute the named document signals of a batch, each kernel pass once.

    `lists` gives the lines of the lists that some signals read: `LISTED` names these signals.

    Returns:
        A column of `batch.num_rows` values for each name, in the order asked for.

    Raises:
        UsageError: a name is not in `SIGNALS`; the fix suggests the nearest one.
    """
    wanted = [_find(name, SIGNALS) for name in names]
    scan = Scan(batch, lists)
    return {signal.name: signal.values(scan) for signal in wanted}


def compute_lines(names: Iterable[str], batch: pa.RecordBatch) -> Lines:
    """Compute the named line signals for every line of every text of a batch, each kernel pass once.

    Raises:
        UsageError: a name is not in `LINE_SIGNALS`; the fix suggests the nearest one.
    """
    wanted = [_find(name, LINE_SIGNALS) for name in names]
    scan = Scan(batch)
    return spans(scan, {signal.name: signal.values(scan) for signal in wanted})


def compute_images(
    names: Iterable[str], batch: pa.RecordBatch
) -> tuple[np.ndarray[Any, Any], dict[str, pa.Array]]:
    """Compute the named image signals for every image of a batch: the row of each image, and the columns.

    Raises:
        UsageError: a name is not in `IMAGE_SIGNALS`; the fix suggests the nearest one.
    """
    wanted = [_find(name, IMAGE_SIGNALS) for name in names]
    scan = Scan(batch)
    return image.rows_of(scan), {signal.name: signal.values(scan) for signal in wanted}


def _find(name: str, known: Mapping[str, Signal]) -> Signal:
    if name not in known:
        raise UsageError(f"unknown signal {name!r}", fix=suggest(name, known))
    return known[name]
