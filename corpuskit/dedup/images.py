"""`dedup images`: documents of whose images every one is in another document, or any in a reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings
from corpuskit.dataset import read_batches
from corpuskit.dedup.imagekeys import LARGEST, By, ImageKeys, image_counts, rows_in
from corpuskit.dedup.imagelinks import Equal, Near, links_bytes
from corpuskit.dedup.imagetwins import Alike, Twins
from corpuskit.dedup.index import AGAINST_HELP, identities
from corpuskit.dedup.links import components_bytes
from corpuskit.dedup.numbering import numbered_tasks, read_between
from corpuskit.dedup.survivors import check_keep
from corpuskit.document import empty_rejects, reject_rows
from corpuskit.errors import UsageError
from corpuskit.stage import Chain, Split, Stage, Step, Task

__all__ = ["Images"]

Numbers = npt.NDArray[np.int64]

MOST_DISTANCE = 16
"""Beyond it images that have nothing in common are linked through others by chance."""

KEEP_HELP = (
    "which of a cluster stays: first (in order of inputs), largest (most pixels), longest, newest, "
    "best:SIGNAL, or none"
)


@dataclass(frozen=True)
class Images(Chain):
    """Drop image-text pairs whose image another pair has too, and documents all of whose images others have.

    sha256: the same file, by the `sha256` of the image, else by its bytes. phash: pHashes that differ in at
    most `distance` of their 64 bits. phash+text: that, and the same text but for white space. Images are
    clustered over such links. An image that cannot be decoded, or has no bytes, is like no other.

    For each cluster one document stays, as `keep` says. A document goes if for each of its images another one
    stays, so every image is left at least once. Whatever has any image in common with a row of a reference
    (`against`) goes, whatever the policy; there texts count for nothing, even with phash+text.

    Rejects have the rule `images.BY`, the id of the document that stays as `twin`, and with a pHash the
    distance as `value` and the bound as `bound`: of the first image that has a twin. A value above the bound:
    the two are linked through others. With phash+text, what a reference has goes by the rule `images.phash`.

    Steps: keys, equal and near (links), alike (clusters), twins (in references, then among documents), and
    drop; with phash+text and references the links and clusters a second time, without the texts.

    Source: COYO-700M, data card: equal pHashes against evaluation sets, equal (pHash, text) among pairs.

    Raises:
        UsageError: A setting outside its range.

    >>> [step.stage.name for step in Images(by="phash", distance=4).steps()][1:3]
    ['dedup.images.equal', 'dedup.images.near']
    """

    name: ClassVar[str] = "dedup.images"

    by: By = settings.setting("phash", "what must be the same: sha256, phash, or phash+text")
    distance: int = settings.setting(0, "most bits by which two pHashes may differ")
    keep: str = settings.setting("first", KEEP_HELP)
    against: tuple[str, ...] = settings.setting((), AGAINST_HELP, content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        check_keep(self.keep, LARGEST)
        if not 0 <= self.distance <= MOST_DISTANCE:
            raise UsageError(
                f"distance is {self.distance}", fix=f"a number of bits from 0 to {MOST_DISTANCE}"
            )
        if self.distance and self.by == "sha256":
            raise UsageError("a sha256 is the same or not: distance is for pHashes", fix="use --by phash")

    def content(self) -> dict[str, str]:
        """Return what identifies the references.

        Raises:
            InputError: A reference is not there.
        """
        return identities(self.against)

    def compares(self) -> tuple[str, ...]:
        """Name the references."""
        return self.against

    def memory_needed(self, *sources: str) -> int:
        """Return about what a worker needs for the links, were there one image in each document."""
        images = rows_in((*self.against, *sources))
        return max(components_bytes(images), links_bytes(images))

    def steps(self) -> tuple[Step, ...]:
        """List the steps: keys; equal, near, alike and twins, once or twice; drop."""
        steps = [Step(ImageKeys(self.by, self.keep, self.against), sources=True)]
        texts = self.by == "phash+text"
        hashed = self.by != "sha256"
        clusters, known = self._cluster(steps, texts), []
        if self.against:
            without = self._cluster(steps, texts=False) if texts else clusters
            referred = Twins(self.keep, hashed, references=True, against=self.against)
            known = [len(steps)]
            steps.append(Step(referred, steps=(without,), sources=True))
        twins = Twins(self.keep, hashed, references=False, against=self.against)
        steps.append(Step(twins, steps=(clusters, *known), sources=True))
        found = (len(steps) - 1, *known)
        drop = Drop(self.by, float(self.distance) if hashed else None, bool(known))
        return (*steps, Step(drop, steps=found, sources=True))

    def _cluster(self, steps: list[Step], texts: bool) -> int:
        """Add the steps that link and cluster keys; return the number of the last."""
        links = [len(steps)]
        steps.append(Step(Equal(texts, self.against, self.memory), steps=(0,)))
        if self.distance:
            steps.append(Step(Near(self.distance), steps=(links[0],)))
            links.append(len(steps) - 1)
        steps.append(Step(Alike(self.memory), steps=(0, *links)))
        return len(steps) - 1


@dataclass(frozen=True)
class Drop(Stage):
    """Drops the documents of whose images every one has a twin, or any has one in a reference."""

    name: ClassVar[str] = "dedup.images.drop"

    by: By
    bound: float | None
    references: bool

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part of the documents.

        `sources` are the twins among documents, those in references if there are any, then the documents.
        """
        beside = sources[: 1 + self.references]
        return numbered_tasks(*sources[len(beside) :], beside=beside)

    def run(self, task: Task) -> Iterator[Split]:
        """Divide each batch of one part into survivors and duplicates."""
        first, rows = task.work["first"], task.work["rows"]
        tables = []
        for reference, item in enumerate(task.inputs[1:]):
            table = read_between(item.path, "number", first, first + rows)
            tables.append(table.append_column("reference", pa.array(np.full(len(table), bool(reference)))))
        order = [("number", "ascending"), ("reference", "descending"), ("image", "ascending")]
        found = pa.concat_tables(tables).sort_by(order).combine_chunks()
        numbers = found["number"].to_numpy()
        for batch in read_batches(task.inputs[0].path, task.schema):
            low, high = np.searchsorted(numbers, [first, first + len(batch)])
            yield self._divide(batch, found.slice(low, high - low), numbers[low:high] - first)
            first += len(batch)

    def _divide(self, batch: pa.RecordBatch, found: pa.Table, rows: Numbers) -> Split:
        """Split a batch; `rows` are the rows of `found`, ascending, those of a reference first."""
        twice = np.zeros(len(batch), np.int64)
        np.add.at(twice, rows, found["count"].to_numpy())
        known = np.zeros(len(batch), bool)
        known[rows[np.asarray(found["reference"])]] = True
        gone = np.flatnonzero(known | ((twice > 0) & (twice >= image_counts(batch))))
        firsts = found.take(pa.array(np.searchsorted(rows, gone))).combine_chunks()
        rejected = [empty_rejects()]
        for reference, rule in ((True, self.by.removesuffix("+text")), (False, self.by)):
            mine = np.flatnonzero(known[gone] == reference)
            some = firsts.take(pa.array(mine))
            told = {name: some[name].combine_chunks() for name in ("value", "twin")}
            kind, name = Images.name, f"images.{rule}"
            rejected.append(reject_rows(batch, kind, name, pa.array(gone[mine]), bound=self.bound, **told))
        stays = np.ones(len(batch), bool)
        stays[gone] = False
        return Split(batch.filter(pa.array(stays)), pa.concat_batches(rejected), batch)
