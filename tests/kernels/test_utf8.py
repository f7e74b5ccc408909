"""Buffers, code points and the Unicode tables."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels import unicode, utf8

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=6)
UNSPACED_NAMES = (
    "CJK UNIFIED",
    "CJK COMPAT",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
)


@given(TEXTS, st.integers(0, 3), st.sampled_from([pa.string(), pa.large_string()]))
def test_buffers_give_each_text_and_nulls_as_empty(texts, skip, kind):
    array = pa.array(texts, kind)[skip:]
    data, offsets = utf8.buffers(array)
    assert data.dtype == np.uint8 and offsets.dtype == np.int64
    got = [bytes(data[a:b]).decode() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    assert got == [text or "" for text in texts[skip:]]
    assert utf8.strings(data, offsets).to_pylist() == got


def test_buffers_of_large_strings_share_memory():
    array = pa.array(["abc", "def"], pa.large_string())
    data, offsets = utf8.buffers(array[1:])
    assert data.ctypes.data == array.buffers()[2].address
    assert offsets.tolist() == [3, 6]


def test_buffers_of_chunks_and_of_nothing():
    chunked = pa.chunked_array([pa.array(["a"]), pa.array(["b", None])])
    data, offsets = utf8.buffers(chunked)
    assert bytes(data[: offsets[-1]]) == b"ab" and offsets.tolist() == [0, 1, 2, 2]
    assert utf8.buffers(pa.chunked_array([], pa.large_string()))[1].tolist() == [0]


def test_a_null_over_bytes_is_still_empty():
    valid = pa.py_buffer(bytes([0b01]))
    array = pa.LargeStringArray.from_buffers(
        2, pa.py_buffer(np.array([0, 1, 3])), pa.py_buffer(b"abc"), valid, null_count=1
    )
    assert utf8.buffers(array)[1].tolist() == [0, 1, 1]


def test_buffers_refuse_what_is_not_text():
    with pytest.raises((pa.ArrowInvalid, pa.ArrowNotImplementedError)):
        utf8.buffers(pa.array([[1]]))


@given(st.characters(exclude_categories=["Cs"]))
def test_decode_and_encode_are_pythons(char):
    data = np.frombuffer(char.encode(), np.uint8)
    assert utf8.decode(data, 0, len(data)) == (ord(char), len(data))
    out = np.zeros(4, np.uint8)
    assert bytes(out[: utf8.encode(ord(char), out, 0)]) == char.encode()


@pytest.mark.parametrize(
    "broken", [b"\x80", b"\xc3", b"\xe4\xb8", b"\xf0\x9f\x98", b"\xff", b"\xc0\xaf", b"\xf5\x80\x80\x80"]
)
def test_broken_bytes_are_one_replacement_each(broken):
    data = np.frombuffer(broken, np.uint8)
    assert utf8.decode(data, 0, len(data)) == (0xFFFD, 1)


def test_decode_does_not_read_past_the_text():
    data = np.frombuffer("é".encode(), np.uint8)
    assert utf8.decode(data, 0, 1) == (0xFFFD, 1)


def test_the_tables_are_those_of_the_pinned_unicode():
    if unicodedata.unidata_version != unicode.VERSION:
        pytest.skip(f"this Python has Unicode {unicodedata.unidata_version}")
    shipped, built = unicode.load(), unicode.build()
    assert shipped.keys() == built.keys()
    assert all(np.array_equal(shipped[key], built[key]) for key in built)


@given(st.characters(exclude_categories=["Cs", "Cn", "Co"]))
def test_classes_are_what_str_says(char):
    kind = utf8.class_of(ord(char))
    joiner = kind & unicode.IGNORABLE
    assert bool(kind & unicode.SPACE) == char.isspace()
    assert bool(kind & unicode.LETTER) == char.isalpha()
    assert bool(kind & unicode.DIGIT) == (unicodedata.category(char)[0] == "N")
    assert bool(kind & unicode.UPPER) == char.isupper()
    assert bool(kind & unicode.PUNCTUATION) == (unicodedata.category(char)[0] == "P")
    assert bool(kind & unicode.MARK) == (unicodedata.category(char)[0] == "M" and not joiner)
    assert chr(utf8.lower_of(ord(char))) == char.lower()[0]


def test_letters_of_scripts_without_spaces():
    for code in range(0x30000):
        name = unicodedata.name(chr(code), "")
        if name.startswith(UNSPACED_NAMES) and chr(code).isalpha():
            assert utf8.class_of(code) & unicode.UNSPACED, name
        elif name.startswith(("LATIN", "CYRILLIC", "HANGUL", "ARABIC", "DEVANAGARI", "GREEK")):
            assert not utf8.class_of(code) & unicode.UNSPACED, name


@pytest.mark.parametrize("char", ".!?。！？।؟")
def test_sentence_terminals(char):
    assert utf8.class_of(ord(char)) & unicode.TERMINAL


@pytest.mark.parametrize("char", ",;:…\"'”)")
def test_what_ends_no_sentence(char):
    assert not utf8.class_of(ord(char)) & unicode.TERMINAL
