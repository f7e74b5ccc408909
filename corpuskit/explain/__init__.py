"""`explain`: every stage's verdict on one document, from the archive it came from to where it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from corpuskit.dataset import Dataset
from corpuskit.errors import InputError
from corpuskit.explain import lookup
from corpuskit.explain.lookup import Row
from corpuskit.explain.replay import Replay
from corpuskit.explain.story import Cut, Explanation, Reason, Story, Twin, Verdict

__all__ = ["Cut", "Explanation", "Reason", "Story", "Twin", "Verdict", "explain"]


def explain(path: str, id_or_url: str) -> Explanation:
    """Tell the story of a document in the dataset at `path`, and in every earlier one that still stands.

    An id of a document that was cut names all its pieces; a url names every document fetched from it, and the
    link that led there, whose own story ends where its page became documents.
    Texts that were never written, because stages ran in one pass, are made again where the archive
    and the stages allow it. Memory is bounded by a row group and the texts of the documents found.

    Raises:
        InputError: There is no finished dataset at `path`, or nothing in it has this id or url.
    """
    dataset = Dataset(path)
    datasets = lookup.ancestors(dataset)
    trails = [_Trail.of(one, sources, {lookup.family(id_or_url)}) for one, sources in datasets]
    asked = id_or_url
    if not any(trail.ids for trail in trails):
        ids = set().union(*(lookup.ids_with_url(one, id_or_url) for one, _ in datasets))
        if not ids:
            raise _unknown(dataset, [one for one, _ in datasets], id_or_url)
        trails = [_Trail.of(one, sources, ids) for one, sources in datasets]
        if moved := _moved(trails) - {id_or_url}:
            ids.update(*(lookup.ids_with_url(one, url) for one, _ in datasets for url in moved))
            trails = [_Trail.of(one, sources, ids) for one, sources in datasets]
        asked = ""
    leaves = [name for name in _leaves(trails) if not asked or name == asked or name.startswith(f"{asked}#")]
    if not leaves:
        pieces = ", ".join(_leaves(trails)[:5])
        raise InputError(f"{path}: no piece {id_or_url!r}", fix=f"the document's pieces are {pieces}")
    twins = _twins(trails)
    stories = tuple(_story(name, trails, twins) for name in leaves)
    return Explanation(dataset.path, id_or_url, stories, lookup.missing(one for one, _ in datasets))


@dataclass(frozen=True)
class _Trail:
    """What one dataset holds of the documents asked about."""

    dataset: Dataset
    sources: tuple[Dataset, ...]
    rows: tuple[Row, ...]
    rejects: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, dataset: Dataset, sources: tuple[Dataset, ...], ids: Collection[str]) -> _Trail:
        return cls(
            dataset, sources, tuple(lookup.rows_of(dataset, ids)), tuple(lookup.rejects_of(dataset, ids))
        )

    @property
    def ids(self) -> list[str]:
        return [row.id for row in self.rows] + [reject["id"] for reject in self.rejects]


def _moved(trails: Iterable[_Trail]) -> set[str]:
    """List where redirects led from the links found."""
    found = (row.columns.get("final_url") for trail in trails for row in trail.rows)
    return {url for url in found if url}


def _leaves(trails: Iterable[_Trail]) -> list[str]:
    """List the names found, but for those of documents whose pieces were found."""
    names = list(dict.fromkeys(name for trail in trails for name in trail.ids))
    return [name for name in names if not any(other.startswith(f"{name}#") for other in names)]


def _line(name: str) -> set[str]:
    """Return a name and those of the documents it was cut from, or repeats.

    >>> sorted(_line("ab#0~1"))
    ['ab', 'ab#0', 'ab#0~1']
    """
    found = {name}
    while lookup.family(name) != name:
        name = name[: max(name.rfind("#"), name.rfind("~"))]
        found.add(name)
    return found


def _story(name: str, trails: Sequence[_Trail], twins: Mapping[str, Twin]) -> Story:
    line = _line(name)
    verdicts: list[Verdict] = []
    row: Row | None = None
    here: Row | None = None
    text: bytes | None = None
    met: set[str] = set()
    told: Mapping[str, Any] = {}
    for trail in trails:
        mine = [row for row in trail.rows if row.id in line]
        here = max(mine, key=lambda row: len(row.id), default=None)  # a repeat rather than its document
        rejects = [reject for reject in trail.rejects if reject["id"] in line]
        came = any(source.sha256 in met for source in trail.sources)
        if not (here or rejects or came):
            continue
        if row and row.text is None and not (here or rejects):  # a link: what was made of it has other names
            here = row
            break
        met |= {trail.dataset.sha256} if here else set()
        replay = Replay(trail.dataset, row if came else None, here, rejects)
        verdicts += _verdicts(trail, replay, twins)
        told = told or (here.columns if here else rejects[0] if rejects else {})
        row, text = here or row, replay.last or text
    last = (row.columns if row else {}) | ({} if row else dict(told))
    date = last.get("date")
    return Story(
        id=name,
        url=last.get("url"),
        source=last.get("source"),
        date=None if date is None else f"{date:%Y-%m-%d %H:%M:%S}",
        origin=last.get("origin"),
        verdicts=tuple(verdicts),
        kept_in=here.path if here else None,
        text=None if text is None else text.decode("utf-8", "replace"),
    )


def _verdicts(trail: _Trail, replay: Replay, twins: Mapping[str, Twin]) -> Iterator[Verdict]:
    """Yield the verdict of each stage of one pass; after a rejection the rest were not reached."""
    gone = False
    for place, told in enumerate(trail.dataset.manifest["stages"]):
        mine = replay.rejects[place]
        whole = [reject for reject in mine if reject["start"] is None]
        cuts = sorted(
            (reject for reject in mine if reject["start"] is not None), key=lambda cut: cut["start"]
        )
        verdict: Literal["kept", "cut", "rejected", "not reached"]
        verdict = "not reached" if gone else "rejected" if whole else "cut" if cuts else "kept"
        gone = gone or bool(whole)
        yield Verdict(
            stage=told["name"],
            dataset=trail.dataset.path,
            verdict=verdict,
            reasons=tuple(_reason(reject, twins) for reject in whole),
            cuts=tuple(_cut(reject, replay.before(place) if cuts else None, twins) for reject in cuts),
        )


def _reason(reject: Mapping[str, Any], twins: Mapping[str, Twin]) -> Reason:
    return Reason(reject["rule"], reject["value"], reject["bound"], _twin(reject, twins))


def _cut(reject: Mapping[str, Any], text: bytes | None, twins: Mapping[str, Twin]) -> Cut:
    start, end, twin = reject["start"], reject["end"], _twin(reject, twins)
    taken = None if text is None or end > len(text) else text[start:end].decode("utf-8", "replace")
    named = None if twin is None else dataclasses.replace(twin, text=None)  # it holds this text, and more
    return Cut(reject["rule"], start, end, int(reject["value"] or 0), taken, named)


def _twin(reject: Mapping[str, Any], twins: Mapping[str, Twin]) -> Twin | None:
    twin = reject["twin"]
    return None if twin is None else twins.get(twin, Twin(twin))


def _twins(trails: Iterable[_Trail]) -> dict[str, Twin]:
    """Look up every twin that a reject names: as it came into the stage where that stands.

    Else it is a row of a reference, or a document that an index knows by its id and url alone.
    """
    found: dict[str, Twin] = {}
    for trail in trails:
        wanted = {reject["twin"] for reject in trail.rejects if reject["twin"] is not None}
        for dataset in (*trail.sources, trail.dataset, *(lookup.beside(trail.dataset) if wanted else ())):
            if missing := wanted - set(found):
                found = {twin.id: twin for twin in _named(dataset, missing)} | found
    return found


def _named(dataset: Dataset, ids: Collection[str]) -> Iterator[Twin]:
    if "text" not in dataset.schema.names:
        yield from (Twin(name, url) for name, url in lookup.urls_of(dataset, ids).items())
        return
    for row in lookup.rows_of(dataset, ids):
        if row.id in ids:
            yield Twin(row.id, *(row.columns.get(name) for name in ("url", "origin", "text")))


def _unknown(dataset: Dataset, datasets: Iterable[Dataset], query: str) -> InputError:
    close = list(dict.fromkeys(name for one in datasets for name in lookup.near(one, query)))[:3]
    if close:
        return InputError(
            f"{dataset.path} knows no document {query!r}", fix=f"did you mean {' or '.join(close)}?"
        )
    here = dataset.path
    return InputError(
        f"{here} knows no document {query!r}",
        fix=f"search column url of {here}/*.parquet, or of {here}/rejects/*.parquet, with DuckDB or Polars",
    )
