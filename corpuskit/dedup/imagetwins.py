"""Images of documents, step 3: clusters of images that are alike, and which documents stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.imagekeys import rows_in
from corpuskit.dedup.imagelinks import spread
from corpuskit.dedup.links import components_bytes, in_links, joined
from corpuskit.dedup.numbering import bucket_bits, distinct, ids_of, in_bucket, numbered_batches
from corpuskit.dedup.survivors import duplicates
from corpuskit.kernels.hamming import distances
from corpuskit.stage import Split, Stage, Task, check_memory, dataset_input

__all__ = ["TWINS", "Alike", "Twins"]

Numbers = npt.NDArray[np.int64]

_ALIKE = pa.schema(
    [
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("image", pa.int64(), nullable=False),
        pa.field("document", pa.int64(), nullable=False),
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("rank", pa.float64(), nullable=False),
    ]
)
"""An image that is like another; its cluster is named by the smallest number of an image in it."""

TWINS = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("image", pa.int64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("twin", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""The images of a document (its number; how many, the first of them) for which another document stands: its
id, and the distance of the pHashes, null where there are none."""


@dataclass(frozen=True)
class Alike(Stage):
    """Joins linked images into clusters: one task, with 5 bytes of memory for every image."""

    name: ClassVar[str] = "dedup.images.alike"

    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of clusters."""
        return _ALIKE

    def plan(self, *sources: str) -> list[Task]:
        """Plan the one task; `sources` are the keys, then the links.

        Raises:
            DoesNotFit: The numbers of all images take more than `memory`.
        """
        rows = Dataset(sources[0]).rows
        check_memory("dedup.images", components_bytes(rows), self.memory)
        return [Task(tuple(dataset_input(path) for path in sources), _ALIKE, {"rows": rows})]

    def run(self, task: Task) -> Iterator[Split]:
        """Join all links, and write the images that have any."""
        keys, *links = (item.path for item in task.inputs)
        parents = joined(task.work["rows"], *map(Dataset, links))
        linked = in_links(parents)
        for first, batch in numbered_batches(keys, ["document", "high", "rank"]):
            rows = np.flatnonzero(linked[first : first + len(batch)])
            images, taken = rows + first, pa.array(rows)
            columns = [pa.array(values) for values in (parents[images].astype(np.int64), images)]
            columns += [batch[name].take(taken) for name in ("document", "high", "rank")]
            yield Split(pa.RecordBatch.from_arrays(columns, schema=_ALIKE))


@dataclass(frozen=True)
class Twins(Stage):
    """Chooses the document that stands for each cluster, and writes the images of all others in it.

    With `references` that is the first row of a reference; clusters without one are left alone. Else it is a
    document, and those for which a reference stands are as if they were not there.
    """

    name: ClassVar[str] = "dedup.images.twins"

    keep: str
    hashed: bool
    references: bool
    against: tuple[str, ...] = settings.setting((), "references", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of images with twins."""
        return TWINS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per bucket of clusters.

        `sources` are the clusters, what references stand for if that is known, then the documents.
        """
        bits, first = bucket_bits(Dataset(sources[0]).rows), rows_in(self.against)
        known = sources[1:2] if self.against and not self.references else ()
        paths = (sources[0], *known, *self.against, *sources[1 + len(known) :])
        inputs = tuple(dataset_input(path) for path in paths)
        work = {"bits": bits, "first": first, "known": len(known)}
        return [Task(inputs, TWINS, {**work, "bucket": bucket}) for bucket in range(1 << bits)]

    def run(self, task: Task) -> Iterator[Split]:
        """Choose the survivors of one bucket of clusters."""
        first = task.work["first"]
        paths = [item.path for item in task.inputs[1:]]
        known, sources = paths[: task.work["known"]], paths[task.work["known"] :]
        held, counts = _held(task, None if self.references else _left_out(known, first))
        documents = held["document"]
        keep = "first" if self.references else self.keep
        gone, twins = duplicates(held["cluster"], documents, held["rank"], keep)
        if self.references:
            wanted = (documents[gone] >= first) & (documents[twins] < first)
            gone, twins = gone[wanted], twins[wanted]
        values = distances(held["high"][gone], held["high"][twins]).astype(np.float64)
        columns = [
            pa.array(documents[gone] - first),
            pa.array(held["image"][gone]),
            pa.array(counts[gone]),
            _ids(sources, documents[twins]),
            pa.array(values, mask=np.full(len(values), not self.hashed)),
        ]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=TWINS))


def _left_out(known: Sequence[str], references: int) -> Numbers:
    """Return the numbers, ascending, of the documents for which a reference stands."""
    found = [batch["number"].to_numpy() + references for path in known for batch in Dataset(path).batches()]
    return distinct(np.concatenate([np.zeros(0, np.int64), *found]))


def _held(task: Task, left_out: Numbers | None) -> tuple[dict[str, npt.NDArray[Any]], Numbers]:
    """Read one bucket: of each document in a cluster its best image, and how many it has there."""
    found = {field.name: [np.zeros(0, field.type.to_pandas_dtype())] for field in _ALIKE}
    for batch in Dataset(task.inputs[0].path).batches():
        mine = in_bucket(spread(batch["cluster"].to_numpy()), task.work["bucket"], task.work["bits"])
        if left_out is not None:
            documents = batch["document"].to_numpy()
            mine &= (documents >= task.work["first"]) & ~np.isin(documents, left_out)
        for name, arrays in found.items():
            arrays.append(batch[name].to_numpy()[mine])
    images = {name: np.concatenate(arrays) for name, arrays in found.items()}
    rank = np.where(np.isnan(images["rank"]), -np.inf, images["rank"])
    order = np.lexsort((images["image"], -rank, images["document"], images["cluster"]))
    cluster, document = images["cluster"][order], images["document"][order]
    begins = np.ones(len(order), bool)
    begins[1:] = (cluster[1:] != cluster[:-1]) | (document[1:] != document[:-1])
    heads = np.flatnonzero(begins)
    counts = np.diff(np.append(heads, len(order)))
    return {name: values[order[heads]] for name, values in images.items()}, counts


def _ids(paths: Sequence[str], numbers: Numbers) -> pa.StringArray:
    """Look up the ids of documents, references counted first."""
    wanted, which = np.unique(numbers, return_inverse=True)
    return ids_of(paths, wanted).take(pa.array(which))
