"""Web pages to filtered text: corpuskit against datatrove with its FineWeb blocks, on one core.

python bench/fineweb.py FOLDER_OF_WARCS [--datatrove-python PATH] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import measure

NOTES = (
    "the same trafilatura settings on both sides: favour precision, no comments, no deduplication",
    "the same steps: read, extract, Gopher repetition and quality, C4 without its rule on terminal "
    "punctuation, FineWeb, write Parquet; no URL lists and no language model on either side; "
    "datatrove writes no rejected documents, corpuskit writes every reason",
    "not timed: one pass over the smallest file, in which corpuskit compiles or loads its kernels and "
    "datatrove loads its tokenizer; both then work on in that process, datatrove extracting in its child",
    "both read the same copies of the responses, which name the type of their payload as Common Crawl's do: "
    "where none is named, datatrove asks libmagic and passes over what that does not call HTML",
    "memory: the largest resident size of any one process of a side",
    "what is kept differs where datatrove departs from the papers, and with the version of trafilatura",
)


def corpuskit_pass(warcs: Path, target: Path) -> Mapping[str, Any]:
    """Run `crawl.warc` and `filter.rules` as a worker of the engine does, in this process."""
    from corpuskit.crawl.warc import Warc
    from corpuskit.engine.pipeline import perform
    from corpuskit.filter.rules import Rules

    stages = (Warc(), Rules())
    extracted = kept = 0
    for number, task in enumerate(stages[0].plan(*(str(path) for path in files(warcs)))):
        perform(stages, task, number, task.key(stages), str(target), lambda *_: None)
        marker = json.loads((target / "done" / f"{number:05d}.json").read_text("utf-8"))
        extracted += marker["stages"][0]["rows_out"]
        kept += marker["part"]["rows"]
    return {"extracted": extracted, "kept": kept}


def datatrove_pass(warcs: Path, target: Path) -> Mapping[str, Any]:
    """Run datatrove's blocks, as its FineWeb example sets them up, by its own executor."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import ParquetWriter

    steps = [
        WarcReader(str(warcs), glob_pattern="*.warc.gz"),
        Trafilatura(favour_precision=True, deduplicate=False, timeout=10),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        ParquetWriter(str(target / "output"), compression="zstd"),
    ]
    done = LocalPipelineExecutor(pipeline=steps, tasks=1, workers=1, logging_dir=str(target / "logs")).run()
    extractor, writer = done.stats[1], done.stats[-1]
    return {"extracted": int(extractor["forwarded"].total), "kept": int(writer["total"].total)}


PASSES = {"corpuskit": corpuskit_pass, "datatrove": datatrove_pass}
PACKAGES = ("corpuskit", "datatrove", "trafilatura", "lxml", "spacy")


def files(folder: Path) -> list[Path]:
    """List the WARC files of a folder.

    Raises:
        SystemExit: There are none.
    """
    found = sorted(folder.glob("*.warc.gz"))
    return found or sys.exit(f"no *.warc.gz in {folder}")


def run_side(name: str, warcs: Path) -> None:
    """Warm up on the smallest file, then time all of them."""
    with tempfile.TemporaryDirectory() as folder:
        small, place = Path(folder, "small"), Path(folder)
        small.mkdir()
        smallest = min(files(warcs), key=lambda path: path.stat().st_size)
        shutil.copy(smallest, small)
        for target in ("warm", "timed"):
            (place / target).mkdir()
        measure.timed(
            lambda: PASSES[name](small, place / "warm"),
            lambda: PASSES[name](warcs, place / "timed"),
            PACKAGES,
        )


def copy_pages(warcs: Path, folder: Path) -> int:
    """Copy the responses, each with the type of its payload named as in Common Crawl; return how many."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.warcwriter import WARCWriter

    total = 0
    for path in files(warcs):
        with path.open("rb") as stream, (folder / path.name).open("wb") as copy:
            writer = WARCWriter(copy, gzip=True)
            for record in ArchiveIterator(stream):
                if record.rec_type == "response":
                    told = record.http_headers.get_header("Content-Type") if record.http_headers else None
                    kind = (told or "text/html").partition(";")[0].strip()
                    record.rec_headers.replace_header(
                        "WARC-Identified-Payload-Type", kind.strip() or "text/html"
                    )
                    writer.write_record(record)
                    total += 1
    return total


def main() -> None:
    """Run both sides in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("warcs", type=Path)
    parser.add_argument(
        "--datatrove-python", default=sys.executable, help="an interpreter that has datatrove"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the round of median time is shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--side", choices=PASSES, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.side:
        run_side(told.side, told.warcs)
        return
    with tempfile.TemporaryDirectory() as folder:
        pages = copy_pages(told.warcs, Path(folder))
        sides = {
            name: partial(measure.side, python, __file__, name, folder)
            for name, python in {"corpuskit": sys.executable, "datatrove": told.datatrove_python}.items()
        }
        found = measure.rounds(told.rounds, sides)
    ratio = found["datatrove"]["seconds"] / found["corpuskit"]["seconds"]
    if told.json:
        print(json.dumps({"machine": measure.machine(), "pages": pages, "ratio": ratio, "sides": found}))
        return
    rows = [("", "pages/s", "seconds", "extracted", "kept", "peak memory", "versions")]
    for name, side in found.items():
        used = ", ".join(f"{package} {version}" for package, version in side["versions"].items())
        memory = f"{side['peak_bytes'] / 2**20:,.0f} MiB"
        counts = (f"{side['extracted']:,}", f"{side['kept']:,}")
        rate = f"{pages / side['seconds']:,.1f}"
        rows.append((name, rate, f"{side['seconds']:.2f}", *counts, memory, used))
    given = f"{pages:,} responses, median of {told.rounds}"
    measure.show(f"{given}: corpuskit is {ratio:.1f} times as fast", rows, NOTES)


if __name__ == "__main__":
    main()
