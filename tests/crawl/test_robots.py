import gzip
import time
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from corpuskit.crawl.addresses import Origin
from corpuskit.crawl.robots import Robots, RobotsCache
from corpuskit.crawl.transport import Exchange

HERE = Origin("http", "a.example", 80)


def parse(text, agent="corpuskit"):
    return Robots.parse(text if isinstance(text, bytes) else text.encode(), agent)


def exchange(body=b"", status=200, truncated=None, url="http://a.example/robots.txt", **headers):
    return Exchange(
        url=url,
        ip="127.0.0.1",
        status=status,
        reason="",
        request=b"",
        head=b"",
        headers=HTTPHeaderDict({name.replace("_", "-"): value for name, value in headers.items()}),
        body=body,
        truncated=truncated,
        date=datetime.now(UTC),
        seconds=0.1,
    )


def allowed(text, *paths):
    robots = parse(text)
    return [robots.allows("http://a.example" + path) for path in paths]


# What it says.


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("", ["/", "/a"], []),
        ("User-agent: *\nDisallow:", ["/", "/a"], []),
        ("User-agent: *\nDisallow: /", ["/robots.txt"], ["/", "/a", "/?q"]),
        ("User-agent: *\nDisallow: /a", ["/", "/b/a"], ["/a", "/a/b", "/abc", "/a?q"]),
        ("User-agent: *\nDisallow: /a$", ["/a/b"], ["/a"]),
        ("User-agent: *\nDisallow: /*.pdf$", ["/a.pdf?x"], ["/b/a.pdf"]),
        ("User-agent: *\nDisallow: /*?", ["/a"], ["/a?q", "/?"]),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", ["/a/b/c"], ["/a/c"]),
        ("User-agent: *\nAllow: /a\nDisallow: /a", ["/a"], []),
        ("User-agent: *\nDisallow: /%7Ea/é", ["/b"], ["/~a/%C3%A9", "/~a/é"]),
        ("User-agent: *\nDisallow: //a", ["/a", "/b"], ["//a"]),
        ("User-agent: otherbot\nDisallow: /", ["/"], []),
        ("User-agent: corpuskit\nDisallow: /a\n\nUser-agent: *\nDisallow: /", ["/b"], ["/a"]),
        ("User-agent: *\nDisallow: /\n\nUser-agent: corpuskit\nDisallow:", ["/", "/a"], []),
        ("User-agent: *\nDisallow: /\n\nUser-agent: corpuskit\n", ["/", "/a"], []),
        ("USER-AGENT: CorpusKit/2.0 # us\ndisallow: /a # not this\nDISALLOW: /c", ["/b"], ["/a", "/c"]),
        ("User-agent: corpuskit\nDisallow: /a\nUser-agent: corpuskit\nDisallow: /b", ["/c"], ["/a", "/b"]),
        ("User-agent: corpuskit\nUser-agent: otherbot\nDisallow: /a", ["/b"], ["/a"]),
        ("User-agent: otherbot\n\nSitemap: http://x/\nFoo: bar\nUser-agent: *\nDisallow: /a", ["/b"], ["/a"]),
        ("User-agent: corpuskit\nSitemap: x\nFoo: bar\nUser-agent: b\nDisallow: /a", ["/b"], ["/a"]),
        ("User-agent: b\nDisallow: /\nUser-agent: *\nDisallow: /a", ["/b"], ["/a"]),
        # Of our name no part is our name, and no longer name is.
        ("User-agent: corpus\nDisallow: /", ["/"], []),
        ("User-agent: c\nDisallow: /\nUser-agent: *\nDisallow: /a", ["/b"], ["/a"]),
        ("User-agent: corpuskit-news\nDisallow: /", ["/"], []),
        # As people write it.
        ("User agent: *\nDisalow: /a", ["/b"], ["/a"]),
        ("user-agent *\ndisallow /a", ["/b"], ["/a"]),
        ("  User-agent : *\r\tDisallow : /a\r\nDisallow:/b\rDisallow:\t/c", ["/d"], ["/a", "/b", "/c"]),
        ("Disallow: /", ["/"], []),
        ("<!doctype html><title>Not found</title>", ["/"], []),
        ("User-agent: *\nDisallow: /private/\n\n\nDisallow: /also", ["/b"], ["/private/x", "/also"]),
    ],
)
def test_what_is_allowed(text, yes, no):
    assert allowed(text, *yes, *no) == [True] * len(yes) + [False] * len(no)


