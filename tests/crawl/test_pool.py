"""`crawl pool`: a row for each text about each image, from pages and from what a WAT says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from building import http, record

from corpuskit.crawl.pool import PAIRS, Pool
from corpuskit.dataset import Dataset
from corpuskit.document import REJECT
from corpuskit.engine import Options, run
from corpuskit.errors import UsageError

ONE = Options(workers=1, max_bad=1.0)
PAGE = (
    "<html lang='de-AT'><head><title> Bienen </title><link rel=license href='/cc'></head><body>"
    "<figure><img src=a.jpg alt='Eine Biene' title='Eine Biene' width=640 height=480>"
    "<figcaption>Auf Klee</figcaption></figure>"
    "<img src=b.jpg title='Nur Titel'><img src=c.jpg><img src=a.jpg alt='Eine Biene'>"
    "<p><img data-src=d.jpg alt=Honig></body>"
)


def wat(url: str, told: Any) -> bytes:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return record(body, "metadata", warc_target_uri=url, content_type="application/json")


def envelope(links: Any, status: str = "200", kind: str = "response", **head: Any) -> dict[str, Any]:
    answer = {"Response-Message": {"Status": status}, "HTML-Metadata": {"Head": head, "Links": links}}
    header = {"WARC-Type": kind, "WARC-Record-ID": "<urn:uuid:1>", "WARC-Date": "2024-05-18T01:58:10Z"}
    return {
        "Envelope": {
            "WARC-Header-Metadata": header,
            "Payload-Metadata": {"HTTP-Response-Metadata": answer},
        }
    }


def pool(tmp_path: Path, *members: bytes, name: str = "x.warc", **settings: Any) -> Dataset:
    path = tmp_path / name
    path.write_bytes(b"".join(members))
    return run(Pool(**settings), str(path), str(tmp_path / f"{name}-pool"), options=ONE)


def rejects(dataset: Dataset) -> list[tuple[str, float | None]]:
    rows = pa.Table.from_batches(dataset.reject_batches(), REJECT).to_pylist()
    return [(row["rule"], row["value"]) for row in rows]


def test_a_page_gives_a_row_for_each_text_about_each_image(tmp_path: Path) -> None:
    found = pool(tmp_path, record(http(PAGE.encode()), number=7))
    assert found.schema.equals(PAIRS)
    rows = found.table().to_pylist()
    said = [(row["kind"], row["text"], row["images"][0]["url"].rpartition("/")[2]) for row in rows]
    assert said == [
        ("alt", "Eine Biene", "a.jpg"),
        ("caption", "Auf Klee", "a.jpg"),
        ("title", "Nur Titel", "b.jpg"),
        ("alt", "Honig", "d.jpg"),
    ]
    first = rows[0]
    assert (first["url"], first["lang"], first["title"]) == ("https://town.example/7", "deu", "Bienen")
    assert first["license"] == "https://town.example/cc"
    assert (first["declared_width"], first["declared_height"]) == (640, 480)
    assert first["images"][0]["alt"] == "Eine Biene"
    assert first["images"][0]["bytes"] is None
    assert rows[2]["images"][0]["alt"] is None
    assert len({row["id"] for row in rows}) == 4


def test_only_the_texts_that_are_asked_for(tmp_path: Path) -> None:
    rows = pool(tmp_path, record(http(PAGE.encode())), texts=("caption",)).table(["text"]).to_pylist()
    assert rows == [{"text": "Auf Klee"}]


@pytest.mark.parametrize("texts", [(), ("alt", "colour")])
def test_other_texts_are_an_error(texts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="texts"):
        Pool(texts=texts)


def test_records_without_pairs_say_why(tmp_path: Path) -> None:
    found = pool(
        tmp_path,
        record(http(b"<html><img src=a><img src=b alt=' '></html>"), number=1),
        record(http(PAGE.encode(), status="404 Not Found"), number=2),
        record(http(b"x", "Content-Type: image/png"), number=3),
        record(http(PAGE.encode()), "request", number=4),
        record(http(PAGE.encode()), number=5),
        record(http(PAGE.encode()), number=5),
    )
    assert rejects(found) == [
        ("pool.none", 2.0),
        ("warc.status", 404.0),
        ("warc.type", None),
        ("warc.duplicate_id", None),
    ]


def test_blocked_pages_and_images_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("/a.jpg\n/9\n")
    found = pool(
        tmp_path,
        record(http(PAGE.encode()), number=1),
        record(http(PAGE.encode()), number=9),
        block_urls=(str(tmp_path / "urls.txt"),),
    )
    assert found.table(["text"])["text"].to_pylist() == ["Nur Titel", "Honig"]
    assert rejects(found) == [("gate.url", None)]


def test_a_wat_gives_the_pairs_of_its_page(tmp_path: Path) -> None:
    links = [
        {"path": "IMG@/src", "url": "a.jpg", "alt": "A bee", "title": "A bee"},
        {"path": "IMG@/src", "url": "//cdn.example/b.jpg", "alt": ""},
        {"path": "IMG@/srcset", "url": "s.jpg 1x, l.jpg 2x", "alt": "Large"},
        {"path": "A@/href", "url": "https://creativecommons.org/licenses/by/4.0/"},
        {"path": "IMG@/src", "url": "data:image/png;base64,AA", "alt": "inline"},
        {"path": "IMG@/src", "alt": "nowhere"},
        "no link",
    ]
    told = envelope(links, Base="https://base.example/d/", Title="  Bees ")
    rows = pool(tmp_path, wat("https://a.example/p", told), name="x.warc.wat").table().to_pylist()
    assert [(row["text"], row["images"][0]["url"]) for row in rows] == [
        ("A bee", "https://base.example/d/a.jpg"),
        ("Large", "https://base.example/d/l.jpg"),
    ]
    assert (rows[0]["url"], rows[0]["title"]) == ("https://a.example/p", "Bees")
    assert rows[0]["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert rows[0]["date"].year == 2024


def test_a_pair_has_the_same_id_from_the_wat_as_from_the_page(tmp_path: Path) -> None:
    body = "<img src=a.jpg alt=Bee>"
    page = record(http(body.encode()), warc_record_id="<urn:uuid:1>", warc_target_uri="https://a.example/p")
    links = [{"path": "IMG@/src", "url": "a.jpg", "alt": "Bee"}]
    ids = [
        pool(tmp_path, one, name=name, source="c").table(["id"])["id"].to_pylist()
        for name, one in (("x.warc", page), ("x.warc.wat", wat("https://a.example/p", envelope(links))))
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (b"{not json", [("pool.bad", 9.0)]),
        (b"[" * 5000, [("pool.bad", 5000.0)]),
        (b"[]", []),
        (b"{}", []),
        ({"Envelope": 3}, []),
        (envelope([], kind="request"), []),
        (envelope([], status="404"), [("warc.status", 404.0)]),
        (envelope([], status="\u0663"), [("warc.status", None)]),
        (envelope({"a": 1}), [("pool.none", 0.0)]),
        (envelope([{"path": "IMG@/src", "url": 7, "alt": []}]), [("pool.none", 0.0)]),
    ],
)
def test_what_a_wat_holds_is_counted(tmp_path: Path, told: Any, expected: list[tuple[str, float]]) -> None:
    assert rejects(pool(tmp_path, wat("https://a.example/p", told), name="x.warc.wat")) == expected


def test_the_same_rows_on_two_workers_and_from_a_folder(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.warc").write_bytes(record(http(PAGE.encode()), number=number))
    one, two = (
        run(Pool(), str(tmp_path / "in"), str(tmp_path / f"out{count}"), options=Options(workers=count))
        for count in (1, 2)
    )
    assert one.table().equals(two.table())
    assert one.rows == 12
