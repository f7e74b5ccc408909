"""Linear layers for a CPU: weights laid out once as oneDNN multiplies them, and GELU in the same pass.

PyTorch multiplies float32 by MKL, which is slower on AMD's processors than oneDNN (80 against 105 GFLOPS on a
core of an EPYC), and does GELU in a pass of its own. `torch.compile` knows both, but takes a compiler and a
minute; these are the same operators without it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["packed"]

_ROWS = 2048
"""For how many rows at once the layout is chosen; others work too."""


class _Packed(nn.Module):
    """A linear layer, and GELU after it where `gelu` says so."""

    def __init__(self, layer: nn.Linear, *, gelu: bool = False) -> None:
        super().__init__()
        operators: Any = torch.ops.mkldnn
        self._multiply = operators._linear_pointwise
        self._weight = operators._reorder_linear_weight(layer.weight.detach().contiguous(), _ROWS)
        self._bias = None if layer.bias is None else layer.bias.detach()
        self._after: tuple[str, list[float], str] = ("gelu", [], "none") if gelu else ("none", [], "")

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply."""
        product: Tensor = self._multiply(rows, self._weight, self._bias, *self._after)
        return product


def packed(model: nn.Module) -> None:
    """Replace the linear layers of a model, where this PyTorch can and gives the same values."""
    with torch.inference_mode():
        for parent in list(model.modules()):
            gelu = _gelu(parent)
            for name, layer in list(parent.named_children()):
                fused = gelu is not None and name == "dense"
                better = _better(layer, gelu=fused) if type(layer) is nn.Linear else None
                if better is not None:
                    setattr(parent, name, better)
                    if fused:
                        setattr(parent, str(gelu), nn.Identity())


def _gelu(parent: nn.Module) -> str | None:
    """Name the exact GELU that follows the layer `dense` of BERT's kin, if there is one."""
    from transformers.activations import GELUActivation

    after = getattr(parent, "intermediate_act_fn", None)
    exact = isinstance(after, nn.GELU | GELUActivation) and getattr(after, "approximate", "none") == "none"
    return "intermediate_act_fn" if exact else None


def _better(layer: nn.Linear, *, gelu: bool) -> _Packed | None:
    """Pack a layer and try it on a few rows; null where it does not work or gives other values."""
    rows = torch.linspace(-2, 2, 16 * layer.in_features).reshape(16, -1).to(layer.weight.dtype)
    wanted = layer(rows)
    try:
        better = _Packed(layer, gelu=gelu)
        given = better(rows)
    except (AttributeError, RuntimeError, TypeError):  # the operators are PyTorch's own, and may change
        return None
    wanted = nn.functional.gelu(wanted) if gelu else wanted
    near = 1e-4 if wanted.dtype == torch.float32 else 2e-2
    return better if torch.allclose(given.float(), wanted.float(), near, near) else None
