"""EPUB: read in the order of its spine, and trusted in nothing."""

import io
import zipfile

import pytest
from epubs import CONTAINER, chapter, epub, package, zipped

from corpuskit.crawl.epub import BadBook, Protected, read_epub, read_package
from corpuskit.crawl.payload import Bomb


def read(data: bytes, limit: int = 1 << 20):
    return read_epub(io.BytesIO(data), limit)


def test_documents_come_in_the_order_of_the_spine():
    data = epub(
        {"b.xhtml": chapter(1), "a b.xhtml": chapter(2)}, spine=["a%20b.xhtml", "b.xhtml", "none.xhtml"]
    )
    told, documents = read(data)
    assert [document.name for document in documents] == ["OEBPS/a b.xhtml", "OEBPS/b.xhtml"]
    assert (told.title, told.author, told.lang) == ("The Sea", "A. Author", "en-GB")
    assert told.date.isoformat() == "2013-04-17T10:00:00+00:00"


def test_names_that_lead_out_of_the_book_are_no_documents():
    names = ["../../etc/passwd", "/etc/passwd", "http://a.example/x", "../a.xhtml", "b.xhtml"]
    assert read_package(package(names).encode(), "OEBPS/content.opf").names == ["a.xhtml", "OEBPS/b.xhtml"]


ENCRYPTED = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod Algorithm="{0}"/>
</enc:EncryptedData></encryption>"""


def test_encrypted_text_is_protected_and_obfuscated_fonts_are_not():
    aes = ENCRYPTED.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    with pytest.raises(Protected):
        read(epub({"a.xhtml": chapter(1)}, {"META-INF/encryption.xml": aes}))
    fonts = ENCRYPTED.format("http://www.idpf.org/2008/embedding")
    assert len(read(epub({"a.xhtml": chapter(1)}, {"META-INF/encryption.xml": fonts}))[1]) == 1
    data = bytearray(epub({"a.xhtml": chapter(1)}))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := data.find(magic, start)) >= 0:
            data[start + at] |= 1
            start += 1
    with pytest.raises(Protected):
        read(bytes(data))


def test_a_bomb_stops_at_the_limit():
    data = epub({"a.xhtml": "x" * (8 << 20)})
    assert len(data) < 20_000
    with pytest.raises(Bomb):
        read(data)
    size = len(chapter(1).encode())
    assert read(epub({"a.xhtml": chapter(1)}), size)
    with pytest.raises(Bomb):
        read(epub({"a.xhtml": chapter(1)}), size - 1)
    lying = bytearray(epub({"a.xhtml": chapter(1)}))
    at = lying.rfind(b"PK\x05\x06")
    lying[at + 12 : at + 16] = (17 << 20).to_bytes(4, "little")
    with pytest.raises(Bomb):
        read(bytes(lying))


DOCTYPE = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'


def test_no_entity_is_resolved():
    text = package(["a.xhtml"]).replace("<package", f"{DOCTYPE}<package").replace("The  Sea", "x&b;&c;")
    title = read_package(text.replace('<?xml version="1.0"?>', "").encode(), "content.opf").title or ""
    assert "ha" not in title and "root" not in title


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 no zip",
        epub({"a.xhtml": chapter(1)})[:-30],
        zipped({"a": "b"}),
        zipped({"META-INF/container.xml": "<broken"}),
        zipped({"META-INF/container.xml": CONTAINER.format(root="none.opf")}),
        epub({}),
    ],
)
def test_what_is_no_book_is_bad(data):
    with pytest.raises(BadBook):
        read(data)


def test_damage_within_is_bad():
    data = bytearray(epub({"a.xhtml": "".join(map(chapter, range(50)))}))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        place = archive.getinfo("OEBPS/a.xhtml")
    data[place.header_offset + 80] ^= 255
    with pytest.raises(BadBook):
        read(bytes(data))
