"""`dedup substring`: keep one copy of each stretch of text of 50 words or more, and cut the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from corpuskit import settings
from corpuskit.dedup.cutting import CutRepeats
from corpuskit.dedup.repeats import Repeats
from corpuskit.dedup.windows import Windows
from corpuskit.errors import UsageError
from corpuskit.stage import Chain, Step

__all__ = ["Substring"]


@dataclass(frozen=True)
class Substring(Chain):
    """Cuts every run of at least `length` words that occurs earlier in the corpus.

    Earlier is the order of sources, parts, rows and text; `against` references come before everything and are
    never cut. Words are `corpuskit.kernels.words` (between white space; two letters in scripts without
    spaces), the same to the byte, whatever white space stands between them. Cut is every word that lies in
    any run of `length` words that occurred before, as it came in. So all repeats are found, whatever their
    length; each word that is cut is kept elsewhere; and a text that occurs several times is kept where it
    came first, but for words that repeat something yet earlier. Within a document two runs that overlap are
    not copies of one another: of one word a hundred times over, fifty stay.

    Runs are compared by 128-bit hashes, all of them: nothing is sampled. That takes one pass over the text, a
    row of some 18 bytes on disk for each word, and a table of one shard at a time in memory: time and disk
    grow with the text, memory does not. (Past 2 billion words a shard is read several times.)

    Rejects: a cut is a span with the rule `substring.repeat`, whose `twin` is the document where it came
    first. It begins and ends with a word; the white space after it goes with it, at the end of a text that
    before it. A document of which only white space is left goes as a whole, by the same rule; one that is cut
    to fewer than `min_left` characters by `substring.left`.

    Steps: windows (keys of runs), repeats, cut.

    Source: Lee et al. 2022 (arXiv:2107.06499), section 4.1: ExactSubstr, k = 50 tokens; Penedo et al. 2023
    (RefinedWeb), section 3.3. Deviations: tokens are words; one copy is kept; no suffix array.

    >>> [step.stage.name for step in Substring().steps()]
    ['dedup.repeats.windows', 'dedup.repeats.repeats', 'dedup.repeats.cut']
    """

    name: ClassVar[str] = "dedup.substring"

    length: int = settings.setting(50, "fewest words of a repeat")
    min_left: int | None = settings.setting(
        None, "fewest characters left of a document that was cut; else it goes"
    )
    against: tuple[str, ...] = settings.setting(
        (), "datasets whose text counts as seen, and is never cut", content=False
    )
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UsageError(f"{self.name}: length is {self.length}", fix="at least 1 word")
        if self.min_left is not None and self.min_left < 0:
            raise UsageError(f"{self.name}: min_left is {self.min_left}", fix="0 or more characters")

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return dict(self.steps()[0].stage.content())

    def steps(self) -> tuple[Step, ...]:
        """List the steps: windows, repeats, cut."""
        length = self.length
        return (
            Step(Windows("word", length, False, self.against, self.memory), sources=True),
            Step(Repeats("word", length, self.against, self.memory), steps=(0,), sources=True),
            Step(CutRepeats(self.name, "word", length, False, self.min_left), steps=(1,), sources=True),
        )
