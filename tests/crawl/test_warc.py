"""`crawl warc`: every record becomes a document or a reject that says why not."""

import gzip
import io
import json
import re
import signal
import sys
from collections import Counter

import pytest
from building import arc, gz, http, lz4_, page, plain, record, responses, zst

from corpuskit import settings
from corpuskit.crawl import warc as module
from corpuskit.crawl.warc import Warc
from corpuskit.document import REJECT
from corpuskit.errors import InputError, UsageError
from corpuskit.stage import Poisoned, Watch, watch_with
from corpuskit.testing import _check_portable


def crawl(stage: Warc, *sources: str) -> tuple[list[dict], list[dict]]:
    kept, rejected = [], []
    for task in stage.plan(*map(str, sources)):
        for split in stage.run(task):
            assert split.kept.schema.equals(stage.writes(task.schema)) and split.rejected.schema.equals(
                REJECT
            )
            kept += split.kept.to_pylist()
            rejected += split.rejected.to_pylist()
    ids = [row["id"] for row in kept + rejected]
    assert len(set(ids)) == len(ids)
    return kept, rejected


def one(tmp_path, item: bytes, **chosen) -> dict:
    """Crawl an archive of one record; return the one row it becomes, with its rule where it is a reject."""
    path = tmp_path / "one.warc.gz"
    path.write_bytes(gz([item]))
    kept, rejected = crawl(Warc(**chosen), path)
    assert len(kept) + len(rejected) == 1
    return {"rule": None, **(kept + rejected)[0]}


def test_a_response_becomes_a_document(tmp_path):
    row = one(tmp_path, record(http(page(3)), number=3))
    assert row["rule"] is None
    assert (row["url"], row["title"], row["source"]) == ("https://town.example/3", "Page 3", "one")
    assert row["date"].isoformat() == "2024-05-19T12:00:00+00:00"
    assert row["origin"] == f"{tmp_path}/one.warc.gz@0"
    assert row["text"].startswith("Page 3\nThe harbour of town number 3")
    assert re.fullmatch(r"[0-9a-f]{32}", row["id"])


TYPE = "Content-Type: text/html"
CASES = {
    "status": (record(http(page(), status="404 Not Found")), "warc.status", 404, None),
    "type": (record(http(page(), "Content-Type: image/png")), "warc.type", None, None),
    "no type, no html": (record(http(b"just text", "X: y")), "warc.type", None, None),
    "no type, html": (record(http(page(), "X: y")), None, None, None),
    "xhtml": (record(http(page(), "Content-Type: application/xhtml+xml")), None, None, None),
    "revisit": (record(http(b""), kind="revisit"), "warc.revisit", None, None),
    "empty": (record(http(b" \n")), "warc.empty", 2, None),
    "kind": (record(b"x", kind="continuation"), "warc.kind", None, None),
    "no text": (record(http(b"<html><body></body></html>")), "extract.empty", 0, None),
    "bomb": (
        record(http(gzip.compress(bytes(9 << 20)), TYPE, "Content-Encoding: gzip")),
        "payload.bomb",
        None,
        1 << 20,
    ),
    "bad": (record(http(bytes(range(256)), TYPE, "Content-Encoding: br")), "payload.bad", 256, None),
    "resource": (record(page(), kind="resource", Content_Type="text/html"), None, None, None),
    "dns": (record(b"20240519 IN A", kind="response", Content_Type="text/dns"), "warc.type", None, None),
    "wet": (
        record("Text as it is.\nÄ".encode(), kind="conversion", Content_Type="text/plain"),
        None,
        None,
        None,
    ),
    "lost": (record(http(page()), length=10**9), "warc.lost", None, None),
}


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_record(tmp_path, name):
    item, rule, value, bound = CASES[name]
    row = one(tmp_path, item, max_page=1 << 20)
    assert row["rule"] == rule
    if rule:
        assert row["stage"] == "crawl.warc" and row["bound"] == bound
        assert row["value"] == value or (value is None and rule in ("payload.bomb", "warc.lost"))
    if name == "wet":
        assert row["text"] == "Text as it is.\nÄ" and row["title"] is None


