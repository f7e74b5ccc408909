"""Every script of `examples/` runs and prints what it promises; its crawl is what its program builds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from corpuskit.testing import documents, write_dataset

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PRINTS = {
    "filter_my_texts": ["kept: The ferry has no engine.", "gopher.stop_word_count.min: 0.00, the bound is 2"],
    "own_stage": ["kept: ['Why? And why now?']"],
    "query_with_datasketch": ["near duplicates of an edited bees: bees\n"],
    "read_with_duckdb": ["a.example", "b.example"],
}


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    docs = documents(
        ["one", "two", "three"], url=["https://a.example/1", "http://a.example/2", "http://b.example/"]
    )
    return write_dataset(tmp_path / "dataset", docs)


def test_every_script_is_here():
    assert {path.stem for path in SCRIPTS} == set(PRINTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_and_is_short(script, dataset, environment, tmp_path):
    assert len(script.read_text("utf-8").splitlines()) <= 40
    arguments = [dataset] if "sys.argv" in script.read_text("utf-8") else []
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for wanted in PRINTS[script.stem]:
        assert wanted in done.stdout


@pytest.fixture(scope="module")
def build() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("build_example_data", EXAMPLES / "data" / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_crawl_is_what_its_program_builds(build, tmp_path):
    build.build(tmp_path / "pages.warc.gz")
    committed = EXAMPLES / "data" / "pages.warc.gz"
    assert committed.stat().st_size < 200_000
    assert (tmp_path / "pages.warc.gz").read_bytes() == committed.read_bytes()


def test_the_stored_brotli_stream_is_brotli(build):
    import brotli

    for data in (b"x", b"some text " * 6000):
        assert brotli.decompress(build.brotli_stored(data)) == data


def test_one_record_of_the_example_crawl_is_broken(build):
    with (EXAMPLES / "data" / "pages.warc.gz").open("rb") as stream:
        archive = ArchiveIterator(stream, record_types=WarcRecordType.any_type)
        with pytest.raises(OSError, match="data error"):
            list(archive)


def test_a_near_duplicate_must_edit_what_is_there(build):
    with pytest.raises(ValueError, match="is not once in tides"):
        build.page({"url": "u", "article": "tides", "site": "blog", "edits": [["no such words", ""]]})
