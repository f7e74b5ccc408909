"""`train tokenizer`: a vocabulary learnt from datasets, and written in every form that trainers read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow.compute as pc

from corpuskit import __version__, files, settings
from corpuskit.errors import TargetError, UsageError
from corpuskit.settings import setting
from corpuskit.shard.tokenizers import Tokenizer, bpe, wordpiece
from corpuskit.shard.tokenizers.alphabet import to_bytes
from corpuskit.train import vocabulary
from corpuskit.train.corpora import Corpora
from corpuskit.train.standing import FIX, standing

__all__ = ["TokenizerTraining", "TrainedTokenizer", "train_tokenizer"]

DESCRIPTION = "training.json"
_FORMS = ("tokenizer.json", "encoder.json", "vocab.bpe", "ranks.tiktoken", "vocab.txt")
_SPECIAL: Mapping[str, tuple[str, ...]] = {
    "bpe": ("<|endoftext|>",),
    "wordpiece": wordpiece.SPECIALS,
    "unigram": ("<|endoftext|>",),
    "bytes": ("<|endoftext|>",),
}


@dataclass(frozen=True)
class TokenizerTraining:
    """How a vocabulary is learnt.

    Raises:
        UsageError: A size or a count that is too small, special tokens that cannot be, or `lowercase` with
            another kind than wordpiece.
    """

    kind: Literal["bpe", "wordpiece", "unigram", "bytes"] = setting(
        "bpe",
        "bpe as GPT-2, wordpiece as BERT, unigram over bytes, or the bytes themselves, which need no corpus",
    )
    size: int = setting(
        32_000, "ids of the vocabulary at most, special tokens with them; bytes has 256 and those"
    )
    special: tuple[str, ...] | None = setting(
        None, "special tokens, which no text gives: <|endoftext|>, and BERT's five for wordpiece, if not said"
    )
    min_frequency: int = setting(2, "bpe and wordpiece: how often a pair must occur to become a token")
    lowercase: bool = setting(False, "wordpiece: lower-case text and drop accents, as BERT's uncased does")
    sample: int = setting(1_000_000, "documents to learn from at most, drawn by id")
    seed: int = setting(0, "another seed draws another sample")

    def __post_init__(self) -> None:
        """Check the settings."""
        least = len(self.tokens) + (9 if self.kind == "wordpiece" else 257)
        if self.kind != "bytes" and self.size < least:
            raise UsageError(f"train.tokenizer: size is {self.size}", fix=f"give {least} or more")
        for name in ("min_frequency", "sample"):
            if getattr(self, name) < 1:
                raise UsageError(f"train.tokenizer: {name} is {getattr(self, name)}", fix="give 1 or more")
        if len(set(self.tokens)) < len(self.tokens) or any(
            not token or any(character.isspace() for character in token) for token in self.tokens
        ):
            raise UsageError(
                f"train.tokenizer: special is {','.join(self.tokens)!r}",
                fix="name each token once, and none empty or with white space",
            )
        if self.kind == "wordpiece" and "[UNK]" not in self.tokens:
            raise UsageError(
                "train.tokenizer: special lacks [UNK]", fix="name it: wordpiece cannot do without"
            )
        if self.lowercase and self.kind != "wordpiece":
            raise UsageError(
                f"train.tokenizer: lowercase is given with {self.kind}",
                fix="leave it out, or choose --kind wordpiece",
            )

    @property
    def tokens(self) -> tuple[str, ...]:
        """The special tokens, in the order of their ids."""
        return _SPECIAL[self.kind] if self.special is None else self.special


@dataclass(frozen=True)
class TrainedTokenizer:
    """A vocabulary that was learnt: where it lies, and what its description tells."""

    path: str
    told: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """Return all that is told as plain JSON values."""
        return {"path": self.path, **self.told}

    def text(self) -> str:
        """Say for people what was made."""
        learnt, test = self.told["documents"], self.told["test"]
        head = f"{self.path}: {self.told['settings']['kind']} of {self.told['size']:,} ids"
        if self.told["settings"]["kind"] == "bytes":
            return head
        lines = [f"{head}, learnt from {learnt:,} documents"]
        if test["tokens"]:
            lines.append(f"  on {test['documents']:,} other documents: {_rates(test)}")
        if self.told["size"] < self.told["settings"]["size"]:
            lines.append(
                f"note: the documents have no more; {self.told['settings']['size']:,} were asked for"
            )
        return "\n".join(lines)


def train_tokenizer(
    corpora: Sequence[str], target: str, training: TokenizerTraining | None = None, *, force: bool = False
) -> TrainedTokenizer:
    """Learn a vocabulary from datasets, and write it into the folder `target`.

    All kinds write tokenizer.json; bpe also GPT-2's encoder.json and vocab.bpe, and tiktoken's ranks (without
    special tokens, for which that form has no place); wordpiece also BERT's vocab.txt where that says the
    same. The words of the sample are held in memory, once each with their count. A twentieth of the
    documents, 1000 at most, are only measured. The same documents and settings give the same bytes, whatever
    the order of datasets and the cores (unigram: but for pieces that tie). The same call again does nothing.

    Raises:
        InputError: A dataset is missing, or has no documents.
        TargetError: The folder holds something else, and `force` is not given.
        UsageError: There are no corpora, or a special token that is a word of theirs.
    """
    training = training or TokenizerTraining()
    if not corpora and training.kind != "bytes":
        raise UsageError("there are no corpora", fix="give CORPUS... OUT; only --kind bytes needs none")
    documents = Corpora(corpora, training.sample, training.seed)
    asked = {
        "settings": settings.to_mapping(training) | {"special": list(training.tokens)},
        "corpora": documents.describe(),
    }
    if not force and (stands := standing(target, DESCRIPTION, "tokenizer of ours", asked)) is not None:
        _check_files(target, stands)
        return TrainedTokenizer(target, stands)
    description = _learn(documents, training)
    written = _forms(description, training)
    tokenizer = bpe.from_json(description, target, _digest(written["tokenizer.json"]))
    told = {
        "corpuskit": __version__,
        **asked,
        "size": tokenizer.size,
        "specials": dict(tokenizer.specials),
        "documents": documents.learnt,
        "test": _measure(tokenizer, documents),
        "files": {name: _digest(content) for name, content in written.items()},
    }
    _write(target, written, told)
    return TrainedTokenizer(target, told)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_files(target: str, told: Mapping[str, Any]) -> None:
    """Raise TargetError where a file of a vocabulary is missing or was changed."""
    for name, sha256 in told["files"].items():
        path = files.join(target, name)
        if not files.exists(path) or _digest(files.read_bytes(path)) != sha256:
            raise TargetError(f"{path} is missing or was changed", fix=FIX)


def _learn(documents: Corpora, training: TokenizerTraining) -> dict[str, Any]:
    special = training.tokens
    if training.kind == "bytes":
        return vocabulary.learn_bytes(special)
    if training.kind == "unigram":
        return vocabulary.learn_unigram(documents.texts, training.size, special)
    if training.kind == "bpe":
        return vocabulary.learn_bpe(documents.texts, training.size, training.min_frequency, special)
    return vocabulary.learn_wordpiece(
        documents.texts, training.size, training.min_frequency, special, lowercase=training.lowercase
    )


def _forms(description: Mapping[str, Any], training: TokenizerTraining) -> dict[str, bytes]:
    """Write a vocabulary in every form that says the same."""
    model = description["model"]
    specials = {one["content"]: one["id"] for one in description["added_tokens"]}
    written = {"tokenizer.json": json.dumps(description, ensure_ascii=False, indent=1).encode() + b"\n"}
    if training.kind == "bpe":
        merges = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"]), ""]
        ranks = [
            f"{base64.b64encode(to_bytes(token) or b'').decode()} {number}\n"
            for token, number in model["vocab"].items()
        ]
        written |= {
            "encoder.json": json.dumps(model["vocab"] | specials).encode(),
            "vocab.bpe": "\n".join(merges).encode(),
            "ranks.tiktoken": "".join(ranks).encode(),
        }
    if training.kind == "wordpiece":
        tokens: Mapping[str, int] = model["vocab"]
        bare = {token: number for token, number in tokens.items() if token not in specials}
        if wordpiece.is_uncased(bare) == training.lowercase:  # else the file would be read as the other
            written["vocab.txt"] = "".join(f"{token}\n" for token in tokens).encode()
    return written


def _measure(tokenizer: Tokenizer, documents: Corpora) -> dict[str, int]:
    """Count documents that were not learnt from, their bytes, their tokens, and the tokens that are [UNK]."""
    counted = {"documents": 0, "bytes": 0, "tokens": 0, "unknown": 0}
    unknown = tokenizer.specials.get("[UNK]", -1)
    for texts in documents.others():
        counted["documents"] += len(texts)
        counted["bytes"] += pc.sum(pc.binary_length(texts)).as_py() or 0
        ids = tokenizer.encode_batch(texts)[0]
        counted["tokens"] += len(ids)
        counted["unknown"] += int((ids == unknown).sum())
    return counted


def _write(target: str, written: Mapping[str, bytes], told: Mapping[str, Any]) -> None:
    """Write a tokenizer's files and its card, and last of all the description that says they are whole."""
    for name in {*_FORMS, DESCRIPTION, *written}:
        files.remove(files.join(target, name))
    for name, content in written.items():
        files.write_bytes(files.join(target, name), content)
    files.write_bytes(files.join(target, "README.md"), _card(told).encode())
    described = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    files.write_bytes(files.join(target, DESCRIPTION), described.encode())


