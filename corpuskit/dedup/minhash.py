"""`dedup minhash`: documents that share most of their five-word shingles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from corpuskit import settings
from corpuskit.dedup.clusters import Clusters, Shingles
from corpuskit.dedup.index import (
    AGAINST_HELP,
    INDEX_HELP,
    Generations,
    Indexed,
    check_keep_first,
    rows_of,
)
from corpuskit.dedup.links import Components, Links
from corpuskit.dedup.remember import Remember
from corpuskit.dedup.signatures import (
    PERMUTATIONS,
    Signatures,
    band_names,
    memory_needed,
    shingles,
    signatures,
)
from corpuskit.dedup.survivors import KEEP_HELP, Survivors, check_keep
from corpuskit.errors import UsageError
from corpuskit.stage import Step

__all__ = ["MinHash", "bands_and_rows", "chance_to_meet", "shingles", "signatures"]

RECALL = 0.92
"""Two documents just at the threshold meet at least this often."""


@dataclass(frozen=True)
class MinHash(Indexed):
    """Drops near duplicates: documents in a cluster linked by Jaccard similarities of at least `threshold`.

    Documents are sets of shingles, runs of `ngram` normalised words; one of fewer words is one shingle, and
    one without words is never a duplicate. Two documents meet where all rows of one of their bands are equal.
    Pairs that meet are verified: joined only where the true Jaccard similarity of the sets is at least
    `threshold`. Clusters are closed over such links; the survivor policy keeps one document of each.

    Rejects have the rule `minhash.duplicate`, the id of the survivor as `twin`, its similarity to the
    document as `value` and the threshold as `bound`. A value below the bound: the two are linked through
    others, each at least as similar to the next as the bound asks. Without verification `value` and `bound`
    are null.

    Whatever is in a cluster with a row of a reference (`against`) goes, whatever the policy, with that row as
    its twin. With an `index` the documents of earlier runs count as earlier documents, and clusters are not
    closed: a document goes if it is like any earlier one, kept or not, so that no later document could have
    changed what became of it; its twin is the one that stayed in place of the first it is like, and `value`
    is the similarity to that first.

    Steps: signatures, links and components find candidates; shingles and clusters verify them; survivors
    drops. With an index, generations (what there is) comes before them and remember adds to it.

    Source: Broder 1997; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3; FineWeb
    (arXiv:2406.17557): 5-grams, 14 bands of 8 rows. Deviation: candidates are verified.

    >>> MinHash().shape, MinHash(threshold=0.5).shape, MinHash(bands=450, rows=20).shape
    ((14, 8), (37, 3), (450, 20))
    """

    name: ClassVar[str] = "dedup.minhash"

    threshold: float = settings.setting(0.8, "Jaccard similarity from which documents are near duplicates")
    ngram: int = settings.setting(5, "words in a shingle")
    bands: int | None = settings.setting(None, "bands; by default chosen for the threshold (14 at .8)")
    rows: int | None = settings.setting(None, "rows in a band; by default chosen for the threshold (8 at .8)")
    confirm: bool = settings.setting(True, "compare the shingle sets of documents that meet in a band")
    keep: str = settings.setting("first", KEEP_HELP)
    against: tuple[str, ...] = settings.setting((), AGAINST_HELP, content=False)
    index: str | None = settings.setting(None, INDEX_HELP, content=False)
    seed: int = settings.setting(1, "seed of the permutations")
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        check_keep(self.keep)
        check_keep_first(self.keep, self.index)
        if self.index is not None and not self.confirm:
            raise UsageError("an index holds what is needed to confirm", fix="drop --no-confirm, or --index")
        if not 0 < self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold}", fix="a Jaccard similarity above 0 and up to 1")
        if (self.bands is None) != (self.rows is None):
            raise UsageError(
                "bands and rows belong together", fix="give both, or neither to follow the threshold"
            )
        for name, least in (("ngram", 1), ("bands", 1), ("rows", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}", fix=f"at least {least}")
        if self.seed >= 1 << 32:
            raise UsageError(f"seed is {self.seed}", fix="below 2**32")
        _ = self.shape  # raises where no shape follows from the threshold

    @property
    def shape(self) -> tuple[int, int]:
        """Bands, and rows in each."""
        if self.bands is not None and self.rows is not None:
            return self.bands, self.rows
        return bands_and_rows(self.threshold)

    @property
    def made_with(self) -> tuple[str, ...]:
        """What an index must have been made with."""
        bands, rows = self.shape
        told = {"threshold": self.threshold, "ngram": self.ngram, "bands": bands, "rows": rows}
        return (f"kind={self.name}", *(f"{key}={value}" for key, value in told.items()), f"seed={self.seed}")

    def memory_needed(self, *sources: str) -> int:
        """Return about what a worker needs for the links of all documents, those of the index too."""
        return memory_needed((*self.against, *sources), rows_of(self.index))

    def steps(self) -> tuple[Step, ...]:
        """List the steps: signatures, links, components, shingles (to verify), clusters, survivors."""
        bands, rows = self.shape
        bound = self.threshold if self.confirm else None
        beside = (self.against, self.index)
        steps = [] if self.index is None else [Step(Generations(self.index), sources=True)]
        old, first = tuple(range(len(steps))), len(steps)
        signed = Signatures(self.ngram, bands, rows, self.seed, self.keep, self.against, self.memory)
        steps.append(Step(signed, sources=True))
        steps.append(Step(Links(*beside), steps=(first, *old)))
        steps.append(Step(Components(*beside, self.memory), steps=(first, first + 1, *old)))
        if self.confirm:
            confirm = Shingles(self.ngram, tuple(band_names(bands)), *beside)
            steps.append(Step(confirm, steps=(first, first + 2, *old), sources=True))
        clusters = len(steps)
        found = Clusters(self.keep, bound, *beside, self.memory)
        steps.append(Step(found, steps=(clusters - 1, *old)))
        if self.index is not None:
            hashes = (*band_names(bands), "content")
            remember = Remember(self.index, self.made_with, hashes, self.ngram)
            steps.append(Step(remember, steps=(first, clusters), sources=True))
        last = Survivors(self.name, "minhash.duplicate", bound)
        return (*steps, Step(last, steps=(clusters,), sources=True))


def chance_to_meet(similarity: float, bands: int, rows: int) -> float:
    """Return the chance that two documents of some Jaccard similarity meet in at least one band.

    Source: 1 - (1 - s**rows)**bands; "Mining of Massive Datasets", 3.4.2.

    >>> [round(chance_to_meet(s, 14, 8), 3) for s in (0.7, 0.75, 0.8, 0.85)]
    [0.565, 0.772, 0.924, 0.988]
    """
    return 1.0 - (1.0 - similarity**rows) ** bands


def bands_and_rows(threshold: float, permutations: int = PERMUTATIONS) -> tuple[int, int]:
    """Choose the longest bands by which documents just at the threshold still meet 92 % of the time.

    Longer bands give fewer pairs below the threshold to verify, shorter ones lose fewer above it. datasketch
    weighs both kinds of error alike; verification takes care of the first kind, so this rule bounds the
    second: 112 permutations at .8 give FineWeb's 14 x 8, where datasketch's optimum, 9 x 12, would miss half
    of the pairs at .8.

    Raises:
        UsageError: No shape does: the threshold is too low for so few permutations.

    >>> bands_and_rows(0.8), bands_and_rows(0.9), bands_and_rows(0.5, 256)
    ((14, 8), (9, 12), (64, 4))
    """
    for rows in range(permutations, 0, -1):
        bands = permutations // rows
        if chance_to_meet(threshold, bands, rows) >= RECALL:
            return bands, rows
    raise UsageError(
        f"{permutations} permutations are too few for a threshold of {threshold}",
        fix="raise the threshold, or give bands and rows",
    )
