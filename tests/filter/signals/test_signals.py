"""The registry of signals."""

import pyarrow as pa
import pytest

from corpuskit.errors import UsageError
from corpuskit.filter import signals

EMPTY = pa.RecordBatch.from_pydict({"text": pa.array([], pa.large_string())})
OWN = [name for name, signal in signals.SIGNALS.items() if signal.reads == ("text",)]


@pytest.mark.parametrize("known", [signals.SIGNALS, signals.LINE_SIGNALS])
def test_every_signal_says_what_it_is(known):
    for name, signal in known.items():
        assert signal.name == name
        assert signal.meaning[0].isupper() or signal.meaning[0] == "#"
        assert signal.meaning.endswith(".") and "\n" not in signal.meaning


def test_a_misspelt_signal_is_an_error_that_suggests_the_right_one():
    with pytest.raises(UsageError, match="'wrod_count'") as caught:
        signals.compute(["wrod_count"], EMPTY)
    assert caught.value.fix == "did you mean 'word_count'?"
    with pytest.raises(UsageError) as caught:
        signals.compute_lines(["line_numerics"], EMPTY)
    assert caught.value.fix == "did you mean 'line_numeric'?"


def test_an_empty_batch_has_empty_columns_of_the_declared_types():
    names = [name for name in OWN if name != "bad_word_count"]
    columns = signals.compute(names, EMPTY)
    assert list(columns) == names
    assert all(
        len(column) == 0 and column.type == signals.SIGNALS[name].type for name, column in columns.items()
    )
    lines = signals.compute_lines(list(signals.LINE_SIGNALS), EMPTY)
    assert all(c.type == signals.LINE_SIGNALS[name].type and len(c) == 0 for name, c in lines.columns.items())


def test_a_pass_runs_once():
    calls = []

    def step(scan):
        calls.append(scan)
        return len(calls)

    scan = signals.Scan(EMPTY)
    assert [scan.once(step), scan.once(step)] == [1, 1]


def test_register_adds_a_signal_and_refuses_a_name_twice(monkeypatch):
    monkeypatch.setattr(signals, "_documents", dict(signals.SIGNALS))
    monkeypatch.setattr(signals, "SIGNALS", signals._documents)
    signal = signals.Signal("rows", pa.int64(), "Rows.", lambda scan: pa.array([scan.rows] * scan.rows))
    signals.register(signal)
    signals.register(signal)
    batch = pa.RecordBatch.from_pydict({"text": ["a", "b"]})
    assert signals.compute(["rows"], batch)["rows"].to_pylist() == [2, 2]
    with pytest.raises(UsageError, match="exists already"):
        signals.register(signals.Signal("rows", pa.int64(), "Other.", lambda scan: pa.nulls(scan.rows)))
