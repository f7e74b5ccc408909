"""Archives healthy and broken: every record found, every other byte named."""

import gzip
import io
from collections import Counter
from pathlib import Path

import pytest
from building import CONTAINERS, Pipe, arc, gz, http, page, plain, record, responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from corpuskit.crawl import members
from corpuskit.crawl.archive import Lost, Record, records


def read(data: bytes, **more: int) -> tuple[list[Record], list[Lost]]:
    """Read an archive and check that records and losses cover it."""
    items = list(records(io.BytesIO(data), **more))
    assert sum(item.length for item in items) == len(data)
    assert [item.offset for item in items] == sorted(item.offset for item in items)
    found = [item for item in items if isinstance(item, Record)]
    return found, [item for item in items if isinstance(item, Lost)]


def numbers(found: list[Record]) -> list[int]:
    return [int(item.url.rsplit("/", 1)[1]) for item in found if item.url and item.kind == "response"]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("build", [responses, arc])
def test_every_container_gives_the_same_records(container, build):
    found, lost = read(container(build(5)))
    pages = [item for item in found if item.kind == "response"]
    assert not lost
    assert numbers(found) == [0, 1, 2, 3, 4]
    assert [item.body for item in pages] == [page(number) for number in range(5)]
    assert {item.status for item in pages} == {200}
    assert pages[0].date.isoformat() == "2024-05-19T12:00:00+00:00"
    assert len({item.position for item in found}) == len(found)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_stream_that_cannot_seek_gives_the_same(container):
    data = container(responses(5))
    assert list(records(Pipe(data))) == list(records(io.BytesIO(data)))


def test_a_record_can_be_read_again_from_its_offset():
    data = gz(responses(5))
    third = read(data)[0][2]
    again = read(data[third.offset : third.offset + third.length])[0]
    assert [item.body for item in again] == [third.body]


def test_the_fields_of_a_record():
    block = http(
        b"x",
        "Content-Type: text/html",
        "X-Folded: one",
        " two",
        status="100 Continue\r\n\r\nHTTP/1.1 404 Not",
    )
    found, _ = read(
        record(
            block,
            WARC_Target_URI="<https://a.example/b c>",
            WARC_Truncated="length",
            WARC_Date="2024-05-19T12:00:00.5Z",
        )
    )
    assert (found[0].url, found[0].status, found[0].truncated) == ("https://a.example/b c", 404, "length")
    assert (found[0].http["x-folded"], found[0].content_type, found[0].body) == ("one two", "text/html", b"x")
    assert found[0].date.microsecond == 0


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_cut_file_loses_its_last_record_only(container):
    whole = container(responses(5))
    found, lost = read(whole[:-40])
    assert numbers(found) == [0, 1, 2, 3]
    assert len(lost) == 1
    assert read(whole[: len(whole) // 2])[1]


@pytest.mark.parametrize("container", [plain, gz, *CONTAINERS[4:]])
def test_a_flipped_bit_loses_one_record(container):
    items = responses(5)
    data = bytearray(container(items))
    at = read(bytes(data))[0][2].offset + (5 if container is plain else 200)
    data[at] ^= 0x10
    found, lost = read(bytes(data))
    assert numbers(found) == [0, 1, 3, 4]
    assert len(lost) == 1 and lost[0].reason


@pytest.mark.parametrize("container", [plain, gz])
@pytest.mark.parametrize("length", [10**6, 10**12, 10**30])
def test_a_content_length_that_is_too_large_loses_one_record(container, length):
    items = responses(5)
    items[1] = record(http(page(1)), number=1, length=length)
    found, lost = read(container(items))
    assert numbers(found) == [0, 2, 3, 4]
    assert len(lost) == 1


def test_a_content_length_that_is_too_small_is_noticed():
    items = responses(5)
    items[1] = record(http(page(1)), number=1, length=200)
    found, lost = read(plain(items))
    assert numbers(found) == [0, 1, 2, 3, 4]
    assert [item.reason for item in lost] == ["no record header"]


@pytest.mark.parametrize("end", [b"\n", b"\r\r\n"])
@pytest.mark.parametrize("container", [plain, gz])
def test_other_line_ends_are_read(container, end):
    items = [record(http(page(number)), number=number, end=end) for number in range(5)]
    found, lost = read(container(items))
    assert numbers(found) == [0, 1, 2, 3, 4] and not lost


def test_junk_between_and_after_records_is_named():
    items = responses(3)
    found, lost = read(gz(items[:1]) + b"junk" * 9 + gz(items[1:]) + b"trailing")
    assert numbers(found) == [0, 1, 2]
    assert [item.length for item in lost] == [36, 8]
    found, lost = read(items[0] + b"junk\r\n" + items[1])
    assert numbers(found) == [0, 1] and [item.length for item in lost] == [6]


def test_a_record_over_the_cap_is_lost_and_the_next_found():
    items = responses(3)
    items[1] = record(http(b"x" * 100_000), number=1)
    for container in CONTAINERS:
        found, lost = read(container(items), limit=50_000)
        assert numbers(found) == [0, 2], container
        assert len(lost) == 1 and "more than 50000" in lost[0].reason


def test_a_record_of_64_mib_does_not_fill_memory(monkeypatch):
    held = []
    take = members.Source.take
    monkeypatch.setattr(
        members.Source, "take", lambda self, count: held.append(len(self._data)) or take(self, count)
    )
    data = gz([record(http(bytes(65 << 20)), number=0), responses(2)[1]])
    found, lost = read(data)
    assert numbers(found) == [1] and len(lost) == 1
    assert max(held) < 1 << 20


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"no archive at all\n", gzip.compress(b""), gzip.compress(b"hi"), b"\x1f\x8b"]
)
def test_what_is_no_archive_is_a_loss_or_nothing(data):
    found, lost = read(data)
    assert not found and (lost or not data.strip(b"\0"))


