"""Documents with images as lists and as a sequence: spans exact, and back again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.shard.interleaving import from_lists, from_sequence, to_lists, to_sequence
from corpuskit.shard.parquet import Parquet
from corpuskit.testing import documents, write_dataset

_PIECES = st.text(max_size=6) | st.sampled_from(
    [
        "<s>",
        "</s>",
        "<image>",
        "</image>",
        " <image> 0 </image> ",
        "&lt;s>",
        "&amp;lt;/image>",
        " ",
        "é🙂\n\n",
    ]
)


@st.composite
def _interleaved(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    text = ""
    images: list[dict[str, Any]] = []
    for piece in draw(st.lists(_PIECES | st.none(), max_size=12)):
        if piece is None:
            images.append({"offset": len(text.encode()), "url": f"http://a/{len(images)}"})
        else:
            text += piece
    return text, images


@given(_interleaved())
def test_lists_give_the_document_back(document: tuple[str, list[dict[str, Any]]]) -> None:
    texts, images = to_lists(*document)
    assert all((text is None) is not (image is None) for text, image in zip(texts, images, strict=True))
    assert from_lists(texts, images) == document


@given(_interleaved())
def test_a_sequence_gives_the_document_back_and_holds_no_forged_token(
    document: tuple[str, list[dict[str, Any]]],
) -> None:
    text, images = to_sequence(*document)
    assert text.count("<image>") == text.count("</image>") == len(images)
    assert text.count("<s>") == text.count("</s>") == 1
    for number, image in enumerate(images):
        assert text.encode()[image["offset"] :].startswith(f"<image> {number} </image>".encode())
    assert from_sequence(text, images) == document


def _dataset(path: Path, offset: int = 3) -> str:
    batch = documents(["é one", "two", "three"])
    images = [
        [{"offset": offset, "url": "http://a/1", "bytes": b"x"}, {"offset": 6, "url": "http://a/2"}],
        [],
        None,
    ]
    column = pa.array(images, IMAGES.type)
    return write_dataset(path, batch.append_column(IMAGES, column))


def _shards(tmp_path: Path, form: Any, source: str, workers: int = 1) -> Dataset:
    target = str(tmp_path / f"{form}-{workers}")
    return run(Parquet(interleaved=form), source, target, options=Options(workers=workers))


def test_shards_hold_lists(tmp_path: Path) -> None:
    found = _shards(tmp_path, "lists", _dataset(tmp_path / "in"))
    rows = {row["id"][-1]: row for row in found.table().to_pylist()}
    assert "text" not in found.schema.names
    assert [row["texts"] for row in rows.values() if row["id"].endswith("0")] == [["é ", None, "one", None]]
    assert [image and image["url"] for image in rows["0"]["images"]] == [
        None,
        "http://a/1",
        None,
        "http://a/2",
    ]
    assert rows["0"]["images"][1]["bytes"] == b"x"
    assert (rows["1"]["texts"], rows["1"]["images"]) == (["two"], [None])
    assert rows["2"]["texts"] == ["three"]
    assert (tmp_path / "lists-1" / "README.md").exists()


def test_shards_hold_a_sequence_and_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    source = _dataset(tmp_path / "in")
    found, other = (_shards(tmp_path, "sequence", source, workers) for workers in (1, 2))
    texts = {row["text"] for row in found.table(["text"]).to_pylist()}
    assert texts == {
        "<s> é  <image> 0 </image> one <image> 1 </image> </s>",
        "<s> two </s>",
        "<s> three </s>",
    }
    assert [part.sha256 for part in found.parts] == [part.sha256 for part in other.parts]


def test_as_they_are_by_default(tmp_path: Path) -> None:
    source = _dataset(tmp_path / "in")
    assert _shards(tmp_path, None, source).schema.equals(Dataset(source).schema)


@pytest.mark.parametrize("offset", [1, 7, -1])
def test_an_image_outside_its_text_is_an_error_that_names_the_document(tmp_path: Path, offset: int) -> None:
    with pytest.raises(InputError, match="document 0{32}"):
        _shards(tmp_path, "lists", _dataset(tmp_path / "in", offset))


def test_documents_without_images_are_an_error(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "in", documents(["one"]))
    with pytest.raises(UsageError, match="images"):
        _shards(tmp_path, "lists", source)
