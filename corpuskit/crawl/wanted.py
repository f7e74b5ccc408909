"""What a fetcher is asked for, on which terms, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from corpuskit.crawl.addresses import Origin
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.politeness import Politeness
from corpuskit.crawl.transport import Exchange
from corpuskit.urls import registrable_domain

__all__ = ["PASSING", "Outcome", "Terms", "Validators", "Wanted", "domain_of", "passes"]

PASSING = frozenset(
    {
        "fetch.dns",
        "fetch.connect",
        "fetch.tls",
        "fetch.timeout",
        "fetch.disconnect",
        "fetch.protocol",
        "fetch.host",
        "fetch.robots_unreachable",
    }
)
"""Rules that say nothing about the URL itself: another time it may be there."""


class Validators(NamedTuple):
    """What an earlier answer from `url` said, so that the server need not send the same again."""

    url: str
    etag: str | None
    last_modified: str | None


class Wanted(NamedTuple):
    """A URL to fetch; `key` is the caller's name for it."""

    key: int
    url: str
    validators: Validators | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a wanted URL: its redirects and the last answer, and a verdict unless it is as wanted.

    `hops` may be empty, or end before the answer, where there was none. `why` is for people.
    """

    wanted: Wanted
    hops: tuple[Exchange, ...] = ()
    verdict: Verdict | None = None
    why: str = ""


@dataclass(frozen=True)
class Terms:
    """How to go about it.

    retries: how often to try a URL again after a network error, a 429 or a 5xx.
    threads: the most requests at a time.
    opt_outs: whether to leave hosts alone whose robots.txt is against training (Content-Signal).
    headers: what to send with every request, on top of the transport's own.
    """

    politeness: Politeness = field(default_factory=Politeness)
    retries: int = 2
    threads: int = 64
    opt_outs: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


def domain_of(origin: Origin) -> str:
    """Return whom an origin belongs to: its registrable domain, else the host itself."""
    return registrable_domain(f"http://{origin.host}/") or origin.host


def passes(rule: str, value: float | None) -> bool:
    """Say whether a failure may have passed by another time: network errors, 429, 5xx, ended hosts."""
    return rule in PASSING or (
        rule == "fetch.status" and value is not None and (value == 429 or value >= 500)
    )
