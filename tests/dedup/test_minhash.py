import random
import tempfile
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpuskit.dedup import clusters, links, numbering
from corpuskit.dedup.minhash import MinHash, bands_and_rows, chance_to_meet, shingles, signatures
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, UsageError
from corpuskit.testing import check_stage, documents, write_dataset

WORDS = list("abcdefg")


def text(words, start=0):
    return " ".join(f"w{number}" for number in range(start, start + words))


def variants(base, count, changed, seed=0):
    """Vary `changed` words of a text of `base` words, `count` times."""
    chance = random.Random(seed)
    for version in range(count):
        words = text(base).split()
        for place in chance.sample(range(base), changed):
            words[place] = f"v{version}p{place}"
        yield " ".join(words)


def jaccard(one, two, ngram=5):
    """Slow twin, of sets of shingles as strings."""
    sets = []
    for words in (one.lower().split(), two.lower().split()):
        sets.append({" ".join(words[at : at + ngram]) for at in range(max(1, len(words) - ngram + 1))})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def dropped(split):
    return {int(row["id"], 16): int(row["twin"], 16) for row in split.rejected.to_pylist()}


# Signatures.


def test_shingles_are_runs_of_normalised_words():
    hashes, offsets = shingles(["The cat -- sat!", "the CAT sat", "cat sat", "", None, "..."], 2)
    assert offsets.tolist() == [0, 2, 4, 5, 5, 5, 5]
    assert hashes[:2].tolist() == hashes[2:4].tolist()
    assert hashes[1] == hashes[4]


def test_a_short_text_is_one_shingle_that_no_longer_text_has():
    hashes, offsets = shingles(["a b", "a b c d e"])
    assert offsets.tolist() == [0, 1, 2]
    assert hashes[0] != hashes[1]


def test_datasketch_reads_and_queries_our_signatures():
    datasketch = pytest.importorskip("datasketch")
    texts = [*variants(300, 4, 1), *variants(300, 1, 150), text(300, 5000)]
    rows = signatures(texts, permutations=128)
    theirs = [
        datasketch.MinHash(
            hashvalues=row, seed=1, scheme="affine32", hashfunc=lambda value: int(value) & 0xFFFFFFFF
        )
        for row in rows
    ]
    index = datasketch.MinHashLSH(threshold=0.8, num_perm=128)
    for number, one in enumerate(theirs):
        index.insert(number, one)
    assert sorted(index.query(theirs[0])) == [0, 1, 2, 3]
    assert index.query(theirs[5]) == [5]
    hashes, offsets = shingles(texts)
    again = datasketch.MinHash(128, seed=1, hashfunc=lambda value: int(value) & 0xFFFFFFFF)
    again.update_batch(hashes[offsets[4] : offsets[5]])
    assert again.jaccard(theirs[4]) == 1.0
    assert theirs[0].jaccard(theirs[1]) == pytest.approx(jaccard(texts[0], texts[1]), abs=0.12)


def test_signatures_take_arrow_and_python_strings():
    texts = [text(10), None, ""]
    arrow = pa.chunked_array([pa.array(texts[:1]), pa.array(texts[1:])])
    assert signatures(texts).tolist() == signatures(arrow).tolist()
    assert signatures([]).shape == (0, 112)


# Bands.


