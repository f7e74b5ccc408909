"""KOSMOS-1's interleaved documents: one sequence a line, with its images beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from corpuskit.shard.interleaving import to_sequence
from corpuskit.shard.layout import Asked, Layout, Shard, no_images, no_text
from corpuskit.shard.layout.jsonl import Lines, encoded, write_lines
from corpuskit.shard.layout.pictures import pictures_of
from corpuskit.stage import Split

__all__ = ["LAYOUT"]

_OFFSET = "layouts.bad_offset"


def _lines(batch: pa.RecordBatch, asked: Asked) -> Lines:
    made: list[bytes | None] = []
    rules: dict[str, list[int]] = {}
    for number, row in enumerate(batch.select(["id", "text", "images"]).to_pylist()):
        line, rule = _sequence(row)
        made.append(line)
        if rule:
            rules.setdefault(rule, []).append(number)
    return made, rules


def _sequence(row: dict[str, Any]) -> tuple[bytes | None, str | None]:
    """Write one document; images that cannot be decoded are left out, for there is nothing to embed.

    Text alone is a sequence too, but not where all its images are lost.
    """
    given = row["images"] or []
    places, rule = pictures_of(row["id"], given, lambda picture: picture.place)
    if given and rule:
        return None, rule
    images = [given[place] for place in places]
    try:
        text, placed = to_sequence(row["text"], images)
    except (ValueError, TypeError):  # outside the text, within a character, or null
        return None, _OFFSET
    return encoded({"id": row["id"], "text": text, "images": [image["bytes"] for image in placed]}), None


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    return write_lines(batches, shard, _lines)


def _check(schema: pa.Schema, asked: Asked) -> None:
    no_text(schema, asked)
    no_images(schema, asked)


LAYOUT = Layout(_write, _check, takes=("compressed",))
