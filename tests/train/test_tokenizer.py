"""train tokenizer: all its files read back to the same ids, the same bytes come twice, errors are told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from corpuskit.cli import command
from corpuskit.errors import InputError, TargetError, UsageError
from corpuskit.shard.tokenizers import load
from corpuskit.shard.tokenizers.bytes import ByteTokenizer
from corpuskit.testing import documents, write_dataset
from corpuskit.train import TokenizerTraining, train_tokenizer

ARTICLES = Path(__file__).parents[2] / "examples" / "data" / "articles"
TEXTS = [
    part for path in sorted(ARTICLES.glob("*.txt")) for part in path.read_text(encoding="utf-8").split("\n\n")
]
SMALL = {
    "bpe": TokenizerTraining(size=500),
    "wordpiece": TokenizerTraining(kind="wordpiece", size=800, lowercase=True),
    "unigram": TokenizerTraining(kind="unigram", size=400),
    "bytes": TokenizerTraining(kind="bytes"),
}
FILES = {
    "bpe": {"tokenizer.json", "encoder.json", "vocab.bpe", "ranks.tiktoken"},
    "wordpiece": {"tokenizer.json", "vocab.txt"},
    "unigram": {"tokenizer.json"},
    "bytes": {"tokenizer.json"},
}


@pytest.fixture
def corpora(tmp_path: Path) -> list[str]:
    """The articles' paragraphs in two datasets."""
    half = len(TEXTS) // 2
    return [
        write_dataset(
            tmp_path / name, documents(rows, id=[f"{name}{number:04d}" for number in range(len(rows))])
        )
        for name, rows in {"first": TEXTS[:half], "second": TEXTS[half:]}.items()
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", SMALL)
def test_every_file_reads_back_to_the_same_ids(kind: str, corpora: list[str], tmp_path: Path) -> None:
    trained = train_tokenizer(corpora if kind != "bytes" else [], str(tmp_path / "out"), SMALL[kind])
    assert set(content(tmp_path / "out")) == FILES[kind] | {"README.md", "training.json"}
    read = load(trained.path)
    ids, offsets = read.encode_batch(pa.array(TEXTS))
    for name in FILES[kind] - {"tokenizer.json", "vocab.bpe", "encoder.json"}:
        assert load(str(tmp_path / "out" / name)).encode_batch(pa.array(TEXTS))[0].tolist() == ids.tolist()
    if kind == "bpe":
        (tmp_path / "out" / "tokenizer.json").unlink()
        gpt2 = load(trained.path)
        assert gpt2.encode_batch(pa.array(TEXTS))[0].tolist() == ids.tolist()
        assert (gpt2.size, gpt2.specials) == (read.size, read.specials)
    if kind != "wordpiece":
        for text, start, end in zip(TEXTS, offsets, offsets[1:], strict=False):
            assert read.decode(ids[start:end]) == text
    assert read.size == trained.told["size"] == {"bytes": 257}.get(kind, SMALL[kind].size)


@pytest.mark.parametrize("kind", SMALL)
def test_the_library_tokenizers_reads_it(kind: str, corpora: list[str], tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    trained = train_tokenizer(corpora if kind != "bytes" else [], str(tmp_path / "out"), SMALL[kind])
    peer, read = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json")), load(trained.path)
    assert [peer.encode(text).ids for text in TEXTS] == [read.encode(text) for text in TEXTS]
    assert {token: peer.token_to_id(token) for token in read.specials} == read.specials


def test_the_same_bytes_in_another_process_and_order(corpora: list[str], tmp_path: Path) -> None:
    kinds = ("bpe", "wordpiece", "unigram")
    lines = ["from corpuskit.train import TokenizerTraining, train_tokenizer"]
    for kind in kinds:
        train_tokenizer(corpora, str(tmp_path / kind), SMALL[kind])
        lines.append(
            f"train_tokenizer({corpora[::-1]!r}, {str(tmp_path / f'{kind}-again')!r}, {SMALL[kind]!r})"
        )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=Path(__file__).parents[2])
    for kind in kinds:
        assert content(tmp_path / kind) == content(tmp_path / f"{kind}-again")


def test_merges_are_the_most_frequent_pairs(tmp_path: Path) -> None:
    """`ab` occurs 12 times, `abc` 8, ` abc` 4 and `xy` once: three merges in this order, and no fourth."""
    corpus = write_dataset(
        tmp_path / "corpus", documents(["abc"] * 80 + ["ab"] * 40 + ["n abc"] * 40 + ["xy"])
    )
    trained = train_tokenizer([corpus], str(tmp_path / "out"), TokenizerTraining(size=300))
    assert (tmp_path / "out" / "vocab.bpe").read_text() == "#version: 0.2\na b\nab c\nĠ abc\n"
    assert trained.told["size"] == 256 + 3 + 1
    assert load(trained.path).specials == {"<|endoftext|>": 259}
    assert "the documents have no more; 300 were asked for" in trained.text()


def test_wordpiece_gives_few_characters_an_id_and_says_what_is_unknown(
    corpora: list[str], tmp_path: Path
) -> None:
    trained = train_tokenizer(
        corpora, str(tmp_path / "out"), TokenizerTraining(kind="wordpiece", size=100, min_frequency=1)
    )
    tokens = json.loads((tmp_path / "out" / "tokenizer.json").read_text())["model"]["vocab"]
    assert list(tokens)[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert sum(len(token) == 1 for token in tokens) == (100 - 5) // 8
    assert trained.told["test"]["unknown"] > 0
    assert "of them [UNK]" in trained.text()


def test_vocab_txt_is_not_written_where_it_would_say_something_else(tmp_path: Path) -> None:
    corpus = write_dataset(tmp_path / "corpus", documents(["no capital letter here"] * 30))
    train_tokenizer([corpus], str(tmp_path / "out"), TokenizerTraining(kind="wordpiece", size=200))
    assert not (tmp_path / "out" / "vocab.txt").exists()
    assert load(str(tmp_path / "out")).encode("No") != load(str(tmp_path / "out")).encode("no")


def test_measures_on_documents_that_were_not_learnt_from(corpora: list[str], tmp_path: Path) -> None:
    told = train_tokenizer(corpora, str(tmp_path / "out"), SMALL["bpe"]).told
    test = told["test"]
    assert told["documents"] + test["documents"] == len(TEXTS)
    assert 0 < test["documents"] < len(TEXTS) / 8
    assert 1 < test["bytes"] / test["tokens"] < 4
    assert (
        f"{test['bytes'] / test['tokens']:.2f} bytes a token" in (tmp_path / "out" / "README.md").read_text()
    )


def test_a_sample_is_drawn_by_id(corpora: list[str], tmp_path: Path) -> None:
    told = [
        train_tokenizer(
            corpora, str(tmp_path / str(seed)), TokenizerTraining(size=300, sample=60, seed=seed)
        ).told
        for seed in (0, 1)
    ]
    assert all(30 < one["documents"] < 90 for one in told)
    assert told[0]["files"] != told[1]["files"]


def test_again_does_nothing_and_other_things_are_not_replaced(corpora: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = train_tokenizer(corpora, str(out), SMALL["bpe"])
    stood = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert train_tokenizer(corpora[::-1], str(out), SMALL["bpe"]).told == first.told
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == stood
    with pytest.raises(TargetError, match="other settings"):
        train_tokenizer(corpora, str(out), TokenizerTraining(size=501))
    with pytest.raises(TargetError, match="other corpora"):
        train_tokenizer(corpora[:1], str(out), SMALL["bpe"])
    (out / "vocab.bpe").write_text("changed")
    with pytest.raises(TargetError, match=r"vocab\.bpe is missing or was changed"):
        train_tokenizer(corpora, str(out), SMALL["bpe"])
    train_tokenizer(corpora, str(out), SMALL["wordpiece"], force=True)
    assert set(content(out)) == FILES["wordpiece"] | {"README.md", "training.json"}
    with pytest.raises(TargetError, match="no tokenizer"):
        train_tokenizer(corpora, corpora[0], SMALL["bpe"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 257}, "size is 257"),
        ({"sample": 0}, "sample is 0"),
        ({"min_frequency": 0}, "min_frequency is 0"),
        ({"special": ("<a>", "<a>")}, "special is"),
        ({"special": ("<a b>",)}, "special is"),
        ({"special": ("",)}, "special is"),
        ({"kind": "wordpiece", "special": ("[PAD]",)}, r"lacks \[UNK\]"),
        ({"lowercase": True}, "lowercase is given with bpe"),
    ],
)
def test_wrong_settings(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        TokenizerTraining(**given)  # type: ignore[arg-type]
    assert caught.value.fix


@pytest.mark.parametrize("special", ["the", "###", "'s"])
def test_a_special_token_that_texts_may_hold(special: str, corpora: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a word of texts"):
        train_tokenizer(corpora, str(tmp_path / "out"), TokenizerTraining(size=500, special=(special,)))
    assert not (tmp_path / "out").exists()


def test_no_documents(tmp_path: Path) -> None:
    empty = write_dataset(tmp_path / "empty", documents([]))
    with pytest.raises(InputError, match="there are no documents in"):
        train_tokenizer([empty], str(tmp_path / "out"), SMALL["bpe"])
    with pytest.raises(UsageError, match="no corpora"):
        train_tokenizer([], str(tmp_path / "out"), SMALL["bpe"])


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(command, ["train", "tokenizer", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_on_the_command_line(corpora: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    code, printed, _ = run(*corpora, out, "--size", "500", "--special", "<|a|>,<|b|>", "--json")
    told = json.loads(printed)
    assert (code, told["path"], told["size"]) == (0, out, 500)
    assert told["specials"] == {"<|a|>": 498, "<|b|>": 499} == load(out).specials
    code, printed, _ = run(*corpora, out, "--size", "500", "--special", "<|a|>", "--special", "<|b|>")
    assert code == 0
    assert printed.startswith(f"{out}: bpe of 500 ids, learnt from")
    code, printed, _ = run(str(tmp_path / "plain"), "--kind", "bytes", "-q")
    assert (code, printed) == (0, "")
    assert isinstance(load(str(tmp_path / "plain")), ByteTokenizer)


def test_what_the_command_line_refuses(corpora: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for arguments, code, said in [
        ([out], 2, "only"),
        ([str(tmp_path / "absent"), out], 3, "there is no dataset"),
        ([*corpora, out, "--size", "9"], 2, "size is 9"),
        ([corpora[0], out, "--kind", "bytes"], 2, "give TARGET alone"),
        (corpora, 4, "no tokenizer"),
    ]:
        status, printed, error = run(*arguments)
        assert (status, printed) == (code, ""), error
        assert said in error
        assert "fix: " in error
