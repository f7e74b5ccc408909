"""ImageFolder: `train/CLASS/ID.jpg`, the folders that torchvision, timm, MAE and vit-pytorch read."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError
from corpuskit.pixels import image_format
from corpuskit.shard.layout import STAGE, Asked, Bins, Layout, Shard, index, no_images, refused
from corpuskit.shard.layout.pictures import Picture, pictures_of
from corpuskit.shard.parquet import BIN_BITS, KEY
from corpuskit.stage import Split

__all__ = ["LAYOUT", "folder_name"]

ONE_CLASS = "all"
"""The class of all images where no column names one: trainers ask for a folder all the same."""
LONGEST = 200
"""Bytes of a class's folder at most; file systems end at 255."""

_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
"""Formats that torchvision's ImageFolder takes; others are written as PNG."""
_UNSAFE = re.compile(r"""[\x00-\x1f\x7f-\x9f/\\:*?"<>|%\u2028\u2029]|^[. ]|[. ]$""")
_NO_LABEL, _LONG = "layouts.no_label", "layouts.long_label"


def folder_name(label: str) -> str:
    r"""Name a folder or a file after a text that a stranger chose: two texts have two names, and none leaves.

    What no file system or shell takes well is written as in a URL, and so is a full stop in front.

    >>> folder_name("tabby cat"), folder_name("../etc"), folder_name("a/b%"), folder_name("猫")
    ('tabby cat', '%2E.%2Fetc', 'a%2Fb%25', '猫')
    """
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), label)


class _Class(NamedTuple):
    folder: str | None
    rule: str | None


def _class_of(row: dict[str, Any], label: str | None) -> _Class:
    if label is None:
        return _Class(ONE_CLASS, None)
    value = row[label]
    if value is None or not str(value).strip():
        return _Class(None, _NO_LABEL)
    folder = folder_name(str(value))
    return _Class(folder, None) if len(folder.encode()) <= LONGEST else _Class(None, _LONG)


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    label = shard.asked.label
    columns = ["id", "images", *([label] if label not in (None, "id", "images") else [])]
    for batch in batches:
        told: list[tuple[str, str, int]] = []
        rules: dict[str, list[int]] = {}
        beside: dict[str, Path] = {}
        for number, row in enumerate(batch.select(columns).to_pylist()):
            found, rule = _class_of(row, label)
            pictures, broken = pictures_of(row["id"], row["images"], _file) if found else ([], rule)
            if broken:
                rules.setdefault(broken, []).append(number)
                continue
            folder = f"{shard.split_of(row['id'])}/{found}"
            names = _names(folder_name(row["id"]), [ending for ending, _ in pictures])
            for name, (_, data) in zip(names, pictures, strict=True):
                path = beside[f"{folder}/{name}"] = shard.scratch()
                path.write_bytes(data)
            told.append((row["id"], f"{folder}/{names[0]}", len(pictures)))
        ids, paths, counts = zip(*told, strict=True) if told else ((), (), ())
        where = index(pa.array(ids, pa.string()), list(paths), [0] * len(ids), list(counts))
        yield Split(where, refused(batch, rules), beside=beside, facts={"images": len(beside)})


def _names(name: str, endings: list[str]) -> list[str]:
    """Name the files of one document: ID.jpg, or ID.0.jpg and ID.1.jpg."""
    if len(endings) == 1:
        return [f"{name}.{endings[0]}"]
    return [f"{name}.{place}.{ending}" for place, ending in enumerate(endings)]


def _file(picture: Picture) -> tuple[str, bytes]:
    """Return the ending and the bytes: as they came where ImageFolder takes them, else one frame as PNG."""
    kind = image_format(picture.data)
    if kind in _ENDINGS:
        return _ENDINGS[kind], picture.data
    file = io.BytesIO()
    picture.image.save(file, "PNG")
    return "png", file.getvalue()


def _check(schema: pa.Schema, asked: Asked) -> None:
    no_images(schema, asked)
    if asked.label is None:
        return
    if asked.label not in schema.names:
        raise UsageError(
            f"{STAGE}: there is no column {asked.label!r}", fix=f"known: {', '.join(schema.names)}"
        )
    kind = schema.field(asked.label).type
    if pa.types.is_nested(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind):
        raise UsageError(
            f"{STAGE}: the column {asked.label!r} is {kind}, which names no class",
            fix="give a column of texts or whole numbers",
        )


def _moves(scattered: Dataset, asked: Asked, edge: int) -> Bins:
    """Find one document for each class that would lack images on one side of the bin `edge`.

    ImageFolder numbers the classes of `train` and of `val` each by the folders it finds: a class that one of
    them lacks shifts the numbers of those after it, and no error is raised.
    """
    if asked.label is None or edge >= 1 << BIN_BITS:
        return []
    ends: dict[Any, list[tuple[int, str]]] = {}
    for batch in scattered.batches(["id", KEY, asked.label]):
        keys = batch[KEY].to_pylist()
        for label, key, name in zip(
            batch[asked.label].to_pylist(), keys, batch["id"].to_pylist(), strict=True
        ):
            seen = ends.setdefault(label, [(key, name), (key, name)])
            seen[0], seen[1] = min(seen[0], (key, name)), max(seen[1], (key, name))
    return sorted(_lacking(ends.values(), edge))


def _lacking(ends: Iterable[list[tuple[int, str]]], edge: int) -> Iterator[tuple[int, str]]:
    for (first, one), (last, other) in ends:
        low, high = first >> 64 - BIN_BITS, last >> 64 - BIN_BITS
        if low >= edge:
            yield low, one  # all would be held out
        elif high < edge and one != other:
            yield high, other  # none would be


LAYOUT = Layout(_write, _check, val=0.01, takes=("label",), moves=_moves)
