"""Near duplicates: MinHash against rensa and datasketch, and the whole job against datatrove's four steps.

python bench/minhash.py DATASET [--datatrove-python PATH] [--rounds N] [--json]

DATASET is any dataset of corpuskit; take one of at least 5,000 documents with near duplicates among them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import measure

PERMUTATIONS = 112
NGRAM = 5
SEED = 1
LEAST = 1.0
NOTES = (
    f"{PERMUTATIONS} permutations of {NGRAM}-grams of lower-case alphanumeric words; texts in memory",
    "`text`: from the texts. Peers have no words of their own, so theirs are a compiled regular expression "
    "and slices in Python; rensa in bulk (digest_matrix_from_token_sets), datasketch too (generator)",
    "`hashes`: from the same ready 64-bit hashes of shingles on all sides, nothing but the permutations; "
    "rensa in bulk (digest_matrix_from_flat_token_hashes), datasketch with an identity as its hash",
    f"each side works on all texts again until {LEAST:g} s have passed; the seconds are the mean of one time",
    "`whole job`: read Parquet, find and drop near duplicates, write Parquet; 14 bands of 8 rows on both "
    "sides, each in its own process, loaded and warm: corpuskit's steps as a worker of the engine does them, "
    "datatrove's by LocalPipelineExecutor. corpuskit also verifies every pair and writes a reject with its "
    "twin for each duplicate, which datatrove does not",
    "`command`: the same by engine.run with one worker, cold: its processes and their imports are counted",
    "not timed: one run on the first documents, in which kernels are compiled and tokenizers loaded",
    "`CPU s`: processor time, children included, which a busy machine changes less",
    "memory: the largest resident size of any one process of a side",
)
WORD = re.compile(r"[^\W_]+")


def read(dataset: str) -> list[str]:
    """Read the texts."""
    from corpuskit import Dataset

    return [str(text) for text in Dataset(dataset).table(["text"])["text"].to_pylist()]


def word_shingles(text: str) -> list[str]:
    """Cut a text into its shingles, in Python."""
    words = WORD.findall(text.lower())
    return [" ".join(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))] if words else []


def text_corpuskit(texts: list[str]) -> Callable[[], object]:
    """Prepare signatures of texts by corpuskit."""
    import pyarrow as pa

    from corpuskit.dedup.minhash import signatures

    column = pa.array(texts, pa.large_string())
    return lambda: signatures(column, ngram=NGRAM, permutations=PERMUTATIONS, seed=SEED)


def text_rensa(texts: list[str]) -> Callable[[], object]:
    """Prepare signatures of texts by rensa."""
    from rensa import RMinHash

    return lambda: RMinHash.digest_matrix_from_token_sets(map(word_shingles, texts), PERMUTATIONS, SEED)


def text_datasketch(texts: list[str]) -> Callable[[], object]:
    """Prepare signatures of texts by datasketch."""
    from datasketch import MinHash

    make: Any = MinHash.generator  # it has no annotations

    def work() -> object:
        sets = ([shingle.encode() for shingle in word_shingles(text)] for text in texts)
        return list(make(sets, num_perm=PERMUTATIONS, seed=SEED))

    return work


def hashes_corpuskit(texts: list[str]) -> Callable[[], object]:
    """Prepare signatures of hashes by corpuskit."""
    from corpuskit.dedup.minhash import shingles
    from corpuskit.kernels import minhash

    hashes, offsets = shingles(texts, NGRAM)
    return lambda: minhash.signatures(hashes, offsets, *minhash.permutations(PERMUTATIONS, SEED))


def hashes_rensa(texts: list[str]) -> Callable[[], object]:
    """Prepare signatures of hashes by rensa."""
    from rensa import RMinHash

    from corpuskit.dedup.minhash import shingles

    hashes, offsets = shingles(texts, NGRAM)
    edges = offsets.astype("uint64")
    return lambda: RMinHash.digest_matrix_from_flat_token_hashes(hashes, edges, PERMUTATIONS, SEED)


def hashes_datasketch(texts: list[str]) -> Callable[[], object]:
    """Prepare signatures of hashes by datasketch."""
    from datasketch import MinHash

    from corpuskit.dedup.minhash import shingles

    hashes, offsets = shingles(texts, NGRAM)
    low = (hashes & 0xFFFFFFFF).astype("uint32")
    rows = [low[start:end] for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
    options = {"num_perm": PERMUTATIONS, "seed": SEED, "hashfunc": lambda value: value}
    make: Any = MinHash.generator  # it has no annotations
    return lambda: list(make(rows, **options))


def with_cpu(work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Do the work and add the processor time it took, that of the processes it started included."""
    before = os.times()
    found = work()
    after = os.times()
    return {**found, "cpu_seconds": sum(after[:4]) - sum(before[:4])}


def signature_side(prepare: Callable[[list[str]], Callable[[], object]], dataset: str) -> None:
    """Time one way to signatures."""
    texts = read(dataset)
    work = prepare(texts)

    def timed_work() -> Mapping[str, Any]:
        work()
        return {}

    measure.timed(
        prepare(texts[:50]),
        lambda: with_cpu(timed_work),
        ("corpuskit", "numba", "rensa", "datasketch"),
        LEAST,
    )


def job_command(dataset: str, target: str) -> Mapping[str, Any]:
    """Run `dedup minhash` as the command does: by the engine, with one worker."""
    from corpuskit.dedup.minhash import MinHash
    from corpuskit.engine import Options, run

    return {"kept": run(MinHash(), dataset, target, options=Options(workers=1)).rows}


