"""Images keep their place in a text from which something was cut, or go with what was cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.document import IMAGES, REJECT
from corpuskit.engine import Options, run
from corpuskit.engine.placing import placed
from corpuskit.filter.pii import Pii
from corpuskit.filter.rules import Rules
from corpuskit.stage import Split, Stage
from corpuskit.testing import documents, write_dataset

TEXT = "0123456789abcdefghij"
SPANS = st.lists(st.integers(0, len(TEXT)), max_size=8).map(
    lambda ends: [(a, b) for a, b in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False)]
)
DOCUMENTS = st.lists(
    st.tuples(SPANS, st.integers(0, 3), st.lists(st.integers(0, len(TEXT)), max_size=6).map(sorted)),
    max_size=5,
)


def with_images(batch: pa.RecordBatch, places: list[list[int]]) -> pa.RecordBatch:
    images = [[{"offset": place, "url": f"https://a.example/{place}"} for place in row] for row in places]
    return batch.append_column(IMAGES, pa.array(images, IMAGES.type))


def twin(spans: list[tuple[int, int]], written: int, places: list[int]) -> list[tuple[int, str]]:
    """Move the images one by one."""
    found = []
    for place in places:
        now = place
        for start, end in spans:
            if start < place < end:
                break
            if end <= place and start < place:
                now -= end - start - written
        else:
            found.append((now, f"https://a.example/{place}"))
    return found


@given(DOCUMENTS)
def test_offsets_move_as_one_by_one(cases: list[tuple[list[tuple[int, int]], int, list[int]]]) -> None:
    source = with_images(documents([TEXT] * len(cases)), [places for _, _, places in cases])
    rejects: list[dict[str, Any]] = []
    for name, (spans, written, _) in zip(source["id"].to_pylist(), cases, strict=True):
        for start, end in spans:
            row = {"id": name, "stage": "s", "rule": "r", "start": start, "end": end}
            rejects.append(row | {"value": float(written) if written else None})
    split = placed(Split(source, pa.RecordBatch.from_pylist(rejects[::-1], REJECT), source))
    found = [[(one["offset"], one["url"]) for one in row] for row in split.kept["images"].to_pylist()]
    expected = []
    for spans, written, places in cases:
        real = [(start, end) for start, end in spans if end > start]
        expected.append(twin(real, written, places))
    assert found == expected


def engine(stage: Stage, tmp_path: Path, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    source = write_dataset(tmp_path / "in", batch)
    return run(stage, source, str(tmp_path / "out"), options=Options(workers=1)).table().to_pylist()


def test_a_masked_address_and_a_cut_line_move_what_follows(tmp_path: Path) -> None:
    text = "Write to someone.long@example.org today.\nshort\nThe harbour was closed on Monday.\n"
    places = [0, text.index("today"), text.index("ort"), text.index("The")]
    (row,) = engine(Pii(), tmp_path / "a", with_images(documents([text]), [places]))
    assert row["text"][row["images"][1]["offset"] :].startswith("today")
    (tmp_path / "t.toml").write_text(
        '[[rule]]\nname = "w"\nsignal = "line_word_count"\nscope = "line"\nmin = 2\nsource = "x"\n'
    )
    rules = Rules(tables=(str(tmp_path / "t.toml"),))
    (row,) = engine(rules, tmp_path / "b", with_images(documents([text]), [places]))
    assert "short" not in row["text"]
    assert len(row["images"]) == 3
    assert row["text"][row["images"][2]["offset"] :].startswith("The")


def test_pieces_of_a_document_keep_no_images() -> None:
    source = with_images(documents([TEXT, TEXT], id=["a", "b"]), [[1], [19]])
    kept = with_images(documents([TEXT[:4], TEXT[9:], TEXT], id=["a#0", "a#1", "b"]), [[1], [1], [19]])
    cut = {"id": "a", "stage": "s", "rule": "r", "start": 4, "end": 9}
    split = placed(Split(kept, pa.RecordBatch.from_pylist([cut], REJECT), source))
    assert [len(row) for row in split.kept["images"].to_pylist()] == [0, 0, 1]
