"""The images of documents, decoded; those that cannot be are told apart from those that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from PIL import Image

from corpuskit.pixels import BadImage, decode
from corpuskit.shard.layout import STAGE
from corpuskit.stage import Poisoned, TookTooLong, watching

__all__ = ["BAD_IMAGE", "NO_IMAGE", "Picture", "pictures_of"]

NO_IMAGE, BAD_IMAGE = "layouts.no_image", "layouts.bad_image"
_SECONDS = 30.0

T = TypeVar("T")


class Picture(NamedTuple):
    """An image as it came, its place in the document, and the image decoded: upright, in RGB."""

    place: int
    data: bytes
    image: Image.Image


def pictures_of(
    name: str, images: Sequence[Mapping[str, Any]] | None, make: Callable[[Picture], T]
) -> tuple[list[T], str | None]:
    """Decode the images of the document `name` one by one, and return what `make` makes of each.

    Where there is none, the rule that this breaks is said too. An image's pixels are let go before the next
    is decoded: a page may have hundreds.

    >>> pictures_of("a", None, len), pictures_of("a", [{"bytes": b"GIF89a"}], len)
    (([], 'layouts.no_image'), ([], 'layouts.bad_image'))
    """
    found: list[T] = []
    rule = NO_IMAGE
    for place, image in enumerate(images or ()):
        if data := image["bytes"]:
            try:
                with watching(f"{STAGE}:{name}:{place}", _SECONDS):
                    found.append(make(Picture(place, data, decode(data))))
            except (BadImage, TookTooLong):
                rule = BAD_IMAGE
            except Poisoned as poisoned:
                rule = poisoned.rule
    return found, None if found else rule
