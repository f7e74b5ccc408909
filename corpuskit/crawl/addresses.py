"""Which addresses may be dialled, and what a URL's host really is."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from corpuskit.urls import without_dots

__all__ = ["BadScheme", "BadUrl", "Origin", "is_public", "literal", "resolve", "split"]

_PORTS = {"http": 80, "https": 443}
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_DROPPED = re.compile(r"[\t\r\n]")
_DOT = re.compile(r"%2e", re.IGNORECASE)
_NEVER = re.compile(r"[\x00-\x20\x7f\\]")
_SAFE = "!$&'()*+,;=:@/?~-._%[]|"  # what servers are known to take as it is; the rest is escaped

_UNICAST = ipaddress.ip_network("2000::/3")  # the only part of IPv6 given out for the Internet
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
# Not for the Internet, whatever the Python of the day says of them.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.88.99.0/24",  # relays of 6to4, withdrawn (RFC 7526)
        "2001::/32",  # Teredo (RFC 4380): the last 32 bits lead through somebody's NAT
        "3fff::/20",  # documentation (RFC 9637)
    )
)


class BadUrl(ValueError):
    """A URL that names no host, or names it in a way that two programs may read differently."""


class BadScheme(BadUrl):
    """A URL that is neither http nor https."""


class Origin(NamedTuple):
    """Whom a URL talks to: the key of connections, robots.txt and politeness."""

    scheme: str
    """`http` or `https`, lower-case."""
    host: str
    """A name in lower-case ASCII without trailing dot, or an address in its normal form without brackets."""
    port: int

    def __str__(self) -> str:
        """Write it as the start of a URL: `http://example.com`, `https://[2001:db8::1]:8443`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


def split(url: str) -> tuple[Origin, str]:
    """Return the origin of an http or https URL and its request target (path and query, escaped).

    The host is read as browsers read it: escapes undone, IDNA to ASCII, numbers such as `2130706433`,
    `0x7f.1` and `127.1` to the address they are. Dot segments are resolved; user names and the
    fragment are dropped.

    Raises:
        BadScheme: It is neither http nor https.
        BadUrl: No host, a host that is none, or a port that is none.

    >>> split("HTTP://B%C3%BCcher.example.:80/a b?q#top")
    (Origin(scheme='http', host='xn--bcher-kva.example', port=80), '/a%20b?q')
    >>> split("https://0x7f.1/")[0].host, split("http://[::FFFF:127.0.0.1]:8080")[0].host
    ('127.0.0.1', '::ffff:7f00:1')
    """
    text = _DROPPED.sub("", url.strip())
    try:
        parts = urlsplit(text)
        port = parts.port
        name = parts.hostname or ""
    except ValueError as error:
        raise BadUrl(f"{error}: {url[:200]!r}") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise BadScheme(f"scheme {scheme[:50]!r} is not http or https: {url[:200]!r}")
    if not name or _NEVER.search(parts.netloc):
        raise BadUrl(f"no host that programs agree on: {url[:200]!r}")
    origin = Origin(scheme, _host(name, "[" in parts.netloc), _PORTS[scheme] if port is None else port)
    # An escaped dot is a dot to browsers, and must be to robots.txt.
    path = without_dots(_DOT.sub(".", parts.path))
    target = quote(path, safe=_SAFE, errors="replace")
    if parts.query or text.partition("#")[0].endswith("?"):
        target += "?" + quote(parts.query, safe=_SAFE, errors="replace")
    return origin, target


def _host(name: str, bracketed: bool) -> str:
    """Bring a host into its one form (WHATWG URL, 3.5)."""
    if bracketed:
        try:
            # A zone (`%eth0`) is about the machine that asks, never about a public host.
            return str(IPv6Address("%" if "%" in name else name))
        except ValueError:
            raise BadUrl(f"no IPv6 address: {name[:200]!r}") from None
    ascii_name = _ascii(unquote(name, errors="replace")).removesuffix(".")
    address = literal(ascii_name)
    if address is not None:
        return str(address)
    if len(ascii_name) > 253 or not _NAME.fullmatch(ascii_name):
        raise BadUrl(f"no host name: {name[:200]!r}")
    if _NUMBER.fullmatch(ascii_name.rpartition(".")[2]):
        raise BadUrl(f"neither a name nor an address: {name[:200]!r}")
    return ascii_name


def _ascii(name: str) -> str:
    if name.isascii():
        return name.lower()
    import idna

    try:
        name = idna.uts46_remap(name, std3_rules=False)
        return name if name.isascii() else idna.encode(name).decode("ascii")
    except (idna.IDNAError, UnicodeError, IndexError):
        raise BadUrl(f"no host name: {name[:200]!r}") from None


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is, in any spelling browsers take for one; null for anything else.

    >>> [str(literal(host)) for host in ("2130706433", "0x7f.1", "127.1", "0177.0.0.1", "::1", "a.1")]
    ['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1', '::1', 'None']
    """
    host = host.removeprefix("[").removesuffix("]").removesuffix(".")
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            return None
    parts = host.split(".")
    if len(parts) > 4 or len(host) > 64 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    return IPv4Address(last + sum(number << (8 * (3 - place)) for place, number in enumerate(first)))


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if len(text) > 1 and text[0] == "0" else 10)


@functools.lru_cache(maxsize=4096)
def is_public(ip: str) -> bool:
    """Say whether an address belongs to the public Internet, and so does every address wrapped in it.

    IPv4 in IPv6 is unwrapped: mapped (`::ffff:`), 6to4 (`2002::`) and translated (`64:ff9b::`). False
    for what is no address, and for one with a zone.

    >>> is_public("93.184.215.14"), is_public("::ffff:93.184.215.14"), is_public("64:ff9b::7f00:1")
    (True, True, False)
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return all(_is_public(each) for each in _unwrapped(address))


def _unwrapped(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield the addresses that traffic to an address may end at."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _TRANSLATED:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address.scope_id or address not in _UNICAST):
        return False
    if any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host: str, port: int) -> list[tuple[str, int]]:
    """Return the socket addresses (ip, port) of a host by the system's resolver, each once.

    Any function of this signature can be a `Transport`'s `resolver`; a test's may answer with another
    port, so that `http://example.com/` reaches a server on loopback.

    Raises:
        OSError: The name does not resolve.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys((str(place[0]), port) for *_, place in found))
