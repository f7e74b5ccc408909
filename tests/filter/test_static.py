"""Static embeddings: the vectors that model2vec and wordllama give, and models that are damaged."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.errors import InputError, UsageError
from corpuskit.filter.encoders import Encoder, Encoding, load
from corpuskit.filter.encoders.static import Static

tokenizers = pytest.importorskip("tokenizers")
safetensors = pytest.importorskip("safetensors.numpy")

WORDS = ["the", "cat", "sat", "##s", "mat", "on", ",", ".", "naive", "caf", "##e", "日", "本", "a", "b"]
TEXTS = [
    "The cat sat on the mat.",
    "Naïve cats, the  café\n\n日本 zebra",
    "zebra zebra",
    "[UNK] the [CLS] cat[SEP]",
    " ".join(["the cat sat"] * 400),
    "the",
]
BLANK = ["", " \n\t ", None]


def bert() -> Any:
    vocabulary = {token: place for place, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.enable_truncation(4)  # the model's max_length counts, not the tokenizer's
    return made


def write(folder: Path, *, config: dict[str, Any] | None = None, tokenizer: Any = None, **more: Any) -> str:
    folder.mkdir(parents=True)
    made = tokenizer or bert()
    shape = (made.get_vocab_size(), 8)
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    safetensors.save_file({"embeddings": vectors, **more}, folder / "model.safetensors")
    made.save(str(folder / "tokenizer.json"))
    told = {"model_type": "model2vec", "normalize": True} | (config or {})
    (folder / "config.json").write_text(json.dumps(told))
    return str(folder)


def encode(model: str, texts: list[str | None], **settings: Any) -> np.ndarray:
    return load(Encoding(model=model, **settings)).encode_texts(pa.array(texts, pa.large_string()))


def theirs(model: str, texts: list[str]) -> np.ndarray:
    model2vec = pytest.importorskip("model2vec")
    return model2vec.StaticModel.from_pretrained(model).encode(texts)


CLUSTERED = {
    "embeddings": np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32),
    "mapping": np.arange(19) % 5,
    "weights": np.linspace(0.5, 2, 19),
}
MODELS: dict[str, dict[str, Any]] = {
    "normalised": {},
    "as it is": {"config": {"normalize": False}},
    "short": {"config": {"max_length": 7}},
    "without a limit": {"config": {"max_length": None}},
    "clustered": CLUSTERED,
    "bytes": {"embeddings": np.arange(19 * 8).reshape(19, 8).astype(np.int8)},
}


@pytest.mark.parametrize("kind", MODELS)
def test_vectors_are_those_of_model2vec(kind: str, tmp_path: Path) -> None:
    model = write(tmp_path / "model", **MODELS[kind])
    ours, wanted = encode(model, TEXTS), theirs(model, TEXTS)
    tokenless = np.flatnonzero(~wanted.any(axis=1))
    assert tokenless.tolist() == [2]  # unknown words have no vector: model2vec gives zeros
    assert np.isnan(ours[2]).all()
    wanted[2] = np.nan
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_in_float16_they_differ_by_its_rounding(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(19, 8)).astype(np.float16)
    model = write(tmp_path / "model", embeddings=vectors, config={"normalize": False})
    wanted = theirs(model, TEXTS).astype(np.float32)
    np.testing.assert_allclose(np.nan_to_num(encode(model, TEXTS)), wanted, atol=2e-3)


def test_blank_texts_have_no_vector(tmp_path: Path) -> None:
    found = encode(write(tmp_path / "model"), [*BLANK, "the"])
    assert np.isnan(found[:3]).all()
    assert np.isfinite(found[3]).all()
    assert found.dtype == np.float32
    assert encode(str(tmp_path / "model"), []).shape == (0, 8)


def test_all_windows_count_every_token(tmp_path: Path) -> None:
    model = write(tmp_path / "model", config={"normalize": False, "max_length": 2})
    table = load(Encoding(model=model)).vectors  # type: ignore[attr-defined]
    the, cat = (table[bert().token_to_id(token)] for token in ("the", "cat"))
    short, whole = (encode(model, ["the the cat cat cat"], long=long)[0] for long in LONG)
    np.testing.assert_allclose(short, the, atol=1e-6)
    np.testing.assert_allclose(whole, (2 * the + 3 * cat) / 5, atol=1e-6)


LONG = ("truncate", "mean-of-windows")


def test_normalize_scales_what_the_model_does_not(tmp_path: Path) -> None:
    model = write(tmp_path / "model", config={"normalize": False})
    plain, unit = encode(model, TEXTS[:2]), encode(model, TEXTS[:2], normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(plain / np.linalg.norm(plain, axis=1, keepdims=True), unit, atol=1e-6)


def test_a_batch_may_be_cut_anywhere_and_gives_the_same_bytes(tmp_path: Path) -> None:
    model = write(tmp_path / "model")
    one = np.concatenate([encode(model, [text]) for text in TEXTS])
    assert encode(model, TEXTS).tobytes() == one.tobytes()


def wordllama() -> Encoder:
    pytest.importorskip("wordllama", exc_type=ImportError)
    return load(Encoding(model="wordllama"))


@functools.cache
def wordllama_itself() -> Any:
    from wordllama.inference import WordLlamaInference

    model = wordllama()
    assert isinstance(model, Static)
    return WordLlamaInference(model.vectors, tokenizers.Tokenizer.from_str(model.tokenizer.to_str()))


LLAMA = [
    "The cat sat on the mat.",
    "  two spaces  between and behind  ",
    " one\n\n  indented\tline \r\n end ",
    "a </s> b<s>c <unk>",
    "▁ lower ▁block▁ ",
    "naïve 日本語もです 🙂\u00a0x",
    "a",
    "word " * 3000,
]


def test_vectors_are_those_of_wordllama() -> None:
    ours = wordllama().encode_texts(pa.array([*LLAMA, *BLANK]))
    np.testing.assert_allclose(ours[: len(LLAMA)], wordllama_itself().embed(LLAMA), atol=1e-5)
    assert np.isnan(ours[len(LLAMA) :]).all()


@given(st.text(st.sampled_from("ab \n\t▁.é日🙂<s>/"), min_size=1, max_size=40))
def test_cutting_changes_no_token_of_wordllama(text: str) -> None:
    ours = wordllama().encode_texts(pa.array([text]))
    if text.strip():
        np.testing.assert_allclose(ours, wordllama_itself().embed([text]), atol=1e-5)
    else:
        assert np.isnan(ours).all()


@given(st.text(st.sampled_from("thecas \n\t,.é日[UNK]\u0301\u00a0\u3000"), max_size=40))
def test_cutting_changes_no_token_of_bert(text: str) -> None:
    made = bert()
    made.no_truncation()
    vectors = np.eye(19, dtype=np.float32)
    model = Static(vectors, made, "")
    assert model._cutting is not None
    tokens = made.encode(text, add_special_tokens=False).ids if text.strip() else []
    wanted = vectors[tokens].mean(axis=0) if tokens else np.full(19, np.nan)
    np.testing.assert_allclose(model.encode_texts(pa.array([text]))[0], wanted, atol=1e-6)


def test_tokenizers_that_look_beyond_words_see_whole_texts() -> None:
    """A vocabulary with a token across a space, one with added words, one that is split by another rule."""
    crossing = tokenizers.Tokenizer(tokenizers.models.BPE({"▁": 0, "a": 1, "a▁": 2}, [("a", "▁")]))
    crossing.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    added = bert()
    added.add_tokens(["the cat"])
    bytewise = bert()
    bytewise.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    for made in (crossing, added, bytewise):
        made.no_truncation()
        vectors = np.eye(made.get_vocab_size(), dtype=np.float32)
        model = Static(vectors, made, "")
        assert model._cutting is None
        ids = made.encode("a the cat", add_special_tokens=False).ids
        np.testing.assert_allclose(
            model.encode_texts(pa.array(["a the cat"]))[0], vectors[ids].mean(axis=0), atol=1e-6
        )


def test_a_folder_of_sentence_transformers(tmp_path: Path) -> None:
    folder = Path(write(tmp_path / "model"))
    inner = folder / "0_StaticEmbedding"
    inner.mkdir()
    vectors = safetensors.load_file(folder / "model.safetensors")["embeddings"]
    safetensors.save_file({"embedding.weight": vectors}, inner / "model.safetensors")
    (folder / "tokenizer.json").rename(inner / "tokenizer.json")
    (folder / "model.safetensors").unlink()
    (folder / "config.json").rename(folder / "config_sentence_transformers.json")
    told = [{"idx": 0, "path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"}]
    (folder / "modules.json").write_text(json.dumps(told))
    np.testing.assert_allclose(encode(str(folder), TEXTS[:2]), theirs(str(folder), TEXTS[:2]), atol=1e-5)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ({"embeddings": np.zeros(4, np.float32)}, "no table of vectors"),
        ({"embeddings": np.zeros((3, 8), np.float32)}, "tokens without a vector"),
        ({"mapping": np.full(19, 99)}, "no table of vectors"),
        ({"weights": np.ones(3)}, "fewer weights"),
        ({"config": {"max_length": "many"}}, "max_length is 'many'"),
    ],
)
def test_a_damaged_model_is_said_to_be_one(damage: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what) as caught:
        encode(write(tmp_path / "model", **damage), ["the"])
    assert caught.value.fix


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_files_that_are_damaged_or_missing(name: str, tmp_path: Path) -> None:
    model = write(tmp_path / "model")
    (Path(model) / name).write_bytes(b"{")
    with pytest.raises(InputError, match=f"{name} is damaged"):
        encode(model, ["the"])
    (Path(model) / name).unlink()
    with pytest.raises(InputError, match="lacks"):
        encode(model, ["the"])


@pytest.mark.parametrize(
    "asked", [{"pooling": "cls"}, {"compile": True}, {"device": "cuda"}, {"dtype": "bf16"}]
)
def test_what_only_networks_have_is_refused(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a static model"):
        encode(write(tmp_path / "model"), ["the"], **asked)


def test_a_word_that_becomes_a_special_token_disturbs_no_other() -> None:
    """Without its accent it is the token that stands between words when many are tokenised at once."""
    made = bert()
    made.no_truncation()
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFD(), tokenizers.normalizers.StripAccents()]
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    vectors = np.eye(19, dtype=np.float32)
    model = Static(vectors, made, "")
    assert model._cutting is not None
    text = "the [PÁD] cat mat"
    ids = made.encode(text, add_special_tokens=False).ids
    assert ids[1] == made.token_to_id("[PAD]")
    found = model.encode_texts(pa.array([text, "cat"]))
    np.testing.assert_allclose(found[0], vectors[ids].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found[1], vectors[made.token_to_id("cat")], atol=1e-6)
