"""Recipes: one TOML file that names sources, stages with their settings, and a target; run as one."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import importlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpuskit import files, settings
from corpuskit.errors import InputError, TargetError, UsageError

if TYPE_CHECKING:
    from corpuskit.dataset import Dataset
    from corpuskit.engine import Options, Outlook
    from corpuskit.stage import Stage

__all__ = ["KINDS", "Pass", "Recipe", "load", "stage_type"]

KINDS = {
    "crawl.warc": "corpuskit.crawl.warc:Warc",
    "crawl.commoncrawl": "corpuskit.crawl.commoncrawl:CommonCrawl",
    "crawl.links": "corpuskit.crawl.links:Links",
    "crawl.fetch": "corpuskit.crawl.fetch:Fetch",
    "crawl.clicks": "corpuskit.crawl.clicks:Clicks",
    "crawl.webtext": "corpuskit.crawl.webtext:WebText",
    "crawl.wikipedia": "corpuskit.crawl.wikipedia:Wikipedia",
    "crawl.books": "corpuskit.crawl.books:Books",
    "crawl.records": "corpuskit.crawl.records:Records",
    "crawl.jsonl": "corpuskit.crawl.jsonl:Jsonl",
    "crawl.parquet": "corpuskit.crawl.parquet:Parquet",
    "crawl.pile": "corpuskit.crawl.pile:Pile",
    "crawl.queries": "corpuskit.crawl.queries:Queries",
    "crawl.pool": "corpuskit.crawl.pool:Pool",
    "crawl.interleaved": "corpuskit.crawl.interleaved:Interleaved",
    "crawl.images": "corpuskit.crawl.images:Images",
    "filter.language": "corpuskit.filter.language:Language",
    "filter.rules": "corpuskit.filter.rules:Rules",
    "filter.pii": "corpuskit.filter.pii:Pii",
    "filter.quality": "corpuskit.filter.quality:Quality",
    "filter.embed": "corpuskit.filter.embed:Embed",
    "dedup.exact": "corpuskit.dedup.exact:Exact",
    "dedup.minhash": "corpuskit.dedup.minhash:MinHash",
    "dedup.ngram": "corpuskit.dedup.ngram:Ngram",
    "dedup.overlap": "corpuskit.dedup.overlap:Overlap",
    "dedup.contamination": "corpuskit.dedup.contamination:Contamination",
    "dedup.lines": "corpuskit.dedup.lines:Lines",
    "dedup.substring": "corpuskit.dedup.substring:Substring",
    "dedup.semantic": "corpuskit.dedup.semantic:Semantic",
    "dedup.images": "corpuskit.dedup.images:Images",
    "shard.parquet": "corpuskit.shard.parquet:Parquet",
    "shard.mix": "corpuskit.shard.mix:Mix",
    "shard.webdataset": "corpuskit.shard.webdataset:WebDataset",
    "shard.tokens": "corpuskit.shard.tokens:Tokens",
    "shard.layouts": "corpuskit.shard.layouts:Layouts",
}
"""Every kind of stage, and the class that does it, which is imported when it is first needed."""

_KEYS = ("source", "target", "stages")


def stage_type(kind: str, where: str = "stage") -> type[Stage]:
    """Import the class of a kind such as `dedup.minhash`; `where` is named in the error.

    Raises:
        UsageError: There is no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"{where}: there is no stage {kind!r}", fix=settings.suggest(kind, KINDS))
    module, name = KINDS[kind].split(":")
    found: type[Stage] = getattr(importlib.import_module(module), name)
    return found


