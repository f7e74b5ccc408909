"""A GPT of one layer: trained for some steps on what a layout holds, its loss falls if that is text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def losses(tokens: Any, vocabulary: int, *, steps: int = 30, length: int = 32) -> tuple[float, float]:
    """Train on windows of a sequence of tokens; return the mean loss of the first and the last five."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more of them only wait for each other at this size
    model = _model(torch, vocabulary, length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    data = torch.from_numpy(np.asarray(tokens, np.int64))
    draw = np.random.default_rng(0)
    told = []
    for _ in range(steps):
        starts = draw.integers(0, len(data) - length, 8)
        rows = torch.stack([data[start : start + length + 1] for start in starts])
        logits = model(rows[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(loss.item())
    return float(np.mean(told[:5])), float(np.mean(told[-5:]))


def _model(torch: Any, vocabulary: int, length: int, width: int = 32) -> Any:
    class TinyGpt(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(vocabulary, width)
            self.places = torch.nn.Embedding(length, width)
            self.block = torch.nn.TransformerEncoderLayer(width, 2, 4 * width, 0.0, batch_first=True)
            self.head = torch.nn.Linear(width, vocabulary)

        def forward(self, rows: Any) -> Any:
            hidden = self.words(rows) + self.places.weight[: rows.shape[1]]
            mask = torch.full((rows.shape[1], rows.shape[1]), float("-inf")).triu(1)
            return self.head(self.block(hidden, src_mask=mask))

    return TinyGpt()
