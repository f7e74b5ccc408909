"""`shard webdataset`: the webdataset package reads every sample back; same run, same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from webdataset import tariterators

from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES
from corpuskit.engine import Options, run
from corpuskit.errors import UsageError
from corpuskit.shard.webdataset import WebDataset
from corpuskit.testing import check_stage, documents, write_dataset

ONE = Options(workers=1)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


def picture(number: int, kind: str) -> dict[str, object]:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (number % 256, 10, 20)).save(file, kind)
    data = file.getvalue()
    return {
        "offset": 0,
        "url": f"https://pictures.example/{number}.{kind.lower()}",
        "alt": f"caption {number}",
        "sha256": hashlib.sha256(data).digest(),
        "width": 8,
        "height": 6,
        "bytes": data,
    }


def pairs(count: int, first: int = 0) -> pa.RecordBatch:
    numbers = range(first, first + count)
    batch = documents(
        [f"caption {number}: naïve 画像 🙂" for number in numbers],
        id=[hashlib.blake2b(b"%d" % number, digest_size=16).hexdigest() for number in numbers],
        url=[f"https://pages.example/{number}" for number in numbers],
        clip_score=[number / 10 if number % 7 else float("nan") for number in numbers],
    )
    images = [[picture(number, FORMATS[number % len(FORMATS)])] for number in numbers]
    return batch.append_column(IMAGES, pa.array(images, IMAGES.type))


def tars(dataset: Dataset) -> dict[str, bytes]:
    return {file.path: Path(dataset.path, file.path).read_bytes() for file in dataset.files}


def samples(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Read the tars with the package's own stages; it leaves files that it opens itself to the collector."""
    for file in dataset.files:
        path = Path(dataset.path, file.path)
        with path.open("rb") as stream:
            members = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            yield from tariterators.group_by_keys(members)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_dataset(tmp_path_factory.mktemp("pairs") / "pairs", pairs(70), pairs(53, 70))


@pytest.fixture(scope="module")
def shards(source: str) -> Dataset:
    return run(WebDataset(samples=30), source, str(Path(source).parent / "shards"), options=ONE)


def test_every_sample_is_read_back_by_webdataset(source: str, shards: Dataset) -> None:
    want = {row["id"]: row for row in Dataset(source).table().to_pylist()}
    seen = []
    for sample in samples(shards):
        told = json.loads(sample["json"])
        row = want[told["id"]]
        data = next(sample[kind] for kind in ("jpg", "png", "webp", "gif") if kind in sample)
        assert data == row["images"][0]["bytes"]
        assert sample["txt"].decode() == row["text"]
        assert told["url"] == row["url"]
        assert told["images"][0]["sha256"] == hashlib.sha256(data).hexdigest()
        assert told["clip_score"] == (row["clip_score"] if row["clip_score"] == row["clip_score"] else None)
        assert sample["__key__"].isdigit()
        seen.append(told["id"])
    assert sorted(seen) == sorted(want)
    assert seen == shards.table()["id"].to_pylist()


def test_shards_are_even_and_sizes_add_up(shards: Dataset) -> None:
    sizes = json.loads(Path(shards.path, "sizes.json").read_text())
    assert list(sizes) == ["00000.tar", "00001.tar", "00002.tar", "00003.tar", "00004.tar"]
    assert sum(sizes.values()) == 123
    assert max(sizes.values()) - min(sizes.values()) <= 2
    for name, count in sizes.items():
        with tarfile.open(Path(shards.path, name)) as tar:
            members = tar.getmembers()
        assert len(members) == 3 * count
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in members} == {
            (0, 0, "", 0o644)
        }
        keys = [member.name.partition(".")[0] for member in members]
        assert keys == sorted(keys)


def test_index_names_the_tar_and_the_key(shards: Dataset) -> None:
    row = shards.table().to_pylist()[40]
    with tarfile.open(Path(shards.path, row["tar"])) as tar:
        found = tar.extractfile(f"{row['key']}.json")
        assert found is not None
        assert json.load(found)["id"] == row["id"]


def test_same_bytes_on_two_workers_and_after_a_tar_was_lost(
    source: str, shards: Dataset, tmp_path: Path
) -> None:
    other = run(WebDataset(samples=30), source, str(tmp_path / "shards"), options=Options(workers=2))
    assert tars(other) == tars(shards)
    Path(other.path, "00002.tar").write_bytes(b"torn")
    again = run(WebDataset(samples=30), source, other.path, options=ONE)
    assert tars(again) == tars(shards)
    assert not list(Path(other.path).glob(".tmp*"))


def test_another_seed_is_another_order(source: str, shards: Dataset, tmp_path: Path) -> None:
    other = run(WebDataset(samples=30, seed=1), source, str(tmp_path / "shards"), options=ONE)
    ids = shards.table()["id"].to_pylist()
    assert other.table()["id"].to_pylist() != ids
    assert sorted(other.table()["id"].to_pylist()) == sorted(ids)


def test_without_bytes_there_is_no_sample_and_a_reject_says_so(tmp_path: Path) -> None:
    bare = picture(0, "JPEG") | {"bytes": None}
    images = pa.array([[picture(1, "PNG"), bare, picture(2, "JPEG")], [bare], [], None], IMAGES.type)
    batch = documents(["two", "not fetched", "none", "null"]).append_column(IMAGES, images)
    dataset = run(WebDataset(), write_dataset(tmp_path / "in", batch), str(tmp_path / "out"), options=ONE)
    assert dataset.rows == 1
    rejects = pa.Table.from_batches(dataset.reject_batches()).to_pylist()
    assert sorted(row["id"] for row in rejects) == batch["id"].to_pylist()[1:]
    assert {(row["stage"], row["rule"]) for row in rejects} == {("shard.webdataset", "webdataset.no_image")}
    with tarfile.open(Path(dataset.path, "00000.tar")) as tar:
        assert tar.getnames() == [f"000000000.{end}" for end in ("0.png", "1.jpg", "txt", "json")]


def test_documents_without_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column of images"):
        run(
            WebDataset(), write_dataset(tmp_path / "in", documents(["a"])), str(tmp_path / "out"), options=ONE
        )


@pytest.mark.parametrize("samples", [0, 10_001])
def test_samples_outside_the_range_are_an_error(samples: int) -> None:
    with pytest.raises(UsageError, match="samples"):
        WebDataset(samples=samples)


def test_force_removes_the_tars_of_before(source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "shards")
    run(WebDataset(samples=30), source, target, options=ONE)
    run(WebDataset(samples=100), source, target, options=Options(workers=1, force=True))
    assert sorted(path.name for path in Path(target).glob("*.tar")) == ["00000.tar", "00001.tar"]


def test_stage_laws() -> None:
    check_stage(WebDataset(samples=2), pairs(5))


def test_card_tells_how_to_read_the_tars(shards: Dataset) -> None:
    text = Path(shards.path, "README.md").read_text("utf-8")
    assert 'webdataset.WebDataset("DIR/{00000..00004}.tar"' in text
    assert 'path: "*.tar"' in text
    assert "| documents | 123 |" in text
    assert "| words |" not in text
