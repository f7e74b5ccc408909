"""filter quality: the score, the two ways to choose, and models that are missing, damaged or foreign."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.filter.quality import COLUMN, Quality, quality_score, required_scores
from corpuskit.filter.qualitymodel import HashedWeights, TermFrequency, digest, load, write
from corpuskit.filter.signals.signal import Scan
from corpuskit.kernels import hashingtf
from corpuskit.kernels.utf8 import buffers
from corpuskit.settings import from_mapping
from corpuskit.testing import check_stage, documents, write_dataset

# Trained by the fasttext package on four lines, two of them good; dim=2, bucket=100.
FASTTEXT = (
    "uhZPLwwAAAACAAAABQAAADIAAAABAAAABQAAAAEAAAADAAAAAwAAAAAAAAAAAAAAAAAAAGQAAAAtQxzr4jYaPyIAAAAgAAAAAgAA"
    "ADMAAAAAAAAA//////////90aGUABAAAAAAAAAAAPC9zPgAEAAAAAAAAAABvZgADAAAAAAAAAABhAAMAAAAAAAAAAG9mZmVyAAIA"
    "AAAAAAAAAGNoZWFwAAIAAAAAAAAAAGZyZWUAAgAAAAAAAAAAbm93AAIAAAAAAAAAAGNsaWNrAAIAAAAAAAAAAHJpdmVyAAEAAAAA"
    "AAAAAGxpbWl0ZWQAAQAAAAAAAAAAYnV5AAEAAAAAAAAAAHBpbGxzAAEAAAAAAAAAAGhlcmUAAQAAAAAAAAAAZm9yAAEAAAAAAAAA"
    "AG1vbmV5AAEAAAAAAAAAAHdpbgABAAAAAAAAAABwcml6ZQABAAAAAAAAAABvbgABAAAAAAAAAABzZXR0bGVtZW50AAEAAAAAAAAA"
    "AHdpdGgAAQAAAAAAAAAAYmVnaW5zAAEAAAAAAAAAAGNpdHkAAQAAAAAAAAAAaGlzdG9yeQABAAAAAAAAAAB0aW1lAAEAAAAAAAAA"
    "AGFuZAABAAAAAAAAAABzcGFjZQABAAAAAAAAAAB0cmVhdG1lbnQAAQAAAAAAAAAAY2FyZWZ1bAABAAAAAAAAAABpcwABAAAAAAAA"
    "AAByZWxhdGl2aXR5AAEAAAAAAAAAAHRoZW9yeQABAAAAAAAAAABfX2xhYmVsX19jYwACAAAAAAAAAAFfX2xhYmVsX19ocQACAAAA"
    "AAAAAAEAIAAAAAAAAAACAAAAAAAAAEfNlr9QnvU/4S40vvCxpr4ytNe+t9yxPwiKAL5a9Yg+Y4sNPy7Fh79jiw0/LsWHv2OLDT8u"
    "xYe/Y4sNPy7Fh79jiw0/LsWHv0FxML6NrrA+PQiWPtLSEb+RDoU+Cm/7vpEOhT4Kb/u+kQ6FPgpv+76RDoU+Cm/7vpEOhT4Kb/u+"
    "PQiWPtLSEb89CJY+0tIRv0FxML6NrrA+QXEwvo2usD5BcTC+ja6wPkFxML6NrrA+QXEwvo2usD5BcTC+ja6wPj0pfL5z7Ps+PSl8"
    "vnPs+z49KXy+c+z7Pj0pfL5z7Ps+PSl8vnPs+z49KXy+c+z7Pj0pfL5z7Ps+PSl8vnPs+z4AAgAAAAAAAAACAAAAAAAAABLFtD+t"
    "PDPAFMW0v648M0A="
)
GOOD = "the history of space"

TEXTS = [f"{'good ' * good}{'bad ' * (10 - good)}" for good in range(11)]


def bucket(token: str) -> int:
    return int(hashingtf.buckets(*buffers(pa.array([token])))[0][0])


def make(folder: Path, good: float = 1.0, term_frequency: TermFrequency = "raw") -> str:
    weights = np.zeros(hashingtf.BUCKETS)
    weights[[bucket("good"), bucket("bad")]] = good, -1.0
    written = HashedWeights(weights, 0.0, slope=0.5, offset=0.1, term_frequency=term_frequency)
    write(str(folder), written, {}, "# A card\n")
    return str(folder)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return make(tmp_path / "model")


@pytest.fixture
def fasttext_model(tmp_path: Path) -> str:
    path = tmp_path / "tiny.bin"
    path.write_bytes(base64.b64decode(FASTTEXT))
    return str(path)


@pytest.mark.parametrize("chosen", [{}, {"min_score": 0.5}, {"pareto": 9.0}, {"pareto": 9.0, "seed": 7}])
def test_laws(model: str, chosen: dict[str, float]) -> None:
    check_stage(from_mapping(Quality, {"model": model, **chosen}, "test"), documents(TEXTS))


def test_laws_with_relative_frequencies(tmp_path: Path) -> None:
    check_stage(Quality(make(tmp_path / "model", term_frequency="relative"), min_score=0.5), documents(TEXTS))


def test_laws_with_fasttext(fasttext_model: str) -> None:
    check_stage(Quality(fasttext_model, min_score=0.5), documents([GOOD, "buy cheap pills\nnow"]))


def test_the_score_is_the_calibrated_sum(model: str) -> None:
    split = Quality(model).split(documents(["good good bad other", ""]))
    wanted = [1 / (1 + np.exp(-(0.5 * value + 0.1))) for value in (1, 0)]
    assert split.kept[COLUMN].to_pylist() == pytest.approx(wanted, abs=1e-12)
    assert len(split.rejected) == 0


def test_of_relative_frequencies_the_score_is_of_the_mean(tmp_path: Path) -> None:
    model = make(tmp_path / "model", term_frequency="relative")
    split = Quality(model).split(documents(["good good bad other", "good  good", "", " \n"]))
    wanted = [1 / (1 + np.exp(-(0.5 * value + 0.1))) for value in (1 / 4, 2 / 3, 0, 0)]
    assert split.kept[COLUMN].to_pylist() == pytest.approx(wanted, abs=1e-12)


def test_an_extreme_text_has_a_score(model: str) -> None:
    split = Quality(model).split(documents(["good " * 100_000, "bad " * 100_000]))
    assert split.kept[COLUMN].to_pylist() == [1.0, 0.0]


def test_min_score_keeps_rejects_and_keeps_the_boundary(model: str) -> None:
    scores = Quality(model).split(documents(TEXTS)).kept[COLUMN].to_pylist()
    split = Quality(model, min_score=scores[6]).split(documents(TEXTS))
    assert split.kept["text"].to_pylist() == TEXTS[6:]
    assert set(split.rejected["rule"].to_pylist()) == {"quality.min_score"}
    assert split.rejected["value"].to_pylist() == scores[:6]
    assert set(split.rejected["bound"].to_pylist()) == {scores[6]}


def test_zero_is_a_bound(model: str) -> None:
    assert len(Quality(model, min_score=0.0).split(documents(TEXTS)).kept) == len(TEXTS)


@pytest.mark.parametrize("score", [0.0, 0.25, 0.5, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("seed", [0, 1])
def test_pareto_keeps_as_many_as_gpt_3(score: float, seed: int) -> None:
    """Within 3 sigma of (2 - s)^-9 over 100,000 ids."""
    ids = pa.array([f"{number:032x}" for number in range(100_000)])
    kept = int((required_scores(9, seed, ids) <= score).sum())
    chance = (2 - score) ** -9
    assert abs(kept - 1e5 * chance) <= 3 * np.sqrt(1e5 * chance * (1 - chance))


def test_pareto_draws_as_numpy_does() -> None:
    """The same distribution as `numpy.random.pareto(9)`, whose draws GPT-3's rule compares with 1 - score."""
    ids = pa.array([f"{number:032x}" for number in range(100_000)])
    ours = np.sort(1 - required_scores(9, 0, ids))
    theirs = np.sort(np.random.default_rng(3).pareto(9, 100_000))
    assert np.abs(np.searchsorted(theirs, ours) - np.arange(100_000)).max() < 100_000 * 0.01


