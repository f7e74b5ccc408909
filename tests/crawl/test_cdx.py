"""What a CDX server is asked, and what is believed of its answers."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from corpuskit.crawl.captures import Wanted
from corpuskit.crawl.cdx import Server
from corpuskit.crawl.store import Answer
from corpuskit.errors import InputError
from corpuskit.stage import Split

LINE = {
    "urlkey": "org,iana)/",
    "timestamp": "20140126200624",
    "url": "http://www.iana.org/",
    "mime": "text/html",
    "mime-detected": "application/xhtml+xml",
    "status": "200",
    "digest": "OSSAPWJ23L56IYVRW3GFEAR4MCJMGPTB",
    "length": "2258",
    "offset": "334",
    "filename": "crawl-data/CC-MAIN-2024-22/segments/1/warc/x.warc.gz",
    "languages": "eng,deu",
}


class Told:
    """Answers every question with one answer, and keeps the questions."""

    def __init__(self, *lines: object, status: int = 200) -> None:
        texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        self.answer = Answer(status, b"\n".join(texts))
        self.asked: list[list[tuple[str, str]]] = []

    def get(self, url: str, limit: int) -> Answer:
        assert urlsplit(url).path == "/CC-MAIN-2024-22-index"
        self.asked.append(parse_qsl(urlsplit(url).query))
        return self.answer


def server(told: Told) -> Server:
    return Server(told, "https://index.example/", "CC-MAIN-2024-22")


def captures(*lines: object, wanted: Wanted | None = None) -> Split:
    return server(Told(*lines)).captures("iana.org/*", 2, wanted or Wanted())


def test_a_line_becomes_a_capture():
    [row] = captures(LINE).kept.to_pylist()
    assert row.pop("date").isoformat() == "2014-01-26T20:06:24+00:00"
    assert row == {
        "id": "2:0 iana.org/*",
        "url": "http://www.iana.org/",
        "status": 200,
        "type": "application/xhtml+xml",
        "languages": "eng,deu",
        "digest": "OSSAPWJ23L56IYVRW3GFEAR4MCJMGPTB",
        "warc": "crawl-data/CC-MAIN-2024-22/segments/1/warc/x.warc.gz",
        "offset": 334,
        "length": 2258,
    }


def test_what_is_not_known_is_null():
    lacking = {key: LINE[key] for key in ("url", "filename", "offset", "length")}
    [row] = captures({**lacking, "status": "-", "timestamp": "?", "mime": "unk\ud800"}).kept.to_pylist()
    assert [row[name] for name in ("date", "status", "languages", "digest")] == [None] * 4
    assert row["type"] == "unk?"


BAD = {
    "no json": b"<html>",
    "deep": b"[" * 100_000,
    "no object": b"[1]",
    "no offset": {key: value for key, value in LINE.items() if key != "offset"},
    "negative": {**LINE, "offset": "-1"},
    "empty": {**LINE, "length": "0"},
    "huge": {**LINE, "length": str(1 << 60)},
    "words": {**LINE, "length": "many"},
    "climbs": {**LINE, "filename": "../../etc/passwd"},
    "elsewhere": {**LINE, "filename": "http://elsewhere.example/x"},
    "null": {**LINE, "filename": None},
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_makes_no_sense_is_a_reject(name):
    split = captures(LINE, b"", BAD[name])
    assert len(split.kept) == 1
    [row] = split.rejected.to_pylist()
    assert (row["id"], row["stage"], row["rule"]) == ("2:2 iana.org/*", "crawl.captures", "captures.line")


WANTED = {
    "all": (Wanted(), True),
    "language": (Wanted(languages=("eng",)), True),
    "second language": (Wanted(languages=("deu",)), False),
    "one of": (Wanted(languages=("deu", "eng"), statuses=(404, 200), types=("application/xhtml+xml",)), True),
    "type as sent": (Wanted(types=("text/html",)), False),
    "status": (Wanted(statuses=(404,)), False),
}


@pytest.mark.parametrize("name", WANTED)
def test_what_the_server_does_not_filter_is_filtered(name):
    wanted, keeps = WANTED[name]
    assert len(captures(LINE, wanted=wanted).kept) == keeps


def test_other_subsets_are_left_out():
    for folder in ("crawldiagnostics", "robotstxt"):
        split = captures({**LINE, "filename": LINE["filename"].replace("/warc/", f"/{folder}/")})
        assert not len(split.kept) and not len(split.rejected)


def test_the_questions():
    told = Told({"pages": 2, "pageSize": 5, "blocks": 9})
    assert server(told).pages(["*.iana.org", "a.example/b?c=d&e"]) == [
        ("*.iana.org", 0),
        ("*.iana.org", 1),
        ("a.example/b?c=d&e", 0),
        ("a.example/b?c=d&e", 1),
    ]
    assert told.asked[1] == [("url", "a.example/b?c=d&e"), ("output", "json"), ("showNumPages", "true")]
    told = Told()
    server(told).captures("iana.org/*", 3, Wanted(languages=("deu", "eng"), statuses=(200,), types=("x/y",)))
    assert told.asked == [
        [
            ("url", "iana.org/*"),
            ("output", "json"),
            ("page", "3"),
            ("filter", "~status:(200)$"),
            ("filter", "~languages:(deu|eng)(,|$)"),
        ]
    ]


def test_no_captures_is_an_answer_and_an_unknown_crawl_an_error():
    none = {"message": "No Captures found for: a.example"}
    assert server(Told(none, status=404)).pages(["a.example"]) == []
    assert len(server(Told(none, status=404)).captures("a.example", 0, Wanted()).kept) == 0
    with pytest.raises(InputError, match="does not know CC-MAIN-2024-22"):
        server(Told({"message": "not found"}, status=404)).pages(["a.example"])


@pytest.mark.parametrize(
    "body", [b"<html>", b"-1", b"true", b'{"pages": "2"}', b"99999999999", b"[]", b"[" * 99999]
)
def test_what_is_no_number_of_pages(body):
    with pytest.raises(InputError, match="does not answer like a CDX server"):
        server(Told(body)).pages(["a.example"])


def test_a_bare_number_of_pages():
    assert server(Told(b"1\n")).pages(["x"]) == [("x", 0)]


def test_real_captures(data):
    """Every line of pywb's own index is read, but for fields that it has under other names."""
    lines = (data / "warc" / "pywb" / "iana.cdxj").read_bytes().splitlines()
    found = captures(*(line.split(b" ", 2)[2] for line in lines))
    assert len(found.kept) == len(lines) > 150 and not len(found.rejected)
    assert sum(row["type"] == "warc/revisit" for row in found.kept.to_pylist()) > 50
