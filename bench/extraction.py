"""Quality and speed of the extractors, on pages with gold text: 4-gram F1 and snippet accuracy.

    python bench/extraction.py 'pages/*.warc.gz' pages/gold.jsonl.gz

Each line of the gold file has a `url` and either the whole `text`, or snippets that must (`with`) and
must not (`without`) be extracted. F1 is that of scrapinghub's article-extraction-benchmark: shingles of
4 words, precision and recall averaged over pages. trafilatura itself stands beside, with the same settings.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from corpuskit import files
from corpuskit.crawl.archive import Record, records
from corpuskit.crawl.extract import extract
from corpuskit.crawl.payload import decode, inflate

_WORD = re.compile(r"\w+")


def pages(patterns: list[str]) -> Iterator[tuple[str, str]]:
    """Yield URL and decoded page of every response."""
    for path in (path for pattern in patterns for path in files.expand(pattern)):
        with Path(path).open("rb") as stream:
            for record in records(stream):
                if isinstance(record, Record) and record.kind == "response" and record.url:
                    yield record.url, decode(record.http, inflate(record.http, record.body))[0]


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Count the 4-grams of words; a shorter text is one shingle."""
    words = _WORD.findall(text)
    grams = (tuple(words[at : at + 4]) for at in range(max(1, len(words) - 3)))
    return Counter(gram for gram in grams if gram)


def shingle_scores(gold: str, text: str) -> tuple[float, float]:
    """Return precision and recall of a text's shingles."""
    true, found = shingles(gold), shingles(text)
    shared = (true & found).total()
    if not true and not found:
        return 1.0, 1.0
    return shared / found.total() if found else 0.0, shared / true.total() if true else 0.0


def quality(gold: list[Mapping[str, Any]], texts: Mapping[str, str]) -> dict[str, float]:
    """Score texts by URL against the gold."""
    whole = [shingle_scores(page["text"], texts.get(page["url"], "")) for page in gold if "text" in page]
    precision, recall = (statistics.mean(scores) for scores in zip(*whole, strict=True))
    snippets = [
        (snippet in texts.get(page["url"], "")) == (kind == "with")
        for page in gold
        for kind in ("with", "without")
        for snippet in page.get(kind, [])
    ]
    f1 = 2 * precision * recall / (precision + recall)
    return {"f1": f1, "precision": precision, "recall": recall, "snippets": statistics.mean(snippets)}


def measure(name: str, run: Callable[[str], str], page_list: list[tuple[str, str]]) -> dict[str, str]:
    """Extract every page on one core; print pages a second."""
    run(page_list[0][1])
    start = time.process_time()
    texts = {url: run(page) for url, page in page_list}
    print(f"{name:28} {len(page_list) / (time.process_time() - start):8.1f} pages/s", end="  ")
    return texts


def trafilatura_itself(page: str) -> str:
    """Run trafilatura as its users do, with the settings of our default."""
    import trafilatura

    return trafilatura.extract(page, favor_precision=True, include_comments=False) or ""


def main() -> int:
    """Print one line for each extractor."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("warc", nargs="+")
    parser.add_argument("gold")
    arguments = parser.parse_args()
    with gzip.open(arguments.gold, "rt", encoding="utf-8") as file:
        gold = [json.loads(line) for line in file]
    page_list = list(pages(arguments.warc))
    runs: dict[str, Callable[[str], str]] = {
        "trafilatura (ours)": lambda page: extract(page).text,
        "trafilatura (itself)": trafilatura_itself,
        "trafilatura (ours, recall)": lambda page: extract(page, precision=False).text,
        "resiliparse": lambda page: extract(page, "resiliparse").text,
    }
    found = {}
    for name, run in runs.items():
        found[name] = measure(name, run, page_list)
        scores = quality(gold, found[name])
        print("  ".join(f"{key} {value:.4f}" for key, value in scores.items()))
    ours, theirs = found["trafilatura (ours)"], found["trafilatura (itself)"]
    differing = [url for url in ours if ours[url] != theirs[url]]
    print(f"{len(page_list)} pages; text differs from trafilatura's own on {len(differing)}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
