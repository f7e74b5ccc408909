"""`crawl interleaved`: archives in, the main text of every page with its images in reading order out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from corpuskit import settings
from corpuskit.crawl import summary
from corpuskit.crawl.archive import RECORD_BYTES
from corpuskit.crawl.imagefetch import IMAGE_BYTES, FetchImages
from corpuskit.crawl.imageplaces import PlaceImages
from corpuskit.crawl.payload import PAGE_BYTES
from corpuskit.crawl.picturedpages import INTERLEAVED, PicturedPages, RareAddresses
from corpuskit.crawl.resizing import Encoding, ResizeMode
from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError
from corpuskit.pixels import MOST_PIXELS
from corpuskit.settings import setting
from corpuskit.stage import Chain, Stage, Step, Task

__all__ = ["Interleaved"]


@dataclass(frozen=True)
class Interleaved(Chain):
    """Read WARC and ARC files: the main text of every page, with its images where they stand in it.

    Lists, tables, captions and code stay; `images[i].offset` says where in `text` an image stands, in bytes.
    Images are downloaded politely unless `no-download`. Rejects by rule:

    - those of `crawl warc` for records that hold no page or no main text; `interleaved.timeout`, `.crash`
    - `interleaved.no_image`: no image is in the text, or none is left
    - `interleaved.one_image`: one image, and not in the share of such pages that is kept

    An image that is taken out of a page is a reject of no bytes: the page's id, the image's URL, its offset.

    - `interleaved.small`: a side below `min_image_size`, as the page declares it
    - `interleaved.frequent`: in more pages than `max_frequency`
    - `interleaved.one_colour`; `interleaved.excess`: after the first `max_images`
    - `fetch.*`, `images.*`: not fetched or not decoded, as `crawl images` says

    Source: KOSMOS-1 (Huang et al. 2023, appendix B.1), and OBELICS (Laurencon et al. 2023, appendix A) for
    `max_frequency`. Deviation: which half of the pages with one image goes is a hash of the id; gibberish
    is for `filter rules` to find.

    Raises:
        UsageError: A setting outside its range, or images to download and no contact.
    """

    name: ClassVar[str] = "crawl.interleaved"
    bad_rules: ClassVar[frozenset[str]] = PicturedPages.bad_rules
    patient: ClassVar[bool] = True
    fetcher: ClassVar[type[FetchImages]] = FetchImages

    download: bool = setting(True, "fetch the images; without, only their URLs are there")
    contact: str | None = setting(
        None, "a mail address or web page for those whose hosts are asked", content=False
    )
    max_images: int | None = setting(5, "most images of a page; those after the first so many are taken out")
    one_image_share: float = setting(0.5, "share of the pages with one image that is kept")
    max_frequency: int | None = setting(10, "most pages an image may be in")
    min_image_size: int | None = setting(64, "fewest pixels of the shorter side")
    seed: int = setting(0, "another seed keeps other pages with one image")
    precision: bool = setting(True, "rather lose text than keep boilerplate")
    source: str | None = setting(
        None, "name of the collection  [default: from the file: CC-MAIN-..., or its name]"
    )
    block_domains: tuple[str, ...] = setting((), "files of hosts and registrable domains to leave out")
    block_urls: tuple[str, ...] = setting((), "files of pieces of URLs to leave out, of pages and of images")
    max_page: int = setting(PAGE_BYTES, "most bytes of a page, inflated")
    max_record: int = setting(RECORD_BYTES, "most bytes of a record; a larger one counts as lost")
    resize_mode: ResizeMode = setting("no", "how images are resized")
    image_size: int | None = setting(None, "pixels of a side after resizing")
    encode: Encoding = setting("jpeg", "format in which images are kept")
    quality: int = setting(95, "quality of that format, 1 to 100")
    max_bytes: int = setting(IMAGE_BYTES, "most bytes of an image, on the wire and inflated")
    max_pixels: int = setting(MOST_PIXELS, "most pixels of an image")
    opt_outs: bool = setting(True, "leave out what its owner does not want indexed or trained on")
    delay: float = setting(5.0, "seconds from the end of a request to the next to that host", content=False)
    retries: int = setting(2, "how often to try again after network errors, 429 and 5xx", content=False)
    retry_failed: bool = setting(
        False, "try again what failed and may have passed: network errors, 429, 5xx", content=False
    )
    threads: int = setting(64, "most requests at a time, in each worker", content=False)
    ports: tuple[int, ...] = setting((80, 443), "ports that may be asked", content=False)
    allow: tuple[str, ...] = setting((), "addresses that may be asked though not public", content=False)

    def __post_init__(self) -> None:
        """Check the settings, those of the steps by making them."""
        if self.download and self.contact is None:
            raise UsageError(
                f"{self.name}: images are downloaded, and there is no contact",
                fix="give --contact with a mail address or web page of yours, or --no-download",
            )
        if (self.resize_mode == "no") is not (self.image_size is None):
            given = "image_size without resize_mode" if self.image_size else "resize_mode without image_size"
            raise UsageError(
                f"{self.name}: {given}", fix="give both, such as --resize-mode keep_ratio --image-size 256"
            )
        for name in ("max_images", "max_frequency", "min_image_size", "image_size", "quality", "max_pixels"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"{self.name}: {name} is {value}", fix="give at least 1")
        if self.quality > 100:
            raise UsageError(f"{self.name}: quality is {self.quality}", fix="give at most 100")
        if not 0 <= self.one_image_share <= 1:
            raise UsageError(f"{self.name}: one_image_share is {self.one_image_share}", fix="give 0 to 1")
        self.steps()

    def content(self) -> Mapping[str, str]:
        """Digest the block lists."""
        return self.steps()[0].stage.content()

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of documents with images."""
        return INTERLEAVED

    def plan(self, *sources: str) -> list[Task]:
        """Plan what the first step does: a task per archive."""
        return self.steps()[0].stage.plan(*sources)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: pages, the addresses of their images, the fetch, and pages with images."""
        first = (
            Step(self._step(PicturedPages), sources=True, kept=True),
            Step(self._step(RareAddresses), steps=(0,), kept=True),
        )
        last = self._step(PlaceImages)
        if not self.download:
            return (*first, Step(last, steps=(0, 1)))
        return (*first, Step(self._step(self.fetcher), steps=(1,), kept=True), Step(last, steps=(0, 1, 2)))

    def _step(self, kind: type[Stage]) -> Any:  # noqa: ANN401 - as `passed_on`
        return settings.passed_on(kind, self)

    def recounts(self, dataset: Dataset) -> tuple[str, ...]:
        """Say how fast the fetch was, how much succeeded, and which hosts were slow."""
        return summary.lines(sorted(Path(dataset.path).glob("steps/*-fetch/warc/*.jsonl")))
