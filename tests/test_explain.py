"""`explain` tells every verdict on a document, with values, cuts and twins, from the archive on."""

from __future__ import annotations

import functools
import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from passes import LINES, Replace, Short, build

from corpuskit.crawl.warc import Warc
from corpuskit.dataset import Dataset
from corpuskit.dedup.exact import Exact
from corpuskit.dedup.lines import Lines
from corpuskit.dedup.minhash import MinHash
from corpuskit.dedup.substring import Substring
from corpuskit.document import document_id
from corpuskit.engine import Options, run
from corpuskit.errors import InputError
from corpuskit.explain import Explanation, Reason, Story, Twin, explain
from corpuskit.testing import documents, write_dataset

URLS = [url for url, _, _ in LINES]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build(tmp_path_factory.mktemp("explain"))


def name(url: str) -> str:
    return document_id("test", None, f"pages.tsv@{URLS.index(url)}")


def only(found: Explanation) -> Story:
    (story,) = found.stories
    return story


def verdicts(story: Story) -> dict[str, str]:
    return {f"{number}:{one.stage}": one.verdict for number, one in enumerate(story.verdicts)}


def test_kept(target: Dataset) -> None:
    story = only(explain(target.path, name("https://site/kept")))
    assert set(verdicts(story).values()) == {"kept"}
    assert [one.stage for one in story.verdicts] == [
        "crawl.lines", "filter.short", "filter.replace", "dedup.same", "filter.replace", "dedup.pieces",
        "shard.parquet",
    ]  # fmt: skip
    assert story.kept_in is not None
    assert story.kept_in in [target.path_of(part) for part in target.parts]
    assert (story.text, story.origin, story.source) == ("This text is kept as it is.", "pages.tsv@0", "test")
    assert story.date == "2023-11-14 22:13:20"


def test_rejected_says_every_rule_with_value_and_bound(target: Dataset) -> None:
    found = explain(target.path, "https://site/tiny")
    story = only(found)
    assert verdicts(story) == {
        "0:crawl.lines": "kept", "1:filter.short": "rejected", "2:filter.replace": "not reached",
    }  # fmt: skip
    said = [reason.sentence() for reason in story.verdicts[1].reasons]
    assert said == ["short.words.min: 1 is below 4", "short.half.min: 1 is below 2"]
    assert story.end == "rejected by filter.short"
    assert story.kept_in is None
    assert "short.half.min: 1 is below 2" in found.text()


def test_rejected_by_the_crawl_itself(target: Dataset) -> None:
    story = only(explain(target.path, "https://site/empty"))
    assert list(verdicts(story).values()) == ["rejected", "not reached", "not reached"]
    assert (story.id, story.origin) == (name("https://site/empty"), "pages.tsv@3")


def test_cut_in_a_pass_whose_text_was_not_written(target: Dataset) -> None:
    story = only(explain(target.path, "https://site/cut"))
    cut = story.verdicts[2]
    assert cut.verdict == "cut"
    assert [(one.start, one.end, one.text) for one in cut.cuts] == [(8, 17, None), (32, 41, None)]
    assert story.text == "Grüße aus dem Süden und mehr"


def test_cut_text_comes_from_the_dataset_before(target: Dataset) -> None:
    story = only(explain(target.path, "https://site/mail"))
    (verdict,) = [one for one in story.verdicts if one.verdict == "cut"]
    assert [(one.text, one.written, one.rule) for one in verdict.cuts] == [
        ("me@site", 6, "pii.mail"), ("you@site", 6, "pii.mail"),
    ]  # fmt: skip
    assert story.text == "Write to <mail> or to <mail> today"


def test_duplicate_names_its_twin_with_its_text(target: Dataset) -> None:
    found = explain(target.path, name("https://site/duplicate"))
    story = only(found)
    last = next(one for one in story.verdicts if one.verdict == "rejected")
    assert (last.stage, story.verdicts[2].verdict) == ("dedup.same", "cut")
    (reason,) = last.reasons
    assert reason.twin == Twin(
        name("https://site/twin"), "https://site/twin", "pages.tsv@5", "Alpha eins zwei drei vier"
    )
    assert reason.sentence() == "same.head: 0.93 like its twin, where 0.8 is enough"
    assert story.text == "Alpha eins zwei drei fünf"
    assert "│ Alpha eins zwei drei vier" in found.text()
    assert (
        found.json()["documents"][0]["verdicts"][3]["reasons"][0]["twin"]["text"]
        == "Alpha eins zwei drei vier"
    )


