import gzip
import re
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta

import brotli
import pytest
from loopback import answer, serving

from corpuskit.crawl.payload import BadPayload, Bomb
from corpuskit.crawl.transport import Failed, Limits, Refused, Transport, inflated

AGENT = "corpuskit/test (+crawler@mit.edu)"


def transport(server=None, /, *, resolver=None, authorities=None, **limits):
    """Make a transport for which every name is the server, at whatever port the URL has."""
    limits = {"allow": ("127.0.0.1",), "seconds": 5.0} | limits
    return Transport(
        AGENT, Limits(**limits), resolver or (lambda *_: [("127.0.0.1", server.port)]), authorities
    )


def get(script, url="http://a.example/", **limits):
    """Make one request to a server that runs a script."""
    with serving(script) as server, transport(server, **limits) as door:
        return door.get(url)


def test_an_exchange_is_what_went_over_the_wire():
    sent = answer(b"<p>hi", "404 Not Found", X_A="1", x_a="2", Set_Cookie="a=b")
    begun = datetime.now(UTC)
    with serving(sent) as server, transport(server) as door:
        found = door.get("HTTP://User:Word@A.example:80/x y?z#top", {"If-None-Match": '"e"'})
    assert server.heads == [found.request]
    assert found.request.startswith(b"GET /x%20y?z HTTP/1.1\r\nHost: a.example\r\n")
    assert found.head == sent.removesuffix(b"<p>hi") and found.body == b"<p>hi" and found.truncated is None
    assert (found.url, found.ip, found.status, found.reason) == (
        "http://a.example/x%20y?z",
        "127.0.0.1",
        404,
        "Not Found",
    )
    assert found.headers.getlist("X-a") == ["1", "2"] and found.headers["content-length"] == "5"
    assert begun <= found.date <= datetime.now(UTC) and 0 < found.seconds < 5


def test_the_request_says_who_asks_and_nothing_else():
    found = get(answer())
    lines = found.request.decode().lower().splitlines()[1:-1]
    assert {line.partition(":")[0] for line in lines} == {"host", "user-agent", "accept", "accept-encoding"}
    assert f"user-agent: {AGENT}" in lines and "accept-encoding: gzip, deflate, br" in lines


def test_neither_cookies_nor_the_environment_are_used(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine a.example login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(answer(Set_Cookie="a=b")) as server, serving(answer()) as trap, transport(server) as door:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
        for _ in range(2):
            request = door.get("http://me:secret@a.example/").request.lower()
            assert b"cookie" not in request and b"authorization" not in request
    assert trap.connections == 0 and len(server.heads) == 2


def test_a_connection_is_used_again_by_any_thread():
    with serving(answer(b"x" * 100_000)) as server, transport(server) as door:
        for _ in range(5):
            thread = threading.Thread(target=door.get, args=("http://a.example/",))
            thread.start()
            thread.join()
        assert len(server.heads) == 5 and server.connections == 1
        door.get("http://b.example/")
        assert server.connections == 2


def test_an_idle_connection_the_host_closed_is_no_failure():
    def once(connection, _head):
        connection.sendall(answer(b"x"))  # says nothing of closing, and does

    with serving(once) as server, transport(server) as door:
        assert [door.get("http://a.example/").body for _ in range(3)] == [b"x"] * 3
        assert server.connections == 3


def test_a_host_that_closes_on_the_next_request_is_asked_once_more():
    first = threading.Event()

    def stale(connection, _head):
        if first.is_set() and server.connections == 1:
            return False  # the second request of the first connection
        first.set()
        connection.sendall(answer(b"x"))
        return True

    with serving(stale) as server, transport(server) as door:
        assert [door.get("http://a.example/").body for _ in range(2)] == [b"x"] * 2
        assert server.connections == 2 and len(server.heads) == 3


@pytest.mark.parametrize(
    ("status", "location", "target"),
    [
        ("301 Moved", "/b", "http://a.example/b"),
        ("302 Found", "//b.example/c", "http://b.example/c"),
        ("303 See Other", "?q", "http://a.example/a/x?q"),
        ("307 Temporary", "http://127.0.0.1/", "http://127.0.0.1/"),
        ("308 Permanent", "http://b.example/ü".encode().decode("latin-1"), "http://b.example/ü"),
        ("301 Moved", "http://[b", "http://[b"),
        ("200 OK", "/b", None),
        ("304 Not Modified", "/b", None),
    ],
)
def test_a_redirect_is_told_and_not_followed(status, location, target):
    with serving(answer(status=status, Location=location)) as server, transport(server) as door:
        assert door.get("http://a.example/a/x").redirect == target
    assert len(server.heads) == 1


# Who may be reached.

REFUSED = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "2130706433",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "127%2e0.0.1",
    "user@127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::127.0.0.1]",
    "169.254.169.254",
    "10.0.0.1",
    "100.64.0.1",
    "192.168.0.1",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "0",
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", REFUSED)
def test_no_address_inside_is_ever_dialled(host, scheme):
    with serving(answer()) as trap:
        door = Transport(AGENT, Limits(ports=(trap.port,)))
        with pytest.raises(Refused, match="not a public address") as refused:
            door.get(f"{scheme}://{host}:{trap.port}/")
    assert refused.value.rule == "fetch.address" and trap.connections == 0


@pytest.mark.parametrize(
    "ips",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.1"],
        ["localhost"],
        ["fe80::1%lo"],
        [""],
    ],
)
def test_nor_by_name_whichever_of_its_addresses_it_is(ips):
    with serving(answer()) as trap:
        door = transport(resolver=lambda *_: [(ip, trap.port) for ip in ips], allow=())
        with pytest.raises(Refused) as refused:
            door.get("http://a.example/")
    assert refused.value.rule == "fetch.address" and trap.connections == 0


