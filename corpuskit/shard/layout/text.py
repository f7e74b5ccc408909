"""minGPT's plain text: all documents in one UTF-8 file, each followed by a separator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.shard.layout import TRAIN, VAL, Joined, Layout, Shard, index, no_text, refused, write_texts
from corpuskit.shard.layout.jsonl import finished
from corpuskit.stage import Split

__all__ = ["LAYOUT", "SEPARATOR"]

SEPARATOR = "\n<|endoftext|>\n"
"""What stands after each document; a text that says `<|endoftext|>` itself is written with `&lt;`."""

_TOKEN, _WRITTEN = "<|endoftext|>", "&lt;|endoftext|>"  # noqa: S105 - of text, not of an account


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    name, path, at = shard.named(".txt"), shard.scratch(), 0
    with path.open("wb") as file:
        for batch in batches:
            blank = pc.equal(pc.utf8_trim_whitespace(batch["text"]), "")
            rows = pa.array(np.flatnonzero(~np.asarray(blank)))
            texts = pc.replace_substring(batch["text"].take(rows), _TOKEN, _WRITTEN)
            ends = write_texts(file, texts, SEPARATOR)
            places = at + ends[:-1]
            gone = {"layouts.blank": np.flatnonzero(blank).tolist()}
            lengths = np.diff(ends) - len(SEPARATOR)
            yield Split(index(batch["id"].take(rows), name, places, lengths), refused(batch, gone))
            at += int(ends[-1])
    yield finished(name, path, at)


LAYOUT = Layout(_write, no_text, val=0.01, joined=Joined({TRAIN: "input.txt", VAL: "val.txt"}, in_bytes=True))
