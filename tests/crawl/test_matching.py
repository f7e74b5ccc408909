"""Matching and balancing: MetaCLIP's in compat mode, and one by which every query can match."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpuskit.crawl.balance import Choose, Quota, chance
from corpuskit.crawl.matching import Match, Matcher
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run
from corpuskit.errors import InputError
from corpuskit.testing import documents, write_dataset

ONE = Options(workers=1)


def metaclip(queries: list[str], text: str) -> list[str]:
    """Match as MetaCLIP's paper and code describe it, one query after the other."""
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    return [query for query in queries if f" {query} " in f" {text} "]


def matched(matcher: Matcher, queries: list[str], texts: list[str]) -> list[set[str]]:
    found = matcher.find(pa.array(texts))
    pairs = zip(found.offsets[:-1], found.offsets[1:], strict=True)
    return [{queries[number] for number in found.phrases[first:last]} for first, last in pairs]


def test_compat_equals_metaclip_on_ten_thousand_texts() -> None:
    draw = random.Random(0)
    words = [
        "dog",
        "Dog",
        "new",
        "york",
        "New",
        "York",
        "U.S.",
        "St.",
        "a",
        "`",
        ",",
        "é",
        "日本",
        "",
        "-",
        "x",
    ]
    queries = list(dict.fromkeys(" ".join(draw.choices(words, k=draw.randint(1, 3))) for _ in range(400)))
    joins = [" ", " ", " ", "  ", ",", ". ", "\n", "!", "\t", "`", "(", ""]
    texts = []
    for _ in range(10_000):
        pieces = [draw.choice(words) + draw.choice(joins) for _ in range(draw.randint(0, 8))]
        texts.append("".join(pieces))
    found = matched(Matcher(pa.array(queries), "metaclip"), queries, texts)
    expected = [set(metaclip(queries, text)) for text in texts]
    assert found == expected
    assert sum(map(len, expected)) > 10_000


@pytest.mark.parametrize(
    ("query", "text", "folded", "compat"),
    [
        ("U.S.", "made in the U.S.", True, False),
        ("St. Louis", "The arch of St. Louis, Missouri", True, False),
        ("dog", "A happy (dog) runs", True, False),
        ("dog", "A happy Dog runs", True, False),
        ("dog", "a dog, running", True, True),
        ("dog", "dogs", False, False),
        ("dog", "hot-dog", True, False),
        ("New York", "new\u00a0york", True, False),
        ("new york", "new\nyork", True, True),
        ("new york", "new, york", True, False),
        ("dog", "", False, False),
    ],
)
def test_what_matches(query: str, text: str, folded: bool, compat: bool) -> None:
    assert bool(matched(Matcher(pa.array([query])), [query], [text])[0]) is folded
    assert bool(matched(Matcher(pa.array([query]), "metaclip"), [query], [text])[0]) is compat


def test_chances_are_those_of_the_paper() -> None:
    assert chance([5, 20000, 40000], 20000).tolist() == [1.0, 1.0, 0.5]
    assert 1 - np.prod(1 - chance([40000, 80000], 20000)) == 0.625


def texts(number: int) -> str:
    """A pool in which `common` stands in every text, `half` in every second, `rare` in every hundredth."""
    return " ".join(
        word for word, every in (("common", 1), ("half", 2), ("rare", 100)) if number % every == 0
    )


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    said = [texts(number) for number in range(4000)] + ["nothing"]
    pool = documents(said, url=[f"https://a.example/{number}" for number in range(len(said))])
    write_dataset(folder / "pool", pool.slice(0, 1500), pool.slice(1500))
    queries = [{"id": str(n), "query": query} for n, query in enumerate(("rare", "half", "never", "common"))]
    write_dataset(folder / "queries", pa.RecordBatch.from_pylist(queries))
    run(Match(pool=str(folder / "pool")), str(folder / "queries"), str(folder / "matched"), options=ONE)
    return folder


def chosen(folder: Path, target: Path, workers: int = 1, **settings: int | None) -> tuple[Dataset, Dataset]:
    options = Options(workers=workers)
    given = [str(folder / "matched"), str(folder / "queries")]
    quota = run(Quota(**settings), given, str(target / "quota"), options=options)
    return quota, run(Choose(**settings), [quota.path, given[0]], str(target / "chosen"), options=options)


def rejects(dataset: Dataset) -> list[dict[str, object]]:
    return pa.Table.from_batches(dataset.reject_batches()).to_pylist()


def test_a_text_without_a_query_is_rejected(steps: Path) -> None:
    found = Dataset(str(steps / "matched"))
    assert found.rows == 4000
    assert [(row["url"], row["rule"]) for row in rejects(found)] == [
        ("https://a.example/4000", "images.unmatched")
    ]


def test_a_cap_is_exact_for_every_query(steps: Path, tmp_path: Path) -> None:
    quota, kept = chosen(steps, tmp_path, cap=500)
    ledger = {row["query"]: row["matches"] for row in quota.table().to_pylist()}
    assert ledger == {"rare": 40, "half": 2000, "common": 4000}
    counts: dict[str, int] = {}
    for row in kept.table(["queries"]).to_pylist():
        for query in row["queries"]:
            counts[query] = counts.get(query, 0) + 1
    assert counts == {"rare": 40, "half": 500, "common": 500}
    gone = rejects(kept)
    assert {(row["rule"], row["bound"]) for row in gone} == {("images.cap", 500.0)}
    assert {row["value"] for row in gone} == {2000.0, 4000.0}
    assert len(gone) + kept.rows == 4000


def test_balancing_keeps_the_share_of_the_paper(steps: Path, tmp_path: Path) -> None:
    _, kept = chosen(steps, tmp_path, balance=1000)
    rows = kept.table(["text"])["text"].to_pylist()
    half, alone = sum("half" in row for row in rows), sum(row == "common" for row in rows)
    for count, of, share in ((half, 2000, 0.5 + 0.5 * 0.25), (alone, 2000, 0.25)):
        assert abs(count - of * share) < 4 * (of * share * (1 - share)) ** 0.5
    assert sum("rare" in row for row in rows) == 40
    assert {row["rule"] for row in rejects(kept)} == {"images.balance"}


def test_no_cap_keeps_all(steps: Path, tmp_path: Path) -> None:
    assert chosen(steps, tmp_path, cap=None)[1].rows == 4000


def test_the_choice_depends_on_the_seed_alone(steps: Path, tmp_path: Path) -> None:
    one = chosen(steps, tmp_path / "a", cap=500)[1].table(["id"])["id"].to_pylist()
    assert chosen(steps, tmp_path / "b", workers=2, cap=500)[1].table(["id"])["id"].to_pylist() == one
    assert chosen(steps, tmp_path / "c", cap=500, seed=1)[1].table(["id"])["id"].to_pylist() != one


def test_what_is_no_query_list_is_said(tmp_path: Path) -> None:
    pool = write_dataset(tmp_path / "pool", documents(["a"]))
    with pytest.raises(InputError, match="is no query list"):
        run(Match(pool=pool), pool, str(tmp_path / "out"), options=ONE)
