"""Which queries the texts of a pool hold: the first step from a pool of pairs to images by query."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import reject_rows
from corpuskit.errors import InputError, UsageError
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.search import Found, Trie, separated_hashes
from corpuskit.kernels.utf8 import Offsets, buffers
from corpuskit.kernels.words import normalised_word_hashes
from corpuskit.stage import Split, Stage, Task, document_tasks

__all__ = ["MATCHED", "Compat", "Match", "Matcher", "spaced"]

Compat = Literal["metaclip"]

MATCHED = pa.field("matched", pa.large_list(pa.int32()), nullable=False)
"""The numbers of the queries a text holds, each once, in the order they are met."""

_MARKS = "([,.;:?!`])"
_BREAKS = "[\t\n\r]"


@dataclass(frozen=True)
class Match(Stage):
    """Finds the queries in the texts of a pool, as whole words; a pair whose text holds none is rejected.

    Case and punctuation are folded on both sides: "U.S.", "St. Louis" and "(dog)" match. With `compat`, a
    query matches as MetaCLIP has it: between spaces, after each of `,.;:?!` and the backtick was given a
    space on both sides, in the case it is written; one that holds such a mark never matches.

    Source: Xu et al. 2023, Demystifying CLIP Data, section 3.2 and algorithm 1.
    """

    name: ClassVar[str] = "crawl.images.match"

    pool: str | None = settings.setting(
        None, "pairs to choose from  [default: the first source]", content=False
    )
    compat: Compat | None = settings.setting(None, "match as another system does, flaws and all")

    def content(self) -> Mapping[str, str]:
        """Return what identifies the pool."""
        return {} if self.pool is None else {"pool": Dataset(self.pool).sha256}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Add the numbers of the queries."""
        return schema.append(MATCHED)

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part of the pool; the last source is the query list.

        Raises:
            UsageError: There are several query lists.
        """
        pool, *queries = sources if self.pool is None else (self.pool, *sources)
        if len(queries) != 1:
            raise UsageError(f"images are chosen by one query list, not {len(queries)}", fix="name one")
        return document_tasks(pool, beside=queries)

    def run(self, task: Task) -> Iterator[Split]:
        """Look for the queries in every text."""
        queries = task.inputs[1]
        matcher = _matcher(queries.path, queries.identity, self.compat)
        for batch in read_batches(task.inputs[0].path, task.schema):
            found = matcher.find(batch["text"])
            counts = np.diff(found.offsets)
            matched = pa.LargeListArray.from_arrays(pa.array(found.offsets), pa.array(found.phrases))
            columns = [*batch.columns, matched]
            whole = pa.RecordBatch.from_arrays(columns, schema=self.writes(batch.schema))
            none = pa.array(np.flatnonzero(counts == 0))
            rejected = reject_rows(batch, self.name, "images.unmatched", none)
            yield Split(whole.filter(pa.array(counts > 0)), rejected, batch)


def spaced(texts: pa.Array) -> pa.Array:
    r"""Give each mark a space on both sides, and make breaks spaces, as MetaCLIP does; null becomes empty.

    >>> spaced(pa.array(["St. Louis,\tMO", None])).to_pylist()
    ['St .  Louis ,  MO', '']
    """
    found = pc.replace_substring_regex(pc.fill_null(texts, ""), _BREAKS, " ")
    return pc.replace_substring_regex(found, _MARKS, r" \1 ")


class Matcher:
    """Queries, ready to be looked for in texts.

    >>> matcher = Matcher(pa.array(["dog", "St. Louis", "Dog"]))
    >>> found = matcher.find(pa.array(["A (dog) in st louis", None]))
    >>> found.phrases.tolist(), found.offsets.tolist()
    ([0, 1], [0, 2, 2])
    """

    def __init__(self, queries: pa.Array, compat: Compat | None = None) -> None:
        """Take the queries; of those that are the same when folded, the first is found."""
        self._compat = compat
        self.trie = Trie(*(separated_hashes(*buffers(queries)) if compat else self._words(queries)))

    def find(self, texts: pa.Array) -> Found:
        """Find the queries in some texts; a null text holds none."""
        if not self._compat:
            return self.trie.find(*self._words(texts))
        return self.trie.find(*separated_hashes(*buffers(spaced(texts))))

    @staticmethod
    def _words(texts: pa.Array) -> tuple[Hashes, Offsets]:
        return normalised_word_hashes(*buffers(texts))


@functools.lru_cache(maxsize=1)
def _matcher(path: str, identity: str, compat: Compat | None) -> Matcher:
    """Read a query list once a process; `identity` tells one list from the next in the same place."""
    try:
        queries = Dataset(path).table(["query"])["query"].combine_chunks()
    except (KeyError, pa.ArrowInvalid):
        raise InputError(f"{path} is no query list", fix="make one with corpuskit crawl queries") from None
    return Matcher(queries, compat)
