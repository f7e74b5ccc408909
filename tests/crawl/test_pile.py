"""`crawl pile`: its 22 sets, by name, in or out."""

import json

import pytest
import zstandard

from corpuskit import engine
from corpuskit.crawl.pile import SETS, Pile
from corpuskit.errors import UsageError
from corpuskit.testing import _check_portable


@pytest.fixture
def pile(tmp_path):
    rows = [
        {"text": f"Of {name}, {number}.", "meta": {"pile_set_name": name}}
        for number in range(2)
        for name in SETS
    ]
    rows += [{"text": "Of no set.", "meta": {}}, {"text": "Of another.", "meta": {"pile_set_name": "CC-100"}}]
    rows += [{"text": "", "meta": {"pile_set_name": "Books3"}}]
    data = "".join(f"{json.dumps(row)}\n" for row in rows) + "not JSON\n"
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(data.encode()))
    return path


def crawl(stage, path):
    (task,) = stage.plan(str(path))
    splits = list(stage.run(task))
    assert all(split.kept.schema.equals(stage.writes(task.schema)) for split in splits)
    return (
        [row for split in splits for row in split.kept.to_pylist()],
        [row for split in splits for row in split.rejected.to_pylist()],
    )


def test_there_are_22_sets():
    assert len(set(SETS)) == 22


def test_the_set_is_the_source_and_what_has_none_is_counted(pile):
    kept, rejected = crawl(Pile(), pile)
    assert [row["source"] for row in kept] == [*SETS, *SETS]
    assert kept[0]["text"] == "Of ArXiv, 0." and len({row["id"] for row in kept}) == 44
    assert [row["rule"] for row in rejected] == ["pile.set", "pile.set", "pile.empty", "pile.malformed"]
    assert {"pile.set", "pile.malformed"} <= Pile.bad_rules and "pile.excluded" not in Pile.bad_rules


def test_kosmos_leaves_out_four(pile):
    stage = Pile(exclude_set=("GitHub", "arXiv", "Stack Exchange", "PubMed Central"))
    assert stage.exclude_set == ("ArXiv", "Github", "PubMed Central", "StackExchange")
    kept, rejected = crawl(stage, pile)
    assert {row["source"] for row in kept} == set(SETS) - set(stage.exclude_set)
    assert [row["rule"] for row in rejected].count("pile.excluded") == 8
    _check_portable(stage)


def test_a_set_that_is_none_is_corrected():
    with pytest.raises(UsageError, match="no set 'Book3'") as error:
        Pile(exclude_set=("Book3",))
    assert error.value.fix == "did you mean 'Books3'?"


def test_other_corpora_are_told_apart(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "url": "u", "timestamp": "2020"}\n')
    with pytest.raises(UsageError, match=r"has no column 'meta\.pile_set_name'; it has text, url, timestamp"):
        Pile().plan(str(path))


def test_a_cut_file_is_counted_and_workers_change_nothing(pile, tmp_path):
    folder = tmp_path / "pile"
    folder.mkdir()
    (folder / "01.jsonl.zst").write_bytes(pile.read_bytes()[:-10])
    (folder / "00.jsonl.zst").write_bytes(pile.read_bytes())
    _, rejected = crawl(Pile(), folder / "01.jsonl.zst")
    assert "pile.lost" in [row["rule"] for row in rejected]
    options = [engine.Options(workers=workers, max_bad=1) for workers in (1, 2)]
    runs = [engine.run(Pile(), str(folder), str(tmp_path / str(n)), options=o) for n, o in enumerate(options)]
    assert [part.sha256 for part in runs[0].parts] == [part.sha256 for part in runs[1].parts]
