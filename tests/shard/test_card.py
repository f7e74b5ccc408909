"""The card says what the manifests say, is the same in any folder, and never overwrites an author's words."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run
from corpuskit.funnel import Level
from corpuskit.shard import card
from corpuskit.shard.parquet import Parquet
from corpuskit.testing import documents, write_dataset

yaml = pytest.importorskip("yaml")

LANGUAGES = ["eng", "eng", "deu", "nor", "gsw", None, "<b>"]
RULES = {"gopher.word_count.min": {"documents": 3, "spans": 0, "bytes": 0}}
RULES |= {"c4.line.policy": {"documents": 0, "spans": 4, "bytes": 2000}}


def source(folder: Path) -> str:
    batch = documents([f"text number {number}" for number in range(7)], lang=LANGUAGES)
    path = Path(write_dataset(folder / "pages", batch))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["stages"][0] |= {"rows_in": 10, "rules": RULES}
    manifest["inputs"] = [{"name": "pages-*.warc.gz", "kind": "files", "files": 9, "identity": "x"}]
    (path / "manifest.json").write_text(json.dumps(manifest))
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    run(Parquet(rows=4), source(folder), str(folder / "shards"), options=Options(workers=1))
    return folder


@pytest.fixture
def shards(made: Path, tmp_path: Path) -> Dataset:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return Dataset(str(tmp_path / "shards"))


def read(dataset: Dataset) -> str:
    return Path(dataset.path, "README.md").read_text("utf-8")


def front(text: str) -> dict[str, object]:
    head = re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)
    assert head
    found = yaml.safe_load(head[1])
    assert isinstance(found, dict)
    return found


def test_front_matter_is_what_the_hub_reads(shards: Dataset) -> None:
    found = front(read(shards))
    assert found["language"] == ["de", "en", "gsw", "no"]  # text, though YAML reads a bare no as false
    assert found["size_categories"] == ["n<1K"]
    (config,) = found["configs"]  # type: ignore[misc]
    pattern = config["data_files"][0]["path"]
    assert sorted(path.name for path in Path(shards.path).glob(pattern)) == [
        part.path for part in shards.parts
    ]


def test_tells_the_funnel_and_the_rules(shards: Dataset) -> None:
    text = read(shards)
    assert "| `crawl.test` | 10 | 7 | 70.0 % |" in text
    assert "| `shard.parquet` | 7 | 7 | 100.0 % |" in text
    assert "| `crawl.test` | `gopher.word_count.min` | 3 | 30.0 % |  |  |" in text
    assert "| `crawl.test` | `c4.line.policy` |  |  | 4 | 2.0 kB |" in text
    assert "Read: pages-*.warc.gz (9 files)." in text
    assert "| documents | 7 |" in text
    assert "| words | 21 (runs between white space) |" in text
    assert "| eng | 2 | 28.6 % | 6 |" in text
    assert "| `origin` | string | no |" in text


def test_same_bytes_in_another_folder(shards: Dataset, tmp_path: Path) -> None:
    other = run(
        Parquet(rows=4), str(tmp_path / "pages"), str(tmp_path / "x" / "y"), options=Options(workers=2)
    )
    assert read(other) == read(shards)
    assert str(tmp_path) not in read(shards)


def test_its_recipe_is_the_one_that_was_run(shards: Dataset) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", read(shards), re.DOTALL)
    told = tomllib.loads(blocks[-1])
    assert told["stages"] == ["crawl.test", "shard.parquet"]
    assert settings.from_mapping(Parquet, told["shard"]["parquet"], "card") == Parquet(rows=4)


def test_a_second_run_leaves_the_card_as_it_is(shards: Dataset, tmp_path: Path) -> None:
    before = Path(shards.path, "README.md").stat().st_mtime_ns
    run(Parquet(rows=4), str(tmp_path / "pages"), shards.path, options=Options(workers=1))
    assert Path(shards.path, "README.md").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "edit", [lambda text: text.replace("## Rights", "## Licence"), lambda text: "mine", str.upper]
)
def test_an_edited_card_is_left_alone(shards: Dataset, edit: object) -> None:
    path = Path(shards.path, "README.md")
    mine = edit(path.read_text("utf-8"))  # type: ignore[operator]
    path.write_text(mine, "utf-8")
    card.write(shards)
    assert path.read_text("utf-8") == mine


def test_an_untouched_card_of_an_older_dataset_is_replaced(shards: Dataset) -> None:
    now = read(shards)
    shards.manifest["stages"][0]["rows_in"] = 8
    card.write(shards)
    assert read(shards) != now
    assert "| `shard.parquet` | 8 | 7 |" in read(shards)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    path = Path(source(tmp_path))
    manifest = json.loads((path / "manifest.json").read_text())
    evil = "a|b`<script>alert(1)</script>\n# no\u202e"
    manifest["inputs"][0]["name"] = evil
    manifest["stages"][0] |= {
        "rules": {evil: {"documents": 1, "spans": 0, "bytes": 0}},
        "settings": {"x": evil},
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    text = card.render(Dataset(str(path)))
    outside = re.sub(r"```toml\n.*?```", "", text, flags=re.DOTALL)
    assert "<script>" not in outside
    assert "\u202e" not in outside
    assert "\n# no" not in text
    assert tomllib.loads(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])["crawl"]["test"]["x"] == evil


def test_recipe_of_a_stage_used_twice() -> None:
    def level(value: object) -> Level:
        return Level("filter.rules", 1, {"tables": value, "off": None, "min": 1e-08}, 1, 1, None, None, 0, ())

    told = tomllib.loads(card.recipe_toml([level(["a", "b"]), level(["\x7f"])]))
    assert told["filter"]["rules"] == [
        {"tables": ["a", "b"], "min": 1e-08},
        {"tables": ["\x7f"], "min": 1e-08},
    ]


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (999_999, "100K<n<1M"),
        (10**9, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_size_categories(rows: int, category: str) -> None:
    assert card._size_category(rows) == category


def test_force_writes_the_card_again(shards: Dataset, tmp_path: Path) -> None:
    options = Options(workers=1, force=True)
    again = run(Parquet(rows=1), str(tmp_path / "pages"), shards.path, options=options)
    assert "| files | 7 of 1 documents" in read(again)