@pytest.mark.parametrize("kind", ["request", "metadata", "warcinfo"])
def test_records_about_others_are_passed_over(tmp_path, kind):
    path = tmp_path / "a.warc"
    path.write_bytes(plain([record(b"x: y", kind=kind), *responses(2)]))
    kept, rejected = crawl(Warc(), path)
    assert len(kept) == 2 and not rejected


def test_the_gates(tmp_path):
    domains, pieces = tmp_path / "domains.txt", tmp_path / "urls.txt"
    domains.write_text("blocked-site.com\n")
    pieces.write_text("casino\n")
    item = record(http(page()), WARC_Target_URI="http://www.blocked-site.com/")
    assert one(tmp_path, item, block_domains=(str(domains),))["rule"] == "gate.domain"
    item = record(http(page()), WARC_Target_URI="http://a.example/Casino")
    assert one(tmp_path, item, block_urls=(str(pieces),))["rule"] == "gate.url"
    size = len(page())
    row = one(tmp_path, record(http(page())), min_bytes=size + 1)
    assert (row["rule"], row["value"], row["bound"]) == ("gate.size", size, size + 1)
    assert one(tmp_path, record(http(page())), min_bytes=size)["rule"] is None
    assert one(tmp_path, record(http(page())), languages=("de",))["rule"] == "gate.language"
    assert one(tmp_path, record(http(page())), languages=("de", "en"))["rule"] is None


def test_a_list_is_known_by_what_it_says(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.example\n")
    stage = Warc(block_domains=(str(path),))
    before = stage.digest()
    path.write_text("# comment\na.example\n")
    assert stage.digest() == before
    path.write_text("b.example\n")
    assert stage.digest() != before


def test_a_page_that_takes_too_long_or_breaks_the_extractor_is_a_reject(tmp_path, monkeypatch):
    def loop(*_: object) -> None:
        while True:  # what an extractor does that catches whatever goes wrong in one of its steps
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001, S112 - that is what is tested
                continue

    monkeypatch.setattr(module, "extract", loop)
    row = one(tmp_path, record(http(page())), timeout=0.2)
    assert (row["rule"], row["bound"]) == ("extract.timeout", 0.2)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)

    def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(module, "extract", fail)
    assert one(tmp_path, record(http(page())))["rule"] == "extract.crash"


@pytest.mark.parametrize("told", ["engine.crash", "engine.timeout"])
def test_a_page_that_killed_its_worker_is_passed_over(tmp_path, told):
    class Verdicts(Watch):
        def begin(self, key: str, seconds: float) -> None:
            assert key == f"{tmp_path}/one.warc.gz@0" and seconds == 10
            raise Poisoned(told)

    watch_with(Verdicts())
    try:
        row = one(tmp_path, record(http(page())))
    finally:
        watch_with(Watch())
    assert row["rule"] == told.replace("engine", "extract")


def test_an_id_that_comes_twice_is_a_reject(tmp_path):
    path = tmp_path / "a.warc"
    item = record(http(page()))
    path.write_bytes(item * 3)
    kept, rejected = crawl(Warc(), path)
    assert len(kept) == 1
    assert [row["rule"] for row in rejected] == ["warc.duplicate_id"] * 2


def test_ids_stay_when_files_move_and_every_container_gives_the_same_documents(tmp_path):
    found = []
    for folder, name, build in [
        ("a", "x.warc", plain),
        ("b", "x.warc.gz", gz),
        ("c", "x", zst),
        ("d", "x.gz", lz4_),
    ]:
        path = tmp_path / folder / name
        path.parent.mkdir()
        path.write_bytes(build(responses(3)))
        kept, rejected = crawl(Warc(), path)
        assert not rejected
        found.append([{**row, "origin": ""} for row in kept])
    assert found[0] == found[1] == found[2] == found[3]


