"""Learning a vocabulary from texts, for each kind, and describing it as tokenizer.json does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from corpuskit.errors import InputError, UsageError
from corpuskit.shard.tokenizers import bpe, unigram, wordpiece
from corpuskit.shard.tokenizers.alphabet import LETTERS

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.trainers import Trainer

__all__ = ["Texts", "learn_bpe", "learn_bytes", "learn_unigram", "learn_wordpiece"]

Texts = Callable[[], Iterator[list[str]]]
"""Goes through the texts, some at a time, as often as it is called."""
_CODE_POINTS = 0x110000


def learn_bytes(special: Sequence[str]) -> dict[str, Any]:
    """Describe the vocabulary of bytes: nothing is learnt."""
    ids = {letter: byte for byte, letter in LETTERS.items()}
    return bpe.describe(ids, [], _after(len(ids), special))


def learn_bpe(texts: Texts, size: int, min_frequency: int, special: Sequence[str]) -> dict[str, Any]:
    """Learn merges over bytes as GPT-2's, up to `size` ids; the special tokens come last, as there.

    Source: Radford et al. 2019; Sennrich et al. 2016.
    """
    from tokenizers import Tokenizer, models, trainers

    trainer = trainers.BpeTrainer(
        vocab_size=size - len(special),
        min_frequency=min_frequency,
        initial_alphabet=list(LETTERS.values()),
        show_progress=False,
    )
    engine = _words(Tokenizer(models.BPE()))
    _check(special, engine)
    model = _train(engine, trainer, texts())
    return bpe.describe(_ordered(model["vocab"]), model["merges"], _after(len(model["vocab"]), special))


def learn_unigram(texts: Texts, size: int, special: Sequence[str]) -> dict[str, Any]:
    """Learn the likeliest pieces over bytes, the frequent first; the special tokens come last.

    The trainer adds numbers in no fixed order, and gives bytes that it has not met a score by chance. So
    scores are rounded to 6 decimals, and the bytes below the last piece share its score.

    Source: Kudo 2018. Deviation: over the bytes of GPT-2's words, so that nothing is unknown.
    """
    from tokenizers import Tokenizer, models, trainers

    trainer = trainers.UnigramTrainer(
        vocab_size=size - len(special), initial_alphabet=list(LETTERS.values()), show_progress=False
    )
    engine = _words(Tokenizer(models.Unigram()))
    _check(special, engine)
    model = _train(engine, trainer, texts())
    scores = {piece: round(score, 6) for piece, score in model["vocab"]}
    last = min([score for piece, score in scores.items() if len(piece) > 1] or [0.0])
    pieces = sorted(
        ((piece, max(score, last)) for piece, score in scores.items()), key=lambda one: (-one[1], one[0])
    )
    return unigram.describe(pieces, _after(len(pieces), special))


def learn_wordpiece(
    texts: Texts, size: int, min_frequency: int, special: Sequence[str], *, lowercase: bool
) -> dict[str, Any]:
    """Learn pieces of words as BERT's vocabularies are made; the special tokens come first, as there.

    A quarter of the ids at most are characters, each of which has two, at a word's start and within: those
    that occur most, and `min_frequency` times at least.

    Source: Devlin et al. 2019, by merging the most frequent pair as tokenizers does (the original is not
    published).

    Raises:
        UsageError: `size` leaves nothing to learn.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    letters = _characters(texts(), normalizer.normalize_str, min_frequency)[
        : max(0, size - len(special)) // 8
    ]
    if not letters:
        raise UsageError(
            f"train.tokenizer: size is {size}, which leaves no id to a character", fix="give more"
        )
    first = [*special, *sorted(letters), *(f"##{letter}" for letter in sorted(letters))]
    # Given as special tokens the characters get the first ids in this order; by itself the trainer numbers
    # them in the order of a hash that changes from run to run.
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=first,
        limit_alphabet=0,
        continuing_subword_prefix="##",
        show_progress=False,
    )
    engine = Tokenizer(models.BPE(continuing_subword_prefix="##"))
    engine.normalizer = normalizer
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _check(special, engine)
    ids = _ordered(_train(engine, trainer, texts())["vocab"])
    return wordpiece.describe(ids, {token: ids[token] for token in special}, lowercase=lowercase)


def _check(special: Sequence[str], engine: Tokenizer) -> None:
    """Refuse a special token that is a word of texts: what it stands for and that word would have one id.

    Raises:
        UsageError: One is.
    """
    for token in special:
        words = engine.pre_tokenizer.pre_tokenize_str(token)
        if len(words) == 1:
            raise UsageError(
                f"train.tokenizer: the special token {token!r} is a word of texts",
                fix=f"name it with letters and marks, such as <|{token}|>",
            )


def _words(engine: Tokenizer) -> Tokenizer:
    """Let words be GPT-2's, spelled in bytes."""
    from tokenizers import pre_tokenizers

    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return engine


def _train(engine: Tokenizer, trainer: Trainer, texts: Iterable[list[str]]) -> Mapping[str, Any]:
    """Train, and return the model as tokenizer.json tells it."""
    try:
        engine.train_from_iterator(texts, trainer)
    except (InputError, UsageError):
        raise
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        raise InputError(
            f"no vocabulary can be learnt from these documents: {error}",
            fix="give more text, or a smaller --size",
        ) from None
    model: Mapping[str, Any] = json.loads(engine.to_str())["model"]
    return model


def _ordered(ids: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(ids.items(), key=lambda one: one[1]))


def _after(count: int, special: Sequence[str]) -> dict[str, int]:
    """Number the special tokens after all others."""
    return {token: count + at for at, token in enumerate(special)}


def _characters(texts: Iterable[list[str]], normalize: Callable[[str], str], least: int) -> list[str]:
    """List the characters that texts have, the most frequent first, but for white space."""
    counts = np.zeros(_CODE_POINTS, np.int64)
    for some in texts:
        joined = normalize("\n".join(some)).encode("utf-32-le")
        found, times = np.unique(np.frombuffer(joined, np.uint32), return_counts=True)
        counts[found] += times
    seen = np.flatnonzero(counts >= max(1, least))
    ordered = seen[np.lexsort([seen, -counts[seen]])]
    return [chr(code) for code in ordered if not chr(code).isspace()]
