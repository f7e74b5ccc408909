"""Documents with images in forms that trainers read: OBELICS's parallel lists and KOSMOS-1's sequence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa

from corpuskit.document import IMAGE, IMAGES
from corpuskit.errors import InputError, UsageError

__all__ = [
    "Form",
    "check_form",
    "form_schema",
    "from_lists",
    "from_sequence",
    "in_form",
    "to_lists",
    "to_sequence",
]

Form = Literal["lists", "sequence"]

_TOKEN = re.compile(r"<(/?(?:s|image)>)")
_WRITTEN = re.compile(r"&((?:amp;)*lt;/?(?:s|image)>)")
_AMPERSAND = re.compile(r"&amp;((?:amp;)*lt;/?(?:s|image)>)")
_LESS = re.compile(r"&lt;(/?(?:s|image)>)")
_IMAGE = re.compile(r"<image> [0-9]+ </image>")
_LIST_IMAGE = pa.struct([field for field in IMAGE if field.name != "offset"])


def to_lists(
    text: str, images: Sequence[dict[str, Any]]
) -> tuple[list[str | None], list[dict[str, Any] | None]]:
    """Cut a text at its images into two lists of one length: where one has a value, the other has null.

    Source: OBELICS (Laurencon et al. 2023). Deviation: an image is a struct, not a URL. Images
    are in the order of their offsets; no text is lost, and none is empty.

    Raises:
        ValueError: An offset outside the text, or within a character.

    >>> to_lists("one two", [{"offset": 4, "url": "a"}])
    (['one ', None, 'two'], [None, {'url': 'a'}, None])
    """
    texts: list[str | None] = []
    found: list[dict[str, Any] | None] = []
    pieces, order = _cut(text, images)
    for piece, number in zip(pieces, [*order, None], strict=True):
        if piece:
            texts.append(piece)
            found.append(None)
        if number is not None:
            texts.append(None)
            found.append({name: value for name, value in images[number].items() if name != "offset"})
    return texts, found


def from_lists(
    texts: Sequence[str | None], images: Sequence[dict[str, Any] | None]
) -> tuple[str, list[dict[str, Any]]]:
    """Undo `to_lists`.

    >>> from_lists(*to_lists("é b", [{"offset": 2, "url": "a"}]))
    ('é b', [{'offset': 2, 'url': 'a'}])
    """
    at = 0
    pieces: list[str] = []
    found: list[dict[str, Any]] = []
    for piece, image in zip(texts, images, strict=True):
        if image is not None:
            found.append({"offset": at, **image})
        else:
            pieces.append(piece or "")
            at += len(pieces[-1].encode())
    return "".join(pieces), found


def to_sequence(text: str, images: Sequence[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Write a text and its images as one: `<s> text <image> 0 </image> text </s>`.

    The number is the image's place in the list that is returned, whose offsets are those of `<image>`; its
    embedding goes there. In the text, such a token is written with `&lt;`, so that no page can forge one.

    Source: KOSMOS-1 (Huang et al. 2023, 2.1). Raises as `to_lists` does.

    >>> to_sequence("one two", [{"offset": 4, "url": "a"}])
    ('<s> one  <image> 0 </image> two </s>', [{'offset': 9, 'url': 'a'}])
    """
    pieces, order = _cut(text, images)
    written = ["<s>"]
    found: list[dict[str, Any]] = []
    at = len(written[0]) + 1
    for piece, number in zip(pieces, [*order, None], strict=True):
        if piece:
            written.append(_escaped(piece))
            at += len(written[-1].encode()) + 1
        if number is not None:
            written.append(f"<image> {len(found)} </image>")
            found.append({**images[number], "offset": at})
            at += len(written[-1]) + 1
    return " ".join([*written, "</s>"]), found


def from_sequence(text: str, images: Sequence[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Undo `to_sequence`.

    >>> from_sequence(*to_sequence("<s>one two", [{"offset": 7, "url": "a"}]))
    ('<s>one two', [{'offset': 7, 'url': 'a'}])
    """
    inner = text.removeprefix("<s>").removesuffix("</s>")
    pieces = [_plain(piece[1:-1]) if len(piece) > 2 else "" for piece in _IMAGE.split(inner)]
    at = 0
    found: list[dict[str, Any]] = []
    for piece, image in zip(pieces, images, strict=False):
        at += len(piece.encode())
        found.append({**image, "offset": at})
    return "".join(pieces), found


def _escaped(text: str) -> str:
    return _TOKEN.sub(r"&lt;\1", _WRITTEN.sub(r"&amp;\1", text))


def _plain(text: str) -> str:
    return _AMPERSAND.sub(r"&\1", _LESS.sub(r"<\1", text))


def _cut(text: str, images: Sequence[dict[str, Any]]) -> tuple[list[str], list[int]]:
    """Cut a text where its images stand; also number the images in that order."""
    order = sorted(range(len(images)), key=lambda number: images[number]["offset"])
    data, at, pieces = text.encode(), 0, []
    for number in order:
        offset = images[number]["offset"]
        if not 0 <= offset <= len(data):
            raise ValueError(f"an image stands at byte {offset} of {len(data)}")
        pieces.append(data[at:offset].decode())
        at = offset
    return [*pieces, data[at:].decode()], order


def check_form(form: Form | None, schema: pa.Schema) -> None:
    """Check that documents have what a form is made of.

    Raises:
        UsageError: They have no text or no images.
    """
    if form is not None and not {"text", IMAGES.name} <= set(schema.names):
        raise UsageError(
            "shard.parquet: interleaved documents have a text and images, and these have not",
            fix="make them with corpuskit crawl interleaved, or leave --interleaved out",
        )


def form_schema(schema: pa.Schema, form: Form | None) -> pa.Schema:
    """Say the schema of documents in a form; `lists` has `texts` in the place of `text`."""
    if form != "lists":
        return schema
    columns = {
        "text": pa.field("texts", pa.list_(pa.large_string())),
        IMAGES.name: pa.field(IMAGES.name, pa.list_(_LIST_IMAGE)),
    }
    return pa.schema([columns.get(field.name, field) for field in schema], metadata=schema.metadata)


def in_form(batch: pa.RecordBatch, form: Form | None) -> pa.RecordBatch:
    """Write documents in a form, one by one; null images are none.

    Raises:
        InputError: An image stands outside its text, or within a character.
    """
    if form is None:
        return batch
    made = []
    write = to_lists if form == "lists" else to_sequence
    for row in batch.select(["id", "text", IMAGES.name]).to_pylist():
        try:
            made.append(write(row["text"], row[IMAGES.name] or []))
        except ValueError as error:
            what = (
                f"document {row['id']}: {error}"
                if "stands" in str(error)
                else f"document {row['id']}: an image stands within a character"
            )
            raise InputError(what, fix="take its images from the text that is there now") from None
    schema = form_schema(batch.schema, form)
    texts = "texts" if form == "lists" else "text"
    own = {name: [one[place] for one in made] for place, name in enumerate((texts, IMAGES.name))}
    return pa.RecordBatch.from_arrays(
        [
            pa.array(own[field.name], field.type) if field.name in own else batch[field.name]
            for field in schema
        ],
        schema=schema,
    )