def test_only_the_allowed_address_is_opened_by_allowing():
    with serving(answer(), address="127.0.0.2") as trap:
        door = transport(resolver=lambda *_: [("127.0.0.2", trap.port)])
        with pytest.raises(Refused, match=re.escape("127.0.0.2")):
            door.get("http://a.example/")
    assert trap.connections == 0


def test_a_name_is_resolved_once_for_each_connection_and_that_address_is_dialled():
    """A resolver that rebinds: a good address for whoever tests, a bad one for whoever dials."""
    asked = []
    closing = threading.Event()

    def script(connection, _head):
        connection.sendall(answer(b"x"))
        return not closing.is_set()

    def rebinding(host, _port):
        asked.append(host)
        return [("127.0.0.1", server.port) if len(asked) == 1 else ("127.0.0.2", trap.port)]

    with serving(script) as server, serving(answer(), address="127.0.0.2") as trap:
        door = transport(resolver=rebinding)
        assert [door.get("http://a.example/").ip for _ in range(3)] == ["127.0.0.1"] * 3
        assert asked == ["a.example"]
        closing.set()
        door.get("http://a.example/")
        with pytest.raises(Refused):
            door.get("http://a.example/")
        assert len(asked) == 2 and trap.connections == 0


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("file:///etc/passwd", "fetch.scheme"),
        ("data:text/html,x", "fetch.scheme"),
        ("ftp://a.example/", "fetch.scheme"),
        ("//a.example/", "fetch.scheme"),
        ("http://a.example:22/", "fetch.port"),
        ("https://a.example:8443/", "fetch.port"),
        ("http://a.example:0/", "fetch.port"),
        ("http://a b/", "fetch.url"),
        ("http://a.example\\@127.0.0.1/", "fetch.url"),
        ("http://a.example:x/", "fetch.url"),
    ],
)
def test_urls_are_refused_before_anyone_is_asked(url, rule):
    with pytest.raises(Refused) as refused:
        transport(resolver=lambda *_: pytest.fail("asked")).get(url)
    assert refused.value.rule == rule and str(refused.value).startswith(rule)


def test_a_resolver_is_never_asked_for_an_address():
    door = transport(resolver=lambda *_: pytest.fail("asked"), allow=(), seconds=0.2)
    with pytest.raises(Refused):
        door.get("http://0x7f.1/")


# Failures.


