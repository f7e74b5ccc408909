"""A small Common Crawl on loopback: archives, both indexes, a CDX server, s3, and faults on demand."""

import contextlib
import gzip
import json
import re
import socketserver
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from building import http, page, record

CRAWL = "CC-MAIN-2024-22"
SEGMENT = f"crawl-data/{CRAWL}/segments/1715971057216.39"
PART = f"cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-0000{{}}-4dd72944.c000.gz.parquet"
TYPES = {
    **dict.fromkeys(["url_surtkey", "url", "url_host_name", "url_host_registered_domain"], pa.string()),
    **dict.fromkeys(["url_protocol", "url_path", "url_query"], pa.string()),
    "fetch_time": pa.timestamp("ms"),
    "fetch_status": pa.int16(),
    **dict.fromkeys(["content_digest", "content_mime_type", "content_mime_detected"], pa.string()),
    **dict.fromkeys(["content_charset", "content_languages", "warc_filename"], pa.string()),
    "warc_record_offset": pa.int32(),
    "warc_record_length": pa.int32(),
    "warc_segment": pa.string(),
}
SITES = (
    "https://www.harbour.example/",
    "https://news.harbour.example/a/",
    "https://mole.test/",
    "http://pier.gov/",
)


def surt(url: str) -> str:
    parts = urlsplit(url)
    host = re.sub(r"^www\d*\.", "", parts.hostname or "")
    path = (parts.path.rstrip("/") or "/") + (f"?{parts.query}" if parts.query else "")
    return ",".join(reversed(host.split("."))) + ")" + path.lower()


