"""Recipes: what is wrong with one is said before anything runs; passes are fused, resumed and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpuskit import files, recipe
from corpuskit.dataset import Dataset
from corpuskit.engine import Options
from corpuskit.errors import InputError, TargetError, TryLater, UsageError
from corpuskit.recipe import Recipe, load
from corpuskit.stage import Stage

CLI = Path(__file__).with_name("cli")
EXAMPLES = Path(__file__).parents[1] / "examples" / "recipes"
OPTIONS = Options(workers=1, max_bad=1.0)

GOOD = """
source = ["pages.txt"]
target = "out"
stages = ["crawl.lines", "filter.longer", "dedup.first", "filter.every"]

[filter.longer]
least = 10

[filter.every]
words = ["x"]
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with ten lines to crawl; the command line's small stages are known."""
    monkeypatch.syspath_prepend(str(CLI))
    kinds = {
        "crawl.lines": "Lines",
        "filter.longer": "Longer",
        "filter.every": "Every",
        "dedup.first": "First",
    }
    for kind, name in kinds.items():
        monkeypatch.setitem(recipe.KINDS, kind, f"cli_stages:{name}")
    monkeypatch.chdir(tmp_path)
    Path("pages.txt").write_text("".join("word " * size + "\n" for size in range(1, 10)) + "!damaged\n")
    return tmp_path


def write(text: str) -> Path:
    path = Path("recipe.toml")
    path.write_text(text)
    return path


