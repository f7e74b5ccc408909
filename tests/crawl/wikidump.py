"""Builds small MediaWiki dumps."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Sequence
from xml.sax.saxutils import escape

import zstandard

SITE = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="{lang}">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>{lang}wiki</dbname>
    <base>https://{lang}.wikipedia.org/wiki/Main_Page</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Medium</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">{file}</namespace>
      <namespace key="14" case="first-letter">{category}</namespace>
    </namespaces>
  </siteinfo>
"""
END = "</mediawiki>\n"


def site(lang: str = "en", file: str = "File", category: str = "Category") -> bytes:
    return SITE.format(lang=lang, file=file, category=category).encode()


def page(number: int, text: str | None = None, title: str | None = None, **facts: object) -> bytes:
    if text is None:
        text = f"'''Town {number}''' is a [[town]] of the north. " + "It has a harbour and a mill. " * 12
    redirect = f'<redirect title="{facts["redirect"]}" />' if "redirect" in facts else ""
    return f"""  <page>
    <title>{escape(title or f"Town {number}")}</title>
    <ns>{facts.get("ns", 0)}</ns>
    <id>{number}</id>
    {redirect}
    <revision>
      <id>{number + 1000}</id>
      <timestamp>2024-05-19T12:00:0{number % 10}Z</timestamp>
      <model>{facts.get("model", "wikitext")}</model>
      <text bytes="{len(text)}" xml:space="preserve">{escape(text)}</text>
    </revision>
  </page>
""".encode()


def plain(pages: Sequence[bytes], head: bytes | None = None) -> bytes:
    return (site() if head is None else head) + b"".join(pages) + END.encode()


def multistream(pages: Sequence[bytes], size: int = 3) -> bytes:
    """Compress as Wikimedia does: the head, then some pages, in streams of their own."""
    groups = [b"".join(pages[start : start + size]) for start in range(0, len(pages), size)]
    return b"".join(bz2.compress(piece) for piece in [site(), *groups, END.encode()])


def pieces(data: bytes, size: int) -> bytes:
    """Compress as pbzip2 does: streams that end anywhere."""
    return b"".join(bz2.compress(data[start : start + size]) for start in range(0, len(data), size))


PACKINGS = {
    "xml": lambda data: data,
    "xml.bz2": bz2.compress,
    "xml.gz": gzip.compress,
    "xml.xz": lzma.compress,
    "xml.zst": zstandard.compress,
}
