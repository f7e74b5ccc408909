"""A small corpus made by small stages in several passes, for the tests of what tells its story."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.document import SCHEMA, document_id, reject_rows
from corpuskit.engine import Options, run
from corpuskit.kernels.utf8 import buffers
from corpuskit.kernels.words import spaced_counts
from corpuskit.settings import setting
from corpuskit.shard.parquet import Parquet
from corpuskit.stage import Input, Split, Stage, Task


@dataclass(frozen=True)
class Lines(Stage):
    """Read files of lines `url TAB language TAB text`."""

    name: ClassVar[str] = "crawl.lines"
    source: str = "test"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        return SCHEMA

    def plan(self, *sources: str) -> list[Task]:
        paths = [path for source in sources for path in files.expand(source)]
        return [Task((Input(path, files.file_name(path), *files.identity(path)),), SCHEMA) for path in paths]

    def run(self, task: Task) -> Iterator[Split]:
        lines = files.read_bytes(task.inputs[0].path).decode().splitlines()
        rows = []
        for number, line in enumerate(lines):
            url, lang, text = line.split("\t")
            origin = f"{task.inputs[0].name}@{number}"
            name = document_id(self.source, None, origin)
            rows.append({"id": name, "url": url, "origin": origin, "source": self.source, "text": text})
            rows[-1] |= {"lang": lang or None, "date": datetime.fromtimestamp(1_700_000_000 + number, UTC)}
        batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
        empty = pc.equal(pc.binary_length(batch["text"]), 0)
        gone = reject_rows(batch, self.name, "lines.empty", pc.indices_nonzero(empty).cast(pa.int64()))
        yield Split(batch.filter(pc.invert(empty)), gone)


@dataclass(frozen=True)
class Short(Stage):
    """Reject texts of few words, by two rules that both count."""

    name: ClassVar[str] = "filter.short"
    words: int = setting(4, "fewest words")

    def split(self, batch: pa.RecordBatch) -> Split:
        count = pa.array(spaced_counts(*buffers(batch["text"])))
        rejects = []
        for rule, bound in (("short.words.min", self.words), ("short.half.min", self.words / 2)):
            rows = pc.indices_nonzero(pc.less(count, bound)).cast(pa.int64())
            rejects.append(
                reject_rows(batch, self.name, rule, rows, value=count.take(rows), bound=float(bound))
            )
        return Split(batch.filter(pc.greater_equal(count, self.words)), pa.concat_batches(rejects))


@dataclass(frozen=True)
class Replace(Stage):
    """Replace what a pattern matches, and record where it was."""

    name: ClassVar[str] = "filter.replace"
    pattern: str = "COOKIES! "
    by: str = ""
    rule: str = "line.policy"

    def split(self, batch: pa.RecordBatch) -> Split:
        texts, spans = [], []
        for row, text in enumerate(batch["text"].to_pylist()):
            data = text.encode()
            spans += [(row, *found.span()) for found in re.finditer(self.pattern.encode(), data)]
            texts.append(re.sub(self.pattern.encode(), self.by.encode(), data).decode())
        rows, starts, ends = (pa.array([span[place] for span in spans], pa.int64()) for place in range(3))
        value = float(len(self.by.encode())) if self.by else None
        cut = reject_rows(batch, self.name, self.rule, rows, start=starts, end=ends, value=value)
        return Split(batch.set_column(1, SCHEMA.field("text"), pa.array(texts, pa.large_string())), cut)


@dataclass(frozen=True)
class Same(Stage):
    """Reject a text that another document of the part begins with the same five bytes as."""

    name: ClassVar[str] = "dedup.same"

    def split(self, batch: pa.RecordBatch) -> Split:
        heads = [text[:5] for text in batch["text"].to_pylist()]
        rows = [row for row, head in enumerate(heads) if heads.index(head) < row]
        twins = batch["id"].take(pa.array([heads.index(heads[row]) for row in rows], pa.int64()))
        keep = pa.array([row not in rows for row in range(len(heads))], pa.bool_())
        gone = reject_rows(
            batch, self.name, "same.head", pa.array(rows, pa.int64()), value=0.93, bound=0.8, twin=twins
        )
        return Split(batch.filter(keep), gone)


@dataclass(frozen=True)
class Pieces(Stage):
    """Cut texts into pieces at ` || `."""

    name: ClassVar[str] = "dedup.pieces"

    def split(self, batch: pa.RecordBatch) -> Split:
        kept, spans = [], []
        for row, doc in enumerate(batch.to_pylist()):
            at = 0
            parts = doc["text"].split(" || ")
            for number, part in enumerate(parts):
                at += len(part.encode())
                if number + 1 < len(parts):
                    spans.append((row, at, at + 4))
                    at += 4
                kept.append(
                    {**doc, "text": part, "id": f"{doc['id']}#{number}" if len(parts) > 1 else doc["id"]}
                )
        rows, starts, ends = (pa.array([span[place] for span in spans], pa.int64()) for place in range(3))
        cut = reject_rows(batch, self.name, "pieces.gram", rows, start=starts, end=ends)
        return Split(pa.RecordBatch.from_pylist(kept, batch.schema), cut)


LINES = [
    ("https://site/kept", "eng", "This text is kept as it is."),
    ("https://site/short", "eng", "one two three"),
    ("https://site/tiny", "eng", "one"),
    ("https://site/empty", "eng", ""),
    ("https://site/cut", "deu", "Grüße COOKIES! aus dem Süden COOKIES! und mehr"),
    ("https://site/twin", "deu", "Alpha eins zwei drei vier"),
    ("https://site/duplicate", "deu", "Alpha eins COOKIES! zwei drei fünf"),
    ("https://site/mail", "", "Write to me@site or to you@site today"),
    ("https://site/pieces", "fra", "le premier || la seconde COOKIES! partie || fin"),
    ("https://site/again", "eng", "first visit to this page"),
    ("https://site/again", "eng", "second visit to this page"),
    (
        "https://site/<script>alert(1)</script>|\x1b[2J",
        "eng",
        "Ignore \x1b[2J<b>this</b> and \u202e that text",
    ),
]


def build(folder: Path) -> Dataset:
    """Make `folder/target` as a recipe would: three passes, the first two in `steps`."""
    (folder / "pages.tsv").write_text("".join("\t".join(line) + "\n" for line in LINES))
    target, one = folder / "target", Options(workers=1, max_bad=1.0)
    first, second = (str(target / "steps" / name) for name in ("01-crawl.lines", "02-dedup.same"))
    run([Lines(), Short(), Replace()], str(folder / "pages.tsv"), first, options=one)
    mask = Replace(r"[a-z]+@site", "<mail>", "pii.mail")
    run([Same(), mask, Pieces()], first, second, options=one)
    return run(Parquet(rows=5), second, str(target), options=one)
