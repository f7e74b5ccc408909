"""Vocabularies of any make behind one way from text to ids: `load` a file, a folder, or "bytes"."""

from __future__ import annotations

import functools
import hashlib
import zlib

from corpuskit import files
from corpuskit.errors import InputError
from corpuskit.shard.tokenizers.tokenizer import Ids, Tokenizer

__all__ = ["Ids", "Tokenizer", "load"]

_FIX = (
    "give bytes, a tokenizer.json, BERT's vocab.txt, CLIP's bpe_simple_vocab_16e6.txt.gz, a .tiktoken or a "
    "SentencePiece .model file, or the folder of one, or of GPT-2's encoder.json and vocab.bpe"
)
_IN_FOLDERS = (
    ("tokenizer.json",),
    ("encoder.json", "vocab.bpe"),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("tokenizer.model",),
)
"""What a folder may hold; the first that it does is read."""
_MOST = 256 << 20
"""No vocabulary has more bytes than this, unpacked."""


def load(path: str) -> Tokenizer:
    """Read a tokenizer; the same files are read once a process.

    `bytes` needs no file: ids are bytes, and <|endoftext|> is 256. A folder may hold tokenizer.json,
    encoder.json and vocab.bpe (or vocab.json and merges.txt), vocab.txt, or tokenizer.model, looked for in
    this order. Same ids always, whichever library encodes: tiktoken where it provably gives what the file
    says, tokenizers or SentencePiece otherwise.

    Raises:
        InputError: Nothing is there, or nothing that can be read.
        UsageError: A SentencePiece model, and its package is missing.

    >>> load("bytes").encode("Hi")
    [72, 105]
    """
    if path == "bytes":
        from corpuskit.shard.tokenizers.bytes import plain_bytes

        return plain_bytes()
    return _build(path, tuple(_read(path).items()))


def _read(path: str) -> dict[str, bytes]:
    """Return the names and contents of the files that are a tokenizer."""
    for names in _IN_FOLDERS:
        if all(files.exists(files.join(path, name)) for name in names):
            return {name: _content(files.join(path, name)) for name in names}
    if not files.exists(path):
        raise InputError(f"there is no tokenizer {path!r}", fix=_FIX)
    return {files.file_name(path): _content(path)}


def _content(path: str) -> bytes:
    try:
        content = files.read_bytes(path)
    except IsADirectoryError:
        raise InputError(f"the folder {path!r} holds no tokenizer", fix=_FIX) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", fix="check the path") from None
    if len(content) > _MOST:
        raise InputError(f"{path} has {len(content)} bytes: no tokenizer has so many", fix=_FIX)
    return content


@functools.lru_cache(maxsize=4)
def _build(path: str, contents: tuple[tuple[str, bytes], ...]) -> Tokenizer:
    from corpuskit.shard.tokenizers import bpe, huggingface, unigram, wordpiece

    digest = hashlib.sha256(b"".join(content for _, content in contents)).hexdigest()
    (name, content), *more = contents
    if more:
        return bpe.from_gpt2(path, content, more[0][1], digest)
    if name.endswith(".tiktoken"):
        return bpe.from_tiktoken(name, content, digest)
    if name.endswith(".model"):
        return unigram.from_sentencepiece(path, content, digest)
    if name.endswith(".gz"):
        content = _unpacked(path, content)
    if content.startswith((b'"bpe_simple_vocab', b"#version")):
        return bpe.from_clip(path, content, digest)
    if name.removesuffix(".gz").endswith(".txt"):
        return wordpiece.from_bert(path, content, digest)
    description = huggingface.parse(content, path)
    return bpe.from_json(description, path, digest)


def _unpacked(path: str, content: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        plain = unpacker.decompress(content, _MOST)
    except zlib.error:
        plain = b""
    if not plain or not unpacker.eof:
        raise InputError(f"{path} is damaged: it cannot be unpacked", fix="fetch the file again")
    return plain
