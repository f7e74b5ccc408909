"""Bodies as servers send them, and as they lie about them."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.payload import BadPayload, Bomb, decode, inflate

PAGE = "<html><body><p>naïve café — ½</p></body></html>".encode() * 20


def chunked(body: bytes, size: int = 100) -> bytes:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(body) + squeeze.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate, raw": raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
}


@pytest.mark.parametrize("name", CODINGS)
@pytest.mark.parametrize("transfer", ["", "chunked"])
def test_every_coding_is_undone(name, transfer):
    body = CODINGS[name](PAGE)
    headers = {"content-encoding": name.split(",")[0], "transfer-encoding": transfer}
    assert inflate(headers, chunked(body) if transfer else body) == PAGE


def test_codings_in_a_row_are_undone_from_the_last():
    assert inflate({"content-encoding": "br, gzip"}, gzip.compress(brotli.compress(PAGE))) == PAGE
    assert inflate({"content-encoding": "gzip"}, gzip.compress(PAGE[:99]) + gzip.compress(PAGE[99:])) == PAGE


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "what"])
def test_a_plain_body_whose_headers_lie_stays_as_it_is(coding):
    headers = {"content-encoding": coding, "transfer-encoding": "chunked"}
    assert inflate(headers, PAGE) == PAGE
    assert inflate(headers, b"") == b""


def test_a_coded_body_whose_headers_say_nothing_is_inflated():
    assert inflate({}, gzip.compress(PAGE)) == PAGE
    assert inflate({}, zstandard.compress(PAGE)) == PAGE
    assert inflate({"content-encoding": "gzip"}, zstandard.compress(PAGE)) == PAGE


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_cut_short_gives_its_beginning(coding):
    noise = "".join(f"<p>{number * number}</p>" for number in range(20_000)).encode()
    whole = CODINGS[coding](noise)
    found = inflate({"content-encoding": coding}, whole[: len(whole) * 3 // 4])
    assert noise.startswith(found) and len(found) > len(noise) // 4
    assert (
        inflate({"transfer-encoding": "chunked"}, chunked(noise)[:1000]) == noise[:894]
    )  # 8 chunks and 94 bytes


def test_a_chunk_of_a_wrong_size_ends_the_body():
    assert inflate({"transfer-encoding": "chunked"}, b"3\r\nabc\r\n2\r\nwrong size\r\n0\r\n\r\n") == b"abcwr"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_refused_at_the_limit(coding):
    bomb = CODINGS[coding](bytes(30 << 20))
    with pytest.raises(Bomb):
        inflate({"content-encoding": coding}, bomb, limit=1 << 20)
    exact = CODINGS[coding](bytes(1 << 20))
    assert len(inflate({"content-encoding": coding}, exact, limit=1 << 20)) == 1 << 20
    with pytest.raises(Bomb):
        inflate({}, b"x" * 11, limit=10)


def test_a_body_that_is_neither_is_bad():
    with pytest.raises(BadPayload):
        inflate({"content-encoding": "br"}, bytes(range(256)))


@pytest.mark.parametrize(
    ("headers", "body", "text", "encoding"),
    [
        ("", "é".encode(), "é", "utf-8"),
        ("text/html", b"\xef\xbb\xbf\xc3\xa9", "é", "utf-8"),
        ("text/html; charset=utf-8", "é".encode("utf-16"), "é", "utf-16-le"),
        ("text/html; charset=latin1", b"\xe9\x80", "é€", "cp1252"),
        ('text/html; charset="Shift_JIS"', "日本".encode("shift_jis"), "日本", "shift_jis"),
        ("text/html; charset=gb2312", "中文䶮".encode("gb18030"), "中文䶮", "gb18030"),
        ("text/html; charset=iso-8859-1", "é".encode(), "é", "utf-8"),
        ("text/html; charset=iso-2022-jp", "日本".encode("iso2022_jp"), "日本", "iso2022_jp"),
        ("", b"<meta charset=koi8-r>" + "Привет".encode("koi8-r"), "<meta charset=koi8-r>Привет", "koi8-r"),
        ("text/html; charset=nonsense", b'<META content="a; charset=windows-1251">\xcf', None, "cp1251"),
        ("", b'<?xml version="1.0" encoding="iso-8859-2"?><p>\xb1', None, "iso8859-2"),
        ("", b'<meta charset="utf-16"><p>plain', '<meta charset="utf-16"><p>plain', "utf-8"),
    ],
)
def test_the_charset_is_found(headers, body, text, encoding):
    found, used = decode({"content-type": headers}, body)
    assert used == encoding
    assert text is None or found == text
    assert "\ufffd" not in found


def test_a_charset_that_nobody_names_is_detected():
    russian = "Это довольно длинный русский текст, по которому можно узнать кодировку страницы. " * 5
    assert decode({}, russian.encode("cp1251"))[0] == russian
    assert decode({"content-type": "text/html; charset=utf-8"}, russian.encode("koi8-r"))[0] == russian


@given(st.binary(max_size=400), st.sampled_from(["", "gzip", "deflate", "br", "zstd"]), st.text(max_size=30))
def test_garbage_never_raises(body, coding, content_type):
    headers = {"content-type": content_type, "content-encoding": coding, "transfer-encoding": "chunked"}
    try:
        body = inflate(headers, body, limit=10_000)
    except (Bomb, BadPayload):
        return
    text, encoding = decode(headers, body)
    assert text.encode("utf-8") is not None and "".encode(encoding) is not None
