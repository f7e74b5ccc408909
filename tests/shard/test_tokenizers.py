"""Tokenizers: one vocabulary gives the same ids, whichever library reads which file of it."""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import json
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiktoken import Encoding
from tokenizers import Regex, pre_tokenizers

from corpuskit.errors import InputError, UsageError
from corpuskit.shard.tokenizers import Tokenizer, load
from corpuskit.shard.tokenizers.alphabet import LETTERS, spelled, to_bytes
from corpuskit.shard.tokenizers.bpe import RankedTokenizer, from_gpt2
from corpuskit.shard.tokenizers.huggingface import HuggingFaceTokenizer, adopt, parse, whole
from corpuskit.shard.tokenizers.patterns import CL100K, GPT2, O200K
from corpuskit.testing import documents, write_dataset
from corpuskit.train import TokenizerTraining, train_tokenizer

ARTICLES = Path(__file__).parents[2] / "examples" / "data" / "articles"
GREETING = "Hello world, 你好"
PUBLISHED = {
    GPT2: r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    CL100K: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    O200K: r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
TEXT = st.text(
    st.one_of(
        st.sampled_from(" \n\r\t/!'saAé1你\u3000\x85\x1c\u0301ſ"),
        st.characters(exclude_categories=["Cs", "Cn"]),
    ),
    max_size=40,
)


class Plain:
    """GPT-2's algorithm as encoder.py tells it: the earliest merge of all pairs, till none is left."""

    def __init__(self, folder: Path) -> None:
        self.ids = json.loads((folder / "encoder.json").read_text())
        lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
        self.ranks = {tuple(line.split()): rank for rank, line in enumerate(lines)}
        self.words = regex.compile(PUBLISHED[GPT2])
        self.word = functools.cache(self._word)

    def encode(self, text: str) -> list[int]:
        return [number for word in self.words.findall(text) for number in self.word(word)]

    def _word(self, word: str) -> list[int]:
        parts = [LETTERS[byte] for byte in word.encode()]
        while len(parts) > 1:
            pair = min(itertools.pairwise(parts), key=lambda pair: self.ranks.get(pair, 1 << 30))
            if pair not in self.ranks:
                break
            merged, at = [], 0
            while at < len(parts):
                both = tuple(parts[at : at + 2]) == pair
                merged.append("".join(pair) if both else parts[at])
                at += 2 if both else 1
            parts = merged
        return [self.ids[part] for part in parts]


def articles() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(ARTICLES.glob("*.txt"))]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of 600 that was learnt from the examples' articles."""
    folder = tmp_path_factory.mktemp("tiny")
    corpus = write_dataset(folder / "corpus", documents(articles()))
    train_tokenizer([corpus], str(folder / "bpe"), TokenizerTraining(size=600))
    return folder / "bpe"


def hugging(folder: Path) -> HuggingFaceTokenizer:
    """The same through the library tokenizers, which `load` takes only where tiktoken would differ."""
    return adopt(parse((folder / "tokenizer.json").read_bytes(), "tiny"), "tiny", "digest")


def gpt2_files(folder: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(folder / name, to / name)
    return to


def test_one_vocabulary_in_every_form(tiny: Path, tmp_path: Path) -> None:
    whole = load(str(tiny))
    read = [
        whole,
        load(str(gpt2_files(tiny, tmp_path / "gpt2"))),
        load(str(tiny / "ranks.tiktoken")),
        hugging(tiny),
    ]
    assert [type(one) for one in read] == [*[RankedTokenizer] * 3, HuggingFaceTokenizer]
    assert [one.end_of_text for one in read] == [599, 599, None, 599]
    plain = Plain(tiny)
    for text in articles():
        ids = plain.encode(text)
        assert [one.encode(text) for one in read] == [ids] * 4
        assert [one.decode_bytes(ids) for one in read] == [text.encode()] * 4


plain_of, hugging_of = functools.cache(Plain), functools.cache(hugging)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT)
def test_any_text_has_the_same_ids_and_comes_back(tiny: Path, text: str) -> None:
    ids = plain_of(tiny).encode(text)
    for read in (load(str(tiny)), hugging_of(tiny)):
        assert read.encode(text) == ids
        assert read.decode(ids) == text


