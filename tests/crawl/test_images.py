"""`crawl images` over loopback: one outcome a pair, and the same bytes whatever happens."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from image_farm import OPT_OUTS, Answer, FarmImages, faults, place, real_images
from webtext_farm import ADDRESSES, PORT, PageFarm

from corpuskit.crawl.images import Images
from corpuskit.crawl.pairs import Pairs
from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES, SCHEMA
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.shard.webdataset import WebDataset
from corpuskit.testing import check_stage, documents, write_dataset

CONTACT = "https://crawler.mit.edu/about"
JPEG = {"Content-Type": "image/jpeg"}
SMALL = {"resize_mode": "keep_ratio", "image_size": 32}
POLITE = {"contact": CONTACT, "delay": 0.0, "retries": 0, "max_bytes": 2 << 20, "allow": ADDRESSES}


@pytest.fixture(autouse=True, scope="module")
def workers() -> None:
    """Start workers anew for each run: they learn from the environment where the farm is."""


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Images, "fetcher", FarmImages)


@pytest.fixture(scope="module")
def photo(data: Path) -> bytes:
    return (data / "images" / "skimage" / "rocket.jpg").read_bytes()


def table(path: Path, rows: list[tuple[str | None, str | None]]) -> str:
    columns = {"url": [url for url, _ in rows], "caption": [text for _, text in rows]}
    pq.write_table(pa.table(columns, pa.schema([("url", pa.string()), ("caption", pa.string())])), path)
    return str(path)


def rejects(dataset: Dataset) -> list[dict[str, Any]]:
    return [row for batch in dataset.reject_batches() for row in batch.to_pylist()]


def outcomes(dataset: Dataset) -> dict[str, str | None]:
    """Say by origin what became of a pair: the rule, null where it is kept."""
    kept = dataset.table(["origin"])["origin"].to_pylist()
    gone = [(row["origin"], row["rule"]) for row in rejects(dataset)]
    assert not Counter([*kept, *(origin for origin, _ in gone)]).most_common(1)[0][1] > 1
    return dict.fromkeys(kept) | dict(gone)


def digests(folder: Path) -> dict[str, str]:
    paths = [*folder.glob("*.tar"), folder / "sizes.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_every_pair_has_one_outcome_and_the_right_one(
    tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = faults(photo)
    urls = [f"http://img{number % 7}.site{number}.org/a/{number}.jpg" for number in range(len(cases))]
    pages = {place(url): answer for url, (_, answer) in zip(urls, cases, strict=True)}
    loop = next(number for number, (rule, _) in enumerate(cases) if rule == "fetch.redirects")
    pages[place(urls[loop])] = (302, {"Location": urls[loop]}, b"")
    pages["robots.org/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /private\n")
    pages["signal.org/robots.txt"] = (200, {}, b"User-agent: *\nContent-Signal: ai-train=no\nAllow: /\n")
    pages["moved.org/old.jpg"] = (301, {"Location": "http://site0.new.org/new.jpg"}, b"")
    pages["site0.new.org/new.jpg"] = (200, JPEG, photo)
    more = [
        ("http://robots.org/private/a.jpg", "fetch.robots"),
        ("http://signal.org/a.jpg", "fetch.optout"),
        ("http://moved.org/old.jpg", None),
        (urls[0] + "#again", None),
        ("data:image/gif;base64,R0lGOD", "fetch.scheme"),
        ("http://", "fetch.url"),
        ("http://10.0.0.1:22/a.jpg", "fetch.port"),
        (None, "images.missing"),
    ]
    wanted = [*zip(urls, (rule for rule, _ in cases), strict=True), *more]
    rows: list[tuple[str | None, str | None]] = [(url, f"picture {n}") for n, (url, _) in enumerate(wanted)]
    source = table(tmp_path / "pairs.parquet", [*rows, (urls[0], " "), (urls[0], None)])
    with PageFarm(pages) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        made = run(Images(**POLITE, **SMALL), source, str(tmp_path / "out"), options=Options(workers=2))
    found = outcomes(made)
    pairs = Dataset(str(tmp_path / "out" / "steps" / "01-pairs"))
    found |= {row["origin"]: row["rule"] for row in rejects(pairs)}
    rules = [found[f"{source}@{number}"] for number in range(len(wanted) + 2)]
    assert rules == [*(rule for _, rule in wanted), "images.empty", "images.missing"]
    assert rules.count("fetch.optout") == len(OPT_OUTS) + 1
    assert farm.asked.count(place(urls[0])) == 1, "one address is asked once"

    kept = made.table().to_pylist()
    assert [row["origin"] for row in kept] == [
        f"{source}@{number}" for number, (_, rule) in enumerate(wanted) if rule is None
    ]
    for row in kept:
        [image] = row["images"]
        assert image["sha256"] == hashlib.sha256(photo).digest()
        assert (image["width"], image["height"]) == (48, 32)
        assert (row["original_width"], row["original_height"]) == (640, 427)
        assert row["original_bytes"] == len(photo)
        assert image["bytes"].startswith(b"\xff\xd8\xff") and image["alt"] == row["text"]
    valued = {row["rule"]: (row["value"], row["bound"]) for row in rejects(made)}
    assert valued["images.bomb"] == (None, 64e6) and valued["images.large"] == (None, 2 << 20)


def test_real_addresses_end_as_one_sample_each_in_the_same_tars(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill the run again and again: the tars are those of a run that was left alone, with other workers."""
    pairs = pq.read_table(data / "images" / "img2dataset" / "test_1000.parquet").slice(0, 90)
    images, cases = real_images(data), faults(b"")
    pages: dict[str, Answer] = {}
    rows: list[tuple[str | None, str | None]] = []
    for number, (url, text) in enumerate(
        zip(*(pairs[name].to_pylist() for name in ("URL", "TEXT")), strict=True)
    ):
        url = url.replace("https://", "http://")
        image = images[number % len(images)]
        answer = faults(image)[number // 3 % len(cases)][1] if number % 3 == 0 else (200, JPEG, image)
        pages[place(url)] = answer
        rows.append((url, text))
    source = table(tmp_path / "pairs.parquet", rows)
    with PageFarm(pages) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        whole = run(
            Images(**POLITE, **SMALL), source, str(tmp_path / "whole"), options=Options(workers=1, max_bad=1)
        )
        found = outcomes(whole)
        assert len(found) == len(rows) and None in found.values()
        asked, fetched = len(farm.asked), tmp_path / "killed" / "steps" / "03-fetch" / "manifest.json"
        moments = (lambda: len(farm.asked) > asked + 40, fetched.exists)  # fetching, and decoding
        for moment in moments:
            process = start(source, tmp_path / "killed")
            while not moment():
                assert process.poll() is None
                time.sleep(0.002)
            process.kill()
            process.wait()
            assert not (tmp_path / "killed" / "manifest.json").exists()
        assert start(source, tmp_path / "killed").wait(timeout=60) == 0
    parts = [[part.sha256 for part in Dataset(str(tmp_path / name)).parts] for name in ("whole", "killed")]
    assert parts[0] == parts[1]
    for name in ("whole", "killed"):
        run(
            WebDataset(samples=30),
            str(tmp_path / name),
            str(tmp_path / f"{name}.tars"),
            options=Options(workers=2),
        )
    tars = digests(tmp_path / "whole.tars")
    assert len(tars) > 2 and tars == digests(tmp_path / "killed.tars")


_SCRIPT = """
import sys
from image_farm import FarmImages
from webtext_farm import ADDRESSES
from corpuskit.crawl.images import Images
from corpuskit.engine import Options, run
Images.fetcher = FarmImages
stage = Images(
    contact="https://crawler.mit.edu/about", delay=0.0, retries=0, max_bytes=2 << 20,
    resize_mode="keep_ratio", image_size=32, allow=ADDRESSES,
)
run(stage, sys.argv[1], sys.argv[2], options=Options(workers=2, max_bad=1))
"""


def start(source: str, target: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, "-c", _SCRIPT, source, str(target)], env=environment)


