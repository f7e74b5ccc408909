"""One record of a web archive, extracted again as the crawl did: for texts that were never written."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

from corpuskit import files, settings
from corpuskit.dataset import Dataset
from corpuskit.errors import CorpuskitError
from corpuskit.funnel import upstream
from corpuskit.stage import Input, Task

__all__ = ["extract_again"]


def extract_again(dataset: Dataset, origin: str) -> bytes | None:
    """Return the text that `crawl warc` made of the record at `origin` (`file@offset`), in UTF-8.

    Null where the dataset's first stage is another, where its settings or their content are no
    longer those of the run, and where the archive is gone.
    """
    told = dataset.manifest["stages"][0]
    if told["name"] != "crawl.warc":
        return None
    path, _, position = origin.rpartition("@")
    offset, _, inner = position.partition("+")
    for archive in _places(dataset, path):
        try:
            return _extract(dataset, archive, int(offset), inner)
        except Exception:  # noqa: BLE001, S112 - an archive that is gone or was replaced explains less, and is no failure
            continue
    return None


def _places(dataset: Dataset, path: str) -> Iterator[str]:
    """Yield where the archive may lie: as the crawl named it, then as seen from the dataset."""
    if files.is_url(path) or Path(path).is_file():
        yield path
    name = files.file_name(path)
    for source, _ in upstream(dataset):
        try:
            found = files.expand(source)
        except CorpuskitError:
            continue
        for one in found:
            if not files.is_url(one) and Path(one).is_dir():
                yield from sorted(str(inside) for inside in Path(one).rglob("*") if inside.name == name)
            elif files.file_name(one) == name:
                yield one


def _extract(dataset: Dataset, archive: str, offset: int, inner: str) -> bytes | None:
    """Copy the record's member out of the archive and run the crawl's own stage over that alone."""
    from corpuskit.crawl.warc import Warc

    told = dataset.manifest["stages"][0]
    stage: Warc = settings.from_mapping(Warc, told["settings"], "crawl.warc")
    if stage.digest() != told["digest"]:
        return None
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder, "record.warc")
        alone.write_bytes(_member(archive, offset, stage.max_record))
        task = Task((Input(str(alone), alone.name, alone.stat().st_size, ""),), stage.writes(dataset.schema))
        wanted = f"@0+{inner}" if inner else "@0"
        for split in stage.run(task):
            for row in split.kept.select(["origin", "text"]).to_pylist():
                if row["origin"].endswith(wanted):
                    return str(row["text"]).encode()
    return None


def _member(archive: str, offset: int, limit: int) -> bytes:
    """Read the bytes of the compressed member, or of the plain record, that begins at `offset`."""
    from corpuskit.crawl.archive import records

    with files.open_input(archive) as stream:
        stream.seek(offset)
        items = itertools.takewhile(lambda item: item.offset == 0, records(stream, None, limit))
        length = sum(item.length for item in items)
        stream.seek(offset)
        return stream.read(length)
