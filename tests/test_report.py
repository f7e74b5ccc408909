"""The report agrees with the manifests to the last count, and shows hostile text without harm."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from passes import Lines, Replace, Short, build

from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run
from corpuskit.errors import InputError
from corpuskit.funnel import funnel
from corpuskit.report import Report, report
from corpuskit.shard.parquet import Parquet
from corpuskit.testing import documents, write_dataset

STAGES = ["crawl.lines", "filter.short", "filter.replace", "dedup.same", "filter.replace", "dedup.pieces"]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def found(target: Dataset) -> Report:
    return report(target.path)


def passes(target: Dataset) -> list[Dataset]:
    return [*(Dataset(str(path)) for path in sorted(Path(target.path, "steps").iterdir())), target]


def test_one_section_from_archive_to_shards(found: Report) -> None:
    (section,) = found.json()["sections"]
    assert section["sources"] == [{"name": "pages.tsv", "kind": "files", "files": 1, "section": None}]
    assert [stage["name"] for stage in section["stages"]] == [*STAGES, "shard.parquet"]


def test_agrees_with_the_manifests(target: Dataset, found: Report) -> None:
    told = [stage for dataset in passes(target) for stage in dataset.manifest["stages"]]
    stages = found.json()["sections"][0]["stages"]
    for stage, manifest in zip(stages, told, strict=True):
        for name in ("rows_in", "rows_out", "bytes_in", "bytes_out", "settings"):
            assert stage[name] == manifest[name]
        rules = {
            name: {"documents": rule["documents"], "spans": rule["spans"], "bytes": rule["bytes"]}
            for name, rule in stage["rules"].items()
        }
        assert rules == manifest["rules"]
    assert found.documents == target.rows == sum(rows for rows, _ in found.languages.values())
    assert (
        found.words == sum(part.words for part in target.parts) == sum(w for _, w in found.languages.values())
    )


def test_the_funnel_is_conserved_by_the_rejects_themselves(target: Dataset, found: Report) -> None:
    gone: Counter[tuple[int, str]] = Counter()
    for number, dataset in enumerate(passes(target)):
        whole = {(row["stage"], row["id"]) for batch in dataset.reject_batches() for row in batch.to_pylist()
                 if row["start"] is None}  # fmt: skip
        gone.update((number, stage) for stage, _ in whole)
    (section,) = found.sections
    number = 0
    for level, after in zip(section.levels, (*section.levels[1:], None), strict=True):
        pieces = 2 if level.stage == "dedup.pieces" else 0
        assert level.rows_in - gone[(number, level.stage)] + pieces == level.rows_out
        assert after is None or after.rows_in == level.rows_out
        number += level.manifest is not None


def test_shares_are_of_what_came_into_the_stage(found: Report) -> None:
    short = found.json()["sections"][0]["stages"][1]
    assert (short["rows_in"], short["rows_out"], short["rejected"]) == (11, 9, 2)
    assert short["kept"] == 9 / 11
    assert short["rules"]["short.words.min"]["share"] == 2 / 11
    cut = found.json()["sections"][0]["stages"][2]
    assert cut["rules"]["line.policy"] == {
        "documents": 0, "share": 0.0, "spans": 4, "bytes": 36, "bytes_share": 36 / cut["bytes_in"],
    }  # fmt: skip


def test_words_stand_where_a_dataset_was_written(target: Dataset, found: Report) -> None:
    stages = found.json()["sections"][0]["stages"]
    known = [stage["words_out"] for stage in stages]
    written = [sum(part.words for part in dataset.parts) for dataset in passes(target)]
    assert known == [None, None, written[0], None, None, written[1], written[2]]


def test_text_fits_a_terminal(found: Report) -> None:
    text = found.text()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "Shares are of what came into the stage" in text
    assert re.search(r"filter\.short +11 +9 +81\.8 %", text)
    assert re.search(r"short\.words\.min +2 +18\.2 %", text)
    assert "\x1b" not in text


def test_json_is_one_object(found: Report) -> None:
    assert json.loads(json.dumps(found.json(), allow_nan=False)) == found.json()


def test_several_inputs_have_a_section_each(target: Dataset, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "books", documents(["a b c"] * 3, id=["x", "y", "z"]))
    both = run(Parquet(), [target.path, other], str(tmp_path / "both"), options=Options(workers=1))
    first, second, last = funnel(both)
    assert (first.name, second.name, last.name) == ("target", "books", "both")
    assert [(source.name, source.count, source.section) for source in last.sources] == [
        ("target", target.rows, 0), ("books", 3, 1),
    ]  # fmt: skip
    assert sum(source.count for source in last.sources) == last.levels[0].rows_in == both.rows
    assert "both: from target (" in report(both.path).text()


def test_a_dataset_read_twice_has_one_section(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("https://a/\teng\tone two three four\n")
    one = Options(workers=1)
    crawled = run(Lines(), str(tmp_path / "a.tsv"), str(tmp_path / "c"), options=one)
    short = run(Short(), crawled.path, str(tmp_path / "s"), options=one)
    cut = run(Replace(), [crawled.path, short.path], str(tmp_path / "t"), options=one)
    assert [(section.name, len(section.levels)) for section in funnel(cut)] == [("c", 1), ("s", 1), ("t", 1)]


class Tags(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.shown = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.shown += data


def hostile(folder: Path) -> str:
    """Make a dataset whose names a stranger chose."""
    path = Path(write_dataset(folder, documents(["a"], lang=["<i>"])))
    manifest = json.loads((path / "manifest.json").read_text())
    evil = "<script>alert('1')</script>\x1b[2J[red]"
    manifest["inputs"] = [{"name": evil, "kind": "files", "files": 1, "identity": ""}]
    manifest["stages"][0]["rules"] = {evil: {"documents": 1, "spans": 0, "bytes": 0}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "plan.json").write_text(json.dumps({"sources": [{"path": evil}]}))
    return str(path)


def test_html_stands_alone_and_escapes(found: Report, tmp_path: Path) -> None:
    for page in (found.html(), report(hostile(tmp_path / "x<img src=y>")).html()):
        seen = Tags()
        seen.feed(page)
        assert not {"script", "img", "i", "link", "iframe"} & set(seen.tags)
        assert not {"src", "href", "onload", "onclick"} & set(seen.attributes)
        assert "url(" not in page
        assert "default-src 'none'" in page
    assert "<script>alert('1')</script>" in seen.shown


def test_text_of_hostile_names_obeys_nothing(tmp_path: Path) -> None:
    text = report(hostile(tmp_path / "x")).text()
    assert "\x1b" not in text
    assert "[red]" in text


def test_no_dataset_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset"):
        report(str(tmp_path / "nothing"))


def test_shards_copied_alone_still_report(target: Dataset, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "manifest.json").write_bytes(Path(target.path, "manifest.json").read_bytes())
    stages = report(str(copy)).json()["sections"][0]["stages"]
    assert [stage["words_out"] for stage in stages][:-1] == [None] * 6
    assert stages[-1]["words_out"] == sum(part.words for part in target.parts)


def test_empty_dataset(tmp_path: Path) -> None:
    found = report(write_dataset(tmp_path / "x", documents([])))
    assert found.json()["sections"][0]["stages"][0]["kept"] is None
    assert "0 documents" in found.text()
    assert "0 documents" in found.html()


def test_many_sources_are_counted_not_listed(tmp_path: Path) -> None:
    path = Path(write_dataset(tmp_path / "x", documents(["a"])))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["inputs"] = [
        {"name": f"{number:05d}.warc.gz", "kind": "files", "files": 1, "identity": ""}
        for number in range(2000)
    ]
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "plan.json").unlink()
    found = report(str(path))
    assert "00002.warc.gz (1 file) + 1997 more (1,997 files)" in " ".join(found.text().split())
    assert len(found.json()["sections"][0]["sources"]) == 2000
