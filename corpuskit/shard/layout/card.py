"""The card beside a layout's files: what they are, and how the trainer reads them."""

from __future__ import annotations

from corpuskit.dataset import Dataset
from corpuskit.shard import card
from corpuskit.shard.card import Reading
from corpuskit.shard.layout.huggingface import SPLITS, dataset_info

__all__ = ["write_card"]

_LOAD_DATASET = """`load_dataset` reads the folder as it is.

```python
from datasets import load_dataset
rows = load_dataset("DIR", split="train")
```"""

_PACKED = {
    "bert": "text, a pair of sentences a line",
    "mingpt": "text, all documents in one file",
    "imagefolder": "images as they came",
    "kosmos": "JSON lines",
    "igpt": "npy, uint16",
    "hf": "Parquet with zstd",
    "jsonl": "JSON lines",
    "chat": "JSON lines of messages",
}
_LOAD = {
    "bert": """BERT-pytorch builds its own vocabulary file from the corpus; `vocab.txt` holds the same words
in the same order, one a line.

```sh
bert-vocab -c DIR/train.txt -o vocab.pkl
bert -c DIR/train.txt -t DIR/val.txt -v vocab.pkl -o bert.model
```""",
    "mingpt": """`<|endoftext|>` on a line of its own stands after each document.

```python
text = open("DIR/input.txt", encoding="utf-8").read()
```

minGPT's `projects/chargpt` reads an `input.txt` in the folder it is started in.""",
    "imagefolder": """`val`, where there is one, has the same classes as `train`.

```python
from torchvision.datasets import ImageFolder
images = ImageFolder("DIR/train")
```""",
    "igpt": """A row is an image, from its top left on, and a number is a row of the palette.

```python
import numpy
sequences = numpy.load("DIR/images_trX.npy", mmap_mode="r")
palette = numpy.load("DIR/kmeans_centers.npy")
colours = numpy.rint(127.5 * (palette[sequences[0]] + 1)).astype("uint8")
```""",
}


def write_card(dataset: Dataset, layout: str) -> None:
    """Write the card of a finished dataset of a layout."""
    card.write(
        dataset, Reading(tuple(_front(dataset, layout)), _LOAD.get(layout, _LOAD_DATASET), _PACKED[layout])
    )


def _front(dataset: Dataset, layout: str) -> list[str]:
    """Return the front matter by which `load_dataset` and the Hub find the splits."""
    lines = dataset_info(dataset) if layout == "hf" else []
    names = [file.path for file in dataset.files]
    found = [(split, told, _pattern(layout, split, names)) for split, told in SPLITS.items()]
    found = [(split, told, pattern) for split, told, pattern in found if pattern]
    if not found:
        return lines
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for _, told, pattern in found:
        lines += [f"  - split: {told}", f'    path: "{pattern}"']
    return lines


def _pattern(layout: str, split: str, names: list[str]) -> str | None:
    """Return the pattern of a split's files, null where it has none, or none that `load_dataset` reads."""
    begin, pattern = {
        "hf": (f"data/{SPLITS[split]}-", f"data/{SPLITS[split]}-*.parquet"),
        "imagefolder": (f"{split}/", f"{split}/**"),
        "bert": (f"{split}.txt", f"{split}.txt"),
        "jsonl": (f"{split}-", f"{split}-*.jsonl*"),
        "chat": (f"{split}-", f"{split}-*.jsonl*"),
        "kosmos": (f"{split}-", f"{split}-*.jsonl*"),
    }.get(layout, ("/", ""))
    return pattern if any(name.startswith(begin) for name in names) else None
