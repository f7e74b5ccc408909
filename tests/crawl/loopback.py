"""Servers on loopback that do as they are told, and count who comes."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

Script = Callable[[socket.socket, bytes], object]
"""Answers one request (its head); the connection ends when it returns anything but True."""


class Server:
    """A listener on 127.0.0.1 that runs a script for every request; `heads` are those it got."""

    def __init__(
        self, script: Script, context: ssl.SSLContext | None = None, address: str = "127.0.0.1"
    ) -> None:
        self.script = script
        self.context = context
        self.heads: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((address, 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                while head := _head(connection):
                    self.heads.append(head)
                    if self.script(connection, head) is not True:
                        break

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def _head(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = connection.recv(4096)
        if not data:
            return b""
        head += data
    return head


@contextlib.contextmanager
def serving(
    script: Script | bytes, context: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[Server]:
    """Serve by a script, or the same bytes to everyone, keeping the connection if they say their length."""
    if isinstance(script, bytes):
        answer = script

        def script(connection: socket.socket, _head: bytes) -> bool:
            connection.sendall(answer)
            return b"Content-Length" in answer

    server = Server(script, context, address)
    try:
        yield server
    finally:
        server.close()


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Build an answer with its length; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
