"""What wikitext of several languages calls things: namespaces, redirects, disambiguation pages, stubs."""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Form", "Names", "form_of", "is_apparatus", "is_disambiguation", "is_redirect", "is_stub", "names"]

_TABLE = Path(__file__).with_name("wikitext.toml")
_TEMPLATE = re.compile(r"\{\{\s*([^|{}<>\[\]\n]{1,80})")
_LINK = re.compile(r"\[\[\s*([^:|\[\]\n]{1,40}):\s*([^|\[\]\n]{1,200})")
_PREFIX = re.compile(r"(?:template|vorlage|modèle|plantilla|predefinição)\s*:\s*")


@dataclass(frozen=True)
class Names:
    """The namespaces of a wiki whose links are no text: lower-case prefixes without the colon."""

    files: frozenset[str]
    categories: frozenset[str]


@dataclass(frozen=True)
class Form:
    """How a template reads, where its parameters fit `where` (parameter, then patterns of its values)."""

    text: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    skip: tuple[str, ...] = ()


@functools.cache
def table() -> Mapping[str, Any]:
    """Read the table of names and templates, `wikitext.toml`, once a process."""
    return tomllib.loads(_TABLE.read_text("utf-8"))


@functools.cache
def names(files: tuple[str, ...] = (), categories: tuple[str, ...] = ()) -> Names:
    """Return the namespaces of files and categories: a wiki's own, and those of every wiki known.

    >>> "datei" in names().files, "kategorie" in names().categories, "ficheru" in names(("Ficheru",)).files
    (True, True, True)
    """
    known = table()
    return Names(
        frozenset([*known["file_namespaces"], *(name.lower() for name in files)]),
        frozenset([*known["category_namespaces"], *(name.lower() for name in categories)]),
    )


def normal(name: str) -> str:
    """Bring the name of a template under one spelling."""
    return _PREFIX.sub("", " ".join(name.replace("_", " ").lower().split()), count=1)


def is_redirect(wikitext: str) -> bool:
    """Say whether a page only leads to another.

    >>> is_redirect("#REDIRECT [[Toronto]]"), is_redirect("#WEITERLEITUNG[[X]]"), is_redirect("# one [[X]]")
    (True, True, False)
    """
    head = wikitext[:200].lstrip().lower()
    return head.startswith("#") and head.startswith(tuple(table()["redirects"])) and "[[" in head


def is_disambiguation(title: str, wikitext: str, known: Names) -> bool:
    r"""Say whether a page lists what one name may mean, by its templates, categories, switch or title.

    >>> is_disambiguation("Mercury", "'''Mercury''' may be:\n{{disambig|geo}}", names())
    True
    >>> is_disambiguation("Mercury", "'''Mercury''' is a planet. {{dab page needed}}", names())
    False
    """
    told = table()["disambiguation"]
    if "__DISAMBIG__" in wikitext or _fits(told["titles"], [title.lower()]):
        return True
    if _fits(told["templates"], _templates(wikitext)):
        return True
    categories = [
        normal(name) for prefix, name in _LINK.findall(wikitext) if prefix.strip().lower() in known.categories
    ]
    return _fits(told["categories"], categories)


def is_stub(wikitext: str) -> bool:
    r"""Say whether a page calls itself a stub.

    >>> is_stub("Text.\n{{Ornithology-stub}}"), is_stub("Text. {{Stubby}}")
    (True, False)
    """
    return _fits(table()["stub"]["templates"], _templates(wikitext))


def is_apparatus(heading: str) -> bool:
    """Say whether a section lists references, links and the like.

    >>> is_apparatus("Weblinks"), is_apparatus("History")
    (True, False)
    """
    return heading.strip(" :").lower() in _apparatus()


def form_of(name: str) -> Sequence[Form]:
    """Return how a template may read, the first that fits being right; none: it is left out."""
    exact, patterns = _forms()
    found = exact.get(name)
    if found is not None:
        return found
    return next((forms for pattern, forms in patterns if pattern.match(name)), ())


@functools.cache
def _apparatus() -> frozenset[str]:
    return frozenset(table()["apparatus"])


@functools.cache
def _forms() -> tuple[Mapping[str, list[Form]], list[tuple[re.Pattern[str], list[Form]]]]:
    exact: dict[str, list[Form]] = {}
    for entry in table()["template"]:
        where = tuple((key, tuple(values)) for key, values in entry.get("where", {}).items())
        for name in entry["names"]:
            exact.setdefault(name, []).append(Form(entry["text"], where, tuple(entry.get("skip", ()))))
    globs = [(name, forms) for name, forms in exact.items() if len(name) > 1 and "*" in name]
    return exact, [(re.compile(fnmatch.translate(name)), forms) for name, forms in globs]


@functools.cache
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs))


def _fits(globs: Sequence[str], found: Iterable[str]) -> bool:
    fits = _pattern(tuple(globs)).match
    return any(fits(name) for name in found)


def _templates(wikitext: str) -> set[str]:
    return {normal(name) for name in _TEMPLATE.findall(wikitext)}
