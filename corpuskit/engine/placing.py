"""Where images stand in a text from which something was cut: their offsets move with the text."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.document import IMAGES
from corpuskit.stage import Split

__all__ = ["placed"]

Numbers = npt.NDArray[np.int64]


def placed(split: Split) -> Split:
    """Move the images of the documents that were cut to where they stand now; those within a cut go with it.

    The cuts are the split's own spans, in bytes of the text that came in; `value` is how many bytes were
    written in the place of one. Pieces of a document (`id#0`) keep no images: no span tells which has which.
    A split without images, spans or a source is returned as it is.

    >>> source = pa.RecordBatch.from_pylist([{"id": "a", "text": "0123456789", "images": [{"offset": 8}]}])
    >>> cut = pa.RecordBatch.from_pylist([{"id": "a", "start": 2, "end": 5, "value": None}])
    >>> kept = pa.RecordBatch.from_pylist([{"id": "a", "text": "0156789", "images": [{"offset": 8}]}])
    >>> placed(Split(kept, cut, source)).kept["images"].to_pylist()
    [[{'offset': 5}]]
    """
    if split.source is None or IMAGES.name not in split.kept.schema.names:
        return split
    spans = split.rejected.filter(pc.greater(pc.subtract(split.rejected["end"], split.rejected["start"]), 0))
    if not len(spans):
        return split
    kept = split.kept
    images = kept[IMAGES.name]
    lengths = np.asarray(pc.fill_null(pc.list_value_length(images), 0), np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    flat = images.flatten()
    if len(flat) == 0:
        return split
    moved, stays = _moved(kept["id"], rows, flat.field("offset"), spans)
    stays &= np.asarray(pc.is_in(kept["id"], split.source["id"]))[rows]
    names = [field.name for field in flat.type]
    fields = [pa.array(moved) if name == "offset" else flat.field(name) for name in names]
    struct = pa.StructArray.from_arrays(fields, fields=list(flat.type)).filter(pa.array(stays))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[stays], minlength=len(kept)))])
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), struct, mask=pc.is_null(images))
    at = kept.schema.get_field_index(IMAGES.name)
    return dataclasses.replace(split, kept=kept.set_column(at, kept.schema.field(at), column))


def _moved(
    ids: pa.Array, rows: Numbers, offsets: pa.Array, spans: pa.RecordBatch
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Return the new offset of each image, and whether it stays."""
    place = np.asarray(pc.fill_null(pc.index_in(spans["id"], ids), -1), np.int64)
    known = np.flatnonzero(place >= 0)
    order = known[np.lexsort((spans["start"].to_numpy()[known], place[known]))]
    of, start, end = place[order], spans["start"].to_numpy()[order], spans["end"].to_numpy()[order]
    written = np.nan_to_num(spans["value"].cast(pa.float64()).to_numpy(zero_copy_only=False)[order])
    removed = np.concatenate([[0], np.cumsum(end - start - written.astype(np.int64))])
    now = np.asarray(pc.fill_null(offsets, 0), np.int64).copy()
    stays = np.ones(len(now), bool)
    first = np.searchsorted(of, rows)
    # A document's spans are in order: those that begin before the image are a run of its own.
    width = max(int(end.max(initial=0)), int(now.max(initial=0))) + 1
    before = np.searchsorted(of * width + start, rows * width + now)
    before = np.maximum(before, first)
    inside = (
        (before > first) & (now < end[np.maximum(before - 1, 0)]) if len(end) else np.zeros(len(now), bool)
    )
    stays &= ~inside
    return now - (removed[before] - removed[first]), stays
