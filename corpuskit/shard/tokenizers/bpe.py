"""Byte-pair encoding: GPT-2's files, tiktoken's ranks, CLIP's merges, tokenizer.json where it is the same."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpuskit.errors import InputError
from corpuskit.shard.tokenizers.alphabet import LETTERS, to_bytes
from corpuskit.shard.tokenizers.bytes import plain_bytes
from corpuskit.shard.tokenizers.huggingface import HuggingFaceTokenizer, adopt, whole
from corpuskit.shard.tokenizers.patterns import CL100K, GPT2, O200K, without_overflow
from corpuskit.shard.tokenizers.tokenizer import Ids, Tokenizer

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["RankedTokenizer", "describe", "from_clip", "from_gpt2", "from_json", "from_tiktoken"]

_END = "<|endoftext|>"
_KNOWN: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "gpt2": (GPT2, {_END: 50256}),
    "r50k": (GPT2, {_END: 50256}),
    "p50k": (GPT2, {_END: 50256}),
    "cl100k": (
        CL100K,
        {
            _END: 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k": (O200K, {_END: 199999, "<|endofprompt|>": 200018}),
    "ranks.tiktoken": (GPT2, {}),  # as train tokenizer writes it, and tiktoken's files have no special tokens
}
"""What a rank file does not say and its name does: the words' pattern, and the special tokens."""
_CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_CLIP_SIZE = 49152


@dataclass(frozen=True, eq=False, kw_only=True)
class RankedTokenizer(Tokenizer):
    """Byte-level BPE by tiktoken: of two neighbours those merge first whose union has the lowest id."""

    encoding: Encoding

    def _encode(self, texts: list[str]) -> list[Ids]:
        return [self.encoding.encode_to_numpy(text, disallowed_special=()) for text in texts]

    def _decode(self, ids: list[int]) -> bytes:
        try:
            if max(ids) < self.size:
                return self.encoding.decode_bytes(ids)
        except (KeyError, OverflowError):
            pass
        raise self._unknown(ids)


def _by_ranks(
    ranks: Mapping[bytes, int], pattern: str, specials: Mapping[str, int], digest: str
) -> Tokenizer:
    from tiktoken import Encoding

    size = max([*ranks.values(), *specials.values()]) + 1
    # tiktoken searches texts for special tokens in vain, but searches for none very slowly
    encoding = Encoding(
        digest, pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens=dict(specials) or {_END: size}
    )
    return RankedTokenizer(size=size, specials=dict(specials), digest=digest, encoding=encoding)


def from_tiktoken(name: str, content: bytes, digest: str) -> Tokenizer:
    """Read ranks as tiktoken writes them: a token in base64 and its id a line.

    Raises:
        InputError: The file's name does not tell how it cuts words, or the file is damaged.
    """
    known = next((key for key in _KNOWN if key in name), None)
    if known is None:
        raise InputError(
            f"{name} is none of the known rank files ({', '.join(_KNOWN)}), so how it cuts words is unknown",
            fix="give its tokenizer.json, or name the file after the one whose pattern it uses",
        )
    pattern, specials = _KNOWN[known]
    try:
        pairs = [line.split() for line in content.splitlines() if line.strip()]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (ValueError, binascii.Error):
        raise InputError(
            f"{name} is damaged: a line is not a token in base64 and its id", fix="fetch the file again"
        ) from None
    ids = set(ranks.values())
    if len(ids) < len(pairs) or not all(bytes([byte]) in ranks for byte in range(256)):
        raise InputError(
            f"{name} is damaged: bytes are missing or ids occur twice", fix="fetch the file again"
        )
    if min(ids) < 0 or max(ids) > 1 << 31 or not ids.isdisjoint(specials.values()):
        raise InputError(
            f"{name} holds other ids than {known} has",
            fix="give its tokenizer.json, or another name that tells which pattern it uses",
        )
    return _by_ranks(ranks, pattern, specials, digest)


def from_gpt2(name: str, vocabulary: bytes, merges: bytes, digest: str) -> Tokenizer:
    """Read GPT-2's encoder.json and vocab.bpe; what no merge makes and is no byte is a special token.

    Raises:
        InputError: A file is damaged, or they are not of byte-level BPE.
    """
    try:
        ids = json.loads(vocabulary)
        lines = merges.decode().split("\n")
        pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        known = set(LETTERS.values()) | {first + second for first, second in pairs}
        specials = {token: ids[token] for token in ids if token not in known}
        lost = next((token for token in known if token not in ids), None)
        description = describe(ids, pairs, specials)
    except (ValueError, TypeError, AttributeError, KeyError):
        raise InputError(
            f"{name}: the vocabulary or its merges are damaged",
            fix="give the folder with both files as GPT-2 was published, or a tokenizer.json",
        ) from None
    if lost is not None:
        raise InputError(
            f"{name}: the vocabulary lacks {lost!r}, so it is not byte-level BPE as GPT-2's",
            fix="give the tokenizer.json of that vocabulary",
        )
    return from_json(description, name, digest)


