"""The images that `crawl interleaved` keeps, beside a whitelist of tags as OBELICS's; and pages to look at.

    python bench/interleaved.py 'pages/*.warc.gz' [--render FOLDER]

Counts images of the main text, and of the whole page, by where they stand: in lists, tables, figures,
`picture`, `noscript`, with a `srcset`, or loaded lazily. The whitelist is that of OBELICS (Laurencon et al.
2023, appendix A.1.2): all other tags go with what is in them. An image counts for the main text where it
stands between the first and the last block of it; ours may stand before and after, too. `--render` writes ten
documents as HTML, each image as a box with its alt text.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from resiliparse.parse.html import ElementNode, HTMLTree

from corpuskit import files
from corpuskit.crawl.archive import Record, records
from corpuskit.crawl.blocks import read
from corpuskit.crawl.extract import extract
from corpuskit.crawl.maintext import Placed, chosen, render
from corpuskit.crawl.payload import decode, inflate
from corpuskit.crawl.pictures import LAZY, SETS, Picture, pictures

# Tags whose content stays, and tags that are taken off around their content.
KEPT = frozenset("h1 h2 h3 h4 h5 h6 p blockquote article section main address figure img video".split())  # noqa: SIM905
UNWRAPPED = frozenset(
    "html body div span a b i em strong small center font u s sub sup mark time abbr cite q label".split()  # noqa: SIM905
)
STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:760px;margin:20px auto}pre{white-space:pre-wrap;font:inherit}"
    ".box{display:inline-block;border:2px solid #37a;background:#e8f2fa;padding:2px 8px;margin:2px}"
    "i{color:#678}"
)
CATEGORIES = ("list", "table", "figure", "picture", "noscript", "srcset", "lazy", "other")


class Read(NamedTuple):
    """A page: its URL, all its images, its text with those that were kept, and the images in between."""

    url: str
    images: list[Picture]
    placed: Placed
    within: frozenset[int]


def pages(patterns: list[str]) -> Iterator[tuple[str, str]]:
    """Yield URL and decoded page of every response."""
    for path in (path for pattern in patterns for path in files.expand(pattern)):
        with Path(path).open("rb") as stream:
            for record in records(stream):
                if isinstance(record, Record) and record.kind == "response" and record.url:
                    yield record.url, decode(record.http, inflate(record.http, record.body))[0]


def read_page(url: str, page: str) -> Read:
    """Read a page as `crawl interleaved` does."""
    tree = HTMLTree.parse(page)
    images = pictures(tree, url)
    found = read(tree, {one.node: number for number, one in enumerate(images)})
    blocks = chosen(found, extract(page).text)
    written = [block for block in blocks if block.text]
    ends = [place for place, block in enumerate(found.blocks) if any(block is one for one in written)]
    between = found.blocks[ends[0] : ends[-1] + 1] if ends else []
    within = frozenset(number for block in between for number in block.images)
    return Read(url, images, render(blocks), within)


def above(node: ElementNode) -> Iterator[ElementNode]:
    """Yield the elements around a node, from the inside out."""
    parent = node.parent
    while isinstance(parent, ElementNode):
        yield parent
        parent = parent.parent


def categories(node: ElementNode) -> list[str]:
    """Say where an image stands; it may be several places."""
    tags = {one.tag for one in above(node)}
    found = {
        "list": tags & {"ul", "ol", "dl"},
        "table": "table" in tags,
        "figure": "figure" in tags,
        "picture": "picture" in tags,
        "noscript": "noscript" in tags,
        "srcset": any(node.hasattr(name) for name in SETS),
        "lazy": any(node.hasattr(name) for name in LAZY),
    }
    return [name for name, there in found.items() if there] or ["other"]


def is_whitelisted(node: ElementNode) -> bool:
    """Say whether a whitelist such as OBELICS's leaves an image, and all that is around it."""
    if node.tag != "img" or not any(node.hasattr(name) for name in ("src", *LAZY, "srcset")):
        return False
    return all(one.tag in KEPT or one.tag in UNWRAPPED for one in above(node))


def count(page_list: list[Read]) -> dict[str, Counter[str]]:
    """Count images by where they stand: on pages, within main texts, left by the whitelist, kept by us."""
    names = ("page", "whitelist", "main", "main whitelist", "ours")
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for page in page_list:
        kept = {number for number, _ in page.placed.images}
        for number, one in enumerate(page.images):
            listed, within = is_whitelisted(one.node), number in page.within
            told = (True, listed, within, listed and within, number in kept)
            for name, yes in zip(names, told, strict=True):
                counts[name].update([*categories(one.node), "all"] if yes else [])
    return counts


def as_html(page: Read) -> str:
    """Write a document as HTML: its text as it is, and a box for each image."""
    data, at, out = page.placed.text.encode(), 0, []
    for number, offset in page.placed.images:
        one = page.images[number]
        out.append(html.escape(data[at:offset].decode()))
        name = html.escape(one.url.rsplit("/", 1)[-1][:60])
        out.append(f"<span class=box><b>image</b> {html.escape((one.alt or '')[:120])} <i>{name}</i></span>")
        at = offset
    out.append(html.escape(data[at:].decode()))
    url = html.escape(page.url)
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><p>{url}<pre>{''.join(out)}</pre>"


def main() -> int:
    """Print the counts, and write pages to look at."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("warc", nargs="+")
    parser.add_argument("--render", type=Path)
    parser.add_argument("--every", type=int, default=1, help="render each so many-th document with images")
    arguments = parser.parse_args()
    page_list = [read_page(url, page) for url, page in pages(arguments.warc)]
    counts = count(page_list)
    print(
        f"{len(page_list)} pages; {sum(bool(p.placed.images) for p in page_list)} with an image in the text"
    )
    print(f"{'':10}" + "".join(f"{name:>16}" for name in counts))
    for category in (*CATEGORIES, "all"):
        print(f"{category:10}" + "".join(f"{counts[name][category]:16,}" for name in counts))
    if arguments.render:
        arguments.render.mkdir(parents=True, exist_ok=True)
        shown = [page for page in page_list if page.placed.images][:: arguments.every][:10]
        for number, page in enumerate(shown):
            (arguments.render / f"{number}.html").write_text(as_html(page), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