@dataclass(frozen=True)
class Pass:
    """Stages that run together, what they read, and the dataset they write."""

    stages: tuple[Stage, ...]
    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Recipe:
    """Stages in order, and what they are run on unless `run` is told otherwise.

    A stage that looks at one document runs in the same pass as the stage before it, so that no
    text is written between them. Every pass but the last writes `TARGET/steps/NN-NAME`, which is
    kept: `explain` and `report` read it. The last pass writes TARGET itself.
    """

    stages: tuple[Stage, ...]
    sources: tuple[str, ...] = ()
    target: str | None = None

    def passes(
        self, sources: str | Sequence[str] | None = None, target: str | None = None
    ) -> tuple[Pass, ...]:
        """Say what runs together, from where and to where.

        Raises:
            UsageError: There are no stages, no sources or no target.
        """
        inputs = (sources,) if isinstance(sources, str) else tuple(sources or self.sources)
        last = target or self.target
        unread = not inputs and bool(self.stages) and self.stages[0].reads
        if not self.stages or unread or last is None:
            missing = "stages" if not self.stages else "sources" if unread else "target"
            raise UsageError(
                f"the recipe has no {missing}", fix="name them in the recipe, or as SOURCE... TARGET"
            )
        groups = list(_fused(self.stages))
        found = []
        for number, group in enumerate(groups, 1):
            folder = (
                last if number == len(groups) else files.join(last, "steps", f"{number:02d}-{group[0].name}")
            )
            found.append(Pass(group, inputs, folder))
            inputs = (folder,)
        return tuple(found)

    def run(
        self,
        sources: str | Sequence[str] | None = None,
        target: str | None = None,
        *,
        options: Options | None = None,
    ) -> Dataset:
        """Run every pass and return the dataset of the last; the same call again resumes.

        With `force`, all passes from the first whose settings or input changed are run again, or
        all of them where nothing changed.

        Raises:
            UsageError: There are no stages, no sources or no target.
            TargetError: The target holds something else, or was begun with other settings.
            TryLater: Another run holds the target.
            CorpuskitError: Whatever else a pass may raise.
        """
        from corpuskit import engine

        options = options or engine.Options()
        passes = self.passes(sources, target)
        with _lock(passes), engine.crew():
            stale = _stale(passes, force=options.force)
            again = _first_changed(passes) if options.force else len(passes)
            for one in passes[:again]:
                _check(one)
            for folder in stale:
                files.remove(folder)
            for place, one in enumerate(passes):
                chosen = dataclasses.replace(options, force=place >= again)
                dataset = engine.run(one.stages, one.sources, one.target, options=chosen)
        return dataset

    def outlook(
        self, sources: str | Sequence[str] | None = None, target: str | None = None
    ) -> list[tuple[Pass, Outlook | None]]:
        """Say what `run` would do, writing nothing; null for a pass whose input is not there yet.

        Raises:
            CorpuskitError: What `run` would raise before it starts.
        """
        from corpuskit import engine

        passes = self.passes(sources, target)
        _stale(passes, force=False)
        found: list[tuple[Pass, Outlook | None]] = []
        for place, one in enumerate(passes):
            _check(one)
            known = place == 0 or files.exists(files.join(one.sources[0], "manifest.json"))
            found.append((one, engine.outlook(one.stages, one.sources, one.target) if known else None))
        return found


def _fused(stages: Sequence[Stage]) -> Iterator[tuple[Stage, ...]]:
    """Group stages into passes: each begins with any stage, and goes on with stages that see one document."""
    from corpuskit.stage import Stage as Plain

    group: list[Stage] = []
    for stage in stages:
        alone = (
            type(stage).plan is Plain.plan
            and type(stage).run is Plain.run
            and type(stage).split is not Plain.split
        )
        if group and not alone:
            yield tuple(group)
            group = []
        group.append(stage)
    yield tuple(group)


def _lock(passes: Sequence[Pass]) -> contextlib.AbstractContextManager[None]:
    """Hold the whole target while several passes write below it; a single pass holds its own lock."""
    return files.lock(files.join(passes[-1].target, "steps")) if len(passes) > 1 else contextlib.nullcontext()


def _stale(passes: Sequence[Pass], *, force: bool) -> list[str]:
    """List the folders in `steps` that belong to another recipe; without `force` there may be none."""
    from corpuskit.engine import kept_folders

    target = passes[-1].target
    ours = {one.target for one in passes} | set(kept_folders(passes[-1].stages[0], target))
    pattern = files.join(target if files.is_url(target) else glob.escape(target), "steps", "[0-9]*")
    try:
        found = [path for path in files.expand(pattern) if path not in ours]
    except InputError:  # nothing is there
        return []
    if found and not force:
        raise TargetError(
            f"{target} was made by a recipe with other stages: it holds steps/{files.file_name(found[0])}",
            fix="choose another target, or start again with --force",
        )
    return found


def _check(one: Pass) -> None:
    """Raise TargetError where a pass would find something else in its target, before anything runs."""
    from corpuskit.engine.target import Target

    Target(one.target).check(one.stages, None)  # its input may be yet to come


