"""BERT-pytorch's corpus: two sentences that follow each other a line, with a tab between, and their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.kernels.sentences import sentence_starts
from corpuskit.kernels.spans import gathered, trimmed
from corpuskit.kernels.utf8 import buffers, strings
from corpuskit.shard.layout import TRAIN, VAL, Joined, Layout, Shard, index, no_text, refused, write_texts
from corpuskit.shard.layout.jsonl import finished
from corpuskit.stage import Split

__all__ = ["LAYOUT", "SPECIALS", "pairs_of"]

SPECIALS = ("<pad>", "<unk>", "<eos>", "<sos>", "<mask>")
"""The first words of the vocabulary, in the order of BERT-pytorch's."""

_BETWEEN = " \t "
"""`bert-vocab` takes tabs out before it divides words, so without spaces two words would become one."""
_ODD = r"\t\n\v\f\r\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_WHITE = f"(?:[{_ODD}]| [ {_ODD}])[ {_ODD}]*"
"""White space as `str.split` sees it, but for one space alone, of which a text is full."""
_SPECIAL, _WRITTEN = r"<(pad|unk|eos|sos|mask)>", r"&lt;\1>"
_WORDS = pa.schema([pa.field("word", pa.large_string()), pa.field("count", pa.int64())])
_MOST_PENDING = 1 << 22

Numbers = npt.NDArray[np.int64]


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    """Write the lines of one shard; of those that train, count the words."""
    name, path, line = shard.named(".txt"), shard.scratch(), 0
    words = _Words()
    with path.open("wb") as file:
        for batch in batches:
            first, second, counts = pairs_of(batch["text"])
            write_texts(file, first, _BETWEEN, second, "\n")
            if shard.split == TRAIN:
                words.add(first, second)
            rows = np.flatnonzero(counts)
            places = line + np.concatenate([[0], np.cumsum(counts)[:-1]])[rows]
            gone = {"layouts.one_sentence": np.flatnonzero(counts == 0).tolist()}
            told = index(batch["id"].take(pa.array(rows)), name, places, counts[rows])
            yield Split(told, refused(batch, gone), facts={"pairs": int(counts.sum())})
            line += int(counts.sum())
    yield finished(name, path, line)
    if shard.split == TRAIN and line:
        counted = shard.scratch()
        pq.write_table(words.table(), counted)
        yield Split(
            index(pa.array([], pa.string()), name, []), beside={f"words-{shard.number:05d}.parquet": counted}
        )


def pairs_of(texts: pa.Array) -> tuple[pa.Array, pa.Array, Numbers]:
    r"""Return the first and the second sentence of each pair, and how many pairs each text has, int64.

    Sentences are paired as they come, each once; where their number is odd, the last pair begins with the
    sentence before it, so that none is lost. A text of one sentence has no pair. White space within a
    sentence, tabs and newlines too, is one space; what BERT-pytorch takes for a special word has `&lt;`.

    >>> first, second, counts = pairs_of(pa.array(["One. Two is\there. Three.", "Alone."], pa.large_string()))
    >>> first.to_pylist(), second.to_pylist(), counts.tolist()
    (['One.', 'Two is here.'], ['Two is here.', 'Three.'], [2, 0])
    """
    sentences, rows = _sentences(texts)
    many = np.bincount(rows, minlength=len(texts)).astype(np.int64)
    begins = np.cumsum(many) - many
    counts = np.where(many > 1, (many + 1) // 2, 0)
    nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.repeat(begins, counts) + np.minimum(2 * nth, np.repeat(many - 2, counts))
    return sentences.take(pa.array(places)), sentences.take(pa.array(places + 1)), counts


def _sentences(texts: pa.Array) -> tuple[pa.Array, Numbers]:
    """Return the sentences of all texts, and the text that each is of, int64."""
    data, offsets = buffers(texts)
    breaks = np.flatnonzero(data[: offsets[-1]] == ord("\n")) + 1
    bounds = np.unique(np.concatenate([offsets, breaks[breaks > offsets[0]]]))
    firsts, ends = trimmed(data, bounds[:-1], bounds[1:])
    some = firsts < ends
    firsts, ends = firsts[some], ends[some]
    starts, lines = sentence_starts(data, firsts, ends)
    stops = ends[lines]
    inner = lines[1:] == lines[:-1]
    stops[:-1][inner] = starts[1:][inner]
    found = strings(*gathered(data, starts, stops))
    plain = pc.utf8_trim(pc.replace_substring_regex(found, _WHITE, " "), " ")
    plain = pc.replace_substring_regex(plain, _SPECIAL, _WRITTEN)
    said = np.asarray(pc.not_equal(plain, ""))
    rows = np.searchsorted(offsets, starts, side="right") - 1
    return plain.filter(pa.array(said)), rows[said].astype(np.int64)


class _Words:
    """Counts of words, summed up whenever there are many."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._rows = 0

    def add(self, *columns: pa.Array) -> None:
        """Count the words of sentences."""
        words = pc.split_pattern(pa.concat_arrays(columns), " ").flatten()
        counts = words.value_counts()
        self.merge(pa.Table.from_arrays([counts.field("values"), counts.field("counts")], schema=_WORDS))

    def merge(self, table: pa.Table) -> None:
        """Add counts to the counts."""
        self._tables.append(table)
        self._rows += len(table)
        if self._rows > _MOST_PENDING:
            self._tables = [self.table()]
            self._rows = len(self._tables[0]) // 2  # at least half of what is pending is new next time

    def table(self) -> pa.Table:
        """Return the words and their counts, the most frequent first, those of one count in order."""
        whole = pa.concat_tables([_WORDS.empty_table(), *self._tables])
        summed = whole.group_by("word").aggregate([("count", "sum")]).select(["word", "count_sum"])
        return summed.rename_columns(["word", "count"]).sort_by(
            [("count", "descending"), ("word", "ascending")]
        )


def _vocabulary(inputs: Sequence[Dataset], path: Path) -> str:
    """Write the words that train, one a line, after the special ones: the line's number is the word's."""
    words = _Words()
    for counted in inputs[0].files:
        if counted.path.startswith("words-"):
            with files.open_input(files.join(inputs[0].path, counted.path)) as file:
                words.merge(pq.read_table(file, schema=_WORDS))
    with path.open("wb") as out:
        out.write("".join(f"{word}\n" for word in SPECIALS).encode())
        for chunk in words.table()["word"].chunks:
            write_texts(out, chunk, "\n")
    return "vocab.txt"


LAYOUT = Layout(
    _write,
    no_text,
    val=0.01,
    joined=Joined({TRAIN: "train.txt", VAL: "val.txt"}, beside=_vocabulary),
)
