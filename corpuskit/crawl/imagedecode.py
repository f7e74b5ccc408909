"""The last step of `crawl images`: pairs with the image that was fetched for them, decoded and made anew."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.imagefetch import IMAGE_BYTES, Archives, Place, outcomes
from corpuskit.crawl.pairs import Address, address, image_urls
from corpuskit.crawl.resizing import Encoding, Interpolation, Look, Made, ResizeMode, make
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import BATCH_BYTES, IMAGES, REJECT
from corpuskit.pixels import MOST_PIXELS
from corpuskit.settings import setting
from corpuskit.stage import Poisoned, Split, Stage, Task, TookTooLong, dataset_input, part_input, watching

__all__ = ["SIZES", "Decode", "FetchedImages", "task_range"]

SIZES = pa.schema(
    [
        pa.field("original_width", pa.int32()),
        pa.field("original_height", pa.int32()),
        pa.field("original_bytes", pa.int64()),
    ]
)
"""The columns that decoding adds: the size of the original, turned as it is seen, and of its file."""

_FEWEST, _MOST, _TASKS = 512, 8192, 32
_HELD_BYTES = 64 << 20
_SECONDS = 10.0
_ROWS = 512


class _Image(NamedTuple):
    """What became of an address: the original's bytes and their sha256, and the image made of them."""

    size: int
    sha256: bytes
    made: Made


@dataclass(frozen=True)
class Decode(Stage):
    """Gives each pair its image, or a reject that says why it has none; pairs come in their order."""

    name: ClassVar[str] = "crawl.images.decode"
    bad_rules: ClassVar[frozenset[str]] = frozenset({"images.lost", "images.timeout", "images.crash"})

    max_bytes: int = setting(IMAGE_BYTES, "most bytes of an image, on the wire and inflated")
    max_pixels: int = setting(MOST_PIXELS, "most pixels of an image")
    min_image_size: int | None = setting(None, "fewest pixels of the shorter side")
    max_aspect_ratio: float | None = setting(None, "most that the longer side may be of the shorter")
    resize_mode: ResizeMode = setting("no", "how images are resized")
    image_size: int | None = setting(None, "pixels of a side after resizing")
    only_if_bigger: bool = setting(False, "do not enlarge images")
    interpolation: Interpolation = setting("area", "how images are made smaller")
    encode: Encoding = setting("jpeg", "format in which images are kept")
    quality: int = setting(95, "quality of that format, 1 to 100")

    @property
    def look(self) -> Look:
        """How the images are to look."""
        return Look(
            mode=self.resize_mode,
            size=self.image_size,
            only_if_bigger=self.only_if_bigger,
            interpolation=self.interpolation,
            encoding=self.encode,
            quality=self.quality,
            min_side=self.min_image_size,
            max_aspect=self.max_aspect_ratio,
            max_pixels=self.max_pixels,
        )

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Add the size of the original."""
        own = [column for column in schema if column.name not in SIZES.names]
        return pa.schema([*own, *SIZES])

    def plan(self, *sources: str) -> list[Task]:
        """Plan tasks of at most 8,192 pairs, fewer where there are few; `sources`: the fetch, the pairs."""
        fetch, pairs = dataset_input(sources[0]), Dataset(sources[1])
        size = max(_FEWEST, min(_MOST, pairs.rows // _TASKS))
        return [
            Task((part_input(pairs, part), fetch), pairs.schema, {"start": start, "stop": start + size})
            for part in pairs.parts
            for start in range(0, max(1, part.rows), size)
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Read the pairs of one range, and what was fetched for them."""
        schema = self.writes(task.schema)
        pairs = list(task_range(task))
        places = [[address(url) for url in image_urls(batch).to_pylist()] for batch in pairs]
        names = [place.id for found in places for place in found if place.id is not None]
        fetched = outcomes(Dataset(task.inputs[1].path), set(names))
        with Archives(task.inputs[1].path, self.max_bytes) as archives:
            images = FetchedImages(archives, fetched, self.look, Counter(names))
            for batch, found in zip(pairs, places, strict=True):
                yield from _splits(batch, found, images, schema)


def task_range(task: Task) -> Iterator[pa.RecordBatch]:
    """Read the rows of a task's range."""
    at, start, stop = 0, int(task.work["start"]), int(task.work["stop"])
    for batch in read_batches(task.inputs[0].path, task.schema):
        first, last = max(start - at, 0), min(stop - at, len(batch))
        for row in range(first, last, _ROWS):
            yield batch.slice(row, min(_ROWS, last - row))
        at += len(batch)
        if at >= stop:
            return


