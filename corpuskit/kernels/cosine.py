"""Cosines of vectors that come out the same everywhere: a matrix product proposes, an exact sum decides.

A product of float32 matrices is fast, but its last bits depend on the processor, its threads and how many
rows are multiplied at once. So it only says which pairs are near enough to look at; what is decided and
written is the cosine in float64, summed in the order of the dimensions.
"""

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel

__all__ = [
    "LEAST",
    "Cosines",
    "Numbers",
    "Products",
    "Vectors",
    "cosine",
    "nearest_centroids",
    "slack",
    "unit_vectors",
]

Vectors = npt.NDArray[np.float32]
Products = npt.NDArray[np.float32]
Cosines = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

LEAST = -2.0
"""Below every cosine: of a vector that is compared with nothing."""


def slack(dimensions: int) -> float:
    """Return by how much a float32 product of two unit vectors may differ from their cosine, at most.

    Source: Higham 2002, "Accuracy and Stability of Numerical Algorithms", 3.1: n u / (1 - n u), in any order
    of summation; four times that, for vectors that are themselves rounded.

    >>> round(slack(384), 6)
    9.2e-05
    """
    return dimensions * 2.0**-22


@kernel
def cosine(one: Vectors, two: Vectors) -> Int:
    """Return the cosine of two vectors (float32), float64, -1 to 1: exactly 1 for equal ones.

    0 where one of them is all zeros.

    >>> round(cosine(np.array([1, 0], np.float32), np.array([1, 1], np.float32)), 6)
    0.707107
    """
    product = first = second = 0.0
    for place in range(len(one)):
        x, y = np.float64(one[place]), np.float64(two[place])
        product += x * y
        first += x * x
        second += y * y
    if first == 0.0 or second == 0.0:
        return 0.0
    return min(1.0, max(-1.0, product / np.sqrt(first * second)))


@kernel
def unit_vectors(values: Vectors, units: Vectors) -> npt.NDArray[np.bool_]:
    """Write vectors at length 1 into `units`, and say which have a direction: finite and not all zeros.

    Args:
        values: float32[n, dimensions].
        units: float32 of the same shape; zeros for vectors without a direction.

    >>> units = np.empty((3, 2), np.float32)
    >>> unit_vectors(np.array([[3, 4], [0, 0], [np.nan, 1]], np.float32), units).tolist()
    [True, False, False]
    >>> units[0].tolist() == np.array([0.6, 0.8], np.float32).tolist()
    True
    """
    found = np.zeros(len(values), np.bool_)
    for row in range(len(values)):
        total = 0.0
        for place in range(values.shape[1]):
            total += np.float64(values[row, place]) * np.float64(values[row, place])
        found[row] = total > 0.0 and np.isfinite(total)
        scale = 1.0 / np.sqrt(total) if found[row] else 0.0
        for place in range(values.shape[1]):
            units[row, place] = np.float64(values[row, place]) * scale if found[row] else 0.0
    return found


@kernel
def nearest_centroids(
    products: Products, vectors: Vectors, centroids: Vectors, margin: Int, which: Numbers, cosines: Cosines
) -> None:
    """Write the nearest centroids of each vector, nearest first, with the cosines; of equals the first.

    Args:
        products: float32[n, k], `vectors @ centroids.T`; overwritten.
        vectors: float32[n, dimensions], unit vectors.
        centroids: float32[k, dimensions], unit vectors, or all zeros.
        margin: The error of the products: see `slack`.
        which: int64[n, count], count <= k: the numbers of the centroids.
        cosines: float64[n, count].

    >>> vectors, centroids = np.eye(2, dtype=np.float32)[:1], np.eye(2, dtype=np.float32)
    >>> which, cosines = np.zeros((1, 2), np.int64), np.zeros((1, 2))
    >>> nearest_centroids(vectors @ centroids.T, vectors, centroids, slack(2), which, cosines)
    >>> which.tolist(), cosines.tolist()
    ([[0, 1]], [[1.0, 0.0]])
    """
    taken = np.float32(-np.inf)
    for row in range(len(products)):
        for rank in range(which.shape[1]):
            top = taken
            for number in range(products.shape[1]):
                top = max(top, products[row, number])
            which[row, rank], cosines[row, rank] = -1, LEAST
            for number in range(products.shape[1]):
                if products[row, number] == taken or products[row, number] < top - margin:
                    continue
                value = cosine(vectors[row], centroids[number])
                if which[row, rank] < 0 or value > cosines[row, rank]:
                    which[row, rank], cosines[row, rank] = number, value
            products[row, which[row, rank]] = taken
