"""Signals of images: of each one, for rules that drop images; and of a document by the worst of its images.

Sizes are those of the image as it was before it was resized, where the documents have the columns
`original_width`, `original_height` and `original_bytes` of `crawl images`; else those it has now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.filter.signals.signal import Scan, Signal
from corpuskit.kernels.phrases import Phrases
from corpuskit.kernels.utf8 import buffers
from corpuskit.kernels.words import normalised_word_hashes

__all__ = ["IMAGE_SIGNALS", "SIGNALS", "rows_of"]

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_SMALL = 64
"""Sides of the image that colours and sharpness are told from: enough for both, and cheap."""
_DECORATION = ("logo", "button", "icon", "plugin", "widget")


class Images(NamedTuple):
    """All images of a batch one after the other: their fields, and the row of each."""

    fields: pa.StructArray
    rows: Numbers


def _images(scan: Scan) -> Images:
    if "images" not in scan.batch.schema.names:
        return Images(pa.nulls(0, pa.struct([("url", pa.string())])), np.zeros(0, np.int64))
    column = scan.column("images")
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
    return Images(column.flatten(), np.repeat(np.arange(len(lengths)), lengths))


def rows_of(scan: Scan) -> Numbers:
    """Return the row of each image of a batch, int64[images]."""
    return scan.once(_images).rows


def _now(scan: Scan, name: str) -> pa.Array:
    """Return a field of each image as it is now; null where images have no such field."""
    images = scan.once(_images)
    names = [field.name for field in images.fields.type]
    return images.fields.field(name) if name in names else pa.nulls(len(images.rows))


def _before(scan: Scan, column: str, now: pa.Array) -> Floats:
    """Return what a column says of documents of one image, else the value of now; NaN where both are null."""
    values = _floats(now)
    if column not in scan.batch.schema.names:
        return values
    rows = rows_of(scan)
    before = _floats(scan.column(column))[rows]
    alone = np.bincount(rows, minlength=scan.rows)[rows] == 1
    return np.where(alone & ~np.isnan(before), before, values)


def _floats(values: pa.Array) -> Floats:
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _sides(scan: Scan) -> tuple[Floats, Floats]:
    return (
        _before(scan, "original_width", _now(scan, "width")),
        _before(scan, "original_height", _now(scan, "height")),
    )


def _shortest(scan: Scan) -> Floats:
    return np.minimum(*scan.once(_sides))


def _longest(scan: Scan) -> Floats:
    return np.maximum(*scan.once(_sides))


def _aspect(scan: Scan) -> Floats:
    shortest = _shortest(scan)
    return _longest(scan) / np.where(shortest > 0, shortest, np.nan)


def _bytes(scan: Scan) -> Floats:
    data = _now(scan, "bytes")
    lengths = pc.binary_length(data) if pa.types.is_binary(data.type) else data
    return _before(scan, "original_bytes", lengths)


def _looks(scan: Scan) -> tuple[Floats, Floats]:
    """Return the colour range and the sharpness of each image; NaN for one that cannot be decoded."""
    from corpuskit.pixels import BadImage, decode

    data_of = _now(scan, "bytes")
    colours, sharpness = (np.full(len(data_of), np.nan) for _ in range(2))
    for place, data in enumerate(data_of.to_pylist()):
        if not data:
            continue
        try:
            image = decode(data)
        except BadImage:
            continue
        colours[place] = max(high - low for low, high in image.getextrema())  # type: ignore[misc]
        image.thumbnail((_SMALL * 4, _SMALL * 4))
        sharpness[place] = _laplacian(np.asarray(image.convert("L"), np.float64))
    return colours, sharpness


def _laplacian(grey: Floats) -> float:
    """Return the variance of the Laplacian; NaN for an image of fewer than three pixels a side.

    >>> _laplacian(np.zeros((8, 8)))
    0.0
    """
    if min(grey.shape) < 3:
        return float("nan")
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.var(around - 4 * middle))


def _decoration(scan: Scan) -> Floats:
    """Count pieces of each image's URL that decoration has in its."""
    urls = pc.fill_null(scan.once(_images).fields.field("url"), "")
    data, offsets = buffers(urls)
    found = Phrases(_DECORATION).count(data, offsets[:-1], offsets[1:])
    return np.asarray(found, np.float64)


