"""Bare words equal their twin over Python strings."""

import unicodedata

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.kernels.bare import bare_words
from corpuskit.kernels.hashing import word_hash
from corpuskit.kernels.utf8 import buffers
from corpuskit.kernels.words import split

CHARS = st.sampled_from(list("aZ9é É\u0301\u00ad-—$+.'\n\u3000我，喜ไทยß🙂Ω½\x00"))
TEXTS = st.lists(st.text(CHARS, max_size=20), max_size=4)


def twin(word):
    left = ""
    for char in word:
        category = unicodedata.category(char)[0]
        if category in "LN" or (category == "M" and left):
            left += char.lower()[0]
    return left


@given(TEXTS)
def test_it_equals_the_twin(texts):
    data, offsets = buffers(pa.array(texts, pa.large_string()))
    words = split(data, offsets)
    found = bare_words(data, offsets)
    expected, places = [], []
    for text in range(len(texts)):
        for at in range(words.offsets[text], words.offsets[text + 1]):
            start, end = int(words.starts[at]), int(words.ends[at])
            if bare := twin(bytes(data[start:end]).decode()):
                expected.append(bare)
                places.append((text, start, end))
    assert bytes(found.data).decode() == "".join(f"{word} " for word in expected)
    starts = found.edges[:-1]
    assert [
        bytes(found.data[a:b]).decode() for a, b in zip(starts, found.edges[1:] - 1, strict=True)
    ] == expected
    rows = np.repeat(np.arange(len(texts)), np.diff(found.offsets))
    assert list(zip(rows.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)) == places
    encoded = [np.frombuffer(word.encode(), np.uint8) for word in expected]
    assert found.hashes.tolist() == [int(word_hash(word, 0, len(word))) for word in encoded]


def test_gpt3_words():
    data, offsets = buffers(pa.array(["Don't STOP -- at U.S. $18!", "<<16-3=13>>13"]))
    assert bytes(bare_words(data, offsets).data) == b"dont stop at us 18 1631313 "
