"""Settings: one frozen dataclass is the constructor, the TOML table, the CLI options and the digest."""

# ruff: noqa: ANN401 - a setting may hold a value of any type

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from corpuskit.errors import UsageError

__all__ = [
    "Field",
    "canonical",
    "digest",
    "fields",
    "from_mapping",
    "parse_size",
    "passed_on",
    "setting",
    "suggest",
    "to_mapping",
]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}I": 1 << 10 * power for power, unit in enumerate("KMGT", 1)}


def setting(default: Any, help: str, *, content: bool = True) -> Any:
    """Declare one setting of a stage: its default and the one line a user reads about it.

    `content=False` marks a setting that cannot change the output (a memory budget, a timeout): it
    stays out of the digest, so it may differ when a run is resumed.
    """
    return dataclasses.field(default=default, metadata={"help": help, "content": content})


@dataclasses.dataclass(frozen=True)
class Field:
    """One setting as TOML and the command line see it.

    `name` is the attribute's, without the underscore that sets it apart from a word of Python (`from_`).
    """

    name: str
    attribute: str
    kind: Any
    many: bool
    choices: tuple[str, ...]
    optional: bool
    default: Any
    help: str
    content: bool


def fields(stage: Any) -> tuple[Field, ...]:
    """List the settings of a dataclass (or of its type), in order."""
    cls = stage if isinstance(stage, type) else type(stage)
    hints = typing.get_type_hints(cls)
    return tuple(_field(item, hints[item.name]) for item in dataclasses.fields(cls))


def _field(item: dataclasses.Field[Any], hint: Any) -> Field:
    optional = many = False
    choices: tuple[str, ...] = ()
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        optional, hint = True, inner[0]
    if typing.get_origin(hint) is tuple:
        many, hint = True, typing.get_args(hint)[0]
    if typing.get_origin(hint) is Literal:
        choices, hint = typing.get_args(hint), str
    return Field(
        name=item.name.removesuffix("_"),
        attribute=item.name,
        kind=hint,
        many=many,
        choices=choices,
        optional=optional,
        default=() if item.default is dataclasses.MISSING and many else item.default,
        help=item.metadata.get("help", ""),
        content=item.metadata.get("content", True),
    )


def suggest(word: str, known: Iterable[str]) -> str:
    """Say which known name a misspelt one may have meant.

    >>> suggest("treshold", ["threshold", "seed"])
    "did you mean 'threshold'?"
    >>> suggest("zzz", ["threshold", "seed"])
    'known: seed, threshold'
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def from_mapping(cls: Any, values: Mapping[str, Any], where: str) -> Any:
    """Make a stage from a TOML table or from options; `where` is named in every error.

    Raises:
        UsageError: An unknown setting, or a value of the wrong type or outside its choices.
    """
    known = {field.name: field for field in fields(cls)}
    given: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_").removesuffix("_")
        if name not in known:
            raise UsageError(f"no setting {key!r} in {where}", fix=suggest(name, known))
        given[known[name].attribute] = _convert(known[name], value, where)
    for name, field in known.items():
        if field.default is dataclasses.MISSING and field.attribute not in given:
            raise UsageError(f"{where} lacks the setting {name!r}", fix=f"give {field.help}")
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from None


def _convert(field: Field, value: Any, where: str) -> Any:
    if value is None and (field.optional or field.default is None):
        return None
    if field.many:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise UsageError(f"{where}: {field.name} wants a list, not {value!r}")
        return tuple(_convert(dataclasses.replace(field, many=False), item, where) for item in items)
    wrong = UsageError(f"{where}: {field.name} wants {_describe(field)}, not {value!r}")
    if field.choices:
        if value not in field.choices:
            raise UsageError(wrong.what, fix=suggest(str(value), field.choices))
        return value
    if field.kind is bool or isinstance(value, bool):
        if field.kind is bool and isinstance(value, bool):
            return value
        raise wrong
    if field.kind is int and isinstance(value, str):
        return parse_size(value, f"{where}: {field.name}")
    if field.kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, field.kind):
        raise wrong
    return value


def _describe(field: Field) -> str:
    if field.choices:
        return f"one of {', '.join(field.choices)}"
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(field.kind, str(field.kind))


def parse_size(text: str, where: str = "size") -> int:
    """Read a count or a size in bytes.

    Raises:
        UsageError: The text is not a number with an optional unit.

    >>> parse_size("2GiB"), parse_size("500MB"), parse_size("1_000")
    (2147483648, 500000000, 1000)
    """
    match = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([KMGT]?I?)B?", text.strip().upper())
    if not match:
        raise UsageError(
            f"{where} wants a whole number or a size, not {text!r}", fix="write it like 500MB or 2GiB"
        )
    return int(float(match[1].replace("_", "")) * _UNITS[match[2]])


def passed_on(cls: Any, stage: Any) -> Any:
    """Make a step of a chain: each of its settings is the chain's of the same name, if that has one."""
    given = {field.attribute for field in fields(stage)}
    names = [field.attribute for field in fields(cls) if field.attribute in given]
    return cls(**{name: getattr(stage, name) for name in names})


def to_mapping(stage: Any) -> dict[str, Any]:
    """Return every setting as plain JSON values, tuples as lists."""
    return {field.name: _plain(getattr(stage, field.attribute)) for field in fields(stage)}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def canonical(value: Any) -> str:
    """Write a value as JSON with one spelling: sorted keys, no spaces, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the sha256 (64 hex digits) of a value's canonical JSON.

    >>> digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
    True
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()