def from_json(description: Mapping[str, Any], name: str, digest: str) -> Tokenizer:
    """Make a tokenizer of what a tokenizer.json says, with the fastest library that gives its ids.

    Raises:
        InputError: The description is damaged.
    """
    read = adopt(description, name, digest)  # damage is told here
    return _plain_bytes(description, read) or _ranked(description, digest) or read


def describe(
    ids: Mapping[str, int], merges: Sequence[Sequence[str]], specials: Mapping[str, int]
) -> dict[str, Any]:
    """Describe a byte-level vocabulary with GPT-2's pattern as tokenizer.json does."""
    words = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return whole(
        specials,
        pre_tokenizer=words,
        decoder=words,
        model={"type": "BPE", "vocab": dict(ids), "merges": [list(pair) for pair in merges]},
    )


def _ranked(description: Mapping[str, Any], digest: str) -> Tokenizer | None:
    """Make tiktoken's encoder of a tokenizer.json, if that gives the same ids; null otherwise.

    It does for byte-level BPE with a known pattern where merges make their ids in order, and every token's
    bytes encode to that token alone: then two neighbours whose union is a token are also a merge.
    """
    model, pattern = description["model"], _pattern(description)
    if pattern is None or model.get("type") != "BPE" or description.get("normalizer"):
        return None
    if any(
        model.get(key) for key in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    ):
        return None
    added = description.get("added_tokens") or []
    specials = {token["content"]: token["id"] for token in added if token.get("special")}
    ids: Mapping[str, int] = model["vocab"]
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    made = [first + second for first, second in pairs]
    order = [ids.get(token, -1) for token in made]
    bare = set(ids) - set(specials)
    if len(specials) < len(added) or bare != set(LETTERS.values()) | set(made) or -1 in order:
        return None
    if any(later <= earlier for earlier, later in zip(order, order[1:], strict=False)):
        return None
    from tokenizers.models import BPE

    plain = BPE(
        vocab={token: ids[token] for token in bare}, merges=[(first, second) for first, second in pairs]
    )
    if any(len(plain.tokenize(token)) != 1 for token in made):
        return None
    ranks = {to_bytes(token) or b"": ids[token] for token in bare}
    return None if b"" in ranks else _by_ranks(ranks, pattern, specials, digest)


def _plain_bytes(description: Mapping[str, Any], read: Tokenizer) -> Tokenizer | None:
    """Make the encoder of bytes of a tokenizer.json that says no more than that; null for any other."""
    model, steps = description["model"], description.get("pre_tokenizer") or {}
    if model.get("type") != "BPE" or model.get("merges") or steps.get("type") != "ByteLevel":
        return None
    letters = {letter: byte for byte, letter in LETTERS.items()}
    bare = {token: number for token, number in model["vocab"].items() if token not in read.specials}
    added = description.get("added_tokens") or []
    if bare != letters or len(added) > len(read.specials) or steps.get("add_prefix_space", True):
        return None
    return None if description.get("normalizer") else plain_bytes(read.specials, read.digest)


def _pattern(description: Mapping[str, Any]) -> str | None:
    """Return the known pattern that a description cuts words with; null if it does so otherwise."""
    given = description.get("pre_tokenizer") or {}
    steps = given.get("pretokenizers", []) if given.get("type") == "Sequence" else [given]
    last = steps[-1] if steps else {}
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space", True):
        return None
    if len(steps) == 1:
        return GPT2 if last.get("use_regex", True) else None
    split = steps[0]
    if len(steps) > 2 or split.get("type") != "Split" or last.get("use_regex", True):
        return None
    if split.get("behavior") != "Isolated" or split.get("invert"):
        return None
    return without_overflow(split.get("pattern", {}).get("Regex", ""))


def from_clip(name: str, content: bytes, digest: str) -> HuggingFaceTokenizer:
    """Read CLIP's bpe_simple_vocab_16e6.txt: merges alone, from which the 49,408 ids follow.

    Text is composed (NFC), white space made one space, and lower-cased. Source: simple_tokenizer.py of CLIP
    (Radford et al. 2021), as transformers' CLIPTokenizer does it. Deviations from the former, as there: no
    ftfy, and no unescaping of HTML.

    Raises:
        InputError: The file is damaged.
    """
    try:
        lines = content.decode().split("\n")[1 : _CLIP_SIZE - 256 - 2 + 1]
        merges = [(first, second) for first, second in (line.split() for line in lines)]
    except ValueError:
        raise InputError(f"{name} is damaged: a line is not two tokens", fix="fetch the file again") from None
    letters = list(LETTERS.values())
    tokens = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(first + second for first, second in merges),
    ]
    specials = {"<|startoftext|>": len(tokens), _END: len(tokens) + 1}
    ids = {token: number for number, token in enumerate(tokens)} | specials
    words = {"type": "Split", "pattern": {"Regex": _CLIP_WORDS}, "behavior": "Removed", "invert": True}
    description = describe(ids, merges, specials)
    letters_of = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    description["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [words, letters_of]}
    description["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ],
    }
    description["model"] |= {"end_of_word_suffix": "</w>", "unk_token": _END}
    return adopt(description, name, digest)
