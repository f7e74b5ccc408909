"""Ranges over http, folders, memory and s3; and what servers do wrong."""

import io

import pytest
from commoncrawl_world import CRAWL, Served, World, serving
from hypothesis import given
from hypothesis import strategies as st

from corpuskit import __version__
from corpuskit.crawl.patience import Patience, Terms, Turns
from corpuskit.crawl.store import Missing, RemoteFile, Store, Web, open_store
from corpuskit.errors import InputError, TryLater, UsageError

TERMS = Terms(connections=2, retries=2, pause=0.01, deadline=0.6)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"), archives=1)


@pytest.fixture
def served(world):
    with serving(world) as found:
        yield found


def opened(base: str, tmp_path) -> Store:
    patience = Patience(TERMS, Turns(tmp_path / "turns", 2))
    return open_store(base, Web(patience, TERMS.deadline), patience)


@pytest.fixture
def store(served, tmp_path) -> Store:
    return opened(served.url, tmp_path)


@pytest.fixture
def data(world) -> bytes:
    return (world.folder / world.warcs[0]).read_bytes()


FAULTS = {
    "nothing": ([], 1),
    "503": (["503", "503"], 3),
    "403": (["403"], 2),
    "429": (["429 0"], 2),
    "500": (["500"], 2),
    "reset": (["reset", "reset"], 3),
    "cut": (["cut", "cut"], 3),
    "shifted": (["shifted"], 2),
    "whole": (["whole"], 1),
    "drip": (["drip"], 2),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_range_comes_whole_whatever_went_wrong_before(name, served, store, world, data):
    faults, requests = FAULTS[name]
    served.faults["warc.gz"] = list(faults)
    assert store.read(world.warcs[0], 100, 500) == data[100:600]
    assert len(served.asked) == requests
    assert served.asked[0][1] == "bytes=100-599"
    assert served.agents == {f"corpuskit/{__version__}"}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("503", "503 SlowDown"),
        ("403", "403 SlowDown"),
        ("429", "429 SlowDown"),
        ("reset", "[Rr]eset|aborted|closed"),
        ("cut", "cut|[Ii]ncomplete|more expected"),
        ("shifted", "other bytes than were asked for"),
        ("drip", "longer than --deadline"),
    ],
)
def test_what_goes_on_ends_in_try_later(fault, told, served, store, world):
    served.faults["warc.gz"] = [f"always {fault}"]
    with pytest.raises(TryLater, match=f"{told}.*3 times") as caught:
        store.read(world.warcs[0], 0, 500)
    assert caught.value.exit_code == 75 and len(served.asked) == 3


def test_where_a_file_ends_and_where_there_is_none(served, store, world, data):
    size = len(data)
    assert store.size(world.warcs[0]) == size
    assert store.read(world.warcs[0], size - 5, 100) == data[-5:]
    assert store.read(world.warcs[0], size, 100) == b""
    served.faults["warc.gz"] = ["whole"]
    assert store.read(world.warcs[0], size + 7, 100) == b""
    for ask in (lambda: store.read("none", 0, 1), lambda: store.whole("none", 9), lambda: store.size("none")):
        with pytest.raises(Missing):
            ask()


def test_caps_and_redirects(served, store, world, monkeypatch):
    listing = f"crawl-data/{CRAWL}/warc.paths.gz"
    size = len((world.folder / listing).read_bytes())
    assert len(store.whole(listing, size)) == size
    with pytest.raises(InputError, match="more than"):
        store.whole(listing, size - 1)
    served.faults[listing] = ["302"]
    with pytest.raises(InputError, match="answers 302"):
        store.whole(listing, size)
    monkeypatch.setattr("corpuskit.crawl.store._PASSED_OVER", 599)
    served.faults["warc.gz"] = ["always whole"]
    assert len(store.read(world.warcs[0], 99, 500)) == 500
    with pytest.raises(InputError, match="whole files, not ranges"):
        store.read(world.warcs[0], 100, 500)


def test_a_folder_is_read_like_a_server(world, data, tmp_path):
    store = opened(str(world.folder), tmp_path)
    assert store.read(world.warcs[0], 100, 500) == data[100:600]
    assert store.read(world.warcs[0], len(data) - 5, 100) == data[-5:]
    assert store.read(world.warcs[0], len(data) + 5, 100) == b""
    assert store.size(world.warcs[0]) == len(data)
    with pytest.raises(Missing):
        store.read("none", 0, 1)
    with pytest.raises(InputError, match="more than"):
        store.whole(world.warcs[0], 10)


def test_a_url_nobody_reads(tmp_path):
    with pytest.raises(UsageError, match="nonsense"):
        opened("nonsense://x/", tmp_path)


def test_s3_without_credentials(served: Served, world, data, tmp_path, monkeypatch):
    """The real s3fs, told by its environment to ask the loopback server."""
    fsspec = pytest.importorskip("s3fs").S3FileSystem
    fsspec.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", served.url.rstrip("/"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    store = opened("s3://commoncrawl/", tmp_path)
    served.faults["warc.gz"] = ["503", "cut"]
    assert store.read(world.warcs[0], 100, 500) == data[100:600]
    assert [span for _, span in served.asked] == ["bytes=100-599"] * 3
    assert all(agent.startswith("corpuskit/") for agent in served.agents)
    assert store.read(world.warcs[0], len(data) + 1, 9) == b""
    assert store.size(world.warcs[0]) == len(data)
    with pytest.raises(Missing):
        store.read("none", 0, 1)
    served.faults["warc.gz"] = ["always 503"]
    served.asked.clear()
    with pytest.raises(TryLater, match="SlowDown.*3 times"):
        store.read(world.warcs[0], 0, 9)
    assert len(served.asked) == 3
    fsspec.clear_instance_cache()


class Bytes:
    base = ""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, path: str, start: int, length: int) -> bytes:
        return self.data[start : start + length]

    def whole(self, path: str, limit: int) -> bytes:
        return self.data

    def size(self, path: str) -> int | None:
        return len(self.data)


STEPS = st.lists(st.one_of(st.integers(-1, 40), st.tuples(st.integers(0, 60), st.sampled_from([0, 2]))))


@given(st.binary(max_size=50), STEPS, st.integers(1, 30))
def test_a_remote_file_reads_like_any_file(data, steps, ahead):
    remote, plain = RemoteFile(Bytes(data), "x", ahead), io.BytesIO(data)
    for step in steps:
        if isinstance(step, int):
            assert remote.read(step) == plain.read(step)
        else:
            offset, whence = step
            offset = -min(offset, len(data)) if whence == 2 else offset
            assert remote.seek(offset, whence) == plain.seek(offset, whence)
        assert remote.tell() == plain.tell()
