"""Models that turn texts and images into vectors: what they are asked, and which one a name stands for."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.errors import InputError, TryLater, UsageError
from corpuskit.settings import passed_on, setting

__all__ = [
    "Encoder",
    "Encoding",
    "Floats",
    "Shape",
    "digest",
    "load",
    "locate",
    "need",
    "read_json",
    "read_list",
    "shape",
    "with_prompt",
]

Floats = npt.NDArray[np.float32]

PARTS = (".json", ".txt", ".safetensors", ".model")
"""What a model is made of. Pickled weights (.bin, .pt) are programs and never read."""


@dataclass(frozen=True)
class Encoding:
    """How texts and images become vectors: the settings that every stage with a model of vectors shares."""

    model: str = setting(
        MISSING, "a folder or the name on the Hugging Face hub of a model; or wordllama, which needs no other"
    )
    batch_tokens: int | None = setting(
        None,
        "how many tokens, padding included, go through the model at once; absent: 65536 on a GPU, else 2048",
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "where to compute; auto: on a GPU if there is one", content=False
    )
    dtype: Literal["auto", "float32", "bf16", "fp16"] = setting(
        "auto", "numbers to compute with; auto: float32 on the CPU, bf16 on a GPU"
    )
    long: Literal["truncate", "mean-of-windows"] = setting(
        "truncate", "of a text longer than the model reads: its beginning, or the mean of all its windows"
    )
    pooling: Literal["mean", "cls", "last"] | None = setting(
        None, "which tokens' vectors make the text's; absent: what the model's folder says, else mean"
    )
    normalize: bool = setting(False, "scale vectors to length 1, as is done where the model's folder says so")
    prompt: str | None = setting(
        None, "what to put before each text, such as E5's 'passage: '; absent: what the model's folder says"
    )
    compile: bool = setting(False, "compile the model with torch.compile: slow to start, then faster")

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise UsageError(
                f"batch_tokens is {self.batch_tokens}", fix="give a number above 0, such as 16384"
            )

    def tokens_at_once(self, device: str) -> int:
        """Say how many tokens go through the model at once on `cpu` or `cuda`."""
        return self.batch_tokens or (65536 if device == "cuda" else 2048)


class Encoder(Protocol):
    """What turns texts, images or both into vectors.

    Attributes:
        width: How many numbers a vector has.
        digest: sha256 of the model's files, 64 hex digits.
        modalities: `text`, `image` or both; what is not named is not to be called.
    """

    width: int
    digest: str
    modalities: frozenset[str]

    def encode_texts(self, texts: pa.Array) -> Floats:
        """Encode texts (string or large_string): float32[len(texts), width].

        A null text, and one without any character that is not space, has a row of NaN.
        """

    def encode_images(self, images: pa.Array) -> Floats:
        """Encode the bytes of image files (binary or large_binary): float32[len(images), width].

        A null image, and one that cannot be decoded, has a row of NaN.
        """


@dataclass(frozen=True)
class Shape:
    """What a model makes: vectors of `width` numbers, of texts, images or both (`modalities`)."""

    width: int
    modalities: frozenset[str]


def shape(encoding: Encoding) -> Shape:
    """Say what a model makes; its weights are not read where a file of its folder says it.

    Raises:
        InputError, UsageError, TryLater: As `load`.
    """
    kind = _kind(encoding.model)
    told: object = None
    if kind != "static":
        need("torch", "transformers")
        told = _told_width(locate(encoding.model), kind)
    if isinstance(told, int):
        return Shape(told, frozenset({"text"} if kind == "transformer" else {"text", "image"}))
    encoder = load(encoding)
    return Shape(encoder.width, encoder.modalities)


def _told_width(folder: Path, kind: str) -> object:
    if (folder / "open_clip_config.json").exists():
        inside = read_json(folder / "open_clip_config.json").get("model_cfg")
        return inside.get("embed_dim") if isinstance(inside, dict) else None
    return read_json(folder / "config.json").get("hidden_size" if kind == "transformer" else "projection_dim")


def load(encoding: Encoding) -> Encoder:
    """Read a model, once a process.

    Raises:
        InputError: There is no such model, or it is damaged or of a kind that is not read.
        UsageError: A package is missing, or the settings ask for what the model or the machine has not.
        TryLater: The hub cannot be reached.
    """
    return _load(passed_on(Encoding, encoding), digest(encoding.model))


@functools.lru_cache(maxsize=2)
def _load(encoding: Encoding, version: str) -> Encoder:
    """Read a model; `version` is its digest, so that a model that was changed is read anew."""
    kind = _kind(encoding.model)
    if kind == "static":
        from corpuskit.filter.encoders import static

        return static.load(encoding, version)
    if kind == "clip":
        from corpuskit.filter.encoders import clip

        return clip.load(encoding, version)
    need("torch", "transformers")
    from corpuskit.filter.encoders import transformer

    return transformer.load(encoding, version)


def _kind(model: str) -> str:
    """Tell by its files what kind of model a name stands for: `static`, `clip` or `transformer`."""
    if model == "wordllama":
        return "static"
    folder = locate(model)
    if (folder / "open_clip_config.json").exists():
        return "clip"
    if _is_static(folder):
        return "static"
    config = read_json(folder / "config.json")
    if config.get("model_type") == "model2vec":
        return "static"
    return "clip" if config.get("model_type") in ("clip", "siglip") else "transformer"


def _is_static(folder: Path) -> bool:
    """Say whether a folder holds static embeddings, as model2vec or sentence-transformers write them."""
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
        return str(modules[0]["type"]).endswith(".StaticEmbedding")
    except (OSError, ValueError, LookupError, TypeError):
        return False


def read_json(path: Path) -> dict[str, Any]:
    """Read a model's JSON file, an object.

    Raises:
        InputError: It is missing, or something else.
    """
    found = _json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path} is damaged: it holds no object", fix="get the model again")
    return found


def read_list(path: Path) -> list[dict[str, Any]]:
    """Read a model's JSON file, a list of objects.

    Raises:
        InputError: It is missing, or something else.
    """
    found = _json(path)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f"{path} is damaged: it holds no list of objects", fix="get the model again")
    return found


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", fix="give the folder of a model") from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", fix="get the model again") from None


def locate(model: str) -> Path:
    """Return the local folder of a model, fetched from the hub where `model` is a name there.

    Raises:
        InputError: There is neither a folder nor a model of that name.
        TryLater: The hub cannot be reached, and the model was not fetched before.
    """
    if Path(model).is_dir():
        return Path(model)
    if Path(model).exists() or model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise InputError(
            f"there is no folder of a model at {model}", fix="give a folder, or OWNER/NAME of the hub"
        )
    return _fetch(model)


@functools.cache
def _fetch(name: str) -> Path:
    need("huggingface_hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    wanted = [f"*{part}" for part in PARTS]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (RepositoryNotFoundError, HFValidationError):
        what = f"there is no folder {name}, and no such model on the hub"
        raise InputError(what, fix="check the path or the name") from None
    except (LocalEntryNotFoundError, OSError):
        raise TryLater(
            f"there is no folder {name}, and the Hugging Face hub cannot be reached",
            fix="check the path; or fetch the model where there is a network, and give its folder",
        ) from None


def model_files(model: str) -> tuple[Path, ...]:
    """List the files that a model consists of, sorted by name."""
    if model == "wordllama":
        from corpuskit.filter.encoders import static

        return static.wordllama_files()
    folder = locate(model)
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix in PARTS and path.is_file()))


def digest(model: str) -> str:
    """Return 64 hex digits of all the files of a model, whatever its folder is called.

    Raises:
        InputError, TryLater: As `locate`.
    """
    files = model_files(model)
    root = files[0].parent if model == "wordllama" else locate(model)
    stamps = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return _digest(root, stamps)


@functools.lru_cache(maxsize=8)
def _digest(root: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    total = hashlib.sha256()
    for name, _, _ in stamps:
        path = Path(name)
        with path.open("rb") as file:
            inside = hashlib.file_digest(file, "sha256").hexdigest()
        inner = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        total.update(f"{inner}\0{inside}\n".encode())
    return total.hexdigest()


def with_prompt(texts: pa.Array, prompt: str | None) -> pa.LargeStringArray:
    """Put a prompt before each text; one that is null or of white space alone is empty, and stays so.

    >>> with_prompt(pa.array(["a", " ", None]), "of ").to_pylist()
    ['of a', '', '']
    """
    text = pc.fill_null(texts.cast(pa.large_string()), "")
    text = pc.if_else(pc.utf8_is_space(text), "", text)
    if not prompt:
        return text
    before, nothing = (pa.scalar(value, pa.large_string()) for value in (prompt, ""))
    return pc.if_else(pc.equal(text, nothing), text, pc.binary_join_element_wise(before, text, nothing))


def need(*packages: str) -> None:
    """Check that optional packages are there, without importing them.

    Raises:
        UsageError: One is missing.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"models of vectors need {package}", fix="pip install 'corpuskit[embed]'")
