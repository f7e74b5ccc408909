"""URLs in one canonical form, and the registrable domain a URL belongs to."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit, urlunsplit

if TYPE_CHECKING:
    from tldextract.tldextract import ExtractResult

__all__ = ["canonical", "host", "registrable_domain", "without_dots"]

_PORTS = {"http": 80, "https": 443, "ftp": 21}
_TRACKING = re.compile(
    r"(?:utm_[a-z_]+|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|mc_cid|mc_eid|igshid|_ga|_gl"
    r"|jsessionid|phpsessid|sessionid)\Z",
    re.IGNORECASE,
)
_SESSION_PATH = re.compile(r";(?:jsessionid|phpsessid)=[^/?#]*", re.IGNORECASE)
_SAFE = "!$&'()*+,;=:@/~-._"  # what a path may hold unescaped (RFC 3986, 3.3)
_SPACES = re.compile(r"[\t\r\n]")


def canonical(url: str) -> str:
    """Bring a URL into the one form that equal pages share.

    Scheme and host are lower-case and the host in ASCII; default ports, user names, fragments,
    dot segments, session ids and the parameters that only track visitors go; escapes are written
    one way; the other parameters are sorted. What is not a URL with a host comes back stripped.

    >>> canonical("HTTP://www.Example.com:80/a/../b%7e/?utm_source=x&b=2&a=1#top")
    'http://www.example.com/b~/?a=1&b=2'
    >>> canonical("https://bücher.example")
    'https://xn--bcher-kva.example/'
    """
    text = _SPACES.sub("", url.strip())
    parts = _split(text)
    name = _ascii_host(parts.hostname or "") if parts else ""
    if parts is None or not name:
        return text
    scheme = parts.scheme.lower()
    port = _port(parts)
    place = f"[{name}]" if ":" in name else name
    if port is not None and port != _PORTS.get(scheme):
        place += f":{port}"
    path = _SESSION_PATH.sub("", without_dots(_escaped(parts.path, _SAFE)))
    return urlunsplit((scheme, place, path or "/", _query(parts.query), ""))


def host(url: str) -> str | None:
    """Return the host of a URL: lower-case, in ASCII, without port; null if it has none.

    >>> host("https://user@WWW.Example.com:8080/path"), host("mailto:a@b.c")
    ('www.example.com', None)
    """
    parts = _split(_SPACES.sub("", url.strip()))
    return (_ascii_host(parts.hostname or "") if parts else "") or None


def registrable_domain(url: str) -> str | None:
    """Return the domain that someone registered, by the public suffix list; null for an address or no host.

    Domains under which a company lets others register names (`github.io`) count as suffixes. The
    list is the one bundled with tldextract: no network, and the same answer everywhere.

    >>> registrable_domain("https://news.bbc.co.uk/1"), registrable_domain("http://10.0.0.1/")
    ('bbc.co.uk', None)
    """
    name = host(url)
    return _registrable(name) if name else None


@functools.lru_cache(maxsize=1 << 16)
def _registrable(name: str) -> str | None:
    return _suffixes()(name).top_domain_under_public_suffix or None


@functools.cache
def _suffixes() -> Callable[[str], ExtractResult]:
    import tldextract

    return tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.hostname  # noqa: B018 - raises where the brackets of an IPv6 address do not match
    except ValueError:
        return None
    return parts


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


def _ascii_host(name: str) -> str:
    name = name.strip(".").lower()
    if name.isascii():
        return name
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return name


def _escaped(text: str, safe: str) -> str:
    """Write escapes one way: unreserved characters plain, all else that needs it as %XX of UTF-8."""
    pieces = re.split(r"(%[0-9a-fA-F]{2})", text)
    return "".join(_escape(piece, safe) for piece in pieces)


def _escape(piece: str, safe: str) -> str:
    if len(piece) == 3 and piece[0] == "%":
        char = unquote_to_bytes(piece).decode("latin-1")
        return char if char.isascii() and (char.isalnum() or char in "-._~") else piece.upper()
    return quote(piece, safe=safe, errors="replace")


def without_dots(path: str) -> str:
    """Resolve the `.` and `..` of a path (RFC 3986, 5.2.4), which begins with `/` then.

    >>> without_dots("/a/./b/../../../c"), without_dots("")
    ('/c', '/')
    """
    kept: list[str] = []
    steps = path.split("/")
    for step in steps[1:] if path.startswith("/") else steps:
        if step == "..":
            del kept[-1:]
        elif step != ".":
            kept.append(step)
    if steps[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    pairs = [pair for pair in query.split("&") if pair and not _TRACKING.match(pair.partition("=")[0])]
    return "&".join(sorted(_escaped(pair, _SAFE + "?") for pair in pairs))