def test_a_stream_that_ends_before_its_size_is_a_loss():
    data = gz(responses(2))
    items = list(records(io.BytesIO(data), size=len(data) + 7))
    assert isinstance(items[-1], Lost) and items[-1].length == 7


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_archives_never_raise_and_are_covered(data):
    container = data.draw(st.sampled_from(CONTAINERS))
    archive = bytearray(container(data.draw(st.sampled_from([responses, arc]))(3)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(archive)))
        change = data.draw(st.sampled_from(["flip", "cut", "insert", "delete", "repeat"]))
        if change == "flip" and at < len(archive):
            archive[at] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "cut":
            del archive[at:]
        elif change == "insert":
            archive[at:at] = data.draw(st.binary(max_size=30))
        elif change == "delete":
            del archive[at : at + data.draw(st.integers(1, 300))]
        else:
            archive[at:at] = archive[at : at + 500]
    read(bytes(archive))


def _by_warcio(path: Path) -> list[tuple[str, str, bytes]]:
    with path.open("rb") as stream:
        return [
            (
                item.rec_type,
                (item.rec_headers.get_header("WARC-Target-URI") or "").strip("<>").replace("%20", " "),
                item.raw_stream.read(),
            )
            for item in ArchiveIterator(stream, arc2warc=True)
        ]


# Files of the data folder that are not healthy: what each gives, records and losses.
BROKEN = {
    "odd/abcd.gz": (0, 1),
    "odd/bad.arc": (1, 2),
    "odd/double-single-inflate-error.gz": (0, 1),
    "odd/empty.gz": (0, 1),
    "odd/example-space-in-url.arc": (1, 1),
    "odd/example-wrong-chunks.warc.gz": (1, 2),
    "odd/hi-2.gz": (0, 2),
    "odd/hi.gz": (0, 1),
    "pywb/bad.arc": (1, 2),
    "pywb/example.warc": (6, 1),
}
# Files that warcio refuses: records in one gzip member. FastWARC finds as many records as we do.
ONE_MEMBER = (
    "odd/example-bad-non-chunked.warc.gz",
    "odd/example-bad.warc.gz.bad",
    "pywb/example-bad.warc.gz.bad",
)


def test_every_real_file_is_read_as_warcio_reads_it(data):
    folder = data / "warc"
    counts = Counter()
    for path in sorted(folder.glob("*/*")):
        name = str(path.relative_to(folder))
        if path.suffix in (".cdx", ".cdxj") or name.endswith(("cdx.gz", "jsonl.gz", "paths.gz")):
            continue
        found, lost = read(path.read_bytes())
        counts["records"] += len(found)
        counts["lost"] += len(lost)
        if name in BROKEN:
            assert (len(found), len(lost)) == BROKEN[name], name
        elif name in ONE_MEMBER:
            assert (len(found), len(lost)) == (6, 0), name
        else:
            assert not lost, name
            path = (
                path.with_suffix("") if path.suffix == ".lz4" else path
            )  # warcio reads no lz4; it lies beside
            theirs = _by_warcio(path)
            assert [(item.url or "").replace("%20", " ") for item in found if item.kind != "warcinfo"] == [
                url for kind, url, _ in theirs if kind != "warcinfo"
            ], name
            assert [
                item.body for item in found if item.kind == "response" and item.url.startswith("http")
            ] == [body for kind, url, body in theirs if kind == "response" and url.startswith("http")], name
    assert counts["records"] == 2588 and counts["lost"] == sum(lost for _, lost in BROKEN.values())
