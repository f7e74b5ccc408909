"""Images of search services: what becomes of every result, and that no page is asked for twice."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from loopback import serving
from search_world import (
    Outer,
    asked,
    commons_page,
    flickr_photo,
    openverse,
    openverse_image,
    script,
    settings_for,
    told,
)

from corpuskit import engine
from corpuskit.crawl.search import SEARCHED, Search
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, TargetError, TooManyBadRecords, TryLater, UsageError
from corpuskit.testing import check_stage, documents, write_dataset

DOGS = [openverse_image(f"dog{number:03d}") for number in range(45)]
BOTH = openverse_image("both", license="cc0", license_version="1.0")
CATALOGUE = {"dog": [*DOGS[:25], BOTH, *DOGS[25:]], "cat": [BOTH, openverse_image("cat", title=None)]}


@pytest.fixture(scope="module", autouse=True)
def workers():
    """Let all runs have the same workers, who know a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSKIT_FLICKR_KEY", "open-sesame")
        with engine.crew():
            yield


def queries(folder: Path, *texts: str | None) -> str:
    rows = [{"id": f"q{number}", "query": text} for number, text in enumerate(texts)]
    schema = pa.schema([("id", pa.string()), ("query", pa.string())])
    return write_dataset(folder / "queries", pa.RecordBatch.from_pylist(rows, schema))


def run(stage, source: str, target: Path, workers: int = 1, max_bad: float = 1.0) -> Dataset:
    return engine.run(stage, source, str(target), options=engine.Options(workers=workers, max_bad=max_bad))


def rules(dataset: Dataset) -> Counter[str]:
    return Counter(row["rule"] for batch in dataset.reject_batches() for row in batch.to_pylist())


def rows(dataset: Dataset) -> dict[str, dict]:
    return {row["service_id"]: row for row in dataset.table().to_pylist()}


def pages(server) -> Counter[tuple[str, str]]:
    found = map(asked, server.heads)
    return Counter((request["q"], request["page"]) for request in found)


def test_an_image_is_one_row_with_all_queries_and_everything_else_is_a_reject(tmp_path):
    source = queries(tmp_path, "dog", "cat", "nothing", " dog ", None, "")
    with serving(script(openverse(CATALOGUE))) as server:
        stage = Search(from_="openverse", per_query=30, **settings_for(server))
        dataset = run(stage, source, tmp_path / "target")
    assert dataset.schema.equals(SEARCHED)
    found = rows(dataset)
    assert sorted(found) == sorted(["both", *(f"dog{number:03d}" for number in range(29))])
    assert found["both"]["queries"] == ["cat", "dog"] and found["dog000"]["queries"] == ["dog"]
    dog = found["dog000"]
    assert dog["text"] == "A picture of dog000" and dog["url"] == "https://www.flickr.com/photos/ann/dog000"
    assert dog["images"] == [
        {
            "offset": 0,
            "url": "https://live.staticflickr.com/1/dog000_b.jpg",
            "alt": "A picture of dog000",
            "sha256": None,
            "width": 1024,
            "height": 683,
            "bytes": None,
        }
    ]
    assert (dog["license"], dog["license_version"], dog["creator"]) == ("by-sa", "2.0", "Ann")
    assert dog["license_url"] == "https://creativecommons.org/licenses/by-sa/2.0/"
    assert dog["attribution"] == '"A picture of dog000" by Ann is licensed under CC BY-SA 2.0.'
    assert (dog["service"], dog["source"], dog["tags"]) == ("openverse", "openverse", ["dog", "grass"])
    assert dog["date"].isoformat() == "2026-11-24T08:00:00+00:00" and dog["lang"] is None
    assert rules(dataset) == {
        "images.search_cap": 10,
        "images.search_empty": 1,
        "images.search_repeated": 1,
        "images.search_query": 2,
        "images.search_text": 1,
    }
    assert pages(server) == {("dog", "1"): 1, ("dog", "2"): 1, ("cat", "1"): 1, ("nothing", "1"): 1}
    assert not (tmp_path / "target" / "work").exists()


