"""Contact sheets show images that were kept, and by which rule others went."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from corpuskit.contactsheet import render, sheets
from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES
from corpuskit.engine import Options, run
from corpuskit.filter.rules import Rules
from corpuskit.report import report
from corpuskit.shard.webdataset import WebDataset
from corpuskit.testing import documents, write_dataset

ONE = Options(workers=1)


def picture(side: int, colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("sheet")
    rows = [(300, "red"), (300, "blue"), (100, "green"), (0, "broken"), (300, "white")]
    captions = [f"a <b>{colour}</b> square of colour" for _, colour in rows]
    captions[4] = "white"
    images = [
        [{"offset": 0, "width": side, "height": side, "bytes": picture(side, colour) if side else b"?"}]
        for side, colour in rows
    ]
    batch = documents(captions).append_column(IMAGES, pa.array(images, IMAGES.type))
    source = write_dataset(folder / "in", batch)
    return run(Rules(tables=("datacomp-basic",)), source, str(folder / "out"), options=ONE)


def test_every_rule_and_what_is_kept_has_a_sheet(judged: Dataset) -> None:
    found = {sheet.rule: [sample.text for sample in sheet.samples] for sheet in sheets(judged, 2)}
    assert found == {
        "datacomp-basic.word_count.min": ["white"],
        "datacomp-basic.char_count.min": ["white"],
        "datacomp-basic.image_shortest_side.min": ["a <b>green</b> square of colour"],
        None: ["a <b>red</b> square of colour", "a <b>blue</b> square of colour"],
    }
    thumbnail = Image.open(io.BytesIO(sheets(judged, 1)[-1].samples[0].thumbnail))
    assert thumbnail.size == (160, 160)


def test_the_page_shows_them_and_escapes_what_strangers_wrote(judged: Dataset) -> None:
    page = report(judged.path, images=2).html()
    assert "datacomp-basic.image_shortest_side.min" in page
    assert page.count('src="data:image/jpeg;base64,') == 5
    assert "&lt;b&gt;green&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "data:image" not in report(judged.path).html()


def test_shards_show_the_images_of_what_they_were_made_of(judged: Dataset) -> None:
    shards = run(WebDataset(), judged.path, f"{judged.path}-shards", options=ONE)
    last = sheets(shards, 5)[-1]
    assert (last.stage, last.rule, len(last.samples)) == ("shard.webdataset", None, 2)


def test_a_dataset_without_images_has_none(tmp_path: Path) -> None:
    dataset = Dataset(write_dataset(tmp_path / "in", documents(["a"])))
    assert sheets(dataset, 5) == ()
    assert render(()) == ""
