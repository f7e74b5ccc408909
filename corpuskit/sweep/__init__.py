"""`sweep`: what other bounds of a rule would keep, from the signals that are stored: nothing is run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from corpuskit.dataset import Dataset, read_batches
from corpuskit.errors import InputError, UsageError
from corpuskit.filter.signals import SIGNALS
from corpuskit.filter.tables import BUILT_IN, Rule, load
from corpuskit.settings import suggest
from corpuskit.sweep.counting import REJECTED, Count, Example, Rejected, Step

__all__ = ["Example", "Filtered", "Step", "Sweep", "sweep"]

Direction = Literal["min", "max"]

_MOST_STEPS = 1_000


@dataclass(frozen=True)
class Filtered:
    """A rule on the same signal that took documents away before they came into the dataset.

    `dataset` is null for the stages that wrote the dataset itself, whose rejects have the values; otherwise
    it is the name of the dataset before it.
    """

    rule: str
    documents: int
    dataset: str | None = None


@dataclass(frozen=True)
class Sweep:
    """What `sweep` found.

    Attributes:
        path: The dataset.
        rule: The rule, or the column.
        signal: The column with the values.
        direction: Whether the bounds are least or greatest values.
        documents, words: All that the dataset holds.
        unjudged: Documents that any bound keeps: without a value, or in a language the rule is not meant for.
        rejected: Documents that rules on this signal alone had rejected, of which steps may return some.
        filtered: The rules that had taken documents away.
        steps: What each bound would keep.
    """

    path: str
    rule: str
    signal: str
    direction: Direction
    documents: int
    words: int
    unjudged: int
    rejected: int
    filtered: tuple[Filtered, ...]
    steps: tuple[Step, ...]

    def json(self) -> dict[str, Any]:
        """Return everything as plain JSON values; shares are null where there is nothing."""
        found = dataclasses.asdict(self)
        for told, step in zip(found["steps"], self.steps, strict=True):
            told["documents_share"] = _ratio(step.documents + step.returned, self.documents + self.rejected)
            told["words_share"] = _ratio(step.words, self.words)
            for example in told["examples"]:
                del example["distance"]
        return found

    def text(self) -> str:
        """Return a table and the examples for a terminal of 80 columns, without colour."""
        from corpuskit.sweep.story import tell

        return "\n".join(tell(self)) + "\n"


def sweep(
    path: str, rule: str, low: float, high: float, *, steps: int = 5, direction: Direction | None = None
) -> Sweep:
    """Count what each of `steps` bounds from `low` to `high` would keep of a finished dataset.

    `rule` is the name of a rule (`gopher.word_count.min`), whose signal and direction its table tells; a rule
    of your own with its table's path before it (`tables/mine.toml:word_count.min`); or a column of numbers,
    with a `direction`: whether the bounds are least (`min`) or greatest (`max`) values. Only the columns it
    needs are read, a batch at a time. Bounds of whole numbers are rounded to such.

    A dataset that the rule has filtered no longer holds what the rule rejected. Where its own rejects name a
    document for rules on this signal alone, it counts as rejected, and as returned where a bound would keep
    it.

    Raises:
        UsageError: There is no such rule, it cuts lines, or the bounds are no range.
        InputError: There is no finished dataset at `path`, or it does not hold the signal.
    """
    dataset = Dataset(path)
    known, name = _known_rules(rule)
    judged = _find(dataset, known, name, direction)
    alike = _alike(known, judged)
    bounds = _bounds(low, high, steps, whole=pa.types.is_integer(dataset.schema.field(judged.signal).type))
    counted = Count(judged, bounds)
    for batch in dataset.batches([*counted.columns(dataset.schema)]):
        counted.add(batch)
    rejected = Rejected(judged, bounds)
    for part in dataset.rejects:
        rejected.add(read_batches(dataset.path_of(part), REJECTED, REJECTED.names), alike)
    return Sweep(
        path=dataset.path,
        rule=rule,
        signal=judged.signal,
        direction="max" if judged.low is None else "min",
        documents=dataset.rows,
        words=counted.words,
        unjudged=counted.unjudged,
        rejected=rejected.documents,
        filtered=tuple(_filtered(dataset.manifest, alike, None)),
        steps=tuple(map(counted.step, range(len(bounds)), rejected.returned.tolist())),
    )


def _known_rules(name: str) -> tuple[dict[str, Rule], str]:
    """Read the built-in tables, and that of the rule named; return all rules, and its name among them."""
    path, colon, own = name.rpartition(".toml:")
    tables = [load(built_in) for built_in in BUILT_IN]
    if colon:
        table = load(f"{path}.toml")
        tables.append(table)
        name = f"{table.name}.{own}"
    return {rule.name: rule for table in tables for rule in table.rules}, name


def _find(dataset: Dataset, known: Mapping[str, Rule], name: str, direction: Direction | None) -> Rule:
    """Return the rule of a name, or make one of a column; its bound does not matter."""
    columns = {field.name for field in dataset.schema if _is_number(field.type)}
    if name in known:
        rule = known[name]
        if rule.scope != "document":
            raise UsageError(f"{name} cuts {rule.scope}s, whose values are not stored")
        _check_columns(dataset, rule.signal)
        if direction not in (None, "max" if rule.low is None else "min"):
            raise UsageError(f"{name} has a direction of its own", fix="leave --direction out")
        return rule
    if name not in columns and name not in SIGNALS:
        close = suggest(name, {*known, *columns, *SIGNALS})
        fix = f"name a rule such as gopher.word_count.min, or a column: {', '.join(sorted(columns))}"
        raise UsageError(
            f"there is no rule and no signal {name!r}", fix=close if close.startswith("did") else fix
        )
    _check_columns(dataset, name)
    if direction is None:
        raise UsageError(
            f"{name!r} is a signal, which has no direction", fix="add --direction min, or --direction max"
        )
    return Rule(name, name, 0.0 if direction == "min" else None, 0.0 if direction == "max" else None)


def _check_columns(dataset: Dataset, signal: str) -> None:
    if signal not in dataset.schema.names:
        write = f"corpuskit filter rules {dataset.path} TARGET --tables '' --signals {signal}"
        raise InputError(f"{dataset.path} has no column {signal!r}", fix=f"write it: {write}")
    if not {"id", "text"} <= set(dataset.schema.names):
        raise InputError(f"{dataset.path} does not hold documents: it has no id or no text")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _alike(known: Mapping[str, Rule], judged: Rule) -> set[str]:
    """Name the rules that judge the same signal from the same side."""
    return {
        name
        for name, rule in known.items()
        if rule.scope == "document"
        and rule.signal == judged.signal
        and (rule.low is None) == (judged.low is None)
    }


def _bounds(low: float, high: float, steps: int, *, whole: bool) -> list[float]:
    if not (np.isfinite([low, high]).all() and low <= high):
        raise UsageError(f"{low:g} to {high:g} is no range", fix="give LOW, then HIGH")
    if not 1 <= steps <= _MOST_STEPS:
        raise UsageError(f"steps is {steps}", fix=f"1 to {_MOST_STEPS:,}")
    found = np.linspace(low, high, steps if high > low else 1)
    return sorted(set((np.round(found) if whole else found.round(12)).tolist()))


def _filtered(told: Mapping[str, Any], alike: set[str], dataset: str | None) -> Iterator[Filtered]:
    """Name the rules on the signal that took documents away, in the stages that led to a dataset."""
    for stage in told["stages"]:
        for name, count in stage["rules"].items():
            if name in alike and count["documents"]:
                yield Filtered(name, count["documents"], dataset)
    for source in told["inputs"]:
        if source["kind"] == "dataset":
            yield from _filtered(source, alike, source["name"])


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
