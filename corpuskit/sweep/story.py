"""Tells a sweep: a table and the documents close to each bound, 80 columns wide, without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from corpuskit.sweep import Sweep
from corpuskit.sweep.counting import Example, Step

__all__ = ["tell"]


def tell(found: Sweep) -> Iterator[str]:
    """Yield the lines."""
    yield _clipped(f"{found.path}: {found.rule}", 80)
    documents, words = _counted(found.documents, "document"), _counted(found.words, "word")
    yield from _wrapped(f"{documents}, {words}. {_explanation(found)}")
    yield ""
    yield from _table(found)
    for step in found.steps:
        yield ""
        yield f"around {_bound(found, step)}"
        if not step.examples:
            yield "  no document has a value"
        for example in step.examples:
            yield from _example(example)


def _explanation(found: Sweep) -> str:
    """Say what the numbers leave out."""
    told = []
    if found.unjudged:
        verb = "has no value, or is" if found.unjudged == 1 else "have no value, or are"
        kept = f"{_counted(found.unjudged, 'document')} {verb} in a language the rule is not meant for:"
        told.append(f"{kept} kept by any bound.")
    for one in found.filtered:
        before = f", before {one.dataset} was written" if one.dataset else ""
        told.append(f"{one.rule} had rejected {_counted(one.documents, 'document')}{before}.")
    if any(one.dataset for one in found.filtered):
        told.append("Documents rejected earlier are not counted: sweep the dataset before.")
    if any(one.dataset is None for one in found.filtered):
        told.append(
            f"{_counted(found.rejected, 'document')} broke no other rule: back, and counted in the share, "
            "where a bound keeps them; their words are not known."
        )
    return " ".join(told)


def _table(found: Sweep) -> Iterator[str]:
    back = bool(found.rejected)
    head = ["bound", "documents", *(["back"] if back else []), "share", "words", "share"]
    rows = [
        [
            _bound(found, step),
            f"{step.documents:,}",
            *([f"{step.returned:,}"] if back else []),
            _share(step.documents + step.returned, found.documents + found.rejected),
            f"{step.words:,}",
            _share(step.words, found.words),
        ]
        for step in found.steps
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        yield "   ".join(cells)


def _example(example: Example) -> Iterator[str]:
    verdict = "kept" if example.kept else "dropped"
    head = f"  {verdict:<8} {_number(example.value):>9}  "
    yield head + _clipped(example.url or example.id, 80 - len(head))
    yield f"           {_clipped(example.text, 69)}".rstrip()


def _bound(found: Sweep, step: Step) -> str:
    return f"{'>=' if found.direction == 'min' else '<='} {_number(step.bound)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"


def _clipped(text: str, width: int) -> str:
    r"""Make one line of at most `width` columns that moves no cursor and turns no text around.

    >>> _clipped("a\x1b[2J\nb\u202ec " + "x" * 9, 12)
    'a�[2J b�c x…'
    """
    from rich.cells import cell_len, set_cell_size

    line = " ".join("".join(char if char.isprintable() else _shown(char) for char in text).split())
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"


def _shown(char: str) -> str:
    return " " if char.isspace() else "\ufffd"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(_clipped(text, len(text) * 2), 80)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
