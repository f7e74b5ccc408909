"""The n-gram filter: strings and bulk agree, stale files are refused, sizes against pybloom-live's."""

from __future__ import annotations

import dataclasses
import json
import os
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybloom_live import BloomFilter

from corpuskit.dedup import bloom
from corpuskit.dedup.bloom import Header, NgramFilter, grams_of
from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.kernels.bloom import probe_hashes
from corpuskit.kernels.utf8 import buffers

TEXTS = st.lists(st.text("abAé字9 .\n'", max_size=40), max_size=4)


def strings(texts):
    return pa.array(texts, pa.large_string())


def runs(texts, n):
    """Say what the n-grams of some texts are, in plain Python over what the words kernel calls words."""
    from corpuskit.kernels.utf8 import strings as as_texts
    from corpuskit.kernels.words import normalise

    found = []
    for text in as_texts(*normalise(*buffers(strings(texts)))).to_pylist():
        words = text.split()
        found += [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    return found


@given(TEXTS, TEXTS, st.integers(1, 4), st.integers(0, 5))
def test_a_single_string_equals_the_bulk(added, asked, n, seed):
    bulk, single = (NgramFilter(Header(n=n, capacity=500, seed=seed)) for _ in range(2))
    assert bulk.add_texts(strings(added)).tolist() == [single.add(gram) for gram in runs(added, n)]
    assert len(bulk) == len(single) == len(set(runs(added, n)))
    asked = asked + added
    expected = [gram in single for gram in runs(asked, n)]
    assert bulk.contains_texts(strings(asked)).tolist() == expected
    assert expected == [gram in set(runs(added, n)) for gram in runs(asked, n)]


def test_the_gpt2_example():
    seen = NgramFilter(Header(capacity=1000))
    seen.add_texts(strings(["The quick brown fox -- it's said -- jumps over the lazy dog."]))
    assert "quick brown fox it s said jumps over" in seen
    assert "QUICK, brown fox (it's said) jumps over!" in seen
    assert "brown quick fox it s said jumps over" not in seen


@pytest.mark.parametrize(
    "words", ["", "only seven words are not enough here", "now these are nine words and one too many"]
)
def test_a_string_of_another_length_cannot_be_asked_for(words):
    seen = NgramFilter(Header())
    with pytest.raises(UsageError, match="holds runs of 8"):
        words in seen  # noqa: B015 - it raises
    with pytest.raises(UsageError, match="holds runs of 8"):
        seen.add(words)


def test_over_filling_is_an_error_before_quality_is_lost():
    seen = NgramFilter(Header(capacity=1000))
    hashes = probe_hashes(1001, 1)
    seen.add_hashes(hashes[:1000])
    with pytest.raises(DoesNotFit, match="as many as it was made for"):
        seen.add_hashes(hashes)
    assert len(seen) == 1000
    assert seen.contains(hashes).tolist() == [True] * 1000 + [False]


def test_what_does_not_fit_is_said_before_it_is_tried():
    with pytest.raises(DoesNotFit, match="GiB"):
        NgramFilter(Header(capacity=10**14))


@pytest.mark.parametrize("wrong", [{"n": 0}, {"rate": 0.0}, {"rate": 0.9}, {"seed": -1}, {"capacity": -1}])
def test_senseless_headers_are_refused(wrong):
    with pytest.raises(UsageError):
        Header(**wrong)


def test_a_saved_filter_is_the_same_and_says_what_it_is(tmp_path):
    path = tmp_path / "seen.bloom"
    header = Header(n=3, capacity=2000, inputs=("abc",))
    made = NgramFilter(header)
    hashes = probe_hashes(2000, 2)
    made.add_hashes(hashes)
    made.save(str(path))
    again = NgramFilter.load(str(path), expect=header)
    assert (again.header, len(again), again.size.lines) == (header, 2000, made.size.lines)
    asked = np.concatenate([hashes, probe_hashes(2000, 3)])
    assert again.contains(asked).tolist() == made.contains(asked).tolist()
    assert path.stat().st_size % 128 == 0
    told, start = bloom.read_header(str(path))
    assert told["measured"] == {"probes": 1_000_000, "hits": 0}
    assert (told["n"], told["capacity"], told["count"], told["inputs"]) == (3, 2000, 2000, ["abc"])
    assert start % 4096 == 0
    first = path.read_bytes()
    made.save(str(path))
    assert path.read_bytes() == first
    assert os.listdir(tmp_path) == ["seen.bloom"]  # noqa: PTH208 - names are all that is wanted


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": 4}, "n is 3, not 4"),
        ({"rate": 1e-4}, "rate is 1e-08, not 0.0001"),
        ({"seed": 9}, "seed is 1, not 9"),
        ({"inputs": ("other",)}, "inputs is abc, not other"),
        ({"capacity": 50}, "capacity is 100, not 50"),
    ],
)
def test_a_stale_filter_is_refused_by_what_differs(tmp_path, change, said):
    header = Header(n=3, capacity=100, inputs=("abc",))
    path = str(tmp_path / "f.bloom")
    NgramFilter(header).save(path)
    with pytest.raises(InputError, match=re.escape(said)):
        NgramFilter.load(path, expect=dataclasses.replace(header, **change))


