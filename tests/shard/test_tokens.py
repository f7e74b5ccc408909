"""`shard tokens`: every layout gives the documents back, to its own package too; same run, same bytes."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.dataset import Dataset
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.shard.layouts import Layouts
from corpuskit.shard.tokenfiles import LAYOUTS, TRAIN, VAL
from corpuskit.shard.tokenfiles.encode import COUNTS, held_out
from corpuskit.shard.tokenfiles.place import laid_out
from corpuskit.shard.tokenizers import load
from corpuskit.shard.tokens import Tokens
from corpuskit.testing import check_stage, documents, write_dataset

ONE = Options(workers=1)
END = 256
"""The end of text of `bytes`."""
ODD = ["", "naïve 画像 🙂", "<|endoftext|>", "a\x00b\r\n", " ", "", "one\n" * 200]
RAW = ("nanogpt", "llmc", "megatron", "npy")


def batch(count: int, first: int = 0) -> pa.RecordBatch:
    numbers = range(first, first + count)
    texts = [ODD[n % len(ODD)] if n % 3 == 0 else f"Document {n} says {n * n}. " * (n % 9) for n in numbers]
    ids = [hashlib.blake2b(b"%d" % n, digest_size=16).hexdigest() for n in numbers]
    return documents(texts, id=ids, origin=[f"test.warc@{n}" for n in numbers])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokens") / "documents"
    return write_dataset(folder, batch(70), batch(3, 70), batch(54, 73))


@pytest.fixture(scope="module")
def written(source: str) -> Callable[..., Dataset]:
    """Write the source in a layout, once a test run."""
    made: dict[str, Dataset] = {}

    def write(layout: str, tokens: int | None = None) -> Dataset:
        name = f"{layout}-{tokens}"
        if name not in made:
            stage = Tokens("bytes", layout, val=0.2, shard_tokens=tokens)  # type: ignore[arg-type]
            made[name] = run(stage, source, str(Path(source).parent / name), options=ONE)
        return made[name]

    return write


def texts(source: str) -> dict[str, str]:
    """Return the text of each document that has a token, in plan order."""
    table = Dataset(source).table(["id", "text"])
    pairs = zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
    return {name: text for name, text in pairs if text}


def contents(dataset: Dataset) -> dict[str, bytes]:
    files = (path for path in Path(dataset.path).rglob("*") if path.is_file() and "done" not in path.parts)
    skipped = ("plan.json", "manifest.json", ".lock")
    return {
        str(path.relative_to(dataset.path)): path.read_bytes() for path in files if path.name not in skipped
    }


def llmc_tokens(path: Path) -> npt.NDArray[Any]:
    """Read a shard as modded-nanogpt and llm.c do."""
    header = np.fromfile(path, np.int32, 256)
    assert header[:2].tolist() == [20240520, 1]
    assert not header[3:].any()
    tokens = np.fromfile(path, np.uint16, offset=256 * 4)
    assert len(tokens) == header[2]
    return tokens


def megatron_documents(prefix: Path) -> Iterator[npt.NDArray[Any]]:
    """Read a pair as Megatron-LM's IndexedDataset does."""
    index, tokens = prefix.with_suffix(".idx").read_bytes(), prefix.with_suffix(".bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, ends = struct.unpack("<QBQQ", index[9:34])
    assert (version, code) == (1, 8)
    sizes = np.frombuffer(index, np.int32, sequences, 34)
    pointers = np.frombuffer(index, np.int64, sequences, 34 + sizes.nbytes)
    firsts = np.frombuffer(index, np.int64, ends, 34 + sizes.nbytes + pointers.nbytes)
    assert len(index) == 34 + sizes.nbytes + pointers.nbytes + firsts.nbytes
    assert firsts.tolist() == list(range(sequences + 1))
    for size, pointer in zip(sizes, pointers, strict=True):
        yield np.frombuffer(tokens, np.uint16, size, pointer)


def split_tokens(dataset: Dataset, split: str) -> npt.NDArray[Any]:
    """Read all tokens of a split, each layout in its own way."""
    folder = Path(dataset.path)
    layout = json.loads((folder / "meta.json").read_text("utf-8"))["layout"]
    if layout == "nanogpt":
        return np.memmap(folder / f"{split}.bin", np.uint16, mode="r")
    if layout == "llmc":
        return np.concatenate([llmc_tokens(path) for path in sorted(folder.glob(f"{split}_*.bin"))])
    if layout == "megatron":
        return np.concatenate([*megatron_documents(folder / split)])
    return np.concatenate([np.load(path) for path in sorted(folder.glob(f"{split}_*.npy"))])


@pytest.mark.parametrize("layout", RAW)
def test_tokens_decode_to_the_documents_in_plan_order(
    source: str, written: Callable[..., Dataset], layout: str
) -> None:
    dataset, want = written(layout), texts(source)
    held = dict(zip(want, held_out(0.2, 0, pa.array([*want])).tolist(), strict=True))
    for split in (TRAIN, VAL):
        mine = [want[name] for name in want if held[name] == (split == VAL)]
        found = split_tokens(dataset, split)
        ends = np.flatnonzero(found == END)
        runs = np.split(found, ends) if layout == "llmc" else np.split(found, ends + 1)
        said = [run[run != END] for run in runs if len(run)]
        assert [load("bytes").decode(run) for run in said] == mine
        assert found[0 if layout == "llmc" else -1] == END
        assert len(ends) == len(mine) > 5


def test_real_texts_come_back_from_gpt2s_vocabulary(data: Path, tmp_path: Path) -> None:
    with gzip.open(
        data / "text" / "c4" / "c4-sample.00000-of-00001.json.gz", "rt", encoding="utf-8"
    ) as lines:
        said = [json.loads(line)["text"] for line in lines]
    others = documents(said[600:], id=[f"other{number}" for number in range(400)])
    docs = write_dataset(tmp_path / "in", documents(said[:600]), others)
    vocabulary = str(data / "tokenizers" / "gpt2")
    dataset = run(Tokens(vocabulary, val=0.0), docs, str(tmp_path / "out"), options=ONE)
    found = split_tokens(dataset, TRAIN)
    ends = np.flatnonzero(found == 50256)
    decoded = [load(vocabulary).decode(run) for run in np.split(found, ends + 1)[:-1]]
    assert decoded == [f"{text}<|endoftext|>" for text in said]
    assert ends[-1] == len(found) - 1


@pytest.mark.parametrize(
    ("layout", "tokens"), [("nanogpt", None), ("llmc", 500), ("megatron", 700), ("npy", 500)]
)
def test_the_index_says_where_each_document_lies(
    source: str, written: Callable[..., Dataset], layout: str, tokens: int | None
) -> None:
    dataset, want = written(layout, tokens), texts(source)
    rows = dataset.table().to_pylist()
    assert sorted(row["id"] for row in rows) == sorted(want)
    for row in rows:
        path = Path(dataset.path, row["file"])
        assert row["file"].startswith(row["split"])
        if layout == "llmc":  # a document may go on in the next file
            places = sorted(path.parent.glob(f"{row['split']}_*.bin"))
            found = np.concatenate([llmc_tokens(one) for one in places[places.index(path) :]])
        else:
            found = np.load(path) if layout == "npy" else np.fromfile(path, np.uint16)
        start, stop = row["position"], row["position"] + row["tokens"]
        assert load("bytes").decode(found[start:stop]) == want[row["id"]]
        if layout != "llmc":
            assert found[stop] == END


def test_llmc_files_have_exactly_so_many_tokens(written: Callable[..., Dataset]) -> None:
    dataset = written("llmc", 500)
    sizes = [len(llmc_tokens(path)) for path in sorted(Path(dataset.path).glob("train_*.bin"))]
    assert len(sizes) > 3
    assert set(sizes[:-1]) == {500}
    assert 0 < sizes[-1] <= 500
    whole = split_tokens(written("llmc"), TRAIN)
    assert split_tokens(dataset, TRAIN).tolist() == whole.tolist()


def test_npy_offsets_cut_the_tokens_into_documents(written: Callable[..., Dataset]) -> None:
    folder = Path(written("npy", 500).path)
    names = sorted(path.name for path in folder.glob("train_*.npy"))
    assert names == [f"train_{number:06d}.npy" for number in range(len(names))]
    for name in names:
        tokens, offsets = np.load(folder / name), np.load(folder / f"offsets_{name}", mmap_mode="r")
        assert (tokens.dtype, offsets.dtype, offsets[0], offsets[-1]) == (np.uint16, np.int64, 0, len(tokens))
        assert (tokens[offsets[1:] - 1] == END).all()
        assert (tokens == END).sum() == len(offsets) - 1


def test_meta_says_how_to_read_them(source: str, written: Callable[..., Dataset]) -> None:
    meta = json.loads(Path(written("llmc", 500).path, "meta.json").read_text("utf-8"))
    assert meta["dtype"] == "uint16"
    assert (meta["vocabulary"], meta["end_of_text"], meta["end_of_text_stands"]) == (257, END, "before")
    assert meta["tokenizer"] == load("bytes").digest
    assert sum(told["documents"] for told in meta["splits"].values()) == len(texts(source))
    assert meta["splits"]["train"]["tokens"] == len(split_tokens(written("llmc"), TRAIN))
    assert meta["splits"]["train"]["files"] == len(list(Path(written("llmc", 500).path).glob("train_*")))


def test_a_document_without_tokens_is_rejected_once(source: str, written: Callable[..., Dataset]) -> None:
    empty = [row for row in Dataset(source).table(["id", "text"]).to_pylist() if not row["text"]]
    assert len(empty) > 5
    for dataset in (written("nanogpt"), written("llmc", 500), written("npy", 500)):
        rejects = pa.Table.from_batches(dataset.reject_batches()).to_pylist()
        assert sorted(row["id"] for row in rejects) == sorted(row["id"] for row in empty)
        assert {(row["stage"], row["rule"]) for row in rejects} == {("shard.tokens", "tokens.empty")}
        assert all(row["origin"] for row in rejects)
        assert dataset.manifest["stages"][0]["rows_in"] == Dataset(source).rows


@pytest.mark.parametrize("layout", ["nanogpt", "llmc", "npy"])
def test_nothing_but_empty_documents_writes_no_file(tmp_path: Path, layout: Any) -> None:
    docs = write_dataset(tmp_path / "in", documents(["", ""]))
    dataset = run(Tokens("bytes", layout), docs, str(tmp_path / "out"), options=ONE)
    assert [file.path for file in dataset.files] == ["meta.json"]
    assert dataset.rows == 0
    assert sum(len(one) for one in dataset.reject_batches()) == 2
    assert dataset.manifest["stages"][0]["facts"]["train tokens"] == 0


def test_a_large_vocabulary_is_stored_in_four_bytes_or_refused(source: str, tmp_path: Path) -> None:
    path = tokenizer(tmp_path, {"<|endoftext|>": 70_000})
    dataset = run(Tokens(path, "npy"), source, str(tmp_path / "npy"), options=ONE)
    found = split_tokens(dataset, TRAIN)
    assert found.dtype == np.uint32
    assert (found == 70_000).sum() == dataset.manifest["stages"][0]["facts"]["train documents"]
    assert json.loads(Path(dataset.path, "meta.json").read_text("utf-8"))["dtype"] == "uint32"
    with pytest.raises(UsageError, match="llmc stores tokens in 16 bits, and the vocabulary has 70,001"):
        run(Tokens(path, "llmc"), source, str(tmp_path / "llmc"), options=ONE)
    assert not (tmp_path / "llmc" / "plan.json").exists()


@pytest.mark.parametrize(
    ("name", "size", "dtype"),
    [
        ("nanogpt", 65_536, "uint16"),
        ("nanogpt", 65_537, "uint32"),
        ("llmc", 65_536, "uint16"),
        ("megatron", 65_499, "uint16"),
        ("megatron", 65_500, "int32"),
        ("mds", 257, "int32"),
    ],
)
def test_the_type_of_a_token_follows_from_the_vocabulary(name: str, size: int, dtype: str) -> None:
    assert LAYOUTS[name].dtype(size).name == dtype


def test_megatron_stores_a_large_vocabulary_as_int32(source: str, tmp_path: Path) -> None:
    path = tokenizer(tmp_path, {"<|endoftext|>": 65_499})
    dataset = run(Tokens(path, "megatron", val=0.0), source, str(tmp_path / "out"), options=ONE)
    index = Path(dataset.path, "train.idx").read_bytes()
    assert index[17] == 4
    sizes = np.frombuffer(index, np.int32, struct.unpack("<Q", index[18:26])[0], 34)
    pointers = np.frombuffer(index, np.int64, len(sizes), 34 + sizes.nbytes)
    assert pointers.tolist() == (4 * (np.cumsum(sizes) - sizes)).tolist()
    assert (np.fromfile(Path(dataset.path, "train.bin"), np.int32)[np.cumsum(sizes) - 1] == 65_499).all()


def test_one_and_two_workers_write_the_same_bytes_and_a_lost_file_is_written_again(
    source: str, written: Callable[..., Dataset], tmp_path: Path
) -> None:
    stage, want = Tokens("bytes", "llmc", val=0.2, shard_tokens=500), contents(written("llmc", 500))
    other = run(stage, source, str(tmp_path / "llmc"), options=Options(workers=2))
    assert contents(other) == want
    nanogpt = written("nanogpt")
    want = contents(nanogpt)
    Path(nanogpt.path, "train.bin").unlink()
    again = run(Tokens("bytes", val=0.2), source, nanogpt.path, options=ONE)
    assert contents(again) == want
    assert not Path(nanogpt.path, "work").exists()


def test_another_seed_holds_out_others_and_no_share_none(source: str, tmp_path: Path) -> None:
    ids = pa.array([f"{number:032x}" for number in range(20_000)])
    held = [held_out(0.05, seed, ids) for seed in (0, 1)]
    assert held[0].sum() == pytest.approx(1000, abs=150)
    assert (held[0] & held[1]).sum() < 120
    assert not held_out(0.0, 0, ids).any()
    assert not (held_out(0.01, 0, ids) & ~held[0]).any()
    dataset = run(Tokens("bytes", val=0.0), source, str(tmp_path / "out"), options=ONE)
    assert [file.path for file in dataset.files] == ["train.bin", "meta.json"]


def tokenizer(folder: Path, specials: dict[str, int]) -> str:
    """Write a tokenizer.json of single bytes and special tokens."""
    from corpuskit.shard.tokenizers.alphabet import LETTERS

    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    form = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    told = {
        "version": "1.0",
        "added_tokens": [{"id": number, "content": name, **flags} for name, number in specials.items()],
        "pre_tokenizer": form,
        "decoder": form,
        "model": {
            "type": "BPE",
            "vocab": {letter: number for number, letter in enumerate(LETTERS.values())} | specials,
            "merges": [],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(told), "utf-8")
    return str(folder / "tokenizer.json")


def test_layouts_holds_out_the_same_documents(
    source: str, written: Callable[..., Dataset], tmp_path: Path
) -> None:
    other = run(Layouts("jsonl", val=0.2), source, str(tmp_path / "jsonl"), options=ONE).table().to_pylist()
    theirs = {row["id"] for row in other if row["file"].startswith("val")}
    rows = written("nanogpt").table().to_pylist()
    assert {row["id"] for row in rows if row["split"] == VAL} == theirs & {row["id"] for row in rows}


def test_the_card_says_how_to_read_them(written: Callable[..., Dataset]) -> None:
    for layout, says in {
        "nanogpt": "numpy.memmap",
        "llmc": "train_*.bin",
        "megatron": "--train-data-path",
    }.items():
        assert says in Path(written(layout).path, "README.md").read_text("utf-8")


def test_what_cannot_be_is_told_before_anything_is_written(source: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(UsageError, match="has no end of text"):
        run(Tokens(tokenizer(tmp_path, {"<odd>": 300})), source, out, options=ONE)
    with pytest.raises(InputError, match="there is no tokenizer"):
        run(Tokens(str(tmp_path / "nowhere.json")), source, out, options=ONE)
    bare = write_dataset(tmp_path / "bare", pa.RecordBatch.from_pylist([{"id": "a"}]))
    with pytest.raises(UsageError, match="no column of texts"):
        run(Tokens("bytes"), bare, out, options=ONE)
    assert not Path(out).exists() or not [*Path(out).iterdir()]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"val": 1.0}, "val is 1.0"),
        ({"val": -0.1}, "val is -0.1"),
        ({"shard_tokens": 5}, "nanogpt is one file a split"),
        ({"layout": "npy", "shard_tokens": 0}, "shard_tokens is 0"),
        ({"layout": "llmc", "shard_tokens": 1 << 31}, "shard_tokens is 2147483648"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Tokens("bytes", **wrong)


@pytest.mark.parametrize(
    ("layout", "module"), [("mds", "streaming"), ("litdata", "litdata.streaming.writer")]
)
def test_a_missing_package_is_named_before_anything_is_encoded(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Any, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=f"the layout {layout} needs the package") as caught:
        run(Tokens("bytes", layout), source, str(tmp_path / "out"), options=ONE)
    assert caught.value.fix == f"pip install 'corpuskit[{layout}]'"


@pytest.mark.parametrize("stage", [Tokens("bytes", val=0.3), Tokens("bytes", "llmc", shard_tokens=40)])
def test_stage_laws(stage: Tokens) -> None:
    check_stage(stage, batch(9))


@settings(max_examples=25)
@given(
    counts=st.lists(st.integers(0, 12), max_size=40),
    held=st.integers(0, 1 << 40),
    cuts=st.sets(st.integers(0, 40), max_size=3),
    share=st.integers(1, 30),
    name=st.sampled_from(["npy", "llmc"]),
)
def test_files_are_laid_out_as_a_plain_loop_would(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    held: int,
    cuts: set[int],
    share: int,
    name: str,
) -> None:
    rows = [
        {"part": 0, "val": bool(held >> place & 1), "tokens": count} for place, count in enumerate(counts)
    ]
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    for row, place in zip(rows, range(len(rows)), strict=True):
        row["part"] = sum(place >= edge for edge in edges[1:])
    parts = [rows[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]
    batches = [pa.RecordBatch.from_pylist(part, pa.schema(COUNTS)) for part in parts]
    folder = write_dataset(tmp_path_factory.mktemp("counts"), *batches)
    layout = LAYOUTS[name]
    found = [one for one in laid_out(Dataset(folder), layout, share) if one.stop > one.start]
    for split in (TRAIN, VAL):
        mine = [row for row in rows if row["val"] == (split == VAL) and row["tokens"]]
        begins, at = [], 0
        for row in mine:
            begins.append(at)
            at += row["tokens"] + 1
        ranges = [one for one in found if one.split == split]
        assert [one.number for one in ranges] == list(range(len(ranges)))
        assert [one.start for one in ranges] == [0, *(one.stop for one in ranges)][: len(ranges)]
        assert (ranges[-1].stop if ranges else 0) == at
        assert sum(one.documents for one in ranges) == len(mine)
        assert sum(stop - start for one in ranges for _, start, stop in one.pieces) == at
        for one in ranges:
            if layout.whole:
                own = [begin for begin in begins if begin // share == one.share]
                assert (one.start, one.documents) == (own[0], len(own))
            else:
                assert one.start % share == 0
                assert one.stop == min(at, one.start + share)


def test_a_tiny_gpt_learns_from_each_layout(written: Callable[..., Dataset]) -> None:
    pytest.importorskip("torch")
    for layout in RAW:
        check_learnt(split_tokens(written(layout), TRAIN))


def check_learnt(tokens: npt.NDArray[Any]) -> None:
    """Check that the loss of a tiny GPT begins where chance is, and falls."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would only wait for each other
    losses = trained(tokens.astype(np.int64))
    torch.set_num_threads(threads)
    assert losses[0] == pytest.approx(np.log(END + 1), abs=0.5)
    assert np.mean(losses[-5:]) < 0.75 * losses[0]


def trained(tokens: npt.NDArray[np.int64]) -> list[float]:
    """Train one block of attention for a few steps on stretches of the tokens; return the losses."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    wide, long = 32, 32
    embed, place = nn.Embedding(END + 1, wide), nn.Embedding(long, wide)
    block = nn.TransformerEncoderLayer(wide, 2, 64, dropout=0.0, batch_first=True, norm_first=True)
    head = nn.Linear(wide, END + 1)
    weights = [weight for part in (embed, place, block, head) for weight in part.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    mask = nn.Transformer.generate_square_subsequent_mask(long)
    chance = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(25):
        starts = torch.randint(len(tokens) - long - 1, (16,), generator=chance)
        rows = torch.from_numpy(np.stack([tokens[start : start + long + 1] for start in starts.tolist()]))
        seen = embed(rows[:, :-1]) + place(torch.arange(long))
        loss = nn.functional.cross_entropy(
            head(block(seen, src_mask=mask)).flatten(0, 1), rows[:, 1:].flatten()
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def package(name: str) -> Any:
    """Import a package that may be missing, or clash with the torch that is there."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name}: {error}")


@pytest.mark.filterwarnings("ignore")  # of packages that are not ours
def test_megatron_core_reads_its_pairs(source: str, written: Callable[..., Dataset]) -> None:
    indexed, want = package("megatron.core.datasets.indexed_dataset"), texts(source)
    dataset = written("megatron")
    found = {}
    for split in (TRAIN, VAL):
        pair = indexed.IndexedDataset(str(Path(dataset.path, split)))
        found[split] = [one.copy() for one in pair]  # its arrays lie in the file, which it closes
    check_samples(dataset, want, found)


@pytest.mark.filterwarnings("ignore")
def test_streaming_reads_its_shards(source: str, tmp_path: Path) -> None:
    streaming, stage = package("streaming"), Tokens("bytes", "mds", val=0.2, shard_tokens=500)
    dataset, want = run(stage, source, str(tmp_path / "mds"), options=ONE), texts(source)
    samples: Mapping[str, Sequence[npt.NDArray[Any]]] = {
        split: [*streaming.LocalDataset(str(Path(dataset.path, split)))] for split in (TRAIN, VAL)
    }
    check_samples(dataset, want, {name: [one["tokens"] for one in found] for name, found in samples.items()})
    rows = dataset.table().to_pylist()
    first = [row for row in rows if row["file"] == "train/shard.00001.mds"]
    before = sum(row["file"] == "train/shard.00000.mds" for row in rows)
    for row in first:
        found = samples[TRAIN][before + row["position"]]["tokens"]
        assert load("bytes").decode(found[:-1]) == want[row["id"]]
    check_redone(stage, source, dataset, "train/shard.00001.mds", tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_litdata_reads_its_chunks(source: str, tmp_path: Path) -> None:
    litdata, stage = package("litdata"), Tokens("bytes", "litdata", val=0.2, shard_tokens=500)
    dataset, want = run(stage, source, str(tmp_path / "litdata"), options=ONE), texts(source)
    found = {}
    for split in (TRAIN, VAL):
        loader = litdata.TokensLoader(block_size=1)
        blocks = litdata.StreamingDataset(str(Path(dataset.path, split)), item_loader=loader)
        flat = np.concatenate([blocks[place].numpy() for place in range(len(blocks))])
        ends = np.flatnonzero(flat == END) + 1
        found[split] = np.split(flat, ends)[:-1]
    check_samples(dataset, want, found)
    check_redone(stage, source, dataset, "train/chunk-0-1.bin", tmp_path)


def check_samples(
    dataset: Dataset, want: dict[str, str], samples: Mapping[str, Sequence[npt.NDArray[Any]]]
) -> None:
    """Check that the samples of each split are its documents, in order, with their ends of text."""
    for split, found in samples.items():
        ids = [row["id"] for row in dataset.table().to_pylist() if row["split"] == split]
        assert [load("bytes").decode(one[:-1]) for one in found] == [want[name] for name in ids]
        assert {int(one[-1]) for one in found} == {END}
        assert len(found) > 5
    check_learnt(np.concatenate(samples[TRAIN]))


def check_redone(stage: Tokens, source: str, dataset: Dataset, lost: str, tmp_path: Path) -> None:
    """Check that two workers write the same bytes, and that a lost file and a lost index come back."""
    want = contents(dataset)
    other = run(stage, source, str(tmp_path / "other"), options=Options(workers=2))
    assert contents(other) == want
    for name in (lost, "train/index.json"):
        Path(other.path, name).unlink()
        assert contents(run(stage, source, other.path, options=ONE)) == want