def test_pieces_have_a_story_each(target: Dataset) -> None:
    whole = name("https://site/pieces")
    found = explain(target.path, whole)
    assert [story.id for story in found.stories] == [f"{whole}#{number}" for number in range(3)]
    assert [story.text for story in found.stories] == ["le premier", "la seconde partie", "fin"]
    one = only(explain(target.path, f"{whole}#1"))
    assert one == found.stories[1]
    cut = one.verdicts[5]
    assert (cut.stage, [span.text for span in cut.cuts]) == ("dedup.pieces", [" || ", " || "])


def test_a_url_explains_every_document_fetched_from_it(target: Dataset) -> None:
    found = explain(target.path, "https://site/again")
    assert [story.text for story in found.stories] == [
        "first visit to this page",
        "second visit to this page",
    ]


def test_hostile_text_obeys_nothing(target: Dataset) -> None:
    found = explain(target.path, URLS[-1])
    text = found.text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<b>this</b>" in text
    assert found.json()["documents"][0]["text"] == LINES[-1][2]


def test_lines_fit_a_terminal(target: Dataset) -> None:
    for url in URLS[:-1]:
        for line in explain(target.path, url).text().splitlines():
            assert len(line) <= 80 or line.startswith("  kept in ")


def test_json_is_one_plain_object(target: Dataset) -> None:
    for url in URLS:
        told = explain(target.path, url).json()
        assert json.loads(json.dumps(told, allow_nan=False)) == json.loads(json.dumps(told))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("http://site/kept", "https://site/kept"),
        ("https://www.site/kept/", "https://site/kept"),
        ("HTTPS://SITE/kept", "https://site/kept"),
        (name("https://site/kept")[:8], name("https://site/kept")),
        (name("https://site/empty")[:8], name("https://site/empty")),
        ("https://site/emp", "https://site/empty"),
    ],
)
def test_a_near_miss_is_suggested(target: Dataset, asked: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        explain(target.path, asked)
    assert meant in (caught.value.fix or "")


def test_unknown_says_how_to_search(target: Dataset) -> None:
    for asked in ("nothing like it", ""):
        with pytest.raises(InputError, match="knows no document") as caught:
            explain(target.path, asked)
        assert caught.value.fix


def test_a_piece_there_is_not(target: Dataset) -> None:
    with pytest.raises(InputError, match="no piece") as caught:
        explain(target.path, name("https://site/pieces") + "#7")
    assert "#2" in (caught.value.fix or "")


def test_an_earlier_dataset_alone(target: Dataset) -> None:
    step = str(Path(target.path, "steps", "01-crawl.lines"))
    story = only(explain(step, "https://site/duplicate"))
    assert (story.end.split()[0], len(story.verdicts)) == ("kept", 3)


def test_missing_steps_are_named(target: Dataset, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(target.path, copy, ignore=shutil.ignore_patterns("steps"))
    found = explain(str(copy), "https://site/kept")
    assert [one.stage for one in only(found).verdicts] == ["shard.parquet"]
    assert found.missing == (str(copy / "steps" / "02-dedup.same"),)
    assert "not at hand, so not told" in found.text()
    with pytest.raises(InputError):
        explain(str(copy), "https://site/tiny")


def test_a_text_that_holds_whole_ids_of_others_is_not_confused(tmp_path: Path) -> None:
    batch = documents(["one", "two", "three"], id=["ab", "abc", "ab#0x"])
    found = explain(write_dataset(tmp_path / "x", batch), "ab")
    assert [story.text for story in found.stories] == ["one"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (Reason("r.max", 0.31, 0.3), "r.max: 0.31 is above 0.3"),
        (Reason("r.max", 0.30000001, 0.3), "r.max: 0.30000001 is above 0.3"),
        (Reason("r.min", 5.0, 5.0), "r.min: 5 is exactly 5"),
        (Reason("r.min", 123456.0, 200000.0), "r.min: 123456 is below 200000"),
        (Reason("exact.text", None, None, Twin("a")), "exact.text"),
        (Reason("r.min", None, 5.0), "r.min: not defined, where the bound is 5"),
    ],
)
def test_sentences(reason: Reason, said: str) -> None:
    assert reason.sentence() == said


PAGE = """<html><head><title>t</title></head><body><article><h1>On bridges</h1>
<p>A bridge carries a road over a river, and this paragraph is long enough to be the main text of a page.
Whoever built it thought of floods, of ice and of the carts that would cross it for two hundred years.</p>
<p>COOKIES! It goes on for a while about {0}, so that the extractor takes it for an article and keeps it.
The stones came down the river on rafts, and the masons cut them on the bank before the water rose.</p>
</article></body></html>"""


def archive(path: Path, *, compress: bool) -> None:
    """Write four pages as a WARC file, each record a gzip member of its own or all plain."""
    records = []
    for number in range(4):
        page = PAGE.format(f"arch {number}").encode()
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page
        head = (
            "WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2024-05-01T00:00:00Z\r\n"
            f"WARC-Record-ID: <urn:uuid:{number:08d}-0000-4000-8000-000000000000>\r\n"
            f"WARC-Target-URI: https://bridges/{number}\r\n"
            f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
        )
        record = head.encode() + http + b"\r\n\r\n"
        records.append(gzip.compress(record) if compress else record)
    path.write_bytes(b"".join(records))


@pytest.mark.parametrize("compress", [True, False])
def test_text_of_a_pass_is_extracted_again_from_the_archive(compress: bool, tmp_path: Path) -> None:
    path = tmp_path / "bridges.warc.gz"
    archive(path, compress=compress)
    one = Options(workers=1, max_bad=1.0)
    stages = [Warc(), Replace(), Replace("It goes", "I<t> goes", "mask")]
    made = run(stages, str(path), str(tmp_path / "cut"), options=one)
    story = only(explain(made.path, "https://bridges/2"))
    assert [cut.text for verdict in story.verdicts for cut in verdict.cuts] == ["COOKIES! ", "It goes"]
    made = run([Warc(), Short(words=100)], str(path), str(tmp_path / "short"), options=one)
    found = explain(made.path, "https://bridges/3")
    assert only(found).end == "rejected by filter.short"
    assert "COOKIES! It goes on for a while about arch 3" in str(only(found).text)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    path.rename(moved / path.name)
    gone = explain(made.path, "https://bridges/3")
    assert only(gone).text is None
    assert "put it back" in gone.text()


@pytest.mark.parametrize("make", [Exact, MinHash, Lines, functools.partial(Substring, length=4)])
def test_the_twin_of_an_earlier_night_has_its_url_from_the_index(tmp_path: Path, make: Any) -> None:
    text = "the same four words and some more of them"
    for number, name in enumerate(("monday", "tuesday")):
        extra = "" if make in (Exact, MinHash) or not number else "\nbut this is new"
        batch = documents([text + extra], id=[f"{number:032x}"], url=[f"https://{name}/page"])
        source = write_dataset(tmp_path / name, batch)
        made = make(index=str(tmp_path / "seen"))
        target = run(made, source, str(tmp_path / "out" / name), options=Options(workers=1))
    shutil.rmtree(tmp_path / "monday")
    shutil.rmtree(tmp_path / "out" / "monday")
    found = explain(target.path, f"{1:032x}")
    last = only(found).verdicts[-1]
    (told,) = [item.twin for item in (*last.reasons, *last.cuts)]
    assert told == Twin(f"{0:032x}", "https://monday/page")
    assert f"twin {0:032x}  https://monday/page" in found.text()
    shutil.rmtree(tmp_path / "seen")
    assert f"twin {0:032x}\n" in explain(target.path, f"{1:032x}").text() + "\n"


def test_the_twin_in_a_reference_is_found_there(tmp_path: Path) -> None:
    reference = write_dataset(tmp_path / "reference", documents(["same"], id=["a"], url=["https://known/"]))
    source = write_dataset(tmp_path / "in", documents(["same"], id=["b"], url=["https://new/"]))
    made = run(Exact(against=(reference,)), source, str(tmp_path / "out"), options=Options(workers=1))
    (reason,) = only(explain(made.path, "b")).verdicts[-1].reasons
    assert reason.twin == Twin("a", "https://known/", "test.warc@0", "same")
