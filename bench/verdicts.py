"""Where our rules and datatrove's filters part: every document with another verdict, and why.

    python bench/verdicts.py DATA_FOLDER

DATA_FOLDER holds `warc/pages/*.warc.gz` and `text/c4/*.json.gz`. Needs `datatrove[processing]==0.10.0` and
`spacy` in the same environment; nothing is downloaded. The verdicts compared are those of datatrove's own
filters, as they come. The reason of a difference is found by trial: datatrove's filter runs again on the
document with one thing at a time done our way; the first that brings its verdict to ours is the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa

from corpuskit.filter import signals
from corpuskit.filter.rules import Rules
from corpuskit.filter.tables import load
from corpuskit.kernels.utf8 import buffers
from corpuskit.kernels.words import split
from corpuskit.testing import documents

Patch = dict[str, Any]

WORDS = "words: we split at white space, datatrove's spaCy makes punctuation words of its own"


@dataclass(frozen=True)
class Pair:
    """One filter of datatrove, our rules for the same thing, and what may be done our way."""

    name: str
    module: str
    tables: tuple[str, ...]
    ours: Callable[[str], bool]
    """Which rules are ours, by name."""
    options: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, Callable[[str], Patch]] = field(default_factory=dict)
    """What to patch in the module for a text, by reason; keys with a leading * are options of the filter."""

    def build(self, options: dict[str, Any]) -> Any:  # noqa: ANN401 - datatrove is not typed
        """Make datatrove's filter."""
        import importlib

        module = importlib.import_module(f"datatrove.pipeline.filters.{self.module}")
        return getattr(module, self.name.split(" ")[0])(**self.options | options)

    def theirs(self, text: str, patch: Patch | None = None) -> str | None:
        """Return why datatrove drops a text; null if it keeps it."""
        from datatrove.data import Document
        from datatrove.utils.text import split_into_parts

        patch = patch or {}
        options = {key[1:]: value for key, value in patch.items() if key.startswith("*")}
        document = Document(text=patch.get("text", text), id="")
        split_into_parts.cache_clear()
        with contextlib.ExitStack() as stack:
            for key, value in patch.items():
                if key != "text" and not key.startswith("*"):
                    stack.enter_context(mock.patch(f"datatrove.pipeline.filters.{self.module}.{key}", value))
            try:
                verdict = self.build(options).filter(document)
            except ZeroDivisionError:
                return "crash: division by zero"
        return None if verdict is True else str(verdict[1])


# What we do, as patches of datatrove's modules.


def _split(text: str, language: str = "") -> list[str]:
    return text.split()


def _words(text: str) -> Patch:
    return {"split_into_words": _split}


def _lower(text: str) -> Patch:
    from datatrove.utils.text import split_into_words

    return {
        "split_into_words": lambda text, language: [word.lower() for word in split_into_words(text, language)]
    }


def _bare_word(word: str) -> str:
    return word.lower().strip(",.;:!?\"'()") or word


def _bare(text: str) -> Patch:
    return {"split_into_words": lambda text, language: [_bare_word(word) for word in text.split()]}


def _signs(text: str) -> Patch:
    return _bare(text) | {"PUNCTUATION_SET": set()}


def _unspaced(text: str) -> Patch:
    spaced = []
    for line in text.split("\n"):
        data, offsets = buffers(pa.array([line]))
        found = split(data, offsets)
        spans = zip(found.starts.tolist(), found.ends.tolist(), strict=True)
        spaced.append(" ".join(bytes(data[start:end]).decode() for start, end in spans))
    return {"text": "\n".join(spaced)}


def _no_english(text: str) -> Patch:
    return {"*min_stop_words": None, "*min_avg_word_length": None}


def _no_blank(text: str) -> Patch:
    return {"text": "\n".join(line.strip() for line in text.split("\n") if line.strip())}


def _line_chars(text: str) -> Patch:
    def find(items: list[str]) -> tuple[int, float]:
        items = [item.strip() for item in items if item.strip()]
        copies = [item for place, item in enumerate(items) if item in items[:place]]
        share = len(text) / max(1, sum(map(len, items)))
        return len(copies), share * sum(map(len, copies))

    return {"find_duplicates": find}


