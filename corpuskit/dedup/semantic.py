"""`dedup semantic`: documents whose vectors point the same way, whatever their words, language or medium."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import ClassVar

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.alike import FARTHEST, Assign, Compare, Settle
from corpuskit.dedup.centroids import Algorithm, Centroids, Sample, rows_of, sample_bytes
from corpuskit.dedup.index import AGAINST_HELP, identities
from corpuskit.dedup.survivors import Survivors, check_keep
from corpuskit.errors import UsageError
from corpuskit.settings import passed_on
from corpuskit.stage import Chain, Step

__all__ = ["Semantic"]

KEEP_HELP = (
    "which of those alike stays: first (in order of inputs), longest, newest, best:SIGNAL, none, or farthest "
    "(least like its cluster's centroid)"
)


@dataclass(frozen=True)
class Semantic(Chain):
    """Drop documents whose vectors are alike: at least `threshold` by their cosine, whatever their words.

    Vectors are columns that `filter embed` writes; of several columns a document is known by the first in
    which it has a vector, so that texts and images of one space are compared. A document without a vector, or
    with one that has no direction (all zeros, NaN, infinity), is like no other and stays; both are counted.

    k-means divides the vectors into clusters. In each, in the order that `keep` prefers, a document follows
    the most alike leader before it, or is a leader. It goes if a leader that it follows stays: so every
    document that goes is at least `threshold` like one that stays, its `twin`. Rows of references (`against`)
    are leaders before all others, and stay.

    Rejects have the rule `semantic.duplicate`, the cosine as `value` and the threshold as `bound`.

    Steps: sample and centroids find the clusters; assign writes documents by cluster; compare finds who is
    like whom; settle decides over all clusters; survivors drops.

    Source: SemDeDup (Abbas et al. 2023, arXiv:2303.09540), whose eps is 1 - `threshold`. Deviations: what is
    only like a document that goes itself stays, where SemDeDup drops it too, and so on without end; a
    document is also compared in the second nearest cluster (`probes`), as many pairs lie on both sides of a
    border; k-means learns from a sample.

    Raises:
        UsageError: A setting outside its range.

    >>> [step.stage.name.rsplit(".", 1)[-1] for step in Semantic().steps()]
    ['sample', 'centroids', 'assign', 'compare', 'settle', 'survivors']
    """

    name: ClassVar[str] = "dedup.semantic"

    column: tuple[str, ...] = settings.setting(
        ("embedding",), "columns of vectors; the first that a document has"
    )
    threshold: float = settings.setting(0.95, "cosine from which documents are alike: 1 - SemDeDup's eps")
    clusters: int | None = settings.setting(None, "clusters; by default one for every 5,000 documents")
    probes: int = settings.setting(2, "nearest clusters in which a document is compared; SemDeDup has 1")
    algorithm: Algorithm = settings.setting("sklearn", "what finds the clusters; faiss is an extra")
    keep: str = settings.setting("first", KEEP_HELP)
    against: tuple[str, ...] = settings.setting((), AGAINST_HELP, content=False)
    seed: int = settings.setting(0, "another seed gives other clusters")
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        check_keep(self.keep, FARTHEST)
        if not 0 < self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold}", fix="a cosine above 0 and up to 1")
        if not self.column or len(set(self.column)) < len(self.column):
            raise UsageError(f"column is {','.join(self.column) or 'empty'}", fix="name each column once")
        for name, least in (("clusters", 1), ("probes", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}", fix=f"at least {least}")
        if self.seed >= 1 << 31:
            raise UsageError(f"seed is {self.seed}", fix="below 2**31")

    def content(self) -> dict[str, str]:
        """Return what identifies the references.

        Raises:
            InputError: A reference is not there.
            UsageError: faiss is asked for and not installed.
        """
        if self.algorithm == "faiss" and importlib.util.find_spec("faiss") is None:
            raise UsageError("faiss is not installed", fix="pip install 'corpuskit[semantic]'")
        return identities(self.against)

    def compares(self) -> tuple[str, ...]:
        """Name the references."""
        return self.against

    def memory_needed(self, *sources: str) -> int:
        """Return about what a worker needs to find the clusters."""
        schema = Dataset(sources[0]).schema
        sizes = [
            getattr(schema.field(name).type, "list_size", 1) for name in self.column if name in schema.names
        ]
        rows = rows_of((*self.against, *sources))
        return rows + sample_bytes(rows, self.clusters, max(sizes, default=1))

    def steps(self) -> tuple[Step, ...]:
        """List the steps: sample, centroids, assign, compare, settle, survivors."""
        last = Survivors(self.name, "semantic.duplicate", self.threshold)
        return (
            Step(passed_on(Sample, self), sources=True),
            Step(passed_on(Centroids, self), steps=(0,), sources=True),
            Step(passed_on(Assign, self), steps=(1,), sources=True),
            Step(passed_on(Compare, self), steps=(2, 1)),
            Step(passed_on(Settle, self), steps=(3,), sources=True),
            Step(last, steps=(4,), sources=True),
        )
