"""Signals of a news article: the site it is from, a by-line, and a date of publication.

What an article says of itself is looked for where it says so: in its URL, in its first lines, and for the
by-line in its last ones too. Where the documents have a column `author`, it is a by-line. The column `date`
tells nothing of publication: for a crawled page it is when it was fetched.
"""

from functools import cache, lru_cache
from importlib import resources

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.filter.signals.signal import Scan, Signal
from corpuskit.urls import host, registrable_domain

__all__ = ["SIGNALS"]

_HEAD, _TAIL = 1000, 300  # code points

_NAME = r"\p{Lu}[\p{L}.'’-]*"
_BY = r"(?:(?:Written|Reported|Posted|Story|Text) )?(?:[Bb]y|BY|Von|VON|Par|PAR|Por|POR|Di|Door)"
_BYLINE = (
    # By Jane Doe | Written by JANE DOE, Staff Writer | Von Jana Döring | Author: J. Doe
    rf"(?m)^[\s*_–—-]*{_BY}:?[ \t]+"
    rf"{_NAME}(?:[ \t]+(?:{_NAME}|and|und|et|y|e|en|de|da|van|von|der|den|la))+[^\n]{{0,60}}$"
    rf"|^[\s*_]*(?:Authors?|Reporters?|Byline|Autor(?:in)?|Auteur):[ \t]*{_NAME}"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?|januar|februar|märz|mai|juni|juli|oktober|dezember|janvier|février|mars|avril"
    r"|juin|juillet|août|septembre|octobre|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto"
    r"|septiembre|octubre|noviembre|diciembre)"
)
_YEAR = r"(?:19|20)\d\d"
_DATE = (
    rf"(?i)\b{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+{_YEAR}\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:de\s+)?{_MONTH}\.?,?\s+(?:de\s+)?{_YEAR}\b"
    rf"|\b{_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"
    rf"|\b(?:0?[1-9]|[12]\d|3[01])[/.](?:0?[1-9]|[12]\d|3[01])[/.]{_YEAR}\b"
    rf"|{_YEAR}年\d{{1,2}}月\d{{1,2}}日"
)
_URL_DATE = (
    rf"[/_-]{_YEAR}[/_-](?:0?[1-9]|1[0-2]|(?i:{_MONTH}))(?:[/_-]|$)"
    rf"|[/_-]{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\D|$)"
)


@cache
def _built_in() -> frozenset[str]:
    text = resources.files("corpuskit.filter").joinpath("tables", "news_hosts.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


@lru_cache(maxsize=4)
def _hosts(lines: tuple[str, ...]) -> frozenset[str]:
    return frozenset(line.strip().lower().removeprefix("www.") for line in lines)


def _is_listed(url: str | None, hosts: frozenset[str]) -> bool | None:
    """Look for a host, and for those above it down to the domain that someone registered."""
    name = host(url) if url else None
    if name is None:
        return None
    name = name.removeprefix("www.")
    last = registrable_domain(f"http://{name}/") or ".".join(name.split(".")[-2:])
    while name not in hosts and len(name) > len(last):
        name = name.partition(".")[2]
    return name in hosts


def _column(scan: Scan, name: str) -> pa.Array:
    return scan.column(name) if name in scan.batch.schema.names else pa.nulls(scan.rows, pa.string())


def _news_host(scan: Scan) -> pa.Array:
    given = scan.lists.get("news_host")
    hosts = _built_in() if given is None else _hosts(given)
    return pa.array([_is_listed(url, hosts) for url in _column(scan, "url").to_pylist()], pa.bool_())


def _head(scan: Scan) -> pa.Array:
    return pc.utf8_slice_codeunits(pc.fill_null(scan.column("text"), ""), 0, _HEAD)


def _has_byline(scan: Scan) -> pa.Array:
    tail = pc.utf8_slice_codeunits(pc.fill_null(scan.column("text"), ""), -_TAIL)
    found = pc.or_(
        pc.match_substring_regex(scan.once(_head), _BYLINE),
        pc.match_substring_regex(tail, rf"\n(?:{_BYLINE})"),
    )
    author = _column(scan, "author")
    if not (pa.types.is_string(author.type) or pa.types.is_large_string(author.type)):
        return found
    return pc.or_(found, pc.fill_null(pc.match_substring_regex(author, r"\S"), False))


def _has_published_date(scan: Scan) -> pa.Array:
    of_url = pc.fill_null(pc.match_substring_regex(_column(scan, "url"), _URL_DATE), False)
    return pc.or_(of_url, pc.match_substring_regex(scan.once(_head), _DATE))


SIGNALS = (
    Signal(
        "news_host",
        pa.bool_(),
        "Whether the URL's host, or one above it, is on the list of news sites; null without a URL.",
        _news_host,
        reads=("url",),
    ),
    Signal(
        "has_byline",
        pa.bool_(),
        "Whether the first or last lines name an author (By Jane Doe), or the column author does.",
        _has_byline,
    ),
    Signal(
        "has_published_date",
        pa.bool_(),
        "Whether the first lines have a date of day, month and year, or the URL one of month and year.",
        _has_published_date,
    ),
)
"""Document signals of news articles.

Source: Zellers et al. 2019 (RealNews), which took sites that Google News indexes, and what the library
Newspaper finds of authors and dates in a page. Deviation: there is no page any more, only its text and URL.
"""
