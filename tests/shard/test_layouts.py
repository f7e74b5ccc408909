"""`shard layouts`: each layout read as its trainer reads it; the same bytes on any number of workers."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from PIL import Image
from tinygpt import losses

from corpuskit.dataset import Dataset
from corpuskit.document import IMAGES
from corpuskit.engine import Options, run
from corpuskit.errors import UsageError
from corpuskit.kernels.palette import find_palette, nearest_colours
from corpuskit.shard.interleaving import from_sequence
from corpuskit.shard.layout.bert import SPECIALS, pairs_of
from corpuskit.shard.layout.imagefolder import folder_name
from corpuskit.shard.layout.text import SEPARATOR
from corpuskit.shard.layouts import Layouts
from corpuskit.testing import check_stage, documents, write_dataset

ONE = Options(workers=1)
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What torchvision.datasets.folder takes for an image."""
WORDS = ("the", "cat", "dog", "sat", "ran", "on", "under", "a", "mat", "hill", "then", "it", "slept", "rain")


def name_of(number: int) -> str:
    return hashlib.blake2b(b"%d" % number, digest_size=16).hexdigest()


def story(number: int) -> str:
    draw = np.random.default_rng(number)
    sentences = [" ".join(draw.choice(list(WORDS), 6)).capitalize() + "." for _ in range(5 + number % 3)]
    return "\n".join([" ".join(sentences[:3]), "", " ".join(sentences[3:])])


def texts(count: int) -> pa.RecordBatch:
    numbers = range(count)
    return documents(
        [story(number) for number in numbers],
        id=[name_of(number) for number in numbers],
        url=[f"https://pages.example/{number}" for number in numbers],
        score=[number / 8 if number % 5 else float("nan") for number in numbers],
    )


