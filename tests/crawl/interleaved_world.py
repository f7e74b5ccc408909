"""Pages with images between their paragraphs, crawled from archives that are made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from building import http, record

from corpuskit.crawl.interleaved import Interleaved
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run

TEXT = (
    "The harbour of this town was built in spring when the river had fallen low enough for men.",
    "They lowered blocks by hand and waited for every tide before another could be laid beside it.",
    "By autumn a pier of grey granite reached far into the bay, and all the boats moored behind it.",
)


def page(*images: str, number: int = 0, head: str = "") -> bytes:
    """Make a page whose images stand between its paragraphs; what is no tag is an image's address."""
    tags = [one if one.startswith("<") else f"<img src='{one}'>" for one in images]
    body = f"<p>{TEXT[0]} {number}</p>{''.join(tags)}<p>{TEXT[1]}</p><p>{TEXT[2]}</p>"
    head = f"<head><title> A  pier</title>{head}</head>"
    return f"<html>{head}<body><article>{body}</article></body></html>".encode()


def crawl(tmp_path: Path, *pages: bytes, workers: int = 1, files: int = 1, **settings: Any) -> Dataset:
    folder = tmp_path / "warc"
    folder.mkdir(exist_ok=True)
    members = [record(http(one), number=number) for number, one in enumerate(pages, 1)]
    for number in range(files):
        (folder / f"x-{number}.warc").write_bytes(b"".join(members[number::files]))
    given: dict[str, Any] = {"download": False, "one_image_share": 1.0, "source": "test"}
    stage = Interleaved(**given | settings)
    options = Options(workers=workers, max_bad=1.0)
    return run(stage, str(folder), str(tmp_path / f"out-{workers}"), options=options)


def rejects(dataset: Dataset) -> list[dict[str, Any]]:
    return [row for batch in dataset.reject_batches() for row in batch.to_pylist()]


def rules(*datasets: Dataset) -> list[tuple[str, str]]:
    return sorted((row["rule"], row["url"].rpartition("/")[2]) for one in datasets for row in rejects(one))


def read_step(dataset: Dataset) -> Dataset:
    return Dataset(f"{dataset.path}/steps/01-pages")