def _first_changed(passes: Sequence[Pass]) -> int:
    """Number the first pass that has no output with these settings and this input; 0 where all have."""
    return next((place for place, one in enumerate(passes) if not _stands(one)), 0)


def _stands(one: Pass) -> bool:
    """Say whether a pass's target was written, or begun, with these settings and this input."""
    from corpuskit.engine.target import Target, describe_sources

    if not files.exists(files.join(one.target, "plan.json")):
        return False
    try:
        Target(one.target).check(one.stages, describe_sources(one.target, one.sources))
    except (InputError, TargetError):
        return False
    return True


def load(path: str | Path) -> Recipe:
    """Read a recipe and check all of it: its keys, its stages, and every setting.

    Paths in a recipe are relative to the current directory, as on a command line.

    Raises:
        UsageError: The file is missing or not TOML, or holds an unknown key, stage or setting; it is named.
    """
    where = str(path)
    try:
        told = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the recipe {where}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{where} is not TOML: {error}") from None
    kinds = _texts(told, "stages", where)
    if not kinds:
        raise UsageError(
            f"{where} lists no stages", fix='name them in order, like stages = ["crawl.warc", "filter.rules"]'
        )
    tables = _tables(told, kinds, where)
    for place, kind in enumerate(kinds):
        if place and kind.startswith("crawl.") and not kinds[place - 1].startswith("crawl."):
            what = f"{where}: {kind} stands after {kinds[place - 1]}"
            raise UsageError(what, fix="crawl before anything else")
    stages = tuple(_stage(kind, table, f"{where} [{kind}]") for kind, table in tables)
    target = told.get("target")
    if target is not None and not (isinstance(target, str) and target):
        raise UsageError(f"{where}: target wants a path, not {target!r}")
    return Recipe(stages, _texts(told, "source", where), target)


def _stage(kind: str, table: Mapping[str, Any], where: str) -> Stage:
    try:
        stage: Stage = settings.from_mapping(stage_type(kind), table, where)
    except UsageError as error:
        if where in error.what:
            raise
        raise UsageError(f"{where}: {error.what}", fix=error.fix) from None
    return stage


def _texts(told: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = told.get(key, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise UsageError(f"{where}: {key} wants a list of texts, not {value!r}")
    return tuple(texts)


def _tables(told: Mapping[str, Any], kinds: Sequence[str], where: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Pair each stage with its table, in the order of the stages; no table gives the defaults."""
    for kind in kinds:
        stage_type(kind, where)
    verbs = {kind.split(".")[0] for kind in KINDS}
    given: dict[str, list[Mapping[str, Any]]] = {}
    for key, value in told.items():
        if key in _KEYS:
            continue
        if key not in verbs or not isinstance(value, dict):
            raise UsageError(
                f"{where}: no key {key!r} in a recipe", fix=settings.suggest(key, {*_KEYS, *verbs})
            )
        for name, table in value.items():
            given[f"{key}.{name}"] = _as_tables(f"{key}.{name}", table, kinds, where)
    counts = Counter(kinds)
    for kind, tables in given.items():
        if len(tables) != counts[kind]:
            raise UsageError(
                f"{where}: {kind} is listed {counts[kind]} times in stages, and has {len(tables)} tables",
                fix=f"write [[{kind}]] once for each time it is listed",
            )
    return [(kind, given[kind].pop(0) if given.get(kind) else {}) for kind in kinds]


def _as_tables(kind: str, table: object, kinds: Sequence[str], where: str) -> list[Mapping[str, Any]]:
    """Check that a table, or an array of tables, belongs to a stage of the recipe."""
    if kind not in KINDS:
        raise UsageError(f"{where}: there is no stage {kind!r}", fix=settings.suggest(kind, KINDS))
    if kind not in kinds:
        raise UsageError(
            f"{where}: [{kind}] is not among the stages", fix=f"add {kind!r} to stages, or remove its table"
        )
    given = table if isinstance(table, list) else [table]
    tables: list[Mapping[str, Any]] = [one for one in given if isinstance(one, dict)]
    if len(tables) < len(given):
        raise UsageError(
            f"{where}: {kind} wants a table, not {table!r}", fix=f"write [{kind}] and its settings below"
        )
    return tables
