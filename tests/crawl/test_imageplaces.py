"""The images of pages, fetched from a farm on loopback: those that come, and those that fail."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_farm import FarmImages
from interleaved_world import crawl, page, rules
from PIL import Image
from webtext_farm import ADDRESSES, PORT, PageFarm

from corpuskit.crawl.interleaved import Interleaved

BASE = "<base href=http://img.town.org/>"


@pytest.fixture(autouse=True, scope="module")
def workers() -> Iterator[None]:
    """Start workers anew for every run: they inherit the farm's port."""
    yield


def picture(colour: str, other: str | None = None, size: tuple[int, int] = (80, 70)) -> bytes:
    image = Image.new("RGB", size, colour)
    image.paste(other or colour, (0, 0, 30, 30))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_images_are_fetched_and_those_that_fail_are_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Interleaved, "fetcher", FarmImages)
    png = {"Content-Type": "image/png"}
    photo = picture("red", "blue")
    farm = {
        "img.town.org/good": (200, png, photo),
        "img.town.org/flat": (200, png, picture("red")),
        "img.town.org/tiny": (200, png, picture("red", "blue", (80, 63))),
        "img.town.org/bad": (200, png, photo[:90]),
        "img.town.org/noai": (200, png | {"X-Robots-Tag": "noai"}, photo),
    }
    names = ["gone", "flat", "tiny", "good", "bad", "noai", "good?2"]
    with PageFarm(farm) as served:
        monkeypatch.setenv(PORT, str(served.port))
        found = crawl(
            tmp_path,
            page(*names, head=BASE),
            page("gone", "flat", number=2, head=BASE),
            page("good", number=3, head=BASE),
            download=True,
            contact="https://crawler.mit.edu/about",
            delay=0.0,
            retries=0,
            allow=ADDRESSES,
        )
    rows = found.table().to_pylist()
    assert [[image["url"].rpartition("/")[2] for image in row["images"]] for row in rows] == [
        ["good"],
        ["good"],
    ]
    [image] = rows[0]["images"]
    assert (image["width"], image["height"]) == (80, 70)
    assert Image.open(io.BytesIO(image["bytes"])).size == (80, 70)
    assert rows[0]["images"][0]["sha256"] == rows[1]["images"][0]["sha256"]
    assert rules(found) == [
        ("fetch.optout", "noai"),
        ("fetch.status", "gone"),
        ("fetch.status", "gone"),
        ("fetch.status", "good?2"),
        ("images.small", "tiny"),
        ("images.truncated", "bad"),
        ("interleaved.no_image", "2"),
        ("interleaved.one_colour", "flat"),
        ("interleaved.one_colour", "flat"),
    ]
    assert served.asked.count("img.town.org/good") == 1


def test_the_first_few_that_can_be_had_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interleaved, "fetcher", FarmImages)
    farm = {
        f"img.town.org/{name}": (200, {"Content-Type": "image/png"}, picture("red", "blue")) for name in "bc"
    }
    with PageFarm(farm) as served:
        monkeypatch.setenv(PORT, str(served.port))
        polite: dict[str, Any] = {"contact": "https://crawler.mit.edu/about", "delay": 0.0, "retries": 0}
        found = crawl(
            tmp_path, page(*"abc", head=BASE), download=True, max_images=1, allow=ADDRESSES, **polite
        )
    [row] = found.table().to_pylist()
    assert [image["url"][-1] for image in row["images"]] == ["b"]
    assert rules(found) == [("fetch.status", "a"), ("interleaved.excess", "c")]
