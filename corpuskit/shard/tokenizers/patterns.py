r"""Where byte-level BPE cuts a text into words: known regular expressions, written so that none overflows.

All end in `\s+(?!\S)|\s+`, which keeps a place on a stack for each character of white space: a run of a
million ends the encoder. `_SPACES` takes the same characters a thousand at a time.
"""

from __future__ import annotations

__all__ = ["CL100K", "GPT2", "O200K", "without_overflow"]

_END = r"\s+(?!\S)|\s+"
_SPACES = r"\s++$|(?:(?>(?:\s(?=\s)){1,1000}))++|\s"

_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|"
_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]+|"
)
_ONE_DIGIT = _CL100K.replace(r"\p{N}{1,3}+", r"\p{N}")
_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|"
)
GPT2, CL100K, O200K = (head + _SPACES for head in (_GPT2, _CL100K, _O200K))

_NO_CASE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"

_PUBLISHED = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|": _GPT2,
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|": _GPT2,
    _NO_CASE + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|": _CL100K,
    _NO_CASE + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|": _ONE_DIGIT,
    _O200K: _O200K,
}
"""As tokenizer.json files spell them (GPT-2, Llama 3 and cl100k, Qwen, o200k), without their end."""


def without_overflow(published: str) -> str | None:
    """Return the expression that cuts as this published one does; null if it is not a known one."""
    head = _PUBLISHED.get(published.removesuffix(_END)) if published.endswith(_END) else None
    return head + _SPACES if head else None