def picture(number: int, kind: str = "JPEG") -> dict[str, Any]:
    draw = np.random.default_rng(number)
    file = io.BytesIO()
    pixels = draw.integers(0, 256, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    Image.fromarray(pixels).save(file, kind)
    data = file.getvalue()
    return {"offset": 0, "url": f"https://a.example/{number}", "bytes": data, "sha256": b"\x01" * 32}


FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


def pictured(count: int) -> pa.RecordBatch:
    images = [[picture(number, FORMATS[number % 4])] for number in range(count)]
    return texts(count).append_column(IMAGES, pa.array(images, IMAGES.type))


def with_images(rows: list[list[dict[str, Any]] | None], **columns: Any) -> pa.RecordBatch:
    made = documents([f"text {number}" for number in range(len(rows))], **columns)
    return made.append_column(IMAGES, pa.array(rows, IMAGES.type))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    batch = texts(90)
    return write_dataset(tmp_path_factory.mktemp("texts") / "in", batch.slice(0, 50), batch.slice(50))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    batch = pictured(24).append_column("kind", pa.array(["cat", "dog", "a/../b", "猫"] * 6))
    return write_dataset(tmp_path_factory.mktemp("images") / "in", batch.slice(0, 15), batch.slice(15))


def write(source: str, layout: str, **settings: Any) -> Dataset:
    target = Path(source).parent / "-".join([layout, *map(str, settings.values())]).replace("/", "_")
    return run(Layouts(layout, **settings), source, str(target), options=ONE)


def made(tmp_path: Path, batch: pa.RecordBatch, layout: str, **settings: Any) -> Dataset:
    where, options = write_dataset(tmp_path / "in", batch), Options(workers=1, max_bad=1)
    return run(Layouts(layout, **settings), where, str(tmp_path / "out"), options=options)


def rules(dataset: Dataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for batch in dataset.reject_batches():
        for row in batch.to_pylist():
            assert row["stage"] == "shard.layouts"
            found.setdefault(row["rule"], []).append(row["id"])
    return {rule: sorted(ids) for rule, ids in found.items()}


def held(dataset: Dataset) -> set[str]:
    """Return the ids held out."""
    marks = ("val", "data/validation", "images_va")
    return {row["id"] for row in dataset.table().to_pylist() if row["file"].startswith(marks)}


def content(dataset: Dataset) -> dict[str, bytes]:
    paths = [file.path for file in dataset.files] + [part.path for part in dataset.parts]
    return {path: Path(dataset.path, path).read_bytes() for path in [*paths, "README.md"]}


def lines_of(dataset: Dataset, name: str) -> list[bytes]:
    return Path(dataset.path, name).read_bytes().splitlines()


# --- all layouts -----------------------------------------------------------------------------------------


def test_every_layout_holds_out_the_same_documents(source: str, images: str) -> None:
    found = {layout: held(write(source, layout, val=0.1)) for layout in ("bert", "mingpt", "jsonl")}
    assert len(set(map(frozenset, found.values()))) == 1
    assert 2 <= len(found["bert"]) <= 20  # 9 of 90
    more = held(write(source, "jsonl", val=0.3))
    assert found["jsonl"] < more
    other = held(write(source, "jsonl", val=0.1, seed=1))
    assert other and other != found["jsonl"]
    assert held(write(images, "kosmos", val=0.2)) == held(write(images, "jsonl", val=0.2))
    assert not held(write(source, "jsonl"))


@pytest.mark.parametrize("layout", ["bert", "imagefolder", "igpt"])
def test_same_bytes_on_two_workers_and_after_a_file_was_lost(
    source: str, images: str, layout: str, tmp_path: Path
) -> None:
    where = images if layout in ("imagefolder", "igpt") else source
    stage = Layouts(layout, val=0.1, size=3000)
    first = run(stage, where, str(tmp_path / "one"), options=ONE)
    second = run(stage, where, str(tmp_path / "two"), options=Options(workers=2))
    assert content(first) == content(second)
    assert len(first.parts) > 1
    lost = Path(second.path, second.files[-1].path)
    lost.write_bytes(b"torn")
    again = run(stage, where, second.path, options=ONE)
    assert content(again) == content(first)
    assert not list(Path(again.path).rglob(".tmp*"))
    assert not Path(again.path, "work").exists()


@pytest.mark.parametrize(
    ("layout", "more"),
    [
        ("bert", {}),
        ("mingpt", {}),
        ("jsonl", {}),
        ("hf", {}),
        ("kosmos", {}),
        ("igpt", {}),
        ("imagefolder", {"label": "url"}),
        ("chat", {"turns": ("url", "text")}),
    ],
)
def test_stage_laws(layout: str, more: dict[str, Any]) -> None:
    check_stage(Layouts(layout, **more), pictured(4))


def test_a_target_that_is_made_again_keeps_nothing_of_before(images: str, tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    run(Layouts("imagefolder", label="kind"), images, target, options=ONE)
    run(Layouts("imagefolder"), images, target, options=Options(workers=1, force=True))
    assert {path.name for path in Path(target, "train").iterdir()} == {"all"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"layout": "webdataset"}, "corpuskit shard webdataset"),
        ({"layout": "nanogpt"}, "corpuskit shard tokens"),
        ({"layout": "bret"}, "did you mean 'bert'"),
        ({"layout": "bert", "label": "kind"}, "it is for imagefolder"),
        ({"layout": "bert", "compressed": True}, "it is for kosmos, jsonl, chat"),
        ({"layout": "igpt", "pixels": 48}, "give 32 or 64"),
        ({"layout": "jsonl", "val": 1.0}, "below 1"),
        ({"layout": "jsonl", "size": 0}, "at least 1"),
    ],
)
def test_a_wrong_setting_says_how_to_mend_it(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Layouts(**given)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "more", "told"),
    [
        ("kosmos", {}, "crawl images"),
        ("igpt", {}, "crawl images"),
        ("imagefolder", {}, "crawl images"),
        ("chat", {}, "--turns"),
        ("chat", {"turns": ("text",)}, "name two"),
        ("chat", {"turns": ("text", "reply")}, "'reply'"),
        ("chat", {"turns": ("text", "score")}, "not text"),
    ],
)
def test_documents_without_what_a_layout_is_made_of(
    source: str, layout: str, more: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        run(Layouts(layout, **more), source, str(tmp_path / "out"), options=ONE)
    assert told in str(caught.value)


def test_the_card_says_how_the_files_are_read(source: str) -> None:
    text = Path(write(source, "bert", val=0.1).path, "README.md").read_text("utf-8")
    assert "bert-vocab -c DIR/train.txt" in text
    assert '- split: validation\n    path: "val.txt"' in text
    assert "the first of its lines, rows, images or bytes" in text


# --- bert ------------------------------------------------------------------------------------------------


def test_bert_pairs_sentences_as_they_come() -> None:
    cases = {
        "One. Two. Three. Four.": [("One.", "Two."), ("Three.", "Four.")],
        "One. Two. Three.": [("One.", "Two."), ("Two.", "Three.")],  # the last pair begins one before
        "One. Two.": [("One.", "Two.")],
        "Alone.": [],
        "": [],
        " \n\t ": [],
        "Tabs\tand\u2028lines\x0b\x1fgo. \r\n\n Next\n": [("Tabs and lines go.", "Next")],
        "A <mask> word. B <eos>.": [("A &lt;mask> word.", "B &lt;eos>.")],
    }
    first, second, counts = pairs_of(pa.array(cases, pa.large_string()))
    found = iter(zip(first.to_pylist(), second.to_pylist(), strict=True))
    assert [[next(found) for _ in range(count)] for count in counts] == list(cases.values())
    sliced = pa.array(["Skipped. All.", "One. Two."], pa.large_string()).slice(1)
    assert pairs_of(sliced)[0].to_pylist() == ["One."]


def test_bert_folds_what_python_divides_words_at() -> None:
    white = [chr(code) for code in range(0x3001) if chr(code).isspace()]
    text = pa.array([f"a{mark}b{mark} {mark}cat. Dog." for mark in white if mark != "\n"], pa.large_string())
    assert set(pairs_of(text)[0].to_pylist()) == {"a b cat."}
    other = "a\u200bb\u2060cat."
    assert pairs_of(pa.array([f"{other} Dog."], pa.large_string()))[0].to_pylist() == [other]


def test_bert_pytorch_reads_the_corpus_and_builds_the_same_vocabulary(source: str) -> None:
    bert = pytest.importorskip("bert_pytorch.dataset")
    dataset = write(source, "bert", val=0.1)
    path = Path(dataset.path, "train.txt")
    with path.open(encoding="utf-8") as file:
        theirs = bert.WordVocab(file)
    assert Path(dataset.path, "vocab.txt").read_text("utf-8").split("\n")[:-1] == theirs.itos
    read = bert.BERTDataset(str(path), theirs, seq_len=24)
    assert len(read) == len(lines_of(dataset, "train.txt"))
    assert theirs.unk_index not in {int(token) for token in read[3]["bert_label"]}
    first, last = losses(theirs.to_seq(path.read_text("utf-8")), len(theirs))
    assert last < 0.9 * first


def test_bert_files_and_index(source: str) -> None:
    dataset = write(source, "bert", val=0.1)
    lines = {name: lines_of(dataset, name) for name in ("train.txt", "val.txt")}
    stories = {row["id"]: row["text"] for row in Dataset(source).table().to_pylist()}
    assert all(line.count(b" \t ") == 1 for found in lines.values() for line in found)
    rows = dataset.table().to_pylist()
    for name in lines:
        ours = sorted((row for row in rows if row["file"] == name), key=lambda row: row["place"])
        assert [row["place"] for row in ours] == np.cumsum([0, *(row["count"] for row in ours)])[:-1].tolist()
        assert sum(row["count"] for row in ours) == len(lines[name])
    row = rows[17]
    said = lines[row["file"]][row["place"]].decode().split(" \t ")
    assert " ".join(stories[row["id"]].split()).startswith(" ".join(said))
    words = Counter(b" ".join(lines["train.txt"]).decode().split())
    want = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))]
    assert lines_of(dataset, "vocab.txt") == [word.encode() for word in (*SPECIALS, *want)]
    assert dataset.manifest["stages"][0]["facts"] == {"pairs": sum(map(len, lines.values()))}


