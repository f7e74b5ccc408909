"""The journal and the archives it vouches for: torn tails, rows opened again, rotation."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_farm import check
from urllib3 import HTTPHeaderDict

from corpuskit.crawl import recording
from corpuskit.crawl.journal import Journal
from corpuskit.crawl.recording import Earlier, Mark, Recorder
from corpuskit.crawl.transport import Exchange
from corpuskit.errors import TargetError


def exchange(number: int = 0, status: int = 200) -> Exchange:
    return Exchange(
        url=f"http://a.com/{number}",
        ip="93.184.215.14",
        status=status,
        reason="OK",
        request=f"GET /{number} HTTP/1.1\r\nHost: a.com\r\n\r\n".encode(),
        head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd:  two  spaces\r\n\r\n",
        headers=HTTPHeaderDict(),
        body=b"" if status == 304 else f"<p>page {number}</p>".encode() * 50,
        truncated=None,
        date=datetime(2026, 5, 1, 12, 0, 0, 123456, UTC),
        seconds=0.5,
    )


def entry(row: int, rule: str | None = None, digest: str | None = None) -> dict[str, object]:
    page = None if digest is None else {"digest": digest, "refers_to": None, "final_url": "http://a.com/"}
    page = page and {**page, "fetched": "2026-05-01T12:00:00.123Z", "record_id": f"<{row}>"}
    return {"row": row, "rule": rule, "value": None, "end": [0, 100 + row], "page": page}


def test_a_torn_line_is_as_if_it_was_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Journal(path, "key", 5) as journal:
        for row in (3, 1):
            journal.add(entry(row))
            assert row in journal.open_rows(), "not before it is committed"
        journal.commit()
        assert journal.open_rows() == [0, 2, 4]
    whole = path.read_bytes()
    for torn in (whole + b'{"row": 0, "ru', whole + b"\0" * 100, whole + b'{"row"\n'):
        path.write_bytes(torn)
        with Journal(path, "key", 5) as journal:
            assert journal.open_rows() == [0, 2, 4] and journal.mark == Mark(0, 101)
            assert [found["row"] for found in journal.entries()] == [3, 1]
            journal.add(entry(0))
            journal.commit()
            assert [found["row"] for found in journal.entries()] == [3, 1, 0]
    with pytest.raises(TargetError, match="another crawl"):
        Journal(path, "other key", 5)


def test_rows_opened_again_stay_open_until_their_next_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Journal(path, "key", 3) as journal:
        for row in range(3):
            journal.add(entry(row, "fetch.timeout" if row else None))
        journal.commit()
    for _ in range(2):
        with Journal(path, "key") as journal:
            assert journal.reopen(lambda found: found["rule"] == "fetch.timeout")
            assert journal.open_rows() == [1, 2]
    with Journal(path, "key", 3) as journal:
        for row in (1, 2):
            journal.add(entry(row, "fetch.status"))
        journal.commit()
        assert not journal.reopen(lambda found: found["rule"] == "fetch.timeout")
        assert [found["rule"] for found in journal.entries()] == [None, "fetch.status", "fetch.status"]


def test_the_same_body_is_known_before_and_after_a_commit(tmp_path: Path) -> None:
    digest = recording.payload_digest(b"x")
    expected = Earlier("http://a.com/", "2026-05-01T12:00:00.123Z", "<0>", digest)
    path = tmp_path / "a.jsonl"
    with Journal(path, "key", 3) as journal:
        assert journal.same(digest) is None
        journal.add(entry(0, digest=digest))
        assert journal.same(digest) == expected
        journal.add(entry(1, digest=digest))
        journal.commit()
        assert journal.same(digest) == expected
    with Journal(path, "key", 3) as journal:
        assert journal.same(digest) == expected and journal.same(recording.payload_digest(b"y")) is None


def test_what_lies_behind_the_mark_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FILE_BYTES", 2000)

    def write(mark: Mark | None, numbers: range) -> list[Mark]:
        with Recorder(tmp_path, "fetch", {"software": "test"}, mark) as recorder:
            marks = []
            for number in numbers:
                recorder.write(exchange(number))
                marks.append(recorder.mark)
            recorder.sync()
        return marks

    marks = write(None, range(10))
    assert {mark.number for mark in marks} > {0, 1, 2}
    place = marks[4]
    paths = sorted(tmp_path.glob("*.warc.gz"))
    kept = {path.name: path.read_bytes() for path in paths[: place.number]}
    kept[paths[place.number].name] = paths[place.number].read_bytes()[: place.offset]
    with paths[-1].open("ab") as file:
        file.write(b"torn")
    again = write(place, range(5, 8))
    assert again[0] >= place
    for name, data in kept.items():
        assert (tmp_path / name).read_bytes().startswith(data)
    for path in tmp_path.glob("*.warc.gz"):
        check(path)
    with pytest.raises(TargetError, match="bytes, and"):
        write(Mark(0, 1 << 20), range(1))


def test_heads_are_written_as_they_came(tmp_path: Path) -> None:
    earlier = Earlier(
        "http://a.com/0", "2026-04-01T12:00:00.000Z", "<urn:uuid:1>", recording.payload_digest(b"x")
    )
    with Recorder(tmp_path, "fetch", {}, None) as recorder:
        places = [recorder.write(exchange()), recorder.write(exchange(1, 304), earlier)]
        recorder.sync()
    path = tmp_path / places[0].warc
    check(path)

    data = path.read_bytes()
    first, second = (gzip.decompress(data[place.offset : place.offset + place.length]) for place in places)
    assert b"\r\nX-Crawler-Transfer-Encoding: chunked\r\nX-Odd:  two  spaces\r\n\r\n<p>page 0" in first
    assert (
        b"WARC-Date: 2026-05-01T12:00:00.123Z\r\n" in first and b"WARC-IP-Address: 93.184.215.14\r\n" in first
    )
    assert b"WARC-Refers-To: <urn:uuid:1>\r\n" in second and b"revisit/server-not-modified\r\n" in second
