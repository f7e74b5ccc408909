"""The files of tokens that trainers read, one module a layout."""

from __future__ import annotations

from collections.abc import Mapping

from corpuskit.shard.tokenfiles.layout import TRAIN, VAL, Layout, Shard
from corpuskit.shard.tokenfiles.litdata import LitData
from corpuskit.shard.tokenfiles.llmc import LlmC
from corpuskit.shard.tokenfiles.mds import Mds
from corpuskit.shard.tokenfiles.megatron import Megatron
from corpuskit.shard.tokenfiles.nanogpt import NanoGPT
from corpuskit.shard.tokenfiles.npy import Npy

__all__ = ["LAYOUTS", "TRAIN", "VAL", "Layout", "Shard"]

LAYOUTS: Mapping[str, Layout] = {
    "nanogpt": NanoGPT(),
    "llmc": LlmC(),
    "megatron": Megatron(),
    "mds": Mds(),
    "litdata": LitData(),
    "npy": Npy(),
}
"""Every layout by its name."""
