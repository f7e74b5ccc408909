"""robots.txt by RFC 9309: what a host allows us, how fast, and what its silence means."""

from __future__ import annotations

import codecs
import functools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from protego import Protego

from corpuskit.crawl.addresses import BadUrl, Origin, split
from corpuskit.crawl.agent import PRODUCT
from corpuskit.crawl.payload import BadPayload, Bomb
from corpuskit.crawl.transport import Exchange, inflated

__all__ = ["Robots", "RobotsCache"]

_READ = 500 << 10  # RFC 9309, 2.5: at least as much must be read
_INFLATED = 10 << 20
_DELAY = 60.0
_DAY = 24 * 3600.0  # RFC 9309, 2.4
_SOON = 600.0
_CACHED = 16 << 20  # bytes of text
_PARSED = 512 << 10  # bytes of text; parsed it takes some 20 times as much
_AGENT = re.compile(r"user[\s-]*agent\b\s*:?\s*(.*)", re.IGNORECASE)
_TOKEN = re.compile(r"\*|[a-z_-]+")
_RULE = re.compile(r"(?:allow|d[ias]{2,4}l{1,2}[ao]w|crawl[ -]?delay|content-)", re.IGNORECASE)
_SIGNAL = re.compile(
    r"content-(?:signal:.*?\bai-train\s*=\s*no\b|usage:\s*(?:[\w-]+=\w+[,;\s]+)*train-ai\s*=\s*n\b)",
    re.IGNORECASE,
)
_NEWLINE = re.compile(r"\r\n|\r|\n")
_ODD = re.compile(r"[\x00\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")  # what str.splitlines also ends a line at


@dataclass(frozen=True)
class Robots:
    """What the robots.txt of one origin says to us; threads may share it.

    Of the groups only ours is kept, or where there is none the one for all. Whoever fetches the file
    (at `/robots.txt`, following five redirects) makes this of the last answer by `read`, and of no
    answer by `unreachable`.
    """

    reachable: bool
    """Whether it is known what the host wants. If not, nothing is allowed now; ask again later."""
    why: str
    """The status of the answer, or the rule of the failure, such as `fetch.timeout`."""
    delay: float | None = None
    """Seconds its Crawl-delay asks for, at most 60; null if it asks for none."""
    opt_out: str | None = None
    """The line that forbids use of the host's pages for training (Content-Signal, Content-Usage)."""
    text: str = field(default="", repr=False)
    """The rules of the group that counts."""

    @classmethod
    def read(cls, exchange: Exchange, agent: str = PRODUCT) -> Robots:
        """Read an answer: 2xx is parsed, 4xx allows all but for 429, and of the rest it is unreachable."""
        status = exchange.status
        if 400 <= status < 500 and status != 429:
            return cls(reachable=True, why=str(status))
        if not 200 <= status < 300:
            return cls.unreachable(str(status))
        if exchange.truncated in ("time", "disconnect"):
            return cls.unreachable("fetch.timeout" if exchange.truncated == "time" else "fetch.disconnect")
        try:
            return cls.parse(inflated(exchange, _INFLATED), agent, why=str(status))
        except (Bomb, BadPayload):
            return cls.unreachable("fetch.protocol")

    @classmethod
    def parse(cls, body: bytes, agent: str = PRODUCT, why: str = "200") -> Robots:
        r"""Parse a robots.txt in whatever bytes; never raises.

        >>> robots = Robots.parse(b"User-agent: *\nDisallow: /private\nCrawl-delay: 3")
        >>> robots.allows("http://a.example/private/x"), robots.allows("http://a.example/"), robots.delay
        (False, True, 3.0)
        """
        groups = _groups(_lines(body), agent.lower())
        everyone = groups.get("*", [])
        lines = groups.get(agent.lower(), everyone)
        text = "\n".join(["User-agent: *", *lines])
        delay = _delay(text)
        if delay is None and lines is not everyone:
            delay = _delay("\n".join(["User-agent: *", *everyone]))
        signal = next(filter(None, map(_SIGNAL.match, lines)), None)
        return cls(True, why, delay, signal and signal[0].lower(), text)

    @classmethod
    def unreachable(cls, why: str) -> Robots:
        """Stand for a host that did not say what it wants."""
        return cls(reachable=False, why=why)

    def allows(self, url: str) -> bool:
        """Say whether we may fetch a URL of this origin; never what is no URL."""
        if not self.reachable:
            return False
        try:
            _, target = split(url)
        except BadUrl:
            return False
        return not self.text or _parsed(self.text).can_fetch(f"http://host{target}", "*")


