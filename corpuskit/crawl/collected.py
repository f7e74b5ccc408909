"""Documents and rejects as a crawl comes by them, and work on one of them that may go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from corpuskit.crawl.gates import Verdict
from corpuskit.document import BATCH_BYTES, REJECT
from corpuskit.errors import CorpuskitError
from corpuskit.stage import Poisoned, Split, TookTooLong, watching

__all__ = ["Collected", "watched"]

Result = TypeVar("Result")
_ROWS = 1 << 16


@dataclass
class Collected:
    """The rows of a task until they fill a batch."""

    stage: str
    schema: pa.Schema
    _kept: list[dict[str, Any]] = field(default_factory=list)
    _rejected: list[dict[str, Any]] = field(default_factory=list)
    _bytes: int = 0

    def keep(self, row: dict[str, Any]) -> None:
        """Add a document; columns it lacks are null."""
        self._kept.append(row)
        text = row["text"]
        self._bytes += len(text) if text.isascii() else len(text.encode())

    def reject(self, row: dict[str, Any], why: Verdict) -> None:
        """Add a reject of what `id`, `url` and `origin` of the row name."""
        self._rejected.append({**row, "stage": self.stage, **vars(why)})

    @property
    def full(self) -> bool:
        """Whether it is time to take them."""
        return self._bytes >= BATCH_BYTES or len(self._kept) + len(self._rejected) >= _ROWS

    def take(self) -> Split:
        """Give out what has come since the last time."""
        kept = pa.RecordBatch.from_pylist(self._kept, self.schema)
        rejected = pa.RecordBatch.from_pylist(self._rejected, REJECT)
        self._kept, self._rejected, self._bytes = [], [], 0
        return Split(kept, rejected)


def watched(origin: str, seconds: float, kind: str, work: Callable[[], Result | Verdict]) -> Result | Verdict:
    """Do the work on the document at `origin`: whatever goes wrong, or takes too long, costs that document.

    The verdicts are `KIND.timeout` and `KIND.crash`.
    """
    try:
        with watching(origin, seconds):
            return work()
    except TookTooLong:
        return Verdict(f"{kind}.timeout", bound=seconds)
    except Poisoned as poisoned:
        return Verdict(f"{kind}.timeout" if poisoned.rule.endswith("timeout") else f"{kind}.crash")
    except CorpuskitError:
        raise
    except Exception:  # noqa: BLE001 - hostile input may make a parser raise anything
        return Verdict(f"{kind}.crash")
