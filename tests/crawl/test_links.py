"""`crawl links`: which links of Reddit's dumps become rows, which do not and why, and what a row holds."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import posixpath
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zstandard

from corpuskit import settings
from corpuskit.crawl import outbound
from corpuskit.crawl.links import LINKS, Links
from corpuskit.crawl.mentions import link_id
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import _check_portable
from corpuskit.urls import canonical

DAY = 86_400


def post(url: str | None, **more: object) -> dict[str, object]:
    given = {"title": "A title", "url": url, "score": 10, "created_utc": 10 * DAY, "subreddit": "news"}
    return given | {"is_self": False, "over_18": False} | more


def comment(body: str, **more: object) -> dict[str, object]:
    return {"body": body, "score": 5, "created_utc": 20 * DAY, "subreddit": "books"} | more


def dump(path: Path, *rows: dict[str, object] | str) -> str:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def crawl(stage: Links, *sources: str) -> tuple[list[dict], list[dict]]:
    """Run both steps in this process; return links and rejects, by id and by place."""
    from corpuskit.testing import write_dataset

    first, last = (step.stage for step in stage.steps())
    mentions = []
    for task in first.plan(*sources):
        for split in first.run(task):
            assert split.kept.schema.equals(first.writes(task.schema)) and not len(split.rejected)
            mentions.append(split.kept)
    folder = Path(sources[0]).parent / f"mentions{len(list(Path(sources[0]).parent.iterdir()))}"
    kept, rejected = [], []
    for task in last.plan(write_dataset(folder, *mentions)):
        for split in last.run(task):
            assert split.kept.schema.equals(LINKS)
            kept += split.kept.to_pylist()
            rejected += split.rejected.to_pylist()
    ids = [row["id"] for row in kept + rejected]
    assert len(set(ids)) == len(ids)
    return kept, sorted(
        rejected, key=lambda row: int((row["origin"] or "@0").rpartition("@")[2].partition("+")[0])
    )


def rules(rejected: list[dict]) -> list[str]:
    return [row["rule"].removeprefix("links.") for row in rejected]


PAGE = "http://town.example/page"
CASES = {
    "kept": (post(PAGE), None),
    "at the bound": (post(PAGE, score=3), None),
    "below the bound": (post(PAGE, score=2), "score"),
    "score not known": (post(PAGE, score=None), "score"),
    "up-votes alone": (post(PAGE, score=None, ups=3), None),
    "up-votes less down-votes": (post(PAGE, score=None, ups=7, downs=5), "score"),
    "score as text": (post(PAGE, score="3"), None),
    "self": (post("http://www.reddit.com/r/x/comments/1/", is_self=True, selftext=PAGE), "self"),
    "self by its domain": (post(PAGE, is_self=None, domain="self.news"), "self"),
    "over 18": (post(PAGE, over_18=True), "over_18"),
    "over 18, newer name": (post(PAGE, over_18=None, nsfw=True), "over_18"),
    "over 18, as text": (post(PAGE, over_18="True"), "over_18"),
    "over 18 not known": (post(PAGE, over_18=None), None),
    "ftp": (post("ftp://town.example/page"), "scheme"),
    "no address": (post("town"), "scheme"),
    "of Reddit": (post("https://old.reddit.com/r/x/"), "reddit"),
    "a crosspost": (post("/r/x/comments/1/"), "reddit"),
    "video": (post("https://www.youtube.com/watch?v=1"), "domain"),
    "named like video": (post("https://notyoutube.com/"), None),
    "wikipedia": (post("https://en.m.wikipedia.org/wiki/Town"), "wikipedia"),
    "wiktionary": (post("https://en.wiktionary.org/wiki/town"), None),
    "picture": (post("http://town.example/a.JPG?size=2"), "file"),
    "page named like a picture": (post("http://town.example/a.jpg.html"), None),
    "host named like a program": (post("http://town.zip/"), None),
    "nothing left": (post(None), "deleted"),
    "empty": (post(""), "deleted"),
    "comment removed": (comment("[removed]"), "deleted"),
    "comment": (comment(f"Look: {PAGE}."), None),
}


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_an_item(tmp_path: Path, name: str) -> None:
    item, rule = CASES[name]
    kept, rejected = crawl(Links(), dump(tmp_path / "RS.jsonl", item, comment("passed over")))
    assert (len(kept), rules(rejected)) == ((0, [rule]) if rule else (1, []))
    if rule == "score":
        assert rejected[0]["bound"] == 3.0
        assert rejected[0]["value"] in (2.0, None)
        assert rejected[0]["id"] == link_id(PAGE)


def test_a_row_holds_all_mentions_of_a_page(tmp_path: Path) -> None:
    path = dump(
        tmp_path / "RS.jsonl",
        post("http://Town.example/page?utm_source=x", score=1, created_utc=30 * DAY, title="Late"),
        post("http://town.example/page#top", score=7, created_utc="1728000.0", title="Best", subreddit="b"),
        post("http://town.example:80/page", score=7, created_utc=10.0 * DAY, title="As good", subreddit="a"),
        post("http://town.example/page", score=None, created_utc=None, title="Unknown", subreddit=None),
        comment("See http://town.example/page and again http://town.example/page.", score=-4),
    )
    [row], rejected = crawl(Links(), path)
    assert not rejected
    assert row.pop("date").timestamp() == 10 * DAY
    assert row == {
        "id": link_id(PAGE),
        "url": "http://town.example:80/page",
        "title": "Best",
        "score": 7,
        "score_sum": 11,
        "submissions": 4,
        "comments": 1,
        "subreddits": ["a", "b", "books", "news"],
    }


def test_the_sum_of_scores_may_be_compared(tmp_path: Path) -> None:
    path = dump(tmp_path / "RS", post(PAGE, score=1), post(PAGE, score=2), post(f"{PAGE}2", score=2))
    assert [row["url"] for row in crawl(Links(score="sum"), path)[0]] == [PAGE]
    kept, rejected = crawl(Links(), path)
    assert not kept
    assert sorted((row["url"], row["value"]) for row in rejected) == [(PAGE, 2.0), (f"{PAGE}2", 2.0)]
    assert len(crawl(Links(min_score=2), path)[0]) == 2


def test_settings_let_more_in(tmp_path: Path) -> None:
    text = "One [a](http://a.example/x_(y)), http://b.example/?q=1&amp;r=2; and https://i.imgur.com/x"
    path = dump(
        tmp_path / "RS",
        post(None, is_self=True, selftext=text),
        post("http://c.example/", over_18=True),
        post("https://de.wikipedia.org/wiki/Stadt"),
        post("http://d.example/a.pdf"),
        post(None, is_self=True, selftext="no link"),
    )
    assert rules(crawl(Links(), path)[1]) == ["self", "over_18", "wikipedia", "file", "self"]
    kept, rejected = crawl(Links(self_text=True, over_18=True, wikipedia=True, pages_only=False), path)
    assert {row["url"] for row in kept} == {
        "http://a.example/x_(y)",
        "http://b.example/?q=1&r=2",
        "https://i.imgur.com/x",
        "http://c.example/",
        "https://de.wikipedia.org/wiki/Stadt",
        "http://d.example/a.pdf",
    }
    assert rules(rejected) == ["self"]


def test_days_and_block_lists(tmp_path: Path) -> None:
    times = (10 * DAY - 1, 10 * DAY, 12 * DAY - 1, 12 * DAY, None)
    path = dump(tmp_path / "RS", *(post(f"http://a{n}.example/", created_utc=t) for n, t in enumerate(times)))
    kept, rejected = crawl(Links(since="1970-01-11", until="1970-01-12"), path)
    assert sorted(row["url"] for row in kept) == ["http://a1.example/", "http://a2.example/"]
    assert [(row["rule"], row["value"], row["bound"]) for row in rejected] == [
        ("links.date", 10 * DAY - 1, 10 * DAY),
        ("links.date", 12 * DAY, 12 * DAY - 1),
        ("links.date", None, 10 * DAY),
    ]
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("a1.example\n")
    stage = Links(block_domains=(str(blocked),))
    assert rules(crawl(stage, path)[1]) == ["domain"]
    before = stage.digest()
    blocked.write_text("a2.example\n")
    assert Links(block_domains=(str(blocked),)).digest() != before
    with pytest.raises(UsageError, match="since is '2005'"):
        Links(since="2005")


def test_entities_and_odd_addresses(tmp_path: Path) -> None:
    path = dump(
        tmp_path / "RS",
        post("http://a.example/?a=1&amp;b=2&amp;copy=3"),
        post("x", url_overridden_by_dest="http://b.example/"),
        post("http://[::1]/a"),
        post("http://c.example:99999/"),
        post("http://exa mple/"),
    )
    kept, rejected = crawl(Links(), path)
    found = {row["url"] for row in kept}
    assert {"http://a.example/?a=1&b=2&copy=3", "http://b.example/"} <= found
    assert len(kept) + len(rejected) == 5


def test_damage_is_counted_and_what_was_read_is_kept(tmp_path: Path) -> None:
    path = dump(
        tmp_path / "RS", post(PAGE), '{"url": "http://x', "[1]", '{"id": 3}', '{"title": 5, "url": []}'
    )
    kept, rejected = crawl(Links(), path)
    assert [row["url"] for row in kept] == [PAGE]
    assert rules(rejected) == ["malformed", "malformed", "schema", "malformed"]
    assert rejected[0]["value"] == 17.0
    assert {f"links.{rule}" for rule in rules(rejected)} <= Links.bad_rules


def test_a_cut_zst_keeps_what_could_be_read(tmp_path: Path) -> None:
    rows = [post(f"http://a.example/{number:06d}/{hash(number) % 997}") for number in range(4000)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = tmp_path / "RS.zst"
    whole = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(3, window_log=31)
    ).compress(data)
    path.write_bytes(whole[: len(whole) // 2])
    kept, rejected = crawl(Links(), str(path))
    assert 0 < len(kept) < len(rows)
    assert rules(rejected) == ["lost"]
    path.write_bytes(whole)
    assert len(crawl(Links(), str(path))[0]) == len(rows)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.jsonl", '{"text": "a", "id": 1}\n' * 3, "its first line is a record with text, id"),
        ("a.jsonl", '{"url": "http://a.example", "title": "no score"}\n', "holds no submissions or comments"),
        ("a.json", "[\n]\n", "its first line is no JSON object"),
        ("a.csv", "link,points\nhttp://a.example,3\n", "has no column url or body"),
        ("a.csv", "url,points\nhttp://a.example,3\n", "has no column score or ups"),
        ("a.csv", "", "is empty"),
    ],
)
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, name: str, content: str, error: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=error) as caught:
        crawl(Links(), str(path))
    assert caught.value.fix


def test_a_csv_takes_its_subreddit_from_the_permalink_or_its_name(tmp_path: Path) -> None:
    path = tmp_path / "Animals.csv"
    path.write_text(
        "created_utc,score,title,permalink,url,is_self,over_18\n"
        '1345107919.0,4,"Two\nlines, ""quoted""",,http://a.example/,False,False\n'
        "1345107919.0,4,T,http://www.reddit.com/r/birds/comments/1/,http://b.example/,False,False\n"
        "1345107919.0,4,T,,http://c.example/,False,True\n"
        "short,row\n"
    )
    kept, rejected = crawl(Links(), str(path))
    assert {row["url"]: (row["subreddits"], row["title"]) for row in kept} == {
        "http://a.example/": (["Animals"], 'Two\nlines, "quoted"'),
        "http://b.example/": (["birds"], "T"),
    }
    assert rules(rejected) == ["over_18", "malformed"]
    data = path.read_bytes()
    for row in rejected:
        at = int(row["origin"].rpartition("@")[2])
        assert data[at - 1 : at] == b"\n"


