"""What the vectors of a sample of documents tell: how many different ones there are, and how they spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.dedup.vectors import is_vector, matrix
from corpuskit.errors import InputError, UsageError
from corpuskit.kernels.cosine import unit_vectors

__all__ = ["CLUSTERS", "Vectors", "centres", "nearest", "read_vectors", "vector_column", "vendi_score"]

CLUSTERS = 32
"""The most clusters; with few documents there is one for each ten."""

Vectors = npt.NDArray[np.float32]


def vector_column(path: str, schema: pa.Schema, name: str | None) -> str | None:
    """Return the column of vectors: that of a name, else the only one; null where there is none.

    Raises:
        UsageError: There are several, and none is named.
        InputError: The column named is not there, or not one of vectors.
    """
    found = [field.name for field in schema if is_vector(field.type)]
    if name is None and len(found) > 1:
        raise UsageError(
            f"{path} has several columns of vectors: {', '.join(found)}", fix=f"choose: --vectors {found[0]}"
        )
    if name is None:
        return found[0] if found else None
    if name not in found:
        fix = f"its columns of vectors: {', '.join(found) or 'none'}"
        raise InputError(f"{path} has no column of vectors {name!r}", fix=fix)
    return name


def read_vectors(
    column: pa.FixedSizeListArray, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], Vectors]:
    """Return which rows have a direction, bool[rows], and their vectors of length 1, float32[rows, d].

    A null vector has none, nor has one of zeros or with a number that is not finite.
    """
    taken = column.take(pa.array(rows))
    valid = pc.is_valid(taken)
    values = np.zeros((len(rows), column.type.list_size), np.float32)
    values[np.asarray(valid)] = matrix(taken.filter(valid))
    units = np.empty_like(values)
    return unit_vectors(values, units), units


def vendi_score(vectors: Vectors) -> float | None:
    """Return the effective number of different documents among n: 1 where all are alike, n where none is.

    The exponential of the entropy of the eigenvalues of K / n, where K holds the cosine of each pair. They
    are those of the d x d covariance of the vectors too, which takes n d^2 steps; with fewer vectors than d,
    n^2 d. It grows with n, never beyond d: only samples of one size, of one model, compare.

    Source: Friedman & Dieng 2023 (The Vendi Score), definition 3.1 and section 3.3.

    Args:
        vectors: float[n, d], each of length 1; null of none.

    >>> round(vendi_score(np.eye(3, dtype=np.float32)), 6), vendi_score(np.ones((3, 1), np.float32))
    (3.0, 1.0)
    """
    count, size = vectors.shape
    if not count:
        return None
    rows = vectors.astype(np.float64)
    values = np.linalg.eigvalsh((rows.T @ rows if size <= count else rows @ rows.T) / count)
    values = values[values > 1e-15]
    return float(np.exp(max(0.0, -(values * np.log(values)).sum())))


def centres(samples: Sequence[Vectors], clusters: int, seed: int) -> Vectors:
    """Find the centres of clusters by k-means over several samples together, float32[clusters, d]."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums of one order: the same centres on any number of cores
        found = KMeans(clusters, n_init=1, random_state=seed).fit(np.concatenate(samples))
    return np.asarray(found.cluster_centers_, np.float32)


def nearest(vectors: Vectors, found: Vectors) -> npt.NDArray[np.int64]:
    """Return the number of the centre that is nearest to each vector, int64[n].

    >>> nearest(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)).tolist()
    [0, 1]
    """
    distances = (found.astype(np.float64) ** 2).sum(axis=1) - 2 * (vectors.astype(np.float64) @ found.T)
    return np.asarray(distances.argmin(axis=1), np.int64)