def test_rejects_say_where_they_come_from(tmp_path):
    with serving(script(openverse(CATALOGUE))) as server:
        stage = Search(from_="openverse", per_query=44, **settings_for(server))
        dataset = run(stage, queries(tmp_path, "dog", "nothing"), tmp_path / "target")
    told = [row for batch in dataset.reject_batches() for row in batch.to_pylist()]
    cap = [row for row in told if row["rule"] == "images.search_cap"]
    assert {(row["value"], row["bound"], row["stage"]) for row in cap} == {
        (45.0, 44.0, "crawl.images.search")
    }
    assert sorted(row["url"] for row in cap) == [
        f"https://www.flickr.com/photos/ann/dog{number:03d}" for number in (43, 44)
    ]
    (empty,) = [row for row in told if row["rule"] == "images.search_empty"]
    assert empty["origin"].endswith("@1 nothing")


def test_one_worker_and_two_give_the_same_bytes(tmp_path):
    source = queries(tmp_path, "dog", "cat")
    with serving(script(openverse(CATALOGUE))) as server:
        stage = Search(from_="openverse", **settings_for(server))
        one, two = (run(stage, source, tmp_path / str(count), count) for count in (1, 2))
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts] and one.rows == 46
    assert [part.sha256 for part in one.rejects] == [part.sha256 for part in two.rejects]


def test_licences_are_asked_for_and_checked(tmp_path):
    def careless(request):
        return openverse(CATALOGUE)({**request, "license": ""})

    with serving(script(careless)) as server:
        stage = Search(from_="openverse", license=("CC0", "pdm"), **settings_for(server))
        dataset = run(stage, queries(tmp_path, "dog"), tmp_path / "target")
    assert list(rows(dataset)) == ["both"] and rules(dataset) == {"images.search_licence": 45}
    assert {asked(head)["license"] for head in server.heads} == {"cc0,pdm"}


def test_no_more_than_four_hundred_results_are_taken_from_openverse(tmp_path):
    many = [openverse_image(f"x{number}") for number in range(500)]
    with serving(script(openverse({"x": many}))) as server:
        stage = Search(from_="openverse", per_query=1000, **settings_for(server) | {"delay": 0.0})
        assert run(stage, queries(tmp_path, "x"), tmp_path / "target").rows == 400
    assert len(server.heads) == 20


def test_commons_is_followed_by_its_whole_continuation(tmp_path):
    def commons(request):
        offset = int(request.get("gsroffset", 0))
        if offset and request.get("continue") != "gsroffset||":
            return told({"error": {"code": "badcontinue", "info": "Invalid continue param."}})
        found = [commons_page(number, number) for number in range(1, 121)][offset : offset + 50]
        more = {"continue": {"gsroffset": offset + 50, "continue": "gsroffset||"}} if offset < 100 else {}
        return told({"batchcomplete": True, **more, "query": {"pages": found}})

    with serving(script(commons)) as server:
        stage = Search(from_="commons", per_query=500, **settings_for(server))
        dataset = run(stage, queries(tmp_path, "dog"), tmp_path / "target")
    assert dataset.rows == 120 and not rules(dataset) and len(server.heads) == 3
    assert "corpuskit/" in asked(server.heads[0])["user-agent:"]
    assert "crawler@corpus.mit.edu" in asked(server.heads[0])["user-agent:"]


def test_flickr_wants_a_key_which_no_file_holds(tmp_path, monkeypatch):
    def flickr(request):
        if request["api_key"] != "open-sesame":
            return told({"stat": "fail", "code": 100, "message": "Invalid API Key"})
        return told({"photos": {"pages": 1, "photo": [flickr_photo(7)]}, "stat": "ok"})

    source = queries(tmp_path, "dog")
    with serving(script(flickr)) as server:
        stage = Search(from_="flickr", **settings_for(server))
        with monkeypatch.context() as without:
            without.delenv("CORPUSKIT_FLICKR_KEY")
            with pytest.raises(UsageError, match="with a key only") as caught:
                run(stage, source, tmp_path / "target")
        assert "CORPUSKIT_FLICKR_KEY" in str(caught.value) and not server.heads
        dataset = run(stage, source, tmp_path / "target")
    assert rows(dataset)["7"]["license"] == "by"
    for path in (tmp_path / "target").rglob("*"):
        assert not path.is_file() or b"open-sesame" not in path.read_bytes()