def test_the_default_is_fineweb():
    assert MinHash().shape == (14, 8)
    assert chance_to_meet(0.8, 14, 8) == pytest.approx(0.924, abs=5e-4)


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0])
def test_bands_are_the_longest_that_find_what_they_must(threshold):
    bands, rows = bands_and_rows(threshold)
    assert bands * rows <= 112
    assert chance_to_meet(threshold, bands, rows) >= 0.92
    assert all(chance_to_meet(threshold, 112 // more, more) < 0.92 for more in range(rows + 1, 113))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": 80.0}, "threshold is 80.0"),
        ({"threshold": 0.01}, "too few for a threshold"),
        ({"bands": 14}, "bands and rows belong together"),
        ({"bands": 0, "rows": 8}, "bands is 0"),
        ({"ngram": 0}, "ngram is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1 << 32}, "seed is"),
        ({"keep": "last"}, "keep is 'last'"),
    ],
)
def test_wrong_settings_are_the_users_error(wrong, told):
    with pytest.raises(UsageError, match=told) as error:
        MinHash(**wrong)
    assert error.value.fix


# The chain.


@pytest.mark.parametrize("confirm", [True, False])
@pytest.mark.parametrize("keep", ["first", "none"])
def test_the_laws(confirm, keep):
    check_stage(MinHash(confirm=confirm, keep=keep), documents([*variants(60, 4, 1), "Short.", "short", ""]))


def test_near_duplicates_go_and_name_their_twin(runs, tmp_path):
    texts = [text(100), text(100, 900), text(101), text(100).upper() + "!", "Hi!", "hi", "", "", "?"]
    split = runs(MinHash(), [write_dataset(tmp_path / "docs", documents(texts))])
    assert dropped(split) == {2: 0, 3: 0, 5: 4}
    rows = {int(row["id"], 16): row for row in split.rejected.to_pylist()}
    assert rows[2]["value"] == pytest.approx(96 / 97)
    assert rows[3]["value"] == rows[5]["value"] == 1.0
    assert {row["rule"] for row in rows.values()} == {"minhash.duplicate"}
    assert {row["stage"] for row in rows.values()} == {"dedup.minhash"}
    assert {row["bound"] for row in rows.values()} == {0.8}
    assert all(row["start"] is None for row in rows.values())


def test_the_threshold_is_a_bound_of_the_true_similarity(runs, tmp_path):
    # 9 shingles in common of 10, and so many bands that everything meets.
    pair = [text(13), text(14)]
    assert jaccard(*pair) == 0.9
    path = write_dataset(tmp_path / "docs", documents(pair))
    assert dropped(runs(MinHash(threshold=0.9, bands=100, rows=1), [path])) == {1: 0}
    assert dropped(runs(MinHash(threshold=0.9000001, bands=100, rows=1), [path])) == {}
    assert dropped(runs(MinHash(threshold=0.9000001, bands=100, rows=1, confirm=False), [path])) == {1: 0}


def test_without_verification_there_is_no_value(runs, tmp_path):
    path = write_dataset(tmp_path / "docs", documents([text(50), text(50)]))
    (row,) = runs(MinHash(confirm=False), [path]).rejected.to_pylist()
    assert (row["value"], row["bound"], row["twin"]) == (None, None, f"{0:032x}")


def test_a_chain_of_likeness_is_one_cluster(runs, tmp_path):
    texts = [text(100, start) for start in (0, 8, 16)]
    assert jaccard(texts[0], texts[2]) < 0.8 < jaccard(texts[0], texts[1])
    split = runs(MinHash(bands=100, rows=1), [write_dataset(tmp_path / "docs", documents(texts))])
    assert dropped(split) == {1: 0, 2: 0}
    values = split.rejected["value"].to_pylist()
    assert values == pytest.approx([jaccard(texts[0], texts[1]), jaccard(texts[0], texts[2])])


def test_policies(runs, tmp_path):
    dates = [datetime(2024, 1, day, tzinfo=UTC) if day else None for day in (0, 3, 2)]
    docs = documents([text(100), text(102), text(101)], date=dates)
    path = write_dataset(tmp_path / "docs", docs.append_column("score", pa.array([0.5, None, 0.7])))
    for confirm in (True, False):
        for keep, survivor in {"first": 0, "longest": 1, "newest": 1, "best:score": 2}.items():
            split = runs(MinHash(keep=keep, confirm=confirm), [path])
            assert [int(name, 16) for name in split.kept["id"].to_pylist()] == [survivor], keep
            assert set(dropped(split).values()) == {survivor}
        assert dropped(runs(MinHash(keep="none", confirm=confirm), [path])) == {0: 1, 1: 0, 2: 0}


def test_several_sources_in_order_of_preference(runs, tmp_path):
    one = write_dataset(tmp_path / "one", documents([text(50), text(50, 500)]))
    other = documents([text(51), text(50, 900)], id=[f"{number:032x}" for number in (10, 11)])
    two = write_dataset(tmp_path / "two", other.slice(0, 0), other)
    assert dropped(runs(MinHash(), [one, two])) == {10: 0}
    assert dropped(runs(MinHash(), [two, one])) == {0: 10}
    assert dropped(runs(MinHash(), [one, one])) == {0: 0, 1: 1}


def test_one_document_and_none(runs, tmp_path):
    docs = documents([text(50)])
    assert len(runs(MinHash(), [write_dataset(tmp_path / "one", docs)]).kept) == 1
    assert len(runs(MinHash(), [write_dataset(tmp_path / "none", docs.slice(0, 0))]).kept) == 0


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=8), max_size=12), st.sampled_from([0.4, 0.75, 1.0]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_clusters_equal_all_pairs(runs, texts, threshold):
    """With bands of one row everything alike meets, so the result is that of comparing all pairs."""
    lines = [" ".join(words) for words in texts]
    docs = documents(lines)
    cut = len(docs) // 3
    with tempfile.TemporaryDirectory() as folder:
        path = write_dataset(folder, docs.slice(0, cut), docs.slice(cut))
        split = runs(MinHash(threshold=threshold, ngram=2, bands=40, rows=1), [path])
    root = list(range(len(lines)))
    for i, one in enumerate(lines):
        for j, two in enumerate(lines):
            if one and two and jaccard(one, two, 2) >= threshold:
                root = [min(root[i], root[j]) if label in (root[i], root[j]) else label for label in root]
    assert dropped(split) == {number: label for number, label in enumerate(root) if label != number}
    for row in split.rejected.to_pylist():
        assert row["value"] == jaccard(lines[int(row["id"], 16)], lines[int(row["twin"], 16)], 2)


def test_buckets_and_blocks_change_nothing(runs, tmp_path, monkeypatch):
    texts = [one for seed in range(30) for one in variants(40 + seed, 12, 1, seed)]
    docs = documents(texts)
    path = write_dataset(tmp_path / "docs", docs.slice(0, 100), docs.slice(100, 7), docs.slice(107))
    whole = runs(MinHash(), [path]).rejected.sort_by("id")
    assert len(whole) > 200
    monkeypatch.setattr(numbering, "BUCKET_ROWS", 50)
    monkeypatch.setattr(links, "BUCKET_ROWS", 50)
    monkeypatch.setattr(links, "BLOCK_BYTES", 5000)
    monkeypatch.setattr(clusters, "BLOCK_BYTES", 5000)
    assert runs(MinHash(), [path]).rejected.sort_by("id").equals(whole)


def test_a_component_larger_than_memory_goes_through_a_file(runs, tmp_path, monkeypatch):
    docs = documents(variants(200, 100, 1))
    path = write_dataset(tmp_path / "docs", docs)
    whole = runs(MinHash(), [path]).rejected
    assert len(whole) == 99
    opened = []
    real = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *args, **given: opened.append(given) or real(*args, **given))
    assert runs(MinHash(memory=40_000), [path]).rejected.equals(whole)
    assert opened


