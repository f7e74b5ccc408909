"""The law of conservation, the watch, and what a task's key depends on."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest

from corpuskit.document import reject_rows
from corpuskit.stage import (
    Input,
    Poisoned,
    Split,
    Stage,
    Task,
    TookTooLong,
    Watch,
    check_conservation,
    watch_with,
    watching,
)
from corpuskit.testing import documents

DOCS = documents(["alpha beta", "gamma", "delta"], id=["a", "b", "c"])


def reject(rows: list[int], **columns: object) -> pa.RecordBatch:
    return reject_rows(DOCS, "test", "test.rule", pa.array(rows, pa.int64()), **columns)


def kept(**texts: str) -> pa.RecordBatch:
    return documents(texts.values(), id=[name.replace("_", "#") for name in texts])


@pytest.mark.parametrize(
    ("split", "fault"),
    [
        (Split(DOCS.slice(0, 2), reject([2]), DOCS), None),
        (
            Split(
                kept(a="alpha", b="gamma"),
                pa.concat_batches([reject([0], start=5, end=10), reject([2])]),
                DOCS,
            ),
            None,
        ),
        (Split(kept(a_0="alpha", a_1="beta", b="gamma", c="delta"), reject([0], start=5, end=6), DOCS), None),
        (
            Split(kept(a="alpha [X]", b="gamma", c="delta"), reject([0], start=6, end=10, value=3.0), DOCS),
            None,
        ),
        (Split(DOCS.slice(0, 2), reject([]), DOCS), "documents lost: c"),
        (Split(DOCS, reject([1]), DOCS), "both kept and rejected: b"),
        (Split(pa.concat_batches([DOCS, DOCS.slice(0, 1)]), reject([]), DOCS), "kept twice: a"),
        (Split(kept(a="alpha beta", b="gamma", c="delta", z="?"), reject([]), DOCS), "made up: z"),
        (
            Split(kept(a="alpha", b="gamma", c="delta"), reject([]), DOCS),
            "20 bytes came in, 15 are kept and 0 were cut",
        ),
        (Split(kept(a="alpha", b="gamma", c="delta"), reject([0], start=5, end=9), DOCS), "and 4 were cut"),
    ],
)
def test_conservation(split: Split, fault: str | None) -> None:
    if fault is None:
        check_conservation(split, "test")
    else:
        with pytest.raises(AssertionError, match=fault):
            check_conservation(split, "test")


def test_pieces_of_pieces_are_conserved() -> None:
    source = documents(["one two"], id=["a#1"])
    cut = reject_rows(source, "test", "test.rule", pa.array([0]), start=3, end=4)
    check_conservation(Split(documents(["one", "two"], id=["a#1#0", "a#1#1"]), cut, source), "test")


def test_repeats_are_beside_the_account_and_no_id_is_kept_twice() -> None:
    source = documents(["one", "two"], id=["a", "b~1"])  # b~1 came in as a repeat, and counts
    kept = documents(["one", "one", "two", "six"], id=["a", "a~1", "b~1", "c#0~2"])
    check_conservation(Split(kept, source=source), "test")
    for ids, fault in (
        (["a", "a~1", "a~1", "b~1"], "kept twice: a~1"),
        (["a", "a~1", "a~2", "a~3"], "lost: b~1"),
    ):
        with pytest.raises(AssertionError, match=fault):
            check_conservation(Split(documents(["one", "one", "one", "two"], id=ids), source=source), "test")


def test_watching_limits_processor_time() -> None:
    started = time.monotonic()
    with pytest.raises(TookTooLong), watching("document", 0.1):
        while True:
            pass
    assert time.monotonic() - started < 5
    with watching("document", 0.1):
        pass
    total = sum(range(3_000_000))  # the timer is off again
    assert total


def test_a_poisoned_document_is_passed_over() -> None:
    class Verdicts(Watch):
        def begin(self, key: str, seconds: float) -> None:
            if key == "bad":
                raise Poisoned("engine.crash")

    watch_with(Verdicts())
    try:
        with watching("good", 1):
            pass
        with pytest.raises(Poisoned), watching("bad", 1):
            raise AssertionError("must not run")
    finally:
        watch_with(Watch())


def test_a_key_depends_on_content_not_on_place() -> None:
    def key(**changes: object) -> str:
        given = {"path": "/a/x.warc", "name": "x.warc", "size": 3, "identity": "1"} | changes
        return Task((Input(**given),)).key([Stage()])

    assert key() == key(path="/b/x.warc")
    assert len({key(), key(name="y.warc"), key(size=4), key(identity="2")}) == 4
