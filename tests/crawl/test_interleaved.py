"""`crawl interleaved`: pages with their images, those that stay, and what is said of those that go."""

from __future__ import annotations

import importlib.util
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from interleaved_world import TEXT, crawl, page, read_step, rejects, rules

from corpuskit.crawl.imageplaces import PlaceImages
from corpuskit.crawl.interleaved import Interleaved
from corpuskit.crawl.pairs import LINKS
from corpuskit.crawl.picturedpages import INTERLEAVED
from corpuskit.document import IMAGES
from corpuskit.engine import Options
from corpuskit.errors import UsageError
from corpuskit.testing import check_stage, documents, write_dataset

ONE = Options(workers=1, max_bad=1.0)


def test_a_page_becomes_a_document_with_its_images_in_their_places(tmp_path: Path) -> None:
    lazy = "<figure><img data-src=/b.jpg alt=' A  boat '><figcaption>A boat</figcaption></figure>"
    found = crawl(tmp_path, page("a.jpg", lazy, head="<link rel=license href='/cc'><base href='/img/'>"))
    assert found.schema.equals(INTERLEAVED)
    [row] = found.table().to_pylist()
    assert row["text"] == f"{TEXT[0]} 0\n\nA boat\n\n{TEXT[1]}\n\n{TEXT[2]}"
    at = len(f"{TEXT[0]} 0\n\n")
    told = [(image["offset"], image["url"], image["alt"]) for image in row["images"]]
    assert told == [
        (at, "https://town.example/img/a.jpg", None),
        (at, "https://town.example/b.jpg", "A boat"),
    ]
    assert (row["title"], row["license"], row["url"]) == (
        "A pier",
        "https://town.example/cc",
        "https://town.example/1",
    )
    assert row["images"][0]["bytes"] is None
    assert rejects(found) == []


def test_pages_without_images_and_images_that_are_small_say_so(tmp_path: Path) -> None:
    sized = [f"<img src={side} width={side} height=200>" for side in (63, 64)]
    found = crawl(
        tmp_path,
        page(),
        page("<img src=63 width=63>"),
        page(*sized),
        b"<html><body><img src=a.jpg></body></html>",
    )
    [row] = found.table().to_pylist()
    assert [image["url"] for image in row["images"]] == ["https://town.example/64"]
    assert sorted((row["rule"], row["value"]) for row in rejects(read_step(found))) == [
        ("extract.empty", 0.0),
        ("interleaved.no_image", 0.0),
        ("interleaved.no_image", 1.0),
        ("interleaved.small", None),
    ]
    [small] = [row for row in rejects(read_step(found)) if row["rule"] == "interleaved.small"]
    assert (small["url"], small["bound"]) == ("https://town.example/63", 64.0)
    assert small["start"] == small["end"] == len(f"{TEXT[0]} 0\n\n")


@pytest.mark.parametrize(("most", "left"), [(5, 5), (2, 2), (6, 6), (7, 6), (None, 6)])
def test_images_after_the_first_few_are_taken_out(tmp_path: Path, most: int | None, left: int) -> None:
    found = crawl(tmp_path, page(*"abcdef"), max_images=most)
    [row] = found.table().to_pylist()
    assert [image["url"][-1] for image in row["images"]] == list("abcdef")[:left]
    assert rules(found) == [("interleaved.excess", name) for name in "abcdef"[left:]]


def test_an_image_in_too_many_pages_is_taken_out_of_all(tmp_path: Path) -> None:
    pages = [
        page("logo", "logo", f"own{number}", *(["ten"] if number else []), number=number)
        for number in range(11)
    ]
    pages.append(page("logo", number=12))
    found = crawl(tmp_path, *pages)
    rows = found.table().to_pylist()
    names = Counter(image["url"].rpartition("/")[2] for row in rows for image in row["images"])
    assert len(rows) == 11
    assert names == {"ten": 10} | {f"own{number}": 1 for number in range(11)}
    assert Counter(row["rule"] for row in rejects(found)) == {
        "interleaved.frequent": 12,
        "interleaved.no_image": 1,
    }


def test_half_of_the_pages_with_one_image_stay_and_all_with_two(tmp_path: Path) -> None:
    pages = [page(f"a{number}", *(["b"] if number % 4 == 0 else []), number=number) for number in range(80)]
    settings: dict[str, Any] = {"one_image_share": 0.5, "max_frequency": None}
    found = crawl(tmp_path, *pages, **settings)
    rows = found.table().to_pylist()
    counts = Counter(len(row["images"]) for row in rows)
    assert counts[2] == 20
    assert 15 <= counts[1] <= 45
    gone = [row for row in rejects(found) if row["rule"] == "interleaved.one_image"]
    assert len(gone) == 60 - counts[1]
    assert all(row["value"] >= row["bound"] == 0.5 for row in gone)


def test_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    pages = [
        page(f"a{number % 7}", "b" if number % 3 else f"c{number}", number=number) for number in range(30)
    ]
    one, two = (crawl(tmp_path, *pages, workers=workers, files=3, one_image_share=0.5) for workers in (1, 2))
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts]
    assert one.rows > 5


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"download": False, "max_images": 0},
        {"download": False, "one_image_share": 1.1},
        {"download": False, "max_frequency": 0},
        {"download": False, "quality": 101},
        {"download": False, "image_size": 224},
        {"download": False, "max_page": 0},
    ],
)
def test_settings_out_of_range_are_errors(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Interleaved(**settings)


def test_on_real_pages_no_place_loses_more_images_than_a_whitelist_of_tags(data: Path) -> None:
    path = Path(__file__).parents[2] / "bench" / "interleaved.py"
    spec = importlib.util.spec_from_file_location("bench_interleaved", path)
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    source = str(data / "warc" / "pages" / "pages-000.warc.gz")
    found = [bench.read_page(url, text) for url, text in bench.pages([source])]
    counts = bench.count(found)
    for place in bench.CATEGORIES:
        assert counts["ours"][place] >= counts["main whitelist"][place], place
    for place in ("list", "table", "figure", "picture", "noscript", "srcset", "lazy"):
        assert counts["ours"][place] > 0, place
    for one in found:
        text, offsets = one.placed.text.encode(), [offset for _, offset in one.placed.images]
        assert offsets == sorted(offsets)
        assert "".join(text[a:b].decode() for a, b in pairwise([0, *offsets, len(text)])) == one.placed.text


def test_the_last_step_conserves_what_it_reads(tmp_path: Path) -> None:
    found = crawl(tmp_path, *(page("a", "b", *"cdefg", number=number) for number in range(4)))
    told = found.manifest["stages"][-1]
    assert told["name"] == PlaceImages.name
    assert told["rows_in"] == told["rows_out"] == 4
    assert told["bytes_in"] == told["bytes_out"] > 0


def test_the_last_step_keeps_the_laws(tmp_path: Path) -> None:
    image = {"offset": 0, "url": "http://a.org/1"}
    images = pa.array([[image] * number for number in (0, 1, 2, 9)], IMAGES.type)
    batch = documents(["a", "b", "c", "d"], id=[f"{number:032x}" for number in range(4)])
    addresses = write_dataset(tmp_path / "addresses", pa.RecordBatch.from_pylist([], LINKS))
    check_stage(PlaceImages(), batch.append_column(IMAGES, images), beside=[addresses])
