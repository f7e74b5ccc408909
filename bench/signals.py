"""Signals and rules on extracted text: corpuskit against datatrove's Gopher filters, on one core.

python bench/signals.py DATASET [--datatrove-python PATH] [--rounds N] [--json]

DATASET is what `corpuskit crawl warc` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import measure

WARM = 20
LEAST = 1.0
NOTES = (
    "the same texts in memory on both sides; corpuskit computes every signal of the Gopher table and judges "
    "by all its rules, and records all that are broken; datatrove stops at the first",
    "`signals` computes the columns alone; `rules` judges too",
    f"each side works on all texts again until {LEAST:g} s have passed; the seconds are the mean of one time",
    f"not timed: the first {WARM} documents, in which kernels and tokenizer are loaded",
    "memory: the largest resident size of the process, the texts included",
)


def read(path: Path) -> list[str]:
    """Read the texts, a JSON string a line."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def run_corpuskit(path: Path, *, signals_only: bool) -> None:
    """Compute the signals of the Gopher table and judge by it, as `filter rules` does."""
    from corpuskit.filter.rules import Rules
    from corpuskit.testing import documents

    batch, stage = documents(read(path)), Rules(tables=("gopher",), signals_only=signals_only)
    measure.timed(
        lambda: stage.split(batch.slice(0, WARM)),
        lambda: {"kept": len(stage.split(batch).kept)},
        ("corpuskit", "numba"),
        LEAST,
    )


def run_datatrove(path: Path) -> None:
    """Ask datatrove's two Gopher filters about each document, the second only where the first keeps it."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

    docs = [Document(text=text, id=str(number)) for number, text in enumerate(read(path)) if text]
    filters = (GopherRepetitionFilter(), GopherQualityFilter())

    def keeps(doc: Document) -> bool:
        return all(one.filter(doc) is True for one in filters)

    def work() -> Mapping[str, Any]:
        return {"kept": sum(map(keeps, docs))}

    measure.timed(lambda: [keeps(doc) for doc in docs[:WARM]], work, ("datatrove", "spacy"), LEAST)


SIDES: Mapping[str, Callable[[Path], None]] = {
    "signals": partial(run_corpuskit, signals_only=True),
    "rules": partial(run_corpuskit, signals_only=False),
    "datatrove": run_datatrove,
}


def main() -> None:
    """Write the texts where every side can read them, run the sides in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument(
        "--datatrove-python", default=sys.executable, help="an interpreter that has datatrove"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the round of median time is shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.side:
        SIDES[told.side](told.dataset)
        return
    from corpuskit import Dataset

    texts = [text for text in Dataset(str(told.dataset)).table(["text"])["text"].to_pylist() if text]
    size = sum(len(text.encode()) for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.jsonl")
        path.write_text("".join(json.dumps(text) + "\n" for text in texts), "utf-8")
        pythons = {"signals": sys.executable, "rules": sys.executable, "datatrove": told.datatrove_python}
        sides = {name: partial(measure.side, pythons[name], __file__, name, str(path)) for name in SIDES}
        found = measure.rounds(told.rounds, sides)
    ratio = found["datatrove"]["seconds"] / found["rules"]["seconds"]
    if told.json:
        result = {"machine": measure.machine(), "documents": len(texts), "bytes": size, "ratio": ratio}
        print(json.dumps(result | {"sides": found}))
        return
    rows = [("", "documents/s", "MB/s", "seconds", "kept", "peak memory")]
    for name, side in found.items():
        speed, rate = len(texts) / side["seconds"], size / 1e6 / side["seconds"]
        memory = f"{side['peak_bytes'] / 2**20:,.0f} MiB"
        rows.append(
            (name, f"{speed:,.0f}", f"{rate:,.1f}", f"{side['seconds']:.3f}", f"{side['kept']:,}", memory)
        )
    given = f"{len(texts):,} documents, {size / 1e6:.1f} MB, median of {told.rounds}"
    measure.show(f"{given}: rules are {ratio:.0f} times as fast", rows, NOTES)


if __name__ == "__main__":
    main()
