"""Chat: the user's turn and the assistant's, in JSON lines of `messages`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from corpuskit.errors import UsageError
from corpuskit.shard.layout import STAGE, Asked, Layout, Shard
from corpuskit.shard.layout.jsonl import Lines, encoded, write_lines
from corpuskit.stage import Split

__all__ = ["LAYOUT", "turns_of"]

_MESSAGES = "messages"
_KNOWN = (("prompt", "response"), ("prompt", "completion"), ("question", "answer"), ("instruction", "output"))
_RULE = "layouts.no_turn"


def turns_of(schema: pa.Schema, asked: Asked) -> tuple[str, ...]:
    """Name the columns of the user's turn and the assistant's, or the one column that holds all turns.

    Raises:
        UsageError: There are none, or they are not as they must be.

    >>> turns_of(pa.schema([("question", pa.string()), ("answer", pa.string())]), Asked())
    ('question', 'answer')
    """
    given = asked.turns
    if given and len(given) != 2:
        raise UsageError(
            f"{STAGE}: --turns names {len(given)} columns",
            fix="name two: that of the user, then that of the assistant",
        )
    if not given and _MESSAGES in schema.names:
        _check_messages(schema.field(_MESSAGES).type)
        return (_MESSAGES,)
    for pair in (given,) if given else _KNOWN:
        if set(pair) <= set(schema.names):
            _check_texts(schema, pair)
            return pair
    if given:
        absent = next(name for name in given if name not in schema.names)
        raise UsageError(f"{STAGE}: there is no column {absent!r}", fix=f"known: {', '.join(schema.names)}")
    raise UsageError(
        f"{STAGE}: the documents have no column messages, and no {' or '.join(map('/'.join, _KNOWN))}",
        fix="name the columns of the user and of the assistant, like --turns title,text",
    )


def _check_texts(schema: pa.Schema, pair: tuple[str, ...]) -> None:
    for name in pair:
        kind = schema.field(name).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UsageError(
                f"{STAGE}: the column {name!r} is {kind}, not text", fix="name others with --turns"
            )


def _check_messages(kind: pa.DataType) -> None:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    struct = kind.value_type if listed else None
    names = {field.name for field in struct} if struct is not None and pa.types.is_struct(struct) else set()
    if not {"role", "content"} <= names:
        raise UsageError(
            f"{STAGE}: the column messages is {kind}, not a list of role and content",
            fix="name the columns of the user and of the assistant with --turns",
        )


def _lines(batch: pa.RecordBatch, asked: Asked) -> Lines:
    columns = turns_of(batch.schema, asked)
    found = [_messages(row) for row in batch.select(columns).to_pylist()]
    rules = {_RULE: [row for row, one in enumerate(found) if one is None]}
    return [None if one is None else encoded({_MESSAGES: one}) for one in found], rules


def _messages(row: dict[str, Any]) -> list[dict[str, str]] | None:
    """Return the turns in order; null where one is missing or blank, or the assistant has none."""
    told: list[tuple[str, str]]
    if _MESSAGES in row:
        told = [(one["role"], one["content"]) if one else ("", "") for one in row[_MESSAGES] or ()]
    else:
        told = list(zip(("user", "assistant"), row.values(), strict=True))
    whole = all(role and content and content.strip() for role, content in told)
    if not whole or all(role != "assistant" for role, _ in told):
        return None
    return [{"role": role, "content": content} for role, content in told]


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    return write_lines(batches, shard, _lines)


def _check(schema: pa.Schema, asked: Asked) -> None:
    turns_of(schema, asked)


LAYOUT = Layout(_write, _check, takes=("turns", "compressed"))