def _rates(test: Mapping[str, int]) -> str:
    unknown = f", {test['unknown'] / test['tokens']:.2%} of them [UNK]" if test["unknown"] else ""
    return f"{test['bytes'] / test['tokens']:.2f} bytes a token{unknown}"


def _card(told: Mapping[str, Any]) -> str:
    """Write what people should know of a vocabulary, in Markdown."""
    chosen, test = told["settings"], told["test"]
    lines = [
        "# Tokenizer",
        "",
        f"{chosen['kind']}, {told['size']:,} ids, by corpuskit {told['corpuskit']}.",
        "",
        *([f"Learnt from {told['documents']:,} documents of"] if told["corpora"] else []),
        "",
        *(f"- {one['name']}: {one['rows']:,} documents, sha256 `{one['sha256']}`" for one in told["corpora"]),
        "",
        "| special token | id |",
        "|---|---|",
        *(
            f"| `{token.replace('|', chr(92) + '|')}` | {number} |"
            for token, number in told["specials"].items()
        ),
        "",
        "No special token is added by itself, and none is found in text.",
        "",
    ]
    if test["tokens"]:
        lines += [
            f"{test['documents']:,} documents that were not learnt from, of {test['bytes']:,} bytes, become "
            f"{test['tokens']:,} tokens: {_rates(test)}.",
            "",
        ]
    lines += ["| file | sha256 |", "|---|---|"]
    lines += [f"| {name} | `{sha256}` |" for name, sha256 in told["files"].items()]
    lines += ["", f"Settings: `{json.dumps(chosen)}`", ""]
    return "\n".join(lines)
