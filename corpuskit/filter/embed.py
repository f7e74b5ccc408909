"""`filter embed`: a vector for each document, and what models say of vectors."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import pyarrow as pa

from corpuskit import files
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import IMAGE_VECTORS
from corpuskit.errors import UsageError
from corpuskit.filter import heads as scoring
from corpuskit.filter import imagevectors
from corpuskit.filter.encoders import Encoder, Encoding, Floats, Shape, digest, load, shape
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task

__all__ = ["Embed"]

_NUMBERS = {"float16": pa.float16(), "float32": pa.float32()}


@dataclass(frozen=True)
class Embed(Encoding, Stage):
    """Give each document a vector by a model of texts, images or both, and scores by heads on top of it.

    Texts are tokenised in Rust, in a thread beside the model's work, sorted by length and batched by their
    tokens with padding. A document without text (null or white space) has a null vector. All documents
    stay. On the CPU each batch is computed on one core, so the bytes are the same for any number of workers.

    Raises:
        InputError: There is no such model, or it is damaged.
        UsageError: A package is missing; a column is there already; the model has no images.
    """

    column: str = setting("embedding", "the column of the vectors")
    vectors: Literal["float16", "float32"] = setting("float16", "what the numbers are kept as")
    images: bool = setting(False, "also a vector of each document's images, their mean: image_embedding")
    clip_score: bool = setting(False, "the cosine of a document's text and its closest image: clip_score")
    heads: tuple[str, ...] = setting(
        (),
        "columns that small networks make of the vectors, as NAME=PATH: aesthetic=head.safetensors",
        content=False,  # the digest covers what the heads are, not where they lie
    )
    threads: int | None = setting(
        None, "on the CPU: cores that a worker computes on; absent: those that the parts leave", content=False
    )

    name: ClassVar[str] = "filter.embed"
    patient: ClassVar[bool] = True
    """A part can take a CPU a day."""
    inexact: ClassVar[float] = 2e-3
    """A model's sums depend on what else is in a batch; float16 rounds to a thousandth."""

    def __post_init__(self) -> None:
        """Check the settings that need no model."""
        super().__post_init__()
        scoring.parse(self.heads, (self.column, IMAGE_VECTORS, "clip_score"))

    def recounts(self, dataset: Dataset) -> tuple[str, ...]:
        """Say how much of what went through the model was padding."""
        told: Mapping[str, int] = dataset.manifest["stages"][-1].get("facts", {})
        tokens, padded, plain = (
            told.get(f"tokens{how}", 0) for how in ("", " with padding", " with padding in plain order")
        )
        if not tokens:
            return ()
        waste, before = (1 - tokens / whole for whole in (padded, plain))
        return (f"{tokens:,} tokens, and {waste:.1%} padding; in plain order it were {before:.1%}",)

    def on_gpu(self) -> bool:
        """Say whether a GPU is wanted."""
        return self.device != "cpu"

    def content(self) -> Mapping[str, str]:
        """Return the digests of the model and of the heads."""
        found = {f"head {name}": scoring.digest(path) for name, path in scoring.parse(self.heads).items()}
        return {"model": digest(self.model), **found}

    def _heads(self) -> dict[str, tuple[scoring.Head, str]]:
        """Read the heads: each by its column, and whether it scores images or texts."""
        usual = "image" if self.images or self.clip_score else "text"
        heads = {name: scoring.load(path) for name, path in scoring.parse(self.heads).items()}
        return {name: (head, head.told.on or usual) for name, head in heads.items()}

    def _sees_images(self) -> bool:
        return self.images or self.clip_score or any(on == "image" for _, on in self._heads().values())

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Add the columns of vectors and scores."""
        made = shape(self)
        column = pa.list_(_NUMBERS[self.vectors], made.width)
        added = [pa.field(self.column, column)] if "text" in made.modalities else []
        if self.images:
            added.append(pa.field(IMAGE_VECTORS, column))
        scores = (["clip_score"] if self.clip_score else []) + list(scoring.parse(self.heads))
        added += [pa.field(name, pa.float32()) for name in scores]
        self._check(schema, made, [field.name for field in added])
        return pa.schema([*schema, *added])

    def _check(self, schema: pa.Schema, made: Shape, added: list[str]) -> None:
        if twice := [name for name in added if name in schema.names]:
            raise UsageError(
                f"filter.embed: there is a column {twice[0]!r} already", fix="give --column another name"
            )
        for name, (head, _) in self._heads().items():
            if head.width != made.width:
                what = f"the head {name} takes vectors of {head.width:,} numbers, and {self.model} makes"
                raise UsageError(f"filter.embed: {what} {made.width:,}", fix="give the head's own model")
        if self._sees_images():
            if "image" not in made.modalities:
                raise UsageError(f"filter.embed: {self.model} has no vectors of images", fix="name a CLIP")
            if "images" not in schema.names:
                raise UsageError("filter.embed: the documents have no images", fix="crawl images first")
        if self.clip_score and "text" not in made.modalities:
            raise UsageError(f"filter.embed: {self.model} has no vectors of texts", fix="name a CLIP")

    def split(self, batch: pa.RecordBatch) -> Split:
        """Add the vectors and scores."""
        return next(self._splits(iter([batch])))

    def run(self, task: Task) -> Iterator[Split]:
        """Add them to one part; the next batch is read and tokenised while the model has this one."""
        encoder: Any = load(self)
        if hasattr(encoder, "threads"):
            encoder.threads = self.threads or _cores_left(self.target)
        yield from self._splits(read_batches(task.inputs[0].path, task.schema))

    def _splits(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Split]:
        encoder: Any = load(self)
        reads, ahead = "text" in encoder.modalities, hasattr(encoder, "prepare")
        for batch, pieces in _ahead(batches, lambda batch: encoder.prepare(batch["text"]) if ahead else None):
            texts = np.full((len(batch), encoder.width), np.nan, np.float32)
            if reads:
                texts = encoder.encode(pieces) if ahead else encoder.encode_texts(batch["text"])
            facts = Counter(encoder.counts(pieces) if ahead else {})
            facts["documents without text"] = int(np.isnan(texts).any(axis=1).sum()) if reads else 0
            yield self._told(batch, encoder, texts, facts)

    def _told(self, batch: pa.RecordBatch, encoder: Encoder, texts: Floats, facts: Counter[str]) -> Split:
        """Write down the vectors of texts, and what else is asked for."""
        columns = [self._column(texts)] if "text" in encoder.modalities else []
        if self._sees_images():
            found = imagevectors.encode(batch["images"], encoder)
            facts["images that cannot be decoded"] = found.undecodable
            columns += [self._column(found.means())] if self.images else []
            columns += [found.clip_scores(texts)] if self.clip_score else []
        for head, on in self._heads().values():
            columns.append(found.best(head.scores(found.vectors)) if on == "image" else head.scores(texts))
        kept = pa.RecordBatch.from_arrays([*batch.columns, *columns], schema=self.writes(batch.schema))
        return Split(
            kept, source=batch, facts={name: count for name, count in sorted(facts.items()) if count}
        )

    def _column(self, vectors: Floats) -> pa.Array:
        """Make a column of vectors; a row of NaN is null."""
        gone = np.asarray(np.isnan(vectors).any(axis=1))
        kind = np.float16 if self.vectors == "float16" else np.float32
        values = pa.array(np.where(gone[:, None], 0, vectors).astype(kind).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(
            values, vectors.shape[1], mask=pa.array(gone) if gone.any() else None
        )


Item = TypeVar("Item")
Made = TypeVar("Made")


def _ahead(items: Iterator[Item], work: Callable[[Item], Made]) -> Iterator[tuple[Item, Made]]:
    """Yield each item with what `work` makes of it, in another thread while the one before is in use."""

    def take() -> tuple[Item, Made] | None:
        for item in items:
            return item, work(item)
        return None

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(take)
        while (found := waiting.result()) is not None:
            waiting = other.submit(take)
            yield found


def _cores_left(target: str) -> int:
    """Say how many cores a worker may use: those there are, divided by the parts of the input."""
    try:
        parts = len(json.loads(files.read_bytes(files.join(target, "plan.json")))["tasks"])
    except (OSError, ValueError, KeyError):  # not run by the engine
        return 1
    return max(1, len(os.sched_getaffinity(0)) // max(1, parts))
