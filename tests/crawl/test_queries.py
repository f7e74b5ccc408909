"""CLIP's list of queries: each part, their order, and that every query can match."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from test_wordnet import ADJ, NOUN

from corpuskit import engine
from corpuskit.crawl.matching import Match, Matcher
from corpuskit.crawl.queries import QUERIES, Queries
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, TooManyBadRecords, UsageError
from corpuskit.testing import check_stage, documents, write_dataset

ONE = engine.Options(workers=1)
TEXTS = ["The dog saw St. Louis. The cat!", "the Dog, the zoë 7", "new york, New York"]


@pytest.fixture(scope="module", autouse=True)
def workers():
    """Keep one crew of workers for all runs here."""
    with engine.crew():
        yield


@pytest.fixture
def wordnet(tmp_path: Path) -> str:
    folder = tmp_path / "wordnet"
    folder.mkdir()
    (folder / "data.adj").write_text(ADJ)
    (folder / "data.noun").write_text(NOUN.replace("no synset at all\n", ""))
    return str(folder)


def made(stage: Queries, sources: str | list[str], target: Path, **options: object) -> Dataset:
    chosen = engine.Options(**{"workers": 1, "max_bad": 0.5, **options})
    return engine.run(stage, sources, str(target), options=chosen)


def listed(dataset: Dataset) -> list[tuple[str, str, int | None]]:
    assert dataset.schema.equals(QUERIES)
    return [(row["source"], row["query"], row["count"]) for row in dataset.table().to_pylist()]


def rejected(dataset: Dataset) -> dict[str, tuple[str, str | None]]:
    rows = [row for batch in dataset.reject_batches() for row in batch.to_pylist()]
    return {row["origin"]: (row["rule"], row["twin"]) for row in rows}


def matching(queries: pa.Array, compat: str | None = None) -> np.ndarray:
    """Say which queries are found in a text that is the query alone."""
    found = Matcher(queries, compat).find(queries)
    rows = np.repeat(np.arange(len(queries)), np.diff(found.offsets))
    return np.isin(np.arange(len(queries)), rows[found.phrases == rows])


def test_every_part_in_its_order(tmp_path, wordnet):
    texts = write_dataset(tmp_path / "texts", documents(TEXTS))
    counts = tmp_path / "counts.txt"
    counts.write_text("dog 1\ncat 2\nzebra 3\nrare 1\nU.S. 4\n-- 9\nnew york 3\n")
    views = tmp_path / "pageviews.gz"
    views.write_bytes(
        gzip.compress(b"en Mount_Dog 50 0\nen Seldom 69 0\nen Dog 80 0\nen - 99 0\nen Zoe\xcc\x88 300 0\n")
    )
    more = tmp_path / "more.gz"
    more.write_bytes(gzip.compress(b"en Mount_Dog 20 0\nen Often 49 0\nen Often 70 0\nen Talk:X 99 0\n"))
    extra = tmp_path / "mine.txt"
    extra.write_text("my own query\nOFTEN\n")
    stage = Queries(
        min_count=3,
        bigrams="top:1",
        min_bigram_count=2,
        titles=(str(views), str(more)),
        min_hourly_views=50,
        wordnet=wordnet,
        extra=(str(extra),),
        buckets=2,
    )
    dataset = made(stage, [texts, str(counts)], tmp_path / "out")
    assert listed(dataset) == [
        ("wordnet", "St. Louis", None),
        ("wordnet", "entity", None),
        ("wordnet", "ready to hand", None),
        ("words", "U.S.", 4),
        ("words", "the", 4),
        ("words", "cat", 3),
        ("words", "dog", 3),
        ("words", "zebra", 3),
        ("bigrams", "new york", 5),
        ("titles", "Zoë", 300),  # told in another form of Unicode
        ("titles", "Often", 70),
        ("file", "my own query", None),
    ]
    ids = {row["query"]: row["id"] for row in dataset.table().to_pylist()}
    assert rejected(dataset) == {
        "words: --": ("queries.unmatchable", None),
        "titles: -": ("queries.unmatchable", None),
        "titles: Dog": ("queries.duplicate", ids["dog"]),
        "file: OFTEN": ("queries.duplicate", ids["Often"]),
    }
    facts = dataset.manifest["stages"][0]["facts"]
    told = {name: facts[f"from {name}"] for name in ("wordnet", "words", "bigrams", "titles", "file")}
    assert told == {"wordnet": 3, "words": 5, "bigrams": 1, "titles": 2, "file": 1}
    assert (
        facts["titles too rarely viewed"] == 2
    )  # "Seldom" has 69; "Mount Dog" 50, as its hour of 20 is none
    assert facts["words too rare"] == 8
    assert facts["pairs often enough"] == 2


def test_metaclip_s_list_and_flaws(tmp_path, wordnet):
    texts = write_dataset(tmp_path / "texts", documents(["Dog, dog St. Louis", "New York New York"]))
    views = tmp_path / "views.gz"
    views.write_bytes(gzip.compress(b"en AT%26T 90 0\nen Dog 90 0\nen St._Louis 90 0\nen ! 90 0\n"))
    chosen = {"wordnet": wordnet, "titles": (str(views),), "compat": "metaclip", "buckets": 2}
    stage = Queries(min_count=1, bigrams="top:3", min_bigram_count=2, **chosen)
    dataset = made(stage, texts, tmp_path / "out")
    assert stage.recounts(dataset) == ("bigrams: 1, not 3, as no more pairs of words occur 2 times",)
    rows = listed(dataset)
    assert rows[:100] == [("numbers", str(number), None) for number in range(100)]
    assert rows[100:] == [
        ("wordnet", "entity", None),
        ("wordnet", "ready to hand", None),
        ("wordnet", "st", None),
        ("words", "New", 2),
        ("words", "York", 2),
        ("words", "Dog", 1),
        ("words", "Louis", 1),
        ("words", "St", 1),
        ("words", "dog", 1),
        ("bigrams", "New York", 2),
        ("titles", "AT%26T", 90),
        ("titles", "St. Louis", 90),
    ]
    queries = dataset.table(["query"])["query"].combine_chunks()
    silent = queries.filter(pa.array(~matching(queries, "metaclip"))).to_pylist()
    assert silent == ["St. Louis"]
    assert dataset.manifest["stages"][0]["facts"]["cannot match"] == len(silent)
    assert {origin: rule for origin, (rule, _) in rejected(dataset).items()} == {
        "words: ,": "queries.unmatchable",
        "words: .": "queries.unmatchable",
        "titles: Dog": "queries.duplicate",
        "titles: !": "queries.unmatchable",
    }


def test_titles_of_documents_files_and_tables(tmp_path):
    (tmp_path / "words.txt").write_text("dog 100\nrare 99\n")
    pages = write_dataset(tmp_path / "pages", documents(["a", "b"], title=["Emma", None]))
    (tmp_path / "list.txt").write_text("Big: Dog\nEmma\nDog\n")
    (tmp_path / "counts.tsv").write_text("title\tviews\nOften\t70\nSeldom\t69\nEmma\t5\n")
    titles = (pages, str(tmp_path / "list.txt"), str(tmp_path / "counts.tsv"))
    dataset = made(Queries(titles=titles, buckets=2), str(tmp_path / "words.txt"), tmp_path / "out")
    # Who is listed without views but has some elsewhere has those: too few
    assert listed(dataset) == [("words", "dog", 100), ("titles", "Often", 70), ("titles", "Big: Dog", None)]
    with pytest.raises(InputError, match="has no column title"):
        plain = write_dataset(tmp_path / "plain", documents(["a"]))
        made(Queries(titles=(plain,)), str(tmp_path / "words.txt"), tmp_path / "none")


def test_bad_lines_are_damage(tmp_path):
    good = "".join(f"word{number} 500\n" for number in range(9))
    (tmp_path / "words.txt").write_text(f"{good}alone\nthree words here 7\n")
    (tmp_path / "titles.gz").write_bytes(b"\x1f\x8b\x08 not gzip at all, whatever it says")
    (tmp_path / "mine.txt").write_bytes(b"one\n\xff\xff\n")
    stage = Queries(titles=(f"{tmp_path}/titles.gz",), extra=(f"{tmp_path}/mine.txt",), buckets=2)
    with pytest.raises(TooManyBadRecords):
        made(stage, f"{tmp_path}/words.txt", tmp_path / "out", max_bad=0.2)
    dataset = Dataset(str(tmp_path / "out"))
    at = len(good)
    assert {Path(origin).name: rule for origin, (rule, _) in rejected(dataset).items()} == {
        f"words.txt@{at}": "queries.malformed",
        f"words.txt@{at + 6}": "queries.malformed",
        "titles.gz@0": "queries.lost",
        "mine.txt@4": "queries.malformed",
    }
    assert dataset.rows == 10


def test_workers_shares_and_cuts_change_no_byte(tmp_path, wordnet):
    whole = write_dataset(tmp_path / "whole", documents(TEXTS * 5))
    batch = documents(TEXTS * 5)
    parts = write_dataset(tmp_path / "parts", *(batch.slice(start, 4) for start in range(0, 15, 4)))
    digests = set()
    for number, (source, workers, buckets) in enumerate([(whole, 1, 1), (parts, 2, 3)]):
        stage = Queries(min_count=2, bigrams="top:5", min_bigram_count=1, wordnet=wordnet, buckets=buckets)
        dataset = made(stage, source, tmp_path / f"out{number}", workers=workers)
        found = [dataset.path_of(part) for part in (*dataset.parts, *dataset.rejects)]
        digests.add(tuple(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in found))
        assert len(found) == 2
    assert len(digests) == 1


def test_the_list_is_what_images_are_matched_with(tmp_path):
    (tmp_path / "words.txt").write_text("U.S. 500\ndog 200\n")
    queries = made(Queries(buckets=1), f"{tmp_path}/words.txt", tmp_path / "queries")
    pool = write_dataset(tmp_path / "pool", documents(["a dog of the U.S.", "nothing"]))
    found = (
        engine.run(Match(pool=pool), queries.path, str(tmp_path / "found"), options=ONE).table().to_pylist()
    )
    assert [row["matched"] for row in found] == [[1, 0]]


@pytest.mark.parametrize("compat", [None, "metaclip"])
def test_real_lists(tmp_path, data, compat):
    lists = {"titles": (f"{data}/words/metadata.csv",), "title_column": "2", "compat": compat, "buckets": 2}
    words = f"{data}/words/frequency_dictionary_en_82_765.txt"
    debian = "/usr/share/wordnet"
    there = Path(debian, "data.noun").exists()
    dataset = made(Queries(wordnet=debian if there else None, **lists), words, tmp_path / "out")
    table = dataset.table()
    assert len(table) > 70_000
    assert pc.count_distinct(table["id"]).as_py() == len(table)
    queries = table["query"].combine_chunks()
    facts = dataset.manifest["stages"][0]["facts"]
    if compat is None:
        assert matching(queries).all()
        counts = dict(
            zip(*np.unique(table["source"].to_numpy(zero_copy_only=False), return_counts=True), strict=True)
        )
        assert {f"from {name}": int(count) for name, count in counts.items()}.items() <= facts.items()
    else:
        assert facts["cannot match"] == int((~matching(queries, "metaclip")).sum()) > 1000
        if there:  # what MetaCLIP counts after WordNet 3.0, its numbers included
            assert facts["from numbers"] + facts["from wordnet"] == 86_654


def test_the_laws(wordnet):
    batch = documents(TEXTS)
    check_stage(Queries(min_count=1, bigrams="top:3", min_bigram_count=1, buckets=2), batch)


@pytest.mark.parametrize(
    ("chosen", "what"),
    [
        ({"min_count": 0}, "min_count is 0"),
        ({"bigrams": "30"}, "bigrams is '30'"),
        ({"min_bigram_count": 0}, "min_bigram_count is 0"),
        ({"title_column": "2"}, "no titles"),
    ],
)
def test_settings_outside_their_range(chosen, what):
    with pytest.raises(UsageError, match=what):
        Queries(**chosen)


def test_a_text_is_no_count_file(tmp_path):
    with pytest.raises(UsageError, match="more than once"):
        Queries().plan("-")
    (tmp_path / "text.txt").write_text("It was a dark and stormy night.\nThe rain fell in torrents.\n")
    with pytest.raises(InputError, match="is no count file"):
        made(Queries(buckets=1), f"{tmp_path}/text.txt", tmp_path / "out")
