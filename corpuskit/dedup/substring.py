"""`dedup substring`: keep one copy of each stretch of text of 50 words or more, and cut the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from corpuskit import settings
from corpuskit.dedup.cutting import CutRepeats
from corpuskit.dedup.index import INDEX_HELP
from corpuskit.dedup.repeats import Repeating
from corpuskit.errors import UsageError

__all__ = ["Substring"]


@dataclass(frozen=True)
class Substring(Repeating):
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

    With an `index`, what occurred in an earlier batch is cut too, and the twin is the document there. Runs in
    turn cut what one run over all would. The index keeps the key of every distinct run: see docs/dedup.md for
    what that takes.

    Steps: windows (keys of runs), repeats, cut; with an index, generations (what there is) before them, and
    kept (what is new to it) after repeats.

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
    index: str | None = settings.setting(None, INDEX_HELP, content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UsageError(f"{self.name}: length is {self.length}", fix="at least 1 word")
        if self.min_left is not None and self.min_left < 0:
            raise UsageError(f"{self.name}: min_left is {self.min_left}", fix="0 or more characters")

    @property
    def made_with(self) -> tuple[str, ...]:
        """What an index must have been made with."""
        return (f"kind={self.name}", f"length={self.length}")

    def cutter(self) -> CutRepeats:
        """Return the last step."""
        return CutRepeats(self.name, "word", self.length, False, self.min_left)