def spoilt(data, told):
    """Put another header before the table of a saved filter."""
    length = int.from_bytes(data[8:16], "little")
    head = json.dumps(json.loads(data[16 : 16 + length]) | told).encode()
    start = data[:8] + len(head).to_bytes(8, "little") + head
    return start + bytes(-len(start) % 4096) + data[4096:]


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "f.bloom"
    NgramFilter(Header(capacity=100)).save(str(path))
    data = path.read_bytes()
    cases = [b"", data[:4], data[:200], data[:-1], data + b"x", b"CKBLOOM1" + b"\xff" * 100]
    cases += [data[:16] + b"[" * 300 + data[316:], data[:8] + (2).to_bytes(8, "little") + b"[]" + data[18:]]
    told = [{"lines": 0}, {"lines": 10**9}, {"probes": 15}, {"rate": "x"}, {"n": None}, {"inputs": 3}]
    for case in cases + [spoilt(data, change) for change in told]:
        path.write_bytes(case)
        with pytest.raises(InputError):
            NgramFilter.load(str(path))
    with pytest.raises(InputError):
        NgramFilter.load(str(tmp_path / "missing.bloom"))


def test_union_and_intersection():
    hashes = probe_hashes(900, 4)
    one, two = (NgramFilter(Header(capacity=1000, inputs=(name,))) for name in "ab")
    one.add_hashes(hashes[:600])
    two.add_hashes(hashes[300:])
    both, common = one | two, one & two
    assert both.contains(hashes).all()
    assert common.contains(hashes).tolist() == [300 <= place < 600 for place in range(900)]
    assert len(both) == pytest.approx(900, abs=20)
    assert 300 <= len(common) <= 600
    assert both.header.inputs == ("a", "b")
    assert one.union(two).contains(hashes).all()
    assert len(one) == 600


def test_union_of_too_many_or_of_unlike_filters_is_refused():
    one, two = (NgramFilter(Header(capacity=1000)) for _ in range(2))
    one.add_hashes(probe_hashes(1000, 5))
    two.add_hashes(probe_hashes(1000, 6))
    with pytest.raises(DoesNotFit, match="made for 1,000"):
        one | two
    for change, said in [
        ({"capacity": 999}, "capacity is 1000, not 999"),
        ({"seed": 2}, "seed"),
        ({"n": 5}, "n is"),
    ]:
        with pytest.raises(UsageError, match=said):
            one & NgramFilter(dataclasses.replace(Header(capacity=1000), **change))


def test_a_shard_knows_only_its_own():
    hashes = probe_hashes(4000, 7)
    shards = [NgramFilter(Header(capacity=4000, shard=shard, bits=2)) for shard in range(4)]
    for shard, one in enumerate(shards):
        one.add_hashes(hashes[hashes >> np.uint64(62) == shard])
        one.measure()
    assert sum(len(one) for one in shards) == 4000
    found = np.stack([one.contains(hashes) for one in shards])
    assert (found.sum(axis=0) == 1).all()


def test_a_rate_that_is_not_kept_is_noticed():
    seen = NgramFilter(Header(capacity=1000))
    seen._table[:] = np.iinfo(np.uint64).max
    with pytest.raises(AssertionError, match="random probes hit"):
        seen.measure()


@pytest.mark.parametrize(("capacity", "rate"), [(1000, 1e-2), (50_000, 1e-4), (200_000, 1e-8)])
def test_our_sizing_against_that_of_pybloom_live(capacity, rate):
    theirs, ours = BloomFilter(capacity, rate), NgramFilter(Header(capacity=capacity, rate=rate))
    bits = 8 * ours.size.table_bytes
    assert ours.size.rate <= rate
    assert 0.9 * theirs.num_bits <= bits <= 1.24 * theirs.num_bits + 2048  # uneven lines cost up to 24 %


def test_both_kinds_of_filter_keep_their_promise_on_the_same_strings():
    grams = [f"a{i} b c" for i in range(3000)]
    ours, theirs = NgramFilter(Header(n=3, capacity=3000, rate=1e-3)), BloomFilter(3000, 1e-3)
    ours.add_texts(strings(grams))
    for gram in grams:
        theirs.add(gram)
    assert all(gram in theirs for gram in grams)
    assert ours.contains_texts(strings(grams)).all()
    others = [f"a{i} b d" for i in range(30_000)]
    wrong = int(ours.contains_texts(strings(others)).sum()), sum(gram in theirs for gram in others)
    assert max(wrong) < 30 + 5 * 6
    assert len(grams_of(*buffers(strings(others)), 3)[0]) == 30_000
