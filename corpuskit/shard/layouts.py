"""`shard layouts`: the files that other trainers read, each in the form that it defines."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.shard.layout import LAYOUTS, STAGE, asked_of, layout_of
from corpuskit.shard.layout.card import write_card
from corpuskit.shard.layout.steps import Join, Scattered, Write
from corpuskit.stage import Chain, Step

__all__ = ["Layouts"]


@dataclass(frozen=True)
class Layouts(Chain):
    """Shuffle documents together and write them in the files that another trainer reads.

    The order is that of `shard parquet`. The documents held out are the last of it: whether one is depends
    on the seed and its id alone. The dataset's own rows say in which file each id lies (`INDEX`).

    - `layouts.no_image`, `layouts.bad_image`: no image has bytes; none can be decoded
    - `layouts.one_sentence`: bert, a text without a second sentence; `layouts.blank`: mingpt, no text
    - `layouts.no_label`, `layouts.long_label`: imagefolder, no class; a class of over 200 bytes
    - `layouts.no_turn`: chat, a turn is missing or blank
    - `layouts.bad_offset`: kosmos, an image outside its text

    Raises:
        InputError: A document is twice in the inputs.
        UsageError: An unknown layout; a setting of another; or documents that lack what it is made of.

    >>> [step.stage.name for step in Layouts("mingpt").steps()]
    ['shard.layouts.scatter', 'shard.layouts.write', 'shard.layouts.join']
    """

    layout: str = setting(dataclasses.MISSING, f"what is read: {', '.join(LAYOUTS)}")
    val: float | None = setting(
        None,
        "share of the documents held out  [default: 0.01 for bert, mingpt, imagefolder and igpt, else 0]",
    )
    size: int = setting(512_000_000, "bytes a file before compression, all columns counted")
    seed: int = setting(0, "another seed gives another order, and holds out others")
    compressed: bool = setting(False, "write .jsonl.zst, for jsonl, chat and kosmos")
    label: str | None = setting(None, "the column of the class, for imagefolder  [default: one class]")
    turns: tuple[str, ...] = setting(
        (), "the columns of the user and of the assistant, for chat  [default: messages, or a known pair]"
    )
    pixels: int | None = setting(None, "width and height of an image, 32 or 64, for igpt  [default: 32]")
    palette: str | None = setting(
        None, "an .npy of the colours to use, for igpt  [default: found in the images]", content=False
    )

    name: ClassVar[str] = STAGE
    bad_rules: ClassVar[frozenset[str]] = frozenset({"layouts.bad_image", "layouts.bad_offset"})
    keeps: ClassVar[tuple[str, ...]] = ("train", "val", "data")

    def __post_init__(self) -> None:
        """Check the layout, and that every other setting is for it."""
        chosen = layout_of(self.layout)
        if self.val is not None and not 0 <= self.val < 1:
            raise UsageError(
                f"{STAGE}: val is {self.val}", fix="give a share from 0 to below 1, such as 0.01"
            )
        if self.size < 1:
            raise UsageError(f"{STAGE}: size must be at least 1, not {self.size}")
        for name in ("compressed", "label", "turns", "pixels", "palette"):
            if getattr(self, name) and name not in chosen.takes:
                takers = [other for other in LAYOUTS if name in layout_of(other).takes]
                raise UsageError(
                    f"{STAGE}: {self.layout} takes no --{name}",
                    fix=f"leave it out: it is for {', '.join(takers)}",
                )
        if self.pixels not in (None, 32, 64):
            raise UsageError(f"{STAGE}: pixels is {self.pixels}", fix="give 32 or 64")

    def content(self) -> Mapping[str, str]:
        """Return the digest of the palette that is given."""
        return layout_of(self.layout).content(asked_of(self))

    def steps(self) -> tuple[Step, ...]:
        """Scatter the rows, write each shard, and join what has to be one file."""
        chosen = layout_of(self.layout)
        val = chosen.val if self.val is None else self.val
        write = dataclasses.replace(settings.passed_on(Write, self), val=val)
        scatter = settings.passed_on(Scattered, self)
        steps = [Step(scatter, sources=True), Step(write, steps=(0,))]
        if chosen.joined is None:
            return tuple(steps)
        steps += chosen.between(asked_of(self))
        last = tuple(range(len(steps) - 1, 1, -1)) or (1,)
        return (*steps, Step(settings.passed_on(Join, self), steps=last))

    def finish(self, dataset: Dataset) -> None:
        """Write the card, which says how the files are read."""
        write_card(dataset, self.layout)
