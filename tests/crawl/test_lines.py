"""Lines of plain and compressed files: none is lost, none is made up, and damage is named."""

import bz2
import gzip
import io
import lzma
import sys

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.lines import Block, Damage, compression, lines, split_lines
from corpuskit.errors import InputError


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(3, write_checksum=True).compress(data)


def zstd_long(data: bytes) -> bytes:
    settings = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    return zstandard.ZstdCompressor(compression_params=settings).compress(data)


PACKERS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}
TEXT = b"".join(b'{"n": %d, "text": "%s"}\n' % (n, b"word " * (n % 50)) for n in range(20_000))


def read(path, **options):
    """Return the lines with their offsets, and the damages."""
    found, damages = [], []
    for item in lines(str(path), **options):
        if isinstance(item, Damage):
            damages.append(item)
        else:
            found += item
    return found, damages


def expected(data: bytes):
    found, at = [], 0
    for line in data.split(b"\n"):
        found.append((at, line))
        at += len(line) + 1
    return found if found[-1][1] else found[:-1]


@pytest.mark.parametrize("pack", [bytes, zstd_long, *PACKERS.values()])
def test_every_line_comes_with_its_offset_in_the_plain_file(tmp_path, pack):
    path = tmp_path / "a.name.that.says.nothing"
    path.write_bytes(pack(TEXT))
    assert read(path) == (expected(TEXT), [])


@pytest.mark.parametrize("kind", PACKERS)
def test_members_in_a_row_are_one_stream_and_zeros_are_padding(tmp_path, kind):
    pack = PACKERS[kind]
    path = tmp_path / "a"
    path.write_bytes(pack(b"one\ntw") + pack(b"o\n") + b"\0" * 8 + pack(b"three") + b"\0" * 4)
    assert compression(path.read_bytes()[:6]) == kind
    assert read(path) == ([(0, b"one"), (4, b"two"), (8, b"three")], [])


@pytest.mark.parametrize("kind", PACKERS)
def test_a_stream_cut_anywhere_gives_whole_lines_and_one_damage(tmp_path, kind):
    whole, packed = expected(TEXT), PACKERS[kind](TEXT)
    for size in (7, 20, len(packed) // 3, len(packed) // 2, len(packed) - 1):
        path = tmp_path / "cut"
        path.write_bytes(packed[:size])
        found, damages = read(path)
        assert found == whole[: len(found)]
        assert len(damages) == 1 and damages[0].reason == f"the {kind} data ends early"
        assert damages[0].offset == (whole[len(found)][0] if len(found) < len(whole) else len(TEXT))


@pytest.mark.parametrize("kind", PACKERS)
def test_a_flipped_bit_is_damage_and_what_came_before_stands(tmp_path, kind):
    packed = bytearray(PACKERS[kind](TEXT))
    packed[len(packed) // 2] ^= 0x10
    path = tmp_path / "flipped"
    path.write_bytes(packed)
    found, damages = read(path)
    assert [damage.reason.startswith(f"the {kind} data is damaged") for damage in damages] == [True]
    assert all(len(line) == 0 or line.startswith(b"{") for _, line in found)


@pytest.mark.parametrize("kind", PACKERS)
def test_other_bytes_behind_the_data_are_damage(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(PACKERS[kind](b"one\n") + b"something else")
    assert read(path) == ([(0, b"one")], [Damage(4, 0, f"other bytes follow the {kind} data")])


def test_a_line_at_the_limit_is_read_and_one_beyond_it_is_damage(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345\n123456\n1\n1234567")
    reason = "a line of more than 5 bytes"
    damages = [Damage(6, 7, reason), Damage(15, 7, reason)]
    assert read(path, limit=5) == ([(0, b"12345"), (13, b"1")], damages)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
def test_a_bomb_of_one_line_costs_no_memory(tmp_path, kind):
    import tracemalloc

    path = tmp_path / "bomb"
    path.write_bytes(PACKERS[kind](bytes(64 << 20) + b"\nend\n"))
    tracemalloc.start()
    found, damages = read(path, limit=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [((64 << 20) + 1, b"end")] and damages[0].length == (64 << 20) + 1
    assert peak < 40 << 20


def test_a_mark_at_the_start_and_carriage_returns_are_no_part_of_lines(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo\r\n")
    assert read(path) == ([(3, b"one"), (8, b""), (10, b"two")], [])


@given(
    st.lists(st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))),
    st.booleans(),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_ranges_share_no_line_and_lose_none(tmp_path_factory, pieces, ends, cuts):
    data = b"\n".join(pieces) + (b"\n" if ends and pieces else b"")
    data = b"x" + data  # no compressed file, and no mark, begins so
    path = tmp_path_factory.mktemp("ranges") / "a"
    path.write_bytes(data)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = []
    for start, stop in zip(bounds, bounds[1:], strict=False):
        if start < stop:
            part, damages = read(path, start=start, stop=stop)
            assert not damages and all(start <= at < stop for at, _ in part)
            found += part
    assert found == expected(data)


@given(st.binary(max_size=80), st.integers(1, 9), st.integers(1, 9))
def test_chunks_may_be_cut_anywhere(data, size, limit):
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    kept, lost = [], []
    for item in split_lines(chunks, limit=limit):
        if isinstance(item, Damage):
            lost.append((item.offset, data[item.offset : item.offset + item.length].removesuffix(b"\n")))
        else:
            kept += [(at, data[at:].split(b"\n")[0]) for at, _ in item]
            assert data[item.offset : item.offset + len(item.data)] == item.data
    assert sorted(kept + lost) == expected(data)
    assert all(len(line) > limit for _, line in lost)


@given(st.binary(max_size=200))
def test_no_bytes_raise(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "a"
    for head in (b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"):
        path.write_bytes(head + data)
        assert all(isinstance(item, Block | Damage) for item in lines(str(path)))


def test_standard_input_is_read_and_a_missing_file_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"one\n"))))
    assert read("-") == ([(0, b"one")], [])
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "missing")


def test_an_empty_file_has_no_lines(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"")
    assert read(path) == ([], [])
