"""Documents to nanoGPT's train.bin: the whole command, against the library tokenizers' encode_batch alone.

    python bench/tokens.py DATASET --tokenizer FOLDER [--times 16] [--rounds 3] [--json]

All sides encode the same texts, DATASET so many times over, with the same vocabulary, on one core, and must
find as many tokens. Ours is `corpuskit shard tokens` as one would type it: it starts Python, reads Parquet,
encodes, and writes train.bin, val.bin and the index. The library is given its strings ready-made, a thousand
at a time, and its ids are not even taken out: `encode_batch`, and `encode_batch_fast`, which leaves out what
places tokens in the text. Ours is run once more on four times as many texts: its memory must not grow.

FOLDER holds GPT-2's encoder.json and vocab.bpe, or a tokenizer.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measure

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGES = ("corpuskit", "tokenizers", "tiktoken", "pyarrow")
AT_ONCE = 1000
GROWN = 4


def corpuskit_side(options: argparse.Namespace) -> None:
    """Time the command."""

    def work() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                "-m",
                "corpuskit",
                "shard",
                "tokens",
                *[options.dataset] * options.times,
            ]
            command += [f"{folder}/tokens", "--tokenizer", options.tokenizer, "-j", "1", "-q"]
            subprocess.run(command, check=True)
            told = json.loads(Path(folder, "tokens", "meta.json").read_text("utf-8"))["splits"].values()
        documents = sum(split["documents"] for split in told)
        return {"documents": documents, "tokens": sum(split["tokens"] for split in told) - documents}

    measure.timed(lambda: None, work, PACKAGES)


def library_side(options: argparse.Namespace) -> None:
    """Time the method `options.side` of the library on texts in memory."""
    from corpuskit.dataset import Dataset

    texts = [
        text for batch in Dataset(options.dataset).batches(["text"]) for text in batch["text"].to_pylist()
    ]
    texts = [text for text in texts if text]
    encode = getattr(peer(Path(options.tokenizer)), options.side)

    def work() -> dict[str, Any]:
        tokens = 0
        for _ in range(options.times):
            for start in range(0, len(texts), AT_ONCE):
                tokens += sum(map(len, encode(texts[start : start + AT_ONCE], add_special_tokens=False)))
        return {"documents": len(texts) * options.times, "tokens": tokens}

    measure.timed(lambda: encode(texts[:100]), work, PACKAGES)


def peer(folder: Path) -> Tokenizer:
    """Make the library's tokenizer of a vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = Tokenizer(models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe")))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return found


def main() -> None:
    """Run the sides in turn, or one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--times", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        (corpuskit_side if options.side == "corpuskit" else library_side)(options)
        return

    def side(name: str, times: int = options.times) -> dict[str, Any]:
        given = (options.dataset, "--tokenizer", options.tokenizer, "--times", str(times))
        return measure.side(sys.executable, __file__, name, *given)

    names = ("corpuskit", "encode_batch", "encode_batch_fast")
    found = measure.rounds(options.rounds, {name: partial(side, name) for name in names})
    grown = side("corpuskit", GROWN * options.times)
    counts = {(result["documents"], result["tokens"]) for result in found.values()}
    if len(counts) != 1:
        sys.exit(f"the sides found different tokens: {counts}")
    if options.json:
        print(json.dumps({"machine": measure.machine(), "sides": found, "grown": grown}))
        return
    show(found, grown)


def show(found: dict[str, Any], grown: dict[str, Any]) -> None:
    """Print the table."""
    rows = [["side", "seconds", "tokens/s", "ratio", "peak MiB"]]
    rate = found["encode_batch"]["tokens"] / found["encode_batch"]["seconds"]
    for name, result in [*found.items(), (f"corpuskit, {GROWN} times as many", grown)]:
        mine = result["tokens"] / result["seconds"]
        peak = f"{result['peak_bytes'] / 2**20:,.0f}"
        rows.append([name, f"{result['seconds']:.2f}", f"{mine:,.0f}", f"{mine / rate:.2f}", peak])
    one = found["corpuskit"]
    notes = [
        f"{one['documents']:,} documents, {one['tokens']:,} tokens; {one['versions']}",
        "ratio: tokens a second against encode_batch",
        "seconds of every round: " + str({name: result["all_seconds"] for name, result in found.items()}),
    ]
    measure.show("documents to train.bin, one core", rows, notes)


if __name__ == "__main__":
    main()