def test_names_that_do_not_resolve():
    def unknown(host, _port):
        if host == "none.example":
            return []
        raise socket.gaierror(-2, "Name or service not known")

    for host in ("a.example", "none.example"):
        with pytest.raises(Failed) as failed:
            transport(resolver=unknown).get(f"http://{host}/")
        assert failed.value.rule == "fetch.dns"


def test_a_resolver_that_hangs_is_left_behind():
    free = threading.Event()
    start = time.monotonic()
    with pytest.raises(Failed) as failed:
        transport(resolver=lambda *_: free.wait(10), connect=0.3).get("http://a.example/")
    free.set()
    assert failed.value.rule == "fetch.dns" and time.monotonic() - start < 1.3


def test_a_port_that_nobody_listens_at():
    with serving(answer()) as server:
        pass
    with pytest.raises(Failed) as failed:
        transport(server).get("http://a.example/")
    assert failed.value.rule == "fetch.connect"


def test_the_next_address_is_dialled_where_one_is_dead():
    with serving(answer(b"x")) as server, serving(answer(), address="127.0.0.2") as gone:
        gone.close()
        places = [("127.0.0.2", gone.port), ("127.0.0.1", server.port)]
        found = transport(resolver=lambda *_: places, allow=("127.0.0.1", "127.0.0.2")).get(
            "http://a.example/"
        )
    assert (found.ip, found.body) == ("127.0.0.1", b"x")


def test_a_host_that_does_not_take_connections_ends_at_the_deadline():
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(("127.0.0.1", port))
    start = time.monotonic()
    with pytest.raises(Failed) as failed:
        transport(resolver=lambda *_: [("127.0.0.1", port)], connect=0.5).get("http://a.example/")
    assert failed.value.rule == "fetch.timeout" and time.monotonic() - start < 1.5
    for each in (*waiting, full):
        each.close()


def test_a_dead_address_leaves_time_for_the_next():
    full = socket.create_server(("127.0.0.2", 0), backlog=0)
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(full.getsockname())
    with serving(answer(b"x")) as server:
        places = [full.getsockname(), ("127.0.0.1", server.port)]
        door = transport(resolver=lambda *_: places, allow=("127.0.0.1", "127.0.0.2"), connect=0.6)
        found = door.get("http://a.example/")
    assert found.ip == "127.0.0.1" and 0.2 < found.seconds < 0.5
    for each in (*waiting, full):
        each.close()


@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        (b"", "fetch.disconnect"),
        (b"HTTP/1.1 200 OK\r\nX-A: 1\r\n", "fetch.disconnect"),
        (b"HTTP/1.1 2", "fetch.disconnect"),
        (b"<html>who needs a head</html>", "fetch.protocol"),
        (b"SSH-2.0-OpenSSH_9.0\r\n", "fetch.protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "fetch.protocol"),
        (b"HTTP/1.1 banana\r\n\r\n", "fetch.protocol"),
        (b"HTTP/1.1 99 Low\r\n\r\n", "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "fetch.protocol"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "fetch.protocol"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000, "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000, "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 1_000_000, "fetch.protocol"),
        (b"HTTP/1.1 200 " + b"b" * 1_000_000, "fetch.protocol"),
    ],
)
def test_what_is_no_answer_fails(sent, rule):
    with pytest.raises(Failed) as failed:
        get(lambda connection, _: connection.sendall(sent))
    assert failed.value.rule == rule


# Heads.


def test_informational_answers_come_before_the_real_one():
    early = b"HTTP/1.1 103 Early Hints\r\nX-A: no\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    found = get(lambda connection, _: connection.sendall(early + answer(b"x", X_B="yes")))
    assert (found.status, found.body) == (200, b"x") and "X-A" not in found.headers
    assert found.head.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_broken_header_line_does_not_hide_those_after_it():
    head = b"HTTP/1.1 200\r\nno colon\r\n: none\r\nb@d: x\r\nX-Robots-Tag : noai\r\n"
    head += b"X-Long: a\r\n b\r\n\tc\x01d\r\n\r\n"
    found = get(lambda connection, _: connection.sendall(head + b"body"))
    assert dict(found.headers) == {"X-Robots-Tag": "noai", "X-Long": "a b c d"}
    assert (found.head, found.body, found.reason) == (head, b"body", "")


