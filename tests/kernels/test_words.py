"""Word splitting and normalising against twins that know only Python's str."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpuskit.kernels import hashing, unicode, utf8, words

SPACES = "\t\n\v\f\r\x1c\x1f \x85\xa0\u2003\u2028\u3000"
RICH = st.sampled_from(SPACES) | st.sampled_from(
    "abXYZ09.,-'\u00ad\u200d字喜欢あアーไทยกำ่한글é\u0301İΣȺ½٣😀\ufe0f_“”。、"
)
TEXT = st.text(RICH, max_size=60) | st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=40)
TEXTS = st.lists(st.none() | TEXT, max_size=4)
BLOCKS = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
    "BOPOMOFO",
    "TAI ",
    "NEW TAI",
    "IDEOGRAPHIC",
    "HALFWIDTH KATAKANA",
    "HANGZHOU",
    "HENTAIGANA",
    "MASU",
    "VERTICAL",
)


def unspaced(char: str) -> bool:
    """Is it a letter of a script without spaces? By Unicode name, not by the kernel's table."""
    name = unicodedata.name(char, "")
    return (
        (char.isalpha() or char == "〇")
        and name.startswith(BLOCKS)
        and not name.startswith("IDEOGRAPHIC SPACE")
    )


def ignorable(char: str) -> bool:
    return (
        unicodedata.category(char) == "Cf"
        or "VARIATION SELECTOR" in unicodedata.name(char, "")
        or char == "\u034f"
    )


def attached(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" or ignorable(char)


def alnum(char: str) -> bool:
    return char.isalpha() or unicodedata.category(char)[0] == "N"


def split_twin(text: str) -> list[str]:
    found = []
    for run in text.split():
        word = ""
        for char in run:
            letters = [c for c in word if unspaced(c)]
            last = next((c for c in reversed(word) if not attached(c)), "")
            if unspaced(char):
                cut = (
                    len(letters) == 2
                    or (letters and not unspaced(last))
                    or (not letters and any(alnum(c) for c in word))
                )
            else:
                cut = alnum(char) and bool(letters)
            if cut:
                found.append(word)
                word = ""
            word += char
        found.append(word)
    return found


def normalise_twin(text: str) -> str:
    spaced = ""
    for char in text:
        if alnum(char):
            spaced += char.lower()[0]
        elif unicodedata.category(char)[0] == "M" and not ignorable(char):
            spaced += char if spaced and not spaced.endswith(" ") else ""
        elif not ignorable(char):
            spaced += " "
    return " ".join(word for run in spaced.split(" ") if run for word in cut_twin(run))


def cut_twin(run: str) -> list[str]:
    found = [run[0]]
    for char in run[1:]:
        base = [c for c in found[-1] if not attached(c)]
        if (
            attached(char)
            or (not unspaced(char) and not unspaced(base[-1]))
            or unspaced(char)
            and unspaced(base[-1])
            and len(base) < 2
        ):
            found[-1] += char
        else:
            found.append(char)
    return found


def kept_classes(word: str) -> int:
    flags = unicode.LETTER * any(c.isalpha() for c in word)
    flags |= unicode.DIGIT * any(unicodedata.category(c)[0] == "N" for c in word)
    flags |= unicode.UPPER * any(c.isupper() for c in word)
    flags |= unicode.LOWER * any(c.islower() or (c.istitle() and not c.isupper()) for c in word)
    return flags | unicode.UNSPACED * any(unspaced(c) for c in word)


@settings(max_examples=400)
@given(TEXTS)
@example(["a" * 8 + " " + "b" * 16, None, "", " x ", "abcdefg\x85h"])
def test_split_equals_its_twin(texts):
    data, offsets = utf8.buffers(pa.array(texts, pa.large_string()))
    got = words.split(data, offsets)
    spelled = [bytes(data[a:b]).decode() for a, b in zip(got.starts, got.ends, strict=True)]
    expected = [split_twin(text or "") for text in texts]
    assert spelled == [word for text in expected for word in text]
    assert np.diff(got.offsets).tolist() == [len(text) for text in expected]
    assert got.chars.tolist() == [len(word) for word in spelled]
    assert got.classes.tolist() == [kept_classes(word) for word in spelled]
    assert got.hashes.tolist() == [
        hashing.word_hash(np.frombuffer(w.encode(), np.uint8), 0, len(w.encode())) for w in spelled
    ]


@settings(max_examples=400)
@given(TEXTS)
@example(["Don't STOP", "a\u00adb", "\ufe0fx", "é e\u0301 \u0301", "ABCDEFGHIJ" * 3, "字a字b字字字"])
def test_normalise_equals_its_twin(texts):
    data, offsets = utf8.buffers(pa.array(texts, pa.large_string()))
    got = utf8.strings(*words.normalise(data, offsets)).to_pylist()
    assert got == [normalise_twin(text or "") for text in texts]


@given(TEXTS)
def test_normalised_hashes_are_those_of_the_normalised_words(texts):
    data, offsets = utf8.buffers(pa.array(texts, pa.large_string()))
    hashes, word_offsets = words.normalised_word_hashes(data, offsets)
    expected, expected_offsets = words.word_hashes(*words.normalise(data, offsets))
    assert hashes.tolist() == expected.tolist()
    assert word_offsets.tolist() == expected_offsets.tolist()


@given(TEXTS, st.integers(0, 3))
def test_a_slice_has_the_same_words(texts, skip):
    array = pa.array(texts, pa.large_string())
    sliced = words.word_hashes(*utf8.buffers(array[skip:]))
    copied = words.word_hashes(*utf8.buffers(pa.array(texts[skip:], pa.large_string())))
    assert [part.tolist() for part in sliced] == [part.tolist() for part in copied]


@given(st.binary(max_size=50))
def test_broken_bytes_are_read_within_bounds(raw):
    data = np.frombuffer(raw, np.uint8)
    offsets = np.array([0, len(raw) // 2, len(raw)])
    got = words.split(data, offsets)
    assert (got.starts < got.ends).all() and (got.ends <= len(raw)).all()
    assert (got.ends[:-1] <= got.starts[1:]).all()
    words.normalised_word_hashes(data, offsets)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it's 5 o'clock", ["it's", "5", "o'clock"]),
        ("你好，世界。", ["你好，", "世界。"]),
        ("「こんにちは」", ["「こん", "にち", "は」"]),
        ("CD播放機2台", ["CD", "播放", "機", "2", "台"]),
        ("ที่นี่", ["ที่นี่"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("a\u3000b\u00a0c", ["a", "b", "c"]),
    ],
)
def test_golden_words(text, expected):
    data, offsets = utf8.buffers(pa.array([text]))
    got = words.split(data, offsets)
    assert [bytes(data[a:b]).decode() for a, b in zip(got.starts, got.ends, strict=True)] == expected


@given(st.lists(st.text(max_size=30)))
def test_spaced_counts_are_those_of_bytes_split(texts: list[str]) -> None:
    expected = [len(text.encode().split()) for text in texts]
    assert words.spaced_counts(*utf8.buffers(pa.array(texts, pa.large_string()))).tolist() == expected
    assert (
        words.spaced_counts(*utf8.buffers(pa.array(["x y", *texts], pa.large_string()).slice(1))).tolist()
        == expected
    )
