"""`crawl commoncrawl`: what is fetched by ranges is what a crawl of whole files gives."""

import gzip
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from building import record
from click.testing import CliRunner
from commoncrawl_world import CRAWL, PART, SEGMENT, Served, World, serving

from corpuskit import recipe
from corpuskit.cli import command
from corpuskit.crawl import commoncrawl
from corpuskit.crawl.commoncrawl import Archives, CommonCrawl
from corpuskit.crawl.warc import Warc
from corpuskit.dataset import Dataset
from corpuskit.engine import Options, outlook, run
from corpuskit.errors import InputError, TryLater
from corpuskit.funnel import funnel

ONE, TWO = Options(workers=1, max_bad=1.0), Options(workers=2, max_bad=1.0)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path / "world")


@pytest.fixture
def served(world):
    with serving(world) as found:
        yield found


def stage(served: Served, **given) -> CommonCrawl:
    place = {"base_url": served.url, "cdx_url": served.url, "pause": 0.01, "extractor": "resiliparse"}
    return CommonCrawl(crawl=CRAWL, **{**place, **given})


def rows(dataset: Dataset) -> list[dict]:
    return sorted(dataset.table().to_pylist(), key=lambda row: row["id"])


def rejects(dataset: Dataset) -> dict[str, str]:
    return {row["url"]: row["rule"] for batch in dataset.reject_batches() for row in batch.to_pylist()}