def _column(values: Floats, kind: pa.DataType) -> pa.Array:
    undefined = np.isnan(values)
    return pa.array(np.where(undefined, 0, values), mask=undefined).cast(kind)


def _each(of: Callable[[Scan], Floats], kind: pa.DataType) -> Callable[[Scan], pa.Array]:
    return lambda scan: _column(scan.once(of), kind)


def _worst(of: Callable[[Scan], Floats], kind: pa.DataType, largest: bool) -> Callable[[Scan], pa.Array]:
    """Reduce a signal of images to one of documents, null where no image has it."""

    def values(scan: Scan) -> pa.Array:
        each, rows = scan.once(of), rows_of(scan)
        known = ~np.isnan(each)
        found = np.full(scan.rows, -np.inf if largest else np.inf)
        (np.maximum if largest else np.minimum).at(found, rows[known], each[known])
        return _column(np.where(np.isinf(found), np.nan, found), kind)

    return values


def _count(scan: Scan) -> pa.Array:
    return pa.array(np.bincount(rows_of(scan), minlength=scan.rows).astype(np.int64))


def _noun_ratio(scan: Scan) -> pa.Array:
    nouns = scan.lists.get("noun_ratio", ())
    known, _ = normalised_word_hashes(*buffers(pa.array(nouns, pa.string())))
    words, offsets = normalised_word_hashes(*scan.text)
    sums = np.concatenate([[0], np.cumsum(np.isin(words, known))])
    counts = np.diff(offsets)
    share = np.divide(np.diff(sums[offsets]), counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return _column(share, pa.float64())


_INT, _FLOAT = pa.int64(), pa.float64()
_EACH: tuple[tuple[str, pa.DataType, str, Callable[[Scan], Floats], bool], ...] = (
    ("image_shortest_side", _INT, "The shorter side of an image, in pixels.", _shortest, False),
    ("image_longest_side", _INT, "The longer side of an image, in pixels.", _longest, True),
    ("image_aspect", _FLOAT, "The longer side of an image by the shorter.", _aspect, True),
    ("image_bytes", _INT, "The bytes of an image's file.", _bytes, False),
    (
        "image_colour_range",
        _INT,
        "How far apart the values of a colour channel are at most, 0 to 255; 0 is a single colour.",
        lambda scan: scan.once(_looks)[0],
        False,
    ),
    (
        "image_sharpness",
        _FLOAT,
        "The variance of the Laplacian of an image at 256 pixels; low is blurred.",
        lambda scan: scan.once(_looks)[1],
        False,
    ),
    (
        "image_url_decoration_count",
        _INT,
        "Pieces of an image's URL such as logo, button, icon, plugin and widget.",
        _decoration,
        True,
    ),
)

IMAGE_SIGNALS = tuple(
    Signal(name, kind, meaning, _each(of, kind), ("images",)) for name, kind, meaning, of, _ in _EACH
)
"""Signals with one value an image: for rules that drop images. Null where a size or the bytes are unknown."""

SIGNALS = (
    Signal("image_count", _INT, "Images of the document.", _count, ("images",)),
    *(
        Signal(
            name,
            kind,
            f"{meaning[:-1]}: the {'greatest' if largest else 'least'} of the document's images.",
            _worst(of, kind, largest),
            ("images",),
        )
        for name, kind, meaning, of, largest in _EACH
    ),
    Signal(
        "noun_ratio",
        _FLOAT,
        "Share of words that are on a list of nouns, given with --lists noun_ratio=FILE.",
        _noun_ratio,
    ),
)
"""Document signals of images and captions."""