def test_a_head_of_bare_line_feeds_is_read():
    found = get(lambda connection, _: connection.sendall(b"HTTP/1.0 200 OK\nX-A: b\n\nbody"))
    assert (found.headers["X-A"], found.body) == ("b", b"body")


def test_a_large_head_within_its_bound_is_read():
    found = get(answer(b"x", **{f"X-{number}": "v" * 100 for number in range(1000)}))
    assert len(found.headers) == 1001 and found.body == b"x"


# Bodies.


def chunked(*chunks, end=b"0\r\n\r\n"):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + end


@pytest.mark.parametrize(
    ("sent", "body", "truncated"),
    [
        (chunked(b"ab", b"c" * 100_000), b"ab" + b"c" * 100_000, None),
        (chunked(b"ab", end=b"0;x=y\r\nTrailer: x\r\n\r\n"), b"ab", None),
        (chunked(b"ab", end=b"0\r\n"), b"ab", None),
        (chunked(b"ab", end=b""), b"ab", "disconnect"),
        (chunked(b"ab", end=b"9\r\ncd"), b"abcd", "disconnect"),
        (chunked(b"ab", end=b"-1\r\ncd"), b"ab", "disconnect"),
        (chunked(b"ab", end=b"fffffffffffffffffffff\r\ncd"), b"ab", "disconnect"),
        (chunked(b"ab", end=b"1\r\ncd\r\n0\r\n\r\n"), b"abc", "disconnect"),
        (chunked(end=b"<p>not chunked"), b"<p>not chunked", None),
        (chunked(end=b""), b"", "disconnect"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"abc", "disconnect"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", b"ab", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", b"abc", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", b"abc", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", b"abc", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nabc", b"abc", "disconnect"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            b"ab",
            None,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc", None),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"", None),
    ],
)
def test_bodies_end_where_they_end(sent, body, truncated):
    found = get(lambda connection, _: connection.sendall(sent))
    assert (found.body, found.truncated) == (body, truncated)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_body_have_none_whatever_follows(status):
    false = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    def script(connection, head):
        connection.sendall(answer(false, status) if head.startswith(b"GET /a") else answer(b"good"))
        return True

    with serving(script) as server, transport(server) as door:
        first = door.get("http://a.example/a")
        assert (first.body, first.truncated) == (b"", None)
        assert door.get("http://a.example/b").body == b"good"


def test_a_body_that_must_not_be_is_not_read_as_the_next_answer():
    def script(connection, head):
        if head.startswith(b"GET /a"):
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            time.sleep(0.1)  # the next request is sent by now
            connection.sendall(answer(b"evil"))
        else:
            connection.sendall(answer(b"good"))
        return True

    with serving(script) as server, transport(server) as door:
        assert [door.get(f"http://a.example/{path}").body for path in "ab"] == [b"", b"good"]


def test_a_connection_whose_answer_has_two_ends_is_not_used_again():
    both = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    with serving(both) as server, transport(server) as door:
        assert [door.get("http://a.example/").body for _ in range(2)] == [b"ab"] * 2
        assert server.connections == 2


def test_a_reset_within_the_body_keeps_what_came():
    def script(connection, _head):
        connection.sendall(answer(b"x" * 100)[:-50])
        time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    found = get(script)
    assert (found.body, found.truncated) == (b"x" * 50, "disconnect")


def endless(start, piece, pause=0.0):
    """Send without end, until the other side has enough."""

    def script(connection, _head):
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            if pause:
                time.sleep(pause)

    return script


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\n\r\n"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"


@pytest.mark.parametrize("start", [PLAIN, LARGE, CHUNKED, CHUNKED + b"ffffffffff\r\n"])
def test_an_endless_body_ends_at_the_cap(start):
    piece = b"1000\r\n" + b"x" * 4096 + b"\r\n" if start is CHUNKED else b"x" * 4096
    found = get(endless(start, piece), bytes=1 << 20)
    assert found.truncated == "length" and (1 << 20) - 8192 < len(found.body) <= 1 << 20


def test_a_body_of_just_the_cap_is_whole():
    sent = answer(b"x" * 5000)
    assert get(sent, bytes=len(sent)).truncated is None
    short = get(sent, bytes=len(sent) - 1)
    assert (len(short.body), short.truncated) == (4999, "length")


def test_memory_is_bounded_by_the_cap():
    with serving(endless(LARGE, b"x" * 65536)) as server, transport(server, bytes=8 << 20) as door:
        tracemalloc.start()
        found = door.get("http://a.example/")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(found.body) > 7 << 20 and peak < 12 << 20


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"H"),  # a head that drips
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
        (b"", b""),
    ],
)
def test_a_head_that_drips_ends_at_the_deadline(start, piece):
    whole = iter(b"HTTP/1.1 200 OK\r\nX-A: b" + b"b" * 1000)

    def drip(connection, _head):
        connection.sendall(start)
        while True:
            connection.sendall(bytes([next(whole)]) if piece == b"H" else piece)
            time.sleep(0.05)

    begun = time.monotonic()
    with pytest.raises(Failed) as failed:
        get(drip, seconds=0.4)
    assert failed.value.rule == "fetch.timeout" and 0.3 < time.monotonic() - begun < 1.4


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (PLAIN, b"x"),
        (LARGE, b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED + b"ffff\r\n", b"x"),
        (CHUNKED + b"1\r\nx\r\n1", b"0"),
    ],
)
def test_a_body_that_drips_ends_at_the_deadline_and_is_kept(start, piece):
    begun = time.monotonic()
    found = get(endless(start, piece, pause=0.05), seconds=0.4)
    assert found.truncated == "time" and set(found.body) <= set(b"x") and found.body
    assert 0.3 < found.seconds < 1.4 and time.monotonic() - begun < 1.4