def test_failures_are_tried_again_when_asked(
    tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"http://site{number}.org/a.jpg" for number in range(3)]
    pages = {place(url): (200, JPEG, photo) for url in urls}
    pages[place(urls[1])] = (503, {}, b"")
    pages[place(urls[2])] = (404, {}, b"")
    source, target = table(tmp_path / "pairs.parquet", [(url, "a") for url in urls]), str(tmp_path / "out")
    with PageFarm(pages) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        first = run(Images(**POLITE, **SMALL), source, target)
        assert (first.rows, len(rejects(first))) == (1, 2)
        pages[place(urls[1])] = (200, JPEG, photo)
        asked = len(farm.asked)
        assert run(Images(**POLITE, **SMALL), source, target).sha256 == first.sha256
        assert len(farm.asked) == asked
        again = run(Images(**POLITE, **SMALL, retry_failed=True), source, target)
        assert sorted(farm.asked[asked:]) == [place(urls[1]), "site1.org/robots.txt"]
    assert list(outcomes(again).values()).count(None) == 2
    assert [row["rule"] for row in rejects(again)] == ["fetch.status"]
    assert len(list((tmp_path / "out").glob("part-*"))) == len(again.parts)
    for path in (tmp_path / "out" / "steps").glob("*/warc"):
        for file in path.iterdir():
            file.unlink()
    assert run(Images(**POLITE, **SMALL), source, target).sha256 == again.sha256, "archives may be deleted"


