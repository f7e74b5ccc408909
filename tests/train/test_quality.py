"""train quality: agrees with scikit-learn, divides by site, is deterministic, and tells what is doubtful."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from corpuskit.errors import InputError, TargetError, UsageError
from corpuskit.filter.qualitymodel import HashedWeights, TermFrequency, load
from corpuskit.kernels import hashingtf
from corpuskit.kernels.utf8 import buffers
from corpuskit.testing import documents, write_dataset
from corpuskit.train import QualityTraining, train_quality
from corpuskit.train.examples import CALIBRATE, TEST, TRAIN, read

FINE = ["theory", "history", "evidence", "century", "method", "river", "because", "however"]
POOR = ["click", "cheap", "offer", "free", "win", "login", "cart", "cookies"]
BOTH = ["the", "of", "and", "a", "in", "is", "it", "to"]


def texts(words: list[str], count: int, seed: int) -> list[str]:
    """Sentences of common words, a fifth of them `words`."""
    chance = random.Random(seed)
    return [
        " ".join(
            chance.choice(words if chance.random() < 0.2 else BOTH) for _ in range(chance.randint(5, 80))
        )
        for _ in range(count)
    ]


def dataset(folder: Path, rows: list[str], sites: int, name: str) -> str:
    urls = [f"https://www.{name}{number % sites}.org/{number}" for number in range(len(rows))]
    return write_dataset(
        folder / name, documents(rows, url=urls, id=[f"{name}{n:05d}" for n in range(len(rows))])
    )


@pytest.fixture
def fine(tmp_path: Path) -> str:
    return dataset(tmp_path, texts(FINE, 200, 1), 50, "fine")


@pytest.fixture
def poor(tmp_path: Path) -> str:
    return dataset(tmp_path, texts(POOR, 400, 2), 50, "poor")


def content(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_learns_calibrates_and_tells(fine: str, poor: str, tmp_path: Path) -> None:
    trained = train_quality([fine], [poor], str(tmp_path / "model"))
    test = trained.told["test"]
    assert test["auc"] > 0.95 > test["auc_of_length"] + 0.3
    assert test["precision"] > 0.8 < test["recall"]
    assert test["pareto_9_keeps_of_positives"] > 0.3 > 0.1 > test["pareto_9_keeps_of_negatives"]
    assert trained.told["converged"]
    counts = trained.told["documents"]
    assert sum(counts["positive"].values()) == 200
    assert sum(counts["negative"].values()) == 400
    assert load(trained.path).scores(pa.array([" ".join(FINE)]))[0].as_py() > 0.9
    assert load(trained.path).scores(pa.array([" ".join(POOR)]))[0].as_py() < 0.1
    written = (Path(trained.path) / "README.md").read_text()
    assert f"| AUC | {test['auc']:.4f} |" in written
    assert f"{test['auc']:6.3f}" in trained.text()


@pytest.mark.parametrize(("term_frequency", "tolerance"), [("raw", 1e-4), ("relative", 1e-8)])
def test_agrees_with_scikit_learn(
    fine: str, poor: str, tmp_path: Path, term_frequency: TermFrequency, tolerance: float
) -> None:
    """The same frequencies and the same regression: the kernel's scores are `predict_proba` to 1e-6."""
    training = QualityTraining(term_frequency=term_frequency, regularization=0.01)
    trained = train_quality([fine], [poor], str(tmp_path / "model"), training)
    model = load(trained.path)
    assert isinstance(model, HashedWeights)
    examples = read([fine], [poor], 100_000, 0)
    rows = np.flatnonzero(examples.fold == TRAIN)
    scaled = FunctionTransformer() if term_frequency == "raw" else Normalizer("l1")
    regression = LogisticRegression(C=100 / len(rows), class_weight="balanced", max_iter=1000, tol=tolerance)
    theirs = make_pipeline(scaled, regression)
    theirs.fit(examples.frequencies[rows], examples.good[rows])
    long = [*texts(FINE, 20, 3), *texts(POOR, 20, 4), "", " ", "the " * 30_000]
    found, bounds = hashingtf.buckets(*buffers(pa.array(long)))
    counts = sparse.csr_matrix((np.ones(len(found)), found, bounds), shape=(len(long), hashingtf.BUCKETS))
    counts.sum_duplicates()
    plain = dataclasses.replace(model, slope=1.0, offset=0.0).scores(pa.array(long)).to_numpy()
    assert plain == pytest.approx(theirs.predict_proba(counts)[:, 1], abs=1e-6)
    assert plain.max() - plain.min() > 0.05