def _lines(body: bytes) -> Iterator[str]:
    """Yield the lines of the first 500 KiB that say something, without comments."""
    encoding = "utf-8-sig"
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    whole = len(body) <= _READ
    text = body[:_READ].decode(encoding, "replace")
    if not whole:  # half a rule would forbid too much or too little
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    for line in _NEWLINE.split(text):
        line = _ODD.sub(" ", line.partition("#")[0]).strip(" \t\ufeff")
        if line:
            yield line


def _groups(lines: Iterator[str], agent: str) -> dict[str, list[str]]:
    """Collect the rules for us and those for all, by agent.

    protego gives every agent of a group every rule of it, which takes memory by the square of a
    hostile file, and takes any beginning of our name for our name; so it sees one group only.
    """
    groups: dict[str, list[str]] = {}
    current: list[list[str]] = []
    in_rules = False
    for line in lines:
        named = _AGENT.fullmatch(line)
        if named is not None:
            if in_rules:
                current, in_rules = [], False
            token = _TOKEN.match(named[1].lower())
            if token is not None and token[0] in (agent, "*"):
                rules = groups.setdefault(token[0], [])
                if not any(rules is other for other in current):
                    current.append(rules)
            continue
        if _RULE.match(line):  # what is no rule does not end a run of agents either (RFC 9309, 2.2.4)
            in_rules = True
            for rules in current:
                rules.append(line)
    return groups


def _delay(text: str) -> float | None:
    if "delay" not in text.lower():
        return None
    delay = _parsed(text).crawl_delay("*")
    return None if delay is None else min(delay, _DELAY)


Key = TypeVar("Key")
Value = TypeVar("Value")


class _Recent(Generic[Key, Value]):
    """The values used last, as many and as large in all as told."""

    def __init__(self, most: int, size: int, size_of: Callable[[Key, Value], int]) -> None:
        self._most, self._size, self._size_of = most, size, size_of
        self._held: OrderedDict[Key, Value] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            value = self._held.get(key)
            if value is not None:
                self._held.move_to_end(key)
            return value

    def put(self, key: Key, value: Value) -> None:
        with self._lock:
            self._drop(key)
            self._held[key] = value
            self._total += self._size_of(key, value)
            while len(self._held) > 1 and (len(self._held) > self._most or self._total > self._size):
                self._drop(next(iter(self._held)))

    def _drop(self, key: Key) -> None:
        value = self._held.pop(key, None)
        if value is not None:
            self._total -= self._size_of(key, value)


@functools.cache
def _recently_parsed() -> _Recent[str, Protego]:
    return _Recent(1024, _PARSED, lambda text, _: len(text))


def _parsed(text: str) -> Protego:
    recent = _recently_parsed()
    rules = recent.get(text)
    if rules is None:
        rules = Protego.parse(text)
        recent.put(text, rules)
    return rules


class RobotsCache:
    """The robots.txt of the origins met last, for a day; an unreachable one for ten minutes. Thread-safe.

    `clock` gives seconds that only grow.
    """

    def __init__(self, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: _Recent[Origin, tuple[float, Robots]] = _Recent(
            most, _CACHED, lambda _, known: len(known[1].text)
        )

    def get(self, origin: Origin) -> Robots | None:
        """Return what is known of an origin; null if nothing is, or not any more."""
        known = self._recent.get(origin)
        return known[1] if known is not None and self._clock() < known[0] else None

    def put(self, origin: Origin, robots: Robots) -> None:
        """Remember the robots.txt of an origin."""
        self._recent.put(origin, (self._clock() + (_DAY if robots.reachable else _SOON), robots))
