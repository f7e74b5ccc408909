"""Fetches images as pages are fetched, and finds what became of each address."""

from __future__ import annotations

import io
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.crawl.archive import Record, records
from corpuskit.crawl.fetch import Fetch
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.optouts import opted_out
from corpuskit.crawl.payload import BadPayload, Bomb, inflate
from corpuskit.crawl.transport import Exchange
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError
from corpuskit.pixels import image_format
from corpuskit.settings import setting

__all__ = ["IMAGE_BYTES", "Archives", "FetchImages", "Place", "outcomes"]

IMAGE_BYTES = 20 << 20

_PLACES = ["id", "warc", "offset", "length", "record_id", "refers_to"]
_RULES = ["id", "rule", "value", "bound"]


@dataclass(frozen=True)
class FetchImages(Fetch):
    """Fetch images politely, as `crawl fetch` does pages.

    What is no `image/*` by its headers and no image by its first bytes is rejected as `fetch.type`; opt-outs
    for images (`noimageai`, `noimageindex`) count as those for pages do.
    """

    name: ClassVar[str] = "crawl.images.fetch"
    headers: ClassVar[Mapping[str, str]] = {
        **Fetch.headers,
        "Accept": "image/avif,image/webp,image/jpeg,image/png,image/gif,image/*;q=0.8,*/*;q=0.1",
    }

    max_bytes: int = setting(IMAGE_BYTES, "most bytes of an image, on the wire and inflated")
    types: tuple[str, ...] = setting((), "media types to keep; '' keeps images of any")

    def _judge(self, exchange: Exchange) -> Verdict | None:
        """Say why an answer is not wanted; null if it is."""
        if self.opt_outs and opted_out(exchange.headers.items(), for_images=True):
            return Verdict("fetch.optout")
        kind = exchange.headers.get("Content-Type", "").strip().lower()
        if not kind.startswith("image/") and image_format(exchange.body) is None:
            return Verdict("fetch.type")
        return super()._judge(exchange)


class Place(NamedTuple):
    """Where the response with an image lies."""

    warc: str
    offset: int
    length: int


def outcomes(dataset: Dataset, ids: Set[str]) -> dict[str, Place | Verdict]:
    """Say of some links where what was fetched lies, or by which rule it was not.

    A link that was not asked for is left out. A note that an image was the same as one before gives the
    place of that one.
    """
    found: dict[str, Place | Verdict] = {}
    wanted = pa.array(sorted(ids), pa.string())
    referred: dict[str, list[str]] = {}
    for row in _rows(dataset, "id", wanted):
        if row["refers_to"] is None:
            found[row["id"]] = Place(row["warc"], row["offset"], row["length"])
        else:
            referred.setdefault(row["refers_to"], []).append(row["id"])
    if referred:
        for row in _rows(dataset, "record_id", pa.array(sorted(referred), pa.string())):
            for name in referred[row["record_id"]]:
                found[name] = Place(row["warc"], row["offset"], row["length"])
    for batch in dataset.reject_batches():
        mine = batch.select(_RULES).filter(pc.is_in(batch["id"], wanted))
        found |= {row.pop("id"): Verdict(**row) for row in mine.to_pylist()}
    return found


def _rows(dataset: Dataset, column: str, wanted: pa.Array) -> list[dict[str, Any]]:
    """Read the places of the rows whose column has one of the values wanted."""
    return [
        row
        for batch in dataset.batches(_PLACES)
        for row in batch.filter(pc.is_in(batch[column], wanted)).to_pylist()
    ]


class Archives:
    """The archives of a fetch, read by place; `bound` is how many bytes an image may have.

    Raises:
        InputError: An archive is gone.
    """

    def __init__(self, folder: str, bound: int) -> None:
        self._folder, self._bound = folder, bound
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Archives:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._open.values():
            file.close()

    def read(self, place: Place) -> bytes | Verdict:
        """Return the bytes of an image as its server has it, or why there are none."""
        file = self._file(place.warc)
        file.seek(place.offset)
        record = next(records(io.BytesIO(file.read(place.length))), None)
        if not isinstance(record, Record):
            return Verdict("images.lost", place.length)
        if record.truncated == "length":  # how large it is, nobody knows
            return Verdict("images.large", bound=self._bound)
        try:
            return inflate(record.http, record.body, self._bound)
        except Bomb:
            return Verdict("images.large", bound=self._bound)
        except BadPayload:
            return Verdict("images.decode", len(record.body))

    def _file(self, name: str) -> BinaryIO:
        if name not in self._open:
            path = files.join(self._folder, "warc", name)
            if not Path(path).exists():
                raise InputError(
                    f"{path} is gone, and the images are not decoded yet", fix="start again with --force"
                )
            self._open[name] = files.open_input(path)
        return self._open[name]
