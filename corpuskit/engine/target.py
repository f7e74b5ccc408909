"""The target folder: the plan written once, a marker for every finished task, the manifest at the end."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpuskit import __version__, files, settings
from corpuskit.dataset import Dataset, File, Part
from corpuskit.errors import InputError, TargetError
from corpuskit.stage import Stage, Task

__all__ = ["Source", "Target", "describe_sources", "marker_path", "part_name"]

FORMAT = 1
OURS = ("manifest.json", "sizes.json", "done", "rejects", "work", "steps", "plan.json")
_RESTART = "choose another target, or start again with --force"

Source = dict[str, Any]


def part_name(number: int, key: str) -> str:
    """Name the part a task writes.

    >>> part_name(7, "0123456789abcdef0123")
    'part-00007-0123456789abcdef.parquet'
    """
    return f"part-{number:05d}-{key[:16]}.parquet"


def marker_path(folder: str, number: int) -> str:
    """Name the marker that says a task is done."""
    return files.join(folder, "done", f"{number:05d}.json")


def describe_sources(target: str, sources: Sequence[str]) -> list[Source]:
    """Say what identifies each source, and where it lies as seen from the target."""
    return [_describe(target, source) for source in sources]


def _describe(target: str, source: str) -> Source:
    path = _seen_from(target, source)
    if files.exists(files.join(source, "manifest.json")):
        return {"path": path, "kind": "dataset", "identity": Dataset(source).sha256}
    found = _members(source)
    inputs = [[files.file_name(name), *files.identity(name)] for name in found]
    return {"path": path, "kind": "files", "identity": settings.digest(inputs), "files": len(found)}


def _seen_from(target: str, path: str) -> str:
    """Say where a path lies as seen from the target, with which it may move."""
    if files.is_url(path) and path.startswith(f"{target.rstrip('/')}/"):
        return path[len(target.rstrip("/")) + 1 :]
    if not files.is_url(path) and not files.is_url(target) and path != "-":
        return os.path.relpath(path, target)
    return path


def _members(source: str) -> list[str]:
    folder = Path(source)
    if files.is_url(source) or not folder.is_dir():
        return files.expand(source)
    if (folder / "plan.json").exists():
        Dataset(source)  # raises: not finished
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


class Target:
    """A folder that a run writes: what it holds already, and whether that is ours."""

    def __init__(self, path: str, plan: str | None = None) -> None:
        self.path = path
        self._plan = plan or files.join(path, "plan.json")

    def check(self, stages: Sequence[Stage], sources: Sequence[Source] | None) -> None:
        """Compare what stands here with what is wanted; sources that are yet to come are null.

        Raises:
            TargetError: The folder holds something else, or a run with other settings.
            InputError: The sources have changed since the run began.
        """
        plan = self._read_plan()
        if plan is None:
            self.check_foreign()
            return
        self._check_stages(plan["stages"], [_settled(stage) for stage in stages])
        if sources is None:
            return
        then = [[source["kind"], source["identity"]] for source in plan["sources"]]
        if then != [[source["kind"], source["identity"]] for source in sources]:
            raise InputError(f"the input of {self.path} has changed since its run began", fix=_RESTART)

    def _read_plan(self) -> dict[str, Any] | None:
        if not files.exists(self._plan):
            return None
        try:
            found: dict[str, Any] = json.loads(files.read_bytes(self._plan))
        except ValueError as error:
            raise TargetError(f"{self._plan} is damaged: {error}", fix=_RESTART) from None
        return found

    def check_foreign(self) -> None:
        """Raise TargetError where the folder holds files and no plan of ours."""
        if files.is_url(self.path) or not Path(self.path).is_dir():
            return
        names = [path.name for path in Path(self.path).iterdir() if not path.name.startswith(".")]
        foreign = sorted(name for name in names if name not in (*OURS, "README.md"))
        if foreign and not files.exists(files.join(self.path, "plan.json")):
            raise TargetError(f"{self.path} is not empty: it holds {foreign[0]}", fix="choose another target")

    def _check_stages(self, then: list[dict[str, Any]], now: list[dict[str, Any]]) -> None:
        if [stage["digest"] for stage in then] == [stage["digest"] for stage in now]:
            return
        if [stage["name"] for stage in then] != [stage["name"] for stage in now]:
            made = " + ".join(stage["name"] for stage in then)
            raise TargetError(f"{self.path} holds the output of {made}", fix=_RESTART)
        changes = [change for old, new in zip(then, now, strict=True) for change in _changes(old, new)]
        raise TargetError(f"{self.path} was begun with other settings: {'; '.join(changes)}", fix=_RESTART)

    def begin(
        self,
        stages: Sequence[Stage],
        sources: Sequence[Source],
        tasks: list[Task] | None,
        keys: list[str] | None,
    ) -> None:
        """Write the plan if there is none yet; else check that it plans the same tasks.

        Raises:
            InputError: The tasks are others than those planned.
        """
        files.sweep_temporary(self.path)
        told = None
        if tasks is not None and keys is not None:
            told = [_task_json(task, key) for task, key in zip(tasks, keys, strict=True)]
        plan = {
            "format": FORMAT,
            "stages": [_settled(stage) for stage in stages],
            "sources": list(sources),
            "tasks": told,
        }
        if beside := [_seen_from(self.path, path) for stage in stages for path in stage.compares()]:
            plan["beside"] = beside
        if not files.is_url(self.path):
            Path(self.path, "done").mkdir(parents=True, exist_ok=True)
            Path(self._plan).parent.mkdir(parents=True, exist_ok=True)
        if files.create(self._plan, _json(plan)):
            return
        stands = self._read_plan()
        if stands is None or stands["tasks"] != told:
            raise InputError(f"the input of {self.path} has changed since its run began", fix=_RESTART)

    def standing(self, keys: list[str], *, verify: bool = False) -> set[int]:
        """Number the tasks whose output stands whole; a damaged marker or part counts as not done."""
        return {number for number, key in enumerate(keys) if self.stands(number, key, verify=verify)}

    def stands(self, number: int, key: str, *, verify: bool = False) -> bool:
        """Say whether the output of one task stands whole."""
        marker = self._marker(number)
        return marker is not None and marker["key"] == key and self._whole(marker, verify)

    def _markers(self) -> Iterator[dict[str, Any]]:
        """Read the markers that stand."""
        for name in files.entries(files.join(self.path, "done"), "*.json"):
            if marker := self._marker(int(files.file_name(name).removesuffix(".json"))):
                yield marker

    def _marker(self, number: int) -> dict[str, Any] | None:
        try:
            found = json.loads(files.read_bytes(marker_path(self.path, number)))
        except (FileNotFoundError, ValueError):
            return None
        return (
            found if isinstance(found, dict) and {"key", "part", "rejects", "stages"} <= set(found) else None
        )

    def _whole(self, marker: dict[str, Any], verify: bool) -> bool:
        found: list[Part | File] = [Part.of(told) for told in (marker["part"], marker["rejects"]) if told]
        found += [File(**told) for told in marker.get("files", [])]
        return all(self._stands(item, verify) for item in found)

    def _stands(self, item: Part | File, verify: bool) -> bool:
        path = files.join(self.path, item.path)
        if not files.exists(path) or files.size(path) != item.file_bytes:
            return False
        if not verify:
            return True
        with files.open_input(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == item.sha256  # type: ignore[arg-type]

    def begun(self) -> bool:
        """Say whether the plan stands."""
        return files.exists(self._plan)

    def finished(self) -> bool:
        """Say whether the manifest stands."""
        return files.exists(files.join(self.path, "manifest.json"))

    def intact(self, *, verify: bool = False) -> bool:
        """Say whether every file the manifest lists stands whole."""
        dataset = Dataset(self.path)
        found: list[Part | File] = [*dataset.parts, *dataset.rejects, *dataset.files]
        return all(self._stands(item, verify) for item in found)

    def reopen(self, numbers: Iterable[int]) -> None:
        """Declare tasks not done; with them the dataset is not finished."""
        files.remove(files.join(self.path, "manifest.json"))
        for number in numbers:
            files.remove(marker_path(self.path, number))

    def finish(
        self,
        stages: Sequence[Stage],
        sources: Sequence[Source],
        keys: list[str],
        facts: Mapping[str, int],
    ) -> Dataset:
        """Write the manifest from the markers, and `facts` of the first stage; remove what no marker has."""
        markers = [self._marker(number) for number in range(len(keys))]
        whole = [marker for marker in markers if marker is not None]
        if len(whole) != len(keys):
            raise OSError(f"{self.path}: {len(keys) - len(whole)} tasks have no marker")
        told = [
            {**_settled(stage), **_add([marker["stages"][place] for marker in whole])}
            for place, stage in enumerate(stages)
        ]
        if facts:
            told[0]["facts"] = {**told[0].get("facts", {}), **facts}
        manifest = {
            "format": FORMAT,
            "corpuskit": __version__,
            "stages": told,
            "inputs": _provenance(self.path, sources),
            "parts": [marker["part"] for marker in whole],
            "rejects": [marker["rejects"] for marker in whole if marker["rejects"]],
        }
        if beside := [told for marker in whole for told in marker.get("files", [])]:
            manifest["files"] = beside
        files.sweep_temporary(self.path)  # of workers that were killed meanwhile
        files.write_bytes(files.join(self.path, "manifest.json"), _json(manifest))
        return Dataset(self.path)

    def redo(self) -> None:
        """Remove what the tasks wrote, and the manifest; the plan and the steps stay."""
        files.remove(files.join(self.path, "manifest.json"))
        for marker in self._markers():
            told = [marker["part"], marker["rejects"], *marker.get("files", [])]
            for item in filter(None, told):
                files.remove(files.join(self.path, item["path"]))
        files.remove(files.join(self.path, "done"))

    def clear(self) -> None:
        """Remove what earlier runs wrote here; files that are not ours stay.

        Raises:
            TargetError: No run of ours wrote this folder.
        """
        self.check_foreign()
        if not files.exists(files.join(self.path, "plan.json")):
            return
        for path in files.entries(self.path, "part-*.parquet"):
            files.remove(path)
        for told in (told for marker in self._markers() for told in marker.get("files", [])):
            files.remove(files.join(self.path, told["path"]))
        for name in self._kept_folders():
            files.remove(files.join(self.path, name))
        for name in OURS:  # the plan last: while it stands, all this is ours
            if name != "steps":
                files.remove(files.join(self.path, name))

    def _kept_folders(self) -> list[str]:
        """Name the folders that are the own of the stages planned here."""
        try:
            plan = self._read_plan() or {"stages": []}
        except TargetError:  # damaged: nobody can say whose they are
            return []
        names = [name for stage in plan["stages"] for name in stage.get("keeps", ())]
        return [name for name in names if Path(name).name == name]


def _settled(stage: Stage) -> dict[str, Any]:
    chosen = {field.name for field in settings.fields(stage) if field.content}
    told = {name: value for name, value in settings.to_mapping(stage).items() if name in chosen}
    return {
        "name": stage.name,
        "version": stage.version,
        "settings": told,
        "content": dict(stage.content()),
        "digest": stage.digest(),
        **({"keeps": list(stage.keeps)} if stage.keeps else {}),
    }


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = []
    for kind in ("settings", "content"):
        for key in sorted({*old[kind], *new[kind]}):
            then, now = old[kind].get(key), new[kind].get(key)
            if then != now:
                was = (
                    f"was {json.dumps(then)}, is {json.dumps(now)}"
                    if kind == "settings"
                    else "has other content"
                )
                found.append(f"{old['name']} {key} {was}")
    if old["version"] != new["version"]:
        found.append(f"{old['name']} was version {old['version']}, is {new['version']}")
    return found


def _task_json(task: Task, key: str) -> dict[str, Any]:
    inputs = [{"name": item.name, "size": item.size, "identity": item.identity} for item in task.inputs]
    return {"key": key, "inputs": inputs, "work": json.loads(settings.canonical(dict(task.work)))}


def _add(tallies: list[dict[str, Any]]) -> dict[str, Any]:
    counts_of = ("rows_in", "rows_out", "bytes_in", "bytes_out", "rejected")
    total: dict[str, Any] = {**dict.fromkeys(counts_of, 0), "rules": {}}
    for tally in tallies:
        for name in counts_of:
            known = total[name] is not None and tally[name] is not None
            total[name] = total[name] + tally[name] if known else None
        for rule, counts in tally["rules"].items():
            sums = total["rules"].setdefault(rule, dict.fromkeys(counts, 0))
            for kind, count in counts.items():
                sums[kind] += count
    total["rules"] = dict(sorted(total["rules"].items()))
    facts: Counter[str] = Counter()
    for tally in tallies:
        facts.update(tally.get("facts", {}))
    return total | ({"facts": dict(sorted(facts.items()))} if facts else {})


def _provenance(target: str, sources: Sequence[Source]) -> list[dict[str, Any]]:
    told = []
    for source in sources:
        name = files.file_name(source["path"]) or source["path"]
        if source["kind"] == "files":
            told.append(
                {"name": name, "kind": "files", "files": source["files"], "identity": source["identity"]}
            )
            continue
        path = source["path"] if files.is_url(source["path"]) else files.join(target, source["path"])
        dataset = Dataset(path)
        outside = files.is_url(source["path"]) or source["path"].startswith("..")
        told.append(
            {
                "name": name,
                "kind": "dataset",
                **({} if outside else {"path": source["path"]}),  # within this dataset, with which it moves
                "rows": dataset.rows,
                "manifest": dataset.sha256,
                "stages": dataset.manifest["stages"],
                "inputs": dataset.manifest["inputs"],
            }
        )
    return told


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