def test_length_has_no_part_in_relative_frequencies(fine: str, poor: str, tmp_path: Path) -> None:
    once, thrice = (pa.array([text * times for text in ("of history ", "click the ")]) for times in (1, 3))
    for term_frequency in get_args(TermFrequency):
        training = QualityTraining(term_frequency=term_frequency)
        trained = train_quality([fine], [poor], str(tmp_path / term_frequency), training)
        assert trained.told["test"]["auc"] > 0.95
        model = load(trained.path)
        same = model.scores(once).to_numpy() == pytest.approx(model.scores(thrice).to_numpy(), abs=1e-12)
        assert same == (term_frequency == "relative")
        card = (Path(trained.path) / "README.md").read_text()
        assert ("length has no part" in card) == (term_frequency == "relative")


def test_calibrated_scores_are_chances(tmp_path: Path) -> None:
    """Where the sides overlap, of the documents that score about p about p are good, with equal sides."""
    mixed = texts(FINE, 500, 5) + texts(POOR, 250, 6), texts(POOR, 500, 7) + texts(FINE, 250, 8)
    sides = [dataset(tmp_path, rows, 750, name) for rows, name in zip(mixed, ("some", "other"), strict=True)]
    model = load(train_quality([sides[0]], [sides[1]], str(tmp_path / "model")).path)
    fine, poor = (np.asarray(model.scores(pa.array(texts(words, 200, 9)))) for words in (FINE, POOR))
    assert fine.mean() == pytest.approx(2 / 3, abs=0.12)
    assert poor.mean() == pytest.approx(1 / 3, abs=0.12)


def test_same_documents_same_bytes_however_they_are_laid_out(fine: str, poor: str, tmp_path: Path) -> None:
    first, again = (train_quality([fine], [poor], str(tmp_path / name)).path for name in ("first", "again"))
    assert content(first) == content(again)
    rows = documents(texts(FINE, 200, 1), id=[f"fine{n:05d}" for n in range(200)])
    rows = rows.set_column(
        2,
        "url",
        documents(["a"] * 200, url=[f"https://www.fine{n % 50}.org/{n}" for n in range(200)])["url"],
    )
    one = write_dataset(tmp_path / "one", rows.slice(150), rows.slice(0, 20))
    two = write_dataset(tmp_path / "two", rows.slice(20, 130))
    turned = train_quality([two, one], [poor], str(tmp_path / "turned"))
    assert content(turned.path)["weights.npz"] == content(first)["weights.npz"]


def test_another_seed_is_another_model(fine: str, poor: str, tmp_path: Path) -> None:
    one = train_quality([fine], [poor], str(tmp_path / "one"))
    two = train_quality([fine], [poor], str(tmp_path / "two"), QualityTraining(seed=1))
    assert content(one.path)["weights.npz"] != content(two.path)["weights.npz"]


def test_a_site_is_in_one_fold_and_a_large_one_is_told(tmp_path: Path, poor: str) -> None:
    rows = texts(FINE, 200, 1)
    urls = [f"https://sub{n}.site{n % 40}.org/" for n in range(150)] + [
        f"https://large.org/{n}" for n in range(50)
    ]
    fine = write_dataset(tmp_path / "fine", documents(rows, url=urls))
    examples = read([fine], [poor], 100_000, 0)
    folds: dict[str, set[int]] = {}
    for site, fold in zip(examples.domains, examples.fold, strict=True):
        folds.setdefault(str(site), set()).add(int(fold))
    assert folds.pop("large.org") == {TRAIN, CALIBRATE, TEST}
    assert all(len(each) == 1 for each in folds.values())
    trained = train_quality([fine], [poor], str(tmp_path / "model"))
    assert trained.told["leakage"]["sites_in_several_folds"] == ["large.org"]
    assert "large.org" in trained.text()