class World:
    """The files and the index; `captures` are the rows of the CDX index."""

    def __init__(self, folder: Path, archives: int = 3, pages: int = 8) -> None:
        self.folder = folder
        self.captures: list[dict] = []
        self.warcs = [f"{SEGMENT}/warc/CC-MAIN-20240517-0000{number}.warc.gz" for number in range(archives)]
        for number, name in enumerate(self.warcs):
            self._archive(number, name, pages)
        self._write_paths("warc.paths.gz", self.warcs)
        self.write_index()

    def _archive(self, archive: int, name: str, pages: int) -> None:
        members = [record(b"isPartOf: x\r\n", kind="warcinfo", number=10**6 + archive)]
        places: list[tuple[int, str, str]] = []
        for number in range(pages):
            serial = archive * 100 + number
            url = f"{SITES[serial % len(SITES)]}{serial}" + ("?b=2&a=1" if number == 5 else "")
            members.append(record(b"GET", kind="request", number=2 * 10**6 + serial, WARC_Target_URI=url))
            kind = "image/png" if number == 6 else "text/html"
            block = http(page(serial), f"Content-Type: {kind}")
            places.append((len(members), url, kind))
            members.append(record(block, number=serial, WARC_Target_URI=url))
        data = b""
        starts = []
        for member in members:
            starts.append(len(data))
            data += gzip.compress(member, mtime=0)
        self.write(name, data)
        for at, url, kind in places:
            self.captures.append(
                {
                    "urlkey": surt(url),
                    "timestamp": "20240517233132",
                    "url": url,
                    "mime": kind,
                    "mime-detected": kind,
                    "status": "200",
                    "digest": "CH7IV3XAD3M7A42JARKRLJ3T5PGGCGXD",
                    "length": str((starts + [len(data)])[at + 1] - starts[at]),
                    "offset": str(starts[at]),
                    "filename": name,
                    "languages": "deu,eng" if url.startswith("http:") else "eng",
                }
            )

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _write_paths(self, name: str, paths: list[str]) -> None:
        self.write(
            f"crawl-data/{CRAWL}/{name}", gzip.compress("".join(f"{path}\n" for path in paths).encode())
        )

    def write_index(self, parts: int = 2, drop: tuple[str, ...] = ()) -> None:
        """Write the columnar index: sorted by key, several parts of small row groups."""
        self.captures.sort(key=lambda row: (row["urlkey"], row["timestamp"]))
        size = -(-len(self.captures) // parts)
        names = [PART.format(number) for number in range(parts)]
        for number, name in enumerate(names):
            rows = [_columns(row) for row in self.captures[number * size : (number + 1) * size]]
            schema = pa.schema([(column, kind) for column, kind in TYPES.items() if column not in drop])
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_pylist(rows, schema)
            pq.write_table(table, self.folder / name, compression="gzip", row_group_size=4)
        others = [name.replace("subset=warc", "subset=robotstxt") for name in names]
        self._write_paths("cc-index-table.paths.gz", names + others)


def _columns(row: dict) -> dict:
    stamp = row["timestamp"]
    parts = urlsplit(row["url"])
    return {
        "url_surtkey": row["urlkey"],
        "url": row["url"],
        "url_host_name": parts.hostname,
        "url_protocol": parts.scheme,
        "url_path": parts.path,
        "url_query": parts.query or None,
        "fetch_time": time.mktime(time.strptime(stamp, "%Y%m%d%H%M%S")) * 1000 // 1,
        "fetch_status": int(row["status"]),
        "content_digest": row["digest"],
        "content_mime_type": row["mime"],
        "content_mime_detected": row["mime-detected"],
        "content_languages": row.get("languages"),
        "warc_filename": row["filename"],
        "warc_record_offset": int(row["offset"]),
        "warc_record_length": int(row["length"]),
        "warc_segment": "1715971057216.39",
    }


class Served:
    """A world that is served: where, what was asked, and what is to go wrong with the next requests."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.url = ""
        self.asked: list[tuple[str, str | None]] = []
        self.agents: set[str] = set()
        self.times: list[float] = []
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.page_lines = 5
        self.nap = 0.0
        self.at_once = self.peak = 0
        self.lock = threading.Lock()

    def fault(self, path: str) -> str | None:
        for piece, waiting in self.faults.items():
            if piece in path and waiting:
                return waiting[0] if waiting[0].startswith("always ") else waiting.pop(0)
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        served = self.served
        with served.lock:
            served.asked.append((self.path, self.headers["Range"]))
            served.times.append(time.monotonic())
            served.agents.add(self.headers["User-Agent"])
            served.at_once += 1
            served.peak = max(served.peak, served.at_once)
            fault = (served.fault(self.path) or "").removeprefix("always ")
        try:
            time.sleep(served.nap)
            self._answer(fault)
        finally:
            with served.lock:
                served.at_once -= 1

    def _answer(self, fault: str) -> None:
        if fault == "reset":
            self.connection.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: close with RST
            self.close_connection = True
            self.connection.close()
            return
        status, _, after = fault.partition(" ")
        if status.isdecimal():
            more = {"Retry-After": after} if after else {}
            slow = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please</Message></Error>"
            self._send(int(status), slow, more)
        elif self.path.startswith(f"/{CRAWL}-index?"):
            self._cdx()
        elif re.match(r"/CC-MAIN-[\d-]+-index\?", self.path):
            self._send(404, b'{"message": "Collection not found"}', {})
        else:
            self._file(fault)

    def _file(self, fault: str) -> None:
        path = self.served.world.folder / urlsplit(self.path).path.lstrip("/").removeprefix("commoncrawl/")
        if not path.is_file():
            self._send(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>", {})
            return
        data = path.read_bytes()
        told = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        if told is None or fault == "whole":
            self._send(200, data, {}, fault)
            return
        start, end = int(told[1]), min(int(told[2]) + 1, len(data))
        if start >= len(data) or fault == "416":
            self._send(416, b"<Error><Code>InvalidRange</Code><Message>range</Message></Error>", {})
            return
        shift = 1 if fault == "shifted" else 0
        where = f"bytes {start + shift}-{end - 1}/{len(data)}"
        body = bytes(end - start) if fault == "zeros" else data[start:end]
        self._send(206, body, {"Content-Range": where}, fault)

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"x"')
        self.end_headers()
        if self.command == "HEAD":
            return
        with contextlib.suppress(OSError):
            if fault == "cut":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif fault == "drip":
                for place in range(len(body)):
                    self.wfile.write(body[place : place + 1])
                    time.sleep(0.05)
            else:
                self.wfile.write(body)

    def _cdx(self) -> None:
        query = parse_qsl(urlsplit(self.path).query)
        told = dict(query)
        lines = [row for row in self.served.world.captures if _matches(told["url"], row)]
        size = self.served.page_lines
        if "showNumPages" in told:
            self._send(200, json.dumps({"pages": -(-len(lines) // size), "pageSize": 5}).encode(), {})
            return
        number = int(told["page"])
        lines = lines[number * size : (number + 1) * size]
        for name, value in query:
            if name == "filter":
                key, _, text = value.removeprefix("~").partition(":")
                lines = [row for row in lines if re.match(text, row.get(key, ""))]
        if not lines:
            body = json.dumps({"message": f"No Captures found for: {told['url']}"}).encode()
            self._send(404, body, {})
            return
        self._send(200, b"".join(_line(row) for row in lines), {})


def _line(row: dict) -> bytes:
    return row["raw"] if "raw" in row else json.dumps(row).encode() + b"\n"


def _matches(pattern: str, row: dict) -> bool:
    """Match as pywb does: by sort key."""
    key = row["urlkey"]
    if pattern.startswith("*."):
        host = ",".join(reversed(pattern[2:].split(".")))
        return key.startswith((f"{host})", f"{host},"))
    text = pattern if "://" in pattern else f"http://{pattern}"
    if pattern.endswith("*"):
        host, _, path = text[:-1].partition("://")[2].partition("/")
        return key.startswith(surt(f"http://{host}/")[:-1] + f"/{path}".lower())
    return key == surt(text)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(world: World) -> Iterator[Served]:
    served = Served(world)
    handler = type("Handler", (_Handler,), {"served": served})
    with _Server(("127.0.0.1", 0), handler) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
