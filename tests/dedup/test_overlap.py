"""`dedup overlap` against brute force: planted copies, natural ones, the longest and where they are from."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from corpuskit.cli import command
from corpuskit.dataset import Dataset
from corpuskit.dedup import overlap
from corpuskit.dedup.examples import named
from corpuskit.dedup.overlap import Overlap
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.kernels.utf8 import buffers, strings
from corpuskit.kernels.words import normalise
from corpuskit.testing import _run, documents, write_dataset


def grams(text, n=8):
    words = re.findall(r"[a-z0-9]+", text.lower())
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def table(stage, *sources, folder):
    return {row["set"]: row for row in _run(stage, sources, str(folder / "work")).kept.to_pylist()}


def brute(training, examples, n=8):
    """Count with exact sets: n-grams, those found, examples hit, and the words of the longest run."""
    known = {gram for text in training for gram in grams(text, n)}
    hits = [[gram in known for gram in grams(text, n)] for text in examples]
    runs = [len(list(run)) for one in hits for hit, run in itertools.groupby(one) if hit]
    found = sum(map(sum, hits))
    total = sum(map(len, hits))
    longest = sorted((n - 1 + run for run in runs), reverse=True)
    return {
        "ngrams": total,
        "found": found,
        "examples_hit": sum(map(any, hits)),
        "examples": len(hits),
    }, longest


def prose(chance, count):
    return " ".join(chance.choice("abcdefghij") + str(chance.randrange(3)) for _ in range(count))


@pytest.fixture
def planted(tmp_path):
    """Return training documents, examples of which some are planted in them, and both as paths."""
    chance = random.Random(1)
    examples = [prose(chance, chance.randrange(5, 60)) for _ in range(60)]
    training = [prose(chance, 300) for _ in range(30)]
    for at, example in enumerate(examples[::4]):
        training[at] = training[at][:400] + " " + example.upper() + "! " + training[at][400:]
    half = len(training) // 2
    ids = [f"train{i}" for i in range(len(training))]
    urls = [f"http://x/{i}" for i in range(len(training))]
    batches = [
        documents(training[part], id=ids[part], url=urls[part]) for part in (slice(half), slice(half, None))
    ]
    path = tmp_path / "eval.jsonl"
    path.write_text("".join(json.dumps({"question": text, "answer": ""}) + "\n" for text in examples))
    return training, examples, write_dataset(tmp_path / "train", *batches), str(path)


@pytest.mark.parametrize("n", [3, 8, 13])
def test_the_table_equals_brute_force(planted, tmp_path, n):
    training, examples, source, path = planted
    row = table(Overlap(eval=(f"e={path}",), ngram=n, longest=5), source, folder=tmp_path)["e"]
    expected, longest = brute(training, examples, n)
    assert {name: row[name] for name in expected} == expected
    assert row["share"] == expected["found"] / expected["ngrams"]
    assert row["false_positives"] == 0
    assert 0 < expected["found"] < expected["ngrams"]
    assert [hit["words"] for hit in row["longest"]] == longest[:5]


def test_the_longest_hits_name_their_documents(planted, tmp_path):
    training, examples, source, path = planted
    row = table(Overlap(eval=(f"e={path}",)), source, folder=tmp_path)["e"]
    assert len(row["longest"]) == 10
    for hit in row["longest"]:
        at = int(hit["document"].removeprefix("train"))
        assert hit["text"] in training[at].lower().replace("! ", " ")
        assert hit["url"] == f"http://x/{at}"
        assert hit["documents"] == 1
        number = int(hit["example"].removeprefix("eval.jsonl:")) - 1
        assert hit["text"] in examples[number]


def test_false_positives_of_the_filter_are_told_apart(planted, tmp_path):
    training, examples, source, path = planted
    row = table(Overlap(eval=(f"e={path}",), rate=0.3), source, folder=tmp_path)["e"]
    assert row["found"] == brute(training, examples)[0]["found"]
    assert row["false_positives"] > 0


def test_a_hit_that_many_documents_have_names_the_first(tmp_path):
    phrase = "one two three four five six seven eight nine"
    texts = ["nothing here", f"{phrase} x", f"y {phrase}", phrase]
    source = write_dataset(
        tmp_path / "t", documents(texts[:2], id=["a", "b"]), documents(texts[2:], id=["c", "d"])
    )
    (tmp_path / "e.txt").write_text(f"before {phrase}\nafter")
    row = table(Overlap(eval=(f"e={tmp_path / 'e.txt'}",)), source, folder=tmp_path)["e"]
    assert row["longest"] == [
        {"example": "e.txt", "words": 9, "text": phrase, "document": "b", "url": None, "documents": 3}
    ]
    assert (row["examples"], row["ngrams"], row["found"]) == (1, 4, 2)


def test_every_kind_of_evaluation_set(tmp_path):
    text = " ".join(f"w{i}" for i in range(12))
    source = write_dataset(tmp_path / "train", documents([text]))
    write_dataset(tmp_path / "dataset", documents([text, "short", text]))
    (tmp_path / "lines.jsonl").write_text(f'{{"text": "{text}", "other": "not this"}}\n\n"{text}"\n')
    (tmp_path / "wrapped.txt").write_text(text.replace(" w6", "\nw6"))  # a line break is no end
    (tmp_path / "packed.jsonl.gz").write_bytes(
        gzip.compress(json.dumps({"a": "w0 w1 w2 w3", "b": text[12:], "n": 1}).encode())
    )
    (tmp_path / "folder").mkdir()
    for name in ("b.txt", "a.txt", "readme.md"):
        (tmp_path / "folder" / name).write_text(text)
    sets = ("dataset", "lines.jsonl", "wrapped.txt", "packed.jsonl.gz", "folder")
    found = table(Overlap(eval=tuple(f"{name}={tmp_path / name}" for name in sets)), source, folder=tmp_path)
    assert list(found) == list(sets)
    counts = {name: (row["examples"], row["ngrams"], row["share"]) for name, row in found.items()}
    assert counts == {
        "dataset": (3, 10, 1.0),
        "lines.jsonl": (2, 10, 1.0),
        "wrapped.txt": (1, 5, 1.0),
        "packed.jsonl.gz": (1, 5, 1.0),
        "folder": (2, 10, 1.0),
    }


def test_no_n_grams_have_no_share(tmp_path):
    source = write_dataset(tmp_path / "train", documents(["a b c d e f g h i"]).slice(0, 0), documents([""]))
    (tmp_path / "e.txt").write_text("far too short")
    row = table(Overlap(eval=(f"e={tmp_path / 'e.txt'}",)), source, folder=tmp_path)["e"]
    assert (row["ngrams"], row["found"], row["share"], row["longest"]) == (0, 0, None, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "e.jsonl:1 is not JSON"), ('"x"\n{"a": 1}', "e.jsonl:2 holds no text"), ("3", "holds no text")],
)
def test_a_damaged_evaluation_set_is_refused(tmp_path, content, said):
    source = write_dataset(tmp_path / "train", documents(["a"]))
    (tmp_path / "e.jsonl").write_text(content)
    with pytest.raises(InputError, match=said):
        table(Overlap(eval=(f"e={tmp_path / 'e.jsonl'}",)), source, folder=tmp_path)


@pytest.mark.parametrize("sets", [(), ("x",), ("=x",), ("x=",), ("a=b.txt", "a=c.txt")])
def test_sets_without_name_or_path_are_refused(sets):
    with pytest.raises(UsageError):
        Overlap(eval=sets)


def test_missing_sets_are_refused(tmp_path):
    source = write_dataset(tmp_path / "train", documents(["a"]))
    for path in (tmp_path / "nothing.txt", tmp_path / "train" / "plan.json"):
        with pytest.raises(InputError):
            run(Overlap(eval=(f"e={path}",)), source, str(tmp_path / "out"), options=Options(workers=1))


def test_a_name_may_not_hide_a_path():
    assert named(["a=s3://b/c=d"]) == {"a": "s3://b/c=d"}


def test_memory_is_checked_before_it_starts(planted, tmp_path):
    _, _, source, path = planted
    stage = Overlap(eval=(f"e={path}",), memory=10)
    assert stage.memory_needed(source) > 10
    with pytest.raises(DoesNotFit):
        run(stage, source, str(tmp_path / "out"), options=Options(workers=1))


def test_a_run_writes_rows_json_and_text_and_keeps_its_filters(planted, tmp_path):
    training, examples, source, path = planted
    folder = tmp_path / "filters"
    stage = Overlap(eval=(f"e={path}",), filters=str(folder), longest=1)
    dataset = run(stage, source, str(tmp_path / "out"), options=Options(workers=2))
    rows = dataset.table().to_pylist()
    told = json.loads((tmp_path / "out" / "overlap.json").read_text())
    assert told == {"ngram": 8, "rate": 1e-8, "sets": rows}
    assert stage.answers(dataset) == (overlap.text(dataset), told)
    facts = dataset.manifest["stages"][-1]["facts"]
    assert (facts["filter probes"], facts["filter probes hit"]) == (1_000_000, 0)
    expected = brute(training, examples)[0]
    text = overlap.text(Dataset(str(tmp_path / "out")))
    assert re.search(
        rf"e +{expected['examples']} .* {expected['found']:,} +{100 * rows[0]['share']:.2f} %", text
    )
    assert "http://x/" in text
    kept = folder / "0-of-1.bloom"
    first, when = kept.read_bytes(), kept.stat().st_mtime_ns

    again = table(stage, source, folder=tmp_path / "again")["e"]  # takes the filter that stands
    assert again == rows[0]
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == (first, when)
    other = write_dataset(tmp_path / "other", documents(["something else"]))
    with pytest.raises(InputError, match="inputs is"):
        table(stage, other, folder=tmp_path / "stale")


def test_the_command_prints_the_table_and_what_does_not_fit_leaves_no_trace(planted, tmp_path):
    _, examples, source, path = planted
    command_line = ["dedup", "overlap", source, str(tmp_path / "out"), "--eval", f"planted={path}", "-j1"]
    result = CliRunner().invoke(command, [*command_line, "--memory", "10"])
    assert result.exit_code == 6, result.stderr
    assert "needs 1 MiB a worker" in result.stderr
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(command, [*command_line, "-n"])
    assert re.search(r"memory a worker .*\n.* 1 MiB ", result.stdout)
    result = CliRunner().invoke(command, command_line)
    assert result.stdout.startswith(overlap.text(Dataset(str(tmp_path / "out")))[:200])
    assert "words of http://x/" in result.stdout
    assert "kept" not in result.stdout
    told = json.loads(CliRunner().invoke(command, [*command_line, "--json"]).stdout)
    assert told["answer"] == json.loads((tmp_path / "out" / "overlap.json").read_text())
    assert told["answer"]["sets"][0]["examples"] == len(examples)


DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not DATA.exists(), reason="the real data is not here")
def test_real_sets_with_planted_copies(tmp_path):
    """Exactly the planted share plus the natural one, by brute force over normalised texts."""

    def normalised(texts):
        return strings(*normalise(*buffers(pa.array(texts, pa.large_string())))).to_pylist()

    gsm8k = [
        json.loads(line)
        for line in next((DATA / "decontam/gsm8k").glob("*test*.jsonl")).read_text().splitlines()
    ]
    questions = [f"{row['question']}\n{row['answer']}" for row in gsm8k][:400]
    wiki = (DATA / "text/wikitext2/valid.txt").read_text()
    pages = [
        json.loads(line)["text"] for line in (DATA / "text/human_quality.jsonl").read_text().splitlines()
    ]
    training = pages[:100] + questions[:20] + [wiki[20_000:40_000]]
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in questions))
    (tmp_path / "wiki.txt").write_text(wiki)
    source = write_dataset(tmp_path / "train", documents(training))
    sets = (f"gsm8k={tmp_path / 'gsm8k.jsonl'}", f"wiki={tmp_path / 'wiki.txt'}")
    found = table(Overlap(eval=sets), source, folder=tmp_path)
    known = {
        tuple(words[i : i + 8])
        for words in map(str.split, normalised(training))
        for i in range(len(words) - 7)
    }
    for name, texts in (("gsm8k", questions), ("wiki", [wiki])):
        runs = [
            tuple(words[i : i + 8])
            for words in map(str.split, normalised(texts))
            for i in range(len(words) - 7)
        ]
        assert (found[name]["ngrams"], found[name]["found"]) == (len(runs), sum(run in known for run in runs))
        assert found[name]["false_positives"] == 0
    planted = sum(len(text.split()) - 7 for text in normalised(questions[:20]))
    assert found["gsm8k"]["found"] >= planted
    assert found["wiki"]["longest"][0]["words"] > 3000
