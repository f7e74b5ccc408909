"""The dataset card: a README.md beside the shards that says what they are and how they came to be."""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.funnel import Level, Section, funnel
from corpuskit.language import LANGUAGES
from corpuskit.shard.mixture import shares_told

__all__ = ["Reading", "render", "write"]

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_ISO_639_1 = {code: label for label, code in LANGUAGES.items() if len(label) == 2}
_SHOWN = 30
_NAMED = 4

_MEANINGS = {
    "id": "32 hex digits, unique; pieces of a cut document end in `#0`, `#1`, ..., repeats in `~1`, ...",
    "text": "the text",
    "url": "where it was fetched from",
    "date": "when it was fetched, else published",
    "source": "the collection it belongs to",
    "origin": "`file@offset` of the bytes it was extracted from",
    "lang": "language, ISO 639-3",
    "lang_score": "how sure that is, 0 to 1",
    "title": "the page's title",
    "images": "its images, at their byte offsets in the text",
    "file": "the file it lies in",
    "place": "the first of its lines, rows, images or bytes there, from 0",
    "count": "how many of them it has",
}

_LOAD = string.Template(
    """```python
from glob import glob
import pandas
frame = pandas.read_parquet(sorted(glob("$folder/*.parquet")))

import duckdb
duckdb.sql("SELECT lang, count(*) FROM '$folder/*.parquet' GROUP BY lang")

import polars
frame = polars.scan_parquet("$folder/*.parquet")

from datasets import load_dataset
rows = load_dataset("parquet", data_files="$folder/*.parquet", split="train", streaming=True)
```"""
)

_LOAD_TARS = string.Template(
    """```python
import webdataset
samples = webdataset.WebDataset("$folder/{$first..$last}.tar", shardshuffle=False)

from datasets import load_dataset
rows = load_dataset("webdataset", data_files="$folder/*.tar", split="train", streaming=True)
```

open_clip reads them with `--dataset-type webdataset --train-data 'DIR/{$first..$last}.tar'`,
and takes the number of samples from `sizes.json`."""
)


@dataclass(frozen=True)
class Reading:
    """How the files of a layout are read: lines of front matter, Markdown, and what they are packed as."""

    front: tuple[str, ...]
    load: str
    packed: str


def write(dataset: Dataset, reading: Reading | None = None) -> None:
    """Write the card beside a finished dataset, unless someone has edited the one that stands there.

    The last line of a card holds the hash of what is above it: a card that no longer matches its
    hash, or has none, belongs to whoever changed it and is left alone.
    """
    path = files.join(dataset.path, "README.md")
    if files.exists(path) and not _untouched(files.read_bytes(path)):
        return
    body = render(dataset, reading).encode()
    card = body + _seal(body)
    if not files.exists(path) or files.read_bytes(path) != card:
        files.write_bytes(path, card)


def _seal(body: bytes) -> bytes:
    return (
        f"\n<!-- written by corpuskit; edit freely, it will not be overwritten: {_hash(body)} -->\n".encode()
    )


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _untouched(card: bytes) -> bool:
    body = card[: card.rstrip(b"\n").rfind(b"\n")]
    return card == body + _seal(body)


def render(dataset: Dataset, reading: Reading | None = None) -> str:
    """Return the card, Markdown with YAML front matter; the same for the same dataset in any folder.

    Without a `reading`, the files beside the parts are tar files of webdataset, or there are none.
    """
    sections = funnel(dataset)
    blocks = [
        _front_matter(dataset, reading),
        f"# {_title(sections)}",
        _summary(dataset, reading),
        f"## Load\n\n`DIR` is this folder. {_load(dataset, reading)}",
        *_mixes(sections),
        *(
            [f"## Index\n\n`part-*.parquet` say where each document lies.\n\n{_columns(dataset.schema)}"]
            if reading
            else [f"## Languages\n\n{_languages(dataset)}", f"## Columns\n\n{_columns(dataset.schema)}"]
        ),
        "## How it was made\n\n" + "\n\n".join(_made(sections)),
        "## Make it again\n\n" + "\n\n".join(_again(sections, dataset)),
        "## Rights\n\nThe texts remain under the rights of those who wrote them. "
        "Add here the terms under which you publish this collection.",
    ]
    return "\n\n".join(blocks) + "\n"


def _load(dataset: Dataset, reading: Reading | None) -> str:
    if reading:
        return reading.load
    works = '`load_dataset("DIR")` works as well.\n\n'
    if not dataset.files:
        return works + _LOAD.substitute(folder="DIR")
    names = [file.path.removesuffix(".tar") for file in dataset.files]
    return works + _LOAD_TARS.substitute(folder="DIR", first=names[0], last=names[-1])


