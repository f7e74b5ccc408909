"""`shard parquet`: one global random order, even files that every reader opens, nothing lost."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES, SCHEMA
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.seeds import shuffle_key
from corpuskit.shard import parquet
from corpuskit.shard.parquet import Gather, Parquet, Scatter
from corpuskit.testing import check_stage, documents, write_dataset

ONE = Options(workers=1)


def corpus(name: str, count: int, **columns: list[float]) -> pa.RecordBatch:
    draw = random.Random(name)
    texts = [" ".join(["word"] * int(draw.expovariate(1 / 80) + 1)) for _ in range(count)]
    ids = [hashlib.blake2b(f"{name}{number}".encode(), digest_size=16).hexdigest() for number in range(count)]
    langs = [draw.choice(["eng", "deu", None]) for _ in range(count)]
    return documents(
        texts, id=ids, lang=langs, url=[f"https://{name}/{number}" for number in range(count)], **columns
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("sources")
    first, second = corpus("a", 3000), corpus("b", 2000, word_count=[float(number) for number in range(2000)])
    return [
        write_dataset(folder / "a", first.slice(0, 1000), first.slice(1000)),
        write_dataset(folder / "b", second),
    ]


@pytest.fixture(scope="module")
def shards(sources: list[str], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return run(Parquet(rows=1000), sources, str(tmp_path_factory.mktemp("target") / "shards"), options=ONE)


def by_id(table: pa.Table) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in table.to_pylist()}


def test_stage_laws() -> None:
    check_stage(Parquet(rows=2))


def test_every_row_in_is_out_unchanged(sources: list[str], shards: Dataset) -> None:
    whole = [Dataset(path).table() for path in sources]
    expected = by_id(whole[0].append_column("word_count", pa.nulls(3000, pa.float64()))) | by_id(whole[1])
    assert by_id(shards.table()) == expected
    assert shards.schema.names == [*SCHEMA.names, "word_count"]
    stage = shards.manifest["stages"][0]
    assert (stage["name"], stage["rows_in"], stage["rows_out"]) == ("shard.parquet", 5000, 5000)
    assert stage["bytes_in"] == stage["bytes_out"] == sum(part.text_bytes for part in shards.parts)


def test_order_is_that_of_the_key_over_all_shards(shards: Dataset) -> None:
    keys = shuffle_key(0, shards.table(["id"])["id"])
    assert np.all(keys[1:] > keys[:-1])
    halves = [
        sum(url.startswith("https://b") for url in part["url"].to_pylist()) / 1000 for part in tables(shards)
    ]
    assert all(0.34 < share < 0.46 for share in halves)  # .4 of all come from b; 4 sigma


def tables(dataset: Dataset) -> list[pa.Table]:
    return [pq.read_table(dataset.path_of(part)) for part in dataset.parts]


def test_rows_gives_even_shards(shards: Dataset) -> None:
    rows = [part.rows for part in shards.parts]
    assert len(rows) == 5
    assert max(rows) <= 1002
    assert min(rows) >= 998


def test_size_gives_even_shards_of_at_most_that_size(sources: list[str], tmp_path: Path) -> None:
    dataset = run(Parquet(size=200_000), sources, str(tmp_path / "t"), options=ONE)
    sizes = [part.text_bytes + 8 * 9 * part.rows for part in dataset.parts]
    assert len(sizes) > 8
    assert max(sizes) < 210_000
    assert max(sizes) / min(sizes) < 1.06


def test_manifest_tells_words_and_sha256(shards: Dataset) -> None:
    for part, table in zip(shards.parts, tables(shards), strict=True):
        assert part.sha256 == hashlib.sha256(Path(shards.path_of(part)).read_bytes()).hexdigest()
        assert part.words == sum(len(text.split()) for text in table["text"].to_pylist())
        assert part.text_bytes == sum(len(text.encode()) for text in table["text"].to_pylist())


def test_same_bytes_for_other_inputs_of_the_same_documents(shards: Dataset, tmp_path: Path) -> None:
    first = corpus("a", 3000).append_column("word_count", pa.nulls(3000, pa.float64()))
    second = corpus("b", 2000, word_count=[float(number) for number in range(2000)])
    mixed = pa.concat_batches([second.slice(1500), first, second.slice(0, 1500)])
    source = write_dataset(tmp_path / "all", mixed.slice(0, 7), mixed.slice(7, 2500), mixed.slice(2507))
    again = run(Parquet(rows=1000), source, str(tmp_path / "again"), options=Options(workers=2))
    assert [part.sha256 for part in again.parts] == [part.sha256 for part in shards.parts]


def test_names_stay_when_sources_are_renamed(sources: list[str], shards: Dataset, tmp_path: Path) -> None:
    moved = [str(shutil.copytree(source, tmp_path / f"moved{n}")) for n, source in enumerate(sources)]
    again = run(Parquet(rows=1000), moved, str(tmp_path / "again"), options=ONE)
    assert again.parts == shards.parts


def test_another_seed_gives_another_order(sources: list[str], shards: Dataset, tmp_path: Path) -> None:
    other = run(Parquet(rows=1000, seed=1), sources, str(tmp_path / "t"), options=ONE)
    ids, others = (dataset.table(["id"])["id"].to_pylist() for dataset in (shards, other))
    assert sorted(ids) == sorted(others)
    assert sum(one == two for one, two in zip(ids, others, strict=True)) < 20


@pytest.mark.parametrize("where", ["one part", "two parts", "two inputs"])
def test_a_document_twice_is_an_error_that_names_it(where: str, tmp_path: Path) -> None:
    batch = corpus("a", 50)
    twice = batch.slice(7, 1)
    batches = [pa.concat_batches([batch, twice])] if where == "one part" else [batch, twice]
    if where == "two inputs":
        paths = [write_dataset(tmp_path / str(number), one) for number, one in enumerate(batches)]
    else:
        paths = [write_dataset(tmp_path / "x", *batches)]
    with pytest.raises(InputError, match=batch["id"][7].as_py()) as caught:
        run(Parquet(rows=10), paths, str(tmp_path / "t"), options=ONE)
    assert "dedup exact" in (caught.value.fix or "")


def test_no_documents_give_one_empty_shard(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "x", documents([]))
    dataset = run(Parquet(), source, str(tmp_path / "t"), options=ONE)
    assert dataset.rows == 0
    assert dataset.schema.names == SCHEMA.names


@pytest.mark.parametrize("settings", [{"rows": 0}, {"size": 0}, {"rows": -1}])
def test_targets_below_one_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Parquet(**settings)


def test_images_stay_and_count_towards_size(tmp_path: Path) -> None:
    image = {
        "offset": 0,
        "url": "u",
        "alt": "a",
        "sha256": b"s",
        "width": 1,
        "height": 1,
        "bytes": bytes(10_000),
    }
    images = pa.array([[image]] * 40, IMAGES.type)
    batch = documents(["x"] * 40).append_column("images", images)
    dataset = run(
        Parquet(size=110_000), write_dataset(tmp_path / "x", batch), str(tmp_path / "t"), options=ONE
    )
    assert [part.rows for part in dataset.parts] == [10, 10, 10, 10]
    assert dataset.table()["images"].to_pylist() == images.to_pylist()


def run_steps(scatter: Scatter, gather: Gather, source: str, folder: Path) -> tuple[str, list[pa.Table]]:
    """Run both steps in this process, so that a test can make memory small."""
    kept = [split.kept for task in scatter.plan(source) for split in scatter.run(task)]
    scattered = write_dataset(folder, *[batch.replace_schema_metadata(SCATTERED) for batch in kept])
    tasks = gather.plan(scattered)
    shards = [pa.Table.from_batches([split.kept for split in gather.run(task)]) for task in tasks]
    assert all(len(task.work["ranges"]) > 1 for task in tasks)
    return scattered, shards


SCATTERED = {parquet.ROW_GROUPS_BY: b"shard.bucket"}


def test_shards_larger_than_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sources: list[str]
) -> None:
    monkeypatch.setattr(parquet, "RUN_BYTES", 40_000)
    monkeypatch.setattr(parquet, "MOST_SPILLS", 3)
    source = sources[0]
    scattered, shards = run_steps(Scatter(), Gather(rows=1000), source, tmp_path / "s")
    assert sum(len(shard) for shard in shards) == 3000
    assert max(batch.nbytes for batch in Dataset(scattered).batches()) < 200_000
    assert not list(Path(scattered).glob(".tmp-*"))
    keys = shuffle_key(0, pa.concat_tables(shards)["id"])
    assert np.all(keys[1:] > keys[:-1])


def test_a_bucket_is_a_row_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sources: list[str]) -> None:
    monkeypatch.setattr(parquet, "RUN_BYTES", 500_000)
    tasks = Scatter().plan(sources[0])
    assert [task.work["bits"] for task in tasks] == [2, 2]
    batches = [split.kept for split in Scatter().run(tasks[1])]
    folder = write_dataset(tmp_path / "s", pa.concat_batches(batches).replace_schema_metadata(SCATTERED))
    found = pq.ParquetFile(Path(folder) / "part-00000-test.parquet")
    buckets = [
        set(found.read_row_group(group)["shard.bucket"].to_pylist()) for group in range(found.num_row_groups)
    ]
    assert all(len(bucket) == 1 for bucket in buckets)
    assert all(one != two for one, two in pairwise(buckets))


def glob_of(shards: Dataset) -> str:
    return f"{shards.path}/*.parquet"


def test_pandas_reads_it(shards: Dataset) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(sorted(str(path) for path in Path(shards.path).glob("*.parquet")))
    assert frame["id"].tolist() == shards.table(["id"])["id"].to_pylist()


def test_duckdb_reads_it(shards: Dataset) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = f"SELECT count(*), sum(strlen(text)) FROM '{glob_of(shards)}'"  # noqa: S608 - the path is our own
    found = duckdb.sql(query).fetchall()[0]
    assert found == (5000, sum(part.text_bytes for part in shards.parts))


def test_polars_reads_it(shards: Dataset) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.scan_parquet(glob_of(shards)).select("id", "date").collect()
    assert frame["id"].to_list() == shards.table(["id"])["id"].to_pylist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("by", ["glob", "folder"])
def test_datasets_reads_it(by: str, shards: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    given = {"path": shards.path} if by == "folder" else {"path": "parquet", "data_files": glob_of(shards)}
    rows = datasets.load_dataset(**given, split="train", cache_dir=str(tmp_path))
    assert rows["id"][:] == shards.table(["id"])["id"].to_pylist()


def test_nothing_of_the_steps_stays(shards: Dataset) -> None:
    names = {path.name for path in Path(shards.path).iterdir() if not path.name.startswith(".")}
    parts = {part.path for part in shards.parts}
    assert names == parts | {"README.md", "manifest.json", "plan.json", "done"}
    assert json.loads((Path(shards.path) / "manifest.json").read_text())["rejects"] == []
