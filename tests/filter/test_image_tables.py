"""Golden cases of the tables for images: a pair or page that is kept, one at each bound, one just beyond."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from corpuskit.document import IMAGES
from corpuskit.filter import signals
from corpuskit.filter.rules import Rules
from corpuskit.filter.tables import BUILT_IN, load
from corpuskit.stage import Split
from corpuskit.testing import check_stage, documents

TABLES = ("coyo", "datacomp-basic", "kosmos1", "laion", "laion-clip", "mmc4", "obelics")
CAPTION = "A dog runs on the beach"
PROSE = """\
The harbour was built in the spring of that year, when the river had fallen low enough for the masons.
They had to lower the first of the blocks by hand and to wait for every tide before they could go on.
By autumn there was a pier of grey granite that reached into the bay, and the boats were moored behind it.
"""
NAKED = "Masons built harbours while rivers fell quickly, pilots watched northern skies turning darker.\n"


def file(colour: tuple[int, int, int] = (200, 10, 10), other: tuple[int, int, int] | None = None) -> bytes:
    image = Image.new("RGB", (16, 16), colour)
    if other:
        image.putpixel((3, 3), other)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def image(
    width: int | None = 400, height: int | None = 300, size: int | None = 6000, **more: Any
) -> dict[str, Any]:
    data = None if size is None else b"\0" * size
    return {
        "offset": 0,
        "url": "https://a.example/p.jpg",
        "width": width,
        "height": height,
        "bytes": data,
    } | more


def page(text: str, *images: dict[str, Any], **columns: Any) -> pa.RecordBatch:
    batch = documents([text], **{name: [value] for name, value in columns.items()})
    return batch.append_column(IMAGES, pa.array([list(images)], IMAGES.type))


def apply(table: str, batch: pa.RecordBatch) -> Split:
    return Rules(tables=(table,)).split(batch)


def broken(table: str, batch: pa.RecordBatch) -> list[str]:
    return [rule.removeprefix(f"{table}.") for rule in apply(table, batch).rejected["rule"].to_pylist()]


PAIRS = {
    "datacomp-basic": [
        ("word_count.min", page("one two three", image()), page("seven eight", image())),
        ("char_count.min", page("a b cd", image()), page("a b c", image())),
        ("image_shortest_side.min", page(CAPTION, image(200, 300)), page(CAPTION, image(199, 300))),
        ("image_aspect.max", page(CAPTION, image(600, 200)), page(CAPTION, image(601, 200))),
    ],
    "laion": [
        ("char_count.min", page("abcde", image()), page("abcd", image())),
        ("image_bytes.min", page(CAPTION, image(size=5000)), page(CAPTION, image(size=4999))),
    ],
    "laion-clip": [
        (
            "clip_score.min",
            page(CAPTION, image(), clip_score=0.28),
            page(CAPTION, image(), clip_score=np.nextafter(0.28, 0)),
        ),
    ],
    "coyo": [
        ("image_bytes.min", page(CAPTION, image(size=5000)), page(CAPTION, image(size=4999))),
        ("image_shortest_side.min", page(CAPTION, image(200, 300)), page(CAPTION, image(199, 300))),
        ("image_aspect.max", page(CAPTION, image(600, 200)), page(CAPTION, image(601, 200))),
        ("word_count.min", page("one two three", image()), page("one two", image())),
        ("word_count.max", page(" ".join(["ab"] * 256), image()), page(" ".join(["ab"] * 257), image())),
        ("char_count.max", page("a b c" + "d" * 995, image()), page("a b c" + "d" * 996, image())),
    ],
}


@pytest.mark.parametrize(("table", "rule", "at", "beyond"), [(t, *case) for t in PAIRS for case in PAIRS[t]])
def test_a_pair_at_the_bound_is_kept_and_one_beyond_is_not(
    table: str, rule: str, at: pa.RecordBatch, beyond: pa.RecordBatch
) -> None:
    assert broken(table, at) == []
    split = apply(table, beyond)
    assert rule in broken(table, beyond)
    assert len(split.kept) == 0


IN_PAGES = {
    "mmc4": [
        ("image_shortest_side.min", image(150, 150), image(149, 200)),
        ("image_aspect.max", image(600, 300), image(601, 300)),
        ("image_url_decoration.max", image(), image(url="https://a.example/site-logo.png")),
    ],
    "obelics": [
        ("image_shortest_side.min", image(150, 150), image(149, 200)),
        ("image_longest_side.max", image(20000, 10000), image(20001, 15000)),
        ("image_aspect.max", image(600, 300), image(601, 300)),
    ],
    "kosmos1": [
        ("image_shortest_side.min", image(64, 64), image(63, 64)),
        ("image_colour_range.min", image(bytes=file(other=(200, 11, 10))), image(bytes=file())),
    ],
}


@pytest.mark.parametrize(
    ("table", "rule", "at", "beyond"), [(t, *case) for t in IN_PAGES for case in IN_PAGES[t]]
)
def test_an_image_beyond_the_bound_is_dropped_and_its_page_stays(
    table: str, rule: str, at: dict[str, Any], beyond: dict[str, Any]
) -> None:
    good = image(url="https://a.example/good.jpg", bytes=file(other=(0, 0, 0)))
    assert broken(table, page(PROSE, good, at)) == []
    split = apply(table, page(PROSE, good, beyond | {"offset": 7}))
    assert [one["url"] for one in split.kept["images"].to_pylist()[0]] == ["https://a.example/good.jpg"]
    assert split.kept["text"].to_pylist() == [PROSE]
    (row,) = split.rejected.to_pylist()
    assert (row["rule"], row["start"], row["end"]) == (f"{table}.{rule}", 7, 7)


@pytest.mark.parametrize("table", IN_PAGES)
def test_a_page_without_an_image_left_goes(table: str) -> None:
    split = apply(table, page(PROSE, image(10, 10)))
    assert len(split.kept) == 0
    whole = [row["rule"] for row in split.rejected.to_pylist() if row["start"] is None]
    assert whole == [f"{table}.image_count.min"]


ONE = image()
TEXTS = [
    ("image_count.max", page(PROSE, *[ONE] * 30), page(PROSE, *[ONE] * 31)),
    ("word_count.min", page(" ".join(PROSE.split()[:10]), ONE), page(" ".join(PROSE.split()[:9]), ONE)),
    ("lang_score.min", page(PROSE, ONE, lang_score=0.8125), page(PROSE, ONE, lang_score=0.79)),
    ("stop_word_ratio.min", page(PROSE, ONE), page(NAKED, ONE)),
    ("alphabetic_char_ratio.min", page(PROSE, ONE), page(PROSE + "1 2 3 4 5 6 7 8 9 " * 9, ONE)),
    ("line_word_count.min", page(PROSE + "of all the four\n", ONE), page(PROSE + "only three words\n", ONE)),
    ("line_word_count.max", page("the of " * 500, ONE), page("the of " * 500 + "to", ONE)),
]


@pytest.mark.parametrize(("rule", "kept", "beyond"), TEXTS)
def test_texts_of_obelics(rule: str, kept: pa.RecordBatch, beyond: pa.RecordBatch) -> None:
    assert rule not in broken("obelics", kept)
    assert rule in broken("obelics", beyond)


@pytest.mark.parametrize("table", sorted({*TABLES} - {"laion-clip"}))
def test_images_that_were_not_fetched_are_not_judged_by_what_is_not_known(table: str) -> None:
    text = PROSE if table in IN_PAGES else CAPTION
    kept = apply(table, page(text, image(None, None, None))).kept
    assert len(kept) == 1
    assert len(kept["images"].to_pylist()[0]) == 1


def test_the_size_before_resizing_is_what_counts() -> None:
    batch = page(CAPTION, image(100, 100, 10), original_width=500, original_height=400, original_bytes=9000)
    names = ["image_shortest_side", "image_longest_side", "image_aspect", "image_bytes"]
    found = {name: column[0].as_py() for name, column in signals.compute(names, batch).items()}
    assert found == {
        "image_shortest_side": 400,
        "image_longest_side": 500,
        "image_aspect": 1.25,
        "image_bytes": 9000,
    }


def test_signals_of_documents_without_images_are_null() -> None:
    names = [name for name in signals.SIGNALS if name.startswith("image_")]
    plain = signals.compute(names, documents(["a", "b"]))
    empty = signals.compute(names, page("a"))
    assert plain.pop("image_count").to_pylist() == [0, 0]
    assert empty.pop("image_count").to_pylist() == [0]
    assert all(column.null_count == 2 for column in plain.values())
    assert all(column.null_count == 1 for column in empty.values())


def test_a_blurred_image_is_less_sharp_and_a_broken_one_has_no_looks() -> None:
    noise = Image.effect_noise((128, 128), 80).convert("RGB")
    shown = []
    for one in (noise, noise.resize((16, 16)).resize((128, 128))):
        out = io.BytesIO()
        one.save(out, "PNG")
        shown.append(image(bytes=out.getvalue()))
    rows, found = signals.compute_images(
        ["image_sharpness", "image_colour_range"], page("a", *shown, image())
    )
    sharp, blurred, broken_ = found["image_sharpness"].to_pylist()
    assert sharp > 5 * blurred
    assert broken_ is None
    assert rows.tolist() == [0, 0, 0]


def test_share_of_nouns() -> None:
    batch = documents(["A Dog and a cat", "", "running"])
    found = signals.compute(["noun_ratio"], batch, {"noun_ratio": ("dog", "cat")})["noun_ratio"]
    assert found.to_pylist() == [0.4, None, 0.0]


def test_every_image_table_is_here_and_keeps_the_laws() -> None:
    assert set(TABLES) <= set(BUILT_IN)
    assert {rule.source != "" for table in TABLES for rule in load(table).rules} == {True}
    for table in ("mmc4", "coyo"):
        check_stage(Rules(tables=(table,)), page(PROSE, image(), image(1, 1), image(500, 100)))
