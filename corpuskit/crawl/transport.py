"""One HTTP request to one public host, under limits that a hostile server cannot talk its way out of."""

from __future__ import annotations

import contextlib
import functools
import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urljoin

import certifi
from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPHeaderDict, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from corpuskit.crawl.addresses import BadScheme, BadUrl, resolve, split
from corpuskit.crawl.connection import PlainConnection, SecureConnection
from corpuskit.crawl.hop import Failed, Hop, Limits, Refused, Resolver
from corpuskit.crawl.payload import inflate

__all__ = ["Exchange", "Failed", "Limits", "Refused", "Resolver", "Transport", "inflated"]

_HOSTS = 128  # that idle connections are kept to
_IDLE = 2  # connections to each of them
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as they went over the wire."""

    url: str
    """As requested: host in ASCII, escapes in place, no fragment, no user name."""
    ip: str
    status: int
    reason: str
    request: bytes
    """The head as sent, with its empty line."""
    head: bytes
    """Status line and headers as received, with their empty line; informational (1xx) heads are not kept."""
    headers: HTTPHeaderDict
    """Case-insensitive; `headers.getlist(name)` gives each of repeated ones, `headers.items()` all pairs.
    Values are latin-1, without control characters."""
    body: bytes
    """As on the wire, transfer coding removed, content coding left."""
    truncated: Literal["length", "time", "disconnect"] | None
    """Why the body ends before its end, in WARC's words; null if it is whole."""
    date: datetime
    """When the request began, UTC."""
    seconds: float
    """From then to the last byte."""

    @property
    def redirect(self) -> str | None:
        """The absolute URL a 301, 302, 303, 307 or 308 points to; null for any other answer.

        It is what the server says: no host, scheme or port is tested before it is requested.
        """
        location = self.headers.get("location") if self.status in _REDIRECTS else None
        if not location:
            return None
        with contextlib.suppress(UnicodeError):  # not UTF-8: what it reads as then is as good as anything
            location = location.encode("latin-1").decode("utf-8")
        try:
            return urljoin(self.url, location)
        except ValueError:
            return location


class Transport:
    """Makes requests; many threads may share one.

    Keeps connections to the hosts used last, and nothing else: no cookies, no credentials, no
    environment. Certificates are always verified.

    Args:
        agent: The User-Agent header (`agent.user_agent`).
        limits: What one request may cost.
        resolver: What looks names up (default: the system's); every address it gives is tested.
        authorities: A PEM file of certificate authorities to trust beside the public ones.
    """

    def __init__(
        self,
        agent: str,
        limits: Limits | None = None,
        resolver: Resolver | None = None,
        authorities: Path | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._resolver = resolver or resolve
        self._headers = {"User-Agent": agent, "Accept": _ACCEPT, "Accept-Encoding": "gzip, deflate, br"}
        self._adapter = _Adapter(_trust(authorities))

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Exchange:
        """Make ONE request; a redirect is an answer like any other.

        `headers` come on top of the transport's own (such as If-None-Match, If-Modified-Since, Range).

        Raises:
            Refused: The URL, its scheme, port, or one of its host's addresses is not allowed.
            Failed: There is no answer, or none that is HTTP.
        """
        try:
            origin, target = split(url)
        except BadScheme as error:
            raise Refused("fetch.scheme", str(error)) from None
        except BadUrl as error:
            raise Refused("fetch.url", str(error)) from None
        if origin.port not in self._limits.ports:
            raise Refused("fetch.port", f"port {origin.port} is not allowed: {url[:200]!r}")
        sent = CaseInsensitiveDict(self._headers)
        sent.update(headers or {})
        hop = Hop(origin, target, self._limits, self._resolver)
        for _stale in range(_IDLE):
            try:
                return self._exchange(sent, hop)
            except Failed as error:
                # The host closed an idle connection just before we used it: no failure of the request.
                received = hop.answer is not None and hop.answer.wire.received
                if hop.fresh or received or error.rule != "fetch.disconnect":
                    raise
        return self._exchange(sent, hop)

    def _exchange(self, headers: CaseInsensitiveDict[str], hop: Hop) -> Exchange:
        date, start = datetime.now(UTC), time.monotonic()
        request = PreparedRequest()
        request.method, request.url, request.headers = "GET", f"{hop.origin}{hop.target}", headers
        with hop:
            try:
                raw = self._adapter.send(request, stream=True, timeout=self._limits.seconds).raw
            except (RequestException, HTTPError, http.client.HTTPException, OSError) as error:
                raise Failed("fetch.disconnect", f"{hop.origin.host}: {error}") from None
            answer = hop.answer
            assert answer is not None  # noqa: S101 - the adapter's connections make no other
            body, truncated = answer.body()
        if answer.will_close:
            raw.close()
        else:
            raw.release_conn()
        return Exchange(
            url=request.url,
            ip=hop.ip,
            status=answer.status,
            reason=answer.reason,
            request=hop.request,
            head=answer.head,
            headers=raw.headers,
            body=body,
            truncated=truncated,
            date=date,
            seconds=time.monotonic() - start,
        )

    def close(self) -> None:
        """Close the idle connections; those in use close with their request."""
        self._adapter.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@functools.cache
def _trust(authorities: Path | None) -> ssl.SSLContext:
    """Read the public authorities, and those given; this takes long, and the result serves all transports."""
    trust = ssl.create_default_context(cafile=certifi.where())
    trust.set_alpn_protocols(["http/1.1"])
    if authorities is not None:
        trust.load_verify_locations(cafile=authorities)
    return trust


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = PlainConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = SecureConnection


class _Adapter(HTTPAdapter):
    """The door that every request goes through.

    It is used without a `Session`: cookies, netrc, proxies of the environment, authentication and
    redirects are all a session's doing.
    """

    def __init__(self, trust: ssl.SSLContext) -> None:
        super().__init__(pool_connections=_HOSTS, pool_maxsize=_IDLE)
        self._trust = trust
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def build_connection_pool_key_attributes(
        self,
        request: PreparedRequest,
        verify: Any,  # noqa: ANN401
        cert: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - the stubs name private types
        """Key the connections by origin; certificates are verified by our one context."""
        origin = Hop.under_way().origin
        return origin._asdict(), {"ssl_context": self._trust} if origin.scheme == "https" else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401
        """Leave the pool's context as it is: it verifies, and reading the authorities again is slow."""

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ANN401
        """Ask for the target as it was split from the URL."""
        return Hop.under_way().target

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:  # noqa: ANN401
        """Wrap the answer, and do nothing else: no cookies."""
        response = Response()
        response.raw = resp
        return response


def inflated(exchange: Exchange, cap: int) -> bytes:
    """Return the body with its content coding undone, at most `cap` bytes.

    Raises:
        payload.Bomb: It would be more.
        payload.BadPayload: It is neither coded as the headers say nor text.
    """
    return inflate({"content-encoding": exchange.headers.get("content-encoding", "")}, exchange.body, cap)
