"""Batches of texts of like length, counted by their tokens and what pads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Lengths", "Rows", "filled", "padded_tokens", "plain", "plan"]

Lengths = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

WASTE = 0.03
"""A batch ends where its padding would be more than this share of it."""
_LEAST = 8
"""... but not before it is one in so many of a full one: tiny batches cost more than their padding."""


def plan(lengths: Lengths, budget: int) -> list[Rows]:
    """Divide texts into batches of at most `budget` tokens, padding included, the longest texts first.

    A text longer than that is a batch alone. The longest come first because they need the most memory: what
    does not fit is seen at once.

    Args:
        lengths: Tokens of each text, int64[n].
        budget: Tokens a batch.

    >>> [rows.tolist() for rows in plan(np.array([2, 9, 3, 3]), 9)]
    [[1], [2, 3], [0]]
    """
    order = np.argsort(-lengths, kind="stable")
    widths = lengths[order]
    ends = np.cumsum(widths)
    batches, start = [], 0
    while start < len(order):
        width = max(1, int(widths[start]))
        room = widths[start : start + max(1, budget // width)]
        told = ends[start : start + len(room)] - ends[start] + width
        sizes = np.arange(1, len(room) + 1) * width
        fits = (sizes - told <= WASTE * sizes) | (sizes * _LEAST <= budget)
        stop = start + (len(room) if fits.all() else int(np.argmin(fits)))
        batches.append(order[start:stop])
        start = stop
    return batches


def plain(lengths: Lengths, budget: int) -> list[Rows]:
    """Divide texts into batches in the order they come: what `plan` is compared with.

    >>> [rows.tolist() for rows in plain(np.array([2, 9, 3, 3]), 9)]
    [[0], [1], [2, 3]]
    """
    batches, start, width = [], 0, 0
    for at, length in enumerate(lengths.tolist()):
        width = max(width, length)
        if at > start and (at + 1 - start) * width > budget:
            batches.append(np.arange(start, at))
            start, width = at, length
    return [*batches, np.arange(start, len(lengths))] if len(lengths) else []


def padded_tokens(lengths: Lengths, batches: list[Rows]) -> int:
    """Count the tokens that go through the model, padding included.

    >>> padded_tokens(np.array([2, 9, 3, 3]), [np.array([1]), np.array([2, 3, 0])])
    18
    """
    return int(sum(len(rows) * lengths[rows].max() for rows in batches))


def filled(
    ids: npt.NDArray[np.int32], starts: Rows, lengths: Lengths, padding: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Lay out texts as the rows of a rectangle, padded to the right.

    Args:
        ids: The tokens of all texts, int32[tokens].
        starts: Where each text of the batch begins, int64[rows].
        lengths: How long each is, int64[rows].
        padding: The id that fills up.

    Returns:
        ids and mask, both int64[rows, longest]; the mask is 1 where a token is.

    >>> filled(np.array([7, 8, 9], np.int32), np.array([0, 2]), np.array([2, 1]), 0)[0].tolist()
    [[7, 8], [9, 0]]
    """
    places = np.arange(lengths.max())[None, :]
    mask = places < lengths[:, None]
    rows = np.full(mask.shape, padding, np.int64)
    rows[mask] = ids[(starts[:, None] + places)[mask]]
    return rows, mask.astype(np.int64)
