"""The last step of `crawl interleaved`: pages with the images that are left, and those that have enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import seeds
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.imagedecode import FetchedImages, task_range
from corpuskit.crawl.imagefetch import IMAGE_BYTES, Archives, outcomes
from corpuskit.crawl.pairs import address
from corpuskit.crawl.resizing import Encoding, Look, ResizeMode
from corpuskit.dataset import Dataset
from corpuskit.document import BATCH_BYTES, IMAGES, REJECT
from corpuskit.pixels import MOST_PIXELS, BadImage, opened
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task, dataset_input, part_input

__all__ = ["PlaceImages"]

_PAGES = 2048


@dataclass(frozen=True)
class PlaceImages(Stage):
    """Gives pages their images, takes out those that are too frequent, failed or too many.

    `sources`: the pages, the addresses of their images, and what was fetched, if it was.
    """

    name: ClassVar[str] = "crawl.interleaved.images"

    max_images: int | None = setting(5, "most images of a page; those after the first so many are taken out")
    one_image_share: float = setting(0.5, "share of the pages with one image that is kept")
    min_image_size: int | None = setting(64, "fewest pixels of the shorter side")
    seed: int = setting(0, "another seed keeps other pages with one image")
    resize_mode: ResizeMode = setting("no", "how images are resized")
    image_size: int | None = setting(None, "pixels of a side after resizing")
    encode: Encoding = setting("jpeg", "format in which images are kept")
    quality: int = setting(95, "quality of that format, 1 to 100")
    max_bytes: int = setting(IMAGE_BYTES, "most bytes of an image, on the wire and inflated")
    max_pixels: int = setting(MOST_PIXELS, "most pixels of an image")

    def plan(self, *sources: str) -> list[Task]:
        """Plan tasks of at most 2,048 pages."""
        pages = Dataset(sources[0])
        others = tuple(dataset_input(source) for source in sources[1:])
        return [
            Task((part_input(pages, part), *others), pages.schema, {"start": at, "stop": at + _PAGES})
            for part in pages.parts
            for at in range(0, max(1, part.rows), _PAGES)
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Read the pages of one range, and what was fetched for them."""
        batches = list(task_range(task))
        names = Counter(
            name
            for batch in batches
            for images in batch[IMAGES.name].to_pylist()
            for image in images or ()
            if (name := address(image["url"]).id) is not None
        )
        often = _frequent(Dataset(task.inputs[1].path), names)
        with ExitStack() as stack:
            images = None
            if len(task.inputs) > 2:
                fetch = task.inputs[2].path
                archives = stack.enter_context(Archives(fetch, self.max_bytes))
                images = FetchedImages(archives, outcomes(Dataset(fetch), set(names)), self._look(), names)
            for batch in batches:
                yield from _Sorted(self, often, images).splits(batch)

    def _look(self) -> Look:
        return Look(
            mode=self.resize_mode,
            size=self.image_size,
            encoding=self.encode,
            quality=self.quality,
            min_side=self.min_image_size,
            max_pixels=self.max_pixels,
        )


def _frequent(addresses: Dataset, names: Counter[str]) -> dict[str, Verdict]:
    """Say which of some addresses are in too many pages."""
    wanted = pa.array(sorted(names), pa.string())
    found = {}
    for batch in addresses.reject_batches():
        for row in batch.filter(pc.is_in(batch["id"], wanted)).to_pylist():
            found[row["id"]] = Verdict(row["rule"], bound=row["bound"])
    return found


@dataclass
class _Sorted:
    """Pages of a batch sorted into those that stay and those that go."""

    stage: PlaceImages
    often: dict[str, Verdict]
    images: FetchedImages | None
    _rejected: list[dict[str, Any]] = field(default_factory=list)

    def splits(self, batch: pa.RecordBatch) -> Iterator[Split]:
        """Divide a batch, in pieces of at most 16 MiB of images."""
        draws = seeds.draw(self.stage.seed, batch["id"])
        found: list[list[dict[str, Any]]] = []
        keep: list[bool] = []
        start = size = 0
        told = batch.select(["id", "url", "origin", IMAGES.name]).to_pylist()
        for row, draw in zip(told, draws.tolist(), strict=True):
            left = self._left(row)
            keep.append(self._stays(row, len(left), draw))
            found.append(left)
            size += sum(len(image["bytes"] or b"") for image in left) if keep[-1] else 0
            if size >= BATCH_BYTES:
                yield self._split(batch.slice(start, len(keep)), found, keep)
                start, size, found, keep = start + len(keep), 0, [], []
        yield self._split(batch.slice(start), found, keep)

    def _left(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the images of a page that stay, filled where they were fetched."""
        left: list[dict[str, Any]] = []
        for image in row[IMAGES.name] or ():
            found = self._filled(image, full=len(left) == self.stage.max_images)
            if isinstance(found, Verdict):
                # Its value would count as bytes written.
                place = {"start": image["offset"], "end": image["offset"], "url": image["url"]}
                self._reject({**row, **place}, Verdict(found.rule, bound=found.bound))
            else:
                left.append(found)
        return left

    def _filled(self, image: dict[str, Any], *, full: bool) -> dict[str, Any] | Verdict:
        place = address(image["url"])
        if place.id in self.often:
            return self.often[place.id]
        if full:
            return Verdict("interleaved.excess", bound=self.stage.max_images)
        if self.images is None:
            return image
        found = self.images.get(place)
        if isinstance(found, Verdict):
            return found
        made = found.made
        if _of_one_colour(made.data):
            return Verdict("interleaved.one_colour")
        size = {"width": made.width, "height": made.height}
        return {**image, **size, "sha256": found.sha256, "bytes": made.data}

    def _stays(self, row: dict[str, Any], count: int, draw: float) -> bool:
        """Say whether a page has images enough."""
        if not count:
            self._reject(row, Verdict("interleaved.no_image", value=len(row[IMAGES.name] or ())))
        elif count == 1 and draw >= self.stage.one_image_share:
            self._reject(row, Verdict("interleaved.one_image", value=draw, bound=self.stage.one_image_share))
        else:
            return True
        return False

    def _reject(self, row: dict[str, Any], why: Verdict) -> None:
        names = ("id", "url", "origin", "start", "end")
        self._rejected.append(
            {name: row.get(name) for name in names} | vars(why) | {"stage": self.stage.name}
        )

    def _split(self, batch: pa.RecordBatch, found: Sequence[Any], keep: Sequence[bool]) -> Split:
        rows = batch.filter(pa.array(keep, pa.bool_()))
        left = [images for images, stays in zip(found, keep, strict=True) if stays]
        columns = [
            pa.array(left, IMAGES.type) if name == IMAGES.name else rows[name] for name in rows.schema.names
        ]
        rejected, self._rejected = self._rejected, []
        return Split(
            pa.RecordBatch.from_arrays(columns, schema=rows.schema),
            pa.RecordBatch.from_pylist(rejected, REJECT),
            batch,
        )


def _of_one_colour(data: bytes) -> bool:
    """Say whether every pixel of an image is the same."""
    try:
        with opened(data) as image:
            return len(image.convert("RGB").getcolors(1) or ()) == 1
    except BadImage:  # larger, encoded anew, than what is opened
        return False
