"""Quality models as files: ours (weights of hashed tokens) and fastText's; each scores a column of texts.

A model of ours is a folder: `model.json` says what it is, what it was trained on and how good it was, and
pins `weights.npz` by its sha256; `README.md` says the same for people. Nothing in it is executed.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files
from corpuskit.errors import InputError, UsageError
from corpuskit.kernels import hashingtf
from corpuskit.kernels.utf8 import buffers

__all__ = [
    "DESCRIPTION",
    "LABEL",
    "FastText",
    "HashedWeights",
    "Model",
    "TermFrequency",
    "digest",
    "load",
    "write",
]

DESCRIPTION, WEIGHTS, CARD = "model.json", "weights.npz", "README.md"
FORMAT = 1
LABEL = "__label__hq"
"""What fastText's quality models call a good document: DCLM's label."""

Floats = npt.NDArray[np.float64]
TermFrequency = Literal["raw", "relative"]
"""What a bucket's value is: how often its tokens occur, or which share of the text's tokens they are."""


class Model(Protocol):
    """What scores documents."""

    def scores(self, text: pa.Array) -> pa.Array:
        """Score texts: float64, 0 to 1; null where the model says nothing."""


@dataclass(frozen=True, eq=False)
class HashedWeights:
    """Logistic regression over Spark's HashingTF, and the line that calibrates it.

    A text's score is `sigmoid(slope * (intercept + sum of its tokens' weights) + offset)`; of relative term
    frequencies it is the mean of the weights, not their sum.

    Attributes:
        weights: float64[2^18], one a bucket.
        intercept: The regression's.
        slope, offset: Platt's line: 1 and 0 give what scikit-learn's `predict_proba` gives.
        term_frequency: What the regression was trained on.
    """

    weights: Floats = field(repr=False)
    intercept: float
    slope: float = 1.0
    offset: float = 0.0
    term_frequency: TermFrequency = "raw"

    def margins(self, text: pa.Array) -> Floats:
        """Return the regression's value for each text, float64, before calibration."""
        sums, tokens = hashingtf.sums(*buffers(text), self.weights)
        if self.term_frequency == "relative":
            sums /= np.maximum(tokens, 1)
        return np.asarray(sums + self.intercept, np.float64)

    def scores(self, text: pa.Array) -> pa.Array:
        """Score texts: float64, 0 to 1. A text without tokens has the score of the intercept alone."""
        return pa.array(_sigmoid(self.slope * self.margins(text) + self.offset), pa.float64())


def _sigmoid(values: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp(710) is infinite, and 1 / (1 + inf) is the right 0
        return np.asarray(1 / (1 + np.exp(-values)), np.float64)


@dataclass(frozen=True, eq=False)
class FastText:
    """A supervised fastText model, trained by anyone: the score is the probability of one of its labels.

    Line ends count as spaces, as they did where DCLM's model was trained.
    """

    predict: Callable[[str, int, float, str], list[tuple[float, str]]] = field(repr=False)
    label: str

    def scores(self, text: pa.Array) -> pa.Array:
        """Score texts: float64, 0 to 1; null where the model says nothing of a text."""
        found = []
        for value in text.to_pylist():
            # fastText stops reading at a line end, and at its own word for one, which a page may hold.
            line = " ".join((value or "").split("\n")).replace("</s>", " ")
            said = {label: score for score, label in self.predict(f"{line}\n", -1, 0.0, "strict")}
            score = said.get(self.label)
            found.append(None if score is None else min(float(score), 1.0))
        return pa.array(found, pa.float64())


def digest(path: str) -> str:
    """Return 64 hex digits of all that a model is: of its description, which pins its weights, or its file.

    Raises:
        InputError: There is no model, or none that can be read.
    """
    if not _is_fasttext(path):
        return hashlib.sha256(_description(path)).hexdigest()
    return _file_digest(path, *_stamp(path))


def load(path: str, label: str = LABEL) -> Model:
    """Read a model once a process: a folder that `train quality` wrote, or fastText's `.bin` or `.ftz`.

    Raises:
        InputError: There is no model, or it is damaged or of another kind.
        UsageError: The fastText model has no such label.
    """
    if _is_fasttext(path):
        return _load_fasttext(path, label, *_stamp(path))
    return _load_weights(path, hashlib.sha256(_description(path)).hexdigest())


def write(folder: str, model: HashedWeights, told: Mapping[str, Any], card: str) -> None:
    """Write a model with what is told of it and a card; the description comes last, so a torn model is none.

    Raises:
        OSError: It cannot be written.
    """
    weights = _packed(model.weights)
    description = {
        "format": FORMAT,
        "kind": "quality",
        "hashing": "spark",
        "term_frequency": model.term_frequency,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "intercept": model.intercept,
        "slope": model.slope,
        "offset": model.offset,
        **told,
    }
    files.write_bytes(files.join(folder, WEIGHTS), weights)
    files.write_bytes(files.join(folder, CARD), card.encode())
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files.write_bytes(files.join(folder, DESCRIPTION), text.encode())


def _header() -> bytes:
    file = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (hashingtf.BUCKETS,)}
    np.lib.format.write_array_header_1_0(file, shape)
    return file.getvalue()


_HEADER = _header()
"""What stands before the weights in their file."""


def _packed(weights: Floats) -> bytes:
    file = io.BytesIO()
    np.savez(file, weights=np.asarray(weights, "<f8"))
    return file.getvalue()


def _unpacked(data: bytes) -> Floats:
    """Read what `_packed` wrote and nothing else: a hostile header could ask for any amount of memory.

    Raises:
        ValueError, zipfile.BadZipFile: It is something else.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (inside,) = archive.infolist()
        if inside.file_size != len(_HEADER) + 8 * hashingtf.BUCKETS:
            raise ValueError("it does not hold one weight a bucket")
        raw = archive.read(inside)
    if raw[: len(_HEADER)] != _HEADER:
        raise ValueError("it does not hold 64-bit weights")
    weights = np.frombuffer(raw, "<f8", offset=len(_HEADER))
    if not np.isfinite(weights).all():
        raise ValueError("a weight is not a number")
    return weights


def _description(path: str) -> bytes:
    try:
        return files.read_bytes(files.join(path, DESCRIPTION))
    except (FileNotFoundError, NotADirectoryError):
        what = "no quality model" if files.exists(path) else "nothing"
        raise InputError(
            f"there is {what} at {path}",
            fix="give a folder that `corpuskit train quality` wrote, or a fastText model (.bin, .ftz)",
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}/{DESCRIPTION}: {error.strerror or error}") from error


@functools.lru_cache(maxsize=4)
def _load_weights(path: str, version: str) -> HashedWeights:
    """Read a model of ours; `version` is its digest, so that a model trained anew is read anew."""
    fix = "train it again"
    try:
        told = json.loads(_description(path))
        kind = (told["format"], told["kind"], told["hashing"])
        intercept, slope, offset = (float(told[name]) for name in ("intercept", "slope", "offset"))
        term_frequency, pinned = told["term_frequency"], str(told["weights_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}/{DESCRIPTION} is damaged: {error!r}", fix=fix) from None
    known = kind == (FORMAT, "quality", "spark") and term_frequency in get_args(TermFrequency)
    if not known or not all(map(math.isfinite, (intercept, slope, offset))):
        what = (*kind, term_frequency)
        raise InputError(f"{path} is a model of another kind: {what}", fix="use the version that wrote it")
    try:
        data = files.read_bytes(files.join(path, WEIGHTS))
        if hashlib.sha256(data).hexdigest() != pinned:
            raise ValueError(f"its sha256 is not the one in {DESCRIPTION}")
        weights = _unpacked(data)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}/{WEIGHTS} is missing or damaged: {error}", fix=fix) from None
    return HashedWeights(weights, intercept, slope, offset, term_frequency)


def _is_fasttext(path: str) -> bool:
    return path.endswith((".bin", ".ftz"))


def _stamp(path: str) -> tuple[int, int]:
    """Return size and time of a file, by which a process knows that it has read it already."""
    try:
        found = Path(path).stat()
    except OSError as error:
        fix = "copy it here: fastText reads local files" if files.is_url(path) else "check the path"
        raise InputError(f"cannot read the model {path}: {error.strerror}", fix=fix) from None
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _file_digest(path: str, size: int, time: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=4)
def _load_fasttext(path: str, label: str, size: int, time: int) -> FastText:
    try:
        import fasttext
    except ImportError:
        raise InputError(
            "reading fastText models needs fasttext", fix="pip install fasttext-predict"
        ) from None
    try:
        predict = fasttext.load_model(path).f.predict  # the wrapper's own `predict` breaks under NumPy 2
        labels = [name for _, name in predict("a\n", -1, 0.0, "strict")]
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise InputError(f"{path} is not a fastText model: {error}", fix="get it again") from None
    if label not in labels:
        known = ", ".join(sorted(labels)[:8]) + (", ..." if len(labels) > 8 else "")
        raise UsageError(f"{path} has no label {label!r}", fix=f"choose with --label among {known}")
    return FastText(predict, label)
