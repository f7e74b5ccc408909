"""corpuskit builds training corpora: crawl the world, filter each document, drop duplicates, write shards.

The whole public interface is the names in `__all__`, and the stages by their kind: `crawl.warc` is
`corpuskit.crawl.warc.Warc`, `dedup.minhash` is `corpuskit.dedup.minhash.MinHash`, and so on.

    from corpuskit import run
    from corpuskit.crawl.warc import Warc
    from corpuskit.dedup.minhash import MinHash

    documents = run(Warc(), "crawl/*.warc.gz", "documents")
    unique = run(MinHash(threshold=0.8), documents.path, "unique")
    print(unique.rows, "of", documents.rows)

Names are imported when they are first used, so that `import corpuskit` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpuskit.dataset import Dataset
    from corpuskit.document import REJECT, SCHEMA, reject_rows
    from corpuskit.engine import Options, Outlook, Progress, outlook, run
    from corpuskit.errors import (
        CorpuskitError,
        DoesNotFit,
        InputError,
        TargetError,
        TooManyBadRecords,
        TryLater,
        UsageError,
    )
    from corpuskit.recipe import Recipe
    from corpuskit.settings import setting
    from corpuskit.stage import Chain, Input, Split, Stage, Step, Task

__version__ = "0.1.0"

__all__ = [
    "REJECT",
    "SCHEMA",
    "Chain",
    "CorpuskitError",
    "Dataset",
    "DoesNotFit",
    "Input",
    "InputError",
    "Options",
    "Outlook",
    "Progress",
    "Recipe",
    "Split",
    "Stage",
    "Step",
    "TargetError",
    "Task",
    "TooManyBadRecords",
    "TryLater",
    "UsageError",
    "outlook",
    "reject_rows",
    "run",
    "setting",
]

_HOMES = {
    "dataset": ("Dataset",),
    "document": ("REJECT", "SCHEMA", "reject_rows"),
    "engine": ("Options", "Outlook", "Progress", "outlook", "run"),
    "errors": (
        "CorpuskitError",
        "DoesNotFit",
        "InputError",
        "TargetError",
        "TooManyBadRecords",
        "TryLater",
        "UsageError",
    ),
    "recipe": ("Recipe",),
    "settings": ("setting",),
    "stage": ("Chain", "Input", "Split", "Stage", "Step", "Task"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'corpuskit' has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"corpuskit.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
