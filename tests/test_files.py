"""Files: whole or absent, local and remote alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpuskit import files
from corpuskit.errors import InputError, TryLater


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def test_write_read_remove(folder: str) -> None:
    path = files.join(folder, "a", "b.json")
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"two")
    assert files.read_bytes(path) == b"two"
    assert files.size(path) == 3
    files.remove(files.join(folder, "a"))
    assert not files.exists(path)
    files.remove(path)


def test_create_writes_once(folder: str) -> None:
    path = files.join(folder, "plan.json")
    assert files.create(path, b"one")
    assert not files.create(path, b"two")
    assert files.read_bytes(path) == b"one"


def test_commit_leaves_no_temporary(folder: str) -> None:
    temporary = files.scratch(folder)
    temporary.write_bytes(b"data")
    files.commit(temporary, files.join(folder, "part"))
    assert not temporary.exists()
    assert files.read_bytes(files.join(folder, "part")) == b"data"


def test_expand(folder: str) -> None:
    for name in ("b.gz", "a.gz", "c.txt"):
        files.write_bytes(files.join(folder, name), b"")
    assert [files.file_name(path) for path in files.expand(files.join(folder, "*.gz"))] == ["a.gz", "b.gz"]
    with pytest.raises(InputError, match="nothing matches"):
        files.expand(files.join(folder, "*.zip"))


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a[1].gz").write_bytes(b"")
    assert files.expand(str(tmp_path / "a[1].gz")) == [str(tmp_path / "a[1].gz")]


def test_identity_sees_a_change_anywhere_it_looks(tmp_path: Path) -> None:
    path = tmp_path / "big"
    data = bytearray(1 << 20)
    path.write_bytes(data)
    seen = {files.identity(str(path))}
    for place in (0, 1 << 19, (1 << 20) - 1):
        data[place] ^= 1
        path.write_bytes(data)
        seen.add(files.identity(str(path)))
    path.write_bytes(data[:-1])
    assert len(seen | {files.identity(str(path))}) == 5
    with pytest.raises(InputError, match="cannot read"):
        files.identity(str(tmp_path / "none"))


def test_lock_is_exclusive_and_ends(folder: str) -> None:
    with files.lock(folder), pytest.raises(TryLater, match="another run"), files.lock(folder):
        pass
    with files.lock(folder):
        pass
