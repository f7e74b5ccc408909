"""`crawl images`: pairs, or the queries to choose them by, in; pairs with their images out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import pyarrow as pa

from corpuskit import files, settings
from corpuskit.crawl import summary
from corpuskit.crawl.ask import Site
from corpuskit.crawl.balance import Choose, Quota
from corpuskit.crawl.imagedecode import Decode
from corpuskit.crawl.imagefetch import IMAGE_BYTES, FetchImages
from corpuskit.crawl.matching import Compat, Match
from corpuskit.crawl.pairs import Addresses, Pairs, is_dataset
from corpuskit.crawl.resizing import Encoding, Interpolation, ResizeMode
from corpuskit.crawl.search import Search
from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError
from corpuskit.pixels import MOST_PIXELS
from corpuskit.settings import setting
from corpuskit.stage import Chain, Stage, Step, Task

__all__ = ["Images"]

_SITES = get_args(Site)


@dataclass(frozen=True)
class Images(Chain):
    """Download the images of image-text pairs politely, all or those that queries choose, and make them anew.

    Without `from` the sources are pairs: a dataset that `crawl pool` wrote, or files of CSV, TSV, JSON lines
    or Parquet. With `from`, the source is a query list, and the pairs are those of the pool or file named
    whose text holds a query, at most `cap` a query, or what a search service finds.

    Every pair is kept with its image or rejected once, by the first rule that applies:

    - `images.missing`, `images.empty`, `images.column`, `images.malformed`, `images.lost`: no pair in a file
    - `images.unmatched`, `images.cap`, `images.balance`; of a service, the rules of `images.search_...`
    - `fetch.*`: its image was not fetched, as `crawl fetch` says, of an owner's opt-out, too
    - `images.large` (bytes), `images.bomb` (pixels), `images.type` (none of JPEG, PNG, WebP, GIF and AVIF)
    - `images.truncated`, `images.decode`: damaged; `images.timeout`, `images.crash`: it took its decoder down
    - `images.small`, `images.aspect`: not of the size or shape asked for; `images.several`: more than one

    Raises:
        UsageError: A setting outside its range, no contact, or columns or a source that do not fit.
    """

    name: ClassVar[str] = "crawl.images"
    bad_rules: ClassVar[frozenset[str]] = Decode.bad_rules
    patient: ClassVar[bool] = True
    fetcher: ClassVar[type[FetchImages]] = FetchImages

    contact: str = setting(
        dataclasses.MISSING, "a mail address or web page for those whose hosts are asked", content=False
    )
    from_: str | None = setting(
        None,
        f"where queries find pairs: a pool, a file of pairs, {', '.join(_SITES[:-1])} or {_SITES[-1]}",
        content=False,
    )
    url_column: str = setting("url", "of files: column of the image's URL")
    caption_column: str = setting("caption", "of files: column of its caption")
    keep_columns: tuple[str, ...] = setting(
        (), "of files: further columns to keep, as [NAME=]PATH[:TYPE]; text by default"
    )
    source: str | None = setting(None, "of files: name of the collection  [default: the file's name]")
    compat: Compat | None = setting(None, "match as another system does, flaws and all")
    cap: int | None = setting(20_000, "most pairs a query")
    balance: int | None = setting(None, "pairs a query keeps on average, in place of a cap")
    seed: int = setting(0, "another seed keeps others")
    per_query: int = setting(100, "of a service: most images of a query")
    license: tuple[str, ...] = setting((), "of a service: licences to keep, such as cc0,by,by-sa")
    resize_mode: ResizeMode = setting("no", "how images are resized")
    image_size: int | None = setting(None, "pixels of a side after resizing")
    only_if_bigger: bool = setting(False, "do not enlarge images")
    interpolation: Interpolation = setting("area", "how images are made smaller")
    encode: Encoding = setting("jpeg", "format in which images are kept")
    quality: int = setting(95, "quality of that format, 1 to 100")
    min_image_size: int | None = setting(None, "fewest pixels of the shorter side")
    max_aspect_ratio: float | None = setting(None, "most that the longer side may be of the shorter")
    max_bytes: int = setting(IMAGE_BYTES, "most bytes of an image, on the wire and inflated")
    max_pixels: int = setting(MOST_PIXELS, "most pixels of an image")
    opt_outs: bool = setting(True, "leave out what its owner does not want indexed or trained on")
    delay: float = setting(5.0, "seconds from the end of a request to the next to that host", content=False)
    retries: int = setting(2, "how often to try again after network errors, 429 and 5xx", content=False)
    timeout: float = setting(30.0, "seconds a request may take, all told", content=False)
    retry_failed: bool = setting(
        False, "try again what failed and may have passed: network errors, 429, 5xx", content=False
    )
    threads: int = setting(64, "most requests at a time, in each worker", content=False)
    ports: tuple[int, ...] = setting((80, 443), "ports that may be asked", content=False)
    allow: tuple[str, ...] = setting((), "addresses that may be asked though not public", content=False)

    def __post_init__(self) -> None:
        """Check the settings, those of the steps by making them."""
        if (self.resize_mode == "no") is not (self.image_size is None):
            given = "image_size without resize_mode" if self.image_size else "resize_mode without image_size"
            raise UsageError(
                f"{self.name}: {given}", fix="give both, such as --resize-mode keep_ratio --image-size 256"
            )
        least = {"image_size": 1, "min_image_size": 1, "max_aspect_ratio": 1, "max_pixels": 1, "quality": 1}
        for name, bound in (least | {"cap": 1, "balance": 1}).items():
            if (value := getattr(self, name)) is not None and value < bound:
                raise UsageError(f"{self.name}: {name} is {value}", fix=f"give at least {bound}")
        if self.quality > 100:
            raise UsageError(f"{self.name}: quality is {self.quality}", fix="give at most 100")
        self._step(self.fetcher), self._step(Pairs)
        if self.from_ in _SITES:
            self._step(Search)

    def content(self) -> Mapping[str, str]:
        """Digest what the pairs are chosen from."""
        if self.from_ is None:
            return {}
        if self.from_ in _SITES:
            return {"from": self.from_}
        if is_dataset(self.from_):
            return {"from": Dataset(self.from_).sha256}
        return {"from": settings.digest([files.identity(path) for path in files.expand(self.from_)])}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of pairs with the size of their originals."""
        return self._step(Decode).writes(schema)

    def plan(self, *sources: str) -> list[Task]:
        """Plan what the first step does."""
        first = self.steps()[0]
        return first.stage.plan(*(sources if first.sources else ()))

    def steps(self) -> tuple[Step, ...]:
        """List the steps: the pairs, their addresses, the fetch, and the decoding."""
        pairs = self._pairs()
        last = len(pairs) - 1
        return (
            *pairs,
            Step(Addresses(), steps=(last,), kept=True),
            Step(self._step(self.fetcher), steps=(last + 1,), kept=True),
            Step(self._step(Decode), steps=(last + 2, last)),
        )

    def _pairs(self) -> tuple[Step, ...]:
        """List the steps that lead to the pairs."""
        if self.from_ is None:
            return (Step(self._step(Pairs), sources=True, kept=True),)
        if self.from_ in _SITES:
            return (Step(self._step(Search), sources=True, kept=True),)
        if is_dataset(self.from_):
            pool: tuple[Step, ...] = ()
            match = Step(Match(self.from_, self.compat), sources=True, kept=True)
        else:
            pool = (Step(self._step(Pairs), kept=True),)
            match = Step(Match(None, self.compat), steps=(0,), sources=True, kept=True)
        place = len(pool)
        return (
            *pool,
            match,
            Step(self._step(Quota), steps=(place,), sources=True, kept=True),
            Step(self._step(Choose), steps=(place + 1, place), kept=True),
        )

    def _step(self, kind: type[Stage]) -> Any:  # noqa: ANN401 - as `passed_on`
        return settings.passed_on(kind, self)

    def recounts(self, dataset: Dataset) -> tuple[str, ...]:
        """Say how fast the fetch was, how much succeeded, and which hosts were slow."""
        return summary.lines(sorted(Path(dataset.path).glob("steps/*-fetch/warc/*.jsonl")))
