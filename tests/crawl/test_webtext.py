"""`crawl webtext`: dumps to shards over loopback, its funnel, and what documents keep of their links."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from webtext_farm import PORT, FarmFetch, PageFarm

from corpuskit import recipe
from corpuskit.crawl.archive import Record, records
from corpuskit.crawl.warc import Warc
from corpuskit.crawl.webtext import WebText
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run
from corpuskit.errors import UsageError
from corpuskit.explain import explain
from corpuskit.funnel import funnel
from corpuskit.report import report

CONTACT = "https://crawler.mit.edu/about"
RECIPE = Path(__file__).parents[2] / "examples" / "recipes" / "webtext.toml"
HTML = {"Content-Type": "text/html; charset=utf-8"}
PROSE = (
    "the harbour of this town was built in spring when the river had fallen low enough for men to work and "
    "they lowered blocks by hand then waited on every tide before another could be laid beside its neighbour"
)
WORDS = PROSE.split()


def article(number: int, words: int = 40) -> bytes:
    """Make a page of five paragraphs that is like no other."""
    chance = random.Random(number)
    paragraphs = [" ".join(chance.choice(WORDS) for _ in range(words)).capitalize() + "." for _ in range(5)]
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    head = f"<head><title>Page {number}</title></head>"
    return f"<html>{head}<body><article>{body}</article></body></html>".encode()


def post(url: str, score: int, subreddit: str = "news", **more: object) -> dict[str, object]:
    return {"title": "T", "url": url, "score": score, "subreddit": subreddit, "created_utc": 1.2e9} | more


def reachable_recipe(path: Path) -> recipe.Recipe:
    """Load the example with a contact that is none, and no delay."""
    text = RECIPE.read_text("utf-8")
    path.write_text(re.sub('contact = "[^"]+"', f'contact = "{CONTACT}"\ndelay = 0.0', text))
    return recipe.load(path)


@pytest.fixture(autouse=True, scope="module")
def workers() -> None:
    """Start workers anew for each run: they learn from the environment where the farm is."""


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebText, "fetcher", FarmFetch)


def levels(dataset: Dataset) -> list[tuple[str, int, int]]:
    [section] = funnel(dataset)
    return [(level.stage, level.rows_in, level.rows_out) for level in section.levels]


def test_a_small_dump_becomes_shards(tmp_path: Path, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = [f"http://www.site{number % 6}.org/page{number}" for number in range(18)]
    pages = {url.removeprefix("http://"): (200, HTML, article(number)) for number, url in enumerate(urls)}
    pages["www.site0.org/page0"] = (301, {"Location": "http://elsewhere.org/new"}, b"")
    pages["elsewhere.org/new"] = (200, HTML, article(0))
    pages["www.site1.org/page1"] = (404, HTML, b"gone")
    pages["www.site2.org/page2"] = (200, HTML, article(2, words=20))  # 100 words of 128
    pages["www.site3.org/page3"] = (200, HTML, article(4) + b"<!-- the same text -->")
    pages["www.site5.org/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /page17\n")
    rows = [post(url, 3 + number, f"sub{number % 2}") for number, url in enumerate(urls)]
    rows += [post(urls[5], 50, "books"), post(f"{urls[5]}#part", 1), post("http://site9.org/unliked", 2)]
    rows += [post("https://en.wikipedia.org/wiki/Town", 9), post("", 9, is_self=True, domain="self.news")]
    dump = tmp_path / "RS_2008-01.jsonl"
    dump.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(RECIPE.parents[2])
    with pytest.raises(UsageError, match="placeholder"):
        recipe.load(RECIPE)
    chosen = reachable_recipe(tmp_path / "webtext.toml")
    target = tmp_path / "webtext"
    with PageFarm(pages) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        shards = chosen.run([str(dump)], str(target), options=Options(workers=2))
        asked = len(farm.asked)
        assert chosen.run([str(dump)], str(target)).sha256 == shards.sha256
    assert len(farm.asked) == asked
    assert "www.site5.org/page17" not in farm.asked

    told = levels(shards)
    assert [name for name, _, _ in told] == [
        "crawl.links", "crawl.fetch", "crawl.warc", "filter.language", "filter.rules", "dedup.exact",
        "dedup.minhash", "shard.parquet",
    ]  # fmt: skip
    assert told[0] == ("crawl.links", len(rows), 18)
    assert told[1][2] == 16
    assert told[-1] == ("shard.parquet", 14, 14)
    documents = {row["url"]: row for row in shards.table().to_pylist()}
    assert {row["source"] for row in documents.values()} == {"webtext"}
    best = documents[urls[5]]
    assert (best["score"], best["score_sum"], best["submissions"]) == (50, 59, 3)
    assert best["subreddits"] == ["books", "news", "sub1"]
    moved = documents["http://elsewhere.org/new"]
    assert (moved["score"], moved["subreddits"]) == (3, ["sub0"])
    assert all(row["score"] >= 3 for row in documents.values())

    said = explain(str(target), urls[0])
    verdicts = [[(one.stage, one.verdict) for one in story.verdicts] for story in said.stories]
    assert [("crawl.links", "kept"), ("crawl.fetch", "kept")] in verdicts
    assert any(story.url == "http://elsewhere.org/new" and story.kept_in for story in said.stories)
    assert [one.stage for one in explain(str(target), "http://site9.org/unliked").stories[0].verdicts] == [
        "crawl.links"
    ]
    text = report(str(target)).text()
    assert all(
        f"  {rule}" in text
        for rule in ("links.wikipedia", "fetch.robots", "fetch.status", "openwebtext.word", "exact.")
    )


def test_warc_reads_a_fetch_beside_other_archives(
    tmp_path: Path, loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://www.site1.org/a"
    dump = tmp_path / "RS"
    dump.write_text(json.dumps(post(url, 7)) + "\n")
    with PageFarm({"www.site1.org/a": (200, HTML, article(1))}) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        whole = run(WebText(contact=CONTACT, delay=0.0), str(dump), str(tmp_path / "out"))
    fetched = tmp_path / "out" / "steps" / "02-fetch"
    [archive] = (fetched / "warc").glob("*.warc.gz")
    other = tmp_path / "other.warc.gz"
    other.write_bytes(archive.read_bytes())
    both = run(Warc(), [str(fetched), str(other)], str(tmp_path / "both"), options=Options(workers=1))
    rows = both.table().to_pylist()
    assert sorted((row["url"], row["score"] or 0) for row in rows) == [(url, 0), (url, 7)]
    assert whole.table(["score"])["score"].to_pylist() == [7]
    assert both.schema.equals(whole.schema)


def test_a_killed_crawl_goes_on(tmp_path: Path, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing what a later step wrote fetches nothing again."""
    urls = [f"http://www.site{number}.org/a" for number in range(4)]
    dump = tmp_path / "RS"
    dump.write_text("".join(json.dumps(post(url, 7)) + "\n" for url in urls))
    stage, target = WebText(contact=CONTACT, delay=0.0), tmp_path / "out"
    with PageFarm({f"{urlsplit(url).netloc}/a": (200, HTML, article(len(url))) for url in urls}) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        first = run(stage, str(dump), str(target))
        asked = len(farm.asked)
        (target / "manifest.json").unlink()
        next((target / "done").iterdir()).unlink()
        assert run(stage, str(dump), str(target)).sha256 == first.sha256
        assert len(farm.asked) == asked
    with pytest.raises(UsageError, match="contact"):
        WebText(contact="nobody")


