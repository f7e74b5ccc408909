"""Documents with images that others have: pairs, pages of several, references."""

import hashlib
import io

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image

from corpuskit import settings
from corpuskit.cli import command
from corpuskit.dataset import Dataset
from corpuskit.dedup import imagekeys, imagelinks, numbering
from corpuskit.dedup.images import Images
from corpuskit.document import IMAGES
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.kernels.phash import phash
from corpuskit.testing import check_stage, documents, write_dataset


def picture(seed, side=48, kind="PNG", **how):
    """Encode a smooth picture; the same seed gives the same pHash, or nearly, at any side."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(file, kind, **how)
    return file.getvalue()


def image(data=None, side=None, sha256=None):
    return {"bytes": data, "width": side, "height": side, "sha256": sha256}


def pages(pictures, texts=None, first=0, **columns):
    """Documents, each with a list of images (or null)."""
    ids = [f"{number:032x}" for number in range(first, first + len(pictures))]
    docs = documents(texts or [f"text {number}" for number in range(len(pictures))], id=ids, **columns)
    return docs.append_column(IMAGES, pa.array(pictures, IMAGES.type))


def pairs(*data, **columns):
    return pages([[image(one)] for one in data], **columns)


def dropped(split):
    """Number of each rejected document and of its twin."""
    return {int(row["id"], 16): int(row["twin"], 16) for row in split.rejected.to_pylist()}


def told(split):
    return {
        int(row["id"], 16): (row["rule"], row["value"], row["bound"]) for row in split.rejected.to_pylist()
    }


@pytest.fixture
def hashes(monkeypatch):
    """Let images be their pHashes: eight bytes, the highest first."""
    monkeypatch.setattr(imagekeys, "decode", lambda data: data)
    monkeypatch.setattr(imagekeys, "phash", lambda data: int.from_bytes(data, "big"))
    return lambda *values: [value.to_bytes(8, "big") for value in values]


A, B, C = picture(3), picture(2), picture(1)
A_AGAIN = picture(3, 96, "JPEG", quality=20)
BROKEN = A[:200]


def test_the_pictures_are_what_the_tests_take_them_for():
    one, again, other = (phash(Image.open(io.BytesIO(data))) for data in (A, A_AGAIN, B))
    assert 0 < (one ^ again).bit_count() <= 4 < (one ^ other).bit_count()


@pytest.mark.parametrize("keep", ["first", "largest", "none"])
@pytest.mark.parametrize(("by", "distance"), [("sha256", 0), ("phash", 0), ("phash", 4), ("phash+text", 2)])
def test_the_laws(by, distance, keep):
    several = [[image(A)], None, [image(A_AGAIN)], [image(A), image(B)], [], [image(B), image(B)], [image()]]
    check_stage(Images(by=by, distance=distance, keep=keep), pages(several, ["same"] * 7))


def test_sha256_of_the_column_else_of_the_bytes(runs, tmp_path):
    digest = hashlib.sha256(A).digest()
    rows = [
        image(A),
        image(B),
        image(A_AGAIN),
        image(B, sha256=digest),
        image(sha256=digest),
        image(),
        image(b""),
        image(),
        image(B, sha256=b"short"),
    ]
    path = write_dataset(tmp_path / "docs", pages([[row] for row in rows]))
    split = runs(Images(by="sha256"), [path])
    assert dropped(split) == {3: 0, 4: 0, 8: 1}
    assert set(told(split).values()) == {("images.sha256", None, None)}


def test_a_decoder_that_fails_in_its_own_way_costs_one_image(runs, tmp_path, monkeypatch):
    def fail(data):
        if data == B:
            raise RuntimeError
        return Image.open(io.BytesIO(data))

    monkeypatch.setattr(imagekeys, "decode", fail)
    path = write_dataset(tmp_path / "docs", pairs(B, A, B, A))
    assert dropped(runs(Images(), [path])) == {3: 1}


def test_what_cannot_be_decoded_is_like_nothing_and_counted(tmp_path):
    path = write_dataset(tmp_path / "docs", pairs(BROKEN, BROKEN, b"no image", A, A, None, None))
    dataset = run(Images(), path, str(tmp_path / "target"), options=Options(workers=1))
    assert dataset.rows == 6
    told = dataset.manifest["stages"][-1]
    assert told["facts"] == {"images": 7, "images without a key": 5}
    assert told["rules"] == {"images.phash": {"bytes": 0, "documents": 1, "spans": 0}}


@pytest.mark.parametrize(
    ("distance", "expected"), [(0, {2: 0}), (1, {2: 0}), (2, {1: 0, 2: 0}), (3, {1: 0, 2: 0, 3: 0})]
)
def test_the_distance_is_a_bound_and_reaches_through_others(runs, tmp_path, hashes, distance, expected):
    path = write_dataset(tmp_path / "docs", pairs(*hashes(0, 0b11, 0, 0b11111, 0xFF << 40)))
    split = runs(Images(distance=distance), [path])
    assert dropped(split) == expected
    values = {1: 2.0, 2: 0.0, 3: 5.0}
    assert told(split) == {row: ("images.phash", values[row], float(distance)) for row in expected}


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("distance", [0, 1, 3, 6, 16])
def test_bands_find_what_all_pairs_show(runs, tmp_path, hashes, monkeypatch, text, distance):
    monkeypatch.setattr(imagelinks, "BUCKET_ROWS", 100)  # a band a task
    monkeypatch.setattr(numbering, "BUCKET_ROWS", 100)
    random = np.random.default_rng(distance)
    values = random.integers(0, 1 << 64, 150, dtype=np.uint64).tolist()
    for _ in range(250):
        flips = random.choice(64, int(random.integers(0, 8)), replace=False).tolist()
        values.append(int(random.choice(values)) ^ sum(1 << flip for flip in flips))
    texts = [f"text  {number}" for number in random.integers(0, 3, len(values))]
    labels = list(range(len(values)))
    for j in range(len(values)):
        for i in range(j):
            near = (values[i] ^ values[j]).bit_count() <= distance and (not text or texts[i] == texts[j])
            if near and labels[i] != labels[j]:
                low, high = sorted((labels[i], labels[j]))
                labels = [low if label == high else label for label in labels]
    docs = pairs(*hashes(*values), texts=texts)
    path = write_dataset(tmp_path / "docs", docs.slice(0, 170), docs.slice(170))
    split = runs(Images(by="phash+text" if text else "phash", distance=distance), [path])
    assert dropped(split) == {row: label for row, label in enumerate(labels) if row != label}
    assert 0 < len(split.kept) < len(values)


def test_text_counts_but_not_its_white_space(runs, tmp_path):
    texts = ["a dog", " a\u00a0\n dog ", "a Dog", "a dog", ""]
    path = write_dataset(tmp_path / "docs", pairs(A, A, A, B, A, texts=texts))
    split = runs(Images(by="phash+text"), [path])
    assert dropped(split) == {1: 0}
    assert told(split) == {1: ("images.phash+text", 0.0, 0.0)}
    assert dropped(runs(Images(), [path])) == {1: 0, 2: 0, 4: 0}


def test_a_page_goes_only_if_others_stand_for_all_its_images(runs, tmp_path):
    several = [
        [image(A), image(B)],
        [image(B)],
        [image(A), image(C)],
        [image(C), image(A)],  # C is in 2, A in 0
        [image(A), image(BROKEN)],  # nothing stands for the broken one
        [image(B), image(B), image(A)],
        [],
        None,
        [None, image(A)],
    ]
    split = runs(Images(), [write_dataset(tmp_path / "docs", pages(several))])
    assert dropped(split) == {1: 0, 3: 2, 5: 0}


def test_an_image_twice_in_one_page_is_no_duplicate(runs, tmp_path):
    several = [[image(A), image(A)], [image(B)]]
    for keep in ("first", "none"):
        assert not dropped(runs(Images(keep=keep), [write_dataset(tmp_path / keep, pages(several))]))


def test_policies(runs, tmp_path):
    rows = [[image(A, 10)], [image(A, None)], [image(A, 30)], [image(A, 30)]]
    docs = pages(rows, ["x", "longest", "y", "z"])
    path = write_dataset(tmp_path / "docs", docs.append_column("clip_score", pa.array([0.1, None, 0.3, 0.4])))
    for keep, survivor in {"first": 0, "largest": 2, "longest": 1, "best:clip_score": 3}.items():
        assert dropped(runs(Images(keep=keep), [path])) == {
            row: survivor for row in range(4) if row != survivor
        }, keep
    assert dropped(runs(Images(keep="none"), [path])) == {0: 1, 1: 0, 2: 0, 3: 0}


def test_largest_goes_by_the_size_before_a_pair_was_resized(runs, tmp_path):
    docs = pages([[image(A, 10)], [image(A, 10)], [image(A, 10)]])
    for name, sides in (("original_width", [20, 90, None]), ("original_height", [20, 10, 900])):
        docs = docs.append_column(name, pa.array(sides, pa.int32()))
    assert dropped(runs(Images(keep="largest"), [write_dataset(tmp_path / "docs", docs)])) == {0: 1, 2: 1}


def test_every_image_is_left_once_whatever_the_policy(runs, tmp_path, hashes):
    random = np.random.default_rng(0)
    several = [
        [image(one, int(random.integers(1, 9))) for one in hashes(*random.integers(0, 25, count).tolist())]
        for count in random.integers(1, 5, 60)
    ]
    path = write_dataset(tmp_path / "docs", pages(several))
    for keep in ("first", "largest", "longest"):
        split = runs(Images(keep=keep), [path])
        left = {one["bytes"] for row in split.kept["images"].to_pylist() for one in row}
        assert left == {one["bytes"] for row in several for one in row}
        assert len(split.kept) <= 25
        assert set(dropped(split).values()) <= {int(name, 16) for name in split.kept["id"].to_pylist()}


@pytest.fixture
def reference(tmp_path):
    """Rows 100 and 101."""
    return write_dataset(tmp_path / "reference", pairs(B, A, texts=["no text", "of theirs"], first=100))


@pytest.mark.parametrize("keep", ["first", "largest", "none"])
def test_any_image_of_a_reference_drops_a_page(runs, tmp_path, reference, keep):
    several = [[image(C)], [image(C), image(A)], [image(A_AGAIN), image(B)], [image(picture(9))]]
    path = write_dataset(tmp_path / "docs", pages(several))
    split = runs(Images(keep=keep, against=(reference,)), [path])
    assert dropped(split) == {1: 101, 2: 100}
    near = runs(Images(keep=keep, distance=4, against=(reference,)), [path])
    assert dropped(near) == dropped(split) | {2: 101}


def test_a_page_that_a_reference_drops_stands_for_no_other(runs, tmp_path, reference):
    path = write_dataset(tmp_path / "docs", pages([[image(C), image(A)], [image(C)], [image(C)]]))
    for keep, among in {"first": {2: 1}, "none": {1: 2, 2: 1}}.items():
        assert dropped(runs(Images(keep=keep, against=(reference,)), [path])) == {0: 101} | among


def test_texts_count_for_nothing_against_references(runs, tmp_path, reference):
    path = write_dataset(tmp_path / "docs", pairs(C, A, C, C, B, texts=["c", "other", "c", "d", "no text"]))
    split = runs(Images(by="phash+text", against=(reference,)), [path])
    assert dropped(split) == {1: 101, 2: 0, 4: 100}
    assert {row: rule for row, (rule, _, _) in told(split).items()} == {
        1: "images.phash",
        2: "images.phash+text",
        4: "images.phash",
    }


def test_the_laws_with_references(reference):
    for by in ("sha256", "phash", "phash+text"):
        check_stage(Images(by=by, against=(reference,)), pairs(A, B, C, C))
    assert Images(against=(reference,)).digest() != Images().digest()


def test_100_000_equal_images(runs, tmp_path, monkeypatch, hashes):
    """Nothing is quadratic: with texts of their own they share every band and are never compared."""
    count = 100_000
    texts = [f"text {number}" for number in range(count)]
    docs = pages([[image(b"\1" * 8)]] * count, texts)
    path = write_dataset(tmp_path / "docs", docs)
    assert len(runs(Images(distance=3), [path]).kept) == 1
    assert not dropped(runs(Images(by="phash+text", distance=3), [path]))


def test_buckets_change_nothing(runs, tmp_path, hashes, monkeypatch):
    values = np.random.default_rng(3).integers(0, 400, 600).tolist()
    path = write_dataset(tmp_path / "docs", pairs(*hashes(*values)))
    whole = runs(Images(), [path])
    monkeypatch.setattr(numbering, "BUCKET_ROWS", 50)
    assert dropped(runs(Images(), [path])) == dropped(whole)
    assert len(whole.kept) == len(set(values))


def test_any_number_of_workers_writes_the_same_bytes(tmp_path):
    docs = pairs(*[picture(number % 5) for number in range(20)])
    path = write_dataset(tmp_path / "docs", docs.slice(0, 7), docs.slice(7))
    parts = []
    for workers in (1, 2):
        options = Options(workers=workers)
        dataset = run(Images(distance=4), path, str(tmp_path / f"{workers}"), options=options)
        parts.append([(part.rows, part.sha256) for part in (*dataset.parts, *dataset.rejects)])
    assert parts[0] == parts[1]
    assert sum(rows for rows, _ in parts[0][:2]) == 5


def test_wrong_settings_are_the_users_error():
    for given, error in (
        ({"distance": 17}, "distance is 17"),
        ({"distance": -1}, "distance is -1"),
        ({"by": "sha256", "distance": 1}, "a sha256 is the same or not"),
        ({"keep": "largst"}, "keep is 'largst'"),
        ({"by": "dhash"}, "by wants one of sha256, phash, phash\\+text"),
    ):
        with pytest.raises(UsageError, match=error):
            settings.from_mapping(Images, given, "dedup.images")


def test_input_without_images_is_the_users_error(runs, tmp_path):
    plain = write_dataset(tmp_path / "plain", documents(["a"]))
    docs = write_dataset(tmp_path / "docs", pairs(A))
    for against, sources in (((), [plain]), ((plain,), [docs])):
        with pytest.raises(InputError, match="plain has no images"):
            runs(Images(against=against), sources)
    bare = write_dataset(tmp_path / "bare", pairs(None, None))
    with pytest.raises(InputError, match="not one of the 2 images of the documents"):
        runs(Images(), [bare])
    with pytest.raises(InputError, match="not one of the 2 images of the references"):
        runs(Images(against=(bare,)), [docs])
    with pytest.raises(UsageError, match="no signal 'clip'"):
        runs(Images(keep="best:clip"), [docs])
    with pytest.raises(DoesNotFit):
        runs(Images(memory=10), [docs])


def test_on_the_command_line(tmp_path):
    path = write_dataset(tmp_path / "docs", pairs(A, A_AGAIN, B))
    target = tmp_path / "target"
    given = ["dedup", "images", "-j1", "--by", "phash", "--distance", "4", path, str(target), "--json"]
    result = CliRunner().invoke(command, given)
    assert result.exit_code == 0, result.stderr
    assert Dataset(str(target)).table(["text"])["text"].to_pylist() == ["text 0", "text 2"]


def test_real_images_by_their_bytes(runs, tmp_path, data):
    found = [path.read_bytes() for path in sorted((data / "images").rglob("*")) if path.is_file()]
    path = write_dataset(tmp_path / "docs", pairs(*found))
    assert len(runs(Images(by="sha256"), [path]).kept) == len(set(found))
