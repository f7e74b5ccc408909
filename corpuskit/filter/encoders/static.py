"""Static embeddings (model2vec, wordllama): the mean of the vectors of a text's tokens, on the CPU."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.errors import InputError, UsageError
from corpuskit.filter.encoders import Encoding, Floats, locate, need, read_json, with_prompt
from corpuskit.kernels.pooling import cut_before_space, means
from corpuskit.kernels.utf8 import buffers, strings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Static", "load", "wordllama_files"]

WORDLLAMA = ("l2_supercat_256.safetensors", "l2_supercat_tokenizer_config.json")

_ALL = 1 << 40
"""More tokens than any text has."""
_ENCODED_AT_ONCE = 1 << 20
"""Characters whose encodings are held at a time: they take some hundred times as many bytes."""
_JOINED = 500
"""Words that are tokenised as one text."""
_META = "\u2581"
"""What stands for a space in SentencePiece's vocabularies."""
_LAYOUTS = (
    ("config.json", "model.safetensors", "tokenizer.json"),
    ("config_sentence_transformers.json", "model.safetensors", "tokenizer.json"),
    (
        "config_sentence_transformers.json",
        "0_StaticEmbedding/model.safetensors",
        "0_StaticEmbedding/tokenizer.json",
    ),
)
"""Where model2vec, and sentence-transformers in two ways, put settings, vectors and tokenizer."""


@dataclass(eq=False)
class Static:
    """A tokenizer and a vector for each of its tokens.

    Texts are cut into words first, each different word of a batch is tokenised once, and the vectors are
    added up word by word: the same vectors in a fraction of the time. Where a tokenizer may look beyond a
    word, and for texts with one of its special tokens, whole texts are tokenised.

    Attributes:
        width: How many numbers a vector has.
        vectors: float32[vocabulary, width].
        tokenizer: Turns a text into ids.
        digest: sha256 of the model's files.
        normalize: Whether vectors are scaled to length 1.
        most_chars, most_tokens: How much of the beginning of a text counts.
        unknown: The id of a token without a part in the mean; -1: none.
        prompt: What is put before each text.
    """

    vectors: Floats = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    digest: str
    normalize: bool = False
    most_chars: int | None = None
    most_tokens: int = _ALL
    unknown: int = -1
    prompt: str | None = None
    modalities: frozenset[str] = frozenset({"text"})
    width: int = field(init=False)

    def __post_init__(self) -> None:
        """Find out how texts may be cut."""
        self.width = int(self.vectors.shape[1])
        self._cutting = _cutting(self.tokenizer)

    def encode_images(self, images: pa.Array) -> Floats:
        """Refuse: these are models of texts."""
        raise UsageError("a static model has no vectors of images")

    def encode_texts(self, texts: pa.Array) -> Floats:
        """Encode texts: float32[len(texts), width].

        A text that is null, of white space or without a token that has a vector has a row of NaN (where the
        packages give zeros, or divide by 0).
        """
        text = with_prompt(texts, self.prompt)
        if self.most_chars is not None:
            text = pc.utf8_slice_codeunits(text, 0, self.most_chars)
        text = pc.if_else(pc.utf8_is_space(text), "", text)
        out = np.full((len(text), self.width), np.nan, np.float32)
        whole = np.ones(len(text), bool) if self._cutting is None else self._cutting.special(text)
        for rows, how in ((~whole, self._cutting), (whole, None)):
            if rows.any():
                out[rows] = self._means(text if rows.all() else text.filter(pa.array(rows)), how)
        if self.normalize:
            with np.errstate(invalid="ignore", divide="ignore"):
                out /= np.linalg.norm(out, axis=1, keepdims=True)
        return out

    def _means(self, text: pa.LargeStringArray, cutting: _Cutting | None) -> Floats:
        if cutting is None:
            found, firsts = text.dictionary_encode(), np.arange(len(text) + 1)
            tokens, offsets = _encode(self.tokenizer, found.dictionary.to_pylist())
        else:
            data, bounds = buffers(with_prompt(text, cutting.before))
            bounds, firsts = cut_before_space(data, bounds)
            found = strings(data, bounds).dictionary_encode()
            tokens, offsets = cutting.encode(found.dictionary.to_pylist())
        words = np.minimum(tokens, np.int32(len(self.vectors) - 1)), offsets  # as wordllama does
        places = found.indices.to_numpy().astype(np.int32, copy=False)
        return means(self.vectors, words, (places, firsts), self.most_tokens, self.unknown)


