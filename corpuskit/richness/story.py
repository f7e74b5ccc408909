"""Tells richness: tables 80 columns wide, without colour, and a page."""

from __future__ import annotations

import dataclasses
import html
import textwrap
from collections.abc import Iterator, Sequence

from corpuskit.report import Rows, page, size_text, table_html, table_text, visible
from corpuskit.richness import Difference, Richness, Source

__all__ = ["page_of", "tell"]

_NULL = "-"

_Columns = dict[str, tuple[str, int]]
"""Of each measure its title and how many digits after the point are shown."""

_REPETITION: _Columns = {
    "distinct_1": ("distinct-1", 3),
    "distinct_2": ("distinct-2", 3),
    "distinct_4": ("distinct-4", 3),
    "compression_ratio": ("compression", 2),
}
_VOCABULARY: _Columns = {
    "mtld": ("MTLD", 1),
    "entropy_1": ("bits-1", 2),
    "entropy_2": ("bits-2", 2),
    "zipf_slope": ("Zipf", 2),
    "heaps_exponent": ("Heaps", 2),
}
_SPREAD: _Columns = {
    "languages": ("languages", 2),
    "hosts": ("hosts", 1),
    "years": ("years", 2),
    "vendi_score": ("Vendi", 1),
    "clusters": ("clusters", 1),
}
_COMPARED: _Columns = {
    "distinct_1": ("distinct words", 3),
    "distinct_2": ("distinct 2-grams", 3),
    "distinct_4": ("distinct 4-grams", 3),
    "compression_ratio": ("compression ratio", 2),
    "mtld": ("MTLD, words", 1),
    "entropy_1": ("entropy of words, bits", 2),
    "entropy_2": ("entropy of 2-grams, bits", 2),
    "zipf_slope": ("Zipf slope", 2),
    "heaps_exponent": ("Heaps exponent", 2),
    "languages": ("languages, effective", 2),
    "hosts": ("hosts, effective", 1),
    "years": ("years, effective", 2),
    "vendi_score": ("Vendi score", 1),
    "clusters": ("clusters, effective", 1),
}
_DIFFERENCE_HEAD = ("measure", "first", "second", "difference", "noise", "")

_OF_REPETITION = (
    "Repetition, in {words:,} words of each row, drawn by hash. distinct-n: share of the runs of n words "
    "that are distinct; richer is higher. compression: how many times smaller zstd makes the text; richer "
    "is lower."
)
_OF_VOCABULARY = (
    "Vocabulary, in the same words. MTLD: words read until many have come before; bits-n: entropy of runs "
    "of n words; Heaps: how fast new words still come; richer is higher. Zipf: slope of frequency by rank; "
    "natural text is near -1."
)
_OF_SPREAD = (
    "Spread, as effective numbers: so many, equally frequent, would be as varied. languages and years: of "
    "all documents that have one. hosts, Vendi score and clusters of vectors: of {documents:,} documents, "
    "drawn by hash."
)
_OF_DIFFERENCES = (
    "{first} (first) and {second} (second), all of each. Noise: what the difference would stay within 19 "
    "times in 20 if both were of one kind. Of twenty measures that are the same, one will seem to differ."
)
_OF_GAPS = (
    "-: undefined, or too few for the sample: fewer than {words:,} words (--words), or {documents:,} "
    "documents with a host or a vector (--documents). Zipf needs 1,000 distinct words. Measures that no row "
    "has are left out."
)


def tell(found: Richness) -> Iterator[str]:
    """Yield the lines."""
    for block, head, rows in _blocks(found):
        yield textwrap.fill(visible(block), 80)
        if head:
            yield table_text(head, rows)


def page_of(found: Richness) -> str:
    """Return a page with the same tables."""
    body = [f"<h1>{html.escape(found.corpora[0].path)}: richness</h1>"]
    for block, head, rows in _blocks(found):
        body.append(f"<p>{html.escape(block)}</p>" + (table_html(head, rows) if head else ""))
    return page(f"{found.corpora[0].path}: richness", body)


def _blocks(found: Richness) -> Iterator[tuple[str, Sequence[str], Rows]]:
    """Yield what is said, and the head and rows of the table that follows it; no head, no table."""
    sizes = [(name, f"{one.documents:,}", size_text(one.text_bytes)) for name, one in _rows(found)]
    yield "How rich the text is: of each dataset, and of its sources.", ("", "documents", "text"), sizes
    for told, columns in (
        (_OF_REPETITION, _REPETITION),
        (_OF_VOCABULARY, _VOCABULARY),
        (_OF_SPREAD, _SPREAD),
    ):
        shown = {name: column for name, column in columns.items() if _is_known(found, name)}
        if shown:
            head = ("", *(title for title, _ in shown.values()))
            rows = [(name, *_cells(one, shown)) for name, one in _rows(found)]
            yield told.format(**dataclasses.asdict(found.sampling)), head, rows
    if found.differences():
        first, second = (corpus.path for corpus in found.corpora)
        yield _OF_DIFFERENCES.format(first=first, second=second), _DIFFERENCE_HEAD, _compared(found)
    if any(one.measures[name].value is None for _, one in _rows(found) for name in _COMPARED):
        yield _OF_GAPS.format(**dataclasses.asdict(found.sampling)), (), ()


def _rows(found: Richness) -> Iterator[tuple[str, Source]]:
    """Yield what has a row: each dataset, and under it its sources where there are several."""
    for corpus in found.corpora:
        yield corpus.path, corpus.whole
        for one in corpus.sources if len(corpus.sources) > 1 else ():
            yield f"  {'other sources' if one.name is None else one.name}", one


def _is_known(found: Richness, name: str) -> bool:
    return any(one.measures[name].value is not None for _, one in _rows(found))


def _cells(source: Source, columns: _Columns) -> Iterator[str]:
    for name, (_, digits) in columns.items():
        yield _number(source.measures[name].value, digits)


def _compared(found: Richness) -> Rows:
    first, second = (corpus.whole for corpus in found.corpora)
    differences = found.differences()
    return [
        (
            label,
            _number(first.measures[name].value, digits),
            _number(second.measures[name].value, digits),
            _number(differences[name].difference, digits, "+"),
            _number(differences[name].noise, digits),
            _verdict(differences[name]),
        )
        for name, (label, digits) in _COMPARED.items()
        if _is_known(found, name)
    ]


def _verdict(found: Difference) -> str:
    return "" if found.differs is None else "differs" if found.differs else "noise"


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return _NULL if value is None else f"{value:{sign}z,.{digits}f}"
