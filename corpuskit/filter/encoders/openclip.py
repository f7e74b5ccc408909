"""CLIP models as open_clip writes them: `open_clip_config.json` and `open_clip_model.safetensors`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpuskit.errors import InputError
from corpuskit.filter.encoders import need, read_json
from corpuskit.filter.encoders.preprocess import Preprocess, from_open_clip

if TYPE_CHECKING:
    import torch

__all__ = ["OpenClip", "load"]

_REMOTE = ("hf_model_name", "hf_tokenizer_name", "timm_model_name")
_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class OpenClip:
    """The towers of an `open_clip.CLIP`."""

    def __init__(self, model: Any, tokenizer: Any, told: dict[str, Any]) -> None:  # noqa: ANN401 - it has no types
        vision, text = told["vision_cfg"], told["text_cfg"]
        self.width = int(told["embed_dim"])
        self.context = int(text.get("context_length", 77))
        self.side = int(vision["image_size"])
        self.patches = (self.side // int(vision.get("patch_size") or 16)) ** 2 + 1
        self.ends = (int(tokenizer.sot_token_id), int(tokenizer.eot_token_id))
        self._model, self._tokenizer = model, tokenizer

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise texts, without the tokens before and after."""
        return [list(self._tokenizer.encode(text)) for text in texts]

    def of_texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Encode int64[texts, tokens], which open_clip wants as long as its context, padded with 0."""
        import torch

        full = torch.zeros((len(tokens), self.context), dtype=tokens.dtype, device=tokens.device)
        after = (tokens == self.ends[1]).cumsum(dim=1) > 1
        full[:, : tokens.shape[1]] = tokens.masked_fill(after, 0)
        found: torch.Tensor = self._model.encode_text(full)
        return found

    def of_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode float[images, 3, height, width]."""
        found: torch.Tensor = self._model.encode_image(pixels)
        return found


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[OpenClip, Preprocess]:
    """Read a model. Only safetensors are read, and only towers that open_clip itself defines.

    Raises:
        UsageError: open_clip is missing.
        InputError: The model is damaged, or names a part that another package or the hub has.
    """
    need("open_clip")
    told = read_json(folder / "open_clip_config.json")
    config = told.get("model_cfg", {})
    named = [
        name for part in ("text_cfg", "vision_cfg") for name in _REMOTE if config.get(part, {}).get(name)
    ]
    if named:
        raise InputError(
            f"{folder} takes its {named[0]} from elsewhere", fix="give a CLIP of open_clip's own"
        )
    if not (folder / "open_clip_model.safetensors").exists():
        raise InputError(f"{folder} has no open_clip_model.safetensors", fix="get the model again")
    import open_clip

    try:
        name = f"local-dir:{folder.resolve()}"
        precision = _PRECISIONS[str(dtype).removeprefix("torch.")]
        model = open_clip.create_model(name, precision=precision, device=device).eval()
        towers = OpenClip(model, open_clip.get_tokenizer(name), config)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is damaged: {error}", fix="get the model again") from None
    where = str(folder / "open_clip_config.json")
    return towers, from_open_clip(told.get("preprocess_cfg", {}), towers.side, where)