def test_dots_and_odd_urls_do_not_lead_around_a_rule():
    assert allowed("User-agent: *\nDisallow: /a", "/b/../a", "/b/%2e%2E/a", "/./a#x", "\\@b") == [False] * 4


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("User-agent: *\nCrawl-delay: 2.5", 2.5),
        ("User-agent: *\nCrawl-delay: 60", 60.0),
        ("User-agent: *\nCrawl-delay: 61", 60.0),
        ("User-agent: *\nCrawl-delay: 1e300", 60.0),
        ("User-agent: corpuskit\nCrawl-delay: 3\n\nUser-agent: *\nCrawl-delay: 9", 3.0),
        ("User-agent: corpuskit\nDisallow: /a\n\nUser-agent: *\nCrawl-delay: 9", 9.0),
        ("User-agent: corpuskit\nCrawl-delay: 0\n\nUser-agent: *\nCrawl-delay: 9", 0.0),
        ("User-agent: otherbot\nCrawl-delay: 3", None),
        ("User-agent: *\nCrawl-delay: soon", None),
        ("User-agent: *\nCrawl-delay: -1", None),
        ("User-agent: *\nCrawl-delay: nan", None),
        ("User-agent: *\nCrawl-delay: inf", None),
        ("User-agent: *\nDisallow: /", None),
    ],
)
def test_crawl_delay(text, delay):
    assert parse(text).delay == delay


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "User-agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /",
            "content-signal: search=yes,ai-train=no",
        ),
        ("User-agent: *\nContent-Usage: train-ai=n", "content-usage: train-ai=n"),
        ("User-agent: *\nContent-Usage: search=y, train-ai=n", "content-usage: search=y, train-ai=n"),
        ("User-agent: *\nContent-Signal: ai-train=yes", None),
        ("User-agent: *\nContent-Usage: /a train-ai=n", None),
        ("User-agent: otherbot\nContent-Signal: ai-train=no", None),
        ("User-agent: *\n# Content-Signal: ai-train=no", None),
        ("User-agent: *\nAllow: /", None),
    ],
)
def test_a_host_may_opt_out_as_a_whole(text, line):
    assert parse(text).opt_out == line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(encoding):
    text = "User-agent: *\nDisallow: /a\nDisallow: /é\n"
    assert not parse(text.encode(encoding)).allows("http://a.example/a")


@pytest.mark.parametrize(("short", "allows"), [(0, True), (2, False)])
def test_half_a_megabyte_is_read_and_no_half_rule(short, allows):
    start, rule = b"User-agent: *\nDisallow: /a\n", b"Disallow: /b\n"
    filler = b"#" * ((500 << 10) - len(start + rule) - short) + b"\n"
    robots = parse(start + filler + rule + b"Disallow: /c\n")  # cut before the end of a rule, or after it
    assert not robots.allows("http://a.example/a")
    assert robots.allows("http://a.example/b") is allows
    assert robots.allows("http://a.example/c")