def test_pareto_keeps_the_same_in_any_order_and_all_of_the_best() -> None:
    ids = pa.array([f"{number:032x}" for number in range(1000)])
    drawn = dict(zip(ids.to_pylist(), required_scores(9, 0, ids), strict=True))
    again = dict(zip(ids.to_pylist()[::-1], required_scores(9, 0, ids[::-1]), strict=True))
    assert drawn == again
    assert max(drawn.values()) <= 1


def test_a_reject_of_pareto_says_what_its_draw_asked_for(model: str) -> None:
    docs = documents(TEXTS)
    split = Quality(model, pareto=9.0).split(docs)
    assert 0 < len(split.kept) < len(TEXTS)
    asked = dict(zip(docs["id"].to_pylist(), required_scores(9.0, 0, docs["id"]), strict=True))
    for row in split.rejected.to_pylist():
        assert row["rule"] == "quality.pareto"
        assert row["value"] < row["bound"] == asked[row["id"]]
    for row in split.kept.to_pylist():
        assert row[COLUMN] >= asked[row["id"]]


def test_the_same_in_a_run(model: str, tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "docs", documents(TEXTS[:4]), documents(TEXTS[4:]))
    kept = run(Quality(model, min_score=0.5), source, str(tmp_path / "out"), options=Options(workers=2))
    assert kept.table()["text"].to_pylist() == TEXTS[5:]


