"""What can go wrong, each with the exit code that tells cron what to do."""

from __future__ import annotations

__all__ = [
    "CorpuskitError",
    "DoesNotFit",
    "InputError",
    "TargetError",
    "TooManyBadRecords",
    "TryLater",
    "UsageError",
]


class CorpuskitError(Exception):
    """A failure the user can act on: what happened, where, and how to fix it.

    >>> print(UsageError("no setting 'treshold' in dedup.minhash", fix="did you mean 'threshold'?"))
    no setting 'treshold' in dedup.minhash
    fix: did you mean 'threshold'?
    """

    exit_code = 1

    def __init__(self, what: str, *, fix: str | None = None) -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\nfix: {self.fix}" if self.fix else self.what

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.fix)


def _rebuild(kind: type[CorpuskitError], what: str, fix: str | None) -> CorpuskitError:
    return kind(what, fix=fix)


class UsageError(CorpuskitError):
    """A wrong command, option, recipe or rule table."""

    exit_code = 2


class InputError(CorpuskitError):
    """Input that is missing, unreadable, changed since the run began, or matches nothing."""

    exit_code = 3


class TargetError(CorpuskitError):
    """A target that already holds something else."""

    exit_code = 4


class TooManyBadRecords(CorpuskitError):
    """More bad records than `--max-bad` allows."""

    exit_code = 5


class DoesNotFit(CorpuskitError):
    """Work that does not fit into the memory or the disk there is."""

    exit_code = 6


class TryLater(CorpuskitError):
    """A passing hindrance: the network, a quota, or another run that holds the lock."""

    exit_code = 75
