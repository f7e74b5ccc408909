"""How fast `crawl fetch` is over many hosts without a delay, and whether its memory stays flat.

    python bench/fetch.py [--urls 60000] [--hosts 500] [--threads 64]

A server in another process answers for all hosts, each at a loopback address of its own, with pages of
some 20 KB. What is timed is the whole task: robots.txt, requests, WARC records, journal, and the rows, which
are thrown away here. Resident memory is that of the crawler's process, read at every tenth of the way.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
from measure import machine, versions

from corpuskit.crawl.fetch import Fetch
from corpuskit.crawl.transport import Resolver
from corpuskit.testing import write_dataset

_WORDS = (
    "the",
    "harbour",
    "of",
    "this",
    "town",
    "was",
    "built",
    "in",
    "spring",
    "when",
    "a",
    "river",
    "fell",
)


def page(path: str) -> bytes:
    """Make a page of some 20 KB that is like no other and compresses as prose does."""
    seed = hashlib.shake_128(path.encode()).digest(3000)
    words = " ".join(f"{_WORDS[byte % len(_WORDS)]}{byte if byte > 200 else ''}" for byte in seed)
    return f"<html><head><title>{path}</title></head><body><p>{words}</p></body></html>".encode()


class Server(asyncio.Protocol):
    """Answers GET, as little as it takes."""

    pages: tuple[bytes, ...] = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server makes
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request, which comes in one piece."""
        path = data.split(b" ", 2)[1]
        if path == b"/robots.txt":
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        body = self.pages[hash(path) % len(self.pages)] + path + data.split(b"Host: ", 1)[1][:20]
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def serve(tell: Connection) -> None:
    """Serve for ever, at every loopback address; tell the port."""

    async def run() -> None:
        Server.pages = tuple(page(f"/{number}") for number in range(500))
        everywhere = "0.0.0.0"  # noqa: S104 - every loopback address
        server = await asyncio.get_running_loop().create_server(Server, everywhere, 0, backlog=1024)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@dataclasses.dataclass(frozen=True)
class BenchFetch(Fetch):
    """Fetch from the server."""

    port: int = 0

    def resolver(self) -> Resolver:
        """Give each host an address of its own."""
        return lambda host, port: [(address(int(host[1 : host.index(".")])), self.port)]


def address(number: int) -> str:
    """Return the address of a host."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def resident() -> int:
    """Return the bytes of memory this process has now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--urls", type=int, default=60_000)
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--threads", type=int, default=64)
    args = parser.parse_args()
    hear, tell = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(tell,), daemon=True)
    server.start()
    rows = [
        {"id": f"{number:032x}", "url": f"http://h{number % args.hosts}.com/page/{number}"}
        for number in range(args.urls)
    ]
    allow = tuple(address(number) for number in range(args.hosts))
    print(machine(), versions("warcio", "urllib3", "requests"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source = write_dataset(f"{folder}/links", pa.RecordBatch.from_pylist(rows))
        stage = BenchFetch(
            contact="crawler@corpuskit.org", delay=0.0, threads=args.threads, allow=allow, port=hear.recv()
        ).placed(f"{folder}/out")
        crawl(stage, source, args.urls)
        size = sum(path.stat().st_size for path in Path(folder, "out", "warc").glob("*.warc.gz"))
        print(f"{size / 1e6:.0f} MB of WARC")
    server.terminate()


def crawl(stage: Fetch, source: str, urls: int) -> None:
    """Run every task, and print how fast it goes and how much memory it takes on the way."""
    done, shown, began = 0, 0, time.perf_counter()
    cpu = time.process_time()
    memory: list[int] = []
    for task in stage.plan(source):
        for split in stage.run(task):
            if len(split.rejected):
                sys.exit(f"rejected: {split.rejected.to_pylist()[:3]}")
            done += len(split.kept)
            if done * 10 // urls > shown:
                shown = done * 10 // urls
                memory.append(resident())
                seconds = time.perf_counter() - began
                print(
                    f"{done:>7,} fetched, {done / seconds:5,.0f}/s, {memory[-1] / 1e6:.0f} MB resident",
                    flush=True,
                )
    seconds = time.perf_counter() - began
    used = time.process_time() - cpu
    print(f"{done:,} fetches in {seconds:.1f} s: {done / seconds:,.0f}/s, {used / seconds:.2f} cores busy")
    print(f"memory grew by {(memory[-1] - memory[0]) / 1e6:.1f} MB from the first tenth to the last")


if __name__ == "__main__":
    main()
