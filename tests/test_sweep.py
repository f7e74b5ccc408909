"""`sweep`: counts equal a plain loop's and those of a run with that bound; what was filtered away is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit import Options, run
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, UsageError
from corpuskit.filter.rules import Rules
from corpuskit.filter.tables import Rule
from corpuskit.sweep import sweep
from corpuskit.sweep.counting import Count
from corpuskit.testing import documents, write_dataset

OPTIONS = Options(workers=1)
MANY = [f"{' '.join(['word'] * size)} the of" for size in range(1, 101)]  # 3 to 102 words


def judged_by(folder: Path, *sources: str, **settings_: Any) -> str:
    return run(Rules(**settings_), list(sources), str(folder), options=OPTIONS).path


@pytest.fixture
def source(tmp_path: Path) -> str:
    half = len(MANY) // 2
    ids = [f"{number * 7919 % 100:032x}" for number in range(100)]
    urls = [f"http://test/{number}" if number % 2 else None for number in range(100)]
    batch = documents(MANY, id=ids, url=urls, lang=[None, "eng", "deu", "eng"] * 25)
    return write_dataset(tmp_path / "source", batch.slice(0, half), batch.slice(half))


@pytest.fixture
def signals(tmp_path: Path, source: str) -> str:
    return judged_by(tmp_path / "signals", source, tables=("gopher",), signals_only=True)


def test_each_bound_counts_what_a_run_with_it_would_keep(tmp_path: Path, source: str, signals: str) -> None:
    found = sweep(signals, "gopher.word_count.min", 10, 90, steps=5)
    assert (found.signal, found.direction, found.documents, found.unjudged) == ("word_count", "min", 100, 0)
    assert [step.bound for step in found.steps] == [10, 30, 50, 70, 90]
    assert (found.filtered, found.rejected) == ((), 0)
    assert found.words == sum(len(text.split()) for text in MANY)
    for step in found.steps:
        (tmp_path / "one.toml").write_text(
            f'[[rule]]\nname = "least"\nsignal = "word_count"\nmin = {step.bound}\n'
        )
        kept = judged_by(tmp_path / f"{step.bound}", source, tables=(str(tmp_path / "one.toml"),))
        assert step.documents == Dataset(kept).rows
        assert step.words == sum(part.words for part in Dataset(kept).parts)


def test_the_greatest_value_at_the_bound_is_kept(signals: str) -> None:
    found = sweep(signals, "gopher.word_count.max", 3, 4, steps=2)
    assert [step.documents for step in found.steps] == [1, 2]
    assert sweep(signals, "word_count", 3, 4, steps=2, direction="max").steps == found.steps


def test_examples_are_the_closest_of_each_side_and_equals_go_by_id(signals: str) -> None:
    (step,) = sweep(signals, "gopher.word_count.min", 50, 50).steps
    assert [(one.value, one.kept) for one in step.examples] == [
        *((value, True) for value in (50, 51, 52, 53, 54)),
        *((value, False) for value in (49, 48, 47, 46, 45)),
    ]
    first = step.examples[0]
    assert first.id in Dataset(signals).table()["id"].to_pylist()
    assert first.text == MANY[47][:80]
    (step,) = sweep(signals, "stop_word_count", 1, 1, direction="min").steps  # all have two
    assert [one.id for one in step.examples] == [f"{number:032x}" for number in range(5)]


def test_a_rule_of_one_language_keeps_the_documents_of_others(signals: str) -> None:
    found = sweep(signals, "gopher.stop_word_count.min", 3, 3)
    assert found.unjudged == 25
    assert found.steps[0].documents == 25
    assert "25 documents have no value, or are in a language" in found.text()


def test_documents_without_a_value_are_kept_by_any_bound(tmp_path: Path) -> None:
    batch = documents(["", "one two"])
    signals = judged_by(
        tmp_path / "s", write_dataset(tmp_path / "d", batch), tables=("gopher",), signals_only=True
    )
    found = sweep(signals, "gopher.mean_word_length.min", 100, 100)
    assert (found.unjudged, found.steps[0].documents) == (1, 1)


def test_a_filtered_dataset_says_so_and_counts_what_its_rejects_tell(tmp_path: Path, source: str) -> None:
    (tmp_path / "mine.toml").write_text(
        '[[rule]]\nname = "least"\nsignal = "word_count"\nmin = 50\n'
        '[[rule]]\nname = "longest"\nsignal = "char_count"\nmin = 60\n'
    )
    clean = judged_by(tmp_path / "clean", source, tables=(str(tmp_path / "mine.toml"),))
    found = sweep(clean, f"{tmp_path}/mine.toml:least", 1, 80, steps=3)
    assert [(one.rule, one.documents, one.dataset) for one in found.filtered] == [("mine.least", 47, None)]
    alone = [text for text in MANY if len(text.split()) < 50 and len(text) >= 60]
    assert 0 < len(alone) < 47
    assert found.rejected == len(alone)
    assert [step.bound for step in found.steps] == [1, 40, 80]
    assert [step.returned for step in found.steps] == [len(alone), 10, 0]
    assert [step.documents for step in found.steps] == [53, 53, 23]
    told = found.json()["steps"]
    assert told[0]["documents_share"] == 1.0
    assert told[2]["documents_share"] == pytest.approx(23 / (53 + len(alone)))
    assert "mine.least had rejected 47 documents." in " ".join(found.text().split())
    unlike = sweep(clean, "gopher.word_count.max", 10, 20)
    assert (unlike.filtered, unlike.rejected) == ((), 0)


def test_a_dataset_filtered_before_says_which_one_to_sweep(tmp_path: Path, source: str) -> None:
    clean = judged_by(tmp_path / "clean", source, tables=("gopher",))
    later = judged_by(tmp_path / "later", clean, tables=(), signals=("word_count",))
    found = sweep(later, "gopher.word_count.min", 10, 20)
    (one,) = found.filtered
    assert (one.rule, one.dataset, found.rejected) == ("gopher.word_count.min", "clean", 0)
    assert "before clean was written" in " ".join(found.text().split())


def test_text_is_80_columns_of_plain_characters(tmp_path: Path) -> None:
    texts = ["\x1b[2J\u202eevil " + "字" * 90, "x" * 300, "a\nb\tc", ""]
    urls = ["http://test/" + "y" * 200, "http://test/\x1b[31m", None, None]
    batch = documents(texts, url=urls)
    path = judged_by(tmp_path / "s", write_dataset(tmp_path / "d", batch), tables=(), signals=("char_count",))
    text = sweep(path, "char_count", 0, 200, steps=3, direction="min").text()
    from rich.cells import cell_len

    assert max(map(cell_len, text.splitlines())) <= 80
    assert text.isprintable() or set(filter(lambda char: not char.isprintable(), text)) == {"\n"}
    assert "a b c" in text and f"{3:032x}" in text


def test_json_is_everything(signals: str) -> None:
    found = sweep(signals, "gopher.word_count.min", 50, 60, steps=2)
    told = json.loads(json.dumps(found.json(), allow_nan=False))
    assert (told["documents"], told["direction"], told["filtered"]) == (100, "min", [])
    step = told["steps"][1]
    assert (step["bound"], step["documents"], step["documents_share"]) == (60, 43, 0.43)
    assert step["examples"][0].keys() == {"id", "url", "value", "kept", "text"}


def test_an_empty_dataset_has_no_shares(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "d", documents([]))
    found = sweep(judged_by(tmp_path / "s", source, tables=("gopher",)), "gopher.word_count.min", 1, 9)
    assert found.json()["steps"][0]["documents_share"] is None
    assert "no document has a value" in found.text()


@pytest.mark.parametrize(
    ("arguments", "error", "fix"),
    [
        (
            ("gopher.wrod_count.min", 1, 2),
            "no rule and no signal 'gopher.wrod_count.min'",
            "gopher.word_count.min",
        ),
        (("c4.line_word_count.min", 1, 2), "c4.line_word_count.min cuts lines", None),
        (("word_count", 1, 2), "'word_count' is a signal, which has no direction", "--direction min"),
        (("gopher.word_count.min", 3, 2), "3 to 2 is no range", "LOW"),
        (("gopher.word_count.min", float("nan"), 2), "is no range", "LOW"),
    ],
)
def test_wrong_calls(signals: str, arguments: tuple[str, float, float], error: str, fix: str | None) -> None:
    with pytest.raises(UsageError, match=error) as caught:
        sweep(signals, *arguments)
    assert (fix or "") in (caught.value.fix or "")


def test_more_wrong_calls(signals: str, source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has a direction of its own"):
        sweep(signals, "gopher.word_count.min", 1, 2, direction="max")
    with pytest.raises(UsageError, match="steps is 0"):
        sweep(signals, "gopher.word_count.min", 1, 2, steps=0)
    with pytest.raises(InputError, match="source has no column 'word_count'") as caught:
        sweep(source, "gopher.word_count.min", 1, 2)
    assert (caught.value.fix or "").endswith("TARGET --tables '' --signals word_count")
    with pytest.raises(InputError, match="no dataset"):
        sweep(str(tmp_path / "none"), "word_count", 1, 2)


@settings(max_examples=30)
@given(
    st.lists(st.none() | st.integers(0, 9), max_size=30),
    st.sampled_from([(None, 0.0), (0.0, None)]),
    st.integers(1, 7),
)
def test_counts_equal_a_plain_loop_however_the_batches_are_cut(
    values: list[int | None], side: tuple[float | None, float | None], size: int
) -> None:
    rule = Rule("r", "n", *side)
    batch = documents(["a b" * (value or 0) for value in values], n=pa.array(values, pa.int64()))
    bounds = [2.0, 5.0]
    whole, pieces = Count(rule, bounds), Count(rule, bounds)
    whole.add(batch)
    for start in range(0, len(batch), size):
        pieces.add(batch.slice(start, size))
    for number, bound in enumerate(bounds):
        keeps = [v is None or (v <= bound if side[0] is None else v >= bound) for v in values]
        step = whole.step(number, 0)
        assert step == pieces.step(number, 0)
        assert step.documents == sum(keeps)
        ranked = sorted(
            (abs(v - bound), f"{row:032x}") for row, v in enumerate(values) if v is not None and keeps[row]
        )
        assert [(one.distance, one.id) for one in step.examples if one.kept] == ranked[:5]