@dataclass(frozen=True, eq=False)
class _Cutting:
    """How texts may be cut into words without any token changing.

    `tokenizer` takes the words of texts that began with `before`, but for texts that hold one of `specials`.
    Of those the first `marks` are tokens, and so no part of any word.
    """

    tokenizer: Tokenizer
    before: str
    specials: tuple[str, ...]
    marks: int

    def encode(self, words: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Tokenise words: as `_encode`, but many at once, with a token between them that is in none."""
        if not self.marks:
            return _encode(self.tokenizer, words)
        mark = self.specials[0]
        number = int(self.tokenizer.token_to_id(mark) or 0)
        starts = range(0, len(words), _JOINED)
        tokens, offsets = _encode(self.tokenizer, [mark.join(words[at : at + _JOINED]) for at in starts])
        stream = np.insert(tokens, offsets[1:], number)
        ends = np.flatnonzero(stream == number)
        if len(ends) != len(words):  # a normalizer has made the mark of a word
            return _encode(self.tokenizer, words)
        return stream[stream != number], np.concatenate([[0], ends - np.arange(len(ends))])

    def special(self, text: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
        """Say which texts must be left whole."""
        found = np.zeros(len(text), bool)
        for special in self.specials:
            found |= np.asarray(pc.match_substring(text, special))
        return found


def _cutting(tokenizer: Tokenizer) -> _Cutting | None:
    """Say how texts may be cut before spaces and newlines, or that they may not."""
    told: dict[str, Any] = json.loads(tokenizer.to_str())
    added = told.get("added_tokens") or []
    unknown = told["model"].get("unk_token")
    specials = tuple(sorted((token["content"] for token in added), key=lambda token: token == unknown))
    marks = sum(special != unknown for special in specials)
    if any(token["normalized"] or token["lstrip"] or token["rstrip"] for token in added):
        return None
    changes, splitters = (_parts(told.get(part)) for part in ("normalizer", "pre_tokenizer"))
    if splitters and {part["type"] for part in splitters} <= _SPLITS_AT_SPACES:
        local = {part["type"] for part in changes} <= _LOCAL
        return _Cutting(tokenizer, "", specials, marks) if local else None
    if splitters or [part["type"] for part in changes] != ["Prepend", "Replace"]:
        return None
    prepend, replace = changes
    as_llama = prepend["prepend"] == replace["content"] == _META and replace["pattern"] == {"String": " "}
    if not as_llama or not _ends_at_spaces(told["model"]):
        return None
    from tokenizers import Tokenizer, normalizers

    words = Tokenizer.from_str(tokenizer.to_str())
    words.normalizer = normalizers.Replace(" ", _META)
    return _Cutting(words, " ", (*specials, _META), marks)


_SPLITS_AT_SPACES = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})
_LOCAL = frozenset({"BertNormalizer", "Lowercase", "StripAccents", "NFC", "NFD", "NFKC", "NFKD"})
"""Normalizers that change a character, or one with the marks after it, whatever is around it."""


def _parts(told: dict[str, Any] | None) -> list[dict[str, Any]]:
    """List the parts of a normalizer or a pre-tokenizer, which may be a sequence of such."""
    if not told:
        return []
    return list(told.get("normalizers") or told.get("pretokenizers") or [told])


def _ends_at_spaces(model: dict[str, Any]) -> bool:
    """Say whether no token of a BPE vocabulary reaches over the beginning of spaces or newlines."""
    told = {key: model.get(key) for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout")}
    if model["type"] != "BPE" or model.get("ignore_merges") or any(told.values()):
        return False
    over = re.compile(f"[^{_META}\n][{_META}\n]")
    return not any(map(over.search, model["vocab"]))


def _encode(
    tokenizer: Tokenizer, words: Sequence[str]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the tokens of all words, and the offsets of each word's."""
    offsets, found = np.zeros(len(words) + 1, np.int64), []
    start = 0
    while start < len(words):
        end, chars = start, 0
        while end < len(words) and (end == start or chars + len(words[end]) <= _ENCODED_AT_ONCE):
            chars += len(words[end])
            end += 1
        encoded = tokenizer.encode_batch_fast(words[start:end], add_special_tokens=False)
        ids = [one.ids for one in encoded]
        offsets[start + 1 : end + 1] = [len(one) for one in ids]
        found.append(np.fromiter(itertools.chain.from_iterable(ids), np.int32))
        start = end
    tokens = np.concatenate([np.zeros(0, np.int32), *found])
    return tokens, np.cumsum(offsets)


def wordllama_files() -> tuple[Path, ...]:
    """Name the files of the model that the package wordllama carries; the package is not imported.

    Raises:
        UsageError: The package is not there.
        InputError: It is, but without the files.
    """
    need("wordllama")
    spec = importlib.util.find_spec("wordllama")
    found = []
    for name, kind in zip(WORDLLAMA, ("weights", "tokenizer"), strict=True):
        folders = [Path(root) / f"{kind.rstrip('s')}s" for root in spec.submodule_search_locations or ()]  # type: ignore[union-attr]
        places = [folder / name for folder in (*folders, Path.home() / ".cache" / "wordllama" / kind)]
        there = next((place for place in places if place.exists()), None)
        if there is None:
            raise InputError(f"the package wordllama lacks {name}", fix=f"put it into {places[-1].parent}")
        found.append(there)
    return tuple(found)


def load(encoding: Encoding, version: str) -> Static:
    """Read a static model; `version` is its digest.

    Source: model2vec 0.10: `StaticModel.encode` with the model's own `normalize` and `max_length` (512 where
    it has none); wordllama 0.4: `WordLlamaInference.embed`. Deviations: vectors are added up in float64 and
    are float32, also where a model2vec model is stored, and so its means are kept, in float16; with
    `long="mean-of-windows"` all tokens count, however long a text is.

    Raises:
        UsageError: A package is missing, or the settings ask for what a table of vectors has not.
        InputError: The model is damaged.
    """
    asked = {"pooling": encoding.pooling not in (None, "mean"), "compile": encoding.compile}
    asked |= {"device": encoding.device == "cuda", "dtype": encoding.dtype not in ("auto", "float32")}
    for name, wrong in asked.items():
        if wrong:
            what = f"{name} is {getattr(encoding, name)}, but {encoding.model} is a static model"
            raise UsageError(what, fix="leave it out: the mean of vectors is taken on the CPU, in float32")
    need("tokenizers", "safetensors")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers share the cores
    if encoding.model == "wordllama":
        weights, tokenizer = wordllama_files()
        vectors = _vectors(_tensors(weights), weights)
        return Static(vectors, _tokenizer(tokenizer), version, encoding.normalize, prompt=encoding.prompt)
    return _model2vec(locate(encoding.model), encoding, version)


def _model2vec(folder: Path, encoding: Encoding, version: str) -> Static:
    layouts = [[folder / name for name in layout] for layout in _LAYOUTS]
    layout = next((paths for paths in layouts if all(path.exists() for path in paths)), None)
    if layout is None:
        what = f"{folder} lacks model.safetensors or tokenizer.json"
        raise InputError(what, fix="get the model again")
    config, weights, tokenizer_path = layout
    told, tokenizer, tensors = read_json(config), _tokenizer(tokenizer_path), _tensors(weights)
    vectors = _vectors(tensors, weights)
    vocabulary = tokenizer.get_vocab()
    if max(vocabulary.values(), default=0) >= len(vectors):
        raise InputError(f"{folder}: its tokenizer knows tokens without a vector", fix="get the model again")
    most = told.get("max_length", 512) if encoding.long == "truncate" else None
    if not (most is None or (isinstance(most, int) and most > 0)):
        raise InputError(f"{config}: max_length is {most!r}", fix="get the model again")
    usual = int(np.median([len(token) for token in vocabulary]))
    return Static(
        vectors,
        tokenizer,
        version,
        normalize=encoding.normalize or bool(told.get("normalize", False)),
        most_chars=None if most is None else most * usual,
        most_tokens=most or _ALL,
        unknown=_unknown(tokenizer),
        prompt=encoding.prompt,
    )


def _tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}", fix="get the model again") from None


