"""The story of a document: verdicts, reasons, cuts and twins, and how they read on a terminal."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Cut", "Explanation", "Reason", "Story", "Twin", "Verdict"]

_EXCERPT = 320
_CUTS_SHOWN = 12


@dataclass(frozen=True)
class Twin:
    """The document that was kept in place of a duplicate; its text is null where it no longer stands."""

    id: str
    url: str | None = None
    origin: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Reason:
    """One rule that a document broke."""

    rule: str
    value: float | None
    bound: float | None
    twin: Twin | None = None

    def sentence(self) -> str:
        """Say it in words.

        >>> Reason("gopher.word_count.min", 37.0, 50.0).sentence()
        'gopher.word_count.min: 37 is below 50'
        >>> Reason("minhash.duplicate", 0.93, 0.8, Twin("ab")).sentence()
        'minhash.duplicate: 0.93 like its twin, where 0.8 is enough'
        >>> Reason("images.phash", 2.0, 4.0, Twin("ab")).sentence()
        'images.phash: 2 bits from its twin, where up to 4 make a duplicate'
        >>> Reason("http.status", 404.0, None).sentence(), Reason("empty", None, None).sentence()
        ('http.status: 404', 'empty')
        """
        if self.value is None:
            return (
                self.rule
                if self.bound is None
                else f"{self.rule}: not defined, where the bound is {self.bound:.6g}"
            )
        if self.twin is not None and self.rule.startswith("images."):
            return f"{self.rule}: {self.value:.0f} bits from its twin" + (
                "" if self.bound is None else f", where up to {self.bound:.0f} make a duplicate"
            )
        if self.twin is not None:
            return f"{self.rule}: {self.value:.4g} like its twin" + (
                "" if self.bound is None else f", where {self.bound:.4g} is enough"
            )
        if self.bound is None:
            return f"{self.rule}: {self.value:.6g}"
        value, bound = _apart(self.value, self.bound)
        relation = "below" if self.value < self.bound else "above" if self.value > self.bound else "exactly"
        return f"{self.rule}: {value} is {relation} {bound}"


@dataclass(frozen=True)
class Cut:
    """Bytes `start` to `end` of the text as it came into the stage; `text` is null where not known."""

    rule: str
    start: int
    end: int
    written: int
    """Bytes that were written in their place."""
    text: str | None
    twin: Twin | None = None
    """The document that has the same there and keeps it; its text is left out."""


@dataclass(frozen=True)
class Verdict:
    """What one stage made of the document."""

    stage: str
    dataset: str
    verdict: Literal["kept", "cut", "rejected", "not reached"]
    reasons: tuple[Reason, ...] = ()
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True)
class Story:
    """One document, or one piece of one, and every verdict on it in order."""

    id: str
    url: str | None
    source: str | None
    date: str | None
    origin: str | None
    verdicts: tuple[Verdict, ...]
    kept_in: str | None
    """The file that holds it in the dataset that was asked about; null where it was rejected."""
    text: str | None
    """Its text as it was last seen; null where no dataset that still stands holds it."""

    @property
    def end(self) -> str:
        """Say how it ended."""
        if self.kept_in:
            return f"kept in {self.kept_in}"
        last = next((verdict for verdict in self.verdicts if verdict.verdict == "rejected"), None)
        return (
            f"rejected by {last.stage}"
            if last
            else "gone, without a reject: a dataset on its way was changed"
        )


@dataclass(frozen=True)
class Explanation:
    """The stories of all documents that an id or a url names."""

    path: str
    query: str
    stories: tuple[Story, ...]
    missing: tuple[str, ...]
    """Earlier datasets that were moved, removed or written again: what they decided is not told."""

    def json(self) -> dict[str, Any]:
        """Return everything as plain JSON values, all texts whole."""
        return {
            "path": self.path,
            "query": self.query,
            "missing": list(self.missing),
            "documents": [{**dataclasses.asdict(story), "end": story.end} for story in self.stories],
        }

    def text(self) -> str:
        """Return it for a terminal of 80 columns: long texts shortened, control characters replaced."""
        lines = [line for number, story in enumerate(self.stories) for line in _told(story, number)]
        if self.missing:
            lines += ["", *(_line_of(f"not at hand, so not told: {path}") for path in self.missing)]
        return "\n".join(lines)


def _told(story: Story, number: int) -> Iterator[str]:
    """Yield the lines of one story."""
    if number:
        yield ""
    yield _line_of(story.id if story.url is None else f"{story.id}  {story.url}")
    came = ", ".join(part for part in (story.source, f"dated {story.date}" if story.date else None) if part)
    yield _line_of(f"  from {story.origin or 'nowhere that is known'}{f' ({came})' if came else ''}")
    yield ""
    width = max((len(verdict.stage) for verdict in story.verdicts), default=0)
    for verdict in story.verdicts:
        cut = sum(cut.end - cut.start for cut in verdict.cuts)
        much = (
            f": {_count(cut, 'byte')} in {_count(len(verdict.cuts), 'span')}"
            if verdict.verdict == "cut"
            else ""
        )
        yield _line_of(f"  {verdict.stage:<{width}}  {verdict.verdict}{much}")
        for reason in verdict.reasons:
            yield _line_of(f"      {reason.sentence()}")
            if reason.twin is not None:
                yield from _twin_lines(reason.twin)
        for cut_ in verdict.cuts[:_CUTS_SHOWN]:
            yield from _cut_lines(cut_)
        if len(verdict.cuts) > _CUTS_SHOWN:
            yield f"      and {len(verdict.cuts) - _CUTS_SHOWN} more spans (--json shows all)"
    yield ""
    yield _line_of(f"  {story.end}")
    if story.text is not None:
        yield from _quoted(story.text, "    ")
    elif story.verdicts and story.verdicts[0].verdict == "rejected":
        yield "    it had no text yet"
    elif story.origin is None:
        yield "    it is a link, and has no text of its own"
    else:
        yield "    its text was not written, as the stages ran in one pass, and the archive it"
        yield "    came from is not at hand as it was: put it back, or crawl it alone"


def _twin_lines(twin: Twin) -> Iterator[str]:
    yield _twin_line(twin)
    if twin.origin is not None:
        yield _line_of(f"      from {twin.origin}")
    yield from (
        _quoted(twin.text, "        ") if twin.text is not None else ("        (its text is not at hand)",)
    )


def _twin_line(twin: Twin) -> str:
    return _line_of(f"      twin {twin.id}{'' if twin.url is None else f'  {twin.url}'}")


def _cut_lines(cut: Cut) -> Iterator[str]:
    written = f", {_count(cut.written, 'byte')} written instead" if cut.written else ""
    yield _line_of(f"      {cut.rule}: bytes {cut.start:,} to {cut.end:,}{written}")
    if cut.twin is not None:
        yield _twin_line(cut.twin)
    yield from (
        _quoted(cut.text, "        ")
        if cut.text is not None
        else ("        (the text it was cut from is not at hand)",)
    )


def _quoted(text: str, indent: str) -> Iterator[str]:
    """Yield a text as quoted lines of at most 80 columns, shortened in the middle of nowhere but its end."""
    shown = text[:_EXCERPT]
    for paragraph in shown.split("\n"):
        for line in textwrap.wrap(_line_of(paragraph), 78 - len(indent)) or [""]:
            yield f"{indent}│ {line}".rstrip()
    if len(text) > len(shown):
        yield f"{indent}│ ... and {_count(len(text) - len(shown), 'more character')}"


def _line_of(text: str) -> str:
    r"""Make one line that moves no cursor and turns no text around.

    >>> _line_of("a\x1b[2J\nb\u202ec")
    'a�[2J b�c'
    """
    return "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _apart(value: float, bound: float) -> tuple[str, str]:
    """Write two numbers with as few digits as tell them apart.

    >>> _apart(37.0, 50.0), _apart(0.1000001, 0.1)
    (('37', '50'), ('0.1000001', '0.1'))
    """
    if value.is_integer() and bound.is_integer():
        return f"{value:.0f}", f"{bound:.0f}"
    for digits in range(4, 18):
        told = f"{value:.{digits}g}", f"{bound:.{digits}g}"
        if told[0] != told[1] or value == bound:
            break
    return told
