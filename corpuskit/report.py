"""`report`: the whole funnel of a dataset, from the archives to the last stage, as text, JSON or a page."""

from __future__ import annotations

import html
import io
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpuskit.contactsheet import Sheet, render, sheets
from corpuskit.dataset import Dataset
from corpuskit.funnel import Level, Rule, Section, funnel, upstream

__all__ = ["Report", "Rows", "page", "report", "size_text", "table_html", "table_text", "visible"]

_NOTE = (
    "Shares are of what came into the stage. A document that breaks several rules counts under each, "
    "so the rules may add up to more than was rejected. Words are runs between white space."
)


@dataclass(frozen=True)
class Report:
    """What `report` found; every count is one of the manifests'."""

    path: str
    documents: int
    words: int
    text_bytes: int
    file_bytes: int
    files: int
    sections: tuple[Section, ...]
    languages: Mapping[str, tuple[int, int]]
    """Documents and words by language, most documents first; `null` stands for documents without one."""
    words_of: Mapping[str, int]
    """Words of each dataset of the funnel that still stands, by the sha256 of its manifest."""
    sheets: tuple[Sheet, ...] = ()
    """Images that were kept and rejected, if any were asked for; only the page shows them."""

    def words_out(self, level: Level) -> int | None:
        """Return the words a stage gave on; null where its output was not written, or no longer stands."""
        return self.words_of.get(level.manifest) if level.manifest else None

    def json(self) -> dict[str, Any]:
        """Return everything as plain JSON values, with the names that manifests use."""
        return {
            "path": self.path,
            "documents": self.documents,
            "words": self.words,
            "text_bytes": self.text_bytes,
            "file_bytes": self.file_bytes,
            "files": self.files,
            "sections": [self._section(section) for section in self.sections],
            "languages": {
                code: {"documents": rows, "share": _ratio(rows, self.documents), "words": words}
                for code, (rows, words) in self.languages.items()
            },
        }

    def _section(self, section: Section) -> dict[str, Any]:
        sources = [
            {
                "name": source.name,
                "kind": source.kind,
                "files" if source.kind == "files" else "rows": source.count,
                "section": source.section,
            }
            for source in section.sources
        ]
        stages = [
            {
                "name": level.stage,
                "settings": dict(level.settings),
                "rows_in": level.rows_in,
                "rows_out": level.rows_out,
                "rejected": level.rejected,
                "kept": _ratio(level.rows_out, level.rows_in),
                "bytes_in": level.bytes_in,
                "bytes_out": level.bytes_out,
                "words_out": self.words_out(level),
                "rules": {rule.name: _rule(rule, level) for rule in level.rules},
                **({"facts": dict(level.facts)} if level.facts else {}),
            }
            for level in section.levels
        ]
        return {"name": section.name, "sources": sources, "stages": stages}

    def text(self) -> str:
        """Return tables for a terminal of 80 columns, without colour."""
        return "\n".join(_text(self))

    def html(self) -> str:
        """Return one page that loads nothing from elsewhere; everything a stranger wrote is escaped."""
        return page(f"{self.path}: report", _body(self))


def report(path: str, *, images: int = 0) -> Report:
    """Read the funnel of a finished dataset from its manifests alone.

    With `images`, look at so many images of those it keeps, and of those that each rule rejected.

    Raises:
        InputError: There is no finished dataset at `path`.
    """
    dataset = Dataset(path)
    rows: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for part in dataset.parts:
        for code, (documents, count) in part.languages.items():
            rows[code] += documents
            words[code] += count
    return Report(
        path=dataset.path,
        documents=dataset.rows,
        words=sum(part.words for part in dataset.parts),
        text_bytes=sum(part.text_bytes for part in dataset.parts),
        file_bytes=sum(part.file_bytes for part in dataset.parts),
        files=len(dataset.parts),
        sections=funnel(dataset),
        languages={
            code: (rows[code], words[code]) for code in sorted(rows, key=lambda code: (-rows[code], code))
        },
        words_of=dict(_words(dataset)),
        sheets=sheets(dataset, images) if images else (),
    )


