"""English text of ten kinds as datasets, from the folder of real data: what `quality.py --data` trains on.

Each document is cut into pieces as long as the pages of C4 are, and each source gives at most `MOST` of them,
so that neither length nor number tells the sources apart. White space is made alike. Pieces of one document
have one site, so `train quality` does not divide them.
"""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import random
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from corpuskit.crawl.archive import Record, records
from corpuskit.crawl.extract import extract
from corpuskit.crawl.payload import decode, inflate
from corpuskit.language import detect
from corpuskit.testing import documents, write_dataset

GOOD = ("wikipedia", "books", "manuals", "articles")
OTHER = ("boilerplate", "spam", "mail", "posts", "c4", "junk")

MOST = 800
SHORTEST, LONGEST = 50, 800
"""Words of a piece; between them the lengths of C4."""

Texts = Iterator[tuple[str, str]]
"""A document's site, or anything that stands for the document, and its text."""


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                yield member.name, file.read()


def _whole(page: str) -> str:
    """Return all text that a page shows."""
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(page, alt_texts=False, noscript=False))


def _pages(path: Path) -> Texts:
    """Yield URL and page of each response."""
    with path.open("rb") as stream:
        for record in records(stream):
            if isinstance(record, Record) and record.kind == "response" and record.url:
                yield record.url, decode(record.http, inflate(record.http, record.body))[0]


def _wikipedia(data: Path) -> Texts:
    import mwparserfromhell

    joined = (data / "text/wikitext2/valid.txt").read_text("utf-8").replace("<unk>", "")
    joined = re.sub(r" @(.)@ ", r"\1", joined)
    joined = re.sub(r" ([,.;:?!)\]%'’])|([(\[$]) ", r"\1\2", joined)
    joined = re.sub(r'" ([^"\n]*?) "', r'"\1"', joined)
    for number, article in enumerate(re.split(r"(?m)^ = (?=[^=])", joined)):
        yield f"wikitext2-{number}", re.sub(r"(?m)^ (?:= )+(.*?)(?: =)+ *$", r"\1", article)
    for path in sorted((data / "text/wikitext_pages").glob("*.txt")):
        source = path.read_text("utf-8", "replace")
        source = re.sub(r"(?s)<ref[^>/]*>.*?</ref>|<ref[^>]*/>|\{\|.*?\n\|\}", "", source)
        lines = str(mwparserfromhell.parse(source).strip_code()).split("\n")
        drop = re.compile(r"(Category|File|Image|thumb|\w\w:)")
        yield path.stem, "\n".join(line for line in lines if not drop.match(line))


def _books(data: Path) -> Texts:
    front = re.compile("imprint|colophon|uncopyright|toc|titlepage|halftitle")
    for name, content in _members(data / "text/standardebooks.tar.gz"):
        if name.endswith("html") and not front.search(name):
            yield name, _whole(content.decode())


def _manuals(data: Path) -> Texts:
    wanted = re.compile(r"(reference-en/|/en-US/|/en/).*html$")
    for archive in ("text/debian_docs.tar.gz", "html/install_guide_gold.tar.gz"):
        for name, content in _members(data / archive):
            if wanted.search(name):
                yield name, extract(content.decode("utf-8", "replace")).text or ""


def _gold(data: Path) -> dict[str, str]:
    with gzip.open(data / "warc/pages/gold.jsonl.gz", "rt") as lines:
        return {page["url"]: page["text"] for page in map(json.loads, lines) if page.get("text")}


def _articles(data: Path) -> Texts:
    yield from _gold(data).items()
    for path in sorted((data / "html/goose3").glob("*.json")):
        expected = json.loads(path.read_text("utf-8")).get("expected") or {}
        yield path.stem, expected.get("cleaned_text") or ""


def _boilerplate(data: Path) -> Texts:
    """Yield what is on pages beside the article."""
    articles = {url: " ".join(text.split()) for url, text in _gold(data).items()}
    for path in sorted((data / "warc/pages").glob("*.warc.gz")):
        for url, page in _pages(path):
            if url in articles:
                lines = (" ".join(line.split()) for line in _whole(page).split("\n"))
                yield url, "\n".join(line for line in lines if line.lstrip("• ") not in articles[url])


