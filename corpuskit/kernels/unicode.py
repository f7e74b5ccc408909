"""The Unicode tables of the kernels, pinned to one Unicode version so that every Python gives the same words.

The tables are shipped in `unicode.npz` (two-stage: a page number per 256 code points, then the pages).
`python -m corpuskit.kernels.unicode FILE` builds them anew, from the `unicodedata` of the running Python.
"""

import sys
import unicodedata
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

Tables = dict[str, npt.NDArray[Any]]

VERSION = "14.0.0"
"""The Unicode version of the shipped tables."""

SPACE = 1
"""What `str.split()` splits at."""
LETTER = 2
"""What `str.isalpha()` holds for."""
DIGIT = 4
"""A number of any kind (categories Nd, Nl, No)."""
MARK = 8
"""A combining mark; belongs to the letter before it."""
PUNCTUATION = 16
"""Categories P*; symbols such as + or $ are not among them."""
UPPER = 32
"""What `str.isupper()` holds for."""
LOWER = 64
"""Lower-case or title-case."""
UNSPACED = 128
"""A letter of a script written without spaces between words."""
TERMINAL = 256
"""Ends a sentence (Unicode property Sentence_Terminal: . ! ? and their kin in all scripts)."""
IGNORABLE = 512
"""Has no meaning in a word: joiners, soft hyphen, direction marks, variation selectors."""

_UNSPACED_SCRIPTS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan: no spaces, a mark after each syllable
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17DD),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x3005, 0x3007),  # Han iteration mark, closing mark, zero
    (0x3021, 0x312F),  # Hangzhou numerals, Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),  # Bopomofo and Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),  # Myanmar extensions
    (0xAA60, 0xAA7F),
    (0xAA80, 0xAADF),  # Tai Viet
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF66, 0xFF9F),  # Katakana, half width
    (0x1AFF0, 0x1B16F),  # Kana supplements
    (0x20000, 0x3FFFD),  # Han, planes 2 and 3
)

_TERMINAL = (  # Source: Unicode PropList.txt, Sentence_Terminal: code points, and first-last ranges.
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e "
    "1735-1736 17d4-17d5 1803 1809 1944-1945 1aa8-1aab 1b4e-1b4f 1b5a-1b5b 1b5e-1b5f 1b7d-1b7f 1c3b-1c3c "
    "1c7e-1c7f 2024 203c-203d 2047-2049 2cf9-2cfb 2e2e 2e3c 2e53-2e54 2e60-2e61 3002 a4ff a60e-a60f a6f3 "
    "a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe12 fe15-fe16 fe52 fe56-fe57 ff01 "
    "ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 "
    "111cd 111de-111df 11238-11239 1123b-1123c 112a9 113d4-113d5 1144b-1144c 115c2-115c3 115c9-115d7 "
    "11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 "
    "16a6e-16a6f 16af5 16b37-16b38 16b44 16d6e-16d6f 16e98 1bc9f 1da88"
)


def load() -> Tables:
    """Return the shipped tables: `pages`, `classes`, `lower_pages`, `lower` (see `build`).

    >>> tables = load()
    >>> page = int(tables["pages"][ord("A") >> 8])
    >>> int(tables["classes"][page * 256 + ord("A")]) == LETTER | UPPER
    True
    """
    with resources.files(__package__).joinpath("unicode.npz").open("rb") as file:
        return dict(np.load(file, allow_pickle=False))


def build() -> Tables:
    """Build the tables from the running Python's `unicodedata`.

    Returns:
        `pages` (uint8, 4352) and `classes` (uint16, 256 a page): the classes of code point c are
        `classes[pages[c >> 8] * 256 + (c & 255)]`; `lower_pages` and `lower` (int32) likewise hold what to
        add to c to lower it. Lowering maps one code point to one (the first of `str.lower()`): of the whole
        of Unicode only U+0130 becomes two in Python, and final sigma is not told apart.
    """
    classes = np.zeros(0x110000, np.uint16)
    lower = np.zeros(0x110000, np.int32)
    for code in (*range(0x323B0), *range(0xE0000, 0xE0200)):
        classes[code] = _classes(chr(code))
        lower[code] = ord(chr(code).lower()[0]) - code
    for first, last in _UNSPACED_SCRIPTS:
        span = classes[first : last + 1]
        span[(span & LETTER) != 0] |= UNSPACED
    classes[0x3007] |= UNSPACED
    classes[0x20000:0x3FFFE] = LETTER | UNSPACED
    for item in _TERMINAL.split():
        first, last = int(item.split("-")[0], 16), int(item.split("-")[-1], 16)
        classes[first : last + 1] |= TERMINAL
    tables: Tables = {}
    tables["pages"], tables["classes"] = _pages(classes)
    tables["lower_pages"], tables["lower"] = _pages(lower)
    return tables


def _classes(char: str) -> int:
    category = unicodedata.category(char)
    if (
        category == "Cf"
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
        or char == "\u034f"
    ):
        return IGNORABLE
    flags = SPACE if char.isspace() else 0
    flags |= {"L": LETTER, "N": DIGIT, "M": MARK, "P": PUNCTUATION}.get(category[0], 0)
    flags |= UPPER if char.isupper() else 0
    flags |= LOWER if char.islower() or char.istitle() and not char.isupper() else 0
    return flags


def _pages(table: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    rows, numbers = np.unique(table.reshape(-1, 256), axis=0, return_inverse=True)
    return numbers.reshape(-1).astype(np.uint8), rows.reshape(-1)


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **build())  # type: ignore[arg-type]
