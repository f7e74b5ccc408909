"""A thousand URLs against a farm of good, bad and ugly hosts: manners, limits, memory, forbidden places."""

from __future__ import annotations

import io
import re
import time
from collections import Counter
from pathlib import Path

import brotli
import psutil
import pyarrow as pa
import pytest
from farm import Farm
from fastwarc.warc import ArchiveIterator
from warcio.bufferedreaders import BufferedReader
from warcio.checker import Checker

from corpuskit.crawl.archive import Record, records
from corpuskit.crawl.fetch import Fetch
from corpuskit.crawl.transport import Resolver
from corpuskit.testing import write_dataset

DELAY = 0.05
KINDS = ("ok", "ok", "gzip", "brotli", "chunked", "same", "cookie")
UGLY = {
    "http://site00.com/chain/5/x": None,
    "http://site00.com/chain/6/x": "fetch.redirects",
    "http://site01.com/loop/a": "fetch.redirects",
    "http://site02.com/to/http://site03.com/ok/elsewhere": None,
    "http://site02.com/to/http://site03.com/private/elsewhere": "fetch.robots",
    "http://site02.com/to/http://localhost/": "fetch.address",
    "http://site02.com/to/http://2130706433/": "fetch.address",
    "http://site02.com/to/file:///etc/passwd": "fetch.scheme",
    "http://site02.com/to/data:text/html,x": "fetch.scheme",
    "http://site03.com/private/x": "fetch.robots",
    "http://site06.com/noai/1": "fetch.optout",
    "http://site06.com/meta/1": "fetch.optout",
    "http://site06.com/type/1": "fetch.type",
    "http://site07.com/bomb/1": "fetch.bomb",
    "http://site07.com/endless/1": None,
    "http://site08.com/drip/1": "fetch.timeout",
    "http://site15.com/hang/1": "fetch.timeout",
    "http://site09.com/cut/1": "fetch.disconnect",
    "http://site10.com/rate/1": None,
    "http://site11.com/flaky/1": None,
    "http://site12.com/status/404": "fetch.status",
    "http://site12.com/status/503": "fetch.status",
    "https://site13.com/ok/1": "fetch.tls",
    "http://site14.com/garbage/1": "fetch.protocol",
    "http://missing.com/": "fetch.dns",
    "http://slowname.com/": "fetch.dns",
    "http://trap.com/": "fetch.address",
    "http://two.com/": "fetch.address",
    "http://rebind.com/": None,  # its first answer is kept for a minute
    "http://site00.com:25/": "fetch.port",
    "ftp://site00.com/": "fetch.scheme",
    "http://bad host/": "fetch.url",
    "http://loud.com/x": "fetch.robots_unreachable",
    "http://signal.com/x": "fetch.optout",
} | {
    url: "fetch.address"
    for url in (
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
    )
}


class FarmFetch(Fetch):
    """Fetch from a farm in this process."""

    farm: Farm

    def resolver(self) -> Resolver:
        return self.farm.resolve


def links(folder: Path, urls: list[str]) -> str:
    rows = [{"id": f"{number:032x}", "url": url, "score": number} for number, url in enumerate(urls)]
    return write_dataset(folder, pa.RecordBatch.from_pylist(rows))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("crawl")
    urls = [f"http://site{host:02}.com/{KINDS[page % 7]}/{page}" for page in range(42) for host in range(23)]
    urls += list(UGLY)
    with Farm() as farm:
        farm.robots |= {
            "site03.com": b"User-agent: *\nDisallow: /private/\nCrawl-delay: 0.1",
            "site04.com": b"http://site05.com/elsewhere.txt",
            "site16.com": 403,
            "site17.com": b"\xef\xbb\xbf" + b"#" * 600_000,
            "loud.com": 503,
            "signal.com": b"User-agent: *\nContent-Signal: search=yes, ai-train=no",
            "shared1.com": b"User-agent: corpuskit\nAllow: /",
        }
        urls += [f"http://shared{host}.com/ok/{page}" for host in (1, 2, 3) for page in range(2)]
        urls += [f"http://{name}.site18.com/ok/{page}" for name in ("www", "blog") for page in range(2)]
        FarmFetch.farm = farm
        source = links(folder / "links", urls)
        stage = FarmFetch(
            contact="crawler@corpuskit.org",
            delay=DELAY,
            retries=1,
            timeout=1.5,
            max_bytes=1 << 20,
            allow=farm.addresses,
        )
        warm = links(folder / "warm", ["http://site21.com/ok/warm"])
        assert [
            len(split.kept) for task in stage.plan(warm) for split in stage.placed(f"{folder}/w").run(task)
        ]
        farm.asked.clear()
        stage = stage.placed(f"{folder}/out")
        before = psutil.Process().memory_info().rss
        began = time.monotonic()
        splits = [split for task in stage.plan(source) for split in stage.run(task)]
        seconds = time.monotonic() - began
        growth = psutil.Process().memory_info().rss - before
        kept = pa.Table.from_batches([split.kept for split in splits]).to_pylist()
        rejected = [row for split in splits for row in split.rejected.to_pylist()]
        yield farm, urls, kept, rejected, folder / "out" / "warc", growth, seconds


