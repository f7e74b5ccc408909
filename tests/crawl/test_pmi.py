"""PMI equals that of a few slow lines, and a corpus that cannot give what is asked for says so."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from corpuskit import engine
from corpuskit.crawl.pmi import Wanted, highest_pmi, pmi
from corpuskit.crawl.queries import Queries
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import documents, write_dataset

TEXTS = [
    "new york is new",
    "the new york times",
    "in the new times",
    "the the in the",
    "san juan",
    "san juan",
]


@pytest.fixture(scope="module", autouse=True)
def workers():
    """Keep one crew of workers for all runs here."""
    with engine.crew():
        yield


def slow(texts: list[str], least: int) -> dict[str, float]:
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for text in texts:
        words.update(text.split())
        pairs.update(zip(text.split(), text.split()[1:], strict=False))
    total = sum(words.values())
    return {
        " ".join(pair): math.log2(count * total) - math.log2(words[pair[0]] * words[pair[1]])
        for pair, count in pairs.items()
        if count >= least
    }


def bigrams(tmp_path, name: str, source: str, **chosen: object) -> list[tuple[str, float]]:
    stage = Queries(min_count=100, buckets=3, **chosen)
    rows = (
        engine.run(stage, source, str(tmp_path / name), options=engine.Options(workers=1)).table().to_pylist()
    )
    return [(row["query"], row["pmi"]) for row in rows if row["source"] == "bigrams"]


def test_scores_and_their_order(tmp_path):
    source = write_dataset(tmp_path / "in", documents(TEXTS))
    found = bigrams(tmp_path, "all", source, bigrams="top:100", min_bigram_count=1)
    assert dict(found) == pytest.approx(slow(TEXTS, 1), abs=1e-8)
    assert [score for _, score in found] == sorted(dict(found).values(), reverse=True)
    often = bigrams(tmp_path, "often", source, bigrams="top:100", min_bigram_count=2)
    assert dict(often) == pytest.approx(slow(TEXTS, 2), abs=1e-8)
    assert bigrams(tmp_path, "best", source, bigrams="top:2", min_bigram_count=1) == found[:2]
    least = found[4][1]
    kept = [pair for pair in found if pair[1] >= least]
    assert bigrams(tmp_path, "least", source, bigrams=f"pmi:{least}") == kept  # the bound itself is enough
    assert bigrams(tmp_path, "above", source, bigrams=f"pmi:{least + 1e-6}") == [
        pair for pair in found if pair[1] > least
    ]


def test_exact_bounds():
    assert pmi(1, 1, 1, 2**30) == 30.0
    assert pmi(3, 3, 3, 3 * 2**30) == 30.0
    assert pmi([10**9], [2 * 10**9], [10**9], 10**12)[0] == pytest.approx(math.log2(500))
    assert highest_pmi(3 * 2**30, 3) == 30.0


@pytest.mark.parametrize(
    ("chosen", "what"),
    [
        (
            {"bigrams": "pmi:30"},
            r"0 bigrams can have a PMI of 30: among 20 words no pair can have more than 4\.3",
        ),
        (
            {"bigrams": "pmi:3.4", "min_bigram_count": 2},
            r"no pair that occurs 2 times can have more than 3\.3",
        ),
        ({"bigrams": "pmi:4.3"}, r"0 bigrams have a PMI of 4\.3: the highest is 3\.32"),
        ({"bigrams": "top:5"}, "no two words in a row occur 10 times"),
    ],
)
def test_a_corpus_that_cannot_give_them_says_what_it_can(tmp_path, chosen, what):
    source = write_dataset(tmp_path / "in", documents(TEXTS))
    with pytest.raises(InputError, match=what) as error:
        bigrams(tmp_path, "out", source, **chosen)
    assert "--bigrams" in error.value.fix


def test_pairs_of_a_count_file(tmp_path):
    path = tmp_path / "counts.txt"
    path.write_text("new 40\nyork 10\nthe 200\nnew york 10\nnew times 5\nthe new 20\n")
    found = bigrams(tmp_path, "out", str(path), bigrams="top:10", min_bigram_count=5)
    assert [text for text, _ in found] == ["new york", "the new"]  # nobody says how often "times" occurs
    assert found[0][1] == pytest.approx(math.log2(10 * 250 / (40 * 10)))
    path.write_text("new 40\nyork 10\n")
    with pytest.raises(InputError, match="no two words in a row"):
        bigrams(tmp_path, "none", str(path), bigrams="top:10")


@pytest.mark.parametrize("told", ["30", "pmi", "pmi:", "pmi:nan", "pmi:many", "top:0", "top:1.5", "best:3"])
def test_what_is_no_choice_of_bigrams(told):
    with pytest.raises(UsageError, match="bigrams is"):
        Wanted.of(told)
