"""From the vectors of tokens to that of a text: which way a model was trained for, and how it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpuskit.errors import InputError
from corpuskit.filter.encoders import Encoding, read_json, read_list

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Making", "pool", "read"]

_MODES = {"mean": "mean", "mean_tokens": "mean", "cls": "cls", "cls_token": "cls", "lasttoken": "last"}
"""What sentence-transformers calls the ways, now and before its version 6."""


@dataclass(frozen=True)
class Making:
    """How a model's folder wants vectors to be made.

    Attributes:
        pooling: `mean`, `cls` or `last`.
        normalize: Whether vectors are scaled to length 1.
        most_tokens: How many tokens of a text were read in training; null where only the model itself says.
        lower: Whether texts are put into small letters first.
        prompt: What is put before each text.
    """

    pooling: str = "mean"
    normalize: bool = False
    most_tokens: int | None = None
    lower: bool = False
    prompt: str = ""


def read(folder: Path, encoding: Encoding) -> Making:
    """Read sentence-transformers' files in a model's folder; what the settings say goes before them.

    Raises:
        InputError: A file is damaged, or the model has a part that is not computed here.
    """
    parts = read_list(folder / "modules.json") if (folder / "modules.json").exists() else []
    kinds = [(str(part.get("type", "")).rsplit(".", 1)[-1], str(part.get("path", ""))) for part in parts]
    unknown = sorted({kind for kind, _ in kinds} - {"Transformer", "Pooling", "Normalize"})
    if unknown:
        raise InputError(
            f"{folder} has parts that are not computed here: {', '.join(unknown)}",
            fix="take a model of Transformer, Pooling and Normalize alone",
        )
    root = next((folder / path for kind, path in kinds if kind == "Transformer"), folder)
    found = [_pooling(folder / path / "config.json") for kind, path in kinds if kind == "Pooling"]
    if len(found) > 1 or (found and found[0] is None):
        if encoding.pooling is None:
            raise InputError(
                f"{folder} pools in a way that is not computed here", fix="choose with --pooling"
            )
        found = []
    transformer = _optional(root / "sentence_bert_config.json")
    prompts = _optional(folder / "config_sentence_transformers.json")
    most = transformer.get("max_seq_length")
    usual = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), "")
    return Making(
        pooling=encoding.pooling or (found[0] if found and found[0] else "mean"),
        normalize=encoding.normalize or any(kind == "Normalize" for kind, _ in kinds),
        most_tokens=most if isinstance(most, int) and most > 0 else None,
        lower=bool(transformer.get("do_lower_case", False)),
        prompt=str(usual or "") if encoding.prompt is None else encoding.prompt,
    )


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _pooling(path: Path) -> str | None:
    """Return the one way that a pooling's file names; null if it names several, or one unknown here."""
    told = read_json(path)
    modes = told.get("pooling_mode")
    if modes is None:
        prefix = "pooling_mode_"
        modes = [
            key.removeprefix(prefix) for key, on in told.items() if key.startswith(prefix) and on is True
        ]
    modes = [modes] if isinstance(modes, str) else list(modes)
    return _MODES.get(str(modes[0])) if len(modes) == 1 and told.get("include_prompt", True) else None


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Make one vector of each text's: hidden [texts, tokens, width] and mask [texts, tokens] to float32.

    `mean` of all tokens; `cls`, the first; `last`, the last that is no padding. Computed in float32, whatever
    the model computes with.
    """
    import torch

    if pooling == "cls":
        return hidden[:, 0].float()
    lengths = mask.sum(dim=1)
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1].float()
    weights = mask.unsqueeze(-1).float()
    return torch.sum(hidden.float() * weights, dim=1) / lengths.unsqueeze(-1)