def _front_matter(dataset: Dataset, reading: Reading | None) -> str:
    codes = [_ISO_639_1.get(code, code) for code in _totals(dataset) if re.fullmatch(r"[a-z]{2,3}", code)]
    lines = ["---"]
    if codes:
        lines += [
            "language:",
            *(f'- "{code}"' for code in sorted(set(codes))),
        ]  # quoted: YAML reads no as false
    lines += ["size_categories:", f"- {_size_category(dataset.rows)}"]
    if reading:
        return "\n".join([*lines, "tags:", "- corpuskit", *reading.front, "---"])
    lines += ["task_categories:", "- text-generation"] if "text" in dataset.schema.names else []
    lines += ["task_categories:", "- image-to-text"] if dataset.files else []
    lines += ["tags:", "- corpuskit"]
    lines += [
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        f'    path: "{"*.tar" if dataset.files else "part-*.parquet"}"',
    ]
    return "\n".join([*lines, "---"])


def _size_category(rows: int) -> str:
    """Return the Hub's name for a number of rows.

    >>> _size_category(999), _size_category(1000), _size_category(10**13)
    ('n<1K', '1K<n<10K', 'n>1T')
    """
    if rows < 1000:
        return "n<1K"
    place = len(str(rows)) - 4
    return f"{_SIZES[place]}<n<{_SIZES[place + 1]}" if place + 1 < len(_SIZES) else "n>1T"


def _title(sections: Sequence[Section]) -> str:
    names = list(
        dict.fromkeys(
            source.name for section in sections for source in section.sources if source.section is None
        )
    )
    shown = ", ".join(_plain(name) for name in names[:3])
    return f"A corpus from {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _summary(dataset: Dataset, reading: Reading | None) -> str:
    words, text = (sum(getattr(part, name) for part in dataset.parts) for name in ("words", "text_bytes"))
    rows = [part.rows for part in dataset.parts]
    stored = sum(item.file_bytes for item in dataset.files or dataset.parts)
    packed = "tar" if dataset.files else "Parquet with zstd"
    each = f"{rows[0]:,}" if min(rows) == max(rows) else f"{min(rows):,} to {max(rows):,}"
    held = f"{len(rows):,} of {each} documents, {_bytes(stored)}, {packed}"
    if reading:
        held = f"{len(dataset.files):,}, {_bytes(stored)}, {reading.packed}"
    facts = [
        ("documents", f"{dataset.rows:,}"),
        ("words", f"{words:,} (runs between white space)"),
        ("text", f"{_bytes(text)}, UTF-8"),
        ("files", held),
    ]
    facts = [fact for fact in facts if "text" in dataset.schema.names or fact[0] not in ("words", "text")]
    order = "The documents stand in one random order over all files"
    return f"{order}; rows, bytes, words and sha256 of each file are in `manifest.json`.\n\n" + _table(
        ("", ""), facts
    )