def _letters(data: Path, folder: str) -> Texts:
    for name, content in _members(data / "text/spamassassin.tar.gz"):
        if folder in name and name.endswith((".txt", ".json")):
            raw = json.loads(content)["text"] if name.endswith(".json") else content.decode("latin-1")
            yield name, _body(raw)


def _body(raw: str) -> str:
    try:
        part = email.message_from_string(raw, policy=email.policy.default).get_body(("plain", "html"))
        text = str(part.get_content()) if part else ""
        return _whole(text) if part and part.get_content_type() == "text/html" else text
    except (LookupError, ValueError, AttributeError, TypeError):  # spam breaks every rule of MIME
        return ""


def _posts(data: Path) -> Texts:
    quoted = re.compile(r"\s*[>|:]|.*writes:|In article")
    for name, content in _members(data / "text/20newsgroups.tar.gz"):
        lines = content.decode("latin-1").split("\n\n", 1)[-1].split("\n")
        yield name, "\n".join(line for line in lines if not quoted.match(line))


def _c4(data: Path) -> Texts:
    for path in sorted((data / "text/c4").glob("*.json.gz")):
        with gzip.open(path, "rt") as lines:
            for page in map(json.loads, lines):
                yield page["url"], page["text"]


def _junk(data: Path) -> Texts:
    """Yield all text of pages as they come: spam, calendars, mirrors, registries."""
    for name in ("commoncrawl/warcfile.warc.gz", "aut/example.warc.gz", "pywb/iana.warc.gz"):
        for url, page in _pages(data / "warc" / name):
            yield url, _whole(page)


_SOURCES: dict[str, Callable[[Path], Texts]] = {
    "wikipedia": _wikipedia,
    "books": _books,
    "manuals": _manuals,
    "articles": _articles,
    "boilerplate": _boilerplate,
    "spam": lambda data: _letters(data, "/spam"),
    "mail": lambda data: _letters(data, "/easy-ham"),
    "posts": _posts,
    "c4": _c4,
    "junk": _junk,
}


def _english(found: Texts) -> list[tuple[str, str]]:
    """Keep the English texts of twenty words or more, with one space between words."""
    tidy = [
        (site, "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip()))
        for site, text in found
    ]
    tidy = [(site, text.encode("utf-8", "replace").decode()) for site, text in tidy if text.count(" ") >= 20]
    languages = detect([text for _, text in tidy])[0].to_pylist()
    return [one for one, language in zip(tidy, languages, strict=True) if language == "eng"]


def _pieces(text: str, lengths: list[int], chance: random.Random) -> Iterator[str]:
    words = re.findall(r"\S+\s?", text)
    at = 0
    while len(words) - at >= SHORTEST or not at:
        length = chance.choice(lengths)
        if len(piece := words[at : at + length]) >= SHORTEST - 10:
            yield "".join(piece).strip()
        at += length


def build(data: Path, folder: Path) -> dict[str, str]:
    """Write each source as a dataset into `folder`; return their paths by name."""
    texts = {name: _english(source(data)) for name, source in _SOURCES.items()}
    lengths = [min(max(text.count(" ") + 1, SHORTEST), LONGEST) for _, text in texts["c4"]]
    paths = {}
    for name, found in texts.items():
        chance = random.Random(name)
        pieces = [
            (f"https://{name}-{number}.test/", piece)
            for number, (_, text) in enumerate(found)
            for piece in _pieces(text, lengths, chance)
        ]
        chosen = chance.sample(pieces, min(MOST, len(pieces)))
        batch = documents(
            [text for _, text in chosen],
            url=[url for url, _ in chosen],
            id=[f"{name}-{number:05d}" for number in range(len(chosen))],
        )
        paths[name] = write_dataset(folder / name, batch)
    return paths