def test_bert_rejects_a_text_of_one_sentence(tmp_path: Path) -> None:
    dataset = made(tmp_path, documents(["One. Two.", "Alone.", ""]), "bert", val=0.0)
    assert rules(dataset) == {"layouts.one_sentence": [f"{1:032x}", f"{2:032x}"]}
    assert [file.path for file in dataset.files] == ["train.txt", "vocab.txt"]


# --- mingpt ----------------------------------------------------------------------------------------------


def test_mingpt_is_one_text_that_divides_into_the_documents(source: str) -> None:
    dataset = write(source, "mingpt", val=0.1)
    want = {row["id"]: row["text"] for row in Dataset(source).table().to_pylist()}
    found = []
    for name in ("input.txt", "val.txt"):
        data = Path(dataset.path, name).read_bytes()
        found += data.decode().split(SEPARATOR)[:-1]
        for row in dataset.table().to_pylist():
            if row["file"] == name:
                assert data[row["place"] :][: row["count"]].decode() == want[row["id"]]
    assert sorted(found) == sorted(want.values())


def test_mingpt_trains_on_its_characters(source: str) -> None:
    text = Path(write(source, "mingpt", val=0.1).path, "input.txt").read_text("utf-8")
    numbers = {char: number for number, char in enumerate(sorted(set(text)))}
    first, last = losses([numbers[char] for char in text], len(numbers))
    assert last < 0.8 * first


