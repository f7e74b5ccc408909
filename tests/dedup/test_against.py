"""References: compared with, never dropped, never written."""

import pyarrow as pa
import pytest
from click.testing import CliRunner

from corpuskit.cli import command
from corpuskit.dataset import Dataset
from corpuskit.dedup.exact import Exact
from corpuskit.dedup.minhash import MinHash
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, TargetError
from corpuskit.testing import check_stage, documents, write_dataset


def text(words, start=0):
    return " ".join(f"w{number}" for number in range(start, start + words))


def ids(first, count):
    return [f"{number:032x}" for number in range(first, first + count)]


def dropped(split):
    return {int(row["id"], 16): int(row["twin"], 16) for row in split.rejected.to_pylist()}


@pytest.fixture
def reference(tmp_path):
    """Two parts; rows 100 to 103, of which 100 and 102 are equal."""
    docs = documents([text(100), text(60, 500), text(100), ""], id=ids(100, 4))
    return write_dataset(tmp_path / "reference", docs.slice(0, 1), docs.slice(1))


@pytest.mark.parametrize("keep", ["first", "longest", "none"])
def test_exact(runs, tmp_path, reference, keep):
    docs = documents([text(70, 900), text(100), "", text(60, 500), text(100), text(70, 900), "other"])
    path = write_dataset(tmp_path / "docs", docs.slice(0, 3), docs.slice(3))
    split = runs(Exact(keep=keep, against=(reference,)), [path])
    among = {0: 5, 5: 0} if keep == "none" else {5: 0}
    assert dropped(split) == {1: 100, 3: 101, 4: 100, **among}
    assert not set(split.kept["id"].to_pylist()) & set(ids(100, 4))


@pytest.mark.parametrize("confirm", [True, False])
@pytest.mark.parametrize("keep", ["first", "longest", "none"])
def test_minhash(runs, tmp_path, reference, keep, confirm):
    docs = documents([text(70, 900), text(101), "", text(60, 500), text(70, 901), "something else"])
    path = write_dataset(tmp_path / "docs", docs.slice(0, 3), docs.slice(3))
    split = runs(MinHash(keep=keep, confirm=confirm, against=(reference,)), [path])
    among = {"first": {4: 0}, "longest": {4: 0}, "none": {0: 4, 4: 0}}[keep]
    assert dropped(split) == {1: 100, 3: 101, **among}
    rows = {int(row["id"], 16): row for row in split.rejected.to_pylist()}
    assert rows[1]["value"] == (pytest.approx(96 / 97) if confirm else None)


def test_what_is_linked_to_a_reference_through_another_goes_too(runs, tmp_path, reference):
    path = write_dataset(tmp_path / "docs", documents([text(100, 16), text(100, 8)]))
    assert dropped(runs(MinHash(bands=100, rows=1, against=(reference,)), [path])) == {0: 100, 1: 100}


def test_several_references_and_one_that_lacks_the_policys_signal(runs, tmp_path, reference):
    other = write_dataset(tmp_path / "other", documents(["alone", text(100)], id=ids(200, 2)))
    docs = documents(["alone", text(100), "x", "x"]).append_column("score", pa.array([9.0, 9.0, 1.0, 2.0]))
    path = write_dataset(tmp_path / "docs", docs)
    for chain in (Exact, MinHash):
        split = runs(chain(keep="best:score", against=(other, reference)), [path])
        assert dropped(split) == {0: 200, 1: 201, 2: 3}


@pytest.mark.parametrize("chain", [Exact, MinHash])
def test_the_laws(reference, chain):
    for keep in ("first", "none"):
        check_stage(chain(keep=keep, against=(reference,)), documents([text(100), text(60), text(60)]))


@pytest.mark.parametrize("chain", [Exact, MinHash])
def test_references_count_by_content_not_by_place(tmp_path, reference, chain):
    moved = write_dataset(tmp_path / "moved", *Dataset(reference).batches())
    other = write_dataset(tmp_path / "other", documents(["other"]))
    assert chain(against=(reference,)).digest() == chain(against=(moved,)).digest()
    assert chain(against=(other,)).digest() != chain(against=(moved,)).digest() != chain().digest()
    with pytest.raises(InputError, match="there is no dataset"):
        chain(against=(str(tmp_path / "none"),)).digest()


def test_another_reference_is_another_run(tmp_path, reference):
    path = write_dataset(tmp_path / "docs", documents([text(100), "b"]))
    target = str(tmp_path / "target")
    assert run(Exact(against=(reference,)), path, target, options=Options(workers=1)).rows == 1
    other = write_dataset(tmp_path / "other", documents(["b"], id=ids(300, 1)))
    with pytest.raises(TargetError, match="against 0 has other content"):
        run(Exact(against=(other,)), path, target)


def test_on_the_command_line(tmp_path, reference):
    path = write_dataset(tmp_path / "docs", documents([text(102), "b"]))
    target = tmp_path / "target"
    result = CliRunner().invoke(
        command, ["dedup", "minhash", "-j1", "--against", reference, path, str(target), "--json"]
    )
    assert result.exit_code == 0, result.stderr
    assert Dataset(str(target)).table(["text"])["text"].to_pylist() == ["b"]
