"""Semantic dedup, steps 1 and 2: a sample of the vectors, and the centroids of the clusters found in it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from corpuskit import seeds, settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.vectors import as_column, directions, matrix, vector_field, vector_tasks
from corpuskit.kernels.cosine import Cosines, Vectors, nearest_centroids, slack, unit_vectors
from corpuskit.stage import Split, Stage, Task, check_memory, dataset_input

__all__ = [
    "Algorithm",
    "Centroids",
    "Sample",
    "cluster_count",
    "nearest_of",
    "one_thread",
    "rows_of",
    "sample_bytes",
    "train",
]

Algorithm = Literal["sklearn", "faiss"]
Numbers = npt.NDArray[np.int64]

CLUSTER_ROWS = 5000
"""A cluster holds about this many documents, up to 25 million of them: all pairs in it take a second."""
SAMPLE_ROWS = 50_000
SAMPLE_OF_CLUSTER = 64
"""The sample has at least so many vectors in all, and of each cluster; faiss warns below 39."""
BLOCK_BYTES = 128 << 20
"""Small clusters share a block of about this many bytes of vectors: what a later task has in memory."""

_BATCH = 4096
_EPOCHS = 10
_PRODUCTS = 4 << 20
"""So many products of vectors and centroids are held at once: 16 MiB."""


def cluster_count(rows: int, clusters: int | None = None) -> int:
    """Return how many clusters so many documents are divided into, unless that is settled by `clusters`.

    One for every 5,000 documents, so that up to 9,999 all pairs are compared. At 25 million that is the
    square root of their number; beyond it the square root, where looking for the nearest centroid takes as
    long as comparing within a cluster.

    >>> [cluster_count(rows) for rows in (0, 9_999, 10_000, 1_000_000, 10**8)]
    [1, 1, 2, 200, 10000]
    """
    return clusters or max(1, min(rows // CLUSTER_ROWS, math.isqrt(rows)))


def _sample_rows(rows: int, clusters: int | None) -> int:
    return min(rows, max(SAMPLE_ROWS, SAMPLE_OF_CLUSTER * cluster_count(rows, clusters)))


def sample_bytes(rows: int, clusters: int | None, dimensions: int) -> int:
    """Return about what training takes: the sample, as it is read and as the algorithm has it."""
    return _sample_rows(rows, clusters) * dimensions * 4 * 3


def rows_of(paths: Sequence[str]) -> int:
    """Count the rows of datasets."""
    return sum(Dataset(path).rows for path in paths)


def one_thread() -> threadpool_limits:
    """Hold matrix products to one thread: workers share the cores, and several threads sum in any order."""
    return threadpool_limits(1)


@dataclass(frozen=True)
class Sample(Stage):
    """Writes a sample of the vectors, drawn by id."""

    name: ClassVar[str] = "dedup.semantic.sample"

    column: tuple[str, ...]
    clusters: int | None
    seed: int
    against: tuple[str, ...] = settings.setting((), "references", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of vectors."""
        return pa.schema([vector_field(self.column, schema)])

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part, the references first; see `vector_tasks` for what it raises."""
        tasks = vector_tasks(self.against, sources, self.column)
        rows = rows_of((*self.against, *sources))
        share = _sample_rows(rows, self.clusters) / max(1, rows)
        return [dataclasses.replace(task, work={"share": share}) for task in tasks]

    def run(self, task: Task) -> Iterator[Split]:
        """Draw from one part."""
        schema = self.writes(task.schema)
        wanted = pa.schema([field for field in task.schema if field.name in ("id", *self.column)])
        for batch in read_batches(task.inputs[0].path, wanted, wanted.names):
            drawn = batch.filter(pa.array(seeds.draw(self.seed, batch["id"]) < task.work["share"]))
            column = as_column(directions(drawn, self.column).units)
            yield Split(pa.RecordBatch.from_arrays([column], schema=schema))


@dataclass(frozen=True)
class Centroids(Stage):
    """Finds the clusters of a sample and writes the centroid of each, and the block that the cluster is in.

    One task, on one thread. Blocks are packed by how many of the sample a cluster has; they are runs of
    clusters, in order.
    """

    name: ClassVar[str] = "dedup.semantic.centroids"

    clusters: int | None
    probes: int
    algorithm: Algorithm
    seed: int
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of centroids."""
        return pa.schema([pa.field("block", pa.uint64(), nullable=False), schema.field("vector")])

    def plan(self, *sources: str) -> list[Task]:
        """Plan the one task; `sources` are the sample, then the documents.

        Raises:
            DoesNotFit: The sample takes more than `memory`.
        """
        sample, rows = Dataset(sources[0]), rows_of((*self.against, *sources[1:]))
        needed = sample_bytes(rows, self.clusters, sample.schema.field("vector").type.list_size)
        check_memory("dedup.semantic", needed, self.memory)
        work = {"clusters": cluster_count(rows, self.clusters), "rows": rows}
        return [Task((dataset_input(sources[0]),), sample.schema, work)]

    def run(self, task: Task) -> Iterator[Split]:
        """Find the clusters."""
        pieces = [matrix(batch["vector"]) for batch in Dataset(task.inputs[0].path).batches()]
        sample = np.concatenate(
            [np.zeros((0, task.schema.field("vector").type.list_size), np.float32), *pieces]
        )
        with one_thread():
            centroids = train(sample, task.work["clusters"], self.algorithm, self.seed)
            which = nearest_of(sample, centroids, self.probes)[0]
        held = np.bincount(which.ravel(), minlength=len(centroids))
        weights = held * (task.work["rows"] / max(1, len(sample))) * sample.shape[1] * 4
        blocks = ((np.cumsum(weights) - weights) // BLOCK_BYTES).astype(np.uint64)
        columns = [pa.array(blocks), as_column(centroids)]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=self.writes(task.schema)))


