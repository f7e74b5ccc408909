"""Signals of a document's URL: words that adult sites have in theirs."""

from functools import cache
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.filter.signals.signal import Scan, Signal, counts
from corpuskit.kernels.phrases import Phrases
from corpuskit.kernels.utf8 import buffers

__all__ = ["SIGNALS"]


@cache
def _listed(name: str) -> tuple[str, ...]:
    """Read a list that lies beside the tables, as lower-case letters and digits."""
    text = resources.files("corpuskit.filter").joinpath("tables", name).read_text("utf-8")
    lines = pa.array([line for line in text.splitlines() if line and not line.startswith("#")], pa.string())
    return tuple(_squeezed(lines, "").to_pylist())


@cache
def _words(name: str) -> Phrases:
    return Phrases(_listed(name), whole_words=True)


@cache
def _subwords() -> Phrases:
    return Phrases(_listed("url_subwords.txt"))


def _squeezed(urls: pa.Array, between: str) -> pa.Array:
    return pc.replace_substring_regex(pc.ascii_lower(urls), r"[^a-z0-9]+", between)


def _count(scan: Scan, phrases: Phrases, between: str) -> pa.Array:
    urls = scan.column("url") if "url" in scan.batch.schema.names else pa.nulls(scan.rows, pa.string())
    data, offsets = buffers(_squeezed(urls, between))
    return counts(phrases.count(data, offsets[:-1], offsets[1:]), np.asarray(pc.is_null(urls)))


_INT = pa.int64()

SIGNALS = (
    Signal(
        "url_hard_word_count",
        _INT,
        "Words of the URL that stand for adult content by themselves; null without a URL.",
        lambda scan: _count(scan, _words("url_hard_words.txt"), " "),
        reads=("url",),
    ),
    Signal(
        "url_soft_word_count",
        _INT,
        "Words of the URL that stand for adult content if there are several; null without a URL.",
        lambda scan: _count(scan, _words("url_soft_words.txt"), " "),
        reads=("url",),
    ),
    Signal(
        "url_subword_count",
        _INT,
        "Pieces of the URL, its punctuation left out, that stand for adult content; null without a URL.",
        lambda scan: _count(scan, _subwords(), ""),
        reads=("url",),
    ),
)
"""Document signals of the URL. Words are runs of ASCII letters and digits, in any case.

Source: Penedo et al. 2023 (RefinedWeb), appendix G.1; the lists are FineWeb's (datatrove's URLFilter).
Deviation: a soft word that occurs twice counts twice.
"""