def test_real_pages_under_their_own_names(
    tmp_path: Path, data: Path, loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, rows = {}, []
    with (data / "warc" / "pages" / "pages-000.warc.gz").open("rb") as stream:
        for item in records(stream):
            if isinstance(item, Record) and item.kind == "response" and item.url and len(rows) < 60:
                parts = urlsplit(item.url)
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                kept = {
                    name.title(): value
                    for name, value in item.http.items()
                    if name in ("content-type", "content-encoding")
                }
                pages[f"{parts.hostname}{path}"] = (200, kept or HTML, item.body)
                rows.append(post(f"http://{parts.hostname}{path}", 2 + len(rows) % 5))
    dump = tmp_path / "RS_2017-01"
    dump.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(RECIPE.parents[2])
    chosen = reachable_recipe(tmp_path / "webtext.toml")
    with PageFarm(pages) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        shards = chosen.run([str(dump)], str(tmp_path / "webtext"), options=Options(max_bad=0.1))
    told = dict((name, (came, went)) for name, came, went in levels(shards))
    assert told["crawl.links"][0] == len(rows)
    assert told["crawl.fetch"][1] >= 0.8 * told["crawl.links"][1] > 30
    assert shards.rows > 5
    assert {row["lang"] for row in shards.table(["lang"]).to_pylist()} == {"eng"}
