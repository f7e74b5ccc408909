"""An S3 server on loopback, and a proxy before it that answers some requests with faults."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("503", "slowdown", "reset", "cut", "lost")
_SLOW = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
)
_DROPPED = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, but for a share of them, drawn with a seed."""

    daemon_threads = True

    def __init__(self, port: int, share: float, seed: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.share = port, share
        self._chance, self._lock = random.Random(seed), threading.Lock()
        self.seen: Counter[str] = Counter()

    def draw(self) -> str | None:
        """Choose what befalls a request; null: nothing."""
        with self._lock:
            fault = self._chance.choice(FAULTS) if self._chance.random() < self.share else None
            self.seen[fault or "fine"] += 1
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass(self) -> None:
        fault = self.server.draw()
        body = self._body()
        if fault in ("503", "slowdown"):
            self._answer(503, {}, _SLOW if fault == "slowdown" else b"")
            return
        if fault == "reset":
            self.close_connection = True
            return
        status, headers, data = self._ask(body)
        if fault == "lost":  # it was done, and nobody hears of it
            self.close_connection = True
            return
        self._answer(status, headers, data, cut=fault == "cut")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED}
        headers["Content-Length"] = str(len(body))
        behind.request(self.command, self.path, body, headers)
        answer = behind.getresponse()
        data = answer.read()
        told = dict(answer.getheaders())
        behind.close()
        return answer.status, told, data

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _DROPPED:
                self.send_header(name, value)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
        head = self.command == "HEAD"
        self.send_header("Content-Length", length if head and length else str(len(data)))
        self.end_headers()
        if not head:
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(share: float, seed: int = 1) -> Iterator[tuple[Proxy, str]]:
    """Start a fresh server and its proxy; yield the proxy and its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    proxy = Proxy(server.get_host_and_port()[1], share, seed)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy, f"http://127.0.0.1:{proxy.server_address[1]}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.stop()
