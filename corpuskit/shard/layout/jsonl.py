"""JSON lines: a document a line, all its columns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa

from corpuskit.shard.layout import Asked, Layout, Shard, index, no_text, refused
from corpuskit.stage import Split

__all__ = ["LAYOUT", "Lines", "encoded", "finished", "write_lines"]

Lines = tuple[list[bytes | None], Mapping[str, list[int]]]
"""The line of each row of a batch, null where there is none; and those rows by the rule they break."""


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    """Write every column; the bytes of images in base64, hashes in hex, what is not a number null."""
    return write_lines(batches, shard, lambda batch, _: ([encoded(row) for row in batch.to_pylist()], {}))


def encoded(row: Mapping[str, Any]) -> bytes:
    r"""Write a row as one line of JSON, without the end of the line.

    >>> encoded({"text": "a\nb", "score": float("nan"), "images": [{"sha256": b"\x00", "bytes": b"\xff"}]})
    b'{"text":"a\\nb","score":null,"images":[{"sha256":"00","bytes":"/w=="}]}'
    """
    return msgspec.json.encode(_plain(row))


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    """Write hashes in hex, as everywhere; msgspec brings the rest into JSON."""
    if isinstance(value, Mapping):
        return {
            name: item.hex() if name == "sha256" and isinstance(item, bytes) else _plain(item)
            for name, item in value.items()
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value


def write_lines(
    batches: Iterator[pa.RecordBatch], shard: Shard, make: Callable[[pa.RecordBatch, Asked], Lines]
) -> Iterator[Split]:
    """Write one file of the lines that `make` makes of each batch, under zstd where that was asked for."""
    name, path, line = shard.named(".jsonl.zst" if shard.asked.compressed else ".jsonl"), shard.scratch(), 0
    with _opened(path, shard.asked.compressed) as file:
        for batch in batches:
            made, rules = make(batch, shard.asked)
            rows = [row for row, found in enumerate(made) if found is not None]
            file.write(b"".join(b"%b\n" % found for found in made if found is not None))
            ids = batch["id"].take(pa.array(rows, pa.int64()))
            yield Split(index(ids, name, range(line, line + len(rows))), refused(batch, rules))
            line += len(rows)
    yield finished(name, path, line)


def finished(name: str, path: Path, rows: int) -> Split:
    """Hand a file over, or remove one that holds nothing."""
    if not rows:
        path.unlink()
    return Split(index(pa.array([], pa.string()), name, []), beside={name: path} if rows else {})


@contextlib.contextmanager
def _opened(path: Path, compressed: bool) -> Iterator[IO[bytes]]:
    with path.open("wb") as file:
        if not compressed:
            yield file
            return
        import zstandard

        with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as writer:
            yield writer


LAYOUT = Layout(_write, no_text, takes=("compressed",))