@pytest.mark.parametrize("pattern", PUBLISHED, ids=["gpt2", "cl100k", "o200k"])
@settings(max_examples=150, deadline=None)
@given(text=TEXT)
def test_words_are_cut_as_published(pattern: str, text: str) -> None:
    published = pre_tokenizers.Split(Regex(PUBLISHED[pattern]), "isolated")
    words = [word for word, _ in published.pre_tokenize_str(text)] if text else []
    pairs = [
        first + second for first, second in itertools.pairwise(words)
    ]  # what a cut that is missing would give
    tokens = dict.fromkeys(token.encode() for token in words + pairs if len(token.encode()) > 1)
    ranks = {bytes([byte]): byte for byte in range(256)} | {
        token: 256 + at for at, token in enumerate(tokens)
    }
    engine = Encoding("words", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    assert [engine.decode([number]) for number in engine.encode_ordinary(text)] == words


@pytest.mark.parametrize(
    "text", [" " * 10**6 + "x", "\n " * 500_000 + "x", "a" * 10**6, "acgt" * 250_000, "!" * 10**6]
)
def test_a_megabyte_of_one_kind(tiny: Path, text: str) -> None:
    read = load(str(tiny))
    ids, offsets = read.encode_batch(pa.array([text, "a"]))
    assert read.decode(ids[: offsets[1]]) == text
    assert ids[: offsets[1]].tolist() == hugging_of(tiny).encode(text)


def test_batches(tiny: Path) -> None:
    for read in (load(str(tiny)), hugging_of(tiny), load("bytes")):
        given = pa.array(["no", "bees in", None, "", "é"])
        for texts in (given, given.cast(pa.large_string())):
            ids, offsets = read.encode_batch(texts.slice(1))
            assert (ids.dtype, offsets.dtype) == (np.uint32, np.int64)
            assert ids.tolist() == read.encode("bees in") + read.encode("é")
            assert np.diff(offsets).tolist() == [len(read.encode("bees in")), 0, 0, len(read.encode("é"))]
        ids, offsets = read.encode_batch(pa.array([], pa.string()))
        assert (ids.tolist(), offsets.tolist()) == ([], [0])


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_special_tokens_are_plain_text(kind: str) -> None:
    read = adopt(DESCRIBED[kind], kind, "digest")
    assert read.specials == {"<s>": 0, "<unk>": 1}
    assert read.encode("<s>") == [2, 3, 4]
    assert read.decode([0, 3, 0]) == "<s>s<s>"


WHOLE = [("<s>", -0.1), ("<unk>", -9.0), ("<", -1.0), ("s", -1.0), (">", -1.0)]
IDS = {token: number for number, (token, _) in enumerate(WHOLE)}
DESCRIBED = {
    "bpe": whole(
        {"<s>": 0, "<unk>": 1}, model={"type": "BPE", "vocab": IDS, "merges": [], "ignore_merges": True}
    ),
    "wordpiece": whole(
        {"<s>": 0, "<unk>": 1},
        model={
            "type": "WordPiece",
            "unk_token": "<unk>",
            "continuing_subword_prefix": "",
            "max_input_chars_per_word": 100,
            "vocab": IDS,
        },
    ),
    "unigram": whole(
        {"<s>": 0, "<unk>": 1},
        model={"type": "Unigram", "unk_id": 1, "vocab": [list(one) for one in WHOLE], "byte_fallback": False},
    ),
}


def test_merges_out_of_the_order_of_ids_are_not_ranked(tiny: Path, tmp_path: Path) -> None:
    """tiktoken would merge by id; the file says otherwise, so the library that reads merges encodes."""
    folder = gpt2_files(tiny, tmp_path / "swapped")
    ids = json.loads((folder / "encoder.json").read_text())
    ids["he"], ids["in"] = ids["in"], ids["he"]
    (folder / "encoder.json").write_text(json.dumps(ids))
    read = load(str(folder))
    assert isinstance(read, HuggingFaceTokenizer)
    assert all(read.encode(text) == Plain(folder).encode(text) for text in articles())


def test_a_token_that_its_own_bytes_do_not_give_is_not_ranked(tmp_path: Path) -> None:
    """`abc` is a merge of `ab` and `c`, but `bc` merges first: GPT-2 gives `a` and `bc`, ranks `abc`."""
    merges = ["b c", "a b", "ab c"]
    ids = {letter: number for number, letter in enumerate([*LETTERS.values(), "bc", "ab", "abc"])}
    (tmp_path / "encoder.json").write_text(json.dumps(ids))
    (tmp_path / "vocab.bpe").write_text("\n".join(["#version: 0.2", *merges, ""]))
    read = load(str(tmp_path))
    assert read.encode("abc") == Plain(tmp_path).encode("abc") == [ids["a"], ids["bc"]]


def test_bytes() -> None:
    read = load("bytes")
    assert (read.size, read.end_of_text, dict(read.specials)) == (257, 256, {"<|endoftext|>": 256})
    assert read.encode("né") == [110, 195, 169]
    assert read.decode_bytes([110, 256, 195]) == b"n<|endoftext|>\xc3"
    assert read.decode([195]) == "\ufffd"
    with pytest.raises(InputError, match="257 is no byte"):
        read.decode([257])


def test_alphabet_is_gpt2s() -> None:
    assert (spelled(b"a \n\x7f"), to_bytes("Ġé"), to_bytes("你")) == ("aĠĊġ", b" \xe9", None)
    assert all(to_bytes(spelled(bytes([byte]))) == bytes([byte]) for byte in range(256))


def test_sentencepiece(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(" ".join(articles()).split(". ")),
        model_writer=model,
        vocab_size=600,
        minloglevel=2,
    )
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model.getvalue())
    read, peer = load(str(tmp_path)), sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert (read.size, read.end_of_text, dict(read.specials)) == (600, 2, {"<unk>": 0, "<s>": 1, "</s>": 2})
    assert all(read.encode(text) == peer.encode(text) for text in articles())
    assert read.decode(read.encode("bees and bread")) == "bees and bread"
    assert not {1, 2} & set(read.encode("<s></s>"))


