"""Settings of a selection, and the listing of what is to be read."""

import gzip
import json

import pytest
from commoncrawl_world import CRAWL, PART, World, serving

from corpuskit import settings
from corpuskit.crawl.commoncrawl import CommonCrawl
from corpuskit.crawl.selection import LISTED, Captures, Listing
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import _check_portable

WRONG = {
    "crawl": ({"crawl": "CC-MAIN-24"}, "is no crawl"),
    "wet and an index": ({"subset": "wet", "domain": ["a.example"]}, "WARC files only"),
    "cdx without url": ({"index": "cdx", "language": ["en"]}, "asked by URL"),
    "index without selection": ({"index": "columnar"}, "nothing to look up"),
    "sample 0": ({"sample": 0.0}, "sample is 0"),
    "sample 1.5": ({"sample": 1.5}, "sample is 1.5"),
    "sample -1": ({"sample": -1.0}, "sample is -1"),
    "pattern": ({"url": ["a*b"]}, "no URL, prefix or domain"),
    "domain": ({"domain": ["a.example/x"]}, "is no domain"),
    "language": ({"language": ["klingon"]}, "no language"),
    "connections": ({"connections": 0}, "connections is 0"),
    "of warc": ({"max_page": 0}, "max_page is 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_make_no_sense(name):
    given, told = WRONG[name]
    with pytest.raises(UsageError, match=told):
        settings.from_mapping(
            CommonCrawl, {"crawl": CRAWL, **json.loads(json.dumps(given))}, "crawl.commoncrawl"
        )


def test_settings_are_portable_and_lists_have_one_spelling():
    stage = CommonCrawl(
        crawl=CRAWL, language=("de", "EN"), domain=("*.B.example", "a.example."), status=(404, 200)
    )
    _check_portable(stage)
    assert (stage.language, stage.domain, stage.status) == (
        ("deu", "eng"),
        ("a.example", "b.example"),
        (200, 404),
    )
    assert (
        stage.digest()
        == CommonCrawl(
            crawl=CRAWL, language=("eng", "deu"), domain=("b.example", "a.example"), status=(200, 404)
        ).digest()
    )
    changed = CommonCrawl(crawl=CRAWL, connections=1, retries=0, gap=0, cdx_url="http://x/")
    assert changed.digest() == CommonCrawl(crawl=CRAWL).digest()
    assert CommonCrawl(crawl=CRAWL, language=("cmn",)).language == (
        "cmn",
    )  # the index's own model knows more


@pytest.mark.parametrize(
    ("given", "asks"),
    [
        ({"domain": ("a.example",)}, True),
        ({"url": ("a.example/*",), "language": ("en",)}, True),
        ({"language": ("en",)}, False),
        ({"domain": ("a.example",), "index": "columnar"}, False),
    ],
)
def test_the_index_follows_from_the_selection(given, asks):
    assert CommonCrawl(crawl=CRAWL, **given).asks_cdx is asks


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "world", archives=40, pages=1)


def listed(world: World, **given) -> list[str]:
    stage = Listing(crawl=CRAWL, **{"base_url": str(world.folder), **given})
    [task] = stage.plan()
    [split] = stage.run(task)
    assert split.kept.schema.equals(LISTED)
    rows = split.kept.to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    return [row["path"] for row in rows]


def test_all_archives_a_number_of_them_and_a_share(world):
    assert listed(world) == world.warcs
    ten = listed(world, sample=10.0)
    assert len(ten) == 10 and ten == listed(world, sample=10.0) == [
        path for path in world.warcs if path in ten
    ]
    assert set(listed(world, sample=5.0)) < set(ten)
    assert listed(world, sample=10.0, seed=1) != ten
    assert listed(world, sample=99.0) == world.warcs
    share = listed(world, sample=0.25)
    assert 2 < len(share) < 20 and set(listed(world, sample=0.1)) <= set(share)
    with pytest.raises(InputError, match=f"nothing in {CRAWL} matches"):
        listed(world, sample=1e-9)


def test_the_parts_of_the_index_that_are_of_pages(world):
    assert listed(world, language=("en",)) == [PART.format(0), PART.format(1)]


def test_pages_of_the_cdx_server(world, tmp_path):
    with serving(world) as served:
        served.page_lines = 3
        found = listed(world, cdx_url=served.url, domain=("harbour.example",), url=("nowhere.example/*",))
        assert found == ["*.harbour.example"] * 14  # 40 captures, three a page
        with pytest.raises(InputError, match="nothing in"):
            listed(world, cdx_url=served.url, domain=("nowhere.example",))


def test_a_crawl_that_is_not_there(world):
    with pytest.raises(InputError, match=r"there is no .*wet.paths.gz\nfix: see the names"):
        listed(world, subset="wet")


@pytest.mark.parametrize(
    "listing",
    [
        b"plain\n",
        gzip.compress(b"../../etc/passwd\n"),
        gzip.compress(b"http://elsewhere.example/x.warc.gz\n"),
        gzip.compress(b"a/b.warc.gz\n")[:-9],
        gzip.compress(bytes(70 << 20)),
        gzip.compress(b"\n"),
        b"",
    ],
)
def test_a_listing_that_is_damaged(world, listing):
    world.write(f"crawl-data/{CRAWL}/warc.paths.gz", listing)
    with pytest.raises(InputError, match="damaged, or no list of paths"):
        listed(world)


def test_a_share_of_captures_is_drawn_before_they_are_written(world):
    def found(**given) -> list[str]:
        stage = Captures(crawl=CRAWL, base_url=str(world.folder), status=(200,), **given)
        tasks = [stage.task({"path": PART.format(number), "page": None}) for number in (0, 1)]
        return [url for task in tasks for split in stage.run(task) for url in split.kept["url"].to_pylist()]

    assert len(found()) == 40
    assert 8 < len(found(sample=0.5)) < 32 and set(found(sample=0.2)) <= set(found(sample=0.5))
    assert len(found(sample=3.0)) == 40  # a number is drawn from all of them, later