def _totals(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Sum rows and words by language, most rows first."""
    rows: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for part in dataset.parts:
        for code, (documents, count) in part.languages.items():
            rows[code] += documents
            words[code] += count
    return {code: (rows[code], words[code]) for code in sorted(rows, key=lambda code: (-rows[code], code))}


def _languages(dataset: Dataset) -> str:
    totals = _totals(dataset)
    if not any(rows for code, (rows, _) in totals.items() if code != "null"):
        return "The languages were not identified."
    names = {"null": "not identified"}
    found = [
        (names.get(code, _plain(code)), f"{rows:,}", _share(rows, dataset.rows), f"{words:,}")
        for code, (rows, words) in list(totals.items())[:_SHOWN]
    ]
    rest = list(totals.values())[_SHOWN:]
    if rest:
        rows = sum(row for row, _ in rest)
        words = sum(word for _, word in rest)
        found.append((f"{len(rest)} more", f"{rows:,}", _share(rows, dataset.rows), f"{words:,}"))
    return _table(("language", "documents", "share", "words"), found)


def _mixes(sections: Sequence[Section]) -> Iterator[str]:
    """Yield what each mix on the way took of its sources."""
    for level in (level for section in sections for level in section.levels if level.stage == "shard.mix"):
        unit = str(level.settings["count"])
        shares = shares_told(level.facts, unit)
        whole = sum(share.counted_out for share in shares)
        rows = [
            (
                _plain(share.source),
                *(f"{count:,}" for count in (share.documents, share.counted)),
                *(f"{count:,}" for count in (share.documents_out, share.counted_out)),
                f"{share.epochs:.2f}",
                _share(share.counted_out, whole),
            )
            for share in shares
        ]
        name = _plain(unit)
        head = ("source", "documents", name, "documents in the mix", f"{name} in the mix", "epochs", "share")
        yield "## Sources\n\n" + _table(head, rows)


def _columns(schema: pa.Schema) -> str:
    found = []
    for field in schema:
        kind = "list of images" if field.name == "images" else str(field.type)
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        signal = "a signal: null where it is not defined" if number or pa.types.is_boolean(field.type) else ""
        meaning = _MEANINGS.get(field.name, signal)
        null = "yes" if field.nullable else "no"
        found.append((f"`{_plain(field.name)}`", kind, null, meaning))
    return _table(("column", "type", "null", "meaning"), found)


def _made(sections: Sequence[Section]) -> Iterator[str]:
    """Yield the funnel of each section, then the rules of each of its stages."""
    yield (
        "Shares are of the documents that came into the stage. "
        "A document that breaks several rules counts under each."
    )
    for section in sections:
        if len(sections) > 1:
            yield f"### {_label(section, sections)}"
        yield "Read: " + "; ".join(_plain(source) for source in section.reads()) + "."
        rows = [
            (
                f"`{level.stage}`",
                f"{level.rows_in:,}",
                f"{level.rows_out:,}",
                _share(level.rows_out, level.rows_in),
                "" if level.bytes_out is None else _bytes(level.bytes_out),
            )
            for level in section.levels
        ]
        yield _table(("stage", "in", "out", "kept", "text out"), rows)
        rules = [row for level in section.levels for row in _rules(level)]
        if rules:
            head = ("stage", "rule", "documents", "share", "cuts", "text cut")
            used = [place for place in range(len(head)) if any(row[place] for row in rules)]
            yield _table([head[place] for place in used], [[row[place] for place in used] for row in rules])


def _rules(level: Level) -> Iterator[tuple[str, ...]]:
    for rule in level.rules:
        gone = (f"{rule.documents:,}", _share(rule.documents, level.rows_in)) if rule.documents else ("", "")
        cut = (f"{rule.spans:,}", _bytes(rule.bytes)) if rule.spans else ("", "")
        yield (f"`{level.stage}`", f"`{_plain(rule.name)}`", *gone, *cut)


def _label(section: Section, sections: Sequence[Section]) -> str:
    """Name a section; the last one is named for what it is, not for the folder it happens to lie in."""
    return "All together" if section is sections[-1] else f"`{_plain(section.name)}`"


def _again(sections: Sequence[Section], dataset: Dataset) -> Iterator[str]:
    version = dataset.manifest.get("corpuskit", "")
    yield f"With corpuskit {_plain(version)}, the same input gives the same bytes on any number of workers."
    for section in sections:
        last = section is sections[-1]
        name = "target" if last else re.sub(r"[^A-Za-z0-9_.-]", "_", section.name)
        recipe = "recipe.toml" if last else f"{name}.toml"
        named = [_plain(source.name) for source in section.sources]
        sources = " ".join(named if len(named) <= _NAMED else [*named[: _NAMED - 1], "..."])
        yield f"`corpuskit run {recipe} {sources} {name}` with this `{recipe}`:"
        yield f"```toml\n{recipe_toml(section.levels)}```"


def recipe_toml(levels: Sequence[Level]) -> str:
    """Write stages and all their settings as a recipe."""
    counts = Counter(level.stage for level in levels)
    lines = [f"stages = {json.dumps([level.stage for level in levels])}"]
    for level in levels:
        lines += ["", f"[[{level.stage}]]" if counts[level.stage] > 1 else f"[{level.stage}]"]
        lines += [
            f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f").replace(
                "`", "\\u0060"
            )
            for name, value in level.settings.items()
            if value is not None
        ]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    right = re.compile(r"[0-9][0-9,.]*( %| [kMGT]?B)?|")
    body = list(rows)
    marks = [
        "---:"
        if body and all(right.fullmatch(row[place]) for row in body) and any(row[place] for row in body)
        else "---"
        for place in range(len(head))
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *body))


def _plain(text: str) -> str:
    r"""Make a name that a stranger chose harmless in Markdown, HTML and tables.

    >>> _plain("a|b<script>`\n")
    'a&#124;b&lt;script&gt;&#96;'
    """
    one_line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    for mark, entity in (("&", "&amp;"), ("|", "&#124;"), ("<", "&lt;"), (">", "&gt;"), ("`", "&#96;")):
        one_line = one_line.replace(mark, entity)
    return one_line


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.1f} %" if total else ""


def _bytes(count: int) -> str:
    """Write a size with decimal units.

    >>> _bytes(999), _bytes(1_500_000)
    ('999 B', '1.5 MB')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
