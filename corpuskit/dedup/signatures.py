"""MinHash, step 1: shingles, signatures and bands of every document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.index import reference_rank, reference_tasks
from corpuskit.dedup.links import components_bytes
from corpuskit.dedup.numbering import bucket_rows
from corpuskit.dedup.survivors import ranks
from corpuskit.kernels import minhash
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.ngrams import ngram_hashes
from corpuskit.kernels.utf8 import Offsets, buffers
from corpuskit.kernels.words import normalised_word_hashes
from corpuskit.stage import Split, Stage, Task, check_memory

__all__ = ["PERMUTATIONS", "Signatures", "band_names", "shingles", "signatures"]

PERMUTATIONS = 112
"""14 bands of 8 rows, as FineWeb has them."""
LINK_BYTES = 48
"""What one document takes while one of its bands is sorted."""


def shingles(texts: pa.Array | Sequence[str], ngram: int = 5) -> tuple[Hashes, Offsets]:
    """Return the hashes of the shingles of each text: its runs of `ngram` normalised words.

    Args:
        texts: Arrow strings, or Python's. Null is an empty text.
        ngram: Words a shingle.

    Returns:
        `hashes` (uint64), in order, repeats included; `offsets` (int64, n + 1), text i has `offsets[i]` to
        `offsets[i + 1]`. A text of fewer words has one shingle, all of it; a text without words has none.

    Raises:
        ValueError: `ngram` < 1.

    >>> hashes, offsets = shingles(["The cat sat on the mat.", "the CAT sat on the mat", "Hello!", ""])
    >>> offsets.tolist(), hashes[:2].tolist() == hashes[2:4].tolist()
    ([0, 2, 4, 5, 5], True)
    """
    return ngram_hashes(*normalised_word_hashes(*buffers(_strings(texts))), ngram, whole=True)


def signatures(
    texts: pa.Array | Sequence[str], *, ngram: int = 5, permutations: int = PERMUTATIONS, seed: int = 1
) -> minhash.Signatures:
    """Return the MinHash signatures of texts, as datasketch 2 computes and reads them.

    Row i equals `datasketch.MinHash(permutations, seed=seed, hashfunc=lambda h: int(h) & 0xFFFFFFFF)` updated
    with the `shingles` of text i, and `datasketch.MinHash(hashvalues=row, seed=seed, scheme="affine32")`
    makes one of it.

    Returns:
        uint32, texts x permutations; 0xFFFFFFFF everywhere for a text without words.

    Raises:
        ValueError: `ngram` < 1.

    >>> rows = signatures(["one two three four five six"] * 2 + ["another text"])
    >>> rows.shape, bool((rows[0] == rows[1]).all()), bool((rows[0] == rows[2]).any())
    ((3, 112), True, False)
    """
    return minhash.signatures(*shingles(texts, ngram), *minhash.permutations(permutations, seed))


def _strings(texts: pa.Array | Sequence[str]) -> pa.Array:
    return texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.large_string())


def band_names(bands: int) -> list[str]:
    """Name the columns of bands.

    >>> band_names(2)
    ['band_00', 'band_01']
    """
    return [f"band_{band:02d}" for band in range(bands)]


_BESIDE = (
    pa.field("content", pa.uint64()),
    pa.field("shingles", pa.int64(), nullable=False),
    pa.field("rank", pa.float64(), nullable=False),
    pa.field("document", pa.string(), nullable=False),
)


def memory_needed(sources: Sequence[str], old: int = 0) -> int:
    """Return what a worker needs for the documents of some datasets and `old` ones of an index."""
    rows = sum(Dataset(source).rows for source in sources)
    return max(components_bytes(rows + old), bucket_rows(rows) * LINK_BYTES)


@dataclass(frozen=True)
class Signatures(Stage):
    """Writes the band hashes of every document, references first; null where it has no words.

    Beside them: `content`, a hash of its normalised words in order; `shingles`, how many it has, repeats
    included (0 without words); its `rank` under the survivor policy; and its id, as `document`.
    """

    name: ClassVar[str] = "dedup.minhash.signatures"

    ngram: int
    bands: int
    rows: int
    seed: int
    keep: str
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of bands."""
        bands = [pa.field(name, pa.uint64()) for name in band_names(self.bands)]
        return pa.schema([*bands, *_BESIDE])

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part, the references first.

        Raises:
            DoesNotFit: The numbers of all documents, or a bucket of bands, take more than `memory`.
            UsageError: The policy's signal is not in the documents.
        """
        check_memory("dedup.minhash", memory_needed((*self.against, *sources)), self.memory)
        return reference_tasks(self.against, sources, self.keep)

    def run(self, task: Task) -> Iterator[Split]:
        """Compute the bands of one part."""
        schema = self.writes(task.schema)
        permutations = minhash.permutations(self.bands * self.rows, self.seed)
        for batch in read_batches(task.inputs[0].path, task.schema):
            words, word_offsets = normalised_word_hashes(*buffers(batch["text"]))
            hashes, offsets = ngram_hashes(words, word_offsets, self.ngram, whole=True)
            bands = minhash.band_hashes(minhash.signatures(hashes, offsets, *permutations), self.bands)
            counts = np.diff(offsets)
            columns = [pa.array(band, mask=counts == 0) for band in bands]
            columns.append(pa.array(minhash.sequence_hashes(words, word_offsets), mask=counts == 0))
            rank = reference_rank(batch) if task.work["reference"] else ranks(batch, self.keep)
            columns += [pa.array(counts), pc.fill_null(rank, -np.inf), batch["id"]]
            yield Split(pa.RecordBatch.from_arrays(columns, schema=schema))
