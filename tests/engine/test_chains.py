"""Chains that keep steps, and chains within chains: what the manifest, funnel and `explain` tell of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stages import Longer, Within
from test_run import HERE, environment, snapshot

from corpuskit import recipe
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run
from corpuskit.errors import TargetError, TooManyBadRecords
from corpuskit.explain import explain
from corpuskit.funnel import funnel, upstream
from corpuskit.testing import documents, write_dataset

TEXTS = ["stays here", "drop me now", "no", "drop me too", "stays as well"]


@pytest.fixture
def source(tmp_path: Path) -> str:
    batches = [documents(TEXTS, id=[f"{part}-{row}" for row in range(len(TEXTS))]) for part in range(3)]
    return write_dataset(tmp_path / "source", *batches)


def test_kept_steps_stay_and_stand_in_the_funnel(source: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    dataset = run((Within(), Longer()), source, str(target))
    assert dataset.rows == 6
    assert [stage["name"] for stage in dataset.manifest["stages"]] == ["crawl.drops", "filter.longer"]
    assert sorted(path.name for path in (target / "steps").iterdir()) == ["01-most", "02-drops"]
    assert not (target / "work").exists() and not (target / "steps" / "01-most" / "work").exists()
    [section] = funnel(dataset)
    assert section.name == "out" and not section.sources  # what the test wrote came from nowhere
    counts = [(level.stage, level.rows_in, level.rows_out) for level in section.levels]
    assert counts == [
        ("crawl.test", 15, 15),
        ("dedup.most", 15, 15),
        ("crawl.drops", 15, 15),
        ("crawl.drops", 15, 9),
        ("filter.longer", 9, 6),
    ]
    told = explain(str(target), "0-1").stories[0]
    assert [(verdict.stage, verdict.verdict) for verdict in told.verdicts] == [
        ("crawl.test", "kept"),
        ("dedup.most", "kept"),
        ("crawl.drops", "kept"),
        ("crawl.drops", "rejected"),
        ("filter.longer", "not reached"),
    ]


def test_the_steps_are_found_where_the_target_was_moved(source: str, tmp_path: Path) -> None:
    run(Within(), source, str(tmp_path / "out"))
    shutil.move(tmp_path / "out", tmp_path / "elsewhere" / "other")
    (tmp_path / "elsewhere" / "other" / "plan.json").unlink()
    moved = Dataset(str(tmp_path / "elsewhere" / "other"))
    [(path, step)] = upstream(moved)
    assert path == str(tmp_path / "elsewhere" / "other" / "steps" / "02-drops") and step is not None


def test_it_resumes_and_starts_again_with_force(source: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    run(Within(), source, str(target))
    clean = snapshot(target)
    before = (target / "steps" / "01-most" / "manifest.json").stat().st_mtime_ns
    next((target / "done").iterdir()).unlink()
    (target / "manifest.json").unlink()
    run(Within(), source, str(target))
    assert snapshot(target) == clean
    assert (target / "steps" / "01-most" / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(TargetError, match='crawl.within word was "drop me", is "stays"'):
        run(Within(word="stays"), source, str(target))
    (target / "steps" / "mine").mkdir()
    assert run(Within(word="stays"), source, str(target), options=Options(force=True)).rows == 9
    assert (target / "steps" / "01-most" / "manifest.json").stat().st_mtime_ns > before
    assert (target / "steps" / "mine").is_dir()


def test_damage_in_a_kept_step_stops_the_chain_there(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", documents(["fine", "broken"]))
    with pytest.raises(TooManyBadRecords, match="1 of 2 records are damaged"):
        run(Within(), source, str(tmp_path / "out"))
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert run(Within(), source, str(tmp_path / "out"), options=Options(max_bad=0.5)).rows == 1


def test_a_recipe_of_one_pass_resumes_beside_the_steps_of_its_chain(source: str, tmp_path: Path) -> None:
    one = recipe.Recipe((Within(), Longer()), (source,), str(tmp_path / "out"))
    first = one.run()
    assert one.run().sha256 == first.sha256


def test_killed_at_several_moments_it_ends_the_same(source: str, tmp_path: Path) -> None:
    run(Within(), source, str(tmp_path / "a" / "out"), options=Options(workers=1))
    target = tmp_path / "b" / "out"
    script = (
        "from stages import Within; from corpuskit.engine import Options, run;"
        f"run(Within(nap=0.2), {source!r}, {str(target)!r}, options=Options(workers=1))"
    )
    killed = 0
    for seconds in (0.8, 1.4, 60.0):
        driver = subprocess.Popen([sys.executable, "-c", script], cwd=HERE, env=environment())
        try:
            assert driver.wait(timeout=seconds) == 0
            break
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
            killed += 1
    assert killed
    assert snapshot(target) == snapshot(tmp_path / "a" / "out")