def test_the_same_archive_twice_gives_two_documents_each(tmp_path):
    for name, build in (("a/x.warc", plain), ("a/x.warc.gz", gz), ("b/x.warc", plain)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(build(responses(2)))
    kept, rejected = crawl(Warc(), tmp_path)
    assert len(kept) == 6 and not rejected
    assert {row["source"] for row in kept} == {"a/x.warc", "a/x.warc.gz", "b/x.warc"}


def test_an_arc_file_gives_the_same_text_as_a_warc_file(tmp_path):
    (tmp_path / "a.arc.gz").write_bytes(gz(arc(3)))
    (tmp_path / "a.warc.gz").write_bytes(gz(responses(3)))
    texts = [
        [(row["url"], row["text"]) for row in crawl(Warc(), tmp_path / name)[0]]
        for name in ("a.arc.gz", "a.warc.gz")
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 3


@pytest.mark.parametrize(
    ("path", "info", "chosen", "source"),
    [
        ("CC-MAIN-2024-22/x.warc.gz", b"", {}, "CC-MAIN-2024-22"),
        ("x-00017.warc.gz", b"isPartOf: CC-MAIN-2020-34\r\nx: y", {}, "CC-MAIN-2020-34"),
        ("crawl-00017.warc.gz", b"", {}, "crawl"),
        ("2024.warc.gz", b"", {}, "2024"),
        ("x.warc.gz", b"isPartOf: y", {"source": "mine"}, "mine"),
    ],
)
def test_the_source_is_named_after_the_collection(tmp_path, path, info, chosen, source):
    place = tmp_path / path
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(gz([record(info, kind="warcinfo"), *responses(1)]))
    assert [row["source"] for row in crawl(Warc(**chosen), place)[0]] == [source]


def test_sources_are_files_folders_patterns_and_standard_input(tmp_path, monkeypatch):
    for name in ("b.warc.gz", "a.warc", "deep/c.arc.gz", "notes.txt", "x.warc.paths.gz", "x.warc.gz.cdx"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(plain(responses(1)))
    names = [
        [task.inputs[0].name for task in Warc().plan(str(source))]
        for source in (tmp_path, tmp_path / "[ab].warc*")
    ]
    assert names == [["a.warc", "b.warc.gz", "c.arc.gz"], ["a.warc", "b.warc.gz"]]
    assert len(Warc().plan(str(tmp_path), str(tmp_path / "a.warc"))) == 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gz(responses(2)))))
    assert [row["source"] for row in crawl(Warc(), "-")[0]] == ["stdin", "stdin"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no archives in"):
        Warc().plan(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="nothing matches"):
        Warc().plan(str(tmp_path / "none*"))


def test_a_batch_holds_no_more_than_16_mib(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH_BYTES", 1000)
    path = tmp_path / "a.warc"
    path.write_bytes(plain(responses(9)))
    splits = [split for task in Warc().plan(str(path)) for split in Warc().run(task)]
    assert sum(len(split.kept) for split in splits) == 9 and len(splits) > 2


def test_settings_are_checked_and_portable():
    _check_portable(Warc(languages=("en", "de"), min_bytes=0))
    assert Warc(languages=("de", "en")).digest() == Warc(languages=("eng", "deu")).digest()
    for wrong in (
        {"languages": ("klingon",)},
        {"max_page": 0},
        {"timeout": -1.0},
        {"min_language_score": 2.0},
    ):
        with pytest.raises(UsageError):
            settings.from_mapping(Warc, json.loads(json.dumps(wrong)), "crawl.warc")
    with pytest.raises(UsageError):
        settings.from_mapping(Warc, {"extractor": "trafiltura"}, "crawl.warc")


def test_real_files_are_accounted_for(data):
    folder = data / "warc"
    arc_rows, _ = crawl(Warc(extractor="resiliparse"), folder / "aut" / "example.arc.gz")
    warc_rows, _ = crawl(Warc(extractor="resiliparse"), folder / "aut" / "example.warc.gz")
    assert sorted((r["url"], r["text"]) for r in arc_rows) == sorted((r["url"], r["text"]) for r in warc_rows)
    assert len(arc_rows) > 90
    kept, rejected = crawl(Warc(extractor="resiliparse"), *sorted((folder / "pages").glob("*.warc.gz")))
    assert len(kept) + len(rejected) == 570
    kept, rejected = crawl(Warc(extractor="resiliparse"), folder / "pywb" / "iana.warc.gz")
    rules = Counter(row["rule"] for row in rejected)
    assert rules["warc.revisit"] > 100 and rules["warc.lost"] == 0
    kept, rejected = crawl(Warc(), folder / "commoncrawl" / "whirlwind.warc.wet.gz")
    assert len(kept) == 1 and not rejected
