"""Heads: small networks that turn a vector into one number, such as how beautiful an image is.

A head is one file of weights: linear layers, one after the other, the last of which gives one number or one a
class. LAION's aesthetic predictors, linear and MLP, are such as they are published. What a file of weights
cannot say stands in a file of JSON beside it, of the same name but for its ending:

    {
      "on": "image",            # or "text": whose vectors; where it is absent, images' if there are any
      "activation": "relu",     # between the layers: none (the default), relu, gelu, tanh
      "output": "sigmoid",      # of the last: none (the default), sigmoid, softmax
      "class": 1,               # which number is the head's, where the last layer gives several
      "normalize": true,        # whether the head was trained on vectors of length 1 (the default)
      "mean": [...], "std": [...]   # subtracted from each number of a vector, and divided by
    }
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files
from corpuskit.errors import InputError, UsageError
from corpuskit.filter.encoders import need
from corpuskit.settings import suggest

__all__ = ["Head", "digest", "load", "parse"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Modality = Literal["text", "image"]

_LARGEST = 256 << 20
"""Bytes that a file of weights may have: heads are small."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def _gelu(values: Doubles) -> Doubles:
    from scipy.special import erf

    return np.asarray(values * (0.5 + 0.5 * erf(values * math.sqrt(0.5))))


def _sigmoid(values: Doubles) -> Doubles:
    with np.errstate(over="ignore"):  # exp(100) is infinite, and 1 / (1 + inf) is the right 0
        return np.asarray(1 / (1 + np.exp(-values)))