def test_what_does_not_fit_is_told_before_the_work(runs, tmp_path):
    path = write_dataset(tmp_path / "docs", documents(["a"] * 1000))
    with pytest.raises(DoesNotFit, match="dedup.minhash needs 1 MiB a worker"):
        runs(MinHash(memory=1000), [path])


def test_equal_documents_are_linear(runs, tmp_path):
    count = 100_000
    docs = documents([text(40)] * count)
    split = runs(MinHash(), [write_dataset(tmp_path / "docs", docs.slice(0, 60_000), docs.slice(60_000))])
    assert split.kept["id"].to_pylist() == [f"{0:032x}"]
    assert len(split.rejected) == count - 1


def test_any_number_of_workers_writes_the_same_bytes(tmp_path):
    docs = documents([*variants(60, 30, 1), *variants(80, 30, 2)])
    path = write_dataset(tmp_path / "docs", docs.slice(0, 20), docs.slice(20, 25), docs.slice(45))
    parts = []
    for workers in (1, 2):
        dataset = run(MinHash(), path, str(tmp_path / f"{workers}"), options=Options(workers=workers))
        parts.append([(part.rows, part.sha256) for part in (*dataset.parts, *dataset.rejects)])
    assert parts[0] == parts[1]
    assert dataset.rows < 60


def test_the_seed_is_content_and_memory_is_not():
    assert MinHash(seed=2).digest() != MinHash().digest()
    assert MinHash(memory=1 << 20).digest() == MinHash().digest()
