"""Local paths and fsspec URLs behind one set of functions; every write is whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import glob
import hashlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from corpuskit.errors import InputError, TryLater

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = [
    "TEMPORARY",
    "Leftovers",
    "clean",
    "commit",
    "create",
    "entries",
    "exists",
    "expand",
    "file_name",
    "identity",
    "is_url",
    "join",
    "lock",
    "open_input",
    "read_bytes",
    "remove",
    "scratch",
    "size",
    "sweep_temporary",
    "write_bytes",
]

TEMPORARY = ".tmp-"
"""Unfinished files start with this; a file under any other name is complete."""

_SAMPLE = 64 << 10


def is_url(path: str) -> bool:
    """Tell a URL such as `s3://bucket/key` from a local path.

    >>> is_url("s3://bucket/key"), is_url("data/docs")
    (True, False)
    """
    return "://" in path


@functools.cache
def _filesystem(protocol: str) -> AbstractFileSystem:
    import fsspec  # imported late: most runs are local

    return fsspec.filesystem(protocol)


def _remote(path: str) -> AbstractFileSystem:
    return _filesystem(path.split("://", 1)[0])


def join(folder: str, *names: str) -> str:
    """Join a folder (local or URL) and names.

    >>> join("s3://bucket/run/", "done", "00000.json")
    's3://bucket/run/done/00000.json'
    """
    return "/".join([folder.rstrip("/"), *names])


def expand(source: str) -> list[str]:
    """List the files that a path, a glob pattern or a URL names, sorted.

    A plain `https://` URL and `-` (standard input) stand for themselves.

    Raises:
        InputError: Nothing is there.
    """
    if source == "-" or source.startswith(("http://", "https://")):
        return [source]
    if is_url(source):
        fs, protocol = _remote(source), source.split("://", 1)[0]
        found = sorted(f"{protocol}://{str(path).split('://', 1)[-1]}" for path in fs.glob(source))
    elif Path(source).exists():  # a name that looks like a pattern but is a file is that file
        found = [source]
    else:
        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not found:
        raise InputError(f"nothing matches {source!r}", fix="check the path")
    return found


def open_input(path: str) -> BinaryIO:
    """Open a file, a URL or `-` (standard input) for reading bytes.

    Raises:
        InputError: It is missing or unreadable.
    """
    try:
        if path == "-":
            return sys.stdin.buffer
        if is_url(path):
            return _remote(path).open(path, "rb")  # type: ignore[no-any-return]
        return Path(path).open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def size(path: str) -> int | None:
    """Return a file's size in bytes; null where the source does not say (standard input, some URLs)."""
    if path == "-":
        return None
    if is_url(path):
        found = _remote(path).info(path).get("size")
        return None if found is None else int(found)
    return Path(path).stat().st_size


