"""`shard mix`: each source within a document of its budget, subsets of one another, copies apart."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit import recipe
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, outlook, run
from corpuskit.errors import InputError, UsageError
from corpuskit.explain import explain
from corpuskit.seeds import choice_key, shuffle_key
from corpuskit.shard.mix import Mix
from corpuskit.shard.mixture import COUNTS, apportion, read_amounts
from corpuskit.testing import check_stage, documents, write_dataset

ONE, TWO = Options(workers=1), Options(workers=2)

# Brown et al. 2020, table 2.2: billions of tokens, and weights. Here they are hundreds of words.
GPT3 = {
    "commoncrawl": (410, "0.60"),
    "webtext2": (19, "0.22"),
    "books1": (12, "0.08"),
    "books2": (55, "0.08"),
    "wikipedia": (3, "0.03"),
}
TOKENS = 30_000
WEIGHTS = tuple(f"{source}={weight}" for source, (_, weight) in GPT3.items())
TABLE = Mix(weight=WEIGHTS, tokens=TOKENS, count="words", rows=200)


def corpus(source: str, words: int) -> pa.RecordBatch:
    """Make documents of 1 to 99 words, and some of none, until there are so many words."""
    draw = random.Random(source)
    sizes: list[int] = []
    while sum(sizes) < words:
        sizes.append(min(draw.randrange(100), words - sum(sizes)))
    return documents(
        [" ".join(["word"] * size) for size in sizes],
        id=[f"{source[:6]}{len(source)}-{number}" for number in range(len(sizes))],
        source=[source] * len(sizes),
        url=[f"https://{source}/{number}" for number in range(len(sizes))],
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    batches = [corpus(name, 100 * size) for name, (size, _) in GPT3.items()]
    return write_dataset(tmp_path_factory.mktemp("mix") / "sources", *batches)


@pytest.fixture(scope="module")
def mixed(source: str, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return run(TABLE, source, str(tmp_path_factory.mktemp("mix") / "mix"), options=ONE)


def words(table: pa.Table) -> dict[str, int]:
    found: Counter[str] = Counter()
    for source, text in zip(table["source"].to_pylist(), table["text"].to_pylist(), strict=True):
        found[source] += len(text.split())
    return dict(found)


def original(name: str) -> str:
    return name.partition("~")[0]


def slow_mix(rows: Iterable[tuple[str, str, int]], budgets: dict[str, int], seed: int) -> list[str]:
    """Say which copies of (id, source, count) a mix holds, in order: one document at a time."""
    taken: list[str] = []
    given = list(rows)
    keys = dict(zip([r[0] for r in given], choice_key(seed, pa.array([r[0] for r in given])), strict=True))
    for source, budget in budgets.items():
        mine = sorted((row for row in given if row[1] == source), key=lambda row: keys[row[0]])
        if not mine:
            continue
        left, copy = budget, 0
        while left >= sum(count for *_, count in mine):
            taken += [f"{name}~{copy}" if copy else name for name, *_ in mine]
            left, copy = left - sum(count for *_, count in mine), copy + 1
        for name, _, count in mine if left else ():
            if count > left:
                break
            taken.append(f"{name}~{copy}" if copy else name)
            left -= count
    order = shuffle_key(seed, pa.array(taken, pa.string()))
    return [taken[place] for place in np.argsort(order)]


@pytest.mark.parametrize(
    "mix", [Mix(epochs=("test=2.5",), count="words"), Mix(budget=("test=3",), count="words")]
)
def test_stage_laws(mix: Mix) -> None:
    check_stage(dataclasses.replace(mix, rows=3), documents(["a b c", "d e", "f", "g h i j"]))


def test_gpt3s_table_to_one_document(mixed: Dataset, source: str) -> None:
    found, longest = words(mixed.table()), 99
    for name, (_, weight) in GPT3.items():
        budget = Fraction(weight) * TOKENS
        assert budget - longest < found[name] <= budget
    assert sum(found.values()) == pytest.approx(1.01 * TOKENS, rel=0.01)  # as the paper's weights do


def test_every_document_comes_as_often_as_its_source_goes_into_the_budget(
    mixed: Dataset, source: str
) -> None:
    table, whole = mixed.table(), Dataset(source).table()
    rows = zip(*(whole[name].to_pylist() for name in ("id", "source", "text")), strict=True)
    counted = [(name, source, len(text.split())) for name, source, text in rows]
    budgets = {name: int(Fraction(weight) * TOKENS) for name, (_, weight) in GPT3.items()}
    assert table["id"].to_pylist() == slow_mix(counted, budgets, 0)
    copies = Counter(original(name) for name in table["id"].to_pylist())
    for name, least in {"commoncrawl": 0, "webtext2": 3, "books1": 2, "books2": 0, "wikipedia": 3}.items():
        mine = whole["id"].filter(pc.equal(whole["source"], name)).to_pylist()
        assert {copies[one] for one in mine} <= {least, least + 1}


def test_copies_differ_in_the_id_alone_and_stand_apart(mixed: Dataset, source: str) -> None:
    texts = {row["id"]: row for row in Dataset(source).table().to_pylist()}
    rows = mixed.table().to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row == texts[original(row["id"])] | {"id": row["id"]} for row in rows)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(original(row["id"]), []).append(place)
    spread = [np.ptp(one) for one in places.values() if len(one) == 2]
    assert np.mean(spread) == pytest.approx(len(rows) / 3, rel=0.2)  # of two uniform draws
    side_by_side = sum(np.sum(np.diff(one) == 1) for one in places.values())
    assert side_by_side <= 8  # about one for each copy more than one, by chance


def test_what_is_not_taken_is_a_reject_with_its_draw(mixed: Dataset, source: str) -> None:
    rejects = [row for batch in mixed.reject_batches() for row in batch.to_pylist()]
    kept = {original(name) for name in mixed.table(["id"])["id"].to_pylist()}
    gone = {row["id"] for row in rejects}
    assert kept | gone == set(Dataset(source).table(["id"])["id"].to_pylist())
    assert len(gone) == len(rejects)
    assert not kept & gone
    assert {(row["stage"], row["rule"]) for row in rejects} == {("shard.mix", "mix.over_budget")}
    assert all(0 < row["bound"] <= row["value"] < 1 for row in rejects)
    assert all(row["url"].startswith("https://") for row in rejects)
    assert len({row["bound"] for row in rejects}) == 2  # Common Crawl and Books2


def test_the_manifest_and_the_card_tell_what_came_of_each_source(mixed: Dataset, source: str) -> None:
    (told,) = mixed.manifest["stages"]
    rejected = sum(len(batch) for batch in mixed.reject_batches())
    copies = sum("~" in name for name in mixed.table(["id"])["id"].to_pylist())
    assert (told["rows_in"], told["rows_out"]) == (Dataset(source).rows, mixed.rows)
    assert told["rows_in"] == told["rows_out"] - copies + rejected
    assert told["rules"]["mix.over_budget"]["documents"] == rejected
    assert told["facts"]["webtext2: words in"] == 1900
    assert told["facts"]["webtext2: words out"] == words(mixed.table())["webtext2"]
    assert TABLE.recounts(mixed)[-1] == "wikipedia: 3.00 epochs of 300 words, 3.0% of the mix"
    card = Path(mixed.path, "README.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("| webtext2 |"))
    facts = [
        told["facts"][f"webtext2: {fact}"]
        for fact in ("documents in", "words in", "documents out", "words out")
    ]
    assert [cell.strip() for cell in line.split("|")][2:6] == [f"{fact:,}" for fact in facts]
    assert [cell.strip() for cell in line.split("|")][6] == f"{facts[3] / 1900:.2f}"
    assert "weight = [" in card


def test_the_same_bytes_twice_for_two_workers_and_for_a_part_that_was_lost(
    mixed: Dataset, source: str, tmp_path: Path
) -> None:
    again = run(TABLE, source, str(tmp_path / "again"), options=TWO)
    assert again.parts == mixed.parts
    assert again.rejects == mixed.rejects
    Path(again.path, again.parts[1].path).unlink()
    assert run(TABLE, source, again.path, options=ONE).parts == mixed.parts
    assert Path(again.path, again.parts[1].path).exists()
    assert not Path(again.path, "work").exists()


def test_one_changed_weight_moves_only_its_own_source(mixed: Dataset, source: str, tmp_path: Path) -> None:
    for weight in ("0.59", "0.61"):
        changed = Mix(weight=(f"commoncrawl={weight}", *WEIGHTS[1:]), tokens=TOKENS, count="words", rows=200)
        other = run(changed, source, str(tmp_path / weight), options=ONE).table()["id"].to_pylist()
        before = mixed.table()["id"].to_pylist()
        moved = set(before) ^ set(other)
        assert moved
        assert all(name.startswith("common") for name in moved)
        smaller, larger = sorted((set(before), set(other)), key=len)
        assert smaller < larger
        assert [name for name in before if name not in moved] == [name for name in other if name not in moved]


def test_another_seed_draws_others(mixed: Dataset, source: str, tmp_path: Path) -> None:
    other = run(
        Mix(weight=WEIGHTS, tokens=TOKENS, count="words", seed=1), source, str(tmp_path / "t"), options=ONE
    )
    names = [
        {name for name in found.table()["id"].to_pylist() if name[:6] == "common"} for found in (mixed, other)
    ]
    assert 0.3 < len(names[0] & names[1]) / len(names[0]) < 0.6  # .44 by chance


COUNTED = st.lists(
    st.tuples(st.sampled_from("ab"), st.one_of(st.just(0), st.integers(0, 30), st.integers(0, 10**12))),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(
    COUNTED, st.lists(st.integers(0, 3 * 10**12), min_size=2, max_size=2), st.integers(0, 2**64), st.data()
)
def test_shares_are_those_of_the_slow_twin(
    tmp_path_factory: pytest.TempPathFactory,
    counted: list[tuple[str, int]],
    budgets: list[int],
    seed: int,
    data: st.DataObject,
) -> None:
    rows = [(f"{number}", source, count) for number, (source, count) in enumerate(counted)]
    keys = choice_key(seed, pa.array([name for name, *_ in rows]))
    totals = Counter({"a": 0, "b": 0})
    for _, source, count in rows:
        totals[source] += count
    asked = {}
    for source, budget in zip("ab", budgets, strict=True):  # at the edges, too
        edges = {0, totals[source], totals[source] - 1, 2 * totals[source], budget % (4 * totals[source] + 1)}
        asked[source] = data.draw(st.sampled_from(sorted({max(0, edge) for edge in edges})))
        asked[source] *= bool(totals[source])
    counts = [
        pa.array([row[1] for row in rows]),
        pa.array(keys),
        pa.array([row[2] for row in rows], pa.int64()),
    ]
    folder = tmp_path_factory.mktemp("counts")
    dataset = Dataset(write_dataset(folder, pa.RecordBatch.from_arrays(counts, schema=COUNTS)))
    taken = []
    for share in apportion(dataset, lambda source, total: asked[source]):
        mine = [(row, key) for row, key in zip(rows, keys, strict=True) if row[1] == share.source]
        copies = [share.repeats + (key < share.cutoff) for _, key in mine]
        assert share.documents_out == sum(copies)
        assert share.counted_out == sum(n * row[2] for n, (row, _) in zip(copies, mine, strict=True))
        assert (
            asked[share.source] - max(row[2] for row, _ in mine) <= share.counted_out <= asked[share.source]
        )
        for number, (row, _) in zip(copies, mine, strict=True):
            taken += [f"{row[0]}~{copy}" if copy else row[0] for copy in range(number)]
    counting = {source: budget for source, budget in asked.items() if totals[source]}
    assert sorted(taken) == sorted(slow_mix(rows, counting, seed))


def small(folder: Path, **columns: list[object]) -> str:
    batch = documents(["a b", "c", "d e f", ""], source=["x", "x", "y", "y"], **columns)
    return write_dataset(folder / "small", batch)


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ({"epochs": ("x=1", "y=1"), "count": "words"}, {"x": 2, "y": 2}),
        ({"epochs": ("x=2", "y=0"), "count": "words"}, {"x": 4}),
        ({"budget": ("x=3", "y=6"), "count": "words"}, {"x": 2, "y": 4}),
        ({"budget": ("x=8", "y=0"), "count": "bytes"}, {"x": 4}),
        ({"budget": ("x=1", "y=3"), "count": "documents"}, {"x": 1, "y": 3}),
        ({"budget": ("x=8", "y=0"), "count": "tokens", "tokenizer": "bytes"}, {"x": 4}),
        ({"weight": ("x=.5", "y=.5"), "tokens": 10, "count": "n"}, {"x": 4, "y": 1}),
    ],
    ids=["once", "none", "words", "bytes", "documents", "tokens", "column"],
)
def test_ways_and_counts(mix: dict[str, object], expected: dict[str, int], tmp_path: Path) -> None:
    path = small(tmp_path, n=[1, 1, 6, 5])
    if mix.get("count") == "n":  # of y the first by hash goes in, or none
        keys = choice_key(0, Dataset(path).table(["id"])["id"])
        expected = {"x": 10 // 2 - 1, "y": 1} if keys[3] < keys[2] else {"x": 5}
        mix = {**mix, "weight": ("x=0.4", "y=0.6")} if "y" in expected else mix
    dataset = run(Mix(**mix), path, str(tmp_path / "t"), options=ONE)  # type: ignore[arg-type]
    assert Counter(dataset.table(["source"])["source"].to_pylist()) == Counter(expected)


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        ({}, "nothing says how much", "--weight"),
        ({"epochs": ("a=1",), "budget": ("a=1",)}, "epochs and budget are given together", "--budget"),
        ({"weight": ("a=1",)}, "share of tokens", "--tokens 300G"),
        ({"epochs": ("a=1",), "tokens": 5}, "tokens has no part in epochs", "leave"),
        ({"epochs": ("a=1",), "count": "tokens"}, "with a tokenizer", "--tokenizer PATH"),
        ({"epochs": ("a=1",), "tokenizer": "x"}, "no part in count words", "leave"),
        ({"epochs": ("a",)}, "epochs 'a' is not SOURCE=NUMBER", "webtext=2.9"),
        ({"epochs": ("a=-1",)}, "'a=-1' is not", "webtext"),
        ({"epochs": ("a=nan",)}, "'a=nan' is not", "webtext"),
        ({"epochs": ("=1",)}, "'=1' is not", "webtext"),
        ({"epochs": ("a=2G",)}, "'a=2G' is not", "webtext"),
        ({"budget": ("a=2X",)}, "a=2X wants a whole number or a size", "500MB"),
        ({"budget": ("a=2", "a=3")}, "names 'a' twice", "once"),
        ({"budget": ("a=0",)}, "takes nothing", "more than 0"),
        ({"weight": ("a=.6", "b=.6"), "tokens": 5}, "sum to 1.2, not 1", "a=0.5,b=0.5"),
        ({"weight": ("a=.6", "b=.37"), "tokens": 5}, "sum to 0.97, not 1", "a=0.6186"),
        ({"epochs": ("a=1",), "rows": 0}, "rows must be at least 1", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(given: dict[str, object], message: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        Mix(**{"count": "words", **given})  # type: ignore[arg-type]
    assert message in caught.value.what
    assert fix in (caught.value.fix or "")


def test_weights_as_rounded_as_gpt3s_are_taken_as_written() -> None:
    for weights in (WEIGHTS, ("a=.6", "b=.38")):  # 1.01; the least that is allowed
        assert Mix(weight=weights, tokens=9, count="words").weight == weights
    assert read_amounts(["a=b=.1", "c= 3"], "weight") == {"a=b": Fraction(1, 10), "c": 3}
    assert read_amounts(["a=1.5G", "b=7"], "budget") == {"a": 1_500_000_000, "b": 7}


@pytest.mark.parametrize(
    ("mix", "error", "message", "fix"),
    [
        ({"epochs": ("x=1", "y=1", "z=1")}, UsageError, "no document has the source 'z'", "known: x, y"),
        ({"epochs": ("x=1",)}, UsageError, "does not say how much of 'y'", "--epochs 'y=0'"),
        ({"epochs": ("x=1", "y=1"), "count": "zeros"}, UsageError, "column 'zeros'", "mean 'zero'"),
        ({"epochs": ("x=1", "y=1"), "count": "url"}, UsageError, "is no whole number", "words"),
        ({"epochs": ("x=1", "y=1"), "count": "n"}, InputError, "has no count in the column 'n'", "--count"),
        ({"epochs": ("x=.1", "y=1"), "count": "zero"}, InputError, "hold nothing to count", "leave"),
    ],
)
def test_what_does_not_fit_the_documents_is_said_before_anything_is_written(
    mix: dict[str, object], error: type[Exception], message: str, fix: str, tmp_path: Path
) -> None:
    path = small(tmp_path, n=[1, None, 1, -1], zero=[0, 0, 0, 0])
    stage = Mix(**{"count": "words", **mix})  # type: ignore[arg-type]
    with pytest.raises(error) as caught:
        run(stage, path, str(tmp_path / "t"), options=ONE)
    assert message in str(caught.value)
    assert fix in str(caught.value)
    if error is UsageError:
        assert not (tmp_path / "t").exists()
        with pytest.raises(UsageError):
            outlook(stage, path, str(tmp_path / "t"))


def test_a_mix_is_not_mixed_again(tmp_path: Path) -> None:
    path = small(tmp_path, id=["a", "a~1", "b", "c"])
    with pytest.raises(InputError, match="a~1 is a repeat"):
        run(Mix(epochs=("x=1", "y=1"), count="words"), path, str(tmp_path / "t"), options=ONE)


def test_a_document_twice_is_named(tmp_path: Path) -> None:
    path = small(tmp_path, id=["a", "a", "b", "c"])
    with pytest.raises(InputError, match="document a is in the inputs twice"):
        run(Mix(epochs=("x=1", "y=1"), count="words"), path, str(tmp_path / "t"), options=ONE)


def test_pieces_repeat_as_documents_do(tmp_path: Path) -> None:
    path = small(tmp_path, id=["a#0", "a#1", "b", "c"])
    dataset = run(Mix(epochs=("x=2", "y=0"), count="words"), path, str(tmp_path / "t"), options=ONE)
    assert sorted(dataset.table()["id"].to_pylist()) == ["a#0", "a#0~1", "a#1", "a#1~1"]


def test_the_example_recipe_is_the_table_of_the_paper(mixed: Dataset, source: str, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "examples" / "recipes" / "gpt3-mix.toml"
    (stage,) = recipe.load(path).stages
    assert isinstance(stage, Mix)
    assert read_amounts(stage.weight, "weight") == read_amounts(WEIGHTS, "weight")
    assert stage.tokens == 300_000_000_000
    small = dataclasses.replace(stage, tokens=TOKENS, count="words", tokenizer=None)
    dataset = recipe.Recipe((small,)).run(source, str(tmp_path / "mix"), options=ONE)
    assert dataset.table() == mixed.table()


def test_the_story_of_a_repeat_is_that_of_its_document(mixed: Dataset) -> None:
    repeat = next(name for name in mixed.table(["id"])["id"].to_pylist() if name.endswith("~2"))
    (story,) = explain(mixed.path, repeat).stories
    assert [verdict.stage for verdict in story.verdicts] == ["crawl.test", "shard.mix"]
    assert story.kept_in is not None
    assert repeat in pq.read_table(story.kept_in, columns=["id"])["id"].to_pylist()


def test_the_same_bytes_where_many_tasks_scatter(mixed: Dataset, source: str, tmp_path: Path) -> None:
    rows = Dataset(source).table().to_batches()
    batch = pa.concat_batches(rows)
    path = Path(
        write_dataset(tmp_path / "s", *[batch.slice(start, 300) for start in range(0, len(batch), 300)])
    )
    manifest = json.loads((path / "manifest.json").read_text())
    for part in manifest["parts"]:
        part["text_bytes"] = 60 << 20  # so that each is a task, which rejects into a file of its own
    (path / "manifest.json").write_text(json.dumps(manifest))
    again = run(TABLE, str(path), str(tmp_path / "again"), options=ONE)
    assert again.table() == mixed.table()
    assert len(again.rejects) > 1
    rejects, before = (
        pa.Table.from_batches(dataset.reject_batches()).sort_by("id") for dataset in (again, mixed)
    )
    assert rejects == before
