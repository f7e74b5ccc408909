"""tokenizer.json: any vocabulary that the library tokenizers writes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpuskit.errors import InputError
from corpuskit.shard.tokenizers.alphabet import to_bytes
from corpuskit.shard.tokenizers.tokenizer import Ids, Tokenizer

if TYPE_CHECKING:
    import tokenizers

__all__ = ["HuggingFaceTokenizer", "adopt", "parse", "whole"]

_UNKNOWN = "give a vocabulary that has a token for what it does not know, or every byte"


@dataclass(frozen=True, eq=False, kw_only=True)
class HuggingFaceTokenizer(Tokenizer):
    """A vocabulary of the library tokenizers, which sees plain text only; spelled in bytes or not."""

    engine: tokenizers.Tokenizer
    spelled: bool

    def _encode(self, texts: list[str]) -> list[Ids]:
        try:
            found = self.engine.encode_batch_fast(texts, add_special_tokens=False)
        except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
            raise InputError(f"the tokenizer cannot encode a text: {error}", fix=_UNKNOWN) from None
        return [np.array(one.ids, np.uint32) for one in found]

    def _decode(self, ids: list[int]) -> bytes:
        if min(ids) < 0 or max(ids) >= self.size:
            raise self._unknown(ids)
        if not self.spelled:
            return self.engine.decode(ids, skip_special_tokens=False).encode()
        tokens = [self.engine.id_to_token(number) or "" for number in ids]
        suffix = getattr(self.engine.model, "end_of_word_suffix", None) or ""
        parts = [
            (token.removesuffix(suffix), " " if suffix and token.endswith(suffix) else "") for token in tokens
        ]
        return b"".join([(to_bytes(part) or part.encode()) + space.encode() for part, space in parts])


def parse(content: bytes, name: str) -> dict[str, Any]:
    """Read a tokenizer.json.

    Raises:
        InputError: It is none.
    """
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{name} is no JSON", fix="fetch or write the file again") from None
    if not isinstance(told, dict) or not isinstance(told.get("model"), dict):
        raise InputError(
            f"{name} is no tokenizer.json: it has no model",
            fix="give a tokenizer.json; of GPT-2's encoder.json and vocab.bpe the folder they lie in",
        )
    return told


def whole(specials: Mapping[str, int], **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of JSON
    """Complete the parts of a tokenizer.json; what is not given does nothing."""
    none: dict[str, Any] = dict.fromkeys(("truncation", "padding"))
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False, "special": True}
        for token, number in sorted(specials.items(), key=lambda one: one[1])
    ]
    told = {"version": "1.0"} | none | {"added_tokens": added, "normalizer": None, "pre_tokenizer": None}
    return told | {"post_processor": None, "decoder": None} | parts


def adopt(description: Mapping[str, Any], name: str, digest: str) -> HuggingFaceTokenizer:
    """Make a tokenizer of what a tokenizer.json says, without what would add to, cut or vary the ids.

    Raises:
        InputError: The library cannot read it.
    """
    from tokenizers import Tokenizer as Engine

    try:
        told = dict(description) | {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "post_processor": None,
        }
        specials = {one["content"]: one["id"] for one in told.get("added_tokens") or [] if one.get("special")}
        engine = Engine.from_str(json.dumps(_hidden(told, specials)))
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        raise InputError(f"{name} is damaged: {error}", fix="fetch or write the file again") from None
    engine.encode_special_tokens = True  # as plain text
    size = max([*engine.get_vocab(True).values(), *specials.values()], default=-1) + 1
    if not size:
        raise InputError(f"{name} holds no token", fix="fetch or write the file again")
    spelled = (told.get("decoder") or {}).get("type") == "ByteLevel"
    return HuggingFaceTokenizer(size=size, specials=specials, digest=digest, engine=engine, spelled=spelled)


def _hidden(told: dict[str, Any], specials: Mapping[str, int]) -> dict[str, Any]:
    """Rename special tokens so that no text holds one: most models look words up, whatever they mean.

    The names are drawn by chance, lest somebody writes a page with one; they show nowhere.
    """
    model = dict(told["model"]) | ({"dropout": None} if told["model"].get("type") == "BPE" else {})
    vocabulary = model.get("vocab")
    unknown = model.get("unk_token")
    if isinstance(vocabulary, list) and isinstance(number := model.get("unk_id"), int):
        unknown = vocabulary[number][0]
    plain = model.get("type") == "BPE" and not model.get("ignore_merges")
    mark = secrets.token_hex(8)
    names = {} if plain else {name: f"\ufdd0{mark}{name}" for name in specials if name != unknown}
    if isinstance(vocabulary, list):
        model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    elif isinstance(vocabulary, dict):
        model["vocab"] = {names.get(token, token): number for token, number in vocabulary.items()}
    added = [
        one | {"content": names.get(one["content"], one["content"])} if one.get("special") else one
        for one in told.get("added_tokens") or []
    ]
    return told | {"model": model, "added_tokens": added}
