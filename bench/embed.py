"""Vectors of documents: `filter embed`'s encoder against sentence-transformers' encode, on a CPU or a GPU.

python bench/embed.py DATASET --model FOLDER [--device cpu|cuda] [--documents N] [--rounds N] [--json]

DATASET is any dataset of corpuskit, FOLDER a model that sentence-transformers reads. Each side has all the
cores of the machine, and on a GPU all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from corpuskit.filter.encoders.transformer import Transformer

    Floats = npt.NDArray[np.float32]
    Encode = Callable[[list[str]], Floats]

PACKAGES = ("corpuskit", "torch", "transformers", "tokenizers", "sentence-transformers")
WARM_UP = 64
PEERS = {"cpu": {"sentence-transformers": ("float32", 32)}}
PEERS["cuda"] = {
    "sentence-transformers": ("float32", 32),
    "sentence-transformers, bf16": ("bfloat16", 32),
    "sentence-transformers, bf16, 256 rows": ("bfloat16", 256),
}
OURS, FAST = "corpuskit", "corpuskit, bf16"
NOTES = (
    "from texts in memory to vectors in memory; not timed: reading the model, and a first run on some",
    "corpuskit computes with float32 on a CPU and bf16 on a GPU where nothing else is said",
    "sentence-transformers sorts by length itself, and takes 32 rows a batch where nothing else is said",
    "padding: share of what goes through the model; difference: the largest in a number from the first peer",
    "share of peak: the multiplications that the tokens need, by the speed of one large matrix product, "
    "measured in the same process with the same numbers",
)


def texts_of(dataset: str, count: int) -> list[str]:
    """Read the first documents that have a text."""
    from corpuskit import Dataset

    texts = (str(text) for batch in Dataset(dataset).batches(["text"]) for text in batch["text"].to_pylist())
    return [text for text in texts if text.strip()][:count]


def ours(model: str, device: str, name: str) -> tuple[Encode, Transformer]:
    """Load corpuskit's encoder, as a worker with all the cores has it."""
    import pyarrow as pa

    from corpuskit.filter.encoders import Encoding, load
    from corpuskit.filter.encoders.transformer import Transformer

    encoder = load(
        Encoding(
            model=model,
            device="cuda" if device == "cuda" else "cpu",
            dtype="bf16" if name == FAST else "auto",
        )
    )
    if not isinstance(encoder, Transformer):
        sys.exit(f"{model} is no model of transformers")
    encoder.threads = len(os.sched_getaffinity(0))
    return lambda texts: encoder.encode_texts(pa.array(texts, pa.large_string())), encoder


def theirs(model: str, device: str, name: str) -> Encode:
    """Load sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer

    dtype, rows = PEERS[device][name]
    peer = SentenceTransformer(model, device=device, model_kwargs={"dtype": getattr(torch, dtype)})

    def encode(texts: list[str]) -> Floats:
        import numpy as np

        return np.asarray(peer.encode(texts, batch_size=rows, show_progress_bar=False), np.float32)

    return encode


def run_side(options: argparse.Namespace) -> None:
    """Time one side in this process and print what it took as one line of JSON."""
    import numpy as np

    texts = texts_of(options.dataset, options.documents)
    if options.side in (OURS, FAST):
        encode, encoder = ours(options.model, options.device, options.side)
    else:
        encode, encoder = theirs(options.model, options.device, options.side), None
    encode(texts[:WARM_UP])
    start, cpu = time.perf_counter(), time.process_time()
    vectors = encode(texts)
    found: dict[str, Any] = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    np.save(options.vectors, vectors)
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if encoder is not None:
        found |= told(encoder, texts, options.model, options.device)
    print(json.dumps(found | {"documents": len(texts), "versions": measure.versions(*PACKAGES)}))


def told(encoder: Transformer, texts: list[str], model: str, device: str) -> dict[str, Any]:
    """Count tokens, padding and multiplications, and measure how fast the machine multiplies."""
    import numpy as np
    import pyarrow as pa

    pieces = encoder.prepare(pa.array(texts, pa.large_string()))
    lengths = -np.sort(-pieces.lengths)
    config = json.loads((Path(model) / "config.json").read_text("utf-8"))
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    inner = config.get("intermediate_size", 4 * width)
    linear = 2 * layers * (4 * width * width + 2 * width * inner) * int(lengths.sum())
    attention = 4 * layers * width * int((lengths.astype(np.int64) ** 2).sum())
    return {
        **encoder.counts(pieces),
        "tokens with padding in rows of 32": int(
            sum(lengths[at] * len(lengths[at : at + 32]) for at in range(0, len(lengths), 32))
        ),
        "operations": linear + attention,
        "peak": peak(device),
    }


def peak(device: str) -> float:
    """Multiply two large matrices on all cores or the GPU: operations a second in the best of some times."""
    import torch

    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (2048, torch.float32)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(2 * size**3 / min(times))


def differences(folder: str, names: list[str]) -> dict[str, float]:
    """Compare the vectors of each side with those of the first peer."""
    import numpy as np

    vectors = {name: np.load(f"{folder}/{at}.npy") for at, name in enumerate(names)}
    return {name: float(np.abs(vectors[name] - vectors[names[1]]).max()) for name in names}


def show(found: dict[str, dict[str, Any]], far: dict[str, float], device: str) -> None:
    """Print the table."""
    mine = found[OURS]
    heading = (
        "",
        "documents/s",
        "tokens/s",
        "CPU s",
        "MiB",
        "padding",
        "share of peak",
        "difference",
        "ratio",
    )
    rows = [heading]
    for name, side in found.items():
        padded = mine["tokens with padding" if name in (OURS, FAST) else "tokens with padding in rows of 32"]
        wide = name.endswith("256 rows")
        rows.append(
            (
                name,
                f"{side['documents'] / side['seconds']:,.1f}",
                f"{mine['tokens'] / side['seconds']:,.0f}",
                f"{side['cpu']:,.1f}",
                f"{side['peak_bytes'] >> 20:,}",
                "" if wide else f"{1 - mine['tokens'] / padded:.1%}",
                f"{mine['operations'] / side['seconds'] / mine['peak']:.1%}",
                f"{far[name]:.1e}",
                f"{side['seconds'] / mine['seconds']:.2f}",
            )
        )
    plain = 1 - mine["tokens"] / mine["tokens with padding in plain order"]
    notes = (
        f"{mine['documents']:,} documents, {mine['tokens']:,} tokens, on {device}; a large matrix product: "
        f"{mine['peak'] / 1e12:,.2f} TFLOPS; padding in plain order: {plain:.1%}",
        *NOTES,
        ", ".join(f"{name} {version}" for name, version in mine["versions"].items()),
    )
    measure.show("documents to vectors", rows, notes)


def main() -> None:
    """Run all sides, or the one a parent asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--vectors", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options)
        return
    names = [OURS, *PEERS[options.device], *([FAST] if options.device == "cpu" else [])]
    given = [options.dataset, "--model", options.model, "--device", options.device]
    given += ["--documents", str(options.documents)]
    with tempfile.TemporaryDirectory() as folder:

        def start(at: int, name: str) -> dict[str, Any]:
            return measure.side(sys.executable, __file__, name, *given, "--vectors", f"{folder}/{at}.npy")

        sides = {name: (lambda at=at, name=name: start(at, name)) for at, name in enumerate(names)}
        found = measure.rounds(options.rounds, sides)
        far = differences(folder, names)
    if options.json:
        print(json.dumps({"sides": found, "differences": far, "machine": measure.machine()}))
    else:
        show(found, far, options.device)


if __name__ == "__main__":
    main()