def test_what_both_sides_share_is_told(fine: str, poor: str, tmp_path: Path) -> None:
    shared = [*texts(FINE, 50, 1), *texts(POOR, 50, 11)]  # the first fifty are in `fine` too
    urls = [f"https://fine{n % 50}.org/x{n}" for n in range(100)]
    also = write_dataset(tmp_path / "also", documents(shared, url=urls, id=[f"also{n}" for n in range(100)]))
    leak = train_quality([fine], [poor, also], str(tmp_path / "model")).told["leakage"]
    assert leak["sites_on_both_sides"] == 50
    assert leak["documents_of_those_sites"] == 300
    assert leak["texts_on_both_sides"] == 50
    assert leak["documents_without_site"] == 0
    card = (tmp_path / "model" / "README.md").read_text()
    assert "50 texts are among positives and negatives" in card
    assert "50 sites, 300 documents" in card


def test_a_clean_training_leaves_no_doubts(fine: str, poor: str, tmp_path: Path) -> None:
    trained = train_quality([fine], [poor], str(tmp_path / "model"))
    assert "note:" not in trained.text()
    assert "To keep in mind" not in (tmp_path / "model" / "README.md").read_text()


def test_a_sample_is_drawn_by_id(fine: str, poor: str) -> None:
    some, all_of_them = read([fine], [poor], 150, 0), read([fine], [poor], 400, 0)
    assert 110 < some.good.sum() < 190
    assert 110 < (~some.good).sum() < 190
    assert set(some.texts) < set(all_of_them.texts)
    assert set(some.fold) == {TRAIN, CALIBRATE, TEST}


def test_the_same_call_again_does_nothing(fine: str, poor: str, tmp_path: Path) -> None:
    first = train_quality([fine], [poor], str(tmp_path / "model"))
    before = [path.stat().st_mtime_ns for path in sorted((tmp_path / "model").iterdir())]
    again = train_quality([fine], [poor], str(tmp_path / "model"))
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "model").iterdir())] == before
    assert again.json() == json.loads(json.dumps(first.json()))


def test_a_model_that_stands_is_not_replaced_unless_asked(fine: str, poor: str, tmp_path: Path) -> None:
    train_quality([fine], [poor], str(tmp_path / "model"))
    with pytest.raises(TargetError, match="other settings"):
        train_quality([fine], [poor], str(tmp_path / "model"), QualityTraining(seed=1))
    with pytest.raises(TargetError, match="other negatives"):
        train_quality([fine], [fine], str(tmp_path / "model"))
    trained = train_quality([fine], [poor], str(tmp_path / "model"), QualityTraining(seed=1), force=True)
    assert trained.told["settings"]["seed"] == 1


def test_foreign_files_are_left_alone(fine: str, poor: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no quality model"):
        train_quality([fine], [poor], fine)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TargetError, match="is a file"):
        train_quality([fine], [poor], str(tmp_path / "file"))


def test_sides_that_cannot_be_told_apart_are_an_error(tmp_path: Path) -> None:
    sides = [dataset(tmp_path, ["the same"] * 100, 100, name) for name in ("one", "two")]
    with pytest.raises(InputError, match="does not tell the two sides apart"):
        train_quality([sides[0]], [sides[1]], str(tmp_path / "model"))


def test_too_few_documents(fine: str, tmp_path: Path) -> None:
    few = dataset(tmp_path, ["one", "two"], 2, "few")
    with pytest.raises(InputError, match="too few negative documents"):
        train_quality([fine], [few], str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("wrong", [{"sample": 0}, {"regularization": 0.0}, {"regularization": float("nan")}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        QualityTraining(**wrong)  # type: ignore[arg-type]


def test_one_side_is_not_enough(fine: str) -> None:
    with pytest.raises(UsageError, match="no negatives"):
        train_quality([fine], [], "model")