def _words(dataset: Dataset) -> Iterator[tuple[str, int]]:
    yield dataset.sha256, sum(part.words for part in dataset.parts)
    for _, source in upstream(dataset):
        if source is not None:
            yield from _words(source)


def _rule(rule: Rule, level: Level) -> dict[str, Any]:
    return {
        "documents": rule.documents,
        "share": _ratio(rule.documents, level.rows_in),
        "spans": rule.spans,
        "bytes": rule.bytes,
        "bytes_share": None if level.bytes_in is None else _ratio(rule.bytes, level.bytes_in),
    }


Rows = Sequence[Sequence[str]]

_FUNNEL_HEAD = ("stage", "in", "out", "kept", "words out", "text out")
_REJECTED_HEAD = ("rejected by stage and rule", "documents", "share")
_CUT_HEAD = ("cut by stage and rule", "cuts", "text", "share")
_FACTS_HEAD = ("counted by stage", "number")
_LANGUAGES_HEAD = ("language", "documents", "share", "words", "share")


def _headline(found: Report) -> str:
    stored = f"{_count(found.files, 'file')} of {size_text(found.file_bytes)}"
    return (
        f"{_count(found.documents, 'document')}, {_count(found.words, 'word')}, "
        f"{size_text(found.text_bytes)} of text in {stored}"
    )


def _heading(section: Section, found: Report) -> str:
    name = f"{section.name}: " if len(found.sections) > 1 else ""
    return f"{name}from {' + '.join(section.reads())}"


def _funnel_rows(section: Section, found: Report) -> Rows:
    rows = []
    for level in section.levels:
        words = found.words_out(level)
        rows.append(
            (
                level.stage,
                f"{level.rows_in:,}",
                f"{level.rows_out:,}",
                _share(level.rows_out, level.rows_in),
                "" if words is None else f"{words:,}",
                "" if level.bytes_out is None else size_text(level.bytes_out),
            )
        )
    return rows


def _rejected_rows(section: Section) -> Rows:
    return _by_stage(
        section,
        lambda level, rule: (
            (f"{rule.documents:,}", _share(rule.documents, level.rows_in)) if rule.documents else None
        ),
    )


def _cut_rows(section: Section) -> Rows:
    return _by_stage(section, lambda level, rule: _cut(level, rule) if rule.spans else None)


def _cut(level: Level, rule: Rule) -> tuple[str, ...]:
    share = "" if level.bytes_in is None else _share(rule.bytes, level.bytes_in)
    return f"{rule.spans:,}", size_text(rule.bytes), share


def _by_stage(section: Section, cells: Callable[[Level, Rule], tuple[str, ...] | None]) -> Rows:
    """Write a row for each rule that has cells, under a row that names its stage."""
    rows: list[tuple[str, ...]] = []
    for level in section.levels:
        found = [(f"  {rule.name}", *told) for rule in level.rules if (told := cells(level, rule))]
        if found:
            rows += [(level.stage, *[""] * (len(found[0]) - 1)), *found]
    return rows


def _fact_rows(section: Section) -> Rows:
    rows: list[tuple[str, ...]] = []
    for level in section.levels:
        if level.facts:
            rows += [(level.stage, ""), *((f"  {name}", f"{count:,}") for name, count in level.facts.items())]
    return rows


def _language_rows(found: Report) -> Rows:
    return [
        ("none" if code == "null" else code, f"{rows:,}", _share(rows, found.documents),
         f"{words:,}", _share(words, found.words))
        for code, (rows, words) in found.languages.items()
    ]  # fmt: skip


def _text(found: Report) -> Iterator[str]:
    yield visible(f"{found.path}\n{_headline(found)}\n")
    yield textwrap.fill(_NOTE, 80) + "\n"
    for section in found.sections:
        yield textwrap.fill(visible(_heading(section, found)), 80)
        yield table_text(_FUNNEL_HEAD, _funnel_rows(section, found))
        for head, rows in _rules(section):
            yield table_text(head, rows)
    if found.languages:
        yield table_text(_LANGUAGES_HEAD, _language_rows(found))


