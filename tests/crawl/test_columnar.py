"""The columnar index: which keys a pattern stands for, what is read, and rows that make no sense."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commoncrawl_world import PART, World, surt

from corpuskit.crawl.captures import SCHEMA, Wanted
from corpuskit.crawl.columnar import captures_in, ranges
from corpuskit.errors import InputError, UsageError


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    found = World(tmp_path_factory.mktemp("world"))
    found.write_index(parts=1)
    return found


def part(world: World) -> io.BytesIO:
    return io.BytesIO((world.folder / PART.format(0)).read_bytes())


def looked_up(world: World, **wanted) -> list[str]:
    splits = list(captures_in(part(world), "x/part", Wanted(**wanted)))
    assert all(split.kept.schema.equals(SCHEMA) and not len(split.rejected) for split in splits)
    rows = [row for split in splits for row in split.kept.to_pylist()]
    assert [row["id"] for row in rows] == [f"part:{number}" for number in range(len(rows))]
    return [row["url"] for row in rows]


CASES = {
    "exact": ("harbour.example/4", "https://www.harbour.example/4", True),
    "exact, with scheme and www": ("http://WWW.harbour.example/4/", "https://www.harbour.example/4", True),
    "exact, longer": ("harbour.example/4", "https://www.harbour.example/44", False),
    "exact, query turned": ("mole.test/x?b=2&a=1", "https://mole.test/x?a=1&b=2", True),
    "exact, query": ("mole.test/x", "https://mole.test/x?a=1", False),
    "prefix": ("news.harbour.example/a/*", "https://news.harbour.example/A/1", True),
    "prefix, elsewhere": ("news.harbour.example/a/*", "https://news.harbour.example/ab", False),
    "prefix, part of a name": ("news.harbour.example/a*", "https://news.harbour.example/ab", True),
    "host": ("harbour.example/*", "https://www.harbour.example/", True),
    "host, not those below": ("harbour.example/*", "https://news.harbour.example/", False),
    "domain": ("*.harbour.example", "https://www.harbour.example/4", True),
    "domain, below": ("*.harbour.example", "https://a.news.harbour.example/", True),
    "domain, another": ("*.harbour.example", "https://oldharbour.example/", False),
    "domain, longer": ("*.harbour.example", "https://harbour.example.org/", False),
    "domain of all": ("*.gov", "http://pier.gov/x", True),
    "domain of all, another": ("*.gov", "http://pier.gov.uk/x", False),
    "foreign": ("*.bücher.example", "https://xn--bcher-kva.example/1", True),
}


@pytest.mark.parametrize("name", CASES)
def test_the_keys_of_a_pattern(name):
    pattern, url, inside = CASES[name]
    key = surt(url.replace("a=1&b=2", "a=1&b=2"))
    assert any(low <= key < high for low, high in ranges(pattern)) == inside


def test_addresses_and_ports():
    assert ranges("http://10.0.0.1:8080/x*") == [("10.0.0.1:8080)/x", "10.0.0.1:8080)/y")]
    assert ranges("example.com:443/") == [("com,example)/", "com,example)/\0")]
    low, high = ranges("*.example.com")[2]
    assert low <= "com,example:8080)/" < high


@pytest.mark.parametrize(
    "pattern", ["", "*", "*.", "ftp://x/", "a b.example", "a.example/#x", "*.a.*", "user@x/"]
)
def test_what_is_no_pattern(pattern):
    with pytest.raises(UsageError, match="fix"):
        ranges(pattern)


def test_each_selection_gives_what_a_look_at_every_row_gives(world):
    rows = world.captures
    assert looked_up(world) == [row["url"] for row in rows]
    domain = [row["url"] for row in rows if "harbour.example" in row["url"]]
    assert looked_up(world, patterns=("*.harbour.example",)) == domain
    both = looked_up(world, patterns=("*.harbour.example", "pier.gov/*"))
    assert sorted(both) == sorted([*domain, *(row["url"] for row in rows if "pier" in row["url"])])
    german = [row["url"] for row in rows if row["languages"].startswith("deu")]
    assert looked_up(world, languages=("deu",)) == german
    assert looked_up(world, languages=("deu",), patterns=("*.harbour.example",)) == []
    images = [row["url"] for row in rows if row["mime"] == "image/png"]
    assert looked_up(world, types=("image/png",)) == images and images
    assert looked_up(world, statuses=(404,)) == []
    assert looked_up(world, statuses=(404, 200)) == [row["url"] for row in rows]


def test_the_columns_arrive(world):
    row = next(captures_in(part(world), "part", Wanted())).kept.to_pylist()[0]
    told = world.captures[0]
    assert (row["warc"], row["offset"], row["length"]) == (
        told["filename"],
        int(told["offset"]),
        int(told["length"]),
    )
    assert (row["status"], row["type"], row["languages"]) == (200, told["mime"], told["languages"])
    assert row["date"].year == 2024 and row["date"].utcoffset().total_seconds() == 0


class Counting(io.BytesIO):
    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.asked += len(found)
        return found


def test_row_groups_without_a_chance_are_not_read(tmp_path):
    names = ["aaa", "mmm", "zzz"]
    rows = {
        "url_surtkey": [f"com,{name})/{row:05d}" for name in names for row in range(20_000)],
        "url": [f"https://{name}.com/{row:05d}" for name in names for row in range(20_000)],
        "warc_filename": ["x"] * 60_000,
        "warc_record_offset": list(range(60_000)),
        "warc_record_length": [1] * 60_000,
    }
    pq.write_table(
        pa.table(rows), tmp_path / "x", row_group_size=5000, compression="none", use_dictionary=False
    )
    read = []
    for wanted in (Wanted(), Wanted(patterns=("*.mmm.com",)), Wanted(patterns=("mmm.com/00001",))):
        file = Counting((tmp_path / "x").read_bytes())
        rows_found = sum(len(split.kept) for split in captures_in(file, "x", wanted))
        read.append((rows_found, file.asked))
    assert [count for count, _ in read] == [60_000, 20_000, 1]
    assert read[1][1] < 0.5 * read[0][1] and read[2][1] < 0.25 * read[0][1]


def test_rows_that_make_no_sense_are_rejects(tmp_path):
    rows = {
        "url": ["https://a/", "https://b/", None, "https://d/", "https://e/"],
        "warc_filename": ["a/x.warc.gz", "../x", "a/x", None, "a/x"],
        "warc_record_offset": [0, 1, 2, 3, -1],
        "warc_record_length": [5, 5, 0, 5, 5],
    }
    pq.write_table(pa.table(rows), tmp_path / "x")
    [split] = captures_in(io.BytesIO((tmp_path / "x").read_bytes()), "x", Wanted())
    assert split.kept["url"].to_pylist() == ["https://a/"]
    assert split.rejected["id"].to_pylist() == ["x:1", "x:2", "x:3", "x:4"]
    assert set(split.rejected["rule"].to_pylist()) == {"captures.line"}


def test_a_part_that_lacks_a_column_or_is_none(tmp_path):
    world = World(tmp_path, archives=1)
    world.write_index(parts=1, drop=("content_languages", "content_mime_detected", "fetch_status"))
    assert len(looked_up(world, types=("image/png",))) == 1
    with pytest.raises(InputError, match="no column content_languages"):
        looked_up(world, languages=("eng",))
    with pytest.raises(InputError, match="no column fetch_status"):
        looked_up(world, statuses=(200,))
    for wrong in (b"", b"<html>" * 100, part(world).getvalue()[:-9], part(world).getvalue()[100:]):
        with pytest.raises(InputError, match="x is not a part of a columnar index"):
            list(captures_in(io.BytesIO(wrong), "x", Wanted()))