def test_mingpt_separator_cannot_be_forged_and_blank_texts_go(tmp_path: Path) -> None:
    batch = documents(["a<|endoftext|>b", "\n<|endoftext|>\n", " \u3000\n", "last"])
    dataset = made(tmp_path, batch, "mingpt", val=0.0)
    text = Path(dataset.path, "input.txt").read_text("utf-8")
    assert sorted(text.split(SEPARATOR)[:-1]) == ["\n&lt;|endoftext|>\n", "a&lt;|endoftext|>b", "last"]
    assert rules(dataset) == {"layouts.blank": [f"{2:032x}"]}


# --- hf, jsonl, chat ---------------------------------------------------------------------------------------


def test_hf_is_a_folder_that_load_dataset_reads(
    images: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    dataset = write(images, "hf", val=0.1, size=20_000)
    names = sorted(file.path for file in dataset.files)
    train = [name for name in names if name.startswith("data/train-")]
    assert len(train) > 1
    assert train == [f"data/train-{number:05d}-of-{len(train):05d}.parquet" for number in range(len(train))]
    found = datasets.load_dataset(dataset.path, cache_dir=str(tmp_path))
    assert set(found) == {"train", "validation"}
    want = {row["id"]: row for row in Dataset(images).table().to_pylist()}
    rows = [row for split in found.values() for row in split.with_format("arrow")[:].to_pylist()]
    assert {row["id"]: {**row, "score": None} for row in rows} == {
        name: {**row, "score": None} for name, row in want.items()
    }
    info = datasets.load_dataset_builder(dataset.path, cache_dir=str(tmp_path)).info
    assert info.features == datasets.Features.from_arrow_schema(Dataset(images).schema)
    assert info.splits["train"].num_examples == found["train"].num_rows
    place = next(row for row in dataset.table().to_pylist() if row["file"] == train[1])
    assert pa.parquet.read_table(Path(dataset.path, train[1]))["id"][place["place"]].as_py() == place["id"]


def test_jsonl_holds_every_column_of_every_document(images: str) -> None:
    plain, packed = write(images, "jsonl", val=0.2), write(images, "jsonl", val=0.2, compressed=True)
    want = {row["id"]: row for row in Dataset(images).table().to_pylist()}
    places = {(row["file"], row["place"]): row["id"] for row in plain.table().to_pylist()}
    assert len(places) == len(want)
    for (name, place), found in places.items():
        row = json.loads(lines_of(plain, name)[place])
        assert row["id"] == found
        assert list(row) == list(want[found])
        assert row["text"] == want[found]["text"] and row["kind"] == want[found]["kind"]
        assert row["score"] is None or row["score"] == want[found]["score"]
        assert base64.b64decode(row["images"][0]["bytes"]) == want[found]["images"][0]["bytes"]
        assert row["images"][0]["sha256"] == "01" * 32
    for file in packed.files:
        data = (
            zstandard.ZstdDecompressor().decompressobj().decompress(Path(packed.path, file.path).read_bytes())
        )
        assert data == Path(plain.path, file.path.removesuffix(".zst")).read_bytes()


def test_chat_from_a_known_pair_from_named_columns_and_from_messages(tmp_path: Path) -> None:
    batch = documents(
        ["a", "b", "c", "d"], question=["q1", "q2", None, " "], answer=["a1", "\ta\n2", "a3", "a4"]
    )
    dataset = made(tmp_path, batch, "chat")
    found = [json.loads(line) for line in lines_of(dataset, "train-00000.jsonl")]
    told = [[turn["role"] for turn in row["messages"]] for row in found]
    assert told == [["user", "assistant"]] * 2
    assert sorted(row["messages"][1]["content"] for row in found) == ["\ta\n2", "a1"]
    assert rules(dataset) == {"layouts.no_turn": [f"{2:032x}", f"{3:032x}"]}
    named = made(tmp_path / "named", batch, "chat", turns=("text", "answer"))
    assert named.rows == 4
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    turns = [[("system", "s"), ("user", "u"), ("assistant", "a")], [("user", "u")], None, [("user", None)]]
    values = pa.array([one and [{"role": r, "content": c} for r, c in one] for one in turns], kind)
    many = made(tmp_path / "many", batch.append_column("messages", values), "chat")
    (row,) = [json.loads(line) for line in lines_of(many, "train-00000.jsonl")]
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]


