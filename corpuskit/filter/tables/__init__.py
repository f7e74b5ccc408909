"""Rule tables: opinions about signals, as rows of TOML files; the built-in ones lie beside this module.

    [[rule]]
    name = "word_count.min"      # rejects name it as TABLE.NAME
    signal = "word_count"
    min = 50                     # or max; a value at the bound is kept; 0 is a bound like any other
    source = "Rae et al. 2021, table A1"
    scope = "document"           # or "line", "image": drop that alone; or "span": cut what the signal finds
    languages = ["en"]           # judge only documents in these; those of unknown language are judged too

`name`, `signal` and one of `min` and `max` are needed. A number that documents bring along, such as the
`clip_score` that `filter embed` writes, is judged with `column = "clip_score"` in place of `signal`. The
table's name is its file's, without `.toml`. Above its rules a table may list `signals` that it writes as
columns and does not judge: `signals = ["char_count"]`.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import pyarrow as pa

from corpuskit import files
from corpuskit.errors import UsageError
from corpuskit.filter.signals import IMAGE_SIGNALS, LINE_SIGNALS, SIGNALS, TextSpans, by_span, citations
from corpuskit.language import language
from corpuskit.settings import suggest

__all__ = ["BUILT_IN", "SPAN_SIGNALS", "WORD_LISTS", "Rule", "Table", "load", "load_all"]

Scope = Literal["document", "line", "span", "image"]

_FOLDER = Path(__file__).parent

BUILT_IN: tuple[str, ...] = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
"""The tables that go by name alone."""

WORD_LISTS: Mapping[str, Path] = MappingProxyType(
    {
        "bad_word_count": _FOLDER / "bad_words.txt",
        "news_host": _FOLDER / "news_hosts.txt",
        "stop_word_ratio": _FOLDER / "stop_words.txt",
        "url_hard_word_count": _FOLDER / "url_hard_words.txt",
        "url_soft_word_count": _FOLDER / "url_soft_words.txt",
        "url_subword_count": _FOLDER / "url_subwords.txt",
    }
)
"""The lists that signals count words of, by signal."""

SPAN_SIGNALS: Mapping[str, Callable[[pa.RecordBatch], TextSpans]] = MappingProxyType(
    {
        "citation": citations,
        "excess_newlines": by_span.excess_newlines,
        "text_url": by_span.text_urls,
        "sign_in": by_span.sign_in,
        "read_more": by_span.read_more,
        "items_in_cart": by_span.items_in_cart,
    }
)
"""Signals that are spans of a text, by name: for rules that cut just them."""

_KNOWN: Mapping[Scope, Mapping[str, Any]] = {
    "document": SIGNALS,
    "line": LINE_SIGNALS,
    "span": SPAN_SIGNALS,
    "image": IMAGE_SIGNALS,
}
_KEYS = ("name", "signal", "column", "min", "max", "source", "scope", "languages")


@dataclass(frozen=True)
class Rule:
    """One row: a signal and the bound it must keep.

    Attributes:
        name: What rejects call it, `gopher.word_count.min`.
        signal: The signal it judges, or the column.
        low: The least value that is kept; null if it has no least one.
        high: The greatest value that is kept; null if it has no greatest one.
        scope: What goes when it is broken.
        source: The paper and table it is from.
        languages: ISO 639-3 codes of the languages it is meant for; none: all.
        column: Whether it judges a column that the documents bring along.
    """

    name: str
    signal: str
    low: float | None
    high: float | None
    scope: Scope = "document"
    source: str = ""
    languages: tuple[str, ...] = ()
    column: bool = False

    @property
    def bound(self) -> float:
        """The one bound it has."""
        return cast(float, self.high if self.low is None else self.low)


@dataclass(frozen=True)
class Table:
    """A rule table: its name, its rules in the order of the file, and the sha256 of the file.

    `signals` are written as columns besides those of its rules.
    """

    name: str
    rules: tuple[Rule, ...]
    sha256: str
    signals: tuple[str, ...] = ()

    @property
    def cuts(self) -> bool:
        """Whether it may change a text."""
        return any(rule.scope in ("line", "span") for rule in self.rules)

    def scoped(self, scope: Scope) -> tuple[Rule, ...]:
        """List the rules of one scope."""
        return tuple(rule for rule in self.rules if rule.scope == scope)


def load_all(names: Sequence[str]) -> tuple[Table, ...]:
    """Read several tables; see `load`.

    Raises:
        UsageError: One cannot be read, or two have one name, so that rejects could not tell them apart.
    """
    tables = tuple(load(name) for name in names)
    seen: dict[str, str] = {}
    for name, table in zip(names, tables, strict=True):
        if table.name in seen:
            raise UsageError(
                f"rule tables {seen[table.name]} and {name} are both called {table.name!r}",
                fix="leave one out, or give one of the files another name",
            )
        seen[table.name] = name
    return tables


def load(name: str) -> Table:
    """Read a built-in table by its bare name, or a table of your own by its path or URL.

    Raises:
        UsageError: There is no such table, or something is wrong in it; file and row are named.

    >>> load("gopher").rules[0].name.split(".")[0]
    'gopher'
    """
    bare = "/" not in name and not name.endswith(".toml")
    if bare and name not in BUILT_IN:
        hint = suggest(name, BUILT_IN)
        raise UsageError(
            f"no rule table {name!r}", fix=f"{hint} A table of your own is named by its path: {name}.toml"
        )
    path = str(_FOLDER / f"{name}.toml") if bare else name
    try:
        data = files.read_bytes(path)
        found = tomllib.loads(data.decode())
    except OSError as error:
        raise UsageError(
            f"cannot read the rule table {path}: {error.strerror or error}",
            fix=f"built in: {', '.join(BUILT_IN)}",
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    table = files.file_name(path).removesuffix(".toml")
    rules = _read_rules(found, table, path)
    return Table(table, rules, hashlib.sha256(data).hexdigest(), _read_signals(found, path))


def _read_rules(found: Mapping[str, Any], table: str, path: str) -> tuple[Rule, ...]:
    for key in found:
        if key not in ("rule", "signals"):
            raise UsageError(
                f"{path}: unknown key {key!r}", fix="a table holds [[rule]] rows, and may list signals above"
            )
    rows = found.get("rule")
    if not isinstance(rows, list) or not rows:
        raise UsageError(
            f"{path} has no rules", fix="begin each with [[rule]], then name, signal, and min or max"
        )
    rules: list[Rule] = []
    for number, row in enumerate(rows, 1):
        where = f"{path}, rule {number}"
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            where += f" ({row['name']})"
        rule = _read_rule(row, table, where)
        if rule.name in {other.name for other in rules}:
            raise UsageError(
                f"{where}: an earlier rule has this name", fix="give every rule of a table its own name"
            )
        rules.append(rule)
    return tuple(rules)


def _read_signals(found: Mapping[str, Any], path: str) -> tuple[str, ...]:
    value = found.get("signals", [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f'{path}: signals wants a list such as ["char_count"], not {value!r}')
    for name in value:
        _check_signal(name, "document", path)
    return tuple(value)


def _read_rule(row: object, table: str, where: str) -> Rule:
    if not isinstance(row, dict):
        raise UsageError(f"{where}: not a table but {row!r}", fix="begin each rule with [[rule]]")
    for key in row:
        if key not in _KEYS:
            raise UsageError(f"{where}: unknown key {key!r}", fix=suggest(key, _KEYS))
    scope = _text(row, "scope", where, "document")
    if scope not in _KNOWN:
        raise UsageError(f"{where}: unknown scope {scope!r}", fix=suggest(scope, _KNOWN))
    name, column = _text(row, "name", where), "column" in row
    signal = _text(row, "column" if column else "signal", where)
    if column:
        _check_column(row, scope, where)
    else:
        _check_signal(signal, cast(Scope, scope), where)
    if ("min" in row) == ("max" in row):
        has = "both min and max" if "min" in row else "neither min nor max"
        raise UsageError(f"{where} has {has}", fix="give each rule exactly one; two bounds are two rules")
    if scope == "span" and row.get("max") != 0:
        raise UsageError(f"{where}: a rule of spans cuts all that it finds", fix="say max = 0")
    return Rule(
        name=f"{table}.{name}",
        signal=signal,
        low=_number(row, "min", where),
        high=_number(row, "max", where),
        scope=cast(Scope, scope),
        source=_text(row, "source", where, ""),
        languages=_languages(row, where),
        column=column,
    )


def _check_column(row: Mapping[str, Any], scope: str, where: str) -> None:
    if "signal" in row:
        raise UsageError(f"{where} has both signal and column", fix="give each rule exactly one")
    if scope != "document":
        raise UsageError(f"{where}: a column is of documents, not of a {scope}", fix="leave scope out")
    if row["column"] in SIGNALS:
        fix = f'say signal = "{row["column"]}"'
        raise UsageError(f"{where}: {row['column']!r} is a signal, which is measured anew", fix=fix)


def _check_signal(signal: str, scope: Scope, where: str) -> None:
    if signal in _KNOWN[scope]:
        return
    for other, known in _KNOWN.items():
        if signal in known:
            raise UsageError(
                f"{where}: {signal!r} is not a signal of a {scope}", fix=f'say scope = "{other}"'
            )
    raise UsageError(f"{where}: unknown signal {signal!r}", fix=suggest(signal, _KNOWN[scope]))


def _text(row: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None:
        raise UsageError(f"{where} has no {key}", fix=f'add {key} = "..."')
    if not isinstance(value, str) or (default is None and not value):
        raise UsageError(f"{where}: {key} wants text, not {value!r}")
    return value


def _number(row: Mapping[str, Any], key: str, where: str) -> float | None:
    if key not in row:
        return None
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(
            f"{where}: {key} wants a number, not {value!r}", fix="to switch a rule off, take it out"
        )
    return float(value)


def _languages(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value = row.get("languages", [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f'{where}: languages wants a list such as ["en"], not {value!r}')
    try:
        return tuple(language(item) for item in value)
    except UsageError as error:
        raise UsageError(f"{where}: {error.what}", fix=error.fix) from None
