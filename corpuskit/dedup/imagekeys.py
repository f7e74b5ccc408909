"""Images of documents, step 1: what each image is known by, and how much the survivor policy likes it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.numbering import numbered_tasks
from corpuskit.dedup.survivors import columns_read, ranks
from corpuskit.document import IMAGES
from corpuskit.errors import InputError
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.phash import phash
from corpuskit.pixels import BadImage, decode
from corpuskit.stage import Poisoned, Split, Stage, Task, TookTooLong, watching

__all__ = ["IMAGE_KEYS", "LARGEST", "By", "ImageKeys", "image_counts", "rows_in"]

By = Literal["sha256", "phash", "phash+text"]

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

LARGEST = "largest"
"""The survivor policy that images have besides those of documents."""

IMAGE_KEYS = pa.schema(
    [
        pa.field("document", pa.int64(), nullable=False),
        pa.field("high", pa.uint64()),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("rank", pa.float64(), nullable=False),
    ]
)
"""A row for every image, which is its number: its document's number, references counted first; its key, null
where it has none (`high` is the pHash, and `low` hashes the text if that counts); and its rank."""

_SECONDS = 60.0
_ORIGINAL = ("original_width", "original_height")


class _Pictures(NamedTuple):
    """All images of a batch one after the other, and the row of each."""

    values: pa.StructArray
    rows: Numbers

    def field(self, name: str) -> pa.Array:
        return pc.struct_field(self.values, name)


@dataclass(frozen=True)
class ImageKeys(Stage):
    """Writes the key and the rank of every image of every document, references first."""

    name: ClassVar[str] = "dedup.images.keys"

    by: By
    keep: str
    against: tuple[str, ...] = settings.setting((), "references", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of keys."""
        return IMAGE_KEYS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part, the references first.

        Raises:
            InputError: A dataset has no images.
            UsageError: The policy's signal is not in the documents.
        """
        tasks, first = [], 0
        for paths, reference in ((self.against, True), (sources, False)):
            for path in paths:
                _check_images(path)
            for task in numbered_tasks(*paths) if paths else ():
                if not reference:
                    columns_read(self.keep, task.schema)
                work = {"first": first + task.work["first"], "reference": reference}
                tasks.append(dataclasses.replace(task, work=work))
            first += rows_in(paths)
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Find the keys of the images of one part."""
        first, reference = task.work["first"], task.work["reference"]
        wanted = {"id", "images"} | ({"text"} if self.by == "phash+text" else set())
        if not reference:
            wanted |= {*columns_read(self.keep, task.schema), *(_ORIGINAL if self.keep == LARGEST else ())}
        schema = pa.schema([field for field in task.schema if field.name in wanted])
        for batch in read_batches(task.inputs[0].path, schema, schema.names):
            counts = image_counts(batch)
            pictures = _Pictures(batch["images"].flatten(), np.repeat(np.arange(len(batch)), counts))
            high, low = self._keys(batch, pictures)
            infinite = np.full(len(pictures.rows), np.inf)
            rank = infinite if reference else _ranks(batch, pictures, self.keep)
            columns = [pa.array(first + pictures.rows), high, pa.array(low), pa.array(rank)]
            facts = {"images": len(high), "images without a key": high.null_count}
            yield Split(pa.RecordBatch.from_arrays(columns, schema=IMAGE_KEYS), facts=facts)
            first += len(batch)

    def _keys(self, batch: pa.RecordBatch, pictures: _Pictures) -> tuple[pa.UInt64Array, Hashes]:
        if self.by == "sha256":
            return _digests(pictures)
        ids = batch["id"].take(pa.array(pictures.rows)).to_pylist()
        names = (f"{self.name}:{name}:{place}" for place, name in enumerate(ids))
        pairs = zip(names, pictures.field("bytes"), strict=True)
        high = pa.array([_hashed(name, data.as_py()) for name, data in pairs], pa.uint64())
        if self.by == "phash":
            return high, np.zeros(len(high), np.uint64)
        return high, _text_hashes(batch["text"])[pictures.rows]


def rows_in(paths: Sequence[str]) -> int:
    """Count the rows of datasets."""
    return sum(Dataset(path).rows for path in paths)


def image_counts(batch: pa.RecordBatch) -> Numbers:
    """Return how many images each document of a batch has, int64.

    >>> image_counts(pa.RecordBatch.from_pylist([{"images": [{}]}, {"images": None}], pa.schema([IMAGES])))
    array([1, 0])
    """
    return np.asarray(pc.fill_null(pc.list_value_length(batch["images"]), 0), np.int64)


def _check_images(path: str) -> None:
    schema = Dataset(path).schema
    if "images" not in schema.names:
        raise InputError(f"{path} has no images", fix="read datasets of crawl images or crawl interleaved")
    if schema.field("images").type != IMAGES.type:
        raise InputError(f"{path}: the column images is {schema.field('images').type}, not {IMAGES.type}")


def _hashed(name: str, data: bytes | None) -> int | None:
    """Return the pHash of an encoded image; null where it is missing, or cannot be decoded."""
    if not data:
        return None
    try:
        with watching(name, _SECONDS):
            return phash(decode(data))
    except (BadImage, TookTooLong, Poisoned):
        return None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - hostile bytes may make a decoder raise anything
        return None


def _digests(pictures: _Pictures) -> tuple[pa.UInt64Array, Hashes]:
    """Return both halves of the first 128 bits of each image's sha256, as given, else of its bytes."""
    digests, absent = bytearray(), np.zeros(len(pictures.rows), bool)
    given = zip(pictures.field("sha256").to_pylist(), pictures.field("bytes"), strict=True)
    for place, (digest, data) in enumerate(given):
        if digest is None or len(digest) != 32:
            digest = (
                hashlib.sha256(data.as_buffer()).digest() if data.is_valid and len(data.as_buffer()) else None
            )
        absent[place] = digest is None
        digests += digest[:16] if digest else bytes(16)
    halves = np.frombuffer(bytes(digests), ">u8").astype(np.uint64).reshape(len(absent), 2)
    return pa.array(halves[:, 0].copy(), mask=absent), halves[:, 1].copy()


def _text_hashes(texts: pa.Array) -> Hashes:
    """Return a 64-bit hash of each text, white space folded: COYO's texts have single spaces only."""
    folded = (" ".join(text.split()).encode("utf-8", "surrogatepass") for text in texts.to_pylist())
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in folded)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _ranks(batch: pa.RecordBatch, pictures: _Pictures, keep: str) -> Floats:
    """Return how much the policy likes each image; null is least."""
    if keep != LARGEST:
        liked = pc.fill_null(ranks(batch, keep), -np.inf).to_numpy(zero_copy_only=False)
        return np.asarray(liked, np.float64)[pictures.rows]
    pixels = _pixels(pictures.field("width"), pictures.field("height"))
    if set(_ORIGINAL) <= set(batch.schema.names):
        original = _pixels(*(batch[name] for name in _ORIGINAL))[pictures.rows]
        alone = image_counts(batch)[pictures.rows] == 1
        pixels = np.where(alone & np.isfinite(original), original, pixels)
    return pixels


def _pixels(width: pa.Array, height: pa.Array) -> Floats:
    product = pc.multiply(width.cast(pa.float64()), height.cast(pa.float64()))
    return np.asarray(pc.fill_null(product, -np.inf).to_numpy(zero_copy_only=False), np.float64)