def test_a_quota_used_up_keeps_what_stands_and_no_page_is_asked_for_twice(tmp_path):
    answers = openverse(CATALOGUE | {"bird": [openverse_image("bird")]})
    left = [3]

    def limited(request):
        if left[0] == 0:
            return told({"detail": "throttled"}, "429 Too Many Requests", Retry_After="40000")
        left[0] -= 1
        return answers(request)

    source = queries(tmp_path, "cat", "dog", "bird")
    with serving(script(limited)) as server:
        stage = Search(from_="openverse", **settings_for(server))
        with pytest.raises(TryLater, match="429"):
            run(stage, source, tmp_path / "target")
        assert len(server.heads) == 4
        left[0] = 99
        dataset = run(stage, source, tmp_path / "target")
    assert pages(server) == {
        ("cat", "1"): 1,
        ("dog", "1"): 1,
        ("dog", "2"): 1,
        ("dog", "3"): 2,  # refused once
        ("bird", "1"): 1,
    }
    with serving(script(answers)) as server:
        again = Search(from_="openverse", **settings_for(server))
        whole = run(again, source, tmp_path / "whole")
    assert [part.sha256 for part in dataset.parts] == [part.sha256 for part in whole.parts]


def test_a_search_that_is_killed_goes_on_with_the_page_in_flight(tmp_path):
    answers = openverse({f"q{number}": [openverse_image(f"x{number}")] for number in range(6)})
    reached, stuck = threading.Event(), [True]

    def holding(request):
        if request["q"] == "q3" and stuck[0]:
            reached.set()
            threading.Event().wait(5)
        return answers(request)

    source = queries(tmp_path, *(f"q{number}" for number in range(6)))
    with serving(script(holding)) as server:
        chosen = {"from_": "openverse", **settings_for(server)}
        code = (
            "from corpuskit import engine; from corpuskit.crawl.search import Search; "
            f"engine.run(Search(**{chosen!r}), {source!r}, {str(tmp_path / 'target')!r}, "
            "options=engine.Options(workers=1))"
        )
        process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        assert reached.wait(60)
        for child in _children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()
        stuck[0] = False
        dataset = run(Search(**chosen), source, tmp_path / "target")
    assert dataset.rows == 6
    assert pages(server) == {(f"q{number}", "1"): 1 + (number == 3) for number in range(6)}


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_query_the_service_fails_at_is_a_reject_and_the_search_goes_on(tmp_path):
    def failing(request):
        if request["q"] == "bad":
            return told({}, "500 Internal Server Error")
        if request["q"] == "long":
            return told({"detail": "q is too long"}, "400 Bad Request")
        if request["q"] == "html":
            return told(b"<html></html>")
        return openverse(CATALOGUE)(request)

    with serving(script(failing)) as server:
        stage = Search(from_="openverse", retries=1, **settings_for(server))
        source = queries(tmp_path, "bad", "dog", "long", "html")
        dataset = run(stage, source, tmp_path / "target")
    assert dataset.rows == 46 and rules(dataset) == {"images.search_failed": 3}
    values = [row["value"] for batch in dataset.reject_batches() for row in batch.to_pylist()]
    assert sorted(values) == [200.0, 400.0, 500.0]
    assert Counter(asked(head)["q"] for head in server.heads)["bad"] == 2


@pytest.mark.parametrize("count", [3, 12])
def test_a_service_that_is_down_fails_no_query(tmp_path, count):
    down = [True]

    def sometimes(request):
        if down[0]:
            return told(b"<html>maintenance</html>")
        return openverse({request["q"]: [openverse_image(request["q"])]})(request)

    source = queries(tmp_path, *(f"q{number}" for number in range(count)))
    with serving(script(sometimes)) as server:
        stage = Search(from_="openverse", **settings_for(server) | {"delay": 0.0})
        with pytest.raises(TryLater, match="queries failed one after the other"):
            run(stage, source, tmp_path / "target")
        assert len(server.heads) == min(count, 10)
        down[0] = False
        dataset = run(stage, source, tmp_path / "target")
    assert dataset.rows == count and not rules(dataset)


