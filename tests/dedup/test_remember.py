"""Exact and minhash over time: runs with an index, one after the other, against one run over all of it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.dedup import links, numbering
from corpuskit.dedup.exact import Exact
from corpuskit.dedup.minhash import MinHash
from corpuskit.testing import write_dataset
from tests.dedup.batches import LINES, MANY, batch, batches, both_ways, in_turn, run_here, text


@given(LINES, LINES, LINES, st.sampled_from(["text", "normalised"]))
@settings(**MANY)
def test_exact_in_batches_is_exact_at_once(one, two, three, key):
    turns, whole, plain = both_ways(lambda index: Exact(key=key, index=index), one, two, three)
    assert turns == whole == plain


@given(LINES, LINES, LINES, st.sampled_from([0.4, 0.75]))
@settings(**MANY)
def test_minhash_in_batches_is_minhash_at_once(one, two, three, threshold):
    """Also against all pairs: a document goes if it is like any earlier one, and its twin stayed for that."""

    def make(index):
        return MinHash(threshold=threshold, ngram=2, bands=40, rows=1, index=index)

    turns, whole, plain = both_ways(make, one, two, three)
    assert turns == whole
    assert set(plain[0]) <= set(whole[0])  # a cluster closed by a later document: see the next test
    lines, stays, twins = [*one, *two, *three], [], {}
    for number, line in enumerate(lines):
        like = [at for at in range(number) if line and lines[at] and _jaccard(lines[at], line) >= threshold]
        if like:
            twins[number] = twins.get(like[0], like[0])
        else:
            stays.append(number)
    assert [int(name, 16) for name in turns[0]] == stays
    assert {int(row["id"], 16): int(row["twin"], 16) for row in turns[1]} == twins
    assert all(row["value"] >= row["bound"] == threshold for row in turns[1])


def _jaccard(one, two):
    sets = []
    for words in (one.split(), two.split()):
        sets.append({tuple(words[at : at + 2]) for at in range(max(1, len(words) - 1))})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_a_later_document_cannot_undo_what_was_kept():
    """w8 is like w0 and like w16, which are not alike: closing the cluster would drop w16 after the fact."""
    turns, whole, plain = both_ways(
        lambda index: MinHash(bands=100, rows=1, index=index), [text(100), text(100, 16)], [text(100, 8)], []
    )
    assert turns == whole
    assert [int(name, 16) for name in turns[0]] == [0, 1]
    assert [int(name, 16) for name in plain[0]] == [0]


def test_what_is_like_a_dropped_old_document_goes_and_names_the_one_that_stayed():
    turns, whole, _ = both_ways(
        lambda index: MinHash(bands=100, rows=1, index=index), [text(100)], [text(100, 8)], [text(100, 16)]
    )
    assert turns == whole
    assert [(int(row["id"], 16), int(row["twin"], 16)) for row in turns[1]] == [(1, 0), (2, 0)]
    assert turns[1][1]["value"] == pytest.approx(_five(100, 8))


def _five(words, shift):
    runs = words - 4
    return (runs - shift) / (runs + shift)


def test_large_buckets_buckets_of_hashes_and_blocks_change_nothing(monkeypatch):
    chance = random.Random(7)
    lines = []
    for _ in range(150):
        words = text(60).split()
        for place in chance.sample(range(60), chance.randrange(4)):
            words[place] = f"v{chance.randrange(30)}"
        lines.append(" ".join(words))
    lists = (lines[:50], lines[50:90], lines[90:])
    turns, whole, _ = both_ways(lambda index: MinHash(index=index), *lists)
    assert turns == whole
    assert 1 < len(whole[0]) < 100
    monkeypatch.setattr(numbering, "BUCKET_ROWS", 20)
    monkeypatch.setattr(links, "BUCKET_ROWS", 20)
    monkeypatch.setattr(links, "BLOCK_BYTES", 5000)
    again, _, _ = both_ways(lambda index: MinHash(index=index), *lists)
    assert (sorted(again[0]), sorted(again[1], key=str)) == (sorted(turns[0]), sorted(turns[1], key=str))
    exact, at_once, _ = both_ways(lambda index: Exact(index=index), *lists)
    assert exact == at_once


@pytest.mark.parametrize("chain", [Exact, MinHash])
def test_references_and_an_index_together(tmp_path, chain):
    reference = write_dataset(tmp_path / "reference", batch([text(100), text(90, 700)], 100))
    sources = batches(tmp_path, ["a", text(100)], [text(100), text(90, 700), "a"], ["b", text(100)])
    kept, rejects = in_turn(lambda at: chain(against=(reference,), index=at), sources, tmp_path / "turns")
    made = chain(against=(reference,), index=str(tmp_path / "other"))
    assert (kept, rejects) == run_here(made, sources, tmp_path / "whole")
    twins = {int(row["id"], 16): int(row["twin"], 16) for row in rejects}
    assert twins == {1: 100, 2: 100, 3: 101, 4: 0, 6: 100}
    late = write_dataset(tmp_path / "late", batch([text(100)], 200))
    _, (row,) = run_here(chain(index=str(tmp_path / "turns" / "index")), [late], tmp_path / "late-run")
    assert int(row["twin"], 16) == 100  # seen before, and gone for the reference's sake
