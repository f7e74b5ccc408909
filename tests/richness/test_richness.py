"""Richness of datasets: the expected order, the same numbers in any layout, null where nothing is known."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from corpuskit.cli import command
from corpuskit.errors import InputError, UsageError
from corpuskit.richness import MEASURES, Sampling, richness
from corpuskit.testing import documents, write_dataset

SMALL = Sampling(words=5_000, documents=100)
SYLLABLES = [f"{a}{b}" for a in "bdfgklmnprst" for b in "aeiou"]
VOCABULARY = [one + two for one in SYLLABLES for two in SYLLABLES][::2]


def varied(chance: random.Random) -> str:
    ranks = [1 / rank for rank in range(1, len(VOCABULARY) + 1)]
    return " ".join(chance.choices(VOCABULARY, ranks, k=120))


def templated(chance: random.Random) -> str:
    name, place = chance.choices(VOCABULARY, k=2)
    return (
        f"Dear {name}, you have won a prize in {place}. " + "Click here now to claim your prize today. " * 3
    )


def batch(texts: list[str], prefix: str = "", vectors: np.ndarray | None = None, **columns) -> pa.RecordBatch:
    ids = [f"{prefix}{number:08x}" for number in range(len(texts))]
    made = documents(texts, id=ids, **columns)
    if vectors is None:
        return made
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1])
    return made.append_column(pa.field("embedding", column.type), column)


def value(source, name: str) -> float | None:
    return source.measures[name].value


@pytest.fixture(scope="module")
def corpus() -> pa.RecordBatch:
    """Three sources: varied, templated and repeated texts, with hosts, years, languages and vectors."""
    chance = random.Random(0)
    some = [varied(chance) for _ in range(4)]
    texts = [varied(chance) for _ in range(150)] + [templated(chance) for _ in range(250)] + some * 40
    sources = ["varied"] * 150 + ["templated"] * 250 + ["repeated"] * 160
    rows = len(texts)
    normal = np.random.default_rng(0).normal(size=(rows, 16))
    normal[150:400, 2:] = 0
    normal[400:] = normal[np.arange(400, rows) % 4]
    return batch(
        texts,
        vectors=normal.astype(np.float32),
        source=sources,
        url=[f"http://www.site{chance.choice([number, 0])}.org/{number}" if number % 9 else None
             for number in range(rows)],
        date=[datetime(2000 + number % 7, 6, 1, tzinfo=UTC) if number % 5 else None
              for number in range(rows)],
        lang=[("eng", "deu", None)[number % 3] for number in range(rows)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset(corpus: pa.RecordBatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_dataset(tmp_path_factory.mktemp("rich") / "corpus", corpus)


def test_varied_is_richer_than_templated_and_that_than_repeated(dataset: str) -> None:
    (found,) = richness(dataset, sampling=SMALL).corpora
    assert [one.name for one in found.sources] == ["templated", "repeated", "varied"]
    order = [{one.name: one for one in found.sources}[name] for name in ("varied", "templated", "repeated")]
    for name in ("distinct_2", "distinct_4"):
        assert value(order[0], name) > 4 * value(order[1], name), name
        assert value(order[0], name) > 4 * value(order[2], name), name
    assert value(order[0], "compression_ratio") < value(order[1], "compression_ratio") / 4
    assert value(order[1], "compression_ratio") < value(order[2], "compression_ratio")
    assert value(order[1], "distinct_4") > value(order[2], "distinct_4")
    assert value(order[0], "mtld") > 2 * value(order[1], "mtld")
    assert value(order[2], "heaps_exponent") == 0
    # MTLD reads a hundred words at a time and cannot see that a text comes again: the documentation says so.
    assert value(order[2], "mtld") > 0.7 * value(order[0], "mtld")
    for name in ("vendi_score", "clusters"):
        assert value(order[0], name) > value(order[1], name) > 1, name
    assert value(order[2], "vendi_score") < 4.01


def test_languages_hosts_and_years_are_those_counted(corpus: pa.RecordBatch, dataset: str) -> None:
    (found,) = richness(dataset, sampling=SMALL).corpora
    rows = corpus.to_pylist()
    for name, key in (
        ("language", lambda row: row["lang"]),
        ("year", lambda row: row["date"] and row["date"].year),
    ):
        counts = Counter(key(row) for row in rows)
        del counts[None]
        bits = -sum(n / counts.total() * math.log2(n / counts.total()) for n in counts.values())
        assert value(found.whole, f"{name}_entropy") == pytest.approx(bits)
        assert value(found.whole, f"{name}s") == pytest.approx(2**bits)
        assert found.whole.measures[f"{name}s"].noise > 0
    assert 1 < value(found.whole, "hosts") <= 100
    assert value(found.whole, "hosts") == pytest.approx(2 ** value(found.whole, "host_entropy"))


def test_parts_order_and_batches_change_nothing(corpus: pa.RecordBatch, dataset: str, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(len(corpus))
    turned = corpus.take(pa.array(order))
    parts = [turned.slice(start, 47) for start in range(0, len(turned), 47)]
    other = write_dataset(tmp_path / "parts", *parts, turned.slice(0, 0))
    first, second = (richness(path, sampling=SMALL).json()["datasets"][0] for path in (dataset, other))
    assert {**first, "path": ""} == {**second, "path": ""}


def test_the_whole_is_measured_as_if_it_were_one_source(
    corpus: pa.RecordBatch, dataset: str, tmp_path: Path
) -> None:
    renamed = corpus.set_column(corpus.schema.get_field_index("source"), corpus.schema.field("source"),
                                pa.array(["one"] * len(corpus)))  # fmt: skip
    other = write_dataset(tmp_path / "one", renamed)
    (found,) = richness(dataset, sampling=SMALL).corpora
    (one,) = richness(other, sampling=SMALL).corpora
    assert one.whole.measures == found.whole.measures == one.sources[0].measures
    assert (one.whole.documents, one.whole.text_bytes) == (found.whole.documents, found.whole.text_bytes)


def test_a_size_is_the_same_for_all_so_a_larger_corpus_is_no_richer(tmp_path: Path) -> None:
    chance = random.Random(5)
    texts = [varied(chance) for _ in range(600)]
    small, large = (write_dataset(tmp_path / str(n), batch(texts[:n])) for n in (100, 600))
    differences = richness(small, against=large, sampling=SMALL).differences()
    assert abs(differences["distinct_2"].difference) < 0.03
    assert not differences["distinct_2"].differs


def test_what_is_unknown_is_null_and_never_zero(tmp_path: Path) -> None:
    few = write_dataset(tmp_path / "few", batch(["only a few words"] * 3))
    for found in (richness(few), richness(write_dataset(tmp_path / "none", batch([])))):
        for one in (found.corpora[0].whole, *found.corpora[0].sources):
            assert set(one.measures) == set(MEASURES)
            assert all(told.value is None and told.noise is None for told in one.measures.values())
        json.dumps(found.json(), allow_nan=False)
        assert max(map(len, found.text().splitlines())) <= 80
    assert "fewer than 100,000 words" in richness(few).text()


def test_sources_beyond_the_largest_are_taken_together(tmp_path: Path) -> None:
    names = [f"s{number:02d}" for number in range(25) for _ in range(2 if number < 20 else 1)]
    (found,) = richness(write_dataset(tmp_path / "many", batch(["a b"] * len(names), source=names))).corpora
    assert [one.name for one in found.sources] == [*(f"s{number:02d}" for number in range(20)), None]
    assert [one.documents for one in found.sources] == [2] * 20 + [5]
    assert found.whole.documents == 45


def test_two_datasets_side_by_side(corpus: pa.RecordBatch, dataset: str, tmp_path: Path) -> None:
    kept = corpus.filter(pa.array([row["source"] != "repeated" for row in corpus.to_pylist()]))
    other = write_dataset(tmp_path / "kept", kept)
    found = richness(dataset, against=other, sampling=SMALL)
    told = found.json()
    assert [one["path"] for one in told["datasets"]] == [dataset, other]
    assert set(told["differences"]) == set(MEASURES)
    assert set(told["source_differences"]) == {"varied", "templated"}
    same = told["source_differences"]["varied"]
    assert same["distinct_4"]["difference"] == 0 and same["distinct_4"]["differs"] is False
    first, second = found.corpora
    gap = found.differences()["distinct_4"]
    assert gap.difference == value(second.whole, "distinct_4") - value(first.whole, "distinct_4")
    text = found.text()
    assert max(map(len, text.splitlines())) <= 80 and "noise" in text
    assert found.html().startswith("<!doctype html>") and "distinct 4-grams" in found.html()


def test_what_strangers_named_moves_no_cursor_and_makes_no_tag(tmp_path: Path) -> None:
    names = ["<script>x</script>", "a\x1b[2J"]
    found = richness(write_dataset(tmp_path / "d", batch(["a b"] * 2, source=names)))
    assert "\x1b" not in found.text() and "<script>" not in found.html()
    assert "&lt;script&gt;" in found.html()


def test_wrong_inputs(corpus: pa.RecordBatch, dataset: str, tmp_path: Path) -> None:
    textless = write_dataset(tmp_path / "t", pa.RecordBatch.from_pylist([{"id": "a"}]))
    other = write_dataset(tmp_path / "v", batch(["a b"] * 200, vectors=np.ones((200, 3), np.float32)))
    with pytest.raises(InputError, match="does not hold documents"):
        richness(textless)
    with pytest.raises(InputError, match="have 3 and 16 numbers"):
        richness(dataset, against=other, sampling=SMALL)
    with pytest.raises(InputError, match="no column of vectors 'clip'"):
        richness(dataset, sampling=Sampling(vectors="clip"))
    with pytest.raises(UsageError, match="sample of 10 words"):
        Sampling(words=10)


def test_the_command(dataset: str, tmp_path: Path) -> None:
    runner = CliRunner()
    call = ["report", dataset, "--richness", "--words", "5000", "--documents", "100"]
    result = runner.invoke(command, call)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == richness(dataset, sampling=SMALL).text().rstrip("\n") + "\n"
    told = json.loads(runner.invoke(command, [*call, "--against", dataset, "--json"]).stdout)
    assert told["sample"] == {"words": 5000, "documents": 100, "vectors": None, "seed": 0}
    assert all(found["differs"] in (False, None) for found in told["differences"].values())
    assert runner.invoke(command, [*call, "--html"]).stdout.startswith("<!doctype html>")
    assert runner.invoke(command, [*call, "--against", str(tmp_path / "none")]).exit_code == 3
    wrong = runner.invoke(command, ["report", dataset, "--words", "5000"])
    assert wrong.exit_code == 2 and "--words is given without --richness" in wrong.stderr
    shown = " ".join(runner.invoke(command, ["report", "--help"]).stdout.split())
    assert f"[default: {Sampling().words}]" in shown and f"[default: {Sampling().documents}]" in shown
