"""The funnel: what every stage took in, gave on and rejected, read from the manifest of the last dataset."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError

__all__ = ["Level", "Rule", "Section", "Source", "funnel", "upstream"]

_SHOWN = 3


@dataclass(frozen=True)
class Rule:
    """What one rule did in one stage: documents rejected whole, and spans cut with their bytes.

    A document that breaks several rules counts under each of them.
    """

    name: str
    documents: int
    spans: int
    bytes: int


@dataclass(frozen=True)
class Level:
    """One stage of the funnel. Bytes are null where the stage read something else than documents."""

    stage: str
    version: int
    settings: Mapping[str, Any]
    rows_in: int
    rows_out: int
    bytes_in: int | None
    bytes_out: int | None
    rejected: int
    """Documents rejected whole; `rows_in - rows_out` differs where documents are cut into pieces."""
    rules: tuple[Rule, ...]
    """The rule that took most comes first."""
    facts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """What else the stage counted."""
    manifest: str | None = None
    """sha256 of the manifest of the dataset it wrote; null where a later stage of its pass wrote it."""


@dataclass(frozen=True)
class Source:
    """Something a section reads: files, or the dataset that another section ends with."""

    name: str
    kind: str
    count: int
    """Files of files, rows of a dataset."""
    section: int | None = None
    """The number of that other section, counted from 0."""
    identity: str = ""


@dataclass(frozen=True)
class Section:
    """Stages one after the other, each reading all of what the one before it wrote."""

    name: str
    sources: tuple[Source, ...]
    levels: tuple[Level, ...]

    def reads(self) -> list[str]:
        """Name the sources with their size; of more than four the first three and how many more there are.

        >>> Section("x", (Source("a.warc", "files", 1), Source("b", "dataset", 1234)), ()).reads()
        ['a.warc (1 file)', 'b (1,234 documents)']
        """
        shown = self.sources if len(self.sources) <= _SHOWN + 1 else self.sources[:_SHOWN]
        told = [f"{source.name} ({_sized(source.kind, source.count)})" for source in shown]
        rest = self.sources[len(shown) :]
        sizes = [
            _sized(kind, sum(source.count for source in rest if source.kind == kind))
            for kind in ("files", "dataset")
            if any(source.kind == kind for source in rest)
        ]
        return [*told, f"{len(rest)} more ({', '.join(sizes)})"] if rest else told


def _sized(kind: str, count: int) -> str:
    return f"{count:,} {'file' if kind == 'files' else 'document'}{'' if count == 1 else 's'}"


def funnel(dataset: Dataset) -> tuple[Section, ...]:
    """Lay out how a dataset came to be, from the archives on: its own stages are the last section's last.

    A dataset with one origin has one section. Where several datasets came together, each has a
    section of its own before the one that reads them, and a dataset that was read twice has one.
    """
    root = {
        "name": dataset.path.rstrip("/").rsplit("/", 1)[-1],
        "manifest": dataset.sha256,
        "stages": dataset.manifest["stages"],
        "inputs": dataset.manifest["inputs"],
    }
    sections: list[Section] = []
    _lay_out(root, Counter(child for _, child in set(_edges(root))), sections, {})
    return tuple(sections)


def upstream(dataset: Dataset) -> tuple[tuple[str, Dataset | None], ...]:
    """List the sources of a dataset: their paths, and those that are datasets and still stand unchanged.

    A dataset that was moved, removed or written again is null, and so are files.
    """
    found: list[tuple[str, Dataset | None]] = []
    for path, told in zip(_paths(dataset), dataset.manifest["inputs"], strict=True):
        if path is None:
            found.append((told["name"], None))
            continue
        if not files.is_url(path) and not files.is_url(dataset.path) and path != "-":
            path = os.path.normpath(files.join(dataset.path, path))
        found.append((path, _standing(path, told["manifest"]) if told["kind"] == "dataset" else None))
    return tuple(found)


def _paths(dataset: Dataset) -> list[str | None]:
    """Say where each input lies, as seen from the dataset: within it, else where its plan says it was."""
    inputs = dataset.manifest["inputs"]
    within = [told.get("path") for told in inputs]
    try:
        plan = json.loads(files.read_bytes(files.join(dataset.path, "plan.json")))
    except FileNotFoundError:  # the shards were copied without it
        return within
    planned = iter([source["path"] for source in plan["sources"] if source["path"] not in within])
    return [path or next(planned, None) for path in within]


def _standing(path: str, manifest: str) -> Dataset | None:
    try:
        dataset = Dataset(path)
    except InputError:
        return None
    return dataset if dataset.sha256 == manifest else None


def _edges(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for source in _datasets(node):
        yield node["manifest"], source["manifest"]
        yield from _edges(source)


def _datasets(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [source for source in node["inputs"] if source["kind"] == "dataset"]


def _lay_out(
    node: Mapping[str, Any], readers: Mapping[str, int], sections: list[Section], known: dict[str, int]
) -> int:
    """Append what leads to a dataset, then itself; return the number of the section that ends with it."""
    if node["manifest"] in known:
        return known[node["manifest"]]
    before = [_lay_out(source, readers, sections, known) for source in _datasets(node)]
    levels = _levels(node)
    if len(node["inputs"]) == 1 and before and readers[_datasets(node)[0]["manifest"]] == 1:
        number = before[0]
        earlier = sections[number]
        sections[number] = Section(node["name"], earlier.sources, earlier.levels + levels)
    else:
        places = iter(before)
        sources = tuple(
            _source(told, next(places) if told["kind"] == "dataset" else None) for told in node["inputs"]
        )
        number = len(sections)
        sections.append(Section(node["name"], sources, levels))
    known[node["manifest"]] = number
    return number


def _source(told: Mapping[str, Any], section: int | None) -> Source:
    if told["kind"] == "dataset":
        return Source(told["name"], "dataset", told["rows"], section, told["manifest"])
    return Source(told["name"], "files", told["files"], None, told["identity"])


def _levels(node: Mapping[str, Any]) -> tuple[Level, ...]:
    last = len(node["stages"]) - 1
    return tuple(
        Level(
            stage=told["name"],
            version=told["version"],
            settings=told["settings"],
            rows_in=told["rows_in"],
            rows_out=told["rows_out"],
            bytes_in=told["bytes_in"],
            bytes_out=told["bytes_out"],
            rejected=told["rejected"],
            rules=_rules(told["rules"]),
            facts=told.get("facts", {}),
            manifest=node["manifest"] if place == last else None,
        )
        for place, told in enumerate(node["stages"])
    )


def _rules(told: Mapping[str, Mapping[str, int]]) -> tuple[Rule, ...]:
    found = [Rule(name, count["documents"], count["spans"], count["bytes"]) for name, count in told.items()]
    return tuple(sorted(found, key=lambda rule: (-rule.documents, -rule.bytes, rule.name)))
