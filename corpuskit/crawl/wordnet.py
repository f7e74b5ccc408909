"""The synsets of WordNet, by the word that each begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpuskit import files
from corpuskit.crawl.countfile import Entries
from corpuskit.crawl.lines import Damage, lines
from corpuskit.crawl.logs import Fault
from corpuskit.errors import InputError, UsageError

__all__ = ["is_lexicon", "lexicon", "synset_names", "wordnet_files"]

_PARTS = ("adj", "adv", "noun", "verb")
_LINE = re.compile(
    rb"[0-9]{8} [0-9]{2} [nvars] [0-9a-f]{2} (\S+?)(?:\((?:a|p|ip)\))? [0-9a-f] .*", re.IGNORECASE
)


def wordnet_files(folder: str) -> list[str]:
    """List the files of synsets in a folder such as Debian's /usr/share/wordnet or NLTK's corpora/wordnet.

    Raises:
        InputError: There are none.
    """
    places = [
        files.join(at, f"data.{part}") for at in (folder, files.join(folder, "dict")) for part in _PARTS
    ]
    found = [path for path in places if files.exists(path)]
    if not found:
        raise InputError(
            f"{folder} holds no WordNet: there is no data.noun in it",
            fix="name the folder of its files, such as /usr/share/wordnet, or a lexicon like oewn:2024",
        )
    return found


def synset_names(path: str, *, cut: bool = False) -> Iterator[Entries]:
    """Read the synsets of one file, each as its first word, with spaces for underscores.

    With `cut` they are MetaCLIP's: lower-case, and up to the first ".", which leaves "st" of "St._Louis".

    Source: wndb(5WN), of WordNet 3.0; the marks of adjectives, "(p)", are no part of a word.
    """
    for item in lines(path):
        if isinstance(item, Damage):
            yield _entries([], [], [Fault(item.offset, "lost", item.length)])
            continue
        names: list[str] = []
        places: list[int] = []
        faults: list[Fault] = []
        for at, line in item:
            if not line or line.startswith(b"  "):  # the licence
                continue
            found = _LINE.fullmatch(line)
            if found is None or not found[1].isascii():
                faults.append(Fault(at, "malformed", len(line)))
                continue
            names.append(_named(found[1].decode(), cut))
            places.append(at)
        yield _entries(names, places, faults)


def is_lexicon(name: str) -> bool:
    """Tell the name of a lexicon of the `wn` package, such as `oewn:2024`, from a folder."""
    return (
        not files.is_url(name)
        and not Path(name).exists()
        and re.fullmatch(r"[\w-]+:[\w.+-]+", name) is not None
    )


def lexicon(name: str, *, cut: bool = False) -> Entries:
    """Read the synsets of a lexicon that the `wn` package has, as `synset_names` reads a file.

    Raises:
        UsageError: The package is not installed.
        InputError: It has no such lexicon.
    """
    try:
        import wn
    except ImportError:
        raise UsageError(
            f"the lexicon {name} needs the package wn",
            fix="pip install 'corpuskit[wordnet]', or name a folder",
        ) from None
    try:
        synsets = wn.Wordnet(name).synsets()
    except wn.Error:
        raise InputError(
            f"the package wn has no lexicon {name}", fix=f"python -m wn download {name}, or name a folder"
        ) from None
    first = [lemmas[0] for synset in synsets if (lemmas := synset.lemmas())]
    return _entries([_named(str(lemma), cut) for lemma in first], range(len(first)), [])


def _named(lemma: str, cut: bool) -> str:
    name = lemma.replace("_", " ")
    return name.lower().split(".", 1)[0] if cut else name


def _entries(names: Sequence[str], places: Sequence[int], faults: list[Fault]) -> Entries:
    counts = pa.nulls(len(names), pa.int64())
    return Entries(pa.array(names, pa.large_string()), counts, np.array(places, np.int64), faults)
