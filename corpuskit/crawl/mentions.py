"""Mentions of URLs, a row each, gathered by canonical URL into link datasets: for `links` and `clicks`.

The first step of either kind reads its files and writes a row for every mention, and for every record that
holds none, with the rule that says why. Rows are divided into buckets by the hash of their URL, so that the
second step holds one bucket at a time; both write nothing that depends on how many workers there were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files, urls
from corpuskit.crawl.logs import Fault
from corpuskit.dataset import ROW_GROUPS_BY, Dataset, cut
from corpuskit.document import BATCH_BYTES, REJECT
from corpuskit.errors import InputError
from corpuskit.stage import Input, Split, Stage, Task, dataset_input

__all__ = [
    "Gather",
    "Groups",
    "Judged",
    "Sorter",
    "canonical_column",
    "faults",
    "file_tasks",
    "host_column",
    "link_id",
    "mention_schema",
]

Numbers = npt.NDArray[np.int64]

_BUCKET_BYTES = 64 << 20
"""Bytes of input, compressed as it comes, that a bucket stands for: a few hundred MiB in memory at most."""
_MOST_BITS = 8
_HELD_BYTES = 32 << 20
_FIRST = [
    pa.field("bucket", pa.int32(), nullable=False),
    pa.field("high", pa.uint64(), nullable=False),
    pa.field("low", pa.uint64(), nullable=False),
    pa.field("url", pa.string()),
]
_LAST = [
    pa.field("origin", pa.string()),
    pa.field("rule", pa.string()),
    pa.field("value", pa.float64()),
    pa.field("bound", pa.float64()),
]
# A URL that is its own canonical form, told by its looks: no escape, query, port, `;` or dot segment
_SEGMENT = r"/[\w~!$&'()*+,=:@-][\w~!$&'()*+,=:@.-]*"
_PLAIN = rf"\Ahttps?://[a-z0-9-]+(\.[a-z0-9-]+)*(({_SEGMENT})+|({_SEGMENT})*/)\z"
_HOST = r"\Ahttps?://(?P<host>\[[^\]/]*\]|[^/:?#@\[\]]+)(?::[0-9]+)?/"


def mention_schema(own: Sequence[pa.Field]) -> pa.Schema:
    """Return the schema of a kind's mentions: its `own` columns between what all have.

    `high` and `low` are the halves of the 128-bit hash of the canonical URL; of a row with a `rule`, which is
    no mention, of the place it came from. `origin`, `rule`, `value` and `bound` are null but in such rows.
    """
    return pa.schema([*_FIRST, *own, *_LAST], metadata={ROW_GROUPS_BY: b"bucket"})


def link_id(url: str) -> str:
    """Name a link: 32 hex digits of blake2b-128 of its canonical URL, the same in every dataset.

    >>> link_id("http://Example.com") == link_id("http://example.com/#top")
    True
    """
    return _digest(urls.canonical(url)).hex()


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def file_tasks(sources: Sequence[str], schema: pa.Schema) -> list[Task]:
    """Plan a task per file, once each, that knows into how many buckets (2**`bits`) rows are divided.

    A folder stands for the files in it and below.

    Raises:
        InputError: A file is missing, or a folder has none.
    """
    paths = dict.fromkeys(path for source in sources for path in _members(source))
    inputs = [Input(path, files.file_name(path), *files.identity(path)) for path in paths]
    total = sum(max(0, item.size) for item in inputs)
    bits = min(_MOST_BITS, (max(0, total - 1) // _BUCKET_BYTES).bit_length())
    return [Task((item,), schema, {"bits": bits}) for item in inputs]


def _members(source: str) -> list[str]:
    if source == "-" or files.is_url(source) or not Path(source).is_dir():
        return files.expand(source)
    found = [path for path in Path(source).rglob("*") if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise InputError(f"there are no files in {source}", fix="check the path")
    return sorted(map(str, found))


def canonical_column(column: pa.StringArray) -> pa.StringArray:
    """Bring a column of URLs under their canonical form (`urls.canonical`); null stays null.

    >>> canonical_column(pa.array(["http://a.example", "http://a.example/b", None])).to_pylist()
    ['http://a.example/', 'http://a.example/b', None]
    """
    found = column.dictionary_encode()
    plain = pc.match_substring_regex(found.dictionary, _PLAIN)
    others = [urls.canonical(url) for url in found.dictionary.filter(pc.invert(plain)).to_pylist()]
    made = pc.replace_with_mask(found.dictionary, pc.invert(plain), pa.array(others, pa.string()))
    return made.take(found.indices)


def host_column(column: pa.StringArray) -> pa.DictionaryArray:
    """Return the hosts of canonical http and https URLs; null where there is none, and for other schemes.

    >>> host_column(pa.array(["https://a.example:81/b", "ftp://a.example/", "text"])).to_pylist()
    ['a.example', None, None]
    """
    return pc.struct_field(pc.extract_regex(column, _HOST), "host").dictionary_encode()


class Sorter:
    """Takes the mentions of one file as they come, and gives them out in sorted runs of bounded size."""

    def __init__(self, task: Task) -> None:
        self._schema = task.schema
        self._bits = int(task.work["bits"])
        item = task.inputs[0]
        self._origin, self._name = item.path, f"{item.name}\0{item.identity}"
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(
        self, columns: Mapping[str, pa.Array], places: pa.StringArray, keys: pa.StringArray
    ) -> Iterator[Split]:
        """Add rows: their own columns, where each stands in the file, and their canonical URLs.

        Rows with a `rule` are named by their place instead, which must not repeat in the file.
        """
        rules = columns["rule"]
        names = pc.binary_join_element_wise(self._name, places, "@")
        digests = b"".join(map(_digest, pc.if_else(pc.is_valid(rules), names, keys).to_pylist()))
        halves = np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
        shift = np.uint64(64 - self._bits)
        buckets = halves[:, 0] >> shift if self._bits else np.zeros(len(rules), np.uint64)
        origins = pc.binary_join_element_wise(self._origin, places, "@")
        given = {
            **columns,
            "bucket": pa.array(buckets.astype(np.int32)),
            "high": pa.array(halves[:, 0].copy()),
            "low": pa.array(halves[:, 1].copy()),
            "origin": pc.if_else(pc.is_valid(rules), origins, None),
        }
        arrays = [
            given[field.name] if field.name in given else pa.nulls(len(rules), field.type)
            for field in self._schema
        ]
        self._held.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._bytes += self._held[-1].nbytes
        if self._bytes >= _HELD_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[Split]:
        """Give out what is held, sorted by bucket and otherwise in the order it came."""
        if self._held:
            rows = pa.concat_batches(self._held)
            order = np.argsort(rows["bucket"].to_numpy(), kind="stable")
            for batch in cut(rows.take(pa.array(order)), BATCH_BYTES):
                yield Split(batch)
        self._held, self._bytes = [], 0


class Groups(NamedTuple):
    """Mentions ordered by URL and otherwise as they were read: row i is one of link `label[i]`.

    `starts` are the first rows of the links.
    """

    rows: pa.RecordBatch
    label: Numbers
    starts: Numbers

    def first(self, *keys: npt.NDArray[Any]) -> Numbers:
        """Return the row of each link with the least `keys`, the last counting most; the first of several."""
        return np.lexsort((*keys, self.label))[self.starts]

    def total(self, values: Numbers) -> Numbers:
        """Add up the values of each link."""
        return np.add.reduceat(values, self.starts) if len(self.starts) else np.zeros(0, np.int64)

    def pairs(self, column: str, counts: Numbers) -> tuple[Numbers, pa.StringArray, Numbers]:
        """List each link's distinct values of a column, in order of the alphabet, nulls left out.

        Returns the links they are of, ascending, the values, and what `counts` adds up to for each.
        """
        found = self.rows[column].dictionary_encode()
        order = pc.array_sort_indices(found.dictionary)
        rank = np.empty(len(order), np.int64)
        rank[order.to_numpy()] = np.arange(len(order))
        given = np.asarray(found.indices.is_valid())
        codes = rank[found.indices.fill_null(0).to_numpy()] if len(rank) else np.zeros(len(given), np.int64)
        keys, which = np.unique((self.label * max(1, len(rank)) + codes)[given], return_inverse=True)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, which, counts[given])
        values = found.dictionary.take(order).take(pa.array(keys % max(1, len(rank))))
        return keys // max(1, len(rank)), values, sums

    def offsets(self, links: Numbers) -> pa.Int32Array:
        """Return where the list of each link begins among rows of ascending `links`."""
        return pa.array(np.searchsorted(links, np.arange(len(self.starts) + 1)).astype(np.int32))


class Judged(NamedTuple):
    """Which links go (a mask) by a rule, and the value of each."""

    rule: str
    gone: pa.BooleanArray
    values: pa.Array
    bound: float


@dataclass(frozen=True)
class Gather(Stage):
    """The second step: gathers the mentions of a bucket by URL; a kind says what becomes of a link."""

    def links(self, groups: Groups) -> Mapping[str, pa.Array]:
        """Return the columns of the links but `id`, a row each; `url` is one of them."""
        raise NotImplementedError

    def judge(self, links: pa.RecordBatch) -> Judged | None:
        """Say which links go; null where none may."""
        return None

    def plan(self, *sources: str) -> list[Task]:
        """Plan a task per bucket of the mentions."""
        seen = [pc.unique(batch["bucket"]).to_pylist() for batch in Dataset(sources[0]).batches(["bucket"])]
        item = dataset_input(sources[0])
        return [Task((item,), work={"bucket": bucket}) for bucket in sorted({0, *sum(seen, [])})]

    def run(self, task: Task) -> Iterator[Split]:
        """Gather one bucket."""
        schema = self.writes(task.schema)
        rows = _bucket(Dataset(task.inputs[0].path), task.work["bucket"])
        groups = _grouped(rows.filter(pc.is_null(rows["rule"])))
        keys = groups.rows.select(["high", "low"]).take(pa.array(groups.starts))
        found = {"id": _names(keys), **self.links(groups)}
        links = pa.RecordBatch.from_arrays([found[field.name] for field in schema], schema=schema)
        faulty = rows.filter(pc.is_valid(rows["rule"]))
        names = ("url", "origin", "rule", "value", "bound")
        rejects = [self._rejects(len(faulty), id=_names(faulty), **{name: faulty[name] for name in names})]
        if verdict := self.judge(links):
            gone, values = links.filter(verdict.gone), verdict.values.filter(verdict.gone)
            told = {
                "rule": verdict.rule,
                "value": values.cast(pa.float64(), safe=False),
                "bound": verdict.bound,
            }
            rejects.append(self._rejects(len(gone), id=gone["id"], url=gone["url"], **told))
            links = links.filter(pc.invert(verdict.gone))
        yield Split(links, pa.concat_batches(rejects), rows)

    def _rejects(self, count: int, **given: pa.Array | str | float) -> pa.RecordBatch:
        told = {"stage": self.name, **given}
        arrays = [
            value
            if isinstance(value := told.get(field.name), pa.Array)
            else pa.repeat(pa.scalar(value, field.type), count)
            for field in REJECT
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=REJECT)


def _names(rows: pa.RecordBatch) -> pa.StringArray:
    """Write the halves of hashes as 32 hex digits."""
    halves = np.stack([rows["high"].to_numpy(), rows["low"].to_numpy()], axis=1).astype(">u8")
    digits = pa.py_buffer(halves.tobytes().hex().encode())
    offsets = pa.py_buffer(np.arange(len(rows) + 1, dtype=np.int32) * 32)
    return pa.StringArray.from_buffers(len(rows), offsets, digits)


def _bucket(mentions: Dataset, bucket: int) -> pa.RecordBatch:
    """Read the rows of one bucket, in order: each row group holds one bucket alone."""
    place = mentions.schema.get_field_index("bucket")
    tables = [mentions.schema.empty_table()]
    for part in mentions.parts:
        with mentions.open(part) as file:
            parquet = pq.ParquetFile(file)
            groups = [
                number
                for number in range(parquet.num_row_groups)
                if parquet.metadata.row_group(number).column(place).statistics.min == bucket
            ]
            tables.append(parquet.read_row_groups(groups).cast(mentions.schema))
    columns = pa.concat_tables(tables).combine_chunks().itercolumns()
    arrays = [pa.concat_arrays([*column.chunks, pa.nulls(0, column.type)]) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=mentions.schema)


def _grouped(rows: pa.RecordBatch) -> Groups:
    high, low = rows["high"].to_numpy(), rows["low"].to_numpy()
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return Groups(rows.take(pa.array(order)), np.cumsum(begins) - 1, np.flatnonzero(begins))


def faults(found: Sequence[Fault], kind: str) -> tuple[dict[str, pa.Array], pa.StringArray, pa.StringArray]:
    """Lay out what could not be read as rows for `Sorter.add`."""
    rules = pa.array([f"{kind}.{fault.rule}" for fault in found], pa.string())
    values = pa.array([fault.value for fault in found], pa.float64())
    places = pa.array([str(fault.at) for fault in found], pa.string())
    return {"rule": rules, "value": values}, places, pa.nulls(len(found), pa.string())