def test_queries_choose_from_a_pool_and_from_a_file(
    tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [f"a dog {number}" for number in range(6)] + ["a cat", "a house"]
    urls = [f"http://site{number}.org/a.jpg" for number in range(8)]
    image = [[{"offset": 0, "url": url, "alt": text}] for url, text in zip(urls, said, strict=True)]
    plain = documents(said)
    pool = (
        plain.append_column(IMAGES, pa.array(image, IMAGES.type)) if hasattr(plain, "append_column") else None
    )
    if pool is None:
        pool = pa.RecordBatch.from_arrays(
            [*plain.columns, pa.array(image, IMAGES.type)], schema=SCHEMA.append(IMAGES)
        )
    write_dataset(tmp_path / "pool", pool)
    queries = write_dataset(
        tmp_path / "queries",
        pa.RecordBatch.from_pylist([{"id": q, "query": q} for q in ("dog", "cat", "bird")]),
    )
    path = tmp_path / "pairs.csv"
    pc.write_csv(pa.table({"url": urls, "caption": said}), path)
    with PageFarm({place(url): (200, JPEG, photo) for url in urls}) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        for name, from_ in (("pooled", str(tmp_path / "pool")), ("filed", str(path))):
            stage = Images(**POLITE, **SMALL, from_=from_, cap=4)
            made = run(stage, queries, str(tmp_path / name), options=Options(workers=1))
            rows = made.table(["text", "queries"]).to_pylist()
            assert Counter(query for row in rows for query in row["queries"]) == {"dog": 4, "cat": 1}
            steps = sorted((tmp_path / name / "steps").iterdir())
            gone = Counter(row["rule"] for step in steps for row in rejects(Dataset(str(step))))
            assert gone == {"images.unmatched": 1, "images.cap": 2}
            assert any("quota" in step.name for step in steps), "the ledger stays"
        assert run(stage, queries, str(tmp_path / "filed")).rows == 5
        with pytest.raises(UsageError, match="one query list"):
            run(stage, [queries, queries], str(tmp_path / "two"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"contact": "nobody"}, "contact"),
        ({"image_size": 256}, "resize_mode"),
        ({"resize_mode": "border"}, "image_size"),
        ({"quality": 101}, "quality"),
        ({"max_aspect_ratio": 0.5}, "max_aspect_ratio"),
        ({"keep_columns": ("text",)}, "column"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Images(**{"contact": CONTACT, **settings})


def test_pairs_that_cannot_be_fetched_keep_the_laws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = [[{"offset": 0, "url": "data:,", "alt": "a"}], [], None]
    columns = [*documents(["a", "b", "c"]).columns, pa.array(image, IMAGES.type)]
    pairs = pa.RecordBatch.from_arrays(columns, schema=SCHEMA.append(IMAGES))
    check_stage(Pairs(), pairs)
    check_stage(
        Images(contact=CONTACT, resize_mode="border", image_size=8, from_=None).steps()[1].stage, pairs
    )
    fetch = run(Images(**POLITE), write_dataset(tmp_path / "pairs", pairs), str(tmp_path / "out"))
    assert sorted(row["rule"] for row in rejects(fetch)) == [
        "fetch.scheme",
        "images.missing",
        "images.missing",
    ]


def test_wrong_sources_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"URL": ["http://a.org/"], "caption": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="no column 'url'") as error:
        run(Images(**POLITE), str(tmp_path / "a.parquet"), str(tmp_path / "out"))
    assert "'URL'" in str(error.value.fix) and "--url-column" in str(error.value.fix)
    texts = write_dataset(tmp_path / "texts", documents(["a"]))
    with pytest.raises(UsageError, match="no column of images"):
        run(Images(**POLITE), texts, str(tmp_path / "out2"))
    with pytest.raises(InputError):
        run(Images(**POLITE, from_=str(tmp_path / "missing")), texts, str(tmp_path / "out3"))


def test_an_image_that_takes_its_worker_down_costs_itself_alone(
    tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"http://site{number}.org/a.jpg" for number in range(3)]
    deadly = photo + b"deadly"
    pages = {place(url): (200, JPEG, photo) for url in urls} | {place(urls[1]): (200, JPEG, deadly)}
    source = table(tmp_path / "pairs.parquet", [(url, "a") for url in urls])
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_DEADLY)
    monkeypatch.setenv("PYTHONPATH", str(hook))
    monkeypatch.syspath_prepend(str(hook))
    with PageFarm(pages) as farm:
        monkeypatch.setenv(PORT, str(farm.port))
        made = run(
            Images(**POLITE, **SMALL), source, str(tmp_path / "out"), options=Options(workers=1, max_bad=1)
        )
    assert [(row["origin"], row["rule"]) for row in rejects(made)] == [(f"{source}@1", "images.crash")]
    assert made.rows == 2


_DEADLY = """
import os, signal
from PIL import Image
real = Image.open
def open(data, *more, **named):
    if data.getvalue().endswith(b"deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(data, *more, **named)
Image.open = open
"""
