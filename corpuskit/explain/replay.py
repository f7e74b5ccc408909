"""The texts of one document between the stages of a pass, which were never written: rebuilt from what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corpuskit.dataset import Dataset
from corpuskit.explain.archive import extract_again
from corpuskit.explain.lookup import Row

__all__ = ["Replay", "apply"]

Reject = Mapping[str, Any]


class Replay:
    """One document on its way through the stages of one dataset.

    A stage that cut nothing left the text as it was, and one that cut says where: so the text that
    came in and the spans give every text in between, and so does the text that went out, backwards,
    up to the last cut. Where neither reaches and the first stage read an archive, the record is
    extracted again.
    """

    def __init__(
        self, dataset: Dataset, came: Row | None, left: Row | None, rejects: Sequence[Reject]
    ) -> None:
        """Take the document as it came in and as it left (null: it did not), and what was rejected of it."""
        self._dataset = dataset
        origins = [row.columns.get("origin") for row in (came, left) if row]
        origins += [reject["origin"] for reject in rejects]
        self._origin = next((origin for origin in origins if origin), None)
        stages = dataset.manifest["stages"]
        self.rejects = [[reject for reject in rejects if _is_of(reject, stage)] for stage in stages]
        """What each stage rejected of the document."""
        self._texts: list[bytes | None] = [came.text if came else None, *[None] * len(stages)]
        self._texts[-1] = left.text if left else None
        self._is_piece = left is not None and "#" in left.id and (came is None or came.id != left.id)
        self._tried = came is not None or stages[0]["name"] != "crawl.warc"
        self._spread()

    def before(self, place: int) -> bytes | None:
        """Return the text that came into the stage at `place`, in UTF-8; null where it cannot be rebuilt."""
        if self._texts[place] is None and place and not self._tried:
            self._tried = True
            if self._texts[1] is None and self._origin is not None:
                self._texts[1] = extract_again(self._dataset, self._origin)
            self._spread()
        return self._texts[place]

    @property
    def last(self) -> bytes | None:
        """The last text the document had: as it left, or as it came into the stage that rejected it."""
        for place, rejects in enumerate(self.rejects):
            if any(reject["start"] is None for reject in rejects):
                return self.before(place)
        return self._texts[-1]

    def _spread(self) -> None:
        """Fill in every text that follows from a neighbour."""
        for place, rejects in enumerate(self.rejects):
            if any(reject["start"] is None for reject in rejects):
                break
            text, wrote = self._texts[place], any(reject["value"] for reject in rejects)
            if (
                text is not None
                and self._texts[place + 1] is None
                and not wrote
                and not (rejects and self._is_piece)
            ):
                self._texts[place + 1] = apply(text, rejects)
        for place in reversed(range(1, len(self.rejects))):
            if self._texts[place] is None and not self.rejects[place]:
                self._texts[place] = self._texts[place + 1]


def _is_of(reject: Reject, stage: Mapping[str, Any]) -> bool:
    """Say whether a stage made a reject: a pass may run one kind of stage twice, with different rules."""
    return reject["stage"] == stage["name"] and reject["rule"] in stage["rules"]


def apply(text: bytes, cuts: Sequence[Reject]) -> bytes:
    """Cut spans out of a text.

    >>> apply(b"0123456789", [{"start": 2, "end": 4}, {"start": 8, "end": 10}])
    b'014567'
    """
    for cut in sorted(cuts, key=lambda cut: cut["start"], reverse=True):
        text = text[: cut["start"]] + text[cut["end"] :]
    return text
