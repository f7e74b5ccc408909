"""Signals of a document's language, as `filter language` wrote them."""

import pyarrow as pa

from corpuskit.filter.signals.signal import Scan, Signal

__all__ = ["SIGNALS"]


def _score(scan: Scan) -> pa.Array:
    if "lang_score" not in scan.batch.schema.names:
        return pa.nulls(scan.rows, pa.float32())
    return scan.column("lang_score").cast(pa.float32())


SIGNALS = (
    Signal(
        "lang_score",
        pa.float32(),
        "How sure the language model is of the document's language; null before `filter language`.",
        _score,
        reads=("lang_score",),
    ),
)
"""Document signals of the language."""
