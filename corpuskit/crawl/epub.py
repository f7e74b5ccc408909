"""Read an EPUB without trusting it: nothing is unpacked to disk, no entity resolved, no size believed."""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import unquote

from corpuskit.crawl.payload import Bomb

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["BadBook", "Document", "Package", "Protected", "read_epub", "read_package"]

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_DIRECTORY_BYTES = 16 << 20
"""A zip whose list of files is longer is not opened: each of its lines takes ten times the memory."""
_END_BYTES = 22 + (1 << 16)
_END = b"PK\x05\x06"
_XML_BYTES = 4 << 20
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Ways to obfuscate fonts, which leave the text as it is."""
_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"})
_STEP = 64 << 10


class BadBook(ValueError):
    """No readable book."""


class Protected(Exception):
    """A book that only a licence opens."""


class Document(NamedTuple):
    """One document of a book, in reading order: its name and its bytes."""

    name: str
    data: bytes


class Package(NamedTuple):
    """What the package file says: its documents in reading order, and of the book; null where it does not."""

    names: list[str]
    title: str | None = None
    author: str | None = None
    lang: str | None = None
    date: datetime | None = None


def read_epub(file: BinaryIO, limit: int) -> tuple[Package, list[Document]]:
    """Read the documents of an EPUB in the order of its spine, at most `limit` bytes of them inflated.

    Raises:
        BadBook: It is no zip, or damaged, or lacks its package file or every document.
        Protected: Its documents are encrypted.
        Bomb: They are more than `limit` bytes, or its list of files is too long.
    """
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive, limit)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        UnicodeDecodeError,
    ) as error:
        raise BadBook(str(error)) from None
    except RuntimeError as error:  # how zipfile says that a password is wanted
        raise Protected(str(error)) from None


def _read(archive: zipfile.ZipFile, limit: int) -> tuple[Package, list[Document]]:
    known = set(archive.namelist())
    if _CONTAINER not in known:
        raise BadBook(f"no {_CONTAINER}")
    if _ENCRYPTION in known and _encrypts_text(_inflate(archive, _ENCRYPTION, _XML_BYTES)):
        raise Protected("its documents are encrypted")
    container = parse_xml(_inflate(archive, _CONTAINER, _XML_BYTES))
    root = next((item.get("full-path") for item in container.iter("{*}rootfile")), None)
    if not root or root not in known:
        raise BadBook("no package file")
    package = read_package(_inflate(archive, root, _XML_BYTES), root)
    found, left = [], limit
    for name in package.names:
        if name in known:
            data = _inflate(archive, name, left)
            left -= len(data)
            found.append(Document(name, data))
    if not found:
        raise BadBook("no documents")
    return package, found


def read_package(data: bytes, path: str) -> Package:
    """Read a package file (OPF); its documents are named as seen from the root that `path` is named from.

    Raises:
        BadBook: It is not well-formed.
    """
    tree = parse_xml(data)
    folder = posixpath.dirname(path)
    items = {item.get("id"): item for item in tree.iter("{*}item")}
    names = []
    for reference in tree.iter("{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or reference.get("linear") == "no" or "nav" in (item.get("properties") or "").split():
            continue
        if item.get("media-type") in _PAGES:
            names.append(_name(folder, item.get("href") or ""))
    authors = [_text(item) for item in tree.iter("{*}creator") if item.get("role", "aut").endswith("aut")]
    return Package(
        names=list(dict.fromkeys(name for name in names if name)),
        title=_first(tree, "title"),
        author=", ".join(filter(None, authors)) or None,
        lang=_first(tree, "language"),
        date=_date(_first(tree, "date")),
    )


def _name(folder: str, href: str) -> str:
    """Return the name of a document within the book; empty where it would lie outside."""
    path = posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0])))
    return "" if path.startswith(("/", "..")) or re.match(r"[a-z]+:", href) else path


def _check_directory(file: BinaryIO) -> None:
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES))
    tail = file.read(_END_BYTES)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise BadBook("no zip")
    if int.from_bytes(tail[at + 12 : at + 16], "little") > _DIRECTORY_BYTES:
        raise Bomb
    file.seek(0)


def _inflate(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if archive.getinfo(name).flag_bits & 1:
        raise Protected("encrypted")
    data = bytearray()
    with archive.open(name) as member:
        while more := member.read(_STEP):
            data += more
            if len(data) > limit:
                raise Bomb
    return bytes(data)


def _encrypts_text(data: bytes) -> bool:
    methods = [item.get("Algorithm") for item in parse_xml(data).iter("{*}EncryptionMethod")]
    return any(method not in _FONTS for method in methods)


def parse_xml(data: bytes) -> _Element:
    """Parse a small XML file: no entities, no network, no document type.

    Raises:
        BadBook: It is not well-formed.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise BadBook(str(error)) from None


def _first(tree: _Element, name: str) -> str | None:
    return next(filter(None, map(_text, tree.iter("{*}" + name))), None)


def _text(element: _Element) -> str | None:
    return " ".join("".join(element.itertext()).split()) or None


def _date(text: str | None) -> datetime | None:
    """Read a whole date; a year alone is none."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