def written(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.suffix in (".parquet", ".json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_ranges_give_the_documents_of_whole_files(served, world, tmp_path):
    whole = run(stage(served), (), str(tmp_path / "whole"), options=ONE)
    documents = rows(whole)
    assert len(documents) == 21 and Counter(rejects(whole).values()) == {"warc.type": 3}
    asked = [path for path, _ in served.asked]
    assert {name: asked.count(f"/{name}") for name in world.warcs} == dict.fromkeys(world.warcs, 1)
    served.asked.clear()
    for given in ({"status": (200,)}, {"domain": ("harbour.example", "mole.test", "gov")}):
        by_range = run(stage(served, **given), (), str(tmp_path / min(given)), options=ONE)
        assert rows(by_range) == documents
        assert rejects(by_range) == rejects(whole)
    spans = [(path, span) for path, span in served.asked if "warc.gz" in path]
    assert len(spans) == 6 and all(span for _, span in spans)  # all of an archive lies close together
    plain, _ = _crawled(Warc(extractor="resiliparse"), str(world.folder / "crawl-data"))
    assert plain == {row["id"]: row["text"] for row in documents}
    assert documents[0]["origin"].startswith(f"{served.url}{SEGMENT}/warc/")
    assert documents[0]["source"] == CRAWL and documents[0]["title"].startswith("Page ")


def _crawled(warc: Warc, source: str) -> tuple[dict[str, str], int]:
    kept: dict[str, str] = {}
    count = 0
    for task in warc.plan(source):
        for split in warc.run(task):
            kept |= {row["id"]: row["text"] for row in split.kept.to_pylist()}
            count += len(split.rejected)
    return kept, count


SELECTIONS = {
    "domain": ({"domain": ("harbour.example",)}, lambda row: "harbour.example" in row["url"]),
    "language": ({"language": ("de",)}, lambda row: row["languages"].startswith("deu")),
    "prefix": ({"url": ("news.harbour.example/a/*",)}, lambda row: "news" in row["url"]),
    "exact": ({"url": ("https://mole.test/2",)}, lambda row: row["url"] == "https://mole.test/2"),
    "two at once": (
        {"url": ("*.harbour.example",), "language": ("en",), "mime": ("text/html",)},
        lambda row: "harbour" in row["url"] and row["mime"] == "text/html",
    ),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_both_indexes_select_the_same(name, index, served, world, tmp_path):
    given, wanted = SELECTIONS[name]
    if index == "cdx" and not ("url" in given or "domain" in given):
        given = {**given, "url": ("*.example", "*.test", "*.gov")}
    chosen = stage(served, index=index, **given)
    listing, lookup, last = (step.stage for step in chosen.steps())
    [told] = listing.run(listing.plan()[0])
    found = [
        split.kept
        for row in told.kept.to_pylist()
        for split in lookup.run(lookup.task(row))
        if len(split.kept)
    ]
    urls = sorted(url for batch in found for url in batch["url"].to_pylist())
    assert urls == sorted(row["url"] for row in world.captures if wanted(row)) and urls
    assert last.tasks(lambda: found, ())


def test_one_and_two_workers_and_many_tasks_write_the_same(served, tmp_path, monkeypatch):
    monkeypatch.setattr(commoncrawl, "TASK_CAPTURES", 5)
    one = run(stage(served, status=(200,)), (), str(tmp_path / "a" / "out"), options=ONE)
    two = run(stage(served, status=(200,)), (), str(tmp_path / "b" / "out"), options=TWO)
    assert written(tmp_path / "a" / "out") == written(tmp_path / "b" / "out")
    assert len(one.parts) == 5 and one.rows == two.rows == 21
    assert served.peak <= 4 and served.agents == {next(iter(served.agents))}


def test_what_the_index_says_is_kept_and_told(served, tmp_path):
    target = tmp_path / "out"
    dataset = run(stage(served, domain=("harbour.example",)), (), str(target), options=ONE)
    assert [path.name for path in (target / "steps").iterdir()] == ["02-captures"]
    assert Dataset(str(target / "steps" / "02-captures")).rows == 12
    [section] = funnel(dataset)
    assert [(level.stage, level.rows_out) for level in section.levels][-2:] == [
        ("crawl.captures", 12),
        ("crawl.commoncrawl", dataset.rows),
    ]
    served.asked.clear()
    run(stage(served, domain=("harbour.example",)), (), str(target), options=ONE)
    assert served.asked == []


def test_a_refusal_ends_in_try_later_and_what_stands_is_not_asked_for_again(
    served, world, tmp_path, monkeypatch
):
    monkeypatch.setattr(commoncrawl, "TASK_CAPTURES", 5)
    clean = run(
        stage(served, domain=("harbour.example", "gov")), (), str(tmp_path / "a" / "out"), options=ONE
    )
    assert len(clean.parts) == 4
    served.faults[world.warcs[0]] = ["always 503"]
    served.asked.clear()
    target = str(tmp_path / "b" / "out")
    chosen = stage(served, domain=("harbour.example", "gov"), retries=1)
    with pytest.raises(TryLater, match="503 SlowDown, and so 2 times"):
        run(chosen, (), target, options=ONE)
    assert not Path(target, "manifest.json").exists()
    done = {name for name, _ in served.asked if "warc.gz" in name} - {f"/{world.warcs[0]}"}
    stood = len(list((Path(target) / "done").iterdir()))
    served.faults.clear()
    served.asked.clear()
    run(chosen, (), target, options=ONE)
    later = {name for name, _ in served.asked}
    assert not any("index" in name or "paths" in name for name in later)  # neither listed nor looked up again
    assert f"/{world.warcs[0]}" in later and (stood == 0 or not done & later)
    assert rows(Dataset(target)) == rows(clean)


FAULTS = {
    "archive gone": ("always 404", "commoncrawl.missing"),
    "416": ("always 416", "commoncrawl.short"),
    "other bytes": ("always zeros", "warc.lost"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_range_that_is_wrong_is_a_reject_for_each_capture(name, served, world, tmp_path):
    fault, rule = FAULTS[name]
    served.faults[world.warcs[1]] = [fault]
    dataset = run(stage(served, language=("de",)), (), str(tmp_path / "out"), options=ONE)
    lost = {
        row["url"] for row in world.captures if "pier" in row["url"] and row["filename"] == world.warcs[1]
    }
    assert rejects(dataset) == dict.fromkeys(lost, rule) and len(lost) == 2 and dataset.rows == 4


def test_passing_faults_lose_nothing(served, world, tmp_path):
    clean = rows(run(stage(served, status=(200,)), (), str(tmp_path / "a"), options=ONE))
    for place, name in enumerate(world.warcs):
        served.faults[name] = [["503", "reset", "cut"], ["whole"], ["403", "429 0", "shifted"]][place]
    served.faults["parquet"] = ["503", "reset"]
    served.faults["paths.gz"] = ["500"]
    assert rows(run(stage(served, status=(200,)), (), str(tmp_path / "b"), options=ONE)) == clean
    assert not any(served.faults.values())
    whole = run(stage(served), (), str(tmp_path / "c"), options=ONE)
    served.faults[world.warcs[0]] = ["reset", "cut", "503"]
    assert rows(run(stage(served), (), str(tmp_path / "d"), options=ONE)) == rows(whole)


def test_an_index_that_errs_costs_what_it_errs_about(served, world, tmp_path):
    def changed(number: int, **fields: str) -> dict:
        found = next(row for row in world.captures if row["url"].endswith(f"/{number}"))
        found.update(fields)
        return found

    request = int(changed(4)["offset"]) - 10
    changed(0, offset=str(request))  # in the midst of another record
    changed(101, offset=changed(104)["offset"], length=changed(104)["length"])
    changed(104, url="https://www.harbour.example/104")
    changed(1, length=str(10**6))
    changed(204, filename="crawl-data/none.warc.gz")
    changed(201, filename="../201")
    world.captures.append({**changed(5 - 1), "timestamp": "20240518000000"})
    changed(200, length=str(int(changed(200)["length"]) - 1))
    target = str(tmp_path / "out")
    dataset = run(stage(served, domain=("harbour.example",), max_record=60_000), (), target, options=ONE)
    found = {url.rsplit("/", 1)[-1]: rule for url, rule in rejects(dataset).items()}
    assert found == {
        "0": "warc.lost",
        "101": "commoncrawl.mismatch",
        "1": "warc.lost",
        "204": "commoncrawl.missing",
        "4": "commoncrawl.duplicate",
        "200": "warc.lost",
    }
    captures = Dataset(f"{target}/steps/02-captures")
    assert [row["rule"] for batch in captures.reject_batches() for row in batch.to_pylist()] == [
        "captures.line"
    ]


def test_a_number_of_captures_is_drawn_from_all(served, tmp_path, monkeypatch):
    monkeypatch.setattr(commoncrawl, "TASK_CAPTURES", 5)
    by_index = []
    for given in ({"index": "columnar"}, {"index": "cdx", "url": ("*.example", "*.harbour.example")}):
        chosen = stage(served, domain=("harbour.example",), sample=7.0, **given)
        by_index.append(rows(run(chosen, (), str(tmp_path / given["index"]), options=ONE)))
    assert len(by_index[0]) == 7
    assert [row["id"] for row in by_index[0]] == [
        row["id"] for row in by_index[1]
    ]  # and overlapping patterns
    more = run(
        stage(served, domain=("harbour.example",), sample=9.0), (), str(tmp_path / "nine"), options=ONE
    )
    assert {row["id"] for row in by_index[0]} < {row["id"] for row in rows(more)}


def test_a_sample_of_archives_and_the_plain_text_of_pages(served, world, tmp_path):
    assert run(stage(served, sample=1.0), (), str(tmp_path / "one"), options=ONE).rows == 7
    text = record(b"Sea air.\n", kind="conversion", Content_Type="text/plain")
    world.write(f"{SEGMENT}/wet/x.warc.wet.gz", gzip.compress(text))
    world.write(f"crawl-data/{CRAWL}/wet.paths.gz", gzip.compress(f"{SEGMENT}/wet/x.warc.wet.gz\n".encode()))
    wet = run(stage(served, subset="wet"), (), str(tmp_path / "wet"), options=ONE)
    assert [row["text"] for row in rows(wet)] == ["Sea air."]


def test_an_archive_that_is_gone_is_a_reject(served, world, tmp_path):
    (world.folder / world.warcs[2]).unlink()
    dataset = run(stage(served), (), str(tmp_path / "out"), options=ONE)
    assert dataset.rows == 14 and rejects(dataset)[None] == "commoncrawl.missing"


def test_a_long_archive_is_read_in_pieces(served, world, monkeypatch):
    whole = Archives(crawl=CRAWL, base_url=served.url, extractor="resiliparse", max_request=1000)
    size = (world.folder / world.warcs[0]).stat().st_size
    monkeypatch.setattr("corpuskit.crawl.members._CHUNK", 700)
    [split] = whole.run(whole.task(world.warcs[0]))
    assert len(split.kept) == 7
    assert len(served.asked) == size // 1000 + 1


def test_nothing_that_matches_is_an_error(served, tmp_path):
    for given in (
        {"language": ("fr",)},
        {"domain": ("nowhere.example",)},
        {"domain": ("gov",), "mime": ("x/y",)},
    ):
        with pytest.raises(InputError, match=f"nothing in {CRAWL} matches"):
            run(stage(served, **given), (), str(tmp_path / str(len(given)) / min(given)), options=ONE)


def test_a_part_of_the_index_that_is_gone(served, world, tmp_path):
    (world.folder / PART.format(1)).unlink()
    with pytest.raises(InputError, match=r"there is no http.*parquet"):
        run(stage(served, language=("de",)), (), str(tmp_path / "out"), options=ONE)


def test_a_dry_run_says_how_much_there_is_and_writes_nothing(served, world, tmp_path):
    target = tmp_path / "out"
    found = outlook(stage(served, domain=("harbour.example",)), (), str(target))
    captures = [row for row in world.captures if "harbour" in row["url"]]
    assert (found.tasks, found.done, found.rows) == (1, 0, None)
    assert sum(int(row["length"]) for row in captures) <= found.bytes < 3 * 9000
    assert found.notes == ("12 captures in 3 archives, with 3 requests",)
    tight = outlook(stage(served, domain=("harbour.example",), gap=0), (), str(target))
    assert tight.bytes == sum(int(row["length"]) for row in captures)
    whole = outlook(stage(served), (), str(target))
    sizes = [(world.folder / name).stat().st_size for name in world.warcs]
    assert whole.tasks == 3 and whole.bytes == sum(sizes) // 3 * 3
    assert not target.exists()


def test_killed_at_several_moments_it_ends_the_same(served, tmp_path, environment):
    chosen = ["--domain", "harbour.example,gov,mole.test", "--extractor", "resiliparse", "--pause", "0.01"]
    places = ["--base-url", served.url, "--cdx-url", served.url, "--max-request", "2000", "-q", "-j", "1"]
    argv = [sys.executable, "-m", "corpuskit", "crawl", "commoncrawl", "--crawl", CRAWL, *chosen, *places]
    subprocess.run([*argv, str(tmp_path / "a" / "out")], env=environment, check=True, timeout=60)
    served.nap, killed = 0.1, 0
    for asked in (1, 3, 6, 9, 10**6):
        before = len(served.asked)
        driver = subprocess.Popen([*argv, str(tmp_path / "b" / "out")], env=environment)
        while driver.poll() is None and len(served.asked) - before < asked:
            time.sleep(0.01)
        if driver.poll() is None:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            killed += 1
            continue
        assert driver.returncode == 0
        break
    assert killed >= 2
    assert written(tmp_path / "a" / "out") == written(tmp_path / "b" / "out")


def test_as_a_command(served, tmp_path):
    target = str(tmp_path / "out")
    argv = ["crawl", "commoncrawl", "--crawl", CRAWL, "--base-url", served.url, "--extractor", "resiliparse"]
    argv += ["--pause", "0.01", "--retries", "1", "-j", "1", "--language", "de"]

    def invoke(*more: str):
        return CliRunner().invoke(command, [*argv, *more])

    usage = invoke("--help")
    assert "Usage: corpuskit crawl commoncrawl [OPTIONS] TARGET" in usage.stdout
    dry = invoke(target, "-n")
    assert dry.exit_code == 0 and "6 captures in 3 archives, with 3 requests" in dry.stdout
    assert not Path(target).exists()
    assert invoke("source", target).exit_code == 2
    served.faults["warc.gz"] = ["always 503"]
    refused = invoke(target)
    assert refused.exit_code == 75 and "SlowDown" in refused.stderr
    served.faults.clear()
    done = invoke(target, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["rows"] == 6
    assert invoke(target, "--status", "200").exit_code == 4
    assert "nothing to do" in invoke(target).stdout


def test_a_recipe_may_begin_with_it(served, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        f'target = "{tmp_path}/out"\nstages = ["crawl.commoncrawl", "filter.rules", "dedup.exact"]\n'
        f'[crawl.commoncrawl]\ncrawl = "{CRAWL}"\nbase_url = "{served.url}"\ncdx_url = "{served.url}"\n'
        'domain = ["harbour.example"]\nextractor = "resiliparse"\n[filter.rules]\ntables = ["c4"]\n'
    )
    made = recipe.load(path)
    assert [one for _, one in made.outlook()][0].notes == ("12 captures in 3 archives, with 3 requests",)
    dataset = made.run(options=ONE)
    assert made.run(options=ONE).sha256 == dataset.sha256
    first = tmp_path / "out" / "steps" / "01-crawl.commoncrawl"
    assert Dataset(str(first / "steps" / "02-captures")).rows == 12


def test_real_archives_by_their_own_index(data, tmp_path):
    """pywb's CDXJ, with the names of its archives brought under a crawl."""
    world = World(tmp_path / "world", archives=1, pages=1)
    world.captures.clear()
    folder = data / "warc" / "pywb"
    for name in ("iana", "dupes"):
        world.write(f"{SEGMENT}/warc/{name}.warc.gz", (folder / f"{name}.warc.gz").read_bytes())
        for line in (folder / f"{name}.cdxj").read_text().splitlines():
            key, stamp, told = line.split(" ", 2)
            row = {"urlkey": key, "timestamp": stamp, **json.loads(told)}
            world.captures.append({**row, "filename": f"{SEGMENT}/warc/{row['filename']}"})
    with serving(world) as served:
        chosen = stage(served, domain=("iana.org", "example.com"))
        dataset = run(chosen, (), str(tmp_path / "out"), options=ONE)
    plain, rejected = _crawled(Warc(extractor="resiliparse", source=CRAWL), str(world.folder / SEGMENT))
    mine = {row["id"]: row["text"] for row in rows(dataset)}
    assert mine and mine.items() <= plain.items()
    assert len(plain) - len(mine) == 1  # a page of the hosts that were not asked for
    assert set(rejects(dataset).values()) <= {
        "warc.revisit",
        "warc.type",
        "warc.status",
        "warc.empty",
        "extract.empty",
    }
