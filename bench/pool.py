"""How long a WAT takes: pairs from a synthetic WAT of real pages' images, against the JSON parsed alone.

    python bench/pool.py WARC... [--megabytes 1200] [--json]

The pages' images and links are written as Common Crawl's WAT has them, again and again until there is a fair
amount; the time for `--megabytes` (what a WAT of Common Crawl holds, inflated) is reckoned from that. There
is no peer: img2dataset begins at a list of URLs, and cc2dataset needs Spark.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import measure

LEAST = 64 << 20


def described(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the address of every page and its WAT record's JSON."""
    from resiliparse.parse.html import HTMLTree

    from corpuskit.crawl.archive import Record, records
    from corpuskit.crawl.payload import decode, inflate

    for path in paths:
        with Path(path).open("rb") as stream:
            for record in records(stream):
                if isinstance(record, Record) and record.kind == "response" and record.url:
                    page, _ = decode(record.http, inflate(record.http, record.body))
                    links = list(links_of(HTMLTree.parse(page)))
                    answer = {
                        "Response-Message": {"Status": "200"},
                        "HTML-Metadata": {"Head": {}, "Links": links},
                        "Headers": record.http,
                    }
                    told = {
                        "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Record-ID": record.record_id},
                        "Payload-Metadata": {"HTTP-Response-Metadata": answer},
                    }
                    yield record.url, json.dumps({"Envelope": told}).encode()


def links_of(tree: Any) -> Iterator[dict[str, str]]:  # noqa: ANN401 - resiliparse's tree
    """Yield the links of a page as a WAT lists them."""
    for tag, name in (("img", "src"), ("a", "href"), ("link", "href"), ("script", "src")):
        for node in tree.document.query_selector_all(f"{tag}[{name}]")[:]:
            link = {"path": f"{tag.upper()}@/{name}", "url": node.getattr(name)}
            for more in ("alt", "title", "rel"):
                if value := node.getattr(more):
                    link[more] = value
            if tag == "a" and node.text.strip():
                link["text"] = " ".join(node.text.split())
            yield link


def write_wat(pages: Sequence[tuple[str, bytes]], path: Path) -> tuple[int, int]:
    """Write enough records, a member each, and return their bytes and how many there are."""
    size = count = 0
    with path.open("wb") as file:
        while size < LEAST:
            for url, body in pages:
                head = (
                    f"WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Target-URI: {url}\r\n"
                    f"WARC-Date: 2024-05-18T01:58:10Z\r\nWARC-Record-ID: <urn:uuid:{count:032x}>\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                data = head.encode() + body + b"\r\n\r\n"
                file.write(gzip.compress(data, 6))
                size, count = size + len(data), count + 1
    return size, count


def main(arguments: Sequence[str]) -> None:
    """Time it, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("warcs", nargs="+")
    parser.add_argument("--megabytes", type=float, default=1200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    import msgspec

    from corpuskit.crawl.pool import Pool

    pages = list(described(given.warcs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.warc.wat.gz")
        size, count = write_wat(pages, path)
        stage = Pool()
        list(stage.run(stage.plan(str(path))[0]))  # warm
        start = time.process_time()
        pairs = sum(len(split.kept) for split in stage.run(stage.plan(str(path))[0]))
        seconds = time.process_time() - start
        start = time.process_time()
        for _ in range(max(1, count // len(pages))):
            for _, body in pages:
                msgspec.json.decode(body)
        parsing = time.process_time() - start
    found = {
        "megabytes": size / 1e6,
        "pairs": pairs,
        "megabytes_per_second": size / 1e6 / seconds,
        "seconds_a_wat": given.megabytes * 1e6 / size * seconds,
        "parsing_share": parsing / seconds,
    }
    if given.json:
        print(json.dumps({"machine": measure.machine(), **found}))
        return
    rows = [["pairs from a WAT, one core", "MB a second", f"seconds for {given.megabytes:,.0f} MB"]]
    rows.append(["corpuskit", f"{found['megabytes_per_second']:.1f}", f"{found['seconds_a_wat']:.1f}"])
    notes = [
        f"{size / 1e6:.0f} MB inflated, {count:,} records, {pairs:,} pairs.",
        f"Parsing the JSON alone is {found['parsing_share']:.0%} of it; inflating and writing count too.",
    ]
    measure.show("pool", rows, notes)


if __name__ == "__main__":
    main(sys.argv[1:])
