"""Who follows whom among vectors: each the most alike leader before it, else it is a leader itself.

Leaders are unlike one another, so there are few where vectors repeat: 100,000 equal ones have one.
"""

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import kernel
from corpuskit.kernels.cosine import LEAST, Cosines, Numbers, Products, Vectors, cosine

__all__ = ["follow", "nearest", "settle"]


@kernel
def nearest(
    products: Products,
    vectors: Vectors,
    leaders: Vectors,
    names: Numbers,
    bounds: tuple[float, float],
    found: tuple[Numbers, Cosines],
) -> None:
    """Look for the most alike leader of each vector, among some that come before all of them.

    Args:
        products: float32[n, m], `vectors @ leaders.T`.
        vectors: float32[n, dimensions], unit vectors.
        leaders: float32[m, dimensions], unit vectors.
        names: int64[m], their numbers.
        bounds: The cosine from which two are alike; and the error of the products, see `slack`.
        found: int64[n] and float64[n], the best leader so far and its cosine (`LEAST` where there is none):
            replaced where one of these is more alike, and alike at all.

    >>> from corpuskit.kernels.cosine import slack
    >>> vectors = np.array([[1, 0]], np.float32)
    >>> found = np.array([-1]), np.array([LEAST])
    >>> nearest(vectors @ vectors.T, vectors, vectors, np.array([7]), (0.9, slack(2)), found)
    >>> found[0].tolist(), found[1].tolist()
    ([7], [1.0])
    """
    threshold, margin = bounds
    which, cosines = found
    for row in range(len(products)):
        least = max(threshold, cosines[row]) - margin
        for place in range(products.shape[1]):
            if products[row, place] < least:
                continue
            value = cosine(vectors[row], leaders[place])
            if value >= threshold and value > cosines[row]:
                which[row], cosines[row] = names[place], value
                least = value - margin


@kernel
def follow(
    products: Products,
    vectors: Vectors,
    fixed: npt.NDArray[np.bool_],
    first: int,
    bounds: tuple[float, float],
    found: tuple[Numbers, Cosines],
) -> None:
    """Go through vectors in order: each follows the most alike leader before it, or is a leader itself.

    Args:
        products: float32[n, n], `vectors @ vectors.T`.
        vectors: float32[n, dimensions], unit vectors.
        fixed: bool[n], which are leaders whatever they are like.
        first: The number of the first vector; they are numbered on from it.
        bounds: As in `nearest`.
        found: As in `nearest`, with what was found among earlier leaders; a leader is given its own number.

    >>> from corpuskit.kernels.cosine import slack
    >>> vectors = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    >>> found = np.full(3, -1), np.full(3, LEAST)
    >>> follow(vectors @ vectors.T, vectors, np.zeros(3, bool), 5, (0.9, slack(2)), found)
    >>> found[0].tolist()
    [5, 6, 5]
    """
    threshold, margin = bounds
    which, cosines = found
    for row in range(len(vectors)):
        if fixed[row]:
            which[row], cosines[row] = first + row, LEAST
            continue
        for before in range(row):
            if which[before] != first + before:
                continue
            if products[row, before] < max(threshold, cosines[row]) - margin:
                continue
            value = cosine(vectors[row], vectors[before])
            if value >= threshold and value > cosines[row]:
                which[row], cosines[row] = first + before, value
        if cosines[row] == LEAST:
            which[row] = first + row


@kernel
def settle(
    followers: Numbers, leaders: Numbers, cosines: Cosines, kept: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Decide who goes where documents were compared in several clusters: who is like one that stays.

    Args:
        followers: int64, a document for each finding that it is like a leader of its cluster; the findings
            of one come together, and documents in order of preference.
        leaders: int64, the leader's number. It comes before the follower in the order of preference.
        cosines: float64, how alike they are.
        kept: bool, all true, by number: false afterwards for those that go.

    Returns:
        bool, a value for each finding: whether its leader is the twin, the most alike of those that stay.

    >>> kept = np.ones(4, bool)
    >>> settle(np.array([1, 2, 3, 3]), np.array([0, 1, 0, 2]), np.array([0.9, 0.9, 0.9, 0.95]), kept).tolist()
    [True, False, False, True]
    >>> kept.tolist()
    [True, False, True, False]
    """
    chosen = np.zeros(len(followers), np.bool_)
    start = 0
    while start < len(followers):
        end, best = start, -1
        while end < len(followers) and followers[end] == followers[start]:
            if kept[leaders[end]] and (best < 0 or cosines[end] > cosines[best]):
                best = end
            end += 1
        if best >= 0:
            chosen[best] = True
            kept[followers[start]] = False
        start = end
    return chosen