def train(sample: Vectors, clusters: int, algorithm: Algorithm = "sklearn", seed: int = 0) -> Vectors:
    """Return the centroids of clusters of unit vectors by k-means, themselves at length 1.

    Args:
        sample: float32[rows, dimensions], unit vectors.
        clusters: At least 1; a sample of fewer vectors has as many clusters as vectors, and at least one.
        algorithm: scikit-learn's MiniBatchKMeans, or faiss's spherical Kmeans.
        seed: Another seed begins with other vectors of the sample.

    Returns:
        float32[clusters, dimensions]; all zeros where vectors cancel out, or there are none.

    >>> train(np.array([[1, 0], [1, 0], [0, 1]], np.float32), 2).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    count = min(clusters, len(sample))
    if count <= 1:
        found = np.zeros((1, sample.shape[1]), np.float32)
        found[0] = sample.sum(axis=0, dtype=np.float64)
    else:
        found = _by_faiss(sample, count, seed) if algorithm == "faiss" else _by_sklearn(sample, count, seed)
    centroids = np.empty_like(found)
    unit_vectors(found, centroids)
    return centroids


def _by_sklearn(sample: Vectors, clusters: int, seed: int) -> Vectors:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    model = MiniBatchKMeans(clusters, batch_size=_BATCH, max_iter=_EPOCHS, n_init=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters
        model.fit(sample)
    return np.ascontiguousarray(model.cluster_centers_, np.float32)


def _by_faiss(sample: Vectors, clusters: int, seed: int) -> Vectors:
    import faiss

    model = faiss.Kmeans(
        sample.shape[1],
        clusters,
        niter=_EPOCHS,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=len(sample),
    )
    model.train(sample)
    return np.ascontiguousarray(model.centroids, np.float32)


def nearest_of(units: Vectors, centroids: Vectors, count: int) -> tuple[Numbers, Cosines]:
    """Return the nearest centroids of each unit vector, nearest first, and the cosines.

    Returns:
        int64 and float64, both [rows, count]; fewer columns where there are fewer centroids.

    >>> vectors = np.eye(3, dtype=np.float32)
    >>> nearest_of(vectors[:1], vectors[1::-1], 1)[0].tolist()
    [[1]]
    """
    shape = (len(units), min(count, len(centroids)))
    which, cosines = np.empty(shape, np.int64), np.empty(shape, np.float64)
    step = max(1, _PRODUCTS // len(centroids))
    for start in range(0, len(units), step):
        some = units[start : start + step]
        found = which[start : start + step], cosines[start : start + step]
        nearest_centroids(some @ centroids.T, some, centroids, slack(units.shape[1]), *found)
    return which, cosines
