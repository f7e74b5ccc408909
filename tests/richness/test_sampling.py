"""Samples: what is drawn depends on ids and texts alone, and holds exactly what was asked."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.kernels.utf8 import strings
from corpuskit.kernels.words import normalise
from corpuskit.richness.sampling import PASSAGE_BYTES, Passages, Rows

MASK = 2**64 - 1


def mix(value):
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def cut(text):
    """Cut a text into passages, slowly."""
    count = max(1, (len(text) + PASSAGE_BYTES // 2) // PASSAGE_BYTES) if text else 0
    edges = [0]
    for number in range(1, count):
        place = number * PASSAGE_BYTES
        near = [at for at in range(place, min(place + 64, len(text))) if text[at] in b" \t\n\v\f\r"]
        while not near and place < len(text) and text[place] & 0xC0 == 0x80:
            place += 1
        edges.append(near[0] if near else place)
    return [text[a:b] for a, b in zip(edges, [*edges[1:], len(text)], strict=True)] if count else []


def words_of(text):
    one = np.frombuffer(text, np.uint8)
    return strings(*normalise(one, np.array([0, len(one)]))).to_pylist()[0].split()


def drawn_slowly(documents, count):
    passages = sorted(
        (mix((key + number * 0x9E3779B97F4A7C15) & MASK), piece, key)
        for key, text in documents
        for number, piece in enumerate(cut(text))
    )
    kept, words, size = [], 0, 0
    for _, piece, key in passages:
        if words >= count or size >= 32 * count:
            break
        kept.append((piece, key % 10))
        words += len(words_of(piece))
        size += len(piece)
    return kept if words >= count else None


def add(passages, documents):
    data = b"".join(text for _, text in documents)
    ends = np.cumsum([len(text) for _, text in documents], dtype=np.int64)
    starts = ends - np.array([len(text) for _, text in documents], np.int64)
    keys = np.array([key for key, _ in documents], np.uint64)
    passages.add(keys, np.frombuffer(data, np.uint8), starts, ends)


def shown(sample):
    return None if sample is None else list(zip(sample.texts, sample.groups.tolist(), strict=True))


@st.composite
def corpora(draw):
    chance = random.Random(draw(st.integers(0, 10**6)))
    letters = draw(st.sampled_from(["ab cd ", "é中文字 ", "x", "a\n.,  ", "..."]))
    count = draw(st.integers(1, 12))
    sizes = [chance.choice([0, 1, 30, 900, 3071, 3072, 5000]) for _ in range(count)]
    texts = ["".join(chance.choices(letters, k=size)).encode() for size in sizes]
    return [(chance.getrandbits(64), text) for text in texts]


@settings(max_examples=60)
@given(corpora(), st.integers(1, 1500))
def test_passages_equal_their_twin_however_they_come(documents, count):
    expected = drawn_slowly(documents, count)
    whole, one_by_one, first, second = (Passages(count) for _ in range(4))
    add(whole, documents)
    for one in reversed(documents):
        add(one_by_one, [one])
    add(first, documents[::2])
    add(second, documents[1::2])
    merged = Passages(count)
    merged.merge([second, first])
    assert shown(whole.sample()) == shown(one_by_one.sample()) == shown(merged.sample()) == expected
    if expected is not None:
        sample = whole.sample()
        assert len(sample.hashes) == sample.offsets[-1] == count


def test_no_group_is_in_the_sample_left_without_it_and_all_are_of_one_size():
    chance = random.Random(3)
    passages = Passages(5000)
    add(passages, [(chance.getrandbits(64), b"one two three four " * 5) for _ in range(400)])
    sample = passages.sample()
    others = list(sample.without_each())
    assert [set(range(10)) - set(one.groups.tolist()) for one in others] == [{group} for group in range(10)]
    (size,) = {len(one.hashes) for one in others}
    largest = np.bincount(sample.groups, np.diff(sample.offsets)).max()
    assert size == 5000 - largest
    for one in others:
        assert one.offsets[-1] == size and len(one.texts) == len(one.groups) == len(one.offsets) - 1


def test_one_document_has_no_sample_without_its_group():
    passages = Passages(100)
    add(passages, [(5, b"word " * 3000)])
    assert list(passages.sample().without_each()) == []


def test_texts_without_words_take_no_memory_and_give_no_sample():
    passages = Passages(1000)
    chance = random.Random(4)
    for _ in range(20):
        add(passages, [(chance.getrandbits(64), b"." * 50_000)])
    assert sum(len(one.text) for one in passages._kept) < 32_000 + PASSAGE_BYTES
    assert passages.sample() is None


@given(st.lists(st.integers(0, MASK), unique=True, max_size=60), st.integers(1, 20), st.integers(1, 7))
def test_rows_are_those_of_the_smallest_keys_that_have_a_value(keys, count, step):
    rows, parts = Rows(count), [Rows(count) for _ in range(2)]
    for number, start in enumerate(range(0, len(keys), step)):
        some = np.array(keys[start : start + step], np.uint64)
        for one in (rows, parts[number % 2]):
            one.add(some, lambda at, some=some: (some[at] % 3 > 0, some[at].astype(str)))
    merged = Rows(count)
    merged.merge(parts)
    best = sorted(key for key in keys if key % 3)[:count]
    expected = ([str(key) for key in best], [key % 10 for key in best]) if len(best) == count else None
    for one in (rows, merged):
        found = one.sample()
        assert (found and tuple(part.tolist() for part in found)) == expected
