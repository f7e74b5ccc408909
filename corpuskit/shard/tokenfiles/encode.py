"""The first step of `shard tokens`: each part's documents as tokens, those of val apart."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files, seeds
from corpuskit.dataset import read_batches
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.shard.tokenfiles import LAYOUTS, TRAIN, VAL
from corpuskit.shard.tokenizers import Tokenizer, load
from corpuskit.stage import Split, Stage, Task, document_tasks

__all__ = ["COUNTS", "Encode", "check_tokenizer", "held_out", "piece_name"]

COUNTS = (
    pa.field("part", pa.int32(), nullable=False),
    pa.field("val", pa.bool_(), nullable=False),
    pa.field("tokens", pa.int64(), nullable=False),
)
"""What is told of a document beside its names: its part, its split, its tokens without the end of text."""

_NAMES = ("id", "url", "origin")
_BINS_BITS = 20


def piece_name(split: str, part: int) -> str:
    """Name the file that holds the tokens of one part's documents of a split.

    >>> piece_name("train", 7)
    'train-00007.bin'
    """
    return f"{split}-{part:05d}.bin"


def held_out(val: float, seed: int, ids: pa.Array) -> npt.NDArray[np.bool_]:
    """Say which documents are held out: the last `val` of the order of `shard parquet` with this seed.

    >>> held_out(0.5, 0, pa.array(["d", "g"])).tolist()
    [False, True]
    """
    bins = seeds.shuffle_key(seed, ids) >> np.uint64(64 - _BINS_BITS)
    return np.asarray(bins >= np.uint64(max(1, round((1 - val) * (1 << _BINS_BITS)))))


def check_tokenizer(path: str, layout: str) -> tuple[Tokenizer, int, np.dtype[Any]]:
    """Return the tokenizer, its end of text, and how the layout stores a token.

    Raises:
        UsageError: The tokenizer has no end of text, or too large a vocabulary for the layout.
        InputError: There is no tokenizer.
    """
    tokenizer = load(path)
    end = tokenizer.end_of_text
    if end is None:
        raise UsageError(
            f"the tokenizer {path} has no end of text, which stands between documents",
            fix="give a tokenizer.json that lists <|endoftext|> or </s> among its special tokens",
        )
    return tokenizer, end, LAYOUTS[layout].dtype(tokenizer.size)


@dataclass(frozen=True)
class Encode(Stage):
    """Write the tokens of each part's documents, with their ends of text, into two files; count them."""

    tokenizer: str = setting(dataclasses.MISSING, "the tokenizer", content=False)
    layout: str = setting("nanogpt", "the layout")
    val: float = setting(0.0005, "share held out")
    seed: int = setting(0, "another seed holds out others")

    name: ClassVar[str] = "shard.tokens.encode"

    def content(self) -> Mapping[str, str]:
        """Return the digest of the tokenizer."""
        return {"tokenizer": load(self.tokenizer).digest}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Keep what names a document, and add what is counted."""
        return pa.schema([*(schema.field(name) for name in _NAMES if name in schema.names), *COUNTS])

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task a part, and number them.

        Raises:
            UsageError: There are no texts, or what is needed to write the layout is not there.
        """
        LAYOUTS[self.layout].check()
        check_tokenizer(self.tokenizer, self.layout)
        tasks = document_tasks(*sources)
        if any("text" not in task.schema.names for task in tasks):
            raise UsageError(f"there is no column of texts in {', '.join(sources)}", fix="give documents")
        return [dataclasses.replace(task, work={"part": part}) for part, task in enumerate(tasks)]

    def run(self, task: Task) -> Iterator[Split]:
        """Encode a part, a batch at a time."""
        part, (item,) = int(task.work["part"]), task.inputs
        schema = pa.schema([field for field in task.schema if field.name in (*_NAMES, "text")])
        written = self.writes(schema)
        paths = {piece_name(split, part): files.scratch(self.target) for split in (TRAIN, VAL)}
        with contextlib.ExitStack() as stack:
            train, val = (stack.enter_context(path.open("wb")) for path in paths.values())
            for batch in read_batches(item.path, schema, schema.names):
                held = held_out(self.val, self.seed, batch["id"])
                tokens, lengths, counts = self._encode(batch["text"])
                if held.any():
                    mask = np.repeat(held, lengths)
                    val.write(tokens[mask].data)
                    tokens = tokens[~mask]
                train.write(tokens.data)
                given = {"part": pa.repeat(pa.scalar(part, pa.int32()), len(batch))}
                given |= {"val": pa.array(held), "tokens": pa.array(counts)}
                columns = [
                    given[field.name] if field.name in given else batch[field.name] for field in written
                ]
                kept = pa.RecordBatch.from_arrays(columns, schema=written)
                yield Split(kept, source=kept)
        yield Split(pa.RecordBatch.from_pylist([], written), beside=paths)

    def _encode(
        self, texts: pa.Array
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return all tokens with their ends of text, how many each document has, and how many without."""
        tokenizer, end, dtype = check_tokenizer(self.tokenizer, self.layout)
        ids, offsets = tokenizer.encode_batch(texts)
        counts = np.diff(offsets)
        some = counts > 0
        places = offsets[:-1] if LAYOUTS[self.layout].leads else offsets[1:]
        return np.insert(ids.astype(dtype), places[some], end), counts + some, counts
