"""The row of a capture: where the record of a page lies, and what the index says of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.document import REJECT
from corpuskit.seeds import draw

__all__ = ["SCHEMA", "Wanted", "chances", "is_path", "rejects", "smallest"]

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("date", pa.timestamp("ms", tz="UTC")),
        pa.field("status", pa.int32()),
        pa.field("type", pa.string()),
        pa.field("languages", pa.string()),
        pa.field("digest", pa.string()),
        pa.field("warc", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
    ]
)
"""`id` is the capture's place in the index. `type` is as detected, else as sent; `languages` are ISO 639-3
with commas between, the main one first; `offset` and `length` are of the record's member in `warc`."""


@dataclass(frozen=True)
class Wanted:
    """Which captures are wanted: those that any pattern matches, and every other list that is not empty."""

    patterns: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()


_PATH = re.compile(r"(?!/)(?:(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._=-]+(?:/(?=.)|\Z))+\Z")


def is_path(name: str) -> bool:
    """Say whether a name from a listing is a plain path below its base, which `..` or a URL is not.

    >>> is_path("crawl-data/a/b.warc.gz"), is_path("a/../../etc/passwd"), is_path("http://x/")
    (True, False, False)
    """
    return len(name) <= 1000 and _PATH.match(name) is not None


def chances(batch: pa.RecordBatch, seed: int) -> npt.NDArray[np.float64]:
    """Draw a number for each capture, float64[rows], by where its record lies: the same in either index."""
    return draw(seed, pc.binary_join_element_wise(batch["warc"], batch["offset"].cast(pa.string()), "@"))


def smallest(numbers: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return the `count` smallest different numbers, sorted; fewer where there are not so many."""
    return np.unique(numbers)[:count]


def rejects(ids: Sequence[str]) -> pa.RecordBatch:
    """Make a reject of each line or row of an index that makes no sense."""
    told = {"stage": "crawl.captures", "rule": "captures.line"}
    return pa.RecordBatch.from_pylist([{"id": name, **told} for name in ids], REJECT)
