"""`dedup lines`: keep one copy of each paragraph, line or three-sentence span, and cut the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from corpuskit import settings
from corpuskit.dedup.cutting import CutRepeats
from corpuskit.dedup.repeats import Repeats
from corpuskit.dedup.units import Unit
from corpuskit.dedup.windows import Windows
from corpuskit.errors import UsageError
from corpuskit.stage import Chain, Step

__all__ = ["Lines"]


@dataclass(frozen=True)
class Lines(Chain):
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

    Steps: windows (keys of units), repeats, cut.

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
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"{self.name}: n is {self.n}", fix="at least 1 sentence")

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return dict(self.steps()[0].stage.content())

    def steps(self) -> tuple[Step, ...]:
        """List the steps: windows, repeats, cut."""
        unit: Unit = "sentence" if self.unit == "sentences" else self.unit
        n = self.n if unit == "sentence" else 1
        return (
            Step(Windows(unit, n, self.normalised, self.against, self.memory), sources=True),
            Step(Repeats(unit, n, self.against, self.memory), steps=(0,), sources=True),
            Step(CutRepeats(self.name, unit, n, self.normalised), steps=(1,), sources=True),
        )
