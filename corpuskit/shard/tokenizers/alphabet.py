"""GPT-2's alphabet: a visible character for each byte, in which byte-level vocabularies are written."""

from __future__ import annotations

__all__ = ["LETTERS", "spelled", "to_bytes"]


def _alphabet() -> dict[int, str]:
    """Name the bytes: those that print stand for themselves, the others go to U+0100 and on, in order.

    Source: bytes_to_unicode of GPT-2's encoder.py.
    """
    printing = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    hidden = [byte for byte in range(256) if byte not in printing]
    return {byte: chr(byte) for byte in printing} | {byte: chr(256 + at) for at, byte in enumerate(hidden)}


LETTERS = _alphabet()
"""The character of each byte: first those that print, then the others (the order of GPT-2's ids)."""
_BYTES = {letter: byte for byte, letter in LETTERS.items()}


def spelled(token: bytes) -> str:
    r"""Write a token in the alphabet.

    >>> spelled(b" a\n")
    'ĠaĊ'
    """
    return "".join([LETTERS[byte] for byte in token])


def to_bytes(token: str) -> bytes | None:
    """Read a token that is written in the alphabet; null if it is not.

    >>> to_bytes("Ġa"), to_bytes("你")
    (b' a', None)
    """
    try:
        return bytes([_BYTES[letter] for letter in token])
    except KeyError:
        return None
