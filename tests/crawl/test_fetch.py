"""`crawl fetch` as a stage: its plan, its rows, what it knows from an earlier fetch, and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from farm import Farm
from test_farm import check, links

from corpuskit import engine
from corpuskit.crawl import fetch, shares
from corpuskit.crawl.archive import records
from corpuskit.crawl.fetch import Fetch
from corpuskit.crawl.warc import Warc
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, TargetError, UsageError
from corpuskit.testing import check_stage, write_dataset

CONTACT = "crawler@corpuskit.org"


def polite(farm: Farm, **settings: object) -> Fetch:
    chosen = {"contact": CONTACT, "delay": 0.01, "allow": farm.addresses, "ports": (farm.port,)}
    return Fetch(**{**chosen, **settings})  # type: ignore[arg-type]


def run(stage: Fetch, source: str, target: Path, workers: int = 1, force: bool = False) -> Dataset:
    return engine.run(stage, source, str(target), options=engine.Options(workers=workers, force=force))


def rejects(dataset: Dataset) -> dict[str, str]:
    return {row["url"]: row["rule"] for batch in dataset.reject_batches() for row in batch.to_pylist()}


def test_keeps_the_laws() -> None:
    check_stage(Fetch(contact=CONTACT))


def test_refuses_to_start_without_a_contact() -> None:
    with pytest.raises(TypeError):
        Fetch()  # type: ignore[call-arg]
    for contact in ("", "nobody", "me@example.com"):
        with pytest.raises(UsageError):
            Fetch(contact=contact)
    command = [sys.executable, "-m", "corpuskit", "crawl", "fetch", "links", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--contact" in done.stderr


@pytest.mark.parametrize(
    "setting",
    [{"delay": -1.0}, {"threads": 0}, {"timeout": 0.0}, {"max_bytes": 0}, {"allow": ("localhost",)}],
)
def test_settings_outside_their_range(setting: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Fetch(contact=CONTACT, **setting)  # type: ignore[arg-type]


def test_only_what_changes_the_output_is_in_the_digest() -> None:
    plain = Fetch(contact=CONTACT)
    for same in ({"contact": "other@corpuskit.org"}, {"delay": 1.0}, {"retry_failed": True}, {"threads": 3}):
        assert Fetch(**{"contact": CONTACT, **same}).digest() == plain.digest()  # type: ignore[arg-type]
    for other in ({"max_bytes": 5}, {"types": ("text/plain",)}, {"opt_outs": False}, {"source": "x"}):
        assert Fetch(contact=CONTACT, **other).digest() != plain.digest()  # type: ignore[arg-type]


def test_a_host_belongs_to_one_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TASK_URLS", 10)
    urls = [f"http://{name}.site{number}.com/" for number in range(20) for name in ("www", "blog")]
    source = links(tmp_path / "links", [*urls, "nonsense"])
    stage = Fetch(contact=CONTACT)
    tasks = stage.plan(source)
    assert len(tasks) == 5 and len({task.key((stage,)) for task in tasks}) == 5
    found: dict[str, set[int]] = {}
    read = []
    for task in tasks:
        table = shares.share([source], ["id", "url"], task.work["share"], task.work["of"])
        read += table["url"].to_pylist()
        for url in table["url"].to_pylist():
            found.setdefault(url[-12:].partition(".")[2], set()).add(task.work["share"])
    assert Counter(read) == Counter([*urls, "nonsense"])
    assert all(len(tasks_of) == 1 for tasks_of in found.values())


def test_one_worker_or_two_find_the_same(tmp_path: Path) -> None:
    with Farm() as farm:
        urls = [
            f"http://{ip}:{farm.port}/{kind}/1"
            for ip in farm.addresses[:6]
            for kind in ("ok", "same", "type")
        ]
        columns = ["id", "url", "score", "status", "final_url", "bytes", "digest", "type", "redirects"]
        tables = []
        for workers in (1, 2):
            source = links(tmp_path / "links", urls)
            dataset = run(polite(farm), source, tmp_path / f"out{workers}", workers)
            tables.append(sorted(map(str, dataset.table(columns).to_pylist())))
            assert set(rejects(dataset).values()) == {"fetch.type"}
        assert tables[0] == tables[1] and len(tables[0]) == 12
        before = len(farm.asked)
        run(polite(farm), source, tmp_path / "out2")
        assert len(farm.asked) == before, "what is finished is not fetched again"


def test_what_was_fetched_reads_as_documents(tmp_path: Path) -> None:
    with Farm() as farm:
        urls = [
            f"http://{farm.addresses[0]}:{farm.port}/{path}"
            for path in ("ok/1", "gzip/1", "chunked/1", "same/1")
        ]
        urls.append(f"http://{farm.addresses[1]}:{farm.port}/same/1")
        dataset = run(polite(farm, source="my crawl"), links(tmp_path / "links", urls), tmp_path / "out")
        assert dataset.rows == 5
        stage = Warc(extractor="resiliparse")
        documents = engine.run(stage, str(tmp_path / "out"), str(tmp_path / "documents"))
    pages = documents.table().to_pylist()
    assert {page["source"] for page in pages} == {"my crawl"}
    assert {page["url"] for page in pages} < set(urls) and len(pages) == 4
    counts = documents.manifest["stages"][0]["rules"]
    assert {rule: count["documents"] for rule, count in counts.items()} == {"warc.revisit": 1}


def test_a_later_fetch_asks_only_for_what_has_changed(tmp_path: Path) -> None:
    with Farm() as farm:
        place = f"http://{farm.addresses[0]}:{farm.port}"
        source = links(tmp_path / "links", [f"{place}/ok/1", f"{place}/same/1", f"{place}/chain/1/x"])
        first = run(polite(farm), source, tmp_path / "one").table().to_pylist()
        second = run(polite(farm, known=str(tmp_path / "one")), source, tmp_path / "two").table().to_pylist()
        third = run(polite(farm, known=str(tmp_path / "two")), source, tmp_path / "three").table().to_pylist()
        with pytest.raises(InputError, match="not written by crawl fetch"):
            run(polite(farm, known=source), source, tmp_path / "four")
    by_url = {row["url"]: row for row in first}
    for rows in (second, third):
        assert {row["url"]: row["status"] for row in rows} == {
            f"{place}/ok/1": 304, f"{place}/same/1": 200, f"{place}/chain/1/x": 304
        }  # fmt: skip
        for row in rows:
            earlier = by_url[row["url"]]
            assert row["refers_to"] == earlier["record_id"] and row["refers_to_date"] == earlier["fetched"]
            assert (row["digest"], row["etag"]) == (earlier["digest"], earlier["etag"])
    path = next((tmp_path / "three" / "warc").glob("*.warc.gz"))
    check(path)
    with path.open("rb") as stream:
        revisits = [item for item in records(stream) if item.kind == "revisit"]
    assert sorted(record.headers["warc-profile"].rpartition("/")[2] for record in revisits) == [
        "identical-payload-digest", "server-not-modified", "server-not-modified"
    ]  # fmt: skip
    dates = {record.headers["warc-refers-to-date"] for record in revisits}
    assert dates == {fetch.fetched.written_date(row["fetched"]) for row in first}


def test_odd_links(tmp_path: Path) -> None:
    with Farm() as farm:
        place = f"http://{farm.addresses[0]}:{farm.port}"
        urls = [f"{place}/ok/1", f"{place}/ok/1", None, None, "", "mailto:a@b.c", f"{place}/ok/2#part"]
        dataset = run(polite(farm), links(tmp_path / "links", urls), tmp_path / "out")  # type: ignore[arg-type]
        assert sorted(dataset.table()["final_url"].to_pylist()) == [f"{place}/ok/1", f"{place}/ok/2"]
        rows = [row for batch in dataset.reject_batches() for row in batch.to_pylist()]
        assert Counter(row["rule"] for row in rows) == {
            "fetch.duplicate": 1,
            "fetch.scheme": 2,
            "fetch.url": 2,
        }
        assert [row["twin"] for row in rows if row["twin"]] == [f"{0:032x}"]
    texts = pa.RecordBatch.from_pylist([{"id": "a", "text": "x"}])
    with pytest.raises(InputError, match="no column 'url'"):
        Fetch(contact=CONTACT).plan(write_dataset(tmp_path / "texts", texts))
    source = links(tmp_path / "links", ["http://a.com/"])
    with pytest.raises(InputError, match="comes twice"):
        shares.share([source, source], ["id", "url"], 0, 1)


def test_force_removes_the_archives(tmp_path: Path) -> None:
    with Farm() as farm:
        source = links(tmp_path / "links", [f"http://{farm.addresses[0]}:{farm.port}/ok/1"])
        target = tmp_path / "out"
        run(polite(farm), source, target)
        ours = {path.name: path.read_bytes() for path in (target / "warc").glob("*.warc.gz")}
        run(polite(farm), source, target, force=True)
        again = {path.name: path.read_bytes() for path in (target / "warc").glob("*.warc.gz")}
        assert ours.keys() == again.keys() and ours != again
        with pytest.raises(TargetError, match="other settings"):
            run(polite(farm, max_bytes=5), source, target)
    with pytest.raises(UsageError, match="local folder"):
        Fetch(contact=CONTACT).placed("memory://x")


def test_a_dry_run_says_how_long_it_lasts(tmp_path: Path) -> None:
    urls = [f"http://www.large.com/{page}" for page in range(719)] + [f"http://s{n}.org/" for n in range(10)]
    outlook = engine.outlook(Fetch(contact=CONTACT), links(tmp_path / "links", urls), str(tmp_path / "out"))
    assert outlook.notes == (
        "729 URLs of 11 hosts. The largest, large.com, has 719: "
        "with 5 s between two requests the crawl lasts at least 60 min.",
    )
    assert not (tmp_path / "out").exists()


def test_the_command_line_sums_up(tmp_path: Path) -> None:
    with Farm() as farm:
        source = links(
            tmp_path / "links",
            [f"http://{farm.addresses[0]}:{farm.port}/{path}" for path in ("ok/1", "type/1")],
        )
        command = [sys.executable, "-m", "corpuskit", "crawl", "fetch", source, str(tmp_path / "out")]
        command += [
            f"--contact={CONTACT}",
            "--delay=0.01",
            f"--allow={farm.addresses[0]}",
            f"--ports={farm.port}",
        ]
        told = subprocess.run([*command, "-v"], capture_output=True, text=True, check=True).stdout
        assert "fetch.type" in told and "2 tried, 50.0 % fetched" in told
        assert f"most time went to {farm.addresses[0]}:{farm.port}" in told
        again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
        assert json.loads(again)["rows"] == 1