def _rules(section: Section) -> Iterator[tuple[Sequence[str], Rows]]:
    tables = (
        (_REJECTED_HEAD, _rejected_rows(section)),
        (_CUT_HEAD, _cut_rows(section)),
        (_FACTS_HEAD, _fact_rows(section)),
    )
    for head, rows in tables:
        if rows:
            yield head, rows


def table_text(head: Sequence[str], rows: Rows) -> str:
    """Write a table 80 columns wide, without colour; all columns but the first are numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column(head[0], overflow="fold")
    for title in head[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(visible(cell) for cell in row))
    file = io.StringIO()
    console = Console(file=file, width=80, color_system=None, markup=False, emoji=False, highlight=False)
    console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _body(found: Report) -> Iterator[str]:
    yield f"<h1>{html.escape(found.path)}</h1><p>{html.escape(_headline(found))}</p>"
    yield f"<p><small>{html.escape(_NOTE)}</small></p>"
    for section in found.sections:
        yield f"<h2>{html.escape(_heading(section, found))}</h2>"
        bars = [level.rows_out / level.rows_in if level.rows_in else 0.0 for level in section.levels]
        yield table_html(_FUNNEL_HEAD, _funnel_rows(section, found), bars)
        for head, rows in _rules(section):
            yield table_html(head, rows)
    yield render(found.sheets)
    if found.languages:
        yield "<h2>Languages</h2>"
        bars = [rows / found.documents if found.documents else 0.0 for rows, _ in found.languages.values()]
        yield table_html(_LANGUAGES_HEAD, _language_rows(found), bars)


def table_html(head: Sequence[str], rows: Rows, bars: Iterable[float] | None = None) -> str:
    """Write a table; `bars`, from 0 to 1, are drawn behind the first cell of each row."""
    lengths = list(bars) if bars is not None else [0.0] * len(rows)
    lines = [
        "<table><thead><tr>",
        *(f"<th>{html.escape(title)}</th>" for title in head),
        "</tr></thead><tbody>",
    ]
    for row, length in zip(rows, lengths, strict=True):
        kind = ' class="rule"' if row[0].startswith("  ") else ' class="stage"' if not any(row[1:]) else ""
        style = f' style="--bar:{100 * min(1.0, length):.1f}%"' if length else ""
        cells = "".join(f"<td>{html.escape(cell.strip())}</td>" for cell in row[1:])
        lines.append(f"<tr{kind}><td{style}>{html.escape(row[0].strip())}</td>{cells}</tr>")
    return "".join([*lines, "</tbody></table>"])


def page(title: str, body: Iterable[str]) -> str:
    """Return a page that loads nothing; the title is escaped here, and `body` is HTML already."""
    return _PAGE.format(title=html.escape(title), body="\n".join(body))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title><style>
:root {{ color-scheme: light dark; --line: #8884; --bar-colour: #4a90d944; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; margin-bottom: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }}
td {{ font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); }}
th:first-child, td:first-child {{ text-align: left; overflow-wrap: anywhere; }}
td:first-child {{ background: linear-gradient(90deg, var(--bar-colour) var(--bar, 0%), transparent 0); }}
h3 {{ font-size: 1rem; margin: 1rem 0 .3rem; overflow-wrap: anywhere; }}
.sheet {{ display: flex; flex-wrap: wrap; gap: .8rem; }}
.sheet figure {{ margin: 0; width: 160px; }} .sheet img {{ max-width: 160px; max-height: 160px; }}
.sheet figcaption {{ font-size: .75rem; line-height: 1.3; overflow-wrap: anywhere; }}
.stage td {{ font-weight: 600; }} .rule td:first-child {{ padding-left: 1.8rem; }}
</style></head><body>
{body}
</body></html>
"""


def visible(text: str) -> str:
    r"""Replace what could move a terminal's cursor or turn its text around.

    >>> visible("a\x1b[2Jb\u202ec")
    'a�[2Jb�c'
    """
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def _ratio(part: int, total: int) -> float | None:
    return part / total if total else None


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.1f} %" if total else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size_text(count: int) -> str:
    """Write a number of bytes for people, as 1.2 MB."""
    from rich.filesize import decimal

    return decimal(count)