def test_too_many_failures_are_told(tmp_path):
    def failing(request):
        return told({}, "400 Bad Request") if request["q"] == "bad" else openverse(CATALOGUE)(request)

    with serving(script(failing)) as server:
        stage = Search(from_="openverse", **settings_for(server))
        with pytest.raises(TooManyBadRecords):
            run(stage, queries(tmp_path, "bad", "cat"), tmp_path / "target", max_bad=0.01)
    assert Dataset(str(tmp_path / "target")).rows == 1


def test_it_can_be_a_kept_step_of_another_chain(tmp_path):
    with serving(script(openverse(CATALOGUE))) as server:
        outer = Outer(from_="openverse", **settings_for(server))
        dataset = run(outer, queries(tmp_path, "cat", "nothing"), tmp_path / "target")
        assert run(outer, str(tmp_path / "queries"), tmp_path / "target").rows == 1
    assert list(rows(dataset)) == ["both"] and len(server.heads) == 2
    step = Dataset(str(tmp_path / "target" / "steps" / "01-search"))
    assert rules(step) == {"images.search_text": 1, "images.search_empty": 1}
    assert dataset.schema.equals(SEARCHED)


def test_settings_outside_their_range_are_told():
    good = {"from_": "openverse", "contact": "crawler@corpus.mit.edu"}
    for wrong, message in [
        ({"contact": "me@example.com"}, "placeholder"),
        ({"per_query": 0}, "per_query is 0"),
        ({"image_width": 0}, "image_width is 0"),
        ({"delay": -1.0}, "delay is -1"),
        ({"license": ("by", "bysa")}, "no licence 'bysa'"),
    ]:
        with pytest.raises(UsageError, match=message):
            Search(**good | wrong)
    assert Search(**good | {"from_": "commons", "license": ("GFDL",)}).license == ("gfdl",)


def test_a_source_that_is_no_query_list_and_a_target_that_is_no_folder_are_told(tmp_path):
    stage = Search(from_="openverse", contact="crawler@corpus.mit.edu")
    source = write_dataset(tmp_path / "docs", documents(["text"]))
    with pytest.raises(InputError, match="is no query list"):
        run(stage, source, tmp_path / "target")
    with pytest.raises(UsageError, match="search into a local folder"):
        stage.placed("s3://bucket/x")


def test_another_search_in_the_same_target_is_refused(tmp_path):
    source = queries(tmp_path, "cat")
    with serving(script(openverse(CATALOGUE))) as server:
        chosen = settings_for(server)
        run(Search(from_="openverse", **chosen), source, tmp_path / "target")
        with pytest.raises(TargetError):
            run(Search(from_="openverse", per_query=7, **chosen), source, tmp_path / "target")
        # where and how fast it is asked says nothing about what is found
        run(Search(from_="openverse", **chosen | {"delay": 1.0}), source, tmp_path / "target")
    assert len(server.heads) == 1


def test_a_dry_run_asks_nothing(tmp_path):
    with serving(script(openverse(CATALOGUE))) as server:
        stage = Search(from_="openverse", **settings_for(server) | {"delay": 60.0})
        seen = engine.outlook(stage, queries(tmp_path, "cat", "dog"), str(tmp_path / "target"))
    assert not server.heads and not (tmp_path / "target").exists()
    assert seen.tasks == 1 and "2 queries to openverse" in seen.notes[0] and "2 min" in seen.notes[0]


def test_it_keeps_the_laws_of_a_stage():
    batch = documents(["a", "b", "c"], query=["dog", "cat", "nothing"])
    with serving(script(openverse(CATALOGUE))) as server:
        check_stage(Search(from_="openverse", **settings_for(server) | {"delay": 0.0}), batch)
