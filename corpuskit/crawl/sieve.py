"""Tell which of many regular expressions may match a text: RE2 tries them all in one pass."""

from __future__ import annotations

import re
from collections.abc import Sequence

import re2

__all__ = ["Sieve"]

_LOOKAHEAD = re.compile(r"\(\?![^()]*\)")
_CLASS_WITH_SPACE = re.compile(r"\[[^\]]*\\s")


class Sieve:
    r"""Some of Python's regular expressions, loosened until RE2 reads them the same or matches more.

    >>> sieve = Sieve([r"^comment(?!ary)", r"\Aad\Z", r"(\s|^)x"])
    >>> sieve.may_match("commentary"), sieve.may_match("ad"), sieve.may_match("ads")
    ([0], [1], [])
    """

    def __init__(self, expressions: Sequence[str]) -> None:
        self._set = re2.Set.SearchSet(_options())
        self._numbers: list[int] = []
        self._always: list[int] = []
        for number, expression in enumerate(expressions):
            loose = _loosen(expression)
            if loose is None:
                self._always.append(number)
            else:
                self._set.Add(loose)
                self._numbers.append(number)
        if self._numbers:
            self._set.Compile()

    def may_match(self, text: str) -> list[int]:
        """Number the expressions that may match anywhere in `text`, in order; the others do not."""
        found = [self._numbers[place] for place in self._set.Match(text) or ()] if self._numbers else []
        return sorted([*found, *self._always])


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _loosen(expression: str) -> str | None:
    """Return what RE2 can take and what matches at least as much; null where there is no such thing."""
    if _CLASS_WITH_SPACE.search(expression):
        return None
    loose = _LOOKAHEAD.sub("", expression).replace(r"\Z", r"\z").replace(r"\ ", " ")
    loose = loose.replace(r"\s", "(?s:.)")  # Python's white space is Unicode's
    loose = loose.replace("$", "")  # Python's also matches before a last newline
    try:
        re2.compile(loose, _options())
    except re2.error:
        return None
    return loose
