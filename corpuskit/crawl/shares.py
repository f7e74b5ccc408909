"""Divides links among tasks: all of one registrable domain go to one, so that no two ask the same host."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.crawl.addresses import BadUrl, split
from corpuskit.crawl.fetched import SCHEMA, written_date
from corpuskit.crawl.recording import Earlier
from corpuskit.crawl.wanted import domain_of
from corpuskit.dataset import Dataset, read_batches, unify
from corpuskit.errors import InputError

__all__ = ["carried", "domains", "firsts", "hosts", "known_pages", "link_schema", "share"]

_HOST = r"^[\x00-\x20]*[A-Za-z][A-Za-z0-9+.\-]*:[/\\]*(?:[^/?#@\\]*@)?(?P<host>\[[^\]]*\]|[^/:?#\\]*)"
_NOT_CARRIED = ("text", "images")


def link_schema(paths: Sequence[str]) -> pa.Schema:
    """Return the common schema of datasets of links.

    Raises:
        InputError: One has no `id` or no `url`.
    """
    schema = unify([Dataset(path).schema for path in paths])
    for name in ("id", "url"):
        if name not in schema.names or not pa.types.is_string(schema.field(name).type):
            raise InputError(
                f"{', '.join(paths)}: no column {name!r} of strings, so these are no links",
                fix="give a dataset that corpuskit crawl links wrote, or any with id and url",
            )
    return schema


def carried(schema: pa.Schema, own: Sequence[str]) -> list[str]:
    """Name the columns of links that go with the pages: all but texts and what fetching writes anew."""
    return [name for name in schema.names if name not in _NOT_CARRIED and name not in own]


def share(paths: Sequence[str], columns: Sequence[str], number: int, of: int) -> pa.Table:
    """Read the links of one share out of `of`, in order.

    Raises:
        InputError: An id comes twice.
    """
    schema = link_schema(paths)
    found = []
    for path in paths:
        dataset = Dataset(path)
        for part in dataset.parts:
            for batch in read_batches(dataset.path_of(part), schema):
                mine = batch.select(list(columns))
                found.append(mine.filter(_is_in_share(batch["url"], number, of)) if of > 1 else mine)
    table = pa.Table.from_batches(found, pa.schema([schema.field(name) for name in columns])).combine_chunks()
    if pc.count_distinct(table["id"]).as_py() != len(table):
        counts = table["id"].value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        raise InputError(
            f"{', '.join(paths)}: the id {twice} comes twice", fix="leave out one of the sets it is in"
        )
    return table


def hosts(paths: Sequence[str]) -> Counter[str]:
    """Count the links of each registrable domain."""
    found: Counter[str] = Counter()
    for path in paths:
        for batch in Dataset(path).batches(["url"]):
            for count in domains(batch["url"]).dictionary_decode().value_counts().to_pylist():
                found[count["values"]] += count["counts"]
    return found


def _is_in_share(urls: pa.Array, number: int, of: int) -> pa.Array:
    names = domains(urls)
    mine = pa.array([_share_of(name, of) == number for name in names.dictionary.to_pylist()], pa.bool_())
    return mine.take(names.indices)


def _share_of(domain: str, of: int) -> int:
    return int.from_bytes(hashlib.blake2b(domain.encode(), digest_size=8).digest(), "little") % of


def domains(urls: pa.Array) -> pa.DictionaryArray:
    """Return the registrable domain, or else the host, of each URL; empty for null and for what is none."""
    hosts = pc.fill_null(pc.struct_field(pc.extract_regex(urls, _HOST), "host"), "").dictionary_encode()
    names = pa.array(
        [_domain(host) for host in hosts.dictionary.to_pylist()], pa.string()
    ).dictionary_encode()
    return pa.DictionaryArray.from_arrays(names.indices.take(hosts.indices), names.dictionary)


@functools.lru_cache(maxsize=1 << 16)
def _domain(host: str) -> str:
    try:
        return domain_of(split(f"http://{host}/")[0])
    except BadUrl:
        return ""


def known_pages(path: str, urls: pa.Array) -> dict[str, Earlier]:
    """Read what the dataset of an earlier fetch says of these URLs, by URL.

    Raises:
        InputError: It was not written by a fetch.
    """
    dataset = Dataset(path)
    if not {"url", *SCHEMA.names} <= set(dataset.schema.names):
        raise InputError(
            f"{path} was not written by crawl fetch", fix="give --known the target of an earlier fetch"
        )
    names = ["url", "final_url", "etag", "last_modified", "digest"]
    names += ["record_id", "fetched", "refers_to", "refers_to_date"]
    found = {}
    for batch in _only(dataset, names, urls):
        for row in batch.to_pylist():
            found[row["url"]] = Earlier(
                url=row["final_url"],
                date=written_date(row["refers_to_date"] or row["fetched"]),
                record_id=row["refers_to"] or row["record_id"],
                digest=row["digest"],
                etag=row["etag"],
                last_modified=row["last_modified"],
            )
    return found


def _only(dataset: Dataset, names: list[str], urls: pa.Array) -> Iterator[pa.RecordBatch]:
    for part in dataset.parts:
        for batch in read_batches(dataset.path_of(part), columns=names):
            mine = batch.filter(pc.is_in(batch["url"], value_set=pc.unique(urls)))
            if len(mine):
                yield mine


def firsts(urls: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return for each row the first row with the same URL, int64[rows]; a null is like no other."""
    codes = urls.dictionary_encode().indices
    rows = np.arange(len(urls), dtype=np.int64)
    known = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False)
    _, first, inverse = np.unique(known, return_index=True, return_inverse=True)
    return np.where(known >= 0, first[inverse], rows)