def _softmax(values: Doubles) -> Doubles:
    shifted = np.exp(values - values.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _nothing(values: Doubles) -> Doubles:
    return values


Change = Callable[[Doubles], Doubles]
_ACTIVATIONS: dict[str, Change] = {
    "none": _nothing,
    "relu": lambda values: np.maximum(values, 0),
    "gelu": _gelu,
    "tanh": np.tanh,
}
_OUTPUTS: dict[str, Change] = {"none": _nothing, "sigmoid": _sigmoid, "softmax": _softmax}


@dataclass(frozen=True)
class Beside:
    """What the JSON beside a head's weights says; see the module."""

    on: Modality | None = None
    activation: str = "none"
    output: str = "none"
    class_: int | None = None
    normalize: bool = True
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Head:
    """A linear layer, or several.

    Attributes:
        layers: Of each layer the weights, float64[out, in], and the bias, float64[out].
        told: What stands beside.
    """

    layers: tuple[tuple[Doubles, Doubles], ...] = field(repr=False)
    told: Beside = Beside()

    @property
    def width(self) -> int:
        """How many numbers a vector must have."""
        return int(self.layers[0][0].shape[1])

    def scores(self, vectors: Floats) -> pa.Array:
        """Score float32[n, width]: float32; null for a row with a NaN, and for one of zeros.

        >>> head = Head(((np.array([[3.0, 4.0]]), np.array([1.0])),))
        >>> head.scores(np.array([[0, 2], [np.nan, 1]], np.float32)).to_pylist()
        [5.0, None]
        """
        known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
        values = np.asarray(vectors[known], np.float64)
        if self.told.normalize:
            lengths = np.linalg.norm(values, axis=1, keepdims=True)
            known[known] = lengths[:, 0] > 0
            values = (values / np.where(lengths > 0, lengths, 1))[lengths[:, 0] > 0]
        if self.told.mean:
            values = values - np.asarray(self.told.mean)
        if self.told.std:
            values = values / np.asarray(self.told.std)
        for number, (weights, bias) in enumerate(self.layers, 1):
            values = values @ weights.T + bias
            last = number == len(self.layers)
            values = (_OUTPUTS[self.told.output] if last else _ACTIVATIONS[self.told.activation])(values)
        out = np.zeros(len(vectors), np.float32)
        out[known] = values[:, self.told.class_ or 0]
        known[known] = np.isfinite(out[known])
        return pa.array(out, pa.float32(), mask=~known)


def parse(heads: Sequence[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Read `NAME=PATH` settings: the path of each head, by the name of its column.

    Raises:
        UsageError: One is written in another way, or its name is no name of a column or `taken`.

    >>> parse(["aesthetic=models/sac.safetensors"])
    {'aesthetic': 'models/sac.safetensors'}
    """
    found: dict[str, str] = {}
    for item in heads:
        name, equals, path = item.partition("=")
        if not (equals and path):
            raise UsageError(f"heads has {item!r}", fix="write NAME=PATH: aesthetic=head.safetensors")
        if not _NAME.fullmatch(name) or name in found or name in taken:
            why = "is there already" if name in found or name in taken else "is no name of a column"
            raise UsageError(f"heads has {item!r}, but {name!r} {why}", fix="give the head another name")
        found[name] = path
    return found


def digest(path: str) -> str:
    """Return 64 hex digits of a head: of its weights and of what stands beside.

    Raises:
        InputError: There is none.
    """
    found = [hashlib.sha256(_bytes(one)).digest() for one in (path, *_beside_path(path))]
    return hashlib.sha256(b"".join(found)).hexdigest()


def load(path: str) -> Head:
    """Read a head, once a process: safetensors, npz, or the weights alone of torch's .pt and .pth.

    Source: LAION's aesthetic predictors: `sa_0_4_vit_l_14_linear.pth` (one layer) and the "improved" one,
    `sac+logos+ava1-l14-linearMSE.pth` (five layers without activations between them).

    Raises:
        InputError: There is none, or its layers do not follow one upon the other.
        UsageError: A package is missing.
    """
    if not files.exists(path):
        raise InputError(f"there is no head at {path}", fix="check the path")
    beside = _beside_path(path)
    return _load(path, beside, tuple(files.identity(one) for one in (path, *beside)))


@functools.lru_cache(maxsize=16)
def _load(path: str, beside: tuple[str, ...], identities: tuple[tuple[int, str], ...]) -> Head:
    """Read a head; the identities are those of its files, so that one that was changed is read anew."""
    layers = _layers(path, _tensors(path, _bytes(path)))
    told = _read_beside(beside[0]) if beside else Beside()
    width, classes = layers[0][0].shape[1], layers[-1][0].shape[0]
    if classes > 1 if told.class_ is None else told.class_ >= classes:
        raise InputError(f"{path} gives {classes} numbers", fix='say in JSON beside which: {"class": 0}')
    if told.output == "softmax" and classes == 1:
        raise InputError(f"{path} gives one number, of which softmax makes 1", fix='say "output": "sigmoid"')
    for name, values in (("mean", told.mean), ("std", told.std)):
        if values and len(values) != width:
            raise InputError(f"{beside[0]} has {len(values)} numbers of {name} for vectors of {width}")
    return Head(layers, told)


def _beside_path(path: str) -> tuple[str, ...]:
    beside = re.sub(r"\.[A-Za-z0-9]+$", "", path) + ".json"
    return (beside,) if files.exists(beside) else ()


def _bytes(path: str) -> bytes:
    try:
        size = files.size(path) or 0
        if size > _LARGEST:
            raise InputError(f"{path} has {size:,} bytes, and no head is so large", fix="give the head alone")
        return files.read_bytes(path)
    except OSError as error:
        what = f"cannot read the head {path}: {error.strerror or error}"
        raise InputError(what, fix="check the path") from None


def _tensors(path: str, data: bytes) -> dict[str, Any]:
    """Read the arrays of a file by its ending."""
    ending = path.rpartition(".")[2].lower()
    if ending not in _READERS:
        raise UsageError(f"a head is no .{ending}", fix="give .safetensors, .npz, .pt or .pth")
    try:
        if data[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(item.file_size for item in archive.infolist()) > _LARGEST:
                    raise InputError(f"{path} unpacks to more than any head has", fix="give the head alone")
        return _READERS[ending](data)
    except (InputError, UsageError):
        raise
    except Exception as error:  # noqa: BLE001 - each library raises its own at hostile bytes
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} is damaged, or more than weights: {line}", fix="get the head again"
        ) from None


def _safetensors(data: bytes) -> dict[str, Any]:
    need("safetensors")
    from safetensors.numpy import load as read

    return dict(read(data))


def _npz(data: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _torch(data: bytes) -> dict[str, Any]:
    need("torch")
    import torch

    found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    found = found.get("state_dict", found)
    return {name: tensor.detach().float().numpy() for name, tensor in found.items()}


_READERS = {"safetensors": _safetensors, "npz": _npz, "pt": _torch, "pth": _torch}


def _layers(path: str, tensors: Mapping[str, Any]) -> tuple[tuple[Doubles, Doubles], ...]:
    """Put the layers in the order of the numbers in their names, and check that they fit."""
    names = sorted({name.rpartition(".")[0] for name in tensors}, key=_by_number)
    if not names:
        raise InputError(f"{path} holds no weights", fix="get the head again")
    layers: list[tuple[Doubles, Doubles]] = []
    for name in names:
        prefix = f"{name}." if name else ""
        strange = {key for key in tensors if key.rpartition(".")[0] == name}
        strange -= {f"{prefix}weight", f"{prefix}bias"}
        if strange or f"{prefix}weight" not in tensors:
            odd = sorted(strange)[0] if strange else f"{prefix}bias"
            what = f"{path} has {odd!r}, which is of no linear layer"
            raise InputError(what, fix="give each layer as NAME.weight and NAME.bias")
        weights = np.atleast_2d(_numbers(path, tensors[f"{prefix}weight"]))
        bias = _numbers(path, tensors.get(f"{prefix}bias", np.zeros(len(weights), np.float32)))
        wanted = layers[-1][0].shape[0] if layers else weights.shape[-1]
        if weights.ndim != 2 or not weights.size or weights.shape[1] != wanted or bias.size != len(weights):
            shapes = f"weights {list(weights.shape)} and bias {list(bias.shape)}"
            before = f" after {wanted} numbers" if layers else ""
            raise InputError(f"{path}: layer {name!r} has {shapes}{before}", fix="get the head again")
        layers.append((weights, bias.reshape(-1)))
    return tuple(layers)


def _numbers(path: str, value: Any) -> Doubles:  # noqa: ANN401 - whatever a file holds
    found = np.asarray(value)
    if not np.issubdtype(found.dtype, np.floating) or not np.isfinite(found).all():
        raise InputError(f"{path} holds what is no finite number", fix="get the head again")
    return found.astype(np.float64)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sort `layers.10` after `layers.9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


_CHOICES: dict[str, tuple[Any, ...]] = {
    "on": ("text", "image"),
    "activation": tuple(_ACTIVATIONS),
    "output": tuple(_OUTPUTS),
    "normalize": (True, False),
}


def _read_beside(path: str) -> Beside:
    try:
        told = json.loads(_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise InputError(f"{path} holds no object", fix='write it like {"output": "sigmoid"}')
    for key, value in told.items():
        if key not in (*_CHOICES, "class", "mean", "std"):
            raise InputError(
                f"{path}: unknown key {key!r}", fix=suggest(key, (*_CHOICES, "class", "mean", "std"))
            )
        if key in _CHOICES and not (type(value) in (str, bool) and value in _CHOICES[key]):
            choices = ", ".join(map(json.dumps, _CHOICES[key]))
            raise InputError(f"{path}: {key} is {value!r}", fix=f"one of {choices}")
        if key == "class" and not (type(value) is int and value >= 0):
            raise InputError(f"{path}: class is {value!r}", fix="count the numbers of the last layer from 0")
        if key in ("mean", "std") and not _is_numbers(value, zero=key == "mean"):
            raise InputError(
                f"{path}: {key} is no list of numbers", fix="write one number for each of a vector's"
            )
    found = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    values: dict[str, Any] = {f"{key}_" if key == "class" else key: value for key, value in found.items()}
    return Beside(**values)


def _is_numbers(value: Any, *, zero: bool) -> bool:  # noqa: ANN401 - whatever a file holds
    numbers = isinstance(value, list) and all(type(one) in (int, float) for one in value)
    return numbers and all(math.isfinite(one) and (zero or one != 0) for one in value)