def test_every_url_has_one_outcome(crawl):
    _, urls, kept, rejected, *_ = crawl
    assert len(urls) >= 1000
    assert Counter(row["url"] for row in [*kept, *rejected]) == Counter(urls)
    outcomes = {row["url"]: None for row in kept} | {row["url"]: row["rule"] for row in rejected}
    assert {url: outcomes[url] for url in UGLY} == UGLY
    assert all(outcomes[url] is None for url in urls if url not in UGLY)
    assert all(row["score"] == urls.index(row["url"]) for row in kept)


def test_no_request_sooner_than_the_delay_and_never_two_at_once(crawl):
    farm, *_ = crawl
    for by in ("domain", "ip"):
        gaps = farm.gaps(by)
        assert len(gaps) > 20
        assert min(min(times) for times in gaps.values() if times) >= DELAY * 0.99
    assert min(farm.gaps("domain")["site03.com"]) >= 0.099, "its Crawl-delay is larger"


def test_retry_after_is_kept(crawl):
    farm, *_ = crawl
    times = [asked for asked in farm.asked if asked.host == "site10.com"]
    refused = next(asked for asked in times if asked.path == "/rate/1")
    assert min(asked.start for asked in times if asked.start > refused.start) - refused.end >= 1.0


def test_robots_asked_first_and_once(crawl):
    farm, *_ = crawl
    first = {
        asked.host: asked.path for asked in reversed(farm.asked) if not asked.path.startswith("/elsewhere")
    }
    assert set(first.values()) == {"/robots.txt"}
    asked = Counter(asked.host for asked in farm.asked if asked.path == "/robots.txt")
    assert {host for host, count in asked.items() if count > 1} == {"loud.com"}
    assert not [asked for asked in farm.asked if "private" in asked.path and asked.host == "site03.com"]
    assert not [
        asked for asked in farm.asked if asked.host in ("loud.com", "signal.com") and asked.path == "/x"
    ]


def test_nobody_is_where_nobody_may_go_and_no_cookie_comes_back(crawl):
    farm, *_ = crawl
    assert farm.trapped == []
    assert not [asked for asked in farm.asked if "cookie" in asked.headers]
    assert {asked.headers["user-agent"] for asked in farm.asked} == {
        f"corpuskit/{__import__('corpuskit').__version__} (+crawler@corpuskit.org)"
    }


def test_limits_within_a_second(crawl):
    _, _, kept, _, warc, growth, _ = crawl
    assert all(row["seconds"] < 2.5 and row["bytes"] <= 1 << 20 for row in kept)
    assert [row["url"] for row in kept if row["truncated"] == "length"] == ["http://site07.com/endless/1"]
    entries = [line for path in warc.glob("*.jsonl") for line in path.read_text().splitlines()]
    drips = [float(re.search(r'"seconds":([\d.]+)', line)[1]) for line in entries if "fetch.timeout" in line]
    assert drips and all(seconds < 2.5 for seconds in drips)
    assert growth < 30 << 20


def test_archives_are_whole_and_say_what_rows_say(crawl):
    _, _, kept, rejected, warc, *_ = crawl
    found = {}
    for path in sorted(warc.glob("*.warc.gz")):
        check(path)
        with path.open("rb") as stream:
            for item in records(stream, path.stat().st_size):
                found[item.offset, path.name] = item
    kinds = Counter(record.kind for record in found.values())
    assert kinds["request"] == kinds["response"] + kinds["revisit"] and kinds["warcinfo"] == 1
    for row in kept:
        record = found[row["offset"], row["warc"]]
        assert (record.record_id, record.url, record.length) == (
            row["record_id"],
            row["final_url"],
            row["length"],
        )
        assert record.headers["warc-ip-address"] == row["ip"]
        assert record.headers.get("warc-truncated") == row["truncated"]
        assert record.kind == ("response" if row["refers_to"] is None else "revisit")
        assert record.headers["warc-payload-digest"] == row["digest"]
    same = [row for row in kept if "/same/" in row["url"]]
    assert len({row["digest"] for row in same}) == 1 and sum(row["refers_to"] is None for row in same) == 1
    hops = [record.url for record in found.values() if record.status in (302, 307)]
    assert hops.count("http://site00.com/chain/4/x") == 2
    truncated = Counter(record.truncated for record in found.values() if record.kind == "response")
    assert truncated["time"] == 1 and truncated["disconnect"] == 1 and truncated["length"] == 1
    assert not [record for record in found.values() if record.url and "noai" in record.url]


class Brotli:
    """What warcio 1.8 takes brotli's decompressor for; it fails at the real one."""

    unused_data = None

    def __init__(self) -> None:
        self.decompress = brotli.Decompressor().process


def check(path: Path) -> None:
    """Check a file with warcio, FastWARC and our own reader."""
    BufferedReader.DECOMPRESSORS["br"] = Brotli
    checker = Checker(type("Arguments", (), {"inputs": [str(path)], "verbose": False}))
    assert checker.process_one(str(path)) is None and checker.exit_value == 0
    with path.open("rb") as stream:
        assert all(isinstance(item, Record) for item in records(stream, path.stat().st_size))
    count = 0
    for record in ArchiveIterator(io.BytesIO(path.read_bytes()), parse_http=False, verify_digests=True):
        assert record.verify_block_digest()
        count += 1
    with path.open("rb") as stream:
        assert count == sum(1 for _ in records(stream, path.stat().st_size))