def identity(path: str) -> tuple[int, str]:
    """Return a file's size and a digest of its size, first, middle and last 64 KiB.

    Cheap on a terabyte, and enough to see that an input was replaced or cut. Standard input, and a
    URL whose size is unknown, have size -1 and a digest of their name only.

    Raises:
        InputError: It is missing or unreadable.
    """
    try:
        total = size(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    sample = hashlib.blake2b(f"{total}".encode(), digest_size=16)
    if total is None:
        sample.update(path.encode())
        return -1, sample.hexdigest()
    with open_input(path) as file:
        for start in sorted({0, max(0, total // 2 - _SAMPLE // 2), max(0, total - _SAMPLE)}):
            file.seek(start)
            sample.update(file.read(_SAMPLE))
    return total, sample.hexdigest()


def exists(path: str) -> bool:
    """Say whether a file or folder is there."""
    return bool(_remote(path).exists(path)) if is_url(path) else Path(path).exists()


def read_bytes(path: str) -> bytes:
    """Read a small file whole.

    Raises:
        FileNotFoundError: It is not there.
    """
    return bytes(_remote(path).cat_file(path)) if is_url(path) else Path(path).read_bytes()


def scratch(folder: str) -> Path:
    """Name a temporary file, unique to this attempt, from which `commit` can reach `folder` in one step."""
    name = f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    if is_url(folder):
        return Path(tempfile.gettempdir()) / name
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder) / name


def commit(temporary: Path, path: str) -> None:
    """Make a finished local file appear under its name: one rename, or one upload.

    The bytes are on disk before the name is: the file and its folder are both synced.
    """
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    if is_url(path):
        _remote(path).put_file(str(temporary), path)
        temporary.unlink()
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(path)
    _sync_folder(Path(path).parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file whole or not at all, replacing what was there."""
    temporary = scratch(path.rsplit("/", 1)[0] if "/" in path else ".")
    temporary.write_bytes(data)
    commit(temporary, path)


def create(path: str, data: bytes) -> bool:
    """Write a small file only if it is not there yet; say whether it was written.

    Local: a hard link, which fails where the name exists, so the file is never seen half written.
    """
    if is_url(path):
        return _create_remote(path, data)
    temporary = scratch(str(Path(path).parent))
    temporary.write_bytes(data)
    try:
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    _sync_folder(Path(path).parent)
    return True


def _create_remote(path: str, data: bytes) -> bool:
    """Write only if nothing is there, by the store's own condition where it has one (S3: If-None-Match)."""
    if exists(path):
        return False
    try:
        _remote(path).pipe_file(path, data, mode="create")
    except FileExistsError:  # another run was first; or we were, and the answer was lost on its way
        return read_bytes(path) == data
    except (NotImplementedError, TypeError, ValueError):  # a store without conditions
        write_bytes(path, data)
    return True


def entries(folder: str, pattern: str) -> list[str]:
    """List what a folder (local or URL) holds under names that match, sorted; no folder holds nothing.

    >>> entries("no/such/folder", "*.json")
    []
    """
    if not is_url(folder):
        return sorted(str(path) for path in Path(folder).glob(pattern))
    protocol = folder.split("://", 1)[0]
    found = _remote(folder).glob(join(folder, pattern))
    return sorted(f"{protocol}://{str(path).split('://', 1)[-1].lstrip('/')}" for path in found)


class Leftovers(NamedTuple):
    """What killed runs left behind: the keys of uploads that never ended, and temporary files."""

    uploads: tuple[str, ...]
    files: tuple[str, ...]


def clean(folder: str, *, dry_run: bool = False) -> Leftovers:
    """Remove what killed runs left in a target, or only list it.

    An upload to S3 that was cut off is in no listing of the bucket, and is paid for until it is aborted.

    Raises:
        TryLater: A run is writing there.
    """
    with lock(folder) if exists(folder) else contextlib.nullcontext():
        uploads = _unfinished(folder) if folder.startswith("s3://") else {}
        stray = [] if is_url(folder) else entries(folder, f"**/{TEMPORARY}*")
        if not dry_run:
            bucket = folder.split("://", 1)[-1].partition("/")[0]
            for upload, key in uploads.items():
                _remote(folder).call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)
            for path in stray:
                remove(path)
    return Leftovers(tuple(sorted(uploads.values())), tuple(stray))


def _unfinished(folder: str) -> dict[str, str]:
    """List uploads below an s3:// URL that were begun and never ended: id to key."""
    bucket, _, prefix = folder.split("://", 1)[-1].partition("/")
    found = _remote(folder).list_multipart_uploads(bucket)
    inside = f"{prefix.rstrip('/')}/" if prefix else ""
    return {one["UploadId"]: one["Key"] for one in found if one["Key"].startswith(inside)}


def remove(path: str) -> None:
    """Remove a file or a folder with all it holds; nothing there is no error."""
    if is_url(path):
        with contextlib.suppress(FileNotFoundError):
            _remote(path).rm(path, recursive=True)
    elif Path(path).is_dir() and not Path(path).is_symlink():
        shutil.rmtree(path)
    else:
        Path(path).unlink(missing_ok=True)


def sweep_temporary(folder: str) -> None:
    """Remove what attempts that died left behind in a local folder and the folders of a dataset below it."""
    if is_url(folder):
        return
    for pattern in ("", "rejects", "done"):
        for path in Path(folder, pattern).glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(folder: str) -> Iterator[None]:
    """Hold the lock of a target while the block runs; the lock dies with its holder.

    A folder that was made for the lock goes again where the block fails and has put nothing into it.

    Raises:
        TryLater: Another run holds it.
    """
    made = not exists(folder)
    if is_url(folder):
        name = hashlib.blake2b(folder.encode(), digest_size=16).hexdigest()
        path = Path(tempfile.gettempdir()) / f"corpuskit-{name}.lock"
    else:
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder) / ".lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):  # removed by a run that failed
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise TryLater(
                f"another run is writing {folder}", fix="wait for it to end, then run again"
            ) from None
        try:
            yield
        except BaseException:
            if made and not is_url(folder):
                _remove_empty(path)
            raise


def _remove_empty(lock: Path) -> None:
    """Remove a folder that holds nothing but its lock, before the lock is let go."""
    if [name.name for name in lock.parent.iterdir()] == [lock.name]:
        lock.unlink()
        with contextlib.suppress(OSError):  # somebody has just written there
            lock.parent.rmdir()


def file_name(path: str) -> str:
    """Return the last name of a path or URL.

    >>> file_name("s3://bucket/a/b.warc.gz")
    'b.warc.gz'
    """
    return PurePosixPath(path).name
