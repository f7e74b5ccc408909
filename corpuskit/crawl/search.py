"""Images by query from a search service: pairs with their licence, their author, and the queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpuskit import settings
from corpuskit.crawl.ask import Ask, Site
from corpuskit.crawl.balance import QUERIES
from corpuskit.crawl.mentions import Gather, Groups
from corpuskit.document import IMAGE, IMAGES, SCHEMA
from corpuskit.stage import Chain, Step

__all__ = ["FACTS", "SEARCHED", "Search"]

FACTS = pa.schema(
    [
        pa.field("license", pa.string()),
        pa.field("license_version", pa.string()),
        pa.field("license_url", pa.string()),
        pa.field("creator", pa.string()),
        pa.field("attribution", pa.string()),
        pa.field("service", pa.string(), nullable=False),
        pa.field("service_id", pa.string(), nullable=False),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("filetype", pa.string()),
    ]
)
"""What a service says of an image: `license` as Creative Commons writes it (`by-sa`), else as the service
does; `attribution` is the line to print beside it; null is what the service does not say."""

SEARCHED = pa.schema([*SCHEMA, IMAGES, QUERIES, *FACTS])
"""A row per image: `text` is its title or description, `url` the page it is shown on."""


@dataclass(frozen=True)
class Search(Ask, Chain):
    """Ask a search service for images of each query: a row per image, with all queries that found it.

    Sources are query lists: datasets with a column `query`. `id` is a hash of the service and its own id of
    the image, so an image has one id whatever was asked for. `text` is, of Openverse, the title; of Commons,
    the description, else the title; of Flickr, the title, else the description. `images` has one image, which
    is not fetched.

    One request at a time; what stands is not asked for again when the search is resumed. Openverse gives 400
    results of a query, Commons 10,000, Flickr 4,000. Rejects by rule:

    - `images.search_empty`: a query without results; `images.search_query`: a blank one;
      `images.search_repeated`: one that came before
    - `images.search_failed`: the service answered, again and again, with an error or with what is no page of
      results (value: the status, or Flickr's code)
    - `images.search_result`: a result without an id or without an image's URL; `images.search_type`: no image
    - `images.search_licence`: not of the licences wanted; `images.search_text`: neither title nor description
    - `images.search_cap`: beyond the number of images wanted of the query

    Raises:
        UsageError: A setting outside its range, no contact, a service without the key it needs, or one that
            refuses to be asked.
        TryLater: The service wants to be left alone, or cannot be reached; what it gave stands.
    """

    name: ClassVar[str] = "crawl.images.search"
    bad_rules: ClassVar[frozenset[str]] = frozenset({"images.search_failed", "images.search_result"})
    keeps: ClassVar[tuple[str, ...]] = ()

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the images found."""
        return SEARCHED

    def steps(self) -> tuple[Step, ...]:
        """List the steps: what the service says, and the images it is gathered into."""
        return Step(settings.passed_on(Ask, self), sources=True), Step(GatherImages(self.from_), steps=(0,))


@dataclass(frozen=True)
class GatherImages(Gather):
    """The second step: one row for each image, as it was first told."""

    name: ClassVar[str] = Search.name
    bad_rules: ClassVar[frozenset[str]] = Search.bad_rules

    from_: Site

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the images found."""
        return SEARCHED

    def links(self, groups: Groups) -> Mapping[str, pa.Array]:
        """Gather what was said of each image."""
        first = groups.rows.take(pa.array(groups.starts))
        of, names, _ = groups.pairs("query", np.ones(len(groups.rows), np.int64))
        count = len(first)
        service = pa.repeat(self.from_, count)
        told = {
            "text": first["title"],
            "url": first["url"],
            "date": first["date"],
            "source": service,
            "origin": pa.compute.binary_join_element_wise(service, first["place"], "@"),
            "images": _images(first),
            "queries": pa.ListArray.from_arrays(groups.offsets(of), names),
            "service": service,
        }
        facts = {name: first[name] for name in FACTS.names if name != "service"}
        unknown = {name: pa.nulls(count, SCHEMA.field(name).type) for name in ("lang", "lang_score")}
        return {**unknown, **facts, **told}


def _images(first: pa.RecordBatch) -> pa.ListArray:
    """Make a list of one image for each row."""
    told = {
        "offset": pa.array(np.zeros(len(first), np.int64)),
        "url": first["image"],
        "alt": first["title"].cast(pa.string()),
        "width": first["width"],
        "height": first["height"],
    }
    columns = [told.get(field.name, pa.nulls(len(first), field.type)) for field in IMAGE]
    images = pa.StructArray.from_arrays(columns, fields=list(IMAGE))
    return pa.ListArray.from_arrays(pa.array(np.arange(len(first) + 1, dtype=np.int32)), images)