@pytest.mark.parametrize("layout", ["jsonl", "chat"])
def test_load_dataset_and_a_gpt_read_json_lines(
    source: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    more = {"turns": ("url", "text")} if layout == "chat" else {}
    dataset = write(source, layout, val=0.1, **more)
    found = datasets.load_dataset(dataset.path, cache_dir=str(tmp_path))
    assert sum(split.num_rows for split in found.values()) == 90
    said = [row["messages"][1]["content"] if more else row["text"] for row in found["train"]]
    first, last = losses(np.frombuffer("\0".join(said).encode(), np.uint8), 256)
    assert last < 0.8 * first


# --- kosmos ------------------------------------------------------------------------------------------------


def test_kosmos_sequences_give_their_documents_back(tmp_path: Path) -> None:
    one, two = picture(1), picture(2)
    rows = [
        [one | {"offset": 5}, two | {"offset": 0}],
        [one | {"offset": 2}, two | {"bytes": None}],  # one has no bytes: it is left out
        [],
        None,
        [one | {"bytes": None}],
        [one | {"offset": 77}],
        [one | {"offset": None}],
        [one | {"bytes": b"\xff\xd8\xff no image"}],
    ]
    dataset = made(tmp_path, with_images(rows), "kosmos")
    found = {row["id"]: row for row in map(json.loads, lines_of(dataset, "train-00000.jsonl"))}
    assert sorted(found) == [f"{number:032x}" for number in range(4)]
    both = found[f"{0:032x}"]
    assert both["text"] == "<s> <image> 0 </image> text  <image> 1 </image> 0 </s>"
    assert [base64.b64decode(data) for data in both["images"]] == [two["bytes"], one["bytes"]]
    assert from_sequence(both["text"], [{}, {}])[0] == "text 0"
    assert found[f"{1:032x}"]["text"].count("<image>") == len(found[f"{1:032x}"]["images"]) == 1
    assert found[f"{3:032x}"] == {"id": f"{3:032x}", "text": "<s> text 3 </s>", "images": []}
    assert rules(dataset) == {
        "layouts.no_image": [f"{4:032x}"],
        "layouts.bad_offset": [f"{5:032x}", f"{6:032x}"],
        "layouts.bad_image": [f"{7:032x}"],
    }


def test_a_gpt_trains_on_kosmos_sequences(images: str) -> None:
    dataset = write(images, "kosmos", val=0.2)
    said = "".join(json.loads(line)["text"] for line in lines_of(dataset, "train-00000.jsonl"))
    first, last = losses(np.frombuffer(said.encode(), np.uint8), 256)
    assert last < 0.8 * first


# --- imagefolder -------------------------------------------------------------------------------------------


def image_folder(root: Path) -> tuple[list[str], list[tuple[Path, int]]]:
    """Read a folder by the rules of torchvision.datasets.folder: sorted classes, none of them empty."""
    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    samples = [
        (path, number)
        for number, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.name.lower().endswith(EXTENSIONS)
    ]
    assert {number for _, number in samples} == set(range(len(classes)))
    for path, _ in samples:
        with path.open("rb") as file, Image.open(file) as image:
            image.convert("RGB")
    return classes, samples


def test_imagefolder_has_the_same_classes_to_train_and_held_out(images: str) -> None:
    dataset = write(images, "imagefolder", label="kind", val=0.02)
    want = {row["id"]: row for row in Dataset(images).table().to_pylist()}
    classes, samples = image_folder(Path(dataset.path, "train"))
    held_classes, held_samples = image_folder(Path(dataset.path, "val"))
    assert classes == held_classes == sorted(["cat", "dog", "a%2F..%2Fb", "猫"])
    assert len(samples) + len(held_samples) == 24 == len(dataset.files)
    for row in dataset.table().to_pylist():
        path = Path(dataset.path, row["file"])
        told = want[row["id"]]
        assert path.parent.name == folder_name(told["kind"])
        data = told["images"][0]["bytes"]
        if data.startswith(b"GIF"):
            assert path.suffix == ".png"
            assert Image.open(path).tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()
        else:
            assert path.read_bytes() == data
    one = write(images, "imagefolder", val=0.1)
    assert image_folder(Path(one.path, "train"))[0] == ["all"]


def test_imagefolder_rejects(tmp_path: Path) -> None:
    good, bare = picture(1), picture(2) | {"bytes": None}
    broken = picture(3) | {"bytes": picture(3)["bytes"][:300]}
    rows = [[good], [bare], None, [broken], [good, bare, picture(4, "PNG")], [good], [good], [good]]
    labels = ["x", "x", "x", "x", "x", None, " ", "y" * 201]
    dataset = made(tmp_path, with_images(rows, kind=labels), "imagefolder", label="kind", val=0.0)
    numbers = {rule: [int(name, 16) for name in ids] for rule, ids in rules(dataset).items()}
    assert numbers == {
        "layouts.no_image": [1, 2],
        "layouts.bad_image": [3],
        "layouts.no_label": [5, 6],
        "layouts.long_label": [7],
    }
    several = [row for row in dataset.table().to_pylist() if row["count"] == 2]
    assert [row["file"] for row in several] == [f"train/x/{4:032x}.0.jpg"]
    assert Path(dataset.path, f"train/x/{4:032x}.1.png").read_bytes() == picture(4, "PNG")["bytes"]


@pytest.mark.parametrize(
    "label", ["..", ".", "../../etc", "/etc", "a\\b", "nul\0", ".hidden", "end.", "100%", "a\nb", "CON:", "~"]
)
def test_a_class_never_leaves_its_folder(label: str, tmp_path: Path) -> None:
    name = folder_name(label)
    assert (tmp_path / name).resolve().parent == tmp_path
    (tmp_path / name).mkdir()
    assert not name.startswith(".") and name.isprintable()


def test_two_classes_have_two_folders() -> None:
    labels = ["a/b", "a%2Fb", "a%252Fb", ".a", "%2Ea", "a", "a.", "a%2E", "a "]
    assert len({folder_name(label) for label in labels}) == len(labels)


# --- igpt --------------------------------------------------------------------------------------------------


def quantized(pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Do as image-gpt's `color_quantize` does."""
    x = pixels.reshape(-1, 3) / 127.5 - 1
    distances = (x**2).sum(1)[:, None] - 2 * x @ palette.T + (palette**2).sum(1)
    return np.argmin(distances, 1)


def test_igpt_sequences_are_the_nearest_colours_of_the_middle_square(images: str) -> None:
    dataset = write(images, "igpt", val=0.2)
    folder = Path(dataset.path)
    palette = np.load(folder / "kmeans_centers.npy")
    assert palette.shape == (512, 3) and palette.dtype == np.float32
    assert np.abs(palette).max() <= 1
    arrays = {name: np.load(folder / name) for name in ("images_trX.npy", "images_vaX.npy")}
    assert sum(map(len, arrays.values())) == 24
    want = {row["id"]: row["images"][0]["bytes"] for row in Dataset(images).table().to_pylist()}
    for row in dataset.table().to_pylist():
        sequence = arrays[row["file"]][row["place"]]
        assert sequence.dtype == np.uint16 and sequence.shape == (1024,)
        image = Image.open(io.BytesIO(want[row["id"]])).convert("RGB")
        side = min(image.size)
        middle = image.crop(((image.width - side) // 2, 0, (image.width + side) // 2, side))
        pixels = np.asarray(middle.resize((32, 32), Image.Resampling.BICUBIC))
        assert np.array_equal(sequence, quantized(pixels, palette.astype(np.float64)))
        seen = np.rint(127.5 * (palette[sequence] + 1)).reshape(32, 32, 3)
        assert np.abs(seen - pixels).mean() < 12
    first, last = losses(arrays["images_trX.npy"].reshape(-1), 512)
    assert last < first


def test_igpt_takes_a_palette_that_is_given(images: str, tmp_path: Path) -> None:
    colours = np.array([[-1, -1, -1], [1, 1, 1]], np.float32)
    np.save(tmp_path / "two.npy", colours)
    stage = Layouts("igpt", palette=str(tmp_path / "two.npy"), pixels=64)
    dataset = run(stage, images, str(tmp_path / "out"), options=ONE)
    assert np.array_equal(np.load(Path(dataset.path, "kmeans_centers.npy")), colours)
    found = np.load(Path(dataset.path, "images_trX.npy"))
    assert found.shape[1] == 4096 and set(np.unique(found)) == {0, 1}
    np.save(tmp_path / "other.npy", colours[::-1])
    assert Layouts("igpt", palette=str(tmp_path / "other.npy")).digest() != stage.digest()
    for name, value in {"shape.npy": np.zeros((3, 4)), "object.npy": np.array([{}], object)}.items():
        np.save(tmp_path / name, value, allow_pickle=True)
        with pytest.raises(UsageError, match="is no palette"):
            Layouts("igpt", palette=str(tmp_path / name)).content()


def test_igpt_rejects_what_cannot_be_decoded(tmp_path: Path) -> None:
    rows = [[picture(1), picture(2)], [picture(3) | {"bytes": b"GIF89a"}], None]
    dataset = made(tmp_path, with_images(rows), "igpt", val=0.0)
    assert rules(dataset) == {"layouts.bad_image": [f"{1:032x}"], "layouts.no_image": [f"{2:032x}"]}
    assert dataset.table().to_pylist() == [
        {"id": f"{0:032x}", "file": "images_trX.npy", "place": 0, "count": 2}
    ]
    assert np.load(Path(dataset.path, "images_trX.npy")).shape == (2, 1024)


def test_k_means_does_no_worse_than_scikit_learns() -> None:
    from sklearn.cluster import KMeans

    draw = np.random.default_rng(0)
    middles = draw.integers(0, 256, (12, 3))
    pixels = np.clip(middles[draw.integers(0, 12, 1500)] + draw.normal(0, 12, (1500, 3)), 0, 255).astype(
        np.uint8
    )
    ours = find_palette(pixels, draw.random(16))
    scaled = pixels / 127.5 - 1
    error = ((scaled - ours[nearest_colours(pixels, ours)]) ** 2).sum()
    assert error < 1.15 * KMeans(16, n_init=1, random_state=0).fit(scaled).inertia_
