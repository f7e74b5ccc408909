"""Serves pages under their own host names from loopback addresses, and a crawl that finds them there."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from corpuskit.crawl.fetch import Fetch
from corpuskit.crawl.transport import Resolver
from corpuskit.settings import setting

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(2, 18))
PORT = "CORPUSKIT_TEST_FARM_PORT"

Pages = Mapping[str, tuple[int, dict[str, str], bytes]]
"""Status, headers and body by host and path."""


@dataclass(frozen=True)
class FarmFetch(Fetch):
    """Fetch from the farm whose port is in the environment, which workers inherit."""

    allow: tuple[str, ...] = setting(ADDRESSES, "the farm's", content=False)

    def resolver(self) -> Resolver:
        port = int(os.environ[PORT])
        return lambda host, _: [(_address(host), port)]


def _address(host: str) -> str:
    return ADDRESSES[hashlib.sha256(host.encode()).digest()[0] % len(ADDRESSES)]


class PageFarm:
    """Serves `pages` on every address, all at one port; `asked` are the hosts and paths asked for."""

    def __init__(self, pages: Pages) -> None:
        self.asked: list[str] = []
        farm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                key = self.headers["Host"].partition(":")[0] + self.path
                farm.asked.append(key)
                status, headers, body = pages.get(key, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._servers: list[ThreadingHTTPServer] = []
        for address in ADDRESSES:
            port = self._servers[0].server_address[1] if self._servers else 0
            server = ThreadingHTTPServer((address, port), Handler)
            server.daemon_threads = True
            self._servers.append(server)
        self.port = self._servers[0].server_address[1]

    def __enter__(self) -> PageFarm:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
