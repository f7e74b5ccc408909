"""iGPT's sequences: small images in a palette of 512 colours, a row of numbers for each."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from corpuskit import files, seeds
from corpuskit.dataset import Dataset, read_batches
from corpuskit.errors import UsageError
from corpuskit.kernels.palette import find_palette, nearest_colours
from corpuskit.settings import setting
from corpuskit.shard import layout
from corpuskit.shard.layout import INDEX, STAGE, TRAIN, VAL, Asked, Joined, Layout, Shard, index, refused
from corpuskit.shard.layout.jsonl import finished
from corpuskit.shard.layout.pictures import Picture, pictures_of
from corpuskit.stage import Split, Stage, Step, Task

__all__ = ["COLOURS", "LAYOUT", "PALETTE", "Encode", "Palette", "read_palette", "thumbnail"]

COLOURS = 512
"""Source: Chen et al. 2020 (iGPT), k-means with k = 512: a palette of 9 bits."""
SAMPLE = 1 << 17
"""Pixels that a palette is found from: 256 a colour."""
PALETTE = "kmeans_centers.npy"
"""Named as image-gpt's `download.py` does."""

_IMAGES = 1024
_MOST_PALETTE_BYTES = 1 << 20
_NOTHING = pa.schema([pa.field("id", pa.string(), nullable=False)])

Pixels = npt.NDArray[np.uint8]


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    """Write the pixels of each image, three bytes each, row by row: a palette is found from these first."""
    name, path, place, side = shard.named(".rgb"), shard.scratch(), 0, shard.asked.pixels

    def made(picture: Picture) -> bytes:
        return thumbnail(picture.image, side).tobytes()

    with path.open("wb") as file:
        for batch in batches:
            ids: list[str] = []
            counts: list[int] = []
            rules: dict[str, list[int]] = {}
            for number, row in enumerate(batch.select(["id", "images"]).to_pylist()):
                pictures, rule = pictures_of(row["id"], row["images"], made)
                if rule:
                    rules.setdefault(rule, []).append(number)
                    continue
                file.write(b"".join(pictures))
                ids.append(row["id"])
                counts.append(len(pictures))
            many = np.array(counts, np.int64)
            where = index(pa.array(ids, pa.string()), name, place + np.cumsum(many) - many, many)
            yield Split(where, refused(batch, rules), facts={"images": sum(counts)})
            place += sum(counts)
    yield finished(name, path, place)