def _ngram_chars(text: str, tokens: Callable[[str], list[str]] | None = None) -> Patch:
    from datatrove.utils.text import split_into_words

    words = (tokens or split_into_words)(text)
    share = len(text) / max(1, sum(map(len, words)))

    def covered(words: list[str], chosen: Iterable[int], n: int) -> float:
        inside = {place + offset for place in chosen for offset in range(n)}
        return share * sum(len(words[place]) for place in inside)

    def find_all(words: list[str], n: int) -> float:
        seen: set[tuple[str, ...]] = set()
        again = []
        for place in range(len(words) - n + 1):
            gram = tuple(words[place : place + n])
            if gram in seen:
                again.append(place)
            seen.add(gram)
        return covered(words, again, n)

    def find_top(grams: list[str]) -> float:
        n = len(words) - len(grams) + 1
        counts = Counter(tuple(words[place : place + n]) for place in range(len(grams)))
        top, times = max(counts.items(), key=lambda item: (item[1], sum(map(len, item[0]))))
        places = [place for place in range(len(grams)) if tuple(words[place : place + n]) == top]
        return covered(words, places, n) if times > 1 else 0

    patch: Patch = {"find_all_duplicate": find_all, "find_top_duplicate": find_top}
    return patch | ({"split_into_words": lambda text, language: tokens(text)} if tokens else {})


def _sentences(text: str) -> Patch:
    def count(line: str, language: str) -> range:
        found = signals.compute(["sentence_count"], documents([line]))["sentence_count"][0].as_py()
        return range(found)

    return {"split_into_sentences": count}


def _numbers(text: str) -> Patch:
    return {"*min_num_sentences": 3, "*min_words_per_line": 5}


def _end_marks(text: str) -> Patch:
    marks = {line[-1] for line in map(str.strip, text.splitlines()) if line and _ends_well(line)}
    return {"END_PUNCTUATION": tuple(marks), "ELLIPSIS": ("...", "…")}


def _ends_well(line: str) -> bool:
    lines = signals.compute_lines(["line_ends_terminal"], documents([line]))
    return bool(lines.columns["line_ends_terminal"].to_pylist() == [True])