def test_without_sentencepiece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.model").write_bytes(b"never read")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UsageError, match="pip install"):
        load(str(tmp_path / "x.model"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer.json", b"{", "no JSON"),
        ("tokenizer.json", b"[" * 100_000, "no JSON"),
        ("tokenizer.json", b'{"a": 0}', "has no model"),
        ("tokenizer.json", b'{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}', "damaged"),
        ("tokenizer.json", b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "holds no token"),
        ("mine.tiktoken", b"IQ== 0", "how it cuts words is unknown"),
        ("cl100k_base.tiktoken", b"IQ== 0", "bytes are missing"),
        ("gpt2.tiktoken", b"?? 0", "damaged"),
        ("vocab.txt", b"a\nb\n", "no \\[UNK\\]"),
        ("vocab.txt", b"\xff\n", "no \\[UNK\\]"),
        ("clip.txt", b"#version: 0.2\na\n", "not two tokens"),
        ("clip.txt.gz", b"\x1f\x8bno", "cannot be unpacked"),
        ("x.model", b"no model", "no SentencePiece model"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        load(str(tmp_path / name))
    assert caught.value.fix


@pytest.mark.parametrize("merges", ["#version: 0.2\na\n", "#version: 0.2\na b c\n", "#version: 0.2\na b\n"])
def test_bad_merges_are_told(merges: str) -> None:
    vocabulary = json.dumps({letter: number for number, letter in enumerate(LETTERS.values())})
    with pytest.raises(InputError, match="vocabulary"):
        from_gpt2("gpt2", vocabulary.encode(), merges.encode(), "digest")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tokenizer"):
        load(str(tmp_path))
    with pytest.raises(InputError, match="there is no tokenizer"):
        load(str(tmp_path / "absent"))


def test_ids_outside_the_vocabulary(tiny: Path) -> None:
    for read in (load(str(tiny)), hugging_of(tiny)):
        for wrong in (600, -1, 1 << 40):
            with pytest.raises(InputError, match="none of the vocabulary's 600"):
                read.decode([1, wrong])


def test_digest_is_of_the_content(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_bytes((tiny / "tokenizer.json").read_bytes())
    assert load(str(tmp_path / "other.json")).digest == load(str(tiny)).digest
    (tmp_path / "other.json").write_bytes((tiny / "tokenizer.json").read_bytes() + b" ")
    assert load(str(tmp_path / "other.json")).digest != load(str(tiny)).digest


# Real vocabularies


@pytest.fixture(scope="module")
def published(data: Path) -> Path:
    return data / "tokenizers"


def real_texts(data: Path) -> list[str]:
    """10,000 different texts: sentences, paragraphs of an encyclopedia and of web pages, and messages."""
    text = data / "text"
    plain = ("ud/zh_gsd-dev.txt", "ud/en_ewt-dev.txt", "wikitext2/valid.txt")
    lines = [
        line for name in plain for line in (text / name).read_text(encoding="utf-8").splitlines(keepends=True)
    ]
    with tarfile.open(text / "20newsgroups.tar.gz") as archive:
        members = itertools.islice((one for one in archive if one.isfile()), 500)
        lines += [(archive.extractfile(one) or io.BytesIO()).read(1000).decode("latin-1") for one in members]
    with gzip.open(text / "c4" / "c4-sample.00000-of-00001.json.gz", "rt", encoding="utf-8") as pages:
        lines += [line for page in pages for line in json.loads(page)["text"].splitlines(keepends=True)]
    return [line for line in dict.fromkeys(lines) if line.strip()][:10_000]


def test_gpt2_on_ten_thousand_texts(data: Path, published: Path) -> None:
    texts = real_texts(data)
    assert len(texts) == 10_000
    plain = Plain(published / "gpt2")
    described = parse((published / "gpt2" / "gpt2.json").read_bytes(), "gpt2")
    folder, ranks = load(str(published / "gpt2")), load(str(published / "tiktoken" / "r50k_base.tiktoken"))
    assert isinstance(folder, RankedTokenizer)
    expected = [plain.encode(text) for text in texts]
    for read in (folder, ranks, adopt(described, "gpt2", "digest")):
        ids, offsets = read.encode_batch(pa.array(texts))
        assert ids.tolist() == list(itertools.chain.from_iterable(expected))
        assert np.diff(offsets).tolist() == [len(one) for one in expected]
    assert folder.decode_bytes(ids) == "".join(texts).encode()


@pytest.mark.parametrize(
    ("file", "size", "end", "ids"),
    [
        ("gpt2", 50257, 50256, [15496, 995, 11, 220, 19526, 254, 25001, 121]),
        ("gpt2/gpt2.json", 50257, 50256, [15496, 995, 11, 220, 19526, 254, 25001, 121]),
        ("tiktoken/r50k_base.tiktoken", 50257, 50256, [15496, 995, 11, 220, 19526, 254, 25001, 121]),
        ("tiktoken/p50k_base.tiktoken", 50281, 50256, [15496, 995, 11, 220, 19526, 254, 25001, 121]),
        ("tiktoken/cl100k_base.tiktoken", 100277, 100257, [9906, 1917, 11, 220, 57668, 53901]),
        ("tiktoken/o200k_base.tiktoken", 200019, 199999, [13225, 2375, 11, 220, 177519]),
    ],
)
def test_published_ids(published: Path, file: str, size: int, end: int, ids: list[int]) -> None:
    read = load(str(published / file))
    assert (read.size, read.end_of_text, read.encode(GREETING)) == (size, end, ids)
    assert read.decode([*ids, end]) == GREETING + "<|endoftext|>"


def test_tiktokens_own_plans(published: Path) -> None:
    """TestPlans.txt: samples and the ids that tiktoken gave them when the vocabularies were published."""
    found = regex.findall(
        r"EncodingName: (\w+)\nSample: (.*?)\nEncoded: (\[.*?\])\n",
        (published / "tiktoken" / "TestPlans.txt").read_text(encoding="utf-8"),
        regex.DOTALL,
    )
    files = {path.stem: path for path in (published / "tiktoken").glob("*.tiktoken")}
    checked = 0
    for name, sample, ids in found:
        if name in files:
            assert load(str(files[name])).encode(sample) == json.loads(ids), sample
            checked += 1
    assert checked > 100


def test_clip_is_transformers_clip(data: Path, published: Path) -> None:
    from transformers import CLIPTokenizer

    read = load(str(published / "clip" / "bpe_simple_vocab_16e6.txt.gz"))
    described = parse(CLIP_JSON(read), "clip")["model"]
    merges = [tuple(pair) for pair in described["merges"]]
    peer = CLIPTokenizer(vocab=described["vocab"] | dict(read.specials), merges=merges)
    assert (read.size, dict(read.specials)) == (49408, {"<|startoftext|>": 49406, "<|endoftext|>": 49407})
    assert read.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    for text in ["it's  a\tPhoto,  Élan!", GREETING, *real_texts(data)[::50]]:
        assert read.encode(text) == peer(text, add_special_tokens=False)["input_ids"]


def CLIP_JSON(read: Tokenizer) -> bytes:
    assert isinstance(read, HuggingFaceTokenizer)
    return read.engine.to_str().encode()


def test_bert_is_transformers_bert(data: Path, published: Path) -> None:
    from transformers import BertTokenizer

    file = published / "bert" / "bert-base-uncased-vocab.txt"
    read, peer = load(str(file)), BertTokenizer(str(file))
    assert (read.size, read.end_of_text) == (30522, 102)
    assert read.encode("Hello world, Élan!") == [7592, 2088, 1010, 3449, 2319, 999]
    for text in [GREETING, "x" * 101, "[SEP", *real_texts(data)[::50]]:
        assert read.encode(text) == peer(text, add_special_tokens=False)["input_ids"]
    assert 102 not in read.encode("[SEP]")
