"""Quality scores: the kernel against scikit-learn, and how well models tell good texts from others.

python bench/quality.py DATASET [--rounds N] [--json]
python bench/quality.py --data DATA FOLDER
python bench/quality.py --model MODEL --labelled FILE

DATASET is any dataset of corpuskit. The other two time nothing. --data makes datasets of ten kinds of text
from the folder of real data, trains on them into FOLDER, and prints the AUC on sources left out and on pages
that people have judged. --labelled does the last for a model and labels of yours: FILE is JSON lines of
`text` and `label` (1: a person would keep it, 0: not).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LEAST = 2.0
BUCKETS = 1 << 18
NOTES = (
    "from texts in memory to probabilities; 2^18 buckets and the same weights on both sides, float64",
    "scikit-learn: HashingVectorizer(alternate_sign=False, norm=None) with its own tokens, which are runs of "
    "two or more word characters, then LogisticRegression.predict_proba; `split`: with tokens by str.split, "
    "which is nearer to what Spark's Tokenizer does. Its hash differs, so its scores do",
    f"each side works on all texts again until {LEAST:g} s have passed; the seconds are the mean of one time",
    "not timed: one run on the first documents, in which kernels are compiled",
)
AUC_NOTES = ("in brackets 95 % of 2,000 bootstrap samples of the judged texts", "length: in characters")
SOURCE_NOTES = (
    "unseen sources: one of four good and one of six other sources left out and told apart, 24 times",
    "no label of a person was used to train or to choose; regularization and all else are the defaults",
)
PACKAGES = ("corpuskit", "numba", "scikit-learn", "scipy")


def weights() -> npt.NDArray[np.float64]:
    """Make weights as a model has them: their values do not change the time."""
    import numpy as np

    return np.random.default_rng(0).normal(size=BUCKETS)


def run_corpuskit(dataset: str) -> None:
    """Time the kernel."""
    from corpuskit import Dataset
    from corpuskit.filter.qualitymodel import HashedWeights

    column = Dataset(dataset).table(["text"])["text"].combine_chunks()
    model = HashedWeights(weights(), 0.5)

    def work() -> Mapping[str, Any]:
        model.scores(column)
        return {}

    measure.timed(lambda: model.scores(column.slice(0, 50)), work, PACKAGES, LEAST)


def run_sklearn(dataset: str, split: bool) -> None:
    """Time scikit-learn."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    from corpuskit import Dataset

    texts = [str(text) for text in Dataset(dataset).table(["text"])["text"].to_pylist()]
    tokens: dict[str, Any] = {"tokenizer": str.split, "token_pattern": None} if split else {}
    vectorizer = HashingVectorizer(n_features=BUCKETS, alternate_sign=False, norm=None, **tokens)
    regression = LogisticRegression()
    regression.classes_ = np.array([0, 1])
    regression.coef_, regression.intercept_ = weights()[None], np.array([0.5])

    def score(some: list[str]) -> object:
        return regression.predict_proba(vectorizer.transform(some))

    def work() -> Mapping[str, Any]:
        score(texts)
        return {}

    measure.timed(lambda: score(texts[:50]), work, PACKAGES, LEAST)


SIDES: Mapping[str, Callable[[str], None]] = {
    "corpuskit": run_corpuskit,
    "scikit-learn": lambda dataset: run_sklearn(dataset, split=False),
    "scikit-learn, split": lambda dataset: run_sklearn(dataset, split=True),
}


def show_labelled(model: str, path: str) -> None:
    """Print how well a model's scores order texts that people have labelled, and how well lengths do."""
    import quality_auc

    labels, texts = quality_auc.labelled(Path(path))
    scores, length = quality_auc.scores(model, texts), quality_auc.sizes(texts)
    rows = [("", "AUC"), ("model", quality_auc.interval(labels, scores))]
    rows += [("length alone", quality_auc.interval(labels, length))]
    rows += [("model above length", quality_auc.interval(labels, scores, length))]
    measure.show(f"{len(labels)} texts, {labels.sum()} to keep", rows, AUC_NOTES)


def show_compared(data: str, folder: str) -> None:
    """Print how each way to count terms does on sources left out and on what people have judged."""
    import quality_auc

    Path(folder).mkdir(parents=True, exist_ok=True)
    table = quality_auc.compare(Path(data), Path(folder))
    measure.show("train quality, AUC by term frequency", table, (*AUC_NOTES, *SOURCE_NOTES))


def main() -> None:
    """Run every side and print the table, or show how a model does on labelled texts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", nargs="?")
    parser.add_argument("--rounds", type=int, default=3, help="the round of median time is shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--data", nargs=2, metavar=("DATA", "FOLDER"), help="train on real data into FOLDER")
    parser.add_argument("--model", help="with --labelled: a quality model")
    parser.add_argument("--labelled", help="JSON lines of `text` and `label`")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.labelled and told.model:
        show_labelled(told.model, told.labelled)
        return
    if told.data:
        show_compared(*told.data)
        return
    if not told.dataset:
        parser.error("give DATASET, or --data, or --model and --labelled")
    if told.side:
        SIDES[told.side](told.dataset)
        return
    from corpuskit import Dataset

    dataset = str(Path(told.dataset).resolve())
    runs = {name: lambda name=name: measure.side(sys.executable, __file__, name, dataset) for name in SIDES}
    found = measure.rounds(told.rounds, runs)
    documents = Dataset(dataset).rows
    size = sum(part.text_bytes for part in Dataset(dataset).parts)
    if told.json:
        print(
            json.dumps({"machine": measure.machine(), "documents": documents, "bytes": size, "sides": found})
        )
        return
    ours = found["corpuskit"]["seconds"]
    rows = [("", "documents/s", "MB/s", "seconds", "corpuskit is", "peak memory")]
    for name, side in found.items():
        times = f"{side['seconds'] / ours:,.1f} x" if name != "corpuskit" else ""
        speed, rate = documents / side["seconds"], size / 1e6 / side["seconds"]
        memory = f"{side['peak_bytes'] / 2**20:,.0f} MiB"
        rows.append((name, f"{speed:,.0f}", f"{rate:,.1f}", f"{side['seconds']:.3f}", times, memory))
    measure.show(f"{documents:,} documents, {size / 1e6:.1f} MB, median of {told.rounds}", rows, NOTES)


if __name__ == "__main__":
    main()