@dataclass
class FetchedImages:
    """Makes images by address; what comes again is kept for then, while those kept are not too large."""

    archives: Archives
    fetched: dict[str, Place | Verdict]
    look: Look
    left: Counter[str]
    _held: dict[str, _Image] = field(default_factory=dict)
    _bytes: int = 0

    def get(self, place: Address) -> _Image | Verdict:
        """Return the image of an address, or why there is none."""
        if place.id is None:
            return Verdict(place.rule or "")
        self.left[place.id] -= 1
        found = self._held.get(place.id) or self._make(place.id)
        if isinstance(found, Verdict):
            return found
        if not self.left[place.id]:
            if self._held.pop(place.id, None):
                self._bytes -= len(found.made.data)
        elif place.id not in self._held and self._bytes + len(found.made.data) <= _HELD_BYTES:
            self._held[place.id] = found
            self._bytes += len(found.made.data)
        return found

    def _make(self, name: str) -> _Image | Verdict:
        place = self.fetched.get(name, Verdict("images.lost"))
        if isinstance(place, Verdict):
            return place
        data = self.archives.read(place)
        if isinstance(data, Verdict):
            return data
        try:
            with watching(f"image:{name}", _SECONDS):
                made = make(data, self.look)
        except TookTooLong:
            return Verdict("images.timeout", bound=_SECONDS)
        except Poisoned as poisoned:
            return Verdict("images.timeout" if poisoned.rule.endswith("timeout") else "images.crash")
        return made if isinstance(made, Verdict) else _Image(len(data), hashlib.sha256(data).digest(), made)


def _splits(
    batch: pa.RecordBatch, places: Sequence[Address], images: FetchedImages, schema: pa.Schema
) -> Iterator[Split]:
    """Divide a batch of pairs, in pieces of at most 16 MiB of images."""
    counts = pc.fill_null(pc.list_value_length(batch[IMAGES.name]), 0).to_pylist()
    start, size = 0, 0
    found: list[_Image | Verdict] = []
    for place, count in zip(places, counts, strict=True):
        one = Verdict("images.several", count, 1) if count > 1 else images.get(place)
        found.append(one)
        size += len(one.made.data) if isinstance(one, _Image) else 0
        if size >= BATCH_BYTES:
            yield _split(batch.slice(start, len(found)), found, schema)
            start, size, found = start + len(found), 0, []
    yield _split(batch.slice(start), found, schema)


def _split(batch: pa.RecordBatch, found: Sequence[_Image | Verdict], schema: pa.Schema) -> Split:
    kept = [row for row, one in enumerate(found) if isinstance(one, _Image)]
    rows = batch.take(pa.array(kept, pa.int64()))
    made = [one for one in found if isinstance(one, _Image)]
    columns: dict[str, pa.Array] = {
        **{name: rows[name] for name in rows.schema.names},
        IMAGES.name: pa.array(
            [
                [_filled(image[0], one)]
                for image, one in zip(rows[IMAGES.name].to_pylist(), made, strict=True)
            ],
            IMAGES.type,
        ),
        "original_width": pa.array([one.made.original_width for one in made], pa.int32()),
        "original_height": pa.array([one.made.original_height for one in made], pa.int32()),
        "original_bytes": pa.array([one.size for one in made], pa.int64()),
    }
    return Split(
        pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema),
        _rejected(batch, found),
        batch,
    )


def _filled(image: dict[str, Any], one: _Image) -> dict[str, Any]:
    made = one.made
    size = {"width": made.width, "height": made.height}
    return {**image, **size, "sha256": one.sha256, "bytes": made.data}


def _rejected(batch: pa.RecordBatch, found: Sequence[_Image | Verdict]) -> pa.RecordBatch:
    names = [name for name in ("id", "url", "origin") if name in batch.schema.names]
    told = batch.select(names).to_pylist()
    rows = [
        {**row, "stage": Decode.name, "rule": one.rule, "value": one.value, "bound": one.bound}
        for row, one in zip(told, found, strict=True)
        if isinstance(one, Verdict)
    ]
    return pa.RecordBatch.from_pylist(rows, REJECT)
