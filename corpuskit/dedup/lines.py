"""`dedup lines`: keep one copy of each paragraph, line or three-sentence span, and cut the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from corpuskit import settings
from corpuskit.dedup.cutting import CutRepeats
from corpuskit.dedup.index import INDEX_HELP
from corpuskit.dedup.repeats import Repeating
from corpuskit.errors import UsageError

__all__ = ["Lines"]


@dataclass(frozen=True)
class Lines(Repeating):
    """Keeps the first copy of each paragraph, line or span of sentences, and cuts the others.

    First is what comes first in the order of sources, parts, rows and text; `against` references come before
    everything and are never cut. Paragraphs are set apart by blank lines, sentences by
    `corpuskit.kernels.sentences` and by lines. Blank lines are nobody's copy.

    With `sentences`, every run of `n` sentences that occurred before is cut, as it came in: whether or not
    the earlier copy was itself cut in part. So a sentence that is cut is kept elsewhere, but the run of which
    it is cut may be kept in two places. Within a document two runs that overlap are not copies of one
    another. A document of fewer than `n` sentences has no run.

    Same is what has the same bytes, white space around it apart; with `normalised`, the same normalised words
    (`corpuskit.kernels.words.normalise`), and what has none is kept. Texts are compared by 128-bit hashes.

    Rejects: a cut is a span with the rule `lines.repeat`, whose `twin` is the document of the first copy. The
    white space after it goes with it; at the end of a text that before it. A document of which only white
    space is left goes as a whole, by the same rule.

    With an `index`, what occurred in an earlier batch is cut too, and the twin is the document there. Runs in
    turn cut what one run over all would.

    Steps: windows (keys of units), repeats, cut; with an index, generations (what there is) before them, and
    kept (what is new to it) after repeats.

    Source: Raffel et al. 2020 (C4), section 2.2: "we discarded all but one of any three-sentence span
    occurring more than once in the data set". Deviation: which one is kept is settled: the first.

    >>> [step.stage.name for step in Lines(unit="sentences").steps()]
    ['dedup.repeats.windows', 'dedup.repeats.repeats', 'dedup.repeats.cut']
    """

    name: ClassVar[str] = "dedup.lines"

    unit: Literal["paragraph", "line", "sentences"] = settings.setting(
        "line", "what is kept once: paragraph, line, or a span of sentences"
    )
    n: int = settings.setting(3, "sentences in a span, with --unit sentences")
    normalised: bool = settings.setting(False, "compare lower-case alphanumeric words, not bytes")
    against: tuple[str, ...] = settings.setting(
        (), "datasets whose lines count as seen, and are never cut", content=False
    )
    index: str | None = settings.setting(None, INDEX_HELP, content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"{self.name}: n is {self.n}", fix="at least 1 sentence")

    @property
    def made_with(self) -> tuple[str, ...]:
        """What an index must have been made with."""
        told = {"kind": self.name, "unit": self.unit, "n": self.cutter().n, "normalised": self.normalised}
        return tuple(f"{key}={value}" for key, value in told.items())

    def cutter(self) -> CutRepeats:
        """Return the last step."""
        if self.unit == "sentences":
            return CutRepeats(self.name, "sentence", self.n, self.normalised)
        return CutRepeats(self.name, self.unit, 1, self.normalised)
