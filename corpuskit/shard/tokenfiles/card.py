"""The card beside token files: what they are, and how a trainer reads them."""

from __future__ import annotations

from corpuskit.dataset import Dataset
from corpuskit.shard import card
from corpuskit.shard.card import Reading

__all__ = ["write_card"]

_LOAD = {
    "nanogpt": """The end of text stands after each document. `meta.json` says the type: nanoGPT's
`train.py` takes it for uint16.

```python
import json, numpy
meta = json.load(open("DIR/meta.json"))
tokens = numpy.memmap("DIR/train.bin", dtype=meta["dtype"], mode="r")
```""",
    "llmc": """The end of text stands before each document; documents go on from file to file.

```sh
./train_gpt2cu -i "DIR/train_*.bin" -j "DIR/val_*.bin"
```

modded-nanogpt takes the same patterns as `train_files` and `val_files`.""",
    "megatron": """The end of text stands after each document, a sequence of its own. The vocabulary is that
of the tokenizer in `meta.json`.

```sh
pretrain_gpt.py --train-data-path DIR/train --valid-data-path DIR/val
```""",
    "mds": """A document is a sample, its end of text the last token.

```python
from streaming import StreamingDataset
samples = StreamingDataset(local="DIR/train", shuffle=True, batch_size=8)
tokens = samples[0]["tokens"]
```""",
    "litdata": """The end of text stands after each document.

```python
from litdata import StreamingDataset, TokensLoader
blocks = StreamingDataset("DIR/train", item_loader=TokensLoader(block_size=2049), shuffle=True)
```""",
    "npy": """Document i of a file is `tokens[offsets[i]:offsets[i + 1]]`, its end of text the last.

```python
import numpy
tokens = numpy.load("DIR/train_000000.npy", mmap_mode="r")
offsets = numpy.load("DIR/offsets_train_000000.npy", mmap_mode="r")
```""",
}


def write_card(dataset: Dataset, layout: str) -> None:
    """Write the card of a finished dataset of tokens."""
    card.write(dataset, Reading((), _LOAD[layout], f"tokens for {layout}"))
