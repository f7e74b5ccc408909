"""Downloads and resizes images of a host on loopback, as `crawl images` does it, and as img2dataset does.

    python bench/images.py DATA [--samples 4000] [--rounds 3] [--img2dataset-python PYTHON] [--json]

DATA is a folder with images and `img2dataset/test_1000.parquet`, whose URLs they are served under, each
several times with another query. Both sides resize to 256 on the shorter side, encode JPEG at 95, have two
processes and 64 threads at a time, and end with samples on the disk: ours as a dataset, theirs as tar files.
Ours asks robots.txt, keeps what it fetched as web archives, and waits for nobody (`delay` 0), as img2dataset
never does. img2dataset cannot be told where a name is, so it gets addresses with the name in the path.
Starting up counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import measure
import pyarrow as pa
import pyarrow.parquet as pq

from corpuskit.crawl.imagefetch import FetchImages
from corpuskit.crawl.images import Images
from corpuskit.crawl.transport import Resolver
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(2, 66))
PORT = "BENCH_IMAGES_PORT"
SIDE, QUALITY, WORKERS, THREADS = 256, 95, 2, 64
PACKAGES = ("corpuskit", "Pillow")


@dataclass(frozen=True)
class FetchHere(FetchImages):
    """Finds every name on loopback."""

    def resolver(self) -> Resolver:
        """Spread names over the addresses of the host."""
        port = int(os.environ[PORT])
        return lambda host, _: [(ADDRESSES[hashlib.sha256(host.encode()).digest()[0] % len(ADDRESSES)], port)]


def serve(folder: Path, port: int = 0) -> None:
    """Serve the images of a folder until killed, whatever is asked; print the port first."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png", ".webp"))
    images = [path.read_bytes() for path in paths if path.name != "truncated.jpg"]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = self.path != "/robots.txt"
            number = int.from_bytes(hashlib.sha256(self.path.encode()).digest()[:4], "little")
            body = images[number % len(images)] if found else b""
            self.wfile.write(
                f"HTTP/1.1 {200 if found else 404} Word\r\nContent-Type: image/jpeg\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Host(ThreadingHTTPServer):
        request_queue_size = 512
        daemon_threads = True

    hosts: list[Host] = []
    for address in ADDRESSES:
        hosts.append(Host((address, hosts[0].server_address[1] if hosts else port), Handler))
    for host in hosts:
        threading.Thread(target=host.serve_forever, daemon=True).start()
    sys.stdout.write(f"{hosts[0].server_address[1]}\n")
    sys.stdout.flush()
    threading.Event().wait()


def ours(urls: Sequence[str], folder: Path) -> dict[str, Any]:
    """Download with corpuskit; return seconds and samples."""
    pq.write_table(pa.table({"url": urls, "caption": ["a picture"] * len(urls)}), folder / "pairs.parquet")
    Images.fetcher = FetchHere
    stage = Images(
        contact="https://crawler.mit.edu/about",
        delay=0.0,
        retries=0,
        threads=THREADS,
        allow=ADDRESSES,
        resize_mode="keep_ratio",
        image_size=SIDE,
        quality=QUALITY,
    )
    start = time.perf_counter()
    made = run(stage, str(folder / "pairs.parquet"), str(folder / "ours"), options=Options(workers=WORKERS))
    seconds = time.perf_counter() - start
    steps = [Dataset(str(path)).rows for path in sorted((folder / "ours" / "steps").iterdir())]
    return {"seconds": seconds, "samples": made.rows, "fetched": steps[-1]}


def theirs(urls: Sequence[str], folder: Path, python: str) -> dict[str, Any]:
    """Download with img2dataset in its own environment; return seconds and samples."""
    port = os.environ[PORT]
    hosts = [f"http://{address}:{port}/" for address in ADDRESSES]
    places = [url.removeprefix("http://") for url in urls]
    known = [hosts[number % len(hosts)] + place for number, place in enumerate(places)]
    pq.write_table(pa.table({"url": known, "caption": ["a picture"] * len(urls)}), folder / "theirs.parquet")
    call = {
        "url_list": str(folder / "theirs.parquet"),
        "input_format": "parquet",
        "url_col": "url",
        "caption_col": "caption",
        "output_format": "webdataset",
        "output_folder": str(folder / "theirs"),
        "image_size": SIDE,
        "resize_mode": "keep_ratio",
        "encode_quality": QUALITY,
        "processes_count": WORKERS,
        "thread_count": THREADS // WORKERS,
        "number_sample_per_shard": max(100, len(urls) // 8),
        "retries": 0,
    }
    code = (
        "import json, sys\nfrom img2dataset import download\n"
        "if __name__ == '__main__':\n    download(**json.loads(sys.argv[1]))\n"
    )
    (folder / "theirs.py").write_text(code)
    command = [python, str(folder / "theirs.py"), json.dumps(call)]
    start = time.perf_counter()
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    )
    seconds = time.perf_counter() - start
    told = [json.loads(path.read_text()) for path in (folder / "theirs").glob("*_stats.json")]
    return {"seconds": seconds, "samples": sum(one["successes"] for one in told)}


def addresses(data: Path, samples: int) -> list[str]:
    """List so many of the real URLs, by http, each with another query where it comes again."""
    found = pq.read_table(data / "img2dataset" / "test_1000.parquet")["URL"].to_pylist()
    urls = [url.partition("#")[0].replace("https://", "http://") for url in found]
    return [
        f"{urls[number % len(urls)]}{'&' if '?' in urls[number % len(urls)] else '?'}n={number}"
        for number in range(samples)
    ]


def main() -> None:
    """Run the sides in turn, and print what they take."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--img2dataset-python", default=None, help="the interpreter of its environment")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.data)
    urls = addresses(given.data, given.samples)
    command = [sys.executable, __file__, str(given.data), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        os.environ[PORT] = host.stdout.readline().strip() if host.stdout else ""
        rounds: dict[str, list[dict[str, Any]]] = {"corpuskit": []}
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                rounds["corpuskit"].append(ours(urls, Path(folder)))
                if given.img2dataset_python:
                    told = theirs(urls, Path(folder), given.img2dataset_python)
                    rounds.setdefault("img2dataset", []).append(told)
        host.kill()
    result: dict[str, Any] = {"machine": measure.machine(), "versions": measure.versions(*PACKAGES)}
    for side, found in rounds.items():
        rates = [one["samples"] / one["seconds"] for one in found]
        result[side] = {"samples_a_second": round(statistics.median(rates), 1), "rounds": found}
    if given.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
        return
    sys.stdout.write(f"{result['machine']}\n")
    for side in rounds:
        one = result[side]
        counts = ", ".join(str(found["samples"]) for found in one["rounds"])
        sys.stdout.write(
            f"{side:12} {one['samples_a_second']:8.1f} samples a second, {WORKERS} processes, "
            f"{counts} of {len(urls)} samples\n"
        )


if __name__ == "__main__":
    main()
