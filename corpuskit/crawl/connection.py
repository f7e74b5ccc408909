"""The connections under a transport: in themselves they resolve, test every address, and dial that one."""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection

from corpuskit.crawl.addresses import is_public, literal
from corpuskit.crawl.answer import Answer
from corpuskit.crawl.hop import Failed, Hop, Limits, Refused

__all__ = ["PlainConnection", "SecureConnection"]

_TRIES = 4  # addresses of one host that are dialled


class PlainConnection(HTTPConnection):
    """A connection to an address that was tested by the one who dials it."""

    response_class = Answer
    ip = ""

    def _new_conn(self) -> socket.socket:
        hop = Hop.under_way()
        sock, self.ip = _dial(self.host, self.port, hop)
        hop.fresh = True
        return sock

    def send(self, data: Any) -> None:  # noqa: ANN401 - as http.client has it
        """Send the head of the request, which is all there is."""
        hop = Hop.under_way()
        if self.sock is None:
            self.connect()
        hop.ip, hop.request = self.ip, bytes(data)
        self.sock.settimeout(hop.left())
        try:
            super().send(data)
        except TimeoutError:
            raise Failed("fetch.timeout", f"{self.host} did not take the request") from None


class SecureConnection(PlainConnection, HTTPSConnection):
    """The same under TLS, with the name in the URL as the one that must be certified."""

    def connect(self) -> None:
        """Dial and shake hands."""
        try:
            HTTPSConnection.connect(self)
        except TimeoutError:
            raise Failed("fetch.timeout", f"no TLS handshake with {self.host} in time") from None
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or str(error)
            raise Failed("fetch.tls", f"{self.host}: {why}") from None
        except OSError as error:
            raise Failed("fetch.tls", f"{self.host}: {error.strerror or error}") from None


def _dial(host: str, port: int, hop: Hop) -> tuple[socket.socket, str]:
    """Resolve a host once, test every address it has, and connect to one of these."""
    address = literal(host)
    found = [(str(address), port)] if address else _look_up(host, port, hop)
    places = [(_tested(ip, host, hop.limits), at) for ip, at in found][:_TRIES]
    why = "no address"
    for tries_left, (ip, at) in zip(range(len(places), 0, -1), places, strict=True):
        seconds = max(hop.connect_by - time.monotonic(), 0.001) / (1 if tries_left == 1 else 2)
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.settimeout(seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect((ip, at))
        except OSError as error:
            sock.close()
            why = "timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)
            continue
        sock.settimeout(max(hop.connect_by - time.monotonic(), 0.001))  # for the handshake
        return sock, ip
    raise Failed("fetch.timeout" if why == "timed out" else "fetch.connect", f"{host}: {why}")


def _look_up(host: str, port: int, hop: Hop) -> Sequence[tuple[str, int]]:
    """Ask the resolver, in a thread that can be left behind: the system's takes no deadline."""
    answers: queue.SimpleQueue[Sequence[tuple[str, int]] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(hop.resolver(host, port))
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits must learn of it
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=max(hop.connect_by - time.monotonic(), 0.001))
    except queue.Empty:
        raise Failed("fetch.dns", f"{host} was not resolved in time") from None
    if isinstance(answer, (OSError, UnicodeError)):
        raise Failed("fetch.dns", f"{host}: {getattr(answer, 'strerror', None) or answer}") from None
    if isinstance(answer, Exception):
        raise answer
    if not answer:
        raise Failed("fetch.dns", f"{host} has no address")
    return answer


def _tested(ip: str, host: str, limits: Limits) -> str:
    """Return the normal form of an address that may be dialled."""
    try:
        normal = str(ipaddress.ip_address(ip))
    except ValueError:
        raise Refused("fetch.address", f"{host} resolves to {ip!r}, which is no address") from None
    if normal not in limits.allow and not is_public(normal):
        raise Refused("fetch.address", f"{host} is {normal}, which is not a public address")
    return normal
