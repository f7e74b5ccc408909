r"""Templates that make text of a record: fields, sections that vanish, and a few filters; no code.

    {title} ({year})[, directed by {director}][. {plot}]

- `{field}` is the value of a field; a dot leads into an object: `{studio.name}`.
  A record without a value there gives no text.
- `[...]` is a section: it vanishes if a field in it has no value. Sections may stand in sections.
- `{field|filter}` and `{field|filter:argument}` change the value; filters follow one another.
- `\{ \} \[ \] \\` stand for themselves, `\n` and `\t` for a line end and a tab.

A list is joined as its language does it: "a, b and c", "a, b und c", "a、b和c".
"""

from __future__ import annotations

import datetime
import functools
import html
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpuskit.crawl.columns import as_date, lookup
from corpuskit.errors import UsageError
from corpuskit.language import LANGUAGES
from corpuskit.settings import suggest

if TYPE_CHECKING:
    from babel import Locale

__all__ = ["FILTERS", "READY", "Template", "load", "parse"]

Value = Any
"""What JSON, CSV or Parquet hold: text, a number, a boolean, a date, a list or an object; null: no value."""

_FOLDER = Path(__file__).parent
READY: tuple[str, ...] = tuple(sorted(path.stem for path in _FOLDER.glob("*.txt")))
"""The templates that go by name alone."""

_TOKEN = re.compile(r"\\(?P<escaped>.)|(?P<mark>[\[\]{}])|(?P<text>[^\\\[\]{}]+|\\\Z)", re.DOTALL)
_PATH = re.compile(r'\s*(?P<path>[^|{}\[\]"]+?)\s*(?=[|}])')
_FILTER = re.compile(r'\|\s*(?P<name>\w+)\s*(?::\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^|}"]*)))?')
_DEEPEST = 20
_ESCAPES = {"n": "\n", "t": "\t"}
_DATES = ("short", "medium", "long", "full", "year")
_BLANKS = re.compile(r"[ \t]+(?=\n)")
_GAPS = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class _Field:
    path: str
    filters: tuple[tuple[str, str | None], ...]

    def text(self, record: Mapping[str, Value], locale: Locale | None) -> str | None:
        value = lookup(record, self.path)
        for name, argument in self.filters:
            value = FILTERS[name](value, argument, locale)
        text = _as_text(value, locale)
        return "" if text is None and self.optional else text

    @property
    def optional(self) -> bool:
        return any(name == "default" for name, _ in self.filters)


@dataclass(frozen=True)
class _Section:
    items: tuple[str | _Field | _Section, ...]

    def text(self, record: Mapping[str, Value], locale: Locale | None) -> str | None:
        """Return its text; null if a field in it, but not in a section of it, has no value."""
        pieces = []
        for item in self.items:
            piece = item if isinstance(item, str) else item.text(record, locale)
            if piece is None and isinstance(item, _Field):
                return None
            pieces.append(piece or "")
        return "".join(pieces)

    def fields(self, needed: bool = True) -> Iterator[tuple[str, bool]]:
        for item in self.items:
            if isinstance(item, _Section):
                yield from item.fields(needed=False)
            elif isinstance(item, _Field):
                yield item.path, needed and not item.optional


@dataclass(frozen=True)
class Template:
    """A template that was read: it makes text of any record, and raises nothing."""

    source: str
    _whole: _Section

    @property
    def fields(self) -> dict[str, bool]:
        """The fields it names, and whether a record without one gives no text."""
        found: dict[str, bool] = {}
        for path, needed in self._whole.fields():
            found[path] = found.get(path, False) or needed
        return found

    def render(self, record: Mapping[str, Value], language: str | None = None) -> str | None:
        """Make the text of a record; null where it has no value for a field outside all sections.

        `language` (ISO 639-3) says how lists, dates and numbers are written; null: as data, with commas
        between. Blanks at the ends of lines go, and of several blank lines in a row one stays.

        >>> film = parse("{title}[ ({year})][. By {makers}.]")
        >>> film.render({"title": "Alien", "year": 1979, "makers": ["Hill", "Giler", "Carroll"]}, "eng")
        'Alien (1979). By Hill, Giler and Carroll.'
        >>> film.render({"title": "Alien"}), film.render({"year": 1979})
        ('Alien', None)
        """
        text = self._whole.text(record, _locale(language))
        return None if text is None else _GAPS.sub("\n\n", _BLANKS.sub("", text)).strip()


