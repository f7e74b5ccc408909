"""`shard tokens`: documents as tokens, in the files that trainers of language models read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError
from corpuskit.settings import passed_on, setting
from corpuskit.shard.tokenfiles import LAYOUTS, TRAIN, VAL
from corpuskit.shard.tokenfiles.card import write_card
from corpuskit.shard.tokenfiles.encode import Encode
from corpuskit.shard.tokenfiles.write import EMPTY, INDEX, META, STAGE, Write
from corpuskit.shard.tokenizers import load
from corpuskit.stage import Chain, Step

__all__ = ["EMPTY", "INDEX", "META", "Tokens"]


@dataclass(frozen=True)
class Tokens(Chain):
    """Tokenise the documents of all inputs and write the files that a trainer reads.

    Documents stay in order: run `shard parquet` first where it is to be random. They are told apart by the
    tokenizer's end of text, which stands after each, before it in llmc; a text that spells it out is encoded
    as any text. The share `val` is held out: the last of the order of `shard parquet` with the same seed, so
    whether a document is depends on its id alone.
    `meta.json` says how tokens are stored, and with what they were made.

    - nanogpt: train.bin and val.bin, bare tokens, uint16 (uint32 where the vocabulary is larger)
    - llmc: train_000000.bin, ... for llm.c and modded-nanogpt; files are cut after `shard_tokens` exactly
    - megatron: train.bin and train.idx, or several pairs with `shard_tokens`
    - mds, litdata: a folder a split, written by mosaicml-streaming and litdata
    - npy: arrays of tokens and of where each document begins

    The dataset's own rows (`INDEX`) say where each document lies. One without a token is rejected as
    `tokens.empty`. A part's tokens are encoded in one task; memory does not grow with the corpus.

    Raises:
        UsageError: A setting out of range; a vocabulary that the layout cannot store; a tokenizer without an
            end of text; a package that is missing.
        InputError: There is no tokenizer.

    >>> [step.stage.name for step in Tokens("bytes").steps()]
    ['shard.tokens.encode', 'shard.tokens.write']
    """

    tokenizer: str = setting(dataclasses.MISSING, "a tokenizer's file or folder, or bytes", content=False)
    layout: Literal["nanogpt", "llmc", "megatron", "mds", "litdata", "npy"] = setting(
        "nanogpt", "what is written, by who reads it"
    )
    val: float = setting(0.0005, "share of the documents held out, 0 to below 1")
    seed: int = setting(0, "another seed holds out other documents")
    shard_tokens: int | None = setting(
        None, "tokens a file  [default: all for nanogpt and megatron, 16Mi for mds and litdata, else 100M]"
    )

    name: ClassVar[str] = STAGE
    keeps: ClassVar[tuple[str, ...]] = (TRAIN, VAL)

    def __post_init__(self) -> None:
        """Check the settings that need no file."""
        if not 0 <= self.val < 1:
            raise UsageError(
                f"{STAGE}: val is {self.val}", fix="give a share from 0 to below 1, such as 0.0005"
            )
        asked, layout = self.shard_tokens, LAYOUTS[self.layout]
        if asked is not None and not layout.sharded:
            raise UsageError(
                f"{STAGE}: {self.layout} is one file a split",
                fix="drop --shard-tokens, or choose another layout",
            )
        if asked is not None and not 1 <= asked <= layout.most:
            raise UsageError(f"{STAGE}: shard_tokens is {asked}", fix=f"give 1 to {layout.most}")

    def steps(self) -> tuple[Step, ...]:
        """Encode each part, then write each file from the tokens of all."""
        return Step(passed_on(Encode, self), sources=True), Step(passed_on(Write, self), steps=(0,))

    def content(self) -> Mapping[str, str]:
        """Return the digest of the tokenizer."""
        return {"tokenizer": load(self.tokenizer).digest}

    def finish(self, dataset: Dataset) -> None:
        """Write the index of the layouts that have one for all files, and the dataset card."""
        LAYOUTS[self.layout].finish(dataset)
        write_card(dataset, self.layout)