def test_workers_order_of_mentions_and_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker and two write the same bytes; many buckets and small runs give the links that one gives."""
    paths = [
        dump(tmp_path / f"RS{n}", *(post(f"http://a.example/{(n * 7 + i) % 50}", score=i) for i in range(60)))
        for n in range(3)
    ]
    one = run(Links(), paths, str(tmp_path / "a" / "out"), options=Options(workers=1))
    two = run(Links(), paths, str(tmp_path / "b" / "out"), options=Options(workers=2))
    assert one.sha256 == two.sha256 and one.rows == 50
    assert one.manifest["stages"][0]["rows_in"] == 180
    assert run(Links(), paths, str(tmp_path / "a" / "out")).sha256 == one.sha256
    from corpuskit.crawl import mentions

    whole, _ = crawl(Links(), *paths)
    monkeypatch.setattr(mentions, "_BUCKET_BYTES", 1000)
    monkeypatch.setattr(mentions, "_HELD_BYTES", 5000)
    pieces, _ = crawl(Links(), *paths)
    assert pieces == whole == one.table().to_pylist()


def test_the_same_dump_however_it_is_compressed(tmp_path: Path) -> None:
    data = Path(
        dump(tmp_path / "RS", *(post(f"http://a.example/{i}", score=i) for i in range(9)))
    ).read_bytes()
    packed = {
        "zst": zstandard.compress(data),
        "gz": gzip.compress(data),
        "bz2": bz2.compress(data),
        "xz": lzma.compress(data),
    }
    expected = crawl(Links(), str(tmp_path / "RS"))[0]
    assert len(expected) == 6
    for ending, content in packed.items():
        (tmp_path / ending).mkdir()
        path = tmp_path / ending / f"RS.{ending}"
        path.write_bytes(content)
        assert crawl(Links(), str(path))[0] == expected


def test_settings_survive_their_way() -> None:
    _check_portable(Links(since="2008-01-01", score="sum"))
    first = Links(self_text=True, until="2017-11-30").steps()[0].stage
    assert (first.self_text, first.until, first.pages_only) == (True, "2017-11-30", True)
    names = {field.name for step in Links().steps() for field in settings.fields(step.stage)}
    assert names == {field.name for field in settings.fields(Links)}


def test_the_media_hosts_are_hosts() -> None:
    hosts = outbound.read_block_list([str(outbound._MEDIA_HOSTS)])
    assert len(hosts) == len(set(hosts)) > 50 and all(
        canonical(f"http://{host}/") == f"http://{host}/" for host in hosts
    )


def test_the_media_hosts_are_none_of_webtexts(data: Path) -> None:
    hosts = outbound.read_block_list([str(outbound._MEDIA_HOSTS)])
    lines = (data / "reddit" / "domains.txt").read_text().splitlines()
    domains = {line.split()[1] for line in lines if " " in line}
    assert len(domains) > 900
    assert not {host for host in hosts if host.split(".")[-2] in domains}


FILES = set()
for _names in (
    "avif bmp gif gifv ico jpg jpeg png psd svg tif tiff webp 3gp avi flv m4v mkv mov mp4 mpg mpeg ogv webm",
    "wmv aac flac m4a mid midi mp3 oga ogg opus wav wma 7z apk bin bz2 deb dmg exe gz iso jar msi rar rpm",
    "tar tgz torrent xz zip doc docx epub mobi odt pdf ppt pptx pps ppsx ps rtf xls xlsx csv dat log",
):
    FILES.update(_names.split())


def independent(posts: list[dict]) -> set[str]:
    """Say in a few lines which pages a set of submissions links with 3 karma."""
    blocked = [
        *outbound.read_block_list([str(outbound._MEDIA_HOSTS)]),
        "reddit.com",
        "redd.it",
        "wikipedia.org",
    ]
    best: dict[str, int] = defaultdict(int)
    for one in posts:
        url = one["url"].replace("&amp;", "&")
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").lower()
        if (
            str(one["is_self"]) == "True"
            or one["domain"].startswith("self.")
            or str(one["over_18"]) == "True"
        ):
            continue
        if parts.scheme.lower() not in ("http", "https") or any(
            f".{host}".endswith(f".{name}") for name in blocked
        ):
            continue
        if posixpath.splitext(parts.path)[1].lower()[1:] in FILES and parts.path.count("/"):
            continue
        best[canonical(url)] = max(best[canonical(url)], int(one["score"]))
    return {url for url, score in best.items() if score >= 3}


def test_real_dumps_give_what_an_independent_count_gives(tmp_path: Path, data: Path) -> None:
    reddit = data / "reddit"
    lines = lzma.decompress((reddit / "RS_v2_2005-06.xz").read_bytes())
    expected = independent([json.loads(line) for line in lines.splitlines()])
    plain = run(Links(), str(reddit / "RS_v2_2005-06.xz"), str(tmp_path / "xz"))
    assert {canonical(url) for url in plain.table(["url"])["url"].to_pylist()} == expected
    assert len(expected) == plain.rows == 83
    long = zstandard.ZstdCompressionParameters.from_level(19, window_log=31)
    (tmp_path / "RS_2005-06.zst").write_bytes(
        zstandard.ZstdCompressor(compression_params=long).compress(lines)
    )
    again = run(Links(), str(tmp_path / "RS_2005-06.zst"), str(tmp_path / "zst"))
    assert again.table().equals(plain.table())

    csv.field_size_limit(1 << 30)
    posts: list[dict] = []
    for path in sorted((reddit / "top").glob("*.csv.gz")):
        with gzip.open(path, "rt", newline="") as file:
            posts += csv.DictReader(file)
    (tmp_path / "top").symlink_to(reddit / "top")
    kept, rejected = crawl(Links(), str(tmp_path / "top"))
    assert {canonical(row["url"]) for row in kept} == independent(posts)
    assert len(posts) == 49_348
    too_few = {row["id"] for row in rejected if row["rule"] == "links.score"}
    gone = sum(row["rule"] != "links.score" for row in rejected)
    of_few = sum(link_id(one["url"].replace("&amp;", "&")) in too_few for one in posts)
    assert (
        gone + sum(row["submissions"] for row in kept)
        <= len(posts)
        <= gone + of_few + sum(row["submissions"] for row in kept)
    )
