"""Asking one service: pauses, repeats, and what ends a search."""

import time
from dataclasses import dataclass

import pytest
from loopback import answer, serving
from search_world import DATE, asked, openverse_image, script, told

from corpuskit.crawl.commons import Commons
from corpuskit.crawl.openverse import Openverse
from corpuskit.crawl.pager import ANSWER_BYTES, Pager, wait_asked_for
from corpuskit.crawl.patience import Turns
from corpuskit.crawl.results import Unusable
from corpuskit.crawl.transport import Limits, Transport
from corpuskit.errors import InputError, TryLater, UsageError

PAGE = {"results": [openverse_image("a")], "page_count": 1, "page": 1}


@dataclass
class Asking:
    """A pager and the server it asks."""

    pager: Pager
    heads: list[bytes]

    def ask(self, query="dog", cursor=None):
        return self.pager.ask(query, cursor or {})


@pytest.fixture
def asking(tmp_path):
    """Return a function that starts a service which gives one answer after the other, the last for ever."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def begin(*answers, service=Openverse, delay=0.01, retries=2, seconds=5.0, key=None) -> Asking:
            left = list(answers)
            server = stack.enter_context(serving(script(lambda _: left.pop(0) if left[1:] else left[0])))
            limits = Limits(seconds, 5.0, ANSWER_BYTES, (server.port,), ("127.0.0.1",))
            transport = stack.enter_context(Transport("corpuskit/0 (+me@corpus.mit.edu)", limits))
            where = service(base=f"http://127.0.0.1:{server.port}", key=key)
            return Asking(Pager(transport, where, Turns(tmp_path / "t", 1), delay, retries), server.heads)

        yield begin


def test_a_page_comes_with_the_date_of_its_server(asking):
    page, date = asking(told(PAGE)).ask()
    assert [item.service_id for item in page.results] == ["a"]
    assert date.strftime("%a, %d %b %Y %H:%M:%S GMT") == DATE


def test_the_service_learns_who_asks(asking):
    service = asking(told(PAGE), key="token")
    service.ask()
    found = asked(service.heads[0])
    assert found["user-agent:"] == "corpuskit/0 (+me@corpus.mit.edu)"
    assert found["accept:"] == "application/json" and found["authorization:"] == "Bearer token"
    assert "cookie:" not in found


def test_a_pause_follows_the_end_of_each_request(asking):
    times = []

    def slow(_: object) -> bytes:
        times.append(time.monotonic())
        time.sleep(0.1)
        times.append(time.monotonic())
        return told(PAGE)

    service = asking(b"", delay=0.2)
    with serving(script(slow)) as server:
        limits = Limits(5.0, 5.0, ANSWER_BYTES, (server.port,), ("127.0.0.1",))
        service.pager.transport = Transport("x", limits)
        service.pager.service = Openverse(base=f"http://127.0.0.1:{server.port}")
        service.ask()
        service.ask()
    assert times[2] - times[1] >= 0.19


def test_throttling_is_waited_for_and_asked_again(asking):
    service = asking(told({}, "429 Too Many Requests", Retry_After="1"), told(PAGE))
    began = time.monotonic()
    assert service.ask().page.results
    assert 0.99 <= time.monotonic() - began < 3 and len(service.heads) == 2


def test_a_used_up_quota_ends_the_search_at_once(asking):
    headers = {"X_RateLimit_Limit_anon_sustained": "200/day", "X_RateLimit_Available_anon_sustained": "0"}
    service = asking(told({}, "429 Too Many Requests", **headers))
    with pytest.raises(TryLater, match="openverse, 'dog': 429 Too Many Requests, and so 1 time"):
        service.ask()
    assert len(service.heads) == 1
    with pytest.raises(TryLater):
        asking(told({}, "429 Too Many Requests", Retry_After="3601")).ask()


def test_throttling_without_end_is_not_asked_for_ever(asking):
    service = asking(told({}, "429 Too Many Requests"), retries=3)
    with pytest.raises(TryLater, match="4 times"):
        service.ask()
    assert len(service.heads) == 4


def test_a_lagging_commons_is_waited_for_as_it_asks(asking):
    lagging = told({"error": {"code": "maxlag", "info": "6 seconds lagged"}}, Retry_After="1")
    service = asking(lagging, told({"batchcomplete": True}), service=Commons)
    began = time.monotonic()
    assert service.ask().page.results == ()
    assert time.monotonic() - began >= 0.99
    with pytest.raises(TryLater, match="maxlag"):
        asking(told({"error": {"code": "maxlag"}}), service=Commons, retries=0).ask()


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_service_that_refuses_us_is_not_asked_again(asking, status):
    service = asking(told({}, status))
    with pytest.raises(UsageError, match=f"openverse refuses to be asked: {status}"):
        service.ask()
    assert len(service.heads) == 1


def test_depth_that_needs_a_token_is_the_end_of_that_query_alone(asking):
    with pytest.raises(Unusable) as caught:
        asking(told({}, "401 Unauthorized")).ask(cursor={"page": 13})
    assert caught.value.code == 401 and caught.value.blames_query


@pytest.mark.parametrize(("status", "blamed"), [("400 Bad Request", True), ("301 Moved Permanently", False)])
def test_other_statuses_are_not_asked_again(asking, status, blamed):
    service = asking(told({}, status, Location="http://127.0.0.1/"))
    with pytest.raises(Unusable) as caught:
        service.ask()
    assert (caught.value.code, caught.value.blames_query) == (int(status[:3]), blamed)
    assert len(service.heads) == 1


def test_a_server_error_is_asked_again_and_then_the_query_has_failed(asking):
    assert asking(told({}, "502 Bad Gateway"), told(PAGE)).ask().page.results
    service = asking(told({}, "500 Internal Server Error"))
    with pytest.raises(Unusable, match="500 Internal Server Error") as caught:
        service.ask()
    assert caught.value.code == 500 and not caught.value.blames_query and len(service.heads) == 3
    with pytest.raises(TryLater):  # it says itself when to come back
        asking(told({}, "503 Service Unavailable", Retry_After="0")).ask()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sorry</html>",
        b"",
        b"[" * 100_000,
        b'{"results": ' + b'[{"a":' * 50_000,
        b'{"page_count": ' + b"9" * 5000 + b"}",
        b"[1, 2]",
        b'"text"',
        b"null",
        b"\xff\xfe{",
        b'{"results": "text"}',
        b'{"results": [' + b" " * ANSWER_BYTES + b"]}",
    ],
)
def test_what_is_no_page_of_results_is_unusable(asking, body):
    with pytest.raises(Unusable):
        asking(told(body)).ask()


def test_a_bomb_is_not_inflated(asking):
    import gzip

    body = gzip.compress(b" " * (ANSWER_BYTES + 1))
    with pytest.raises(Unusable, match="too large"):
        asking(answer(body, Content_Encoding="gzip")).ask()


def test_a_service_out_of_reach_can_be_tried_later(asking):
    service = asking(told(PAGE), retries=1)
    service.pager.service = Openverse(base="http://127.0.0.1:1")
    with pytest.raises(InputError, match="fetch.port"):
        service.ask()
    service.pager.transport = Transport("x", Limits(1.0, 1.0, ANSWER_BYTES, (1,), ("127.0.0.1",)))
    with pytest.raises(TryLater, match="fetch.connect"):
        service.ask()


def test_an_address_that_is_not_public_is_not_asked_and_a_key_is_not_shown(asking):
    service = asking(told(PAGE), key="secret")
    service.pager.service = Openverse(base="http://10.0.0.1")
    with pytest.raises(InputError, match="http://10.0.0.1/v1/images/ may not be asked") as caught:
        service.ask()
    assert "secret" not in str(caught.value)


def test_a_slow_drip_is_a_fault_of_its_query(asking):
    def drip(connection, _head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        for _ in range(20):
            time.sleep(0.05)
            connection.sendall(b" ")

    service = asking(told(PAGE))
    with serving(drip) as server:
        limits = Limits(0.3, 0.3, ANSWER_BYTES, (server.port,), ("127.0.0.1",))
        service.pager.transport, service.pager.retries = Transport("x", limits), 0
        service.pager.service = Openverse(base=f"http://127.0.0.1:{server.port}")
        with pytest.raises(Unusable):
            service.ask()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 500}, 999_999_999.0),
        ({"X-RateLimit-Limit-a": "20/min", "X-RateLimit-Available-a": "1"}, None),
        ({"X-RateLimit-Limit-a": "20/min", "X-RateLimit-Available-a": "0"}, 60.0),
        ({"X-RateLimit-Limit-a": "5/sec", "X-RateLimit-Available-a": "0"}, 1.0),
        (
            {
                "X-RateLimit-Limit-a": "20/min",
                "X-RateLimit-Available-a": "0",
                "X-RateLimit-Limit-b": "200/day",
                "X-RateLimit-Available-b": "0",
            },
            86400.0,
        ),
        ({"X-RateLimit-Limit-a": "many", "X-RateLimit-Available-a": "0"}, None),
        ({"X-RateLimit-Available-a": "0"}, None),
    ],
)
def test_how_long_a_service_asks_to_wait(headers, seconds):
    assert wait_asked_for(headers, now=lambda: 60.0) == seconds