def job_corpuskit(dataset: str, target: str) -> Mapping[str, Any]:
    """Run the steps of `dedup minhash` as a worker of the engine does, in this process."""
    from corpuskit import Dataset
    from corpuskit.dedup.minhash import MinHash
    from corpuskit.engine.pipeline import perform
    from corpuskit.engine.target import Target

    written: list[str] = []
    for number, step in enumerate(MinHash().steps()):
        inputs = [written[earlier] for earlier in step.steps] + ([dataset] if step.sources else [])
        place, stages = Target(f"{target}/{number}"), (step.stage,)
        tasks = step.stage.plan(*inputs)
        keys = [task.key(stages) for task in tasks]
        place.begin(stages, [], tasks, keys)
        for at, task in enumerate(tasks):
            perform(stages, task, at, keys[at], place.path, lambda *_: None)
        written.append(place.finish(stages, [], keys, {}).path)
    return {"kept": Dataset(written[-1]).rows}


def job_datatrove(dataset: str, target: str) -> Mapping[str, Any]:
    """Run datatrove's four steps as its example sets them up, on one worker."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=NGRAM, seed=SEED
    )
    reader = ParquetReader(dataset, recursive=False, glob_pattern="part-*.parquet", read_metadata=False)
    signatures, buckets, remove = (f"{target}/{name}" for name in ("signatures", "buckets", "remove"))
    steps: list[tuple[list[Any], int]] = [
        ([reader, MinhashDedupSignature(signatures, config=config)], 1),
        ([MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets),
        ([MinhashDedupCluster(buckets, remove, config=config)], 1),
        ([reader, MinhashDedupFilter(remove), ParquetWriter(f"{target}/output", compression="zstd")], 1),
    ]
    for number, (pipeline, tasks) in enumerate(steps):
        logs = f"{target}/logs/{number}"
        done = LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
    return {"kept": int(done.stats[-1].stats["total"].total)}


def job_side(job: Callable[[str, str], Mapping[str, Any]], dataset: str, few: str) -> None:
    """Time one way through the whole job."""
    with tempfile.TemporaryDirectory() as folder:
        measure.timed(
            lambda: job(few, f"{folder}/few"),
            lambda: with_cpu(lambda: job(dataset, f"{folder}/all")),
            ("corpuskit", "numba", "datatrove", "spacy"),
        )


TEXT = {"corpuskit": text_corpuskit, "rensa": text_rensa, "datasketch": text_datasketch}
HASHES = {"corpuskit": hashes_corpuskit, "rensa": hashes_rensa, "datasketch": hashes_datasketch}
JOB = {"corpuskit": job_corpuskit, "datatrove": job_datatrove, "corpuskit, command": job_command}
TABLES: Mapping[str, Mapping[str, Callable[..., Any]]] = {"text": TEXT, "hashes": HASHES, "whole job": JOB}


def run_side(name: str, dataset: str, few: str) -> None:
    """Run one side in this process; `name` is `table:side`."""
    table, side = name.split(":")
    if table == "whole job":
        job_side(JOB[side], dataset, few)
    else:
        signature_side(TABLES[table][side], dataset)


def compare(dataset: str, datatrove_python: str, count: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Run all sides of all tables in turn."""
    from corpuskit import Dataset
    from corpuskit.testing import write_dataset

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        few = write_dataset(f"{folder}/few", next(Dataset(dataset).batches()).slice(0, 50))
        for table, sides in TABLES.items():
            pythons = {side: datatrove_python if side == "datatrove" else sys.executable for side in sides}
            runs = {
                side: lambda name=f"{table}:{side}", python=python: measure.side(
                    python, __file__, name, dataset, "--few", few
                )
                for side, python in pythons.items()
            }
            found[table] = measure.rounds(count, runs)
    return found


def main() -> None:
    """Run every side and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument(
        "--datatrove-python", default=sys.executable, help="an interpreter that has datatrove"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the round of median time is shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--few", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.side:
        run_side(told.side, told.dataset, told.few)
        return
    from corpuskit import Dataset

    dataset = str(Path(told.dataset).resolve())
    found = compare(dataset, told.datatrove_python, told.rounds)
    documents = Dataset(dataset).rows
    size = sum(part.text_bytes for part in Dataset(dataset).parts)
    if told.json:
        result = {"machine": measure.machine(), "documents": documents, "bytes": size}
        print(json.dumps(result | {"tables": found}))
        return
    rows = [("", "documents/s", "MB/s", "seconds", "CPU s", "corpuskit is", "by CPU", "kept", "peak memory")]
    for table, sides in found.items():
        ours = sides["corpuskit"]
        for name, side in sides.items():
            speed, rate = documents / side["seconds"], size / 1e6 / side["seconds"]
            wall, cpu = (f"{side[key] / ours[key]:,.1f} x" for key in ("seconds", "cpu_seconds"))
            kept = f"{side['kept']:,}" if "kept" in side else ""
            memory = f"{side['peak_bytes'] / 2**20:,.0f} MiB"
            spent = (f"{side['seconds']:.3f}", f"{side['cpu_seconds']:.3f}", wall, cpu)
            cells = (f"{speed:,.0f}", f"{rate:,.1f}", *spent, kept, memory)
            rows.append((f"{table}: {name}", *cells))
    title = f"{documents:,} documents, {size / 1e6:.1f} MB, median of {told.rounds}"
    measure.show(title, rows, NOTES)


if __name__ == "__main__":
    main()
