"""Heads on vectors: the numbers of torch's own layers, and files that are damaged, hostile or odd."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpuskit.errors import InputError, UsageError
from corpuskit.filter import heads
from corpuskit.filter.heads import Head, digest, load, parse

safetensors = pytest.importorskip("safetensors.numpy")

WIDTH = 6
VECTORS = np.random.default_rng(0).normal(size=(5, WIDTH)).astype(np.float32)


def weights(*shapes: tuple[int, int], names: str = "layers.{}") -> dict[str, np.ndarray]:
    """Make random layers, numbered in twos as torch numbers them where something lies between."""
    random = np.random.default_rng(1)
    found = {}
    for number, (out, into) in enumerate(shapes):
        name = names.format(number * 2)
        found[f"{name}.weight"] = random.normal(size=(out, into)).astype(np.float32)
        found[f"{name}.bias"] = random.normal(size=out).astype(np.float32)
    return found


MLP = weights((9, WIDTH), (4, 9), (1, 4))


def write(folder: Path, tensors: dict[str, np.ndarray], ending: str = "safetensors", **beside: object) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / f"head.{ending}"
    if ending == "safetensors":
        safetensors.save_file(tensors, path)
    elif ending == "npz":
        np.savez(path, **tensors)  # type: ignore[arg-type]
    else:
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, path)
    if beside:
        path.with_suffix(".json").write_text(json.dumps(beside))
    return str(path)


def scores(path: str, vectors: np.ndarray = VECTORS) -> np.ndarray:
    return np.asarray(load(path).scores(vectors))


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("ending", ["safetensors", "npz", "pt", "pth"])
def test_every_kind_of_file_gives_the_same(ending: str, tmp_path: Path) -> None:
    values = unit(VECTORS)
    for number in (0, 2, 4):
        values = values @ MLP[f"layers.{number}.weight"].T + MLP[f"layers.{number}.bias"]
    np.testing.assert_allclose(scores(write(tmp_path, MLP, ending)), values[:, 0], rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize("output", ["none", "sigmoid"])
def test_activations_are_those_of_torch(activation: str, output: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    between = {"relu": torch.relu, "gelu": torch.nn.functional.gelu, "tanh": torch.tanh}[activation]
    values = torch.from_numpy(VECTORS)
    for number in (0, 2, 4):
        layer = [torch.from_numpy(MLP[f"layers.{number}.{part}"]) for part in ("weight", "bias")]
        values = torch.nn.functional.linear(values, *layer)
        values = between(values) if number < 4 else values
    wanted = torch.sigmoid(values) if output == "sigmoid" else values
    path = write(tmp_path, MLP, activation=activation, output=output, normalize=False)
    np.testing.assert_allclose(scores(path), wanted.numpy()[:, 0], rtol=1e-5, atol=1e-6)


def test_a_class_of_several_and_what_is_taken_from_vectors_before(tmp_path: Path) -> None:
    tensors = weights((3, WIDTH), names="fc")
    mean, std = VECTORS.mean(axis=0).tolist(), VECTORS.std(axis=0).tolist()
    told = {"class": 1, "output": "softmax", "normalize": False, "mean": mean, "std": std}
    path = write(tmp_path, tensors, **told)
    values = (VECTORS - np.array(mean)) / np.array(std) @ tensors["fc.weight"].T + tensors["fc.bias"]
    wanted = np.exp(values[:, 1]) / np.exp(values).sum(axis=1)
    np.testing.assert_allclose(scores(path), wanted, rtol=1e-5)


def test_the_aesthetic_predictors_of_laion(tmp_path: Path) -> None:
    """Their names and shapes, of 768 numbers: `weight` and `bias`; layers 0, 2, 4, 6, 7."""
    vectors = np.random.default_rng(2).normal(size=(2, 768)).astype(np.float32)
    linear = {"weight": np.full((1, 768), 0.1, np.float32), "bias": np.array([5], np.float32)}
    found = scores(write(tmp_path / "linear", linear, "pth"), vectors)
    np.testing.assert_allclose(found, 5 + 0.1 * unit(vectors).sum(axis=1), rtol=1e-5)
    sizes, places = (768, 1024, 128, 64, 16, 1), (0, 2, 4, 6, 7)
    mlp = {f"layers.{place}.weight": np.full((1, 1), 0.0, np.float32) for place in places}
    for place, into, out in zip(places, sizes, sizes[1:], strict=False):
        mlp[f"layers.{place}.weight"] = np.full((out, into), 1 / into, np.float32)
        mlp[f"layers.{place}.bias"] = np.full(out, 1, np.float32)
    found = scores(write(tmp_path / "mlp", mlp, "pth"), vectors)
    np.testing.assert_allclose(found, 5 + unit(vectors).mean(axis=1), rtol=1e-5)


def test_layers_are_ordered_by_number_not_by_letter(tmp_path: Path) -> None:
    tensors = {f"{number}.weight": np.eye(2, dtype=np.float32) for number in (0, 9)}
    tensors["10.weight"] = np.array([[2, 3]], np.float32)
    path = write(tmp_path, tensors, normalize=False)
    assert scores(path, np.array([[1, 10]], np.float32)).tolist() == [32]


def test_a_vector_that_is_not_there_has_no_score(tmp_path: Path) -> None:
    vectors = np.array([[np.nan, 1], [0, 0], [np.inf, 0], [3, 4]], np.float32)
    tensors = {"weight": np.array([1, 2], np.float32)}
    unit_ = load(write(tmp_path / "unit", tensors)).scores(vectors)
    assert unit_.to_pylist() == [None, None, None, pytest.approx(2.2)]
    raw = load(write(tmp_path / "raw", tensors, normalize=False)).scores(vectors)
    assert raw.to_pylist() == [None, 0, None, 11]
    assert load(write(tmp_path / "raw", tensors)).scores(vectors[:0]).to_pylist() == []


def test_a_batch_may_be_cut_anywhere(tmp_path: Path) -> None:
    head = load(write(tmp_path, weights((64, WIDTH), (1, 64)), activation="relu"))
    vectors = np.random.default_rng(3).normal(size=(200, WIDTH)).astype(np.float32)
    whole = head.scores(vectors).to_pylist()
    assert [one for row in vectors for one in head.scores(row[None]).to_pylist()] == whole


def test_a_head_that_changed_is_read_anew_and_its_digest_covers_what_stands_beside(tmp_path: Path) -> None:
    path = write(tmp_path, MLP)
    first, plain = digest(path), scores(path)
    assert digest(write(tmp_path / "elsewhere", MLP)) == first
    write(tmp_path, MLP, output="sigmoid")
    assert digest(path) != first
    assert (scores(path) != plain).any()
    write(tmp_path, MLP | {"layers.4.bias": np.array([7], np.float32)}, output="none")
    assert (scores(path) != plain).any()


def test_heads_are_named_once(tmp_path: Path) -> None:
    assert parse(["a=x=y.npz", "b=s3://u/v"]) == {"a": "x=y.npz", "b": "s3://u/v"}
    for given, what in [
        (["x.npz"], "write NAME=PATH"),
        (["a="], "write NAME=PATH"),
        (["a b=x"], "is no name of a column"),
        (["=x"], "is no name of a column"),
        (["a=x", "a=y"], "is there already"),
        (["text=x"], "is there already"),
    ]:
        with pytest.raises(UsageError, match="heads has") as caught:
            parse(given, taken=["text"])
        assert what in str(caught.value)


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "holds no weights"),
    "not a number": ({"weight": np.array([[np.nan]], np.float32)}, "no finite number"),
    "whole numbers": ({"weight": np.array([[1]])}, "no finite number"),
    "three sides": ({"weight": np.ones((1, 2, 3), np.float32)}, "has weights"),
    "a normalisation": ({"1.running_mean": np.ones(3, np.float32)}, "is of no linear layer"),
    "a bias alone": ({"bias": np.ones(1, np.float32)}, "is of no linear layer"),
    "a bias too long": ({"weight": np.ones((1, 2), np.float32), "bias": np.ones(2, np.float32)}, "bias"),
    "layers that do not follow": (weights((3, WIDTH), (1, 4)), "after 3 numbers"),
    "several classes": (weights((2, WIDTH)), "gives 2 numbers"),
}


@pytest.mark.parametrize("odd", ODD)
def test_weights_that_are_no_head(odd: str, tmp_path: Path) -> None:
    tensors, what = ODD[odd]
    with pytest.raises(InputError, match=what) as caught:
        load(write(tmp_path, tensors))
    assert caught.value.fix


BESIDE: list[tuple[dict[str, Any], str]] = [
    ({"activaton": "relu"}, "unknown key 'activaton'"),
    ({"activation": "swish"}, "activation is 'swish'"),
    ({"output": ["none"]}, "output is"),
    ({"on": "sound"}, "on is 'sound'"),
    ({"normalize": 1}, "normalize is 1"),
    ({"class": True}, "class is True"),
    ({"class": 3}, "gives 1 numbers"),
    ({"output": "softmax"}, "softmax makes 1"),
    ({"mean": "0"}, "no list of numbers"),
    ({"std": [0] * WIDTH}, "no list of numbers"),
    ({"mean": [1.0]}, "1 numbers of mean for vectors of 6"),
]


@pytest.mark.parametrize(("told", "what"), BESIDE)
def test_what_stands_beside_is_checked(told: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what):
        load(write(tmp_path, MLP, **told))


def test_json_that_is_none(tmp_path: Path) -> None:
    path = write(tmp_path, MLP)
    for text, what in [("{", "is no JSON"), ("[]", "holds no object")]:
        Path(path).with_suffix(".json").write_text(text)
        with pytest.raises(InputError, match=what):
            load(path)


class Program:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch = pytest.importorskip("torch")
    torch.save({"weight": Program()}, "head.pt")
    Path("head.pth").write_bytes(pickle.dumps({"weight": Program()}))
    np.savez("head.npz", weight=np.array([Program()], object))
    for name in ("head.pt", "head.pth", "head.npz"):
        with pytest.raises(InputError, match="is damaged, or more than weights"):
            load(name)
    assert not Path("executed").exists()


@pytest.mark.parametrize("ending", ["safetensors", "npz", "pt"])
def test_files_that_are_damaged(ending: str, tmp_path: Path) -> None:
    path = Path(write(tmp_path, MLP, ending))
    whole = path.read_bytes()
    for data in (b"", b"PK\3\4nothing", whole[:40], whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(InputError, match="is damaged") as caught:
            load(str(path))
        assert caught.value.fix


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_LARGEST", 1 << 20)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weight.npy", bytes(1 << 21))
    (tmp_path / "head.npz").write_bytes(out.getvalue())
    with pytest.raises(InputError, match="more than any head"):
        load(str(tmp_path / "head.npz"))


def test_no_head_and_an_ending_that_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent") as caught:
        load(str(tmp_path / "absent.npz"))
    assert caught.value.fix
    (tmp_path / "head.joblib").write_bytes(b"")
    with pytest.raises(UsageError, match=r"no \.joblib"):
        load(str(tmp_path / "head.joblib"))


def test_a_head_knows_its_width(tmp_path: Path) -> None:
    head = load(write(tmp_path, MLP))
    assert isinstance(head, Head)
    assert head.width == WIDTH