def _citations_first(text: str) -> Patch:
    return {"text": re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", text)}


def together(*steps: Callable[[str], Patch]) -> Callable[[str], Patch]:
    """Do several things our way; a later step sees the text of an earlier."""

    def patch(text: str) -> Patch:
        found: Patch = {}
        for step in steps:
            found |= step(found.get("text", text))
        return found

    return patch


def _is(*names: str) -> Callable[[str], bool]:
    return lambda rule: rule in names


REPETITION = tuple(
    rule.name for rule in load("gopher").rules if "duplicate" in rule.name or "gram" in rule.name
)
QUALITY = tuple(rule.name for rule in load("gopher").rules if rule.name not in REPETITION)
_BLANK = "lines: we do not count blank ones, nor look at white space at their ends"
_CHARS = (
    "shares: we divide lines' characters by lines' characters, datatrove by all of the text, blanks included"
)
_NGRAMS = "n-grams: we divide words by words, not by text, and count every repeated word once"

_UNSPACED = "scripts without spaces: we cut them into words of two letters, datatrove sees one word"
_SENTENCES = (
    "sentences: we follow nltk's rules, spaCy's sentencizer ends one at every mark, abbreviations included"
)
C4_REASONS: dict[str, Callable[[str], Patch]] = {
    _SENTENCES: _sentences,
    "marks: datatrove ends a line at ' too and knows neither other quotation marks nor …": _end_marks,
    "citations: datatrove counts them as words of their line": _citations_first,
    _UNSPACED: together(_unspaced, _end_marks),
    "several of these together": together(_citations_first, _end_marks, _sentences),
}

PAIRS = (
    Pair(
        "GopherRepetitionFilter",
        "gopher_repetition_filter",
        ("gopher",),
        _is(*REPETITION),
        reasons={
            WORDS: _words,
            _BLANK: _no_blank,
            _CHARS: _line_chars,
            _NGRAMS: _ngram_chars,
            "several of these together": together(
                _no_blank, _line_chars, lambda text: _ngram_chars(text, _split)
            ),
        },
    ),
    Pair(
        "GopherQualityFilter",
        "gopher_quality_filter",
        ("gopher",),
        _is(*QUALITY),
        reasons={
            "stop words: we count them in any case, datatrove only lower-case ones": _lower,
            WORDS: _words,
            "words and stop words together": _bare,
            "signs: a dash that stands alone is a word for us, and none in datatrove's count": _signs,
            _BLANK: _no_blank,
            _UNSPACED: together(_unspaced, _no_english, _bare),
        },
    ),
    Pair(
        "C4QualityFilter",
        "c4_filters",
        ("c4",),
        lambda rule: rule.startswith("c4.") and "bad_word" not in rule,
        reasons={
            "numbers: datatrove has 5 sentences and 3 words, C4 has 3 sentences and 5 words": _numbers,
            **C4_REASONS,
            "numbers and others together": together(_citations_first, _numbers, _end_marks, _sentences),
        },
    ),
    Pair(
        "C4QualityFilter with C4's numbers",
        "c4_filters",
        ("c4",),
        lambda rule: rule.startswith("c4.") and "bad_word" not in rule,
        options={"min_num_sentences": 3, "min_words_per_line": 5},
        reasons=C4_REASONS,
    ),
    Pair(
        "FineWebQualityFilter",
        "fineweb_quality_filter",
        ("fineweb",),
        lambda rule: rule.startswith("fineweb."),
        reasons={
            WORDS: _words,
            _BLANK: _no_blank,
            _CHARS: _line_chars,
            _UNSPACED: _unspaced,
            "several of these together": together(_no_blank, _line_chars, _words),
        },
    ),
)


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of the extracted pages and of the documents of C4."""
    import trafilatura
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for path in sorted(folder.glob("warc/pages/*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response):
                text = trafilatura.extract(record.reader.read(), favor_precision=True, include_comments=False)
                if text:
                    yield record.headers["WARC-Target-URI"], text
    for path in sorted(folder.glob("text/c4/*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as rows:
            for number, row in enumerate(rows):
                yield f"{path.name}:{number + 1}", json.loads(row)["text"]


def compare(pair: Pair, found: list[tuple[str, str]], write: Callable[[str], Any]) -> None:
    """Write one row of the table, and the differences grouped by reason."""
    batch = documents(text for _, text in found)
    rejects = Rules(tables=pair.tables).split(batch).rejected.to_pylist()
    broken: dict[str, list[str]] = defaultdict(list)
    for row in rejects:
        if row["start"] is None and pair.ours(row["rule"]):
            broken[row["id"]].append(f"{row['rule']} = {row['value']:.3g}")
    groups: dict[str, list[str]] = defaultdict(list)
    for key, (name, text) in zip(batch["id"].to_pylist(), found, strict=True):
        theirs = pair.theirs(text)
        ours = broken.get(key, [])
        if (theirs is None) != (not ours):
            told = f"{name[:70]}: datatrove {theirs or 'keeps'}; we {', '.join(ours) or 'keep'}"
            groups[_reason(pair, text, dropped=bool(ours))].append(told)
    differ = sum(map(len, groups.values()))
    write(f"\n{pair.name}: {len(found) - differ} agree, {differ} differ")
    for reason, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        write(f"  {len(members):4d}  {reason}")
        for line in members:
            write(f"          {line}")


def _reason(pair: Pair, text: str, *, dropped: bool) -> str:
    for reason, patch in pair.reasons.items():
        if (pair.theirs(text, patch(text)) is not None) == dropped:
            return reason
    return "not explained by any of these"


def main() -> None:
    """Compare all filters on all texts of the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with warc/pages and text/c4")
    parser.add_argument("--limit", type=int, help="look at the first so many documents only")
    given = parser.parse_args()
    found = list(texts(given.folder))[: given.limit]
    if not found:
        parser.error(f"{given.folder} holds no warc/pages/*.warc.gz and no text/c4/*.json.gz")
    sys.stdout.write(f"{len(found)} documents\n")
    for pair in PAIRS:
        compare(pair, found, lambda line: sys.stdout.write(line + "\n"))


if __name__ == "__main__":
    main()
