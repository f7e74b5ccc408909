"""Images as a CLIP sees them: resized by bicubic filtering, cut to the square in their middle, normalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from corpuskit.errors import InputError
from corpuskit.filter.encoders import Floats

__all__ = ["Preprocess", "from_open_clip", "from_transformers"]

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of OpenAI's training images, red, green and blue."""

_LONGEST = 16
"""How many times as long as wide an image may be, before what the square never shows of it is cut off."""
_LARGEST = 4096


@dataclass(frozen=True)
class Preprocess:
    """How to make an image into numbers.

    Source: Radford et al. 2021 (CLIP), `_transform`; the numbers equal those of transformers'
    `CLIPImageProcessorPil` on the same pixels. Deviation: of an image more than 16 times as long as wide the
    ends are cut off before it is resized, not after, so that it cannot become a giant.

    Attributes:
        edge: Pixels of the shorter side after resizing.
        height, width: Of what is cut out of the middle.
        mean, std: Per channel, of values 0 to 1.
        filter: Pillow's number of the filter; 3 is bicubic.
    """

    edge: int = 224
    height: int = 224
    width: int = 224
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    filter: int = Image.Resampling.BICUBIC

    def __call__(self, image: Image.Image) -> Floats:
        """Make an RGB image into float32[3, height, width].

        >>> Preprocess(2, 2, 2, (0.5,) * 3, (0.5,) * 3)(Image.new("RGB", (9, 4), "white")).ravel().tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
        """
        image = _shortened(image)
        short, long = sorted(image.size)
        other = int(self.edge * long / short)
        size = (self.edge, other) if image.width <= image.height else (other, self.edge)
        resized = np.asarray(image.resize(size, Image.Resampling(self.filter)), np.float32)
        mean, std = (np.asarray(one, np.float32) for one in (self.mean, self.std))
        values = (_middle(resized, self.height, self.width) / np.float32(255) - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)


def _shortened(image: Image.Image) -> Image.Image:
    """Cut off both ends of an image that is far too long."""
    width, height = image.size
    longest = _LONGEST * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = (max(0, (side - longest) // 2) for side in (width, height))
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))


def _middle(pixels: Floats, height: int, width: int) -> Floats:
    """Cut out the middle; what an image lacks is black, as in transformers.

    >>> _middle(np.ones((1, 3, 3), np.float32), 3, 1)[:, 0, 0].tolist()
    [0.0, 1.0, 0.0]
    """
    lack = [max(0, wanted - there) for wanted, there in zip((height, width), pixels.shape[:2], strict=True)]
    if any(lack):
        around = [(-(-one // 2), one // 2) for one in lack]
        pixels = np.pad(pixels, (*around, (0, 0)))
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def from_transformers(told: Mapping[str, Any], side: int, where: str) -> Preprocess:
    """Read a `preprocessor_config.json`; what it does not say is as in CLIP, at the `side` of the model.

    Raises:
        InputError: It asks for another way than CLIP's, or for a size that is not the model's.
    """
    for step in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
        if not told.get(step, True):
            raise InputError(
                f"{where} says {step} is false, which CLIP's way is not", fix="give a CLIP model"
            )
    size, crop = told.get("size", side), told.get("crop_size", side)
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else size
    cut = (crop.get("height"), crop.get("width")) if isinstance(crop, Mapping) else (crop, crop)
    if cut != (side, side) or abs(told.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise InputError(f"{where} asks for images that the model does not take", fix="get the model again")
    return _checked(edge, side, told.get("image_mean"), told.get("image_std"), told.get("resample"), where)


def from_open_clip(told: Mapping[str, Any], side: int, where: str) -> Preprocess:
    """Read the `preprocess_cfg` of an `open_clip_config.json`; as `from_transformers`."""
    if told.get("resize_mode", "shortest") != "shortest" or told.get("mode", "RGB") != "RGB":
        raise InputError(f"{where} resizes images in another way than CLIP", fix="give a CLIP model")
    kinds = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    chosen = kinds.get(told.get("interpolation", "bicubic"), -1)
    return _checked(side, side, told.get("mean"), told.get("std"), chosen, where)


def _checked(edge: Any, side: int, mean: Any, std: Any, resample: Any, where: str) -> Preprocess:  # noqa: ANN401
    mean, std = (_MEAN if mean is None else mean), (_STD if std is None else std)
    resample = Image.Resampling.BICUBIC if resample is None else resample
    right = isinstance(edge, int) and 1 <= edge <= _LARGEST and resample in set(Image.Resampling)
    if not right or not (_is_colour(mean) and _is_colour(std) and all(std)):
        raise InputError(f"{where} does not say how to resize and normalise", fix="get the model again")
    return Preprocess(edge, side, side, tuple(mean), tuple(std), int(resample))


def _is_colour(value: Any) -> bool:  # noqa: ANN401 - whatever a file of JSON holds
    return isinstance(value, list | tuple) and [type(one) in (int, float) for one in value] == [True] * 3