def test_a_body_that_never_pauses_ends_at_the_deadline_too():
    found = get(endless(CHUNKED, b"1\r\nx\r\n" * 10_000), seconds=0.4, bytes=1 << 30)
    assert found.truncated == "time" and 0.3 < found.seconds < 1.4


def test_trailers_without_end_do_not_hold_up_a_whole_body():
    found = get(endless(chunked(b"ab", end=b"0\r\n"), b"X-A: b\r\n", pause=0.05), seconds=0.4)
    assert (found.body, found.truncated) == (b"ab", None) and found.seconds < 1.4


# Content codings.


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("br", brotli.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_bodies_are_kept_coded_and_inflated_when_asked(coding, pack):
    found = get(answer(pack(b"hello" * 1000), Content_Encoding=coding))
    assert found.body == pack(b"hello" * 1000)
    assert inflated(found, 5000) == b"hello" * 1000
    with pytest.raises(Bomb):
        inflated(found, 4999)


def test_a_chunked_body_is_not_unchunked_twice():
    assert inflated(get(lambda connection, _: connection.sendall(chunked(b"2\r\nab\r\n0\r\n\r\n"))), 99) == (
        b"2\r\nab\r\n0\r\n\r\n"
    )


def test_what_is_not_as_its_headers_say_is_bad():
    with pytest.raises(BadPayload):
        inflated(get(answer(bytes(range(32)) * 9, Content_Encoding="br")), 9999)


# TLS.

trustme = pytest.importorskip("trustme")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority to trust, and the file that says so."""
    found = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    found.cert_pem.write_to_path(str(path))
    return found, path


def tls(authority, *names, **how):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **how).configure_cert(context)
    return context


def test_a_certified_name_is_answered_under_its_name(authority):
    context = tls(authority[0], "a.example")
    names = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with (
        serving(answer(b"x" * 100_000), context) as server,
        transport(server, authorities=authority[1]) as door,
    ):
        found = [door.get("https://a.example/") for _ in range(2)]
        assert [(each.body, each.url) for each in found] == [(b"x" * 100_000, "https://a.example/")] * 2
        assert (
            names == ["a.example"] and b"Host: a.example\r\n" in server.heads[0] and server.connections == 1
        )


@pytest.mark.parametrize(
    ("names", "how", "trusted", "why"),
    [
        (("a.example",), {}, False, "unable to get local issuer"),
        (("b.example",), {}, True, "mismatch"),
        (("127.0.0.1",), {}, True, "mismatch"),
        (("a.example",), {"not_after": datetime.now(UTC) - timedelta(days=1)}, True, "expired"),
    ],
)
def test_a_certificate_that_does_not_hold_fails(authority, names, how, trusted, why):
    with (
        serving(answer(), tls(authority[0], *names, **how)) as server,
        transport(server, authorities=authority[1] if trusted else None) as door,
        pytest.raises(Failed, match=why) as failed,
    ):
        door.get("https://a.example/")
    assert failed.value.rule == "fetch.tls" and server.heads == []


def test_a_certificate_that_certifies_itself_fails(authority, tmp_path):
    pair = tmp_path / "pair.pem"
    pair.write_bytes(authority[0].private_key_pem.bytes() + authority[0].cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with (
        serving(answer(), context) as server,
        transport(server) as door,
        pytest.raises(Failed, match="self-signed") as failed,
    ):
        door.get("https://a.example/")
    assert failed.value.rule == "fetch.tls" and server.heads == []


def test_a_plain_server_at_the_secure_port_fails():
    def plain(connection, _head):
        connection.sendall(answer())

    listener = socket.create_server(("127.0.0.1", 0))

    def speak():
        connection, _ = listener.accept()
        with connection:
            plain(connection, b"")
            connection.recv(999)

    threading.Thread(target=speak, daemon=True).start()
    with pytest.raises(Failed) as failed:
        transport(resolver=lambda *_: [("127.0.0.1", listener.getsockname()[1])]).get("https://a.example/")
    listener.close()
    assert failed.value.rule == "fetch.tls"


def test_a_handshake_that_drips_ends_at_the_deadline():
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = listener.accept()
        with connection:
            connection.recv(999)
            try:
                for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 1000:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                pass

    threading.Thread(target=drip, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(Failed) as failed:
        transport(resolver=lambda *_: [("127.0.0.1", listener.getsockname()[1])], connect=0.4).get(
            "https://a.example/"
        )
    listener.close()
    assert failed.value.rule in ("fetch.timeout", "fetch.tls") and time.monotonic() - begun < 1.4


def test_a_secure_body_that_drips_ends_at_the_deadline(authority):
    script = endless(LARGE, b"x", pause=0.05)
    with (
        serving(script, tls(authority[0], "a.example")) as server,
        transport(server, authorities=authority[1], seconds=0.8) as door,
    ):
        found = door.get("https://a.example/")
    assert found.truncated == "time" and found.body and found.seconds < 1.8


# Many.


def test_many_threads_share_one_transport_and_its_sockets_are_few():
    def script(connection, head):
        connection.sendall(answer(head.split(b" ")[1]))
        return True

    wrong = []
    with serving(script) as server, transport(server) as door:

        def work(worker):
            for number in range(40):
                path = f"/{worker}/{number}"
                if door.get(f"http://h{worker * 40 + number}.example{path}").body != path.encode():
                    wrong.append(path)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong and len(server.heads) == 320
        # Connections to the hosts used last stay open, and no others.
        time.sleep(0.2)
        assert sum(thread.name.endswith("(_serve)") for thread in threading.enumerate()) <= 128 + 8


def test_a_host_that_is_forgotten_while_it_answers():
    """Connections are kept to so many hosts; the one that is too many may be in use."""
    asked, go = threading.Event(), threading.Event()

    def script(connection, head):
        if b"slow.example" in head:
            asked.set()
            go.wait(5)
        connection.sendall(answer(b"x"))
        return True

    found = []
    with serving(script) as server, transport(server) as door:
        thread = threading.Thread(target=lambda: found.append(door.get("http://slow.example/")))
        thread.start()
        asked.wait(5)
        for number in range(140):
            door.get(f"http://h{number}.example/")
        go.set()
        thread.join()
        assert [each.body for each in found] == [b"x"] and door.get("http://slow.example/").body == b"x"


def test_a_closed_transport_leaves_no_connection_open():
    with serving(answer(b"x")) as server:
        with transport(server) as door:
            door.get("http://a.example/")
        time.sleep(0.1)
        assert not any(thread.name.endswith("(_serve)") for thread in threading.enumerate())
