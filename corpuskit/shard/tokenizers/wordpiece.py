"""WordPiece: BERT's vocab.txt, one token a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corpuskit.errors import InputError
from corpuskit.shard.tokenizers.huggingface import HuggingFaceTokenizer, adopt, whole

__all__ = ["SPECIALS", "describe", "from_bert", "is_uncased"]

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def from_bert(name: str, content: bytes, digest: str) -> HuggingFaceTokenizer:
    """Read BERT's vocab.txt; text is lower-cased and loses its accents where no token has a capital letter.

    A word of more than 100 characters becomes [UNK], as in BERT.

    Source: tokenization.py of BERT (Devlin et al. 2019), as transformers' BertTokenizer does it.

    Raises:
        InputError: The file is damaged.
    """
    try:
        lines = content.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        lines = []
    ids = {token.removesuffix("\r"): number for number, token in enumerate(lines)}
    if "[UNK]" not in ids:
        raise InputError(
            f"{name} is no vocabulary of WordPiece: it has no [UNK]",
            fix="give BERT's vocab.txt, or a tokenizer.json",
        )
    specials = {token: ids[token] for token in SPECIALS if token in ids}
    return adopt(describe(ids, specials, lowercase=is_uncased(ids)), name, digest)


def is_uncased(ids: Mapping[str, int]) -> bool:
    """Say whether no token but a special one has a capital letter."""
    return all(token == token.lower() for token in ids if not token.startswith("["))


def describe(ids: Mapping[str, int], specials: Mapping[str, int], *, lowercase: bool) -> dict[str, Any]:
    """Describe a vocabulary of WordPiece as tokenizer.json does."""
    return whole(
        specials,
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lowercase,
        },
        pre_tokenizer={"type": "BertPreTokenizer"},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": False},
        model={
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": dict(ids),
        },
    )
