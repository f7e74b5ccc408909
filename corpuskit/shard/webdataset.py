"""`shard webdataset`: images with their texts in tar files, as open_clip and webdataset read them."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
import math
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES, reject_rows
from corpuskit.errors import UsageError
from corpuskit.pixels import image_format
from corpuskit.settings import setting
from corpuskit.shard import card
from corpuskit.shard.parquet import Gather, Scatter
from corpuskit.stage import Chain, Split, Step, Task

__all__ = ["WebDataset"]

INDEX = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("tar", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
    ]
)
"""Where each document lies: the tar file, and the key that its members' names begin with."""

_EXTENSIONS = {"JPEG": "jpg"}
_RULE = "webdataset.no_image"
_SIZES = "sizes.json"


@dataclass(frozen=True)
class WebDataset(Chain):
    """Shuffle image-text pairs together and write them as tar files of even size.

    A sample is an image, its text and its other columns, `000020017.jpg`, `.txt` and `.json`: the number of
    the shard and the sample's place in it. A document of several images has them as `.0.jpg`, `.1.jpg`. The
    dataset's own rows say in which tar file, and under which key, each id lies. `sizes.json` beside them
    holds the samples of each file, as open_clip reads it.

    The order is that of `shard parquet`: the same documents and seed give the same bytes. A document without
    the bytes of an image is rejected as `webdataset.no_image`.

    Raises:
        InputError: A document is twice in the inputs.
        UsageError: Samples below 1 or above 10,000, or inputs without images.

    >>> [step.stage.name for step in WebDataset(samples=1000).steps()]
    ['shard.webdataset.scatter', 'shard.webdataset.pack']
    """

    samples: int = setting(10_000, "most samples a tar file, at most 10000")
    seed: int = setting(0, "another seed gives another order")

    name: ClassVar[str] = "shard.webdataset"

    def __post_init__(self) -> None:
        """Check the number of samples, which a key writes with four digits."""
        if not 1 <= self.samples <= 10_000:
            raise UsageError(f"shard.webdataset: samples is {self.samples}", fix="give 1 to 10000")

    def steps(self) -> tuple[Step, ...]:
        """Scatter the rows into buckets of keys, then pack each shard from its buckets."""
        return Step(ScatterImages(self.seed), sources=True), Step(Pack(rows=self.samples), steps=(0,))

    def finish(self, dataset: Dataset) -> None:
        """Write `sizes.json` and the dataset card."""
        sizes = {file.path: part.rows for file, part in zip(dataset.files, dataset.parts, strict=True)}
        path, told = files.join(dataset.path, _SIZES), (json.dumps(sizes, indent=1) + "\n").encode()
        if not files.exists(path) or files.read_bytes(path) != told:
            files.write_bytes(path, told)
        card.write(dataset)


@dataclass(frozen=True)
class ScatterImages(Scatter):
    """Sort runs of rows by key; there must be a column of images."""

    name: ClassVar[str] = "shard.webdataset.scatter"

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task for about 64 MiB.

        Raises:
            UsageError: There are no images.
        """
        tasks = super().plan(*sources)
        if any(IMAGES.name not in task.schema.names for task in tasks):
            what = f"there is no column of images in {', '.join(sources)}"
            raise UsageError(what, fix="fetch them first, with corpuskit crawl images")
        return tasks


@dataclass(frozen=True)
class Pack(Gather):
    """Write one tar file a task: all samples of a range of keys, in order."""

    name: ClassVar[str] = "shard.webdataset.pack"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the index."""
        return INDEX

    def plan(self, *sources: str) -> list[Task]:
        """Plan as for Parquet, and number the shards."""
        tasks = super().plan(*sources)
        return [
            dataclasses.replace(task, work={**task.work, "shard": shard}) for shard, task in enumerate(tasks)
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Write the samples of one shard, and say where each lies."""
        shard, place = int(task.work["shard"]), 0
        name, path = f"{shard:05d}.tar", files.scratch(self.target or task.inputs[0].path)
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for split in super().run(task):
                index, bare = [], []
                for number, row in enumerate(split.kept.to_pylist()):
                    if not any(image["bytes"] for image in row["images"] or ()):
                        bare.append(number)
                        continue
                    key = f"{shard:05d}{place:04d}"
                    place += 1
                    _add(tar, key, row)
                    index.append({"id": row["id"], "tar": name, "key": key})
                rejected = reject_rows(split.kept, WebDataset.name, _RULE, pa.array(bare, pa.int64()))
                yield Split(pa.RecordBatch.from_pylist(index, INDEX), rejected)
        yield Split(pa.RecordBatch.from_pylist([], INDEX), beside={name: path})


def _add(tar: tarfile.TarFile, key: str, row: Mapping[str, Any]) -> None:
    """Write one sample: its images, its text, and everything else as JSON."""
    images = [image for image in row["images"] if image["bytes"]]
    for number, image in enumerate(images):
        place = f".{number}" if len(images) > 1 else ""
        _member(tar, f"{key}{place}.{_extension(image['bytes'])}", image["bytes"])
    _member(tar, f"{key}.txt", row["text"].encode())
    told = {name: value for name, value in row.items() if name != "text"}
    told["images"] = [{name: value for name, value in image.items() if name != "bytes"} for image in images]
    _member(tar, f"{key}.json", json.dumps(_plain(told), sort_keys=True, ensure_ascii=False).encode())


def _member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # no time, no owner: the same sample gives the same bytes
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _extension(data: bytes) -> str:
    """Name an image's format as files of it end.

    >>> _extension(b"GIF89a"), _extension(b"?")
    ('gif', 'bin')
    """
    kind = image_format(data)
    return _EXTENSIONS.get(kind, kind.lower()) if kind else "bin"


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    """Bring a value into JSON: bytes in hex, times in ISO 8601, what is not a number null."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