def snapshot(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_recipe_is_its_stages_sources_and_target() -> None:
    found = load(write(GOOD))
    assert [stage.name for stage in found.stages] == [
        "crawl.lines",
        "filter.longer",
        "dedup.first",
        "filter.every",
    ]
    assert found.stages[1].least == 10  # type: ignore[attr-defined]
    assert found.stages[3].words == ("x",)  # type: ignore[attr-defined]
    assert (found.sources, found.target) == (("pages.txt",), "out")


@pytest.mark.parametrize(
    ("old", "new", "error", "fix"),
    [
        ("source =", "sources =", "recipe.toml: no key 'sources' in a recipe", "did you mean 'source'?"),
        ("[filter.longer]", "[filtr.longer]", "no key 'filtr'", "did you mean 'filter'?"),
        (
            "[filter.longer]",
            "[filter.lnger]",
            "there is no stage 'filter.lnger'",
            "did you mean 'filter.longer'?",
        ),
        (
            '"filter.longer"',
            '"filter.lnger"',
            "there is no stage 'filter.lnger'",
            "did you mean 'filter.longer'?",
        ),
        ('"filter.longer", ', "", "[filter.longer] is not among the stages", "add 'filter.longer'"),
        ("least", "leest", "no setting 'leest' in recipe.toml [filter.longer]", "did you mean 'least'?"),
        ("least = 10", "least = 0", "recipe.toml [filter.longer]: least must be at least 1", None),
        ("least = 10", "least = true", "recipe.toml [filter.longer]: least wants a whole number", None),
        (
            '"dedup.first"',
            '"dedup.first", "crawl.lines"',
            "crawl.lines stands after dedup.first",
            "crawl before",
        ),
        ('"crawl.lines", "filter.longer", "dedup.first", "filter.every"', "", "lists no stages", "name them"),
        (
            '"filter.every"]',
            '"filter.every", "filter.longer"]',
            "filter.longer is listed 2 times",
            "[[filter.longer]]",
        ),
        (
            "[filter.longer]",
            "filter.longer = 3\n[crawl.lines]",
            "filter.longer wants a table",
            "[filter.longer]",
        ),
        ('target = "out"', "target = 3", "target wants a path", None),
        ('["pages.txt"]', "3", "source wants a list of texts", None),
        ('target = "out"', "target = out", "recipe.toml is not TOML", None),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(old: str, new: str, error: str, fix: str | None) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as caught:
        load(write(GOOD.replace(old, new)))
    assert error in caught.value.what
    assert "recipe.toml" in caught.value.what
    assert (fix or "") in (caught.value.fix or "")


def test_a_missing_recipe_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match=r"cannot read the recipe none\.toml: No such file"):
        load("none.toml")


def test_a_stage_may_be_listed_twice_with_a_table_for_each() -> None:
    text = 'stages = ["filter.longer", "filter.every", "filter.longer"]\n'
    found = load(write(text + "[[filter.longer]]\nleast = 5\n[[filter.longer]]\nleast = 7\n"))
    assert [getattr(stage, "least", None) for stage in found.stages] == [5, None, 7]


def test_stages_that_see_one_document_share_the_pass_before_them() -> None:
    passes = load(write(GOOD)).passes()
    assert [[stage.name for stage in one.stages] for one in passes] == [
        ["crawl.lines", "filter.longer"],
        ["dedup.first", "filter.every"],
    ]
    assert [(one.sources, one.target) for one in passes] == [
        (("pages.txt",), "out/steps/01-crawl.lines"),
        (("out/steps/01-crawl.lines",), "out"),
    ]
    assert load(write(GOOD)).passes("other.txt")[0].sources == ("other.txt",)
    other = load(write(GOOD)).passes(["a", "b"], "s3://bucket/set")
    assert (other[0].sources, other[0].target) == (("a", "b"), "s3://bucket/set/steps/01-crawl.lines")


@pytest.mark.parametrize(
    ("given", "missing"),
    [(Recipe(()), "stages"), (Recipe((Stage(),)), "sources"), (Recipe((Stage(),), ("a",)), "target")],
)
def test_nothing_runs_without_stages_sources_and_target(given: Recipe, missing: str) -> None:
    with pytest.raises(UsageError, match=f"the recipe has no {missing}"):
        given.run()


def test_run_resumes_and_a_changed_setting_is_named_before_anything_runs() -> None:
    found = load(write(GOOD))
    dataset = found.run(options=OPTIONS)
    assert (dataset.path, dataset.rows, dataset.table()["text"].to_pylist()) == ("out", 1, ["word word "])
    assert Dataset("out/steps/01-crawl.lines").rows == 8
    before = snapshot("out")
    assert found.run(options=OPTIONS).sha256 == dataset.sha256
    assert snapshot("out") == before
    changed = load(write(GOOD.replace("[filter.every]", "[dedup.first]\nrank = 1\n[filter.every]")))
    with pytest.raises(TargetError, match=r"dedup\.first rank was 0, is 1"):
        changed.run(options=OPTIONS)
    assert snapshot("out") == before


def test_a_step_that_died_is_done_again() -> None:
    found = load(write(GOOD))
    found.run(options=OPTIONS)
    before = snapshot("out")
    for name in ("manifest.json", "steps/01-crawl.lines/manifest.json"):
        Path("out", name).unlink()
    next(Path("out/steps/01-crawl.lines/done").iterdir()).unlink()
    found.run(options=OPTIONS)
    assert snapshot("out") == before


def test_force_starts_again_from_the_first_change() -> None:
    load(write(GOOD)).run(options=OPTIONS)
    kept = Path("out/steps/01-crawl.lines/manifest.json").stat().st_mtime_ns
    changed = load(write(GOOD.replace("[filter.every]", "[dedup.first]\nrank = 1\n[filter.every]")))
    dataset = changed.run(options=Options(workers=1, max_bad=1.0, force=True))
    assert dataset.table()["text"].to_pylist() == ["word word word "]
    assert Path("out/steps/01-crawl.lines/manifest.json").stat().st_mtime_ns == kept
    changed.run(options=Options(workers=1, max_bad=1.0, force=True))
    assert Path("out/steps/01-crawl.lines/manifest.json").stat().st_mtime_ns > kept


def test_steps_of_another_recipe_are_not_mixed_in() -> None:
    load(write(GOOD)).run(options=OPTIONS)
    other = load(write(GOOD.replace('"crawl.lines", ', "")))
    with pytest.raises(TargetError, match=r"it holds steps/01-crawl\.lines"):
        other.run(["out/steps/01-crawl.lines"], "out", options=OPTIONS)
    shorter = load(write(GOOD.replace('"dedup.first", ', "")))
    with pytest.raises(TargetError, match=r"it holds steps/01-crawl\.lines"):
        shorter.run(options=OPTIONS)
    assert shorter.run(options=Options(workers=1, max_bad=1.0, force=True)).rows == 8
    assert not list(Path("out/steps").glob("[0-9]*"))


def test_a_target_that_holds_something_else_stops_before_the_first_pass() -> None:
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("mine")
    with pytest.raises(TargetError, match=r"thesis\.tex"):
        load(write(GOOD)).run(options=OPTIONS)
    assert [path.name for path in Path("out").rglob("*.parquet")] == []


def test_a_changed_input_is_seen() -> None:
    found = load(write(GOOD))
    found.run(options=OPTIONS)
    Path("pages.txt").write_text("another\n")
    with pytest.raises(InputError, match="changed"):
        found.run(options=OPTIONS)


def test_one_run_at_a_time() -> None:
    with files.lock("out/steps"), pytest.raises(TryLater, match="another run is writing"):
        load(write(GOOD)).run(options=OPTIONS)


def test_outlook_writes_nothing_and_knows_what_is_there() -> None:
    found = load(write(GOOD))
    before = sorted(Path().rglob("*"))
    (_, first), (_, second) = found.outlook()
    assert first is not None
    assert (first.tasks, first.done, second) == (1, 0, None)
    assert sorted(Path().rglob("*")) == before
    found.run(options=OPTIONS)
    (_, first), (_, second) = found.outlook()
    assert first is not None
    assert second is not None
    assert (first.done, second.done, second.rows) == (1, 1, 8)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_the_example_recipes_are_valid(path: Path) -> None:
    Path("examples").symlink_to(EXAMPLES.parent)
    mine = Path(path.name)
    mine.write_text(path.read_text("utf-8").replace("you@example.org", "crawler@mit.edu"), "utf-8")
    found = load(mine)
    assert found.sources
    assert found.passes()[-1].target == found.target


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("fineweb", "minhash.duplicate"),
        ("refinedweb", "minhash.duplicate"),
        ("dclm", "ngram.seen"),
        ("gpt2-overlap", None),
    ],
)
def test_the_example_recipes_run(name: str, rule: str | None) -> None:
    Path("examples").symlink_to(EXAMPLES.parent)
    found = load(f"examples/recipes/{name}.toml")
    dataset = found.run(options=Options(workers=1))
    assert dataset.rows > 0
    assert dataset.path == found.target
    told = [stage for one in found.passes() for stage in Dataset(one.target).manifest["stages"]]
    assert [stage["name"] for stage in told] == [stage.name for stage in found.stages]
    if rule is not None:
        assert sum(stage["rules"].get(rule, {"documents": 0})["documents"] for stage in told) >= 10
