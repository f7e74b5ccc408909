"""CLIP: texts and images in one space, through transformers or open_clip."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.filter.encoders import Encoding, Floats, locate, need, read_json, with_prompt
from corpuskit.filter.encoders.batching import plan
from corpuskit.filter.encoders.preprocess import Preprocess, from_transformers
from corpuskit.pixels import BadImage, decode

if TYPE_CHECKING:
    import torch

    Place = tuple[torch.device, torch.dtype]

__all__ = ["Clip", "Towers", "load"]

_MOST_CHARS = 10_000
"""How much of a text is tokenised where only its beginning counts: 77 tokens are never that long."""


class Towers(Protocol):
    """The two networks of a CLIP.

    Attributes:
        width: How many numbers a vector has.
        context: How many tokens a text may have, its first and last included.
        patches: How many tokens an image is made of.
        ends: The tokens before and after every text.
    """

    width: int
    context: int
    patches: int
    ends: tuple[int, int]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise texts, without the tokens before and after."""

    def of_texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Encode int64[texts, tokens], padded with the token after."""

    def of_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode float[images, 3, height, width]."""


class Clip:
    """Texts and images as vectors of one space: the closer, the better a text describes an image."""

    modalities = frozenset({"text", "image"})

    def __init__(
        self, towers: Towers, preprocess: Preprocess, encoding: Encoding, version: str, place: Place
    ) -> None:
        self.width, self.digest = towers.width, version
        self.preprocess = preprocess
        self._towers = towers
        self._encoding = encoding
        self._place = place
        self._budget = encoding.tokens_at_once(place[0].type)

    def encode_texts(self, texts: pa.Array) -> Floats:
        """Encode texts: float32[len(texts), width]; a row of NaN for one that is null or of white space.

        A text of more than 75 tokens counts with its first 75, or, with `mean-of-windows`, with the mean
        of the vectors of all its runs of 75, weighted by their lengths.
        """
        text = with_prompt(texts, self._encoding.prompt)
        rows = np.flatnonzero(~np.asarray(pc.or_(pc.utf8_is_space(text), pc.equal(text, ""))))
        out = np.full((len(text), self.width), np.nan, np.float32)
        if not len(rows):
            return out
        text = text.take(pa.array(rows))
        if self._encoding.long == "truncate":
            text = pc.utf8_slice_codeunits(text, 0, _MOST_CHARS)
        windows, owners = self._windows(self._towers.tokens(text.to_pylist()))
        vectors = self._of_windows(windows)
        weights = np.asarray([len(window) for window in windows], np.float32)
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        sums = np.add.reduceat(vectors * weights[:, None], first, axis=0)
        out[rows] = sums / np.add.reduceat(weights, first)[:, None]
        return self._scaled(out)

    def encode_images(self, images: pa.Array) -> Floats:
        """Encode image files: float32[len(images), width].

        A row of NaN for one that is null or cannot be decoded.
        """
        out = np.full((len(images), self.width), np.nan, np.float32)
        at_once = max(1, self._budget // self._towers.patches)
        for start in range(0, len(images), at_once):
            found = [(start + at, one) for at, one in self._pixels(images.slice(start, at_once))]
            if found:
                rows, pixels = zip(*found, strict=True)
                out[list(rows)] = self._run(self._towers.of_images, np.stack(pixels))
        return self._scaled(out)

    def _pixels(self, images: pa.Array) -> Iterator[tuple[int, Floats]]:
        for at, image in enumerate(images):
            data = image.as_py()
            if data:
                with contextlib.suppress(BadImage):
                    yield at, self.preprocess(decode(data))

    def _windows(self, texts: list[list[int]]) -> tuple[list[list[int]], list[int]]:
        """Cut tokens into runs that the model takes, with the tokens before and after; say whose each is."""
        before, after = self._towers.ends
        room = self._towers.context - 2
        windows, owners = [], []
        for owner, tokens in enumerate(texts):
            last = len(tokens) if self._encoding.long == "mean-of-windows" else room
            for start in range(0, max(1, min(len(tokens), last)), room):
                windows.append([before, *tokens[start : start + room], after])
                owners.append(owner)
        return windows, owners

    def _of_windows(self, windows: list[list[int]]) -> Floats:
        """Encode runs of tokens, those of like length together."""
        out = np.empty((len(windows), self.width), np.float32)
        lengths = np.array([len(window) for window in windows], np.int64)
        for rows in plan(lengths, self._budget):
            padded = np.full((len(rows), int(lengths[rows].max())), self._towers.ends[1], np.int64)
            for at, row in enumerate(rows):
                padded[at, : lengths[row]] = windows[row]
            out[rows] = self._run(self._towers.of_texts, padded)
        return out

    def _run(self, tower: Callable[[torch.Tensor], torch.Tensor], rows: np.ndarray[Any, Any]) -> Floats:
        """Send rows through a tower; where the memory of the device is too small, in halves."""
        import torch

        device, dtype = self._place
        try:
            with torch.inference_mode():
                given = torch.from_numpy(rows).to(device)
                given = given.to(dtype) if given.is_floating_point() else given
                return np.asarray(tower(given).float().cpu().numpy(), np.float32)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                what = f"one text or image does not fit on the {device.type}"
                raise DoesNotFit(what, fix="--dtype bf16, or --device cpu") from None
        torch.cuda.empty_cache()
        half = len(rows) // 2
        return np.concatenate([self._run(tower, part) for part in (rows[:half], rows[half:])])

    def _scaled(self, vectors: Floats) -> Floats:
        if not self._encoding.normalize:
            return vectors
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def load(encoding: Encoding, version: str) -> Clip:
    """Read a CLIP from a folder as transformers or open_clip write it; `version` is its digest.

    Raises:
        UsageError: A package is missing, or the settings ask for another pooling than CLIP's own.
        InputError: The model is damaged, of another kind, or has no safetensors.
    """
    if encoding.pooling is not None:
        what = f"pooling is {encoding.pooling}, but {encoding.model} is a CLIP, which has its own"
        raise UsageError(what, fix="leave it out")
    need("torch", "transformers", "safetensors")
    import torch

    from corpuskit.filter.encoders import devices

    folder, place = locate(encoding.model), devices.place(encoding)
    if place[0].type == "cpu":
        torch.set_num_threads(1)  # workers share the cores, and one thread adds in one order
    if (folder / "open_clip_config.json").exists():
        from corpuskit.filter.encoders import openclip

        return Clip(*openclip.load(folder, *place), encoding, version, place)
    return Clip(*_read(folder, encoding, place), encoding, version, place)


class Transformers:
    """The towers of a `transformers.CLIPModel`."""

    def __init__(self, model: Any, tokenizer: Any) -> None:  # noqa: ANN401 - transformers has few types
        text, vision = model.config.text_config, model.config.vision_config
        self.width = int(model.config.projection_dim)
        self.context = int(text.max_position_embeddings)
        self.side = int(vision.image_size)
        self.patches = (self.side // int(vision.patch_size)) ** 2 + 1
        self.ends = (int(tokenizer.bos_token_id), int(tokenizer.eos_token_id))
        self._model, self._tokenizer = model, tokenizer

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise texts, without the tokens before and after."""
        found = self._tokenizer._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [one.ids for one in found]

    def of_texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Encode int64[texts, tokens]; attention looks back only, so what follows a text's end is unseen."""
        return _pooled(self._model.get_text_features(input_ids=tokens))

    def of_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode float[images, 3, height, width]."""
        return _pooled(self._model.get_image_features(pixel_values=pixels))


def _pooled(found: Any) -> torch.Tensor:  # noqa: ANN401 - a tensor up to transformers 4, an object since
    pooled: torch.Tensor = getattr(found, "pooler_output", found)
    return pooled


def _read(folder: Path, encoding: Encoding, place: Place) -> tuple[Towers, Preprocess]:
    config = read_json(folder / "config.json")
    if config.get("model_type") != "clip":
        raise InputError(f"{folder} is a {config.get('model_type')}, not a CLIP", fix="give a CLIP model")
    device, dtype = place
    with _reading(folder):
        from transformers import AutoTokenizer, CLIPModel

        found: Any = CLIPModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=dtype
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True)
    model, told = found
    lacking = sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]]))
    if lacking:
        raise InputError(f"{folder} lacks weights, such as {lacking[0]}", fix="get the model again")
    model = model.eval().to(device)
    if encoding.compile:
        model.compile()
    towers = Transformers(model, tokenizer)
    settings = folder / "preprocessor_config.json"
    asked = read_json(settings) if settings.exists() else {}
    return towers, from_transformers(asked, towers.side, str(settings))


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Keep transformers from writing to the terminal; what it cannot read is InputError."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    log: Any = logging
    bars, level = log.is_progress_bar_enabled(), log.get_verbosity()
    log.disable_progress_bar()
    log.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{folder} is damaged: {line}", fix="get the model again") from None
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
