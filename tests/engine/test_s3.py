"""S3 behind faults: a run gives the clean run's bytes, and `clean` finds what is left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from s3_faults import FAULTS, Proxy, serving
from stages import Longer

from corpuskit import files
from corpuskit.cli import command
from corpuskit.dedup.exact import Exact
from corpuskit.engine import Options, run
from corpuskit.errors import TargetError
from corpuskit.testing import documents, write_dataset

pytest.importorskip("moto.server")
fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[Proxy, Any]]:
    """A bucket behind a proxy, and fsspec's view of it."""
    with serving(0.0) as (proxy, url), pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        files._filesystem.cache_clear()
        fsspec.filesystem("s3").clear_instance_cache()
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("bucket")
        yield proxy, fs
        files._filesystem.cache_clear()
        fsspec.filesystem("s3").clear_instance_cache()


def objects(fs: Any, folder: str) -> dict[str, bytes]:
    fs.invalidate_cache()
    return {path.removeprefix(folder): fs.cat_file(path) for path in fs.find(folder)}


def test_faults_change_nothing(store: tuple[Proxy, Any], tmp_path: Path) -> None:
    proxy, fs = store
    texts = [[f"text {row // 2} of {part % 2}" for row in range(8)] for part in range(2)]
    batches = [documents(some, id=[f"{part}-{row}" for row in range(8)]) for part, some in enumerate(texts)]
    fs.put(write_dataset(tmp_path / "in", *batches), "bucket/in", recursive=True)
    run(Exact(), "s3://bucket/in", "s3://bucket/clean", options=Options(workers=1))
    proxy.share = float(os.environ.get("CORPUSKIT_S3_FAULTS", "0.08"))
    run(Exact(), "s3://bucket/in", "s3://bucket/out", options=Options(workers=1))
    run(Exact(), "s3://bucket/in", "s3://bucket/out", options=Options(workers=1, force=True))
    proxy.share = 0.0
    assert sum(proxy.seen[fault] for fault in FAULTS) > 5, proxy.seen
    assert objects(fs, "bucket/out") == objects(fs, "bucket/clean")
    local = run(Exact(), str(tmp_path / "in"), str(tmp_path / "out"), options=Options(workers=1))
    parts = [part["sha256"] for part in local.manifest["parts"]]
    assert [part["sha256"] for part in json.loads(fs.cat_file("bucket/out/manifest.json"))["parts"]] == parts
    with pytest.raises(TargetError, match="holds the output of dedup.exact"):
        run(Longer(), "s3://bucket/in", "s3://bucket/out", options=Options(workers=1))


@pytest.mark.usefixtures("store")
def test_only_the_first_creates() -> None:
    assert files.create("s3://bucket/plan.json", b"one")
    assert not files.create("s3://bucket/plan.json", b"two")
    assert files.read_bytes("s3://bucket/plan.json") == b"one"


def test_clean_aborts_uploads_that_never_ended(store: tuple[Proxy, Any]) -> None:
    _, fs = store
    for key in ("run/part-1", "run/part-2", "elsewhere/part"):
        fs.call_s3("create_multipart_upload", Bucket="bucket", Key=key)
    assert files.clean("s3://bucket/run", dry_run=True).uploads == ("run/part-1", "run/part-2")
    listed = CliRunner().invoke(command, ["clean", "s3://bucket/run", "-n"], standalone_mode=False)
    assert listed.stdout.splitlines()[-1] == "2 unfinished uploads and 0 temporary files to remove"
    assert len(files.clean("s3://bucket/run", dry_run=True).uploads) == 2
    CliRunner().invoke(command, ["clean", "s3://bucket/run"], standalone_mode=False)
    assert files.clean("s3://bucket/run").uploads == ()
    assert files.clean("s3://bucket", dry_run=True).uploads == ("elsewhere/part",)


def test_clean_sweeps_a_folder(tmp_path: Path) -> None:
    (tmp_path / "rejects").mkdir()
    (tmp_path / "rejects" / ".tmp-1-2").write_bytes(b"half")
    (tmp_path / "part").write_bytes(b"whole")
    cleaned = CliRunner().invoke(command, ["clean", str(tmp_path), "--json"], standalone_mode=False)
    assert json.loads(cleaned.stdout)["files"] == [str(tmp_path / "rejects" / ".tmp-1-2")]
    assert (tmp_path / "part").exists()
    assert not (tmp_path / "rejects" / ".tmp-1-2").exists()