@pytest.mark.parametrize(
    ("chosen", "what"),
    [
        ({"min_score": 0.5, "pareto": 9.0}, "together"),
        ({"min_score": 1.5}, "min_score is 1.5"),
        ({"pareto": 0.0}, "pareto is 0"),
        ({"pareto": float("nan")}, "pareto is nan"),
    ],
)
def test_wrong_settings(chosen: dict[str, float], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        from_mapping(Quality, {"model": "m", **chosen}, "test")


def test_a_model_must_be_named() -> None:
    with pytest.raises(UsageError, match="lacks the setting 'model'"):
        from_mapping(Quality, {}, "test")


def test_the_digest_is_of_the_model_not_of_its_place(model: str, tmp_path: Path) -> None:
    other, same = make(tmp_path / "other", good=2.0), make(tmp_path / "same")
    assert digest(model) == digest(same) != digest(other)
    before = Quality(model).digest()
    make(Path(model), good=3.0)
    assert Quality(model).digest() != before
    split = Quality(model).split(documents(["good"]))
    assert split.kept[COLUMN][0].as_py() == pytest.approx(1 / (1 + np.exp(-1.6)))


def test_the_signal_is_the_column(model: str) -> None:
    signal = quality_score(model)
    assert signal.values(Scan(documents(TEXTS))).equals(
        Quality(model).split(documents(TEXTS)).kept[signal.name]
    )


def break_weights(folder: Path) -> None:
    (folder / "weights.npz").write_bytes(b"no")


def drop_weights(folder: Path) -> None:
    (folder / "weights.npz").unlink()


def break_description(folder: Path) -> None:
    (folder / "model.json").write_text("{")


def make_foreign(folder: Path) -> None:
    (folder / "model.json").write_text('{"format": 1, "kind": "tokenizer"}')


def make_newer(folder: Path) -> None:
    told = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(told | {"format": 2}))


def make_otherwise_counted(folder: Path) -> None:
    told = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(told | {"term_frequency": "sublinear"}))


def make_infinite(folder: Path) -> None:
    told = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(told | {"slope": float("inf")}))


@pytest.mark.parametrize(
    "harm",
    [
        break_weights,
        drop_weights,
        break_description,
        make_foreign,
        make_newer,
        make_otherwise_counted,
        make_infinite,
    ],
)
def test_a_damaged_model_is_said_to_be_one(model: str, harm: object) -> None:
    harm(Path(model))  # type: ignore[operator]
    with pytest.raises(InputError, match=r"damaged|another kind") as caught:
        Quality(model).split(documents(["a"]))
    assert caught.value.fix


def test_weights_that_are_pinned_but_hostile_are_refused(model: str) -> None:
    import hashlib

    path = Path(model) / "weights.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", b"\0" * (1 << 24))
    told = json.loads((Path(model) / "model.json").read_text())
    told["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (Path(model) / "model.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="one weight a bucket"):
        load(model)


@pytest.mark.parametrize("name", ["absent", "absent.bin"])
def test_no_model(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        Quality(str(tmp_path / name)).digest()
    assert caught.value.fix


def test_another_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no quality model"):
        Quality(str(tmp_path)).digest()


def test_fasttext_scores_as_fasttext_does(fasttext_model: str) -> None:
    """The expected numbers are what the fasttext package said itself when it had trained the model."""
    split = Quality(fasttext_model).split(documents([GOOD, "the history\nof space"]))
    assert split.kept[COLUMN].to_pylist() == pytest.approx([0.9960147738456726] * 2, abs=1e-6)
    other = Quality(fasttext_model, label="__label__cc").split(documents([GOOD]))
    assert other.kept[COLUMN][0].as_py() == pytest.approx(0.004005251917988062, abs=1e-6)


def test_fasttext_without_the_label_names_those_there_are(fasttext_model: str) -> None:
    with pytest.raises(UsageError, match="__label__en") as caught:
        Quality(fasttext_model, label="__label__en").split(documents([GOOD]))
    assert "__label__hq" in str(caught.value)


def test_a_file_that_is_not_fasttext(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"garbage")
    with pytest.raises(InputError, match="not a fastText model"):
        Quality(str(path)).split(documents([GOOD]))


def test_the_language_model_that_is_installed_serves_too() -> None:
    from corpuskit.language import _model_path

    split = Quality(str(_model_path()), min_score=0.5, label="__label__en").split(
        documents(["This is a sentence in plain English.", "Dies ist ein Satz auf Deutsch."])
    )
    assert split.kept["text"].to_pylist() == ["This is a sentence in plain English."]