def thumbnail(image: Image.Image, side: int) -> Image.Image:
    """Return the middle square of an image, `side` pixels wide and high.

    Source: Chen et al. 2020, the centre crop of evaluation. Deviations: the random crops of training are the
    trainer's; the square is reduced in one step, by Pillow's bicubic filter over all its pixels.

    >>> thumbnail(Image.new("RGB", (400, 100), "red"), 32).size
    (32, 32)
    """
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    middle = image.crop((left, top, left + short, top + short))
    return middle.resize((side, side), Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Palette(Stage):
    """Writes the palette: that of a file, else one found from pixels of images that train."""

    seed: int = setting(0, "another seed draws other pixels")
    pixels: int = setting(32, "width and height of an image")
    palette: str | None = setting(None, "a palette to use", content=False)

    name: ClassVar[str] = "shard.layouts.palette"

    def content(self) -> Mapping[str, str]:
        """Return the digest of the palette that is given."""
        return _content(layout.asked_of(self))

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task."""
        return [Task((layout.contents(sources[0]),))]

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that there are no rows."""
        return _NOTHING

    def run(self, task: Task) -> Iterator[Split]:
        """Find the palette, and write it beside."""
        folder = task.inputs[0].path
        found = read_palette(self.palette) if self.palette else self._found(Dataset(folder))
        path = files.scratch(self.target or folder)
        with path.open("wb") as file:
            np.save(file, found, allow_pickle=False)
        yield Split(pa.RecordBatch.from_pylist([], _NOTHING), beside={PALETTE: path})

    def _found(self, written: Dataset) -> npt.NDArray[np.float32]:
        total = sum(sum(layout.counts_of(batch).values()) for batch in _trained(written))
        chosen = [np.zeros((0, 3), np.uint8)]
        for ids, pixels in _thumbnails(written, self.pixels):
            chosen.append(_drawn(self.seed, ids, pixels, total))
        drawn = np.concatenate(chosen)
        if not len(drawn):
            return np.zeros((COLOURS, 3), np.float32)
        draws = seeds.draw(self.seed, pa.array([f"colour {place}" for place in range(COLOURS)]))
        return find_palette(drawn, draws)


def _drawn(seed: int, ids: pa.Array, pixels: Pixels, total: int) -> Pixels:
    """Draw pixels of images, uint8[images, pixels, 3]: about `SAMPLE` of `total` images, as many of each."""
    size = pixels.shape[1]
    keep = seeds.draw(seed, ids) * total < SAMPLE  # all of them, unless there are more images than that
    pixels, keys = pixels[keep], seeds.choice_key(seed, ids)[keep]
    many = min(size, -(-SAMPLE // total))
    # An odd stride visits each of a power of two of places once; near the golden ratio it spreads them.
    places = (keys[:, None] + np.arange(many, dtype=np.uint64) * np.uint64(0x9E3779B1)) % np.uint64(size)
    return np.take_along_axis(pixels, places.astype(np.int64)[:, :, None], axis=1).reshape(-1, 3)


def _trained(written: Dataset) -> Iterator[pa.RecordBatch]:
    """Read the index of the images that train, one file after the other."""
    for batch in written.batches():
        for name in pc.unique(batch["file"]).to_pylist():
            if name.startswith(TRAIN):
                yield batch.filter(pc.equal(batch["file"], name))


def _thumbnails(written: Dataset, side: int) -> Iterator[tuple[pa.Array, Pixels]]:
    """Read the images that train, uint8[images, pixels, 3], and an id for each."""
    for batch in _trained(written):
        names = [
            f"{name}.{place}" for name, count in zip(*_columns(batch), strict=True) for place in range(count)
        ]
        path = files.join(written.path, batch["file"][0].as_py())
        first = batch["place"][0].as_py()
        for start, pixels in _read(path, first, len(names), side):
            yield pa.array(names[start : start + len(pixels)]), pixels


def _columns(batch: pa.RecordBatch) -> tuple[list[str], list[int]]:
    return batch["id"].to_pylist(), batch["count"].to_pylist()


def _read(path: str, first: int, many: int, side: int) -> Iterator[tuple[int, Pixels]]:
    """Read `many` images of a file from the one numbered `first`, a few at a time."""
    size = side * side * 3
    with files.open_input(path) as file:
        file.seek(first * size)
        for start in range(0, many, _IMAGES):
            data = file.read(min(_IMAGES, many - start) * size)
            yield start, np.frombuffer(data, np.uint8).reshape(-1, side * side, 3)


@dataclass(frozen=True)
class Encode(Stage):
    """Writes each image as the numbers of its pixels' colours, uint16."""

    pixels: int = setting(32, "width and height of an image")

    name: ClassVar[str] = "shard.layouts.encode"

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task for each file of pixels; the palette's dataset is the second source."""
        inputs = tuple(layout.contents(source) for source in sources)
        return [Task(inputs, INDEX, {"part": part}) for part in range(len(Dataset(sources[0]).parts))]

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the index."""
        return INDEX

    def run(self, task: Task) -> Iterator[Split]:
        """Encode the images of one file, and pass on what was rejected."""
        written, palette = (Dataset(item.path) for item in task.inputs)
        colours = read_palette(files.join(palette.path, PALETTE))
        part = written.parts[task.work["part"]]
        totals: dict[str, int] = {}
        for batch in read_batches(written.path_of(part), INDEX):
            for name, count in layout.counts_of(batch).items():
                totals[name] = totals.get(name, 0) + count
            yield Split(batch)
        for rejected in layout.rejects_of(written, part):
            yield Split(pa.RecordBatch.from_pylist([], INDEX), rejected)
        for name, total in totals.items():
            path = files.scratch(self.target or written.path)
            with path.open("wb") as file:
                for _, pixels in _read(files.join(written.path, name), 0, total, self.pixels):
                    file.write(nearest_colours(pixels.reshape(-1, 3), colours).astype("<u2").tobytes())
            yield Split(pa.RecordBatch.from_pylist([], INDEX), beside={name: path})


def read_palette(path: str) -> npt.NDArray[np.float32]:
    """Read a palette, float32[colours, 3], red, green and blue from -1 to 1.

    Raises:
        InputError: It is not there.
        UsageError: It is no such palette.
    """
    try:
        with files.open_input(path) as file:
            data = file.read(_MOST_PALETTE_BYTES + 1)
        if len(data) > _MOST_PALETTE_BYTES:
            raise ValueError("it is too large")
        found = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] != 3:
            raise ValueError("its shape is not (colours, 3)")
        if found.dtype.kind != "f" or not 1 <= len(found) <= 1 << 16 or not np.abs(found).max() <= 1.01:
            raise ValueError("it does not hold up to 65,536 colours from -1 to 1")
    except ValueError as error:
        raise UsageError(
            f"{STAGE}: {path} is no palette: {error}", fix=f"give {PALETTE} of image-gpt or of an earlier run"
        ) from None
    return np.asarray(found, np.float32)


def _content(asked: Asked) -> Mapping[str, str]:
    """Return the digest of the palette's colours where one is given."""
    if asked.palette is None:
        return {}
    return {"palette": hashlib.sha256(read_palette(asked.palette).tobytes()).hexdigest()}


def _between(asked: Asked) -> tuple[Step, ...]:
    """Find the palette, then encode each piece."""
    palette = Palette(asked.seed, asked.pixels, asked.palette)
    return Step(palette, steps=(1,)), Step(Encode(asked.pixels), steps=(1, 2))


def _head(images: int, asked: Asked) -> bytes:
    r"""Return what an .npy of so many images begins with.

    >>> _head(2, Asked())[:8], len(_head(2, Asked())) % 64
    (b'\x93NUMPY\x01\x00', 0)
    """
    file = io.BytesIO()
    told = {"descr": "<u2", "fortran_order": False, "shape": (images, asked.pixels * asked.pixels)}
    np.lib.format.write_array_header_1_0(file, told)
    return file.getvalue()


def _beside(inputs: Sequence[Dataset], path: Path) -> str:
    path.write_bytes(files.read_bytes(files.join(inputs[1].path, PALETTE)))
    return PALETTE


LAYOUT = Layout(
    _write,
    layout.no_images,
    val=0.01,
    takes=("pixels", "palette"),
    joined=Joined({TRAIN: "images_trX.npy", VAL: "images_vaX.npy"}, head=_head, beside=_beside),
    between=_between,
    content=_content,
)