def load(name: str) -> Template:
    """Read a ready template by its name, one of your own by its path, or the text of one, which has a `{`.

    Raises:
        UsageError: There is none, or something is wrong in it; the place is named.
    """
    if "{" in name:
        return parse(name)
    if name in READY:
        return parse((_FOLDER / f"{name}.txt").read_text("utf-8"), f"template {name}")
    try:
        return parse(Path(name).read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        hint = f"{suggest(name, READY)}; or write it out, as in '{{title}} ({{year}})', or name a file"
        raise UsageError(
            f"no template {name!r}: {getattr(error, 'strerror', None) or error}", fix=hint
        ) from None


def parse(source: str, where: str = "template") -> Template:
    """Read the text of a template.

    Raises:
        UsageError: Something is wrong in it; the place is named.
    """
    items: list[list[Any]] = [[]]
    opened: list[int] = []
    at = 0
    while at < len(source):
        token = _TOKEN.match(source, at)
        assert token is not None  # noqa: S101 - every character is of one of the three kinds
        mark, here = token["mark"], at
        at = token.end()
        if mark == "{":
            field, at = _parse_field(source, at, where)
            items[-1].append(field)
        elif mark == "[":
            if len(opened) == _DEEPEST:
                raise _wrong(
                    source, here, where, f"more than {_DEEPEST} sections within one another", "use fewer"
                )
            items.append([])
            opened.append(here)
        elif mark == "]" and opened:
            section = _Section(tuple(items.pop()))
            if not any(True for _ in section.fields()):
                raise _wrong(
                    source, opened[-1], where, "a section without a field", r"write \[ for a bracket"
                )
            items[-1].append(section)
            opened.pop()
        elif mark:
            raise _wrong(source, here, where, f"{mark!r} closes nothing", rf"write \{mark} for the character")
        else:
            items[-1].append(token["text"] or _ESCAPES.get(token["escaped"], token["escaped"]))
    if opened:
        raise _wrong(
            source, opened[-1], where, "a section that is not closed", r"close it with ], or write \["
        )
    whole = _Section(tuple(items[0]))
    if not any(True for _ in whole.fields()):
        raise UsageError(f"{where} has no field", fix="name one in braces, as in {title}")
    return Template(source, whole)


def _parse_field(source: str, at: int, where: str) -> tuple[_Field, int]:
    start = at - 1
    found = _PATH.match(source, at)
    if found is None:
        raise _wrong(source, start, where, "a field without a name, or not closed", "write it as {title}")
    at = found.end()
    filters: list[tuple[str, str | None]] = []
    while match := _FILTER.match(source, at):
        name, argument = match["name"], match["plain"] if match["quoted"] is None else match["quoted"]
        if name not in FILTERS:
            raise _wrong(source, match.start(), where, f"no filter {name!r}", suggest(name, FILTERS))
        if name == "date" and argument and argument not in _DATES:
            raise _wrong(
                source, match.start(), where, f"no form of dates {argument!r}", suggest(argument, _DATES)
            )
        filters.append((name, argument))
        at = match.end()
    if source[at : at + 1] != "}":
        raise _wrong(source, start, where, "a field that is not closed", "write it as {title|upper}")
    return _Field(found["path"], tuple(filters)), at + 1


def _wrong(source: str, at: int, where: str, what: str, fix: str) -> UsageError:
    line, column = source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)
    return UsageError(f"{where}, line {line}, character {column}: {what}", fix=fix)


def _as_text(value: Value, locale: Locale | None) -> str | None:
    """Write a value; white space, an empty list and an object are no value."""
    if isinstance(value, list | tuple):
        return _joined(value, None, locale)
    if value is None or isinstance(value, dict | bytes):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value).strip() or None


def _joined(value: Value, between: str | None, locale: Locale | None) -> str | None:
    if not isinstance(value, list | tuple):
        return _as_text(value, locale)
    items = [text for item in value if (text := _as_text(item, locale)) is not None]
    if between is not None or locale is None:
        return (", " if between is None else between).join(items) or None
    from babel.lists import format_list

    return format_list(items, locale=locale) or None


def _each(change: Callable[[str], str]) -> Callable[[Value, str | None, Locale | None], Value]:
    """Make a filter that changes a text, or every item of a list."""

    def filtered(value: Value, argument: str | None, locale: Locale | None) -> Value:
        if isinstance(value, list | tuple):
            return [filtered(item, argument, locale) for item in value]
        text = _as_text(value, locale)
        return None if text is None else change(text)

    return filtered


def _split(value: Value, argument: str | None, locale: Locale | None) -> Value:
    if not isinstance(value, str):
        return value
    items = value.split(argument) if argument else value.split()
    return [item.strip() for item in items if item.strip()]


def _first(value: Value, argument: str | None, locale: Locale | None) -> Value:
    return (value[0] if value else None) if isinstance(value, list | tuple) else value


def _default(value: Value, argument: str | None, locale: Locale | None) -> Value:
    return (argument or "") if _as_text(value, locale) is None else value


def _date(value: Value, argument: str | None, locale: Locale | None) -> Value:
    """Write a date; a year alone, and what cannot be read as a date, stay as they are."""
    found = as_date(value)
    if found is None or re.fullmatch(r"\d{4}(?:\.0)?", str(value).strip()):
        return value
    if argument == "year":
        return str(found.year)
    if locale is None:
        return found.date().isoformat()
    from babel.dates import format_date

    return format_date(found, argument or "long", locale=locale)


def _number(value: Value, argument: str | None, locale: Locale | None) -> Value:
    """Write a number with the marks of its language; what is none stays as it is."""
    if locale is None or isinstance(value, bool):
        return value
    try:
        number = value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        return value
    if not -1e300 < number < 1e300:
        return value
    from babel.numbers import format_decimal

    return format_decimal(int(number) if float(number).is_integer() else number, locale=locale)


FILTERS: Mapping[str, Callable[[Value, str | None, Locale | None], Value]] = {
    "date": _date,
    "default": _default,
    "first": _first,
    "join": _joined,
    "lower": _each(str.lower),
    "number": _number,
    "split": _split,
    "unescape": _each(html.unescape),
    "upper": _each(str.upper),
}
"""What may follow a field, by name: from a value, an argument or null, and a locale to a value."""

_SHORT = {code: label for label, code in LANGUAGES.items() if len(label) == 2}


@functools.cache
def _locale(language: str | None) -> Locale | None:
    """Find how a language (ISO 639-3) writes; null where that is not known.

    English is that of Britain: without a comma before "and", which every English reads without stumbling.
    """
    if language is None:
        return None
    from babel import Locale, UnknownLocaleError

    name = "en_GB" if language == "eng" else _SHORT.get(language, language)
    try:
        return Locale.parse(name)
    except (UnknownLocaleError, ValueError):
        return None