def _vectors(tensors: dict[str, npt.NDArray[Any]], path: Path) -> Floats:
    """Return each token's vector: its cluster's, where vocabularies were quantised, times its weight."""
    found = tensors.get("embeddings", tensors.get("embedding.weight", np.zeros(0)))
    mapping, weights = tensors.get("mapping"), tensors.get("weights")
    damaged = (
        found.ndim != 2
        or not found.size
        or any(one is not None and one.ndim != 1 for one in (mapping, weights))
    )
    if not damaged and mapping is not None:
        damaged = not (np.issubdtype(mapping.dtype, np.integer) and len(mapping))
        damaged = damaged or not (mapping.min() >= 0 and mapping.max() < len(found))
    if damaged:
        raise InputError(f"{path} holds no table of vectors", fix="get the model again")
    vectors = np.asarray(found, np.float32)
    vectors = vectors if mapping is None else vectors[mapping]
    if weights is not None:
        if len(weights) < len(vectors):
            raise InputError(f"{path} has fewer weights than vectors", fix="get the model again")
        vectors = vectors * weights[: len(vectors), None].astype(np.float32)
    return np.ascontiguousarray(vectors, np.float32)


def _tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception
        raise InputError(f"{path} is damaged: {error}", fix="get the model again") from None
    found.no_truncation()
    found.no_padding()
    return found


def _unknown(tokenizer: Tokenizer) -> int:
    """Return the id of the token for what a vocabulary lacks, which model2vec leaves out; -1: it has none."""
    model = json.loads(tokenizer.to_str())["model"]
    token = model.get("unk_token")
    found = tokenizer.token_to_id(token) if token is not None else model.get("unk_id")
    return -1 if found is None else int(found)