HOSTILE = {
    "line": b"User-agent: *\nDisallow: /" + b"a" * 5_000_000,
    "wildcards": b"User-agent: *\n" + b"Disallow: /*a*b*c*d*e*f*g*h$\n" * 20_000,
    "wildcard": b"User-agent: *\nDisallow: /" + b"*a" * 200_000,
    "agents": b"".join(b"User-agent: b%d\n" % n for n in range(15_000)) + b"Disallow: /x\n" * 20_000,
    "same agents": b"User-agent: *\n" * 15_000 + b"Disallow: /x\n" * 20_000,
    "groups": b"User-agent: *\nDisallow: /x\n" * 15_000,
    "spaces": b"User-agent" + b" " * 400_000 + b":",
    "returns": b"\r" * 500_000,
    "zeros": b"\x00" * 500_000,
    "bytes": bytes(range(256)) * 2000,
    "signal": b"User-agent: *\nContent-Usage: " + b"a=b, " * 90_000,
    "delay": b"User-agent: *\nCrawl-delay: " + b"9" * 400_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_take_little_time(name):
    begun = time.process_time()
    robots = parse(HOSTILE[name])
    robots.allows("http://a.example/" + "abc" * 600)
    assert time.process_time() - begun < 2 and len(robots.text) <= 512_100


@pytest.mark.parametrize("name", ["agents", "wildcards"])
def test_hostile_files_take_little_memory(name):
    tracemalloc.start()
    robots = parse(HOSTILE[name])
    robots.allows("http://a.example/")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


@given(st.binary(max_size=300), st.text(max_size=30))
def test_nothing_raises(body, path):
    for start in (b"", b"User-agent: *\n", b"User-agent: *\nDisallow: ", b"User-agent: *\nCrawl-delay: "):
        robots = Robots.parse(start + body)
        assert robots.reachable and isinstance(robots.allows("http://a.example/" + path), bool)
        assert robots.delay is None or 0 <= robots.delay <= 60


LINES = st.lists(
    st.sampled_from(
        [
            "User-agent: *",
            "User-agent: corpuskit",
            "User-agent: b",
            "Disallow: /a",
            "Allow: /a/b",
            "Disallow: /c*d$",
            "",
        ]
    ),
    max_size=12,
)


def rules(lines):
    """Read it as RFC 9309 says, slowly: the longest rule of the merged groups of our name, or of all."""
    groups, current, in_rules = {}, [], False
    for line in filter(None, lines):
        key, value = line.split(": ")
        if key == "User-agent":
            if in_rules:
                current, in_rules = [], False
            current.append(value)
            groups.setdefault(value, [])
        else:
            in_rules = True
            for agent in set(current):
                groups[agent].append((key == "Allow", value))
    return groups.get("corpuskit", groups.get("*", []))


@given(LINES)
def test_groups_are_merged_and_chosen_by_the_standard(lines):
    robots = parse("\n".join(lines))
    matches = {"/a": ["/a"], "/a/b": ["/a", "/a/b"], "/cxd": ["/c*d$"], "/e": []}
    for path, matching in matches.items():
        found = [(len(value), allow) for allow, value in rules(lines) if value in matching]
        assert robots.allows("http://a.example" + path) == (not found or max(found)[1])


# What the answer means.


@pytest.mark.parametrize(
    ("status", "reachable", "allows"),
    [
        (200, True, False),
        (206, True, False),
        (400, True, True),
        (401, True, True),
        (403, True, True),
        (404, True, True),
        (410, True, True),
        (451, True, True),
        (429, False, False),
        (500, False, False),
        (503, False, False),
        (304, False, False),
        (101, False, False),
    ],
)
def test_the_status_decides(status, reachable, allows):
    robots = Robots.read(exchange(b"User-agent: *\nDisallow: /", status))
    assert (robots.reachable, robots.allows("http://a.example/"), robots.why) == (
        reachable,
        allows,
        str(status),
    )


@pytest.mark.parametrize(
    ("truncated", "reachable"), [("time", False), ("disconnect", False), ("length", True), (None, True)]
)
def test_half_a_file_is_unreachable_unless_it_is_too_long(truncated, reachable):
    assert Robots.read(exchange(b"User-agent: *\nAllow: /", truncated=truncated)).reachable is reachable


def test_a_coded_file_is_read_and_a_bomb_is_not():
    body = gzip.compress(b"User-agent: *\nDisallow: /a\n" + b"#" * 1_000_000)
    assert not Robots.read(exchange(body, Content_Encoding="gzip")).allows("http://a.example/a")
    bomb = Robots.read(exchange(gzip.compress(b"#" * (11 << 20)), Content_Encoding="gzip"))
    assert not bomb.reachable and bomb.why == "fetch.protocol"


def test_without_an_answer_nothing_is_allowed():
    robots = Robots.unreachable("fetch.timeout")
    assert not robots.reachable and not robots.allows("http://a.example/") and robots.why == "fetch.timeout"


# What is remembered.


def test_robots_are_kept_for_a_day_and_silence_for_ten_minutes():
    now = [0.0]
    cache = RobotsCache(clock=lambda: now[0])
    there = Origin("https", "a.example", 443)
    cache.put(HERE, parse(""))
    cache.put(there, Robots.unreachable("503"))
    assert cache.get(HERE) and cache.get(there) and cache.get(Origin("http", "a.example", 8080)) is None
    now[0] = 599.0
    assert cache.get(there)
    now[0] = 600.0
    assert cache.get(there) is None and cache.get(HERE)
    now[0] = 24 * 3600 - 1.0
    assert cache.get(HERE)
    now[0] += 1
    assert cache.get(HERE) is None


def test_the_origins_used_last_are_kept():
    cache = RobotsCache(most=2)
    a, b, c = (Origin("http", name, 80) for name in "abc")
    cache.put(a, parse(""))
    cache.put(b, parse(""))
    cache.get(a)
    cache.put(c, parse(""))
    assert cache.get(b) is None and cache.get(a) and cache.get(c)


def test_the_memory_of_large_files_is_bounded():
    cache = RobotsCache()
    text = b"User-agent: *\n" + b"Disallow: /" + b"a" * 500_000
    for number in range(60):
        robots = parse(text + b"%d" % number)
        cache.put(Origin("http", f"{number}.example", 80), robots)
    kept = [number for number in range(60) if cache.get(Origin("http", f"{number}.example", 80))]
    assert kept == list(range(60 - len(kept), 60)) and 20 <= len(kept) <= 34
