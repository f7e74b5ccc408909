"""`filter rules`: judge documents by tables of rules such as Gopher's, C4's and FineWeb's, and cut lines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.document import IMAGES, empty_rejects, reject_rows
from corpuskit.errors import InputError, UsageError
from corpuskit.filter import signals
from corpuskit.filter.edits import Edits
from corpuskit.filter.signals import LISTED, SIGNALS, Lines
from corpuskit.filter.signals.words import WORDS_BEFORE
from corpuskit.filter.tables import BUILT_IN, SPAN_SIGNALS, WORD_LISTS, Rule, Table, load_all
from corpuskit.kernels.utf8 import Offsets
from corpuskit.settings import setting, suggest
from corpuskit.stage import Split, Stage

__all__ = ["Rules"]

Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rules(Stage):
    """Keep the documents that break no rule, and cut from them the lines that do.

    Tables are applied in the order given, each to what the one before left: first its spans and lines are
    cut, then its document rules see the rest. Every broken rule is recorded, also of a document that is
    rejected already. A signal that is null (undefined) breaks no rule. Signals become columns, of the text
    as it is kept. `removed_word_ratio` alone looks back: before a table cuts, the words of each text are
    counted, and its document rules see what share of them its cuts took away.

    A reject that is a cut has a bound but no value. Where a line breaks several rules, the first has the span
    of bytes, the others an empty span where it begins. Blank lines go with the lines they set apart.

    Source: the tables name their papers, row by row. The default is FineWeb's stack (arXiv:2406.17557).

    Raises:
        UsageError: A table or signal that does not exist, or a table with something wrong in it.

    >>> from corpuskit.testing import documents
    >>> split = Rules(tables=("gopher",)).split(documents(["Too short."]))
    >>> [row["value"] for row in split.rejected.to_pylist() if row["rule"] == "gopher.word_count.min"]
    [2.0]
    """

    name = "filter.rules"

    tables: tuple[str, ...] = setting(
        ("gopher", "c4-fineweb", "fineweb"),
        f"rule tables, in order: {', '.join(BUILT_IN)}, or the path of your own TOML file",
        content=False,  # the digest covers what the tables hold, not where they lie
    )
    signals: tuple[str, ...] = setting((), "signals to write as columns besides those the tables use")
    signals_only: bool = setting(False, "write the signals, judge nothing: every document is kept as it is")
    keep_signals: bool = setting(True, "write the signals that the tables use as columns")
    lists: tuple[str, ...] = setting(
        (),
        "lists that signals shall read, one entry a line, as SIGNAL=FILE: question_overlap=questions.txt",
        content=False,
    )

    def __post_init__(self) -> None:
        """Read the tables now: what is wrong with them is said before any work begins."""
        for name in self.signals:
            if name not in SIGNALS:
                raise UsageError(f"{self.name}: unknown signal {name!r}", fix=suggest(name, SIGNALS))
        if not self._tables and not self.signals:
            raise UsageError(
                f"{self.name}: no table and no signal is named", fix=f"--tables {','.join(BUILT_IN)}"
            )
        lists = self._lists
        if "question_overlap" in self._used and "question_overlap" not in lists:
            raise UsageError(
                f"{self.name}: question_overlap has no questions", fix="--lists question_overlap=FILE"
            )

    @cached_property
    def _tables(self) -> tuple[Table, ...]:
        """The tables as they were read first; they travel with the stage to every worker."""
        return load_all(self.tables)

    @cached_property
    def _lists(self) -> dict[str, tuple[str, ...]]:
        """The lists of the user's, by the signal that reads them; they travel with the stage too."""
        found = {}
        for item in self.lists:
            signal, equals, path = item.partition("=")
            if signal not in LISTED or not path:
                hint = suggest(signal, LISTED) if equals else f"write SIGNAL={item}"
                raise UsageError(f"{self.name}: lists has {item!r}", fix=hint)
            found[signal] = _read_list(path)
        return found

    @cached_property
    def _used(self) -> frozenset[str]:
        """Every signal that is judged or written."""
        return frozenset(rule.signal for table in self._tables for rule in table.rules) | {*self._columns}

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        """The signals that become columns, in the order of the tables."""
        used = [
            name
            for table in self._tables
            for name in [
                *(rule.signal for rule in table.scoped("document") if not rule.column),
                *table.signals,
            ]
        ]
        return tuple(dict.fromkeys([*(used if self.keep_signals else []), *self.signals]))

    @cached_property
    def _counts_removed(self) -> bool:
        """Whether the words before each table's cuts must be counted."""
        rules = [rule.signal for table in self._tables for rule in table.rules]
        return "removed_word_ratio" in (*rules, *self._columns)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say which signals become columns.

        Raises:
            InputError: A rule judges a column that the documents have not, or that holds no numbers.
        """
        for rule in (rule for table in self._tables for rule in table.rules if rule.column):
            at = schema.get_field_index(rule.signal)
            if at < 0 or not _is_number(schema.field(at).type):
                what = f"{rule.name} judges {rule.signal!r}, and the documents have no such column of numbers"
                raise InputError(
                    what, fix="write it first, as filter embed writes scores; or take the rule out"
                )
        for name in self._columns:
            at, field = schema.get_field_index(name), pa.field(name, SIGNALS[name].type)
            schema = schema.append(field) if at < 0 else schema.set(at, field)
        return schema

    def content(self) -> Mapping[str, str]:
        """Return the digests of the tables, in their order, and of the word lists their signals use."""
        found = {f"table {number} {table.name}": table.sha256 for number, table in enumerate(self._tables, 1)}
        lists = {name: path for name, path in WORD_LISTS.items() if name in self._used - self._lists.keys()}
        found |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in lists.values()}
        own = {name: "\n".join(lines) for name, lines in self._lists.items() if name in self._used}
        return found | {
            f"list {name}": hashlib.sha256(text.encode()).hexdigest() for name, text in own.items()
        }

    def split(self, batch: pa.RecordBatch) -> Split:
        """Cut, judge, and write the signals of what is left."""
        schema = self.writes(batch.schema)
        judged = _Judged(batch, self.name, self._lists)
        tables = () if self.signals_only else self._tables
        for number, table in enumerate(tables):
            if table.cuts and self._counts_removed:
                judged.count_words()
            judged.cut_spans(table.scoped("span"))
            judged.cut_lines(table.scoped("line"))
            judged.drop_images(table.scoped("image"))
            final = not any(later.cuts for later in tables[number + 1 :])
            judged.judge(table.scoped("document"), self._columns if final else ())
        found = judged.values(self._columns) | {"text": judged.text}
        if IMAGES.name in batch.schema.names:
            found[IMAGES.name] = judged.images
        columns = [found[field.name] if field.name in found else batch[field.name] for field in schema]
        kept = pa.RecordBatch.from_arrays(columns, schema=schema).filter(pa.array(~judged.gone))
        return Split(kept, pa.concat_batches([empty_rejects(), *judged.rejects]))


class _Judged:
    """A batch on its way through the tables: its texts as they are left, their signals, and the rejects."""

    def __init__(self, batch: pa.RecordBatch, stage: str, lists: Mapping[str, tuple[str, ...]]) -> None:
        self.rejects: list[pa.RecordBatch] = []
        self.gone: Chosen = np.zeros(len(batch), bool)
        self._none: Chosen = np.zeros(len(batch), bool)
        self._batch = batch
        self._stage = stage
        self._lists = lists
        self._edits = Edits(batch["text"])
        self._now = batch
        self._values: dict[str, pa.Array] = {}
        self._stale: dict[str, Chosen] = {}

    @property
    def text(self) -> pa.LargeStringArray:
        """The texts as they are left."""
        return self._now["text"]

    @property
    def images(self) -> pa.ListArray:
        """The images as they are left."""
        return self._now[IMAGES.name]

    def values(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """Return signals of the texts as they are left; those known already only change where a text did."""
        new = [name for name in names if name not in self._values]
        changed = np.logical_or.reduce(
            [self._none, *(self._stale[name] for name in names if name not in new)]
        )
        for name in new:
            self._values[name] = pa.nulls(len(self._now), SIGNALS[name].type)
        old = [name for name in names if name in new or self._stale[name].any()]
        for rows, wanted in ((changed, old), (~changed, new)):
            if wanted and rows.any():
                mask = pa.array(rows)
                changed_rows = self._now if rows.all() else self._now.filter(mask)
                found = signals.compute(wanted, changed_rows, self._lists)
                for name in wanted:
                    self._values[name] = pc.replace_with_mask(self._values[name], mask, found[name])
        self._stale |= {name: self._none.copy() for name in old}
        return {name: self._values[name] for name in names}

    def count_words(self) -> None:
        """Note how many words the texts have before a table cuts them, for `removed_word_ratio`."""
        before = self.values(["word_count"])["word_count"]
        at = self._now.schema.get_field_index(WORDS_BEFORE)
        add = self._now.append_column if at < 0 else partial(self._now.set_column, at)
        self._now = add(WORDS_BEFORE, before)
        self._values.pop("removed_word_ratio", None)
        self._stale.pop("removed_word_ratio", None)

    def judge(self, rules: Sequence[Rule], columns: Sequence[str]) -> None:
        """Reject the documents that break rules; signals for `columns` are computed on the way."""
        signals_ = [rule.signal for rule in rules if not rule.column]
        values = self.values(list(dict.fromkeys([*signals_, *columns])))
        values |= {rule.signal: self._batch[rule.signal] for rule in rules if rule.column}
        for rule in rules:
            rows = np.flatnonzero(_broken(rule, values[rule.signal]) & self._meant(rule))
            if len(rows):
                value = values[rule.signal].take(pa.array(rows)).cast(pa.float64())
                self._reject(rule, rows, value=value)
                self.gone[rows] = True

    def cut_spans(self, rules: Sequence[Rule]) -> None:
        """Cut what span signals find."""
        for rule in rules:
            found = SPAN_SIGNALS[rule.signal](self._now)
            meant = self._meant(rule)[found.text]
            self._cut(
                [(rule, np.ones(int(meant.sum()), bool))],
                *(values[meant] for values in (found.text, found.starts, found.ends)),
            )

    def cut_lines(self, rules: Sequence[Rule]) -> None:
        """Cut the lines that break rules."""
        if not rules:
            return
        lines = signals.compute_lines(dict.fromkeys(rule.signal for rule in rules), self._now)
        broken = [_broken(rule, lines.columns[rule.signal]) & self._meant(rule)[lines.text] for rule in rules]
        gone = np.logical_or.reduce(broken)
        starts, ends = _tidy(lines, gone, np.diff(self._edits.offsets))
        reasons = [(rule, where[gone]) for rule, where in zip(rules, broken, strict=True)]
        self._cut(reasons, lines.text[gone], starts[gone], ends[gone])

    def drop_images(self, rules: Sequence[Rule]) -> None:
        """Drop the images that break rules from their documents; each is a reject with an empty span."""
        if not rules or IMAGES.name not in self._now.schema.names:
            return
        names = dict.fromkeys(rule.signal for rule in rules)
        rows, values = signals.compute_images(names, self._now)
        images = self._now[IMAGES.name].flatten()
        gone = np.zeros(len(rows), bool)
        for rule in rules:
            broken = _broken(rule, values[rule.signal])
            which = pa.array(np.flatnonzero(broken))
            places = images.field("offset").take(which)
            self._reject(rule, rows[broken], start=places, end=places)
            gone |= broken
        if gone.any():
            counts = np.bincount(rows[~gone], minlength=len(self._now))
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
            left = pa.ListArray.from_arrays(pa.array(offsets), images.filter(pa.array(~gone)))
            at = self._now.schema.get_field_index(IMAGES.name)
            self._now = self._now.set_column(at, self._now.schema.field(at), left)
            for stale in self._stale.values():
                stale[rows[gone]] = True

    def _cut(self, reasons: list[tuple[Rule, Chosen]], rows: Offsets, starts: Offsets, ends: Offsets) -> None:
        """Cut spans of the texts as they are left; `reasons` says which rules each of them breaks."""
        if not len(rows):
            return
        first = self._edits.offsets[rows]
        cuts = self._edits.cut(first + starts, first + ends)
        at = self._now.schema.get_field_index("text")
        self._now = self._now.set_column(at, self._now.schema.field(at), self._edits.text)
        for stale in self._stale.values():
            stale[rows] = True
        heads = np.searchsorted(cuts.which, np.arange(len(rows)))  # the first piece of each span
        taken = np.zeros(len(rows), bool)
        for rule, broken in reasons:
            pieces = np.flatnonzero((broken & ~taken)[cuts.which])
            self._reject(rule, cuts.rows[pieces], start=cuts.starts[pieces], end=cuts.ends[pieces])
            again = heads[broken & taken]
            self._reject(rule, cuts.rows[again], start=cuts.starts[again], end=cuts.starts[again])
            taken |= broken

    def _reject(self, rule: Rule, rows: Offsets, **columns: pa.Array | Offsets) -> None:
        if len(rows):
            arrays = {name: pa.array(values) for name, values in columns.items()}
            self.rejects.append(
                reject_rows(self._batch, self._stage, rule.name, pa.array(rows), bound=rule.bound, **arrays)
            )

    def _meant(self, rule: Rule) -> Chosen:
        """Say which documents a rule is meant for: those in its languages, and those of unknown language."""
        if not rule.languages or "lang" not in self._batch.schema.names:
            return np.ones(len(self._batch), bool)
        langs = self._batch["lang"]
        meant = pc.or_(pc.is_in(langs, pa.array(rule.languages, langs.type)), pc.is_null(langs))
        return np.asarray(meant)


def _read_list(path: str) -> tuple[str, ...]:
    """Read the entries of a list; blank lines, and those that begin with #, are none.

    Raises:
        UsageError: It cannot be read, or has none.
    """
    try:
        lines = [line.strip() for line in files.read_bytes(path).decode().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot read the list {path}: {getattr(error, 'strerror', None) or error}"
        raise UsageError(what, fix="check the path") from None
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found:
        raise UsageError(f"the list {path} is empty", fix="write one entry a line")
    return found


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _broken(rule: Rule, values: pa.Array) -> Chosen:
    """Say which values break a rule; null breaks none."""
    numbers = values.cast(pa.float64())
    broken = pc.greater(numbers, rule.high) if rule.low is None else pc.less(numbers, rule.low)
    return np.asarray(pc.fill_null(broken, False))


def _tidy(lines: Lines, gone: Chosen, sizes: Offsets) -> tuple[Offsets, Offsets]:
    """Say what to cut with each line, so that no blank lines pile up and none is left hanging at the end.

    A run of lines takes along the blank lines within it, and those behind it if there are some before it or
    no line is. At the end of a text it also takes the newline before it.
    """
    starts, ends = lines.starts.copy(), lines.ends.copy()
    if not gone.any():
        return starts, ends
    head = np.append(True, lines.text[1:] != lines.text[:-1])  # the first line of its text
    tail = np.append(head[1:], True)
    before = np.where(head, 0, np.append(0, lines.ends[:-1]))
    after = np.where(tail, sizes[lines.text], np.append(lines.starts[1:], 0))
    firsts = np.flatnonzero(gone & (head | np.append(True, ~gone[:-1])))  # of each run
    lasts = np.flatnonzero(gone & (tail | np.append(~gone[1:], True)))
    ends[gone] = after[gone]
    apart = lasts[~head[firsts] & (lines.starts[firsts] == before[firsts]) & ~tail[lasts]]
    ends[apart] = lines.ends[apart]
    starts[firsts[head[firsts]]] = 0
    hanging = firsts[tail[lasts] & ~head[firsts]]
    starts[hanging] = before[hanging] - 1
    return starts, ends
