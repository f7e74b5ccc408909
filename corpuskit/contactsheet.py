"""Contact sheets: a few images of those a dataset keeps, and of those each rule rejected, as thumbnails."""

from __future__ import annotations

import base64
import html
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES
from corpuskit.funnel import upstream
from corpuskit.pixels import BadImage, decode

__all__ = ["Sample", "Sheet", "render", "sheets"]

_PARTS = 2
"""Parts of a dataset that are looked through: samples need not be drawn from all of it."""
_SIDE = 160
_CAPTION = 120


@dataclass(frozen=True)
class Sample:
    """An image: the document it is of, what the text says, and a thumbnail as a JPEG."""

    id: str
    text: str
    thumbnail: bytes


@dataclass(frozen=True)
class Sheet:
    """Samples of one stage and rule; a null rule stands for what was kept."""

    stage: str
    rule: str | None
    samples: tuple[Sample, ...]


def sheets(dataset: Dataset, count: int) -> tuple[Sheet, ...]:
    """Show up to `count` images that are kept, and as many that each rule rejected, first stages first.

    A dataset without images gives none. What was rejected is looked up in what the stage read, so a rule has
    a sheet only where that still stands.
    """
    found = list(_rejected(dataset, count))
    kept = _kept(dataset, count)
    return (*found, *([kept] if kept else []))


def render(shown: tuple[Sheet, ...]) -> str:
    """Write sheets as HTML that loads nothing; everything a stranger wrote is escaped."""
    blocks = []
    for sheet in shown:
        title = f"{sheet.stage}: {sheet.rule or 'kept'}"
        figures = "".join(map(_figure, sheet.samples))
        blocks.append(f'<h3>{html.escape(title)}</h3><div class="sheet">{figures}</div>')
    return "".join(["<h2>Images</h2>", *blocks]) if blocks else ""


def _figure(sample: Sample) -> str:
    data = base64.b64encode(sample.thumbnail).decode()
    text = html.escape(sample.text)
    return (
        f'<figure title="{html.escape(sample.id)}"><img alt="" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _kept(dataset: Dataset, count: int) -> Sheet | None:
    """Show what a dataset keeps; an index of tar files holds no images, and shows what it read."""
    holder: Dataset | None = dataset
    while holder is not None and IMAGES.name not in holder.schema.names:
        holder = next((source for _, source in upstream(holder) if source is not None), None)
    if holder is None:
        return None
    samples = tuple(itertools.islice(_samples(holder, None), count))
    return Sheet(dataset.manifest["stages"][-1]["name"], None, samples) if samples else None


def _rejected(dataset: Dataset, count: int) -> Iterator[Sheet]:
    sources = [source for _, source in upstream(dataset) if source is not None]
    for source in sources:
        yield from _rejected(source, count)
    for (stage, rule), ids in _first_rejects(dataset, count).items():
        samples: list[Sample] = []
        for source in sources:
            if IMAGES.name in source.schema.names:
                samples += itertools.islice(_samples(source, pa.array(ids)), count - len(samples))
        if samples:
            yield Sheet(stage, rule, tuple(samples))


def _first_rejects(dataset: Dataset, count: int) -> dict[tuple[str, str], list[str]]:
    """Name the first documents that each rule rejected, or whose image it dropped."""
    found: dict[tuple[str, str], list[str]] = {}
    for part in dataset.rejects[:_PARTS]:
        with dataset.open(part) as file:
            table = pq.read_table(file, columns=["id", "stage", "rule"])
        for row in table.to_pylist():
            ids = found.setdefault((row["stage"], row["rule"]), [])
            if len(ids) < count:
                ids.append(row["id"])
    return found


def _samples(dataset: Dataset, ids: pa.Array | None) -> Iterator[Sample]:
    """Yield the first image of documents, of those named or of all."""
    names = [name for name in ("id", "text", IMAGES.name) if name in dataset.schema.names]
    for part in dataset.parts[:_PARTS]:
        with dataset.open(part) as file:
            for batch in pq.ParquetFile(file).iter_batches(64, columns=names):
                wanted = batch if ids is None else batch.filter(pc.is_in(batch["id"], ids))
                yield from _shown(wanted)


def _shown(batch: pa.RecordBatch) -> Iterator[Sample]:
    for row in batch.to_pylist():
        data = next((image["bytes"] for image in row[IMAGES.name] or () if image["bytes"]), None)
        if data is None:
            continue
        try:
            image = decode(data)
        except BadImage:
            continue
        image.thumbnail((_SIDE, _SIDE))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=75)
        text = " ".join((row.get("text") or "").split())
        yield Sample(row["id"], text if len(text) <= _CAPTION else f"{text[:_CAPTION]}...", file.getvalue())
