"""Small stages for the tests of the command line and of recipes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.document import SCHEMA, document_id, empty_rejects, reject_rows
from corpuskit.settings import setting
from corpuskit.stage import Input, Split, Stage, Task


@dataclass(frozen=True)
class Lines(Stage):
    """Make one document of each line of text files.

    A line that begins with `!` is damaged.
    """

    name: ClassVar[str] = "crawl.lines"
    bad_rules: ClassVar[frozenset[str]] = frozenset({"damaged"})
    source: str = setting("test", "The collection's name.")
    nap: float = setting(0.0, "Seconds to sleep first.", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        return SCHEMA

    def plan(self, *sources: str) -> list[Task]:
        paths = [path for source in sources for path in files.expand(source)]
        return [Task((Input(path, files.file_name(path), *files.identity(path)),)) for path in paths]

    def run(self, task: Task) -> Iterator[Split]:
        time.sleep(self.nap)
        rows = []
        for number, line in enumerate(Path(task.inputs[0].path).read_text().splitlines()):
            origin = f"{task.inputs[0].path}@{number}"
            rows.append(
                {"id": document_id(self.source, None, origin), "text": line, "source": self.source}
                | {"origin": origin, "url": f"http://test/{number}"}
            )
        batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
        bad = pc.starts_with(batch["text"], "!")
        gone = pc.indices_nonzero(bad).cast(pa.int64())
        yield Split(batch.filter(pc.invert(bad)), reject_rows(batch, self.name, "damaged", gone))


@dataclass(frozen=True)
class Longer(Stage):
    """Keep texts of at least `least` bytes, and cut nothing."""

    name: ClassVar[str] = "filter.longer"
    least: int = setting(10, "Fewest bytes of text to keep.")

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError("least must be at least 1")

    def split(self, batch: pa.RecordBatch) -> Split:
        keep = pc.greater_equal(pc.binary_length(batch["text"]), self.least)
        rows = pc.indices_nonzero(pc.invert(keep)).cast(pa.int64())
        value = pc.binary_length(batch["text"].take(rows))
        return Split(batch.filter(keep), reject_rows(batch, self.name, "longer.least", rows, value=value))


@dataclass(frozen=True)
class Every(Stage):
    """Have a setting of every kind there is.

    Keep everything.
    """

    name: ClassVar[str] = "filter.every"
    word: str = setting("plain", "A word.")
    maybe: str | None = setting(None, "A word or none.")
    words: tuple[str, ...] = setting(("a", "b"), "Words.")
    shares: tuple[float, ...] = setting((), "Shares.")
    mode: Literal["first", "longest"] = setting("first", "A choice.")
    modes: tuple[Literal["x", "y"], ...] = setting((), "Choices.")
    check: bool = setting(True, "A switch that is on.")
    count_only: bool = setting(False, "A switch that is off.")
    score: float = setting(0.65, "A number.")
    memory: int = setting(2 << 30, "A size.")

    def split(self, batch: pa.RecordBatch) -> Split:
        return Split(batch)


@dataclass(frozen=True)
class Broken(Stage):
    """Raise, as a bug does."""

    name: ClassVar[str] = "filter.broken"

    def split(self, batch: pa.RecordBatch) -> Split:
        raise KeyError("no such thing")


@dataclass(frozen=True)
class First(Stage):
    """Keep the first document of each part."""

    name: ClassVar[str] = "dedup.first"
    rank: int = setting(0, "Which one is first.")

    def run(self, task: Task) -> Iterator[Split]:
        for split in super().run(task):
            batch = split.source
            assert batch is not None
            keep = pc.equal(pa.array(range(len(batch))), self.rank)
            rows = pc.indices_nonzero(pc.invert(keep)).cast(pa.int64())
            yield Split(batch.filter(keep), reject_rows(batch, self.name, "first", rows), batch)

    def split(self, batch: pa.RecordBatch) -> Split:
        return Split(batch, empty_rejects())


if (
    __name__ == "__main__"
):  # `python cli_stages.py ARGUMENTS` is `corpuskit ARGUMENTS` with these stages known
    import corpuskit.recipe

    for name, cls in (("crawl.lines", "Lines"), ("filter.longer", "Longer"), ("filter.broken", "Broken")):
        corpuskit.recipe.KINDS[name] = f"cli_stages:{cls}"
    sys.path.insert(0, str(Path(__file__).parent))
    from corpuskit.cli import main

    main()
