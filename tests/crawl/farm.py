"""A farm of virtual hosts on loopback addresses, good, bad and ugly, that notes who asked what and when."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import brotli

from corpuskit.urls import registrable_domain

HOSTS = 24
_BOMB = gzip.compress(bytes(40 << 20), 9)
Send = Callable[[bytes], None]


@dataclass
class Asked:
    """One request as the server saw it; `end` is when the last of the answer was about to be sent."""

    ip: str
    host: str
    path: str
    start: float
    end: float
    headers: dict[str, str]

    @property
    def domain(self) -> str:
        return registrable_domain(f"http://{self.host}/") or self.host.partition(":")[0]


def page(text: str, head: str = "") -> bytes:
    noise = hashlib.sha256(text.encode()).hexdigest() * 20
    return f"<html><head>{head}<title>{text}</title></head><body><p>{text} {noise}</p></body></html>".encode()


@dataclass
class Farm:
    """Listens on 127.0.0.2 to .25, one port; names map to them by `resolve`.

    `site07.com` and its subdomains lie on one address each; `shared1.com`, `shared2.com` on the same.
    """

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    trapped: list[str] = field(default_factory=list)
    latency: float = 0.0
    robots: dict[str, bytes | int] = field(default_factory=dict)
    """By host: its robots.txt, or the status of it; 404 for the others."""
    _counts: Counter[str] = field(default_factory=Counter)
    _sockets: list[socket.socket] = field(default_factory=list)
    _resolved: Counter[str] = field(default_factory=Counter)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(f"127.0.0.{number + 2}" for number in range(HOSTS))

    def __enter__(self) -> Farm:
        first = socket.create_server((self.addresses[0], self.port))
        self.port = first.getsockname()[1]
        self._sockets = [first, *(socket.create_server((ip, self.port)) for ip in self.addresses[1:])]
        trap = socket.create_server(("127.0.0.1", self.port))
        for listener, serve in [*((one, self._serve) for one in self._sockets), (trap, self._spring)]:
            listener.listen(512)
            threading.Thread(target=self._accept, args=(listener, serve), daemon=True).start()
        self._sockets.append(trap)
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._sockets:
            listener.close()

    def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        """Map names to the farm, http to its port; `rebind.com` changes its address with every answer."""
        self._resolved[host] += 1
        if host == "slowname.com":
            time.sleep(5)
        if host in ("localhost", "trap.com") or (host == "rebind.com" and self._resolved[host] > 1):
            return [("127.0.0.1", self.port)]
        if host == "two.com":  # one address that is allowed, and one that is not
            return [("127.0.0.2", self.port), ("127.0.0.1", self.port)]
        if host.startswith("shared"):
            return [("127.0.0.25", self.port)]
        if "missing" in host:
            raise socket.gaierror(-2, "Name or service not known")
        number = int(hashlib.sha256(host.encode()).hexdigest(), 16) if "site" not in host else 0
        name = host.rpartition("site")[2].partition(".")[0]
        number = int(name) + 7 * host.count(".") if name.isdigit() else number
        return [(f"127.0.0.{number % (HOSTS - 1) + 2}", self.port)]

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    def _spring(self, client: socket.socket) -> None:
        self.trapped.append(str(client.getpeername()))
        client.close()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, contextlib.suppress(OSError, ValueError), client.makefile("rb") as lines:
            while request := lines.readline():
                start = time.time()
                if not request.startswith(b"GET "):  # TLS, which nobody here speaks
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                headers = {}
                while line := lines.readline().strip().decode("latin-1"):
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                path = request.split()[1].decode()
                asked = Asked(client.getsockname()[0], headers["host"], path, start, start, headers)
                self.asked.append(asked)
                time.sleep(self.latency)
                answer = _Answer(client, asked)
                self._answer(answer, headers["host"], path)
                if answer.close:
                    return

    def _answer(self, answer: _Answer, host: str, path: str) -> None:
        if path == "/robots.txt":
            robots = self.robots.get(host, 404)
            if isinstance(robots, int):
                answer.send(b"", status=robots)
            elif robots.startswith(b"http"):
                answer.send(b"", status=302, Location=robots.decode())
            else:
                answer.send(robots, type="text/plain")
            return
        kind, _, rest = path.removeprefix("/").partition("/")
        self._counts[host + path] += 1
        getattr(self, f"_{kind}", self._ok)(answer, f"{host}{path}", rest)

    def _ok(self, answer: _Answer, name: str, rest: str) -> None:
        tag = f'"{hashlib.sha256(name.encode()).hexdigest()[:8]}"'
        if answer.asked.headers.get("if-none-match") == tag:
            answer.send(b"", status=304, ETag=tag)
        else:
            answer.send(page(name), ETag=tag)

    def _same(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(page("the same everywhere"))

    def _gzip(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(gzip.compress(page(name)), **{"Content-Encoding": "gzip"})

    def _brotli(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(brotli.compress(page(name)), **{"Content-Encoding": "br"})

    def _chunked(self, answer: _Answer, name: str, rest: str) -> None:
        answer.chunks([page(name)[:100], page(name)[100:]])

    def _cookie(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(page(name), **{"Set-Cookie": "id=1; Path=/"})

    def _noai(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(page(name), **{"X-Robots-Tag": "max-image-preview:none, noai"})

    def _meta(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(page(name, '<meta name="robots" content="noindex">'))

    def _type(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(b"\x89PNG", type="image/png")

    def _bomb(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(_BOMB, **{"Content-Encoding": "gzip"})

    def _status(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(page(name), status=int(rest.partition("/")[0]))

    def _rate(self, answer: _Answer, name: str, rest: str) -> None:
        """Say once to come back in a second."""
        if self._counts[name] > 1:
            return self._ok(answer, name, rest)
        return answer.send(b"", status=429, **{"Retry-After": "1"})

    def _flaky(self, answer: _Answer, name: str, rest: str) -> None:
        if self._counts[name] > 1:
            return self._ok(answer, name, rest)
        return answer.send(b"", status=500)

    def _chain(self, answer: _Answer, name: str, rest: str) -> None:
        """`/chain/3/x` takes three redirects."""
        left, _, more = rest.partition("/")
        if left == "0":
            return self._ok(answer, name, rest)
        return answer.send(b"moved", status=302, Location=f"/chain/{int(left) - 1}/{more}")

    def _loop(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(b"", status=301, Location=f"/loop/{'b' if rest == 'a' else 'a'}")

    def _to(self, answer: _Answer, name: str, rest: str) -> None:
        """`/to/http://elsewhere/` redirects there."""
        answer.send(b"", status=307, Location=rest)

    def _cut(self, answer: _Answer, name: str, rest: str) -> None:
        answer.send(page(name), length=100_000)
        answer.close = True

    def _drip(self, answer: _Answer, name: str, rest: str) -> None:
        answer.head(200, **{"Content-Length": "100000"})
        for _ in range(100):
            answer.write(b"x")
            time.sleep(0.2)

    def _endless(self, answer: _Answer, name: str, rest: str) -> None:
        answer.chunks(itertools.repeat(b"<p>" * 10_000))

    def _garbage(self, answer: _Answer, name: str, rest: str) -> None:
        answer.write(b"220 mail.example ESMTP\r\n" * 3)
        answer.close = True

    def _hang(self, answer: _Answer, name: str, rest: str) -> None:
        time.sleep(3)
        answer.close = True

    # -- what the tests ask about it

    def gaps(self, by: str) -> dict[str, list[float]]:
        """Return the seconds from the end of each request to the start of the next, by `domain` or `ip`."""
        found: dict[str, list[float]] = {}
        grouped: dict[str, list[Asked]] = defaultdict(list)
        for asked in self.asked:
            grouped[getattr(asked, by)].append(asked)
        for name, requests in grouped.items():
            requests.sort(key=lambda one: one.start)
            found[name] = [after.start - before.end for before, after in itertools.pairwise(requests)]
        return found


class _Answer:
    def __init__(self, client: socket.socket, asked: Asked) -> None:
        self._client, self.asked, self.close = client, asked, False

    def write(self, data: bytes) -> None:
        self.asked.end = time.time()
        try:
            self._client.sendall(data)
        except OSError:
            self.close = True
            raise

    def head(self, status: int, type: str = "text/html; charset=utf-8", **headers: str) -> None:
        lines = [
            f"HTTP/1.1 {status} Word",
            f"Content-Type: {type}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        self.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def send(
        self,
        body: bytes,
        status: int = 200,
        length: int | None = None,
        type: str = "text/html",
        **headers: str,
    ) -> None:
        lines = [
            f"HTTP/1.1 {status} Word",
            f"Content-Type: {type}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        lines.append(f"Content-Length: {len(body) if length is None else length}")
        self.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def chunks(self, parts: Iterator[bytes] | list[bytes]) -> None:
        self.head(200, **{"Transfer-Encoding": "chunked"})
        for part in parts:
            self.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.write(b"0\r\n\r\n")
