"""Text models of transformers and sentence-transformers: batches by padded tokens, on a GPU or on cores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from corpuskit.errors import DoesNotFit, InputError, UsageError
from corpuskit.filter.encoders import Encoding, Floats, batching, locate, read_json
from corpuskit.filter.encoders.batching import Rows
from corpuskit.filter.encoders.devices import place
from corpuskit.filter.encoders.packing import packed
from corpuskit.filter.encoders.pooling import Making, pool, read
from corpuskit.filter.encoders.tokenising import Pieces, Tokenising

__all__ = ["Transformer", "load"]

_MOST_TOKENS = 8192
"""Where neither a model nor its tokenizer says how much it reads."""


class Transformer:
    """A model of text with a tokenizer and a way to pool.

    `prepare` and `encode` are the halves of `encode_texts`: the first needs no model, and may run in another
    thread for the next texts while the second computes.

    Attributes:
        width: How many numbers a vector has.
        digest: sha256 of the model's files.
        threads: On how many cores to compute where there is no GPU. Each batch is computed on one, so the
            number changes nothing in the vectors.
    """

    modalities = frozenset({"text"})

    def __init__(
        self, model: torch.nn.Module, tokenise: Tokenising, making: Making, encoding: Encoding, version: str
    ) -> None:
        self.prepare = tokenise
        self.digest = version
        self.threads = 1
        self._making = making
        config: Any = model.config
        self.width = int(config.hidden_size)
        self._padding = int(getattr(config, "pad_token_id", None) or 0)
        weights = next(model.parameters())
        self._device, self._dtype = weights.device, weights.dtype
        self._budget = encoding.tokens_at_once(self._device.type)
        self._fits = self._budget
        self._run: Any = torch.compile(model, dynamic=True) if encoding.compile else model

    def encode_texts(self, texts: pa.Array) -> Floats:
        """Encode texts: float32[len(texts), width]; a row of NaN for one that is null or of white space.

        Raises:
            DoesNotFit: One text alone is too much for the memory of the device.
        """
        return self.encode(self.prepare(texts))

    def encode_images(self, images: pa.Array) -> Floats:
        """Refuse: these are models of texts."""
        raise UsageError("a model of texts has no vectors of images")

    def counts(self, pieces: Pieces) -> dict[str, int]:
        """Count tokens: without padding, with it, and with what it would be in the order of the texts."""
        lengths = pieces.lengths
        batches, plain = batching.plan(lengths, self._budget), batching.plain(lengths, self._budget)
        return {
            "tokens": int(lengths.sum()),
            "tokens with padding": batching.padded_tokens(lengths, batches),
            "tokens with padding in plain order": batching.padded_tokens(lengths, plain),
        }

    def encode(self, pieces: Pieces) -> Floats:
        """Encode what `prepare` gave.

        Raises:
            DoesNotFit: One text alone is too much for the memory of the device.
            InputError: The model gives infinity, or no number, for a text.
        """
        batches = batching.plan(pieces.lengths, self._budget)
        vectors = np.empty((len(pieces.lengths), self.width), np.float32)
        if not batches:
            return pieces.joined(vectors, False)
        on_gpu = self._device.type != "cpu"
        found = self._queued(pieces, batches) if on_gpu else self._spread(pieces, batches)
        vectors[np.concatenate(batches)] = found.numpy()
        if not np.isfinite(vectors).all():
            what = f"the model gives vectors that are no numbers, where it computes with {self._dtype}"
            raise InputError(what, fix="--dtype float32; or get the model again")
        return pieces.joined(vectors, self._making.normalize)

    def _queued(self, pieces: Pieces, batches: list[Rows]) -> torch.Tensor:
        """Send batches to the GPU one after the other without waiting for any; fetch all at the end."""
        return torch.cat([self._vectors(pieces, rows) for rows in batches]).cpu()

    def _spread(self, pieces: Pieces, batches: list[Rows]) -> torch.Tensor:
        """Compute batches on cores, each on one."""
        with ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as cores:
            return torch.cat(list(cores.map(lambda rows: self._vectors(pieces, rows), batches)))

    def _vectors(self, pieces: Pieces, rows: Rows) -> torch.Tensor:
        """Encode one batch; where the memory is too small, in halves, as then all later ones of its size."""
        size = len(rows) * int(pieces.lengths[rows].max())
        if size <= self._fits or len(rows) == 1:
            with contextlib.suppress(_OutOfMemory):
                return self._forward(pieces, rows)
            if len(rows) == 1:
                raise DoesNotFit(
                    f"a text of {size:,} tokens is too much for the memory of {self._device}",
                    fix="choose a smaller model, or --dtype bf16",
                )
            self._fits = min(self._fits, size // 2)
            if self._device.type != "cpu":
                torch.cuda.empty_cache()
        half = len(rows) // 2
        return torch.cat([self._vectors(pieces, part) for part in (rows[:half], rows[half:])])

    def _forward(self, pieces: Pieces, rows: Rows) -> torch.Tensor:
        """Encode one batch: float32[rows, width] on the device.

        Raises:
            _OutOfMemory: It does not fit.
        """
        starts, lengths = pieces.starts[rows], pieces.lengths[rows]
        ids, mask = (
            torch.from_numpy(each) for each in batching.filled(pieces.ids, starts, lengths, self._padding)
        )
        if self._device.type != "cpu":
            ids, mask = (each.pin_memory().to(self._device, non_blocking=True) for each in (ids, mask))
        padded = int(lengths.min()) < ids.shape[1]
        try:
            with torch.inference_mode():
                hidden = self._run(input_ids=ids, attention_mask=mask if padded else None).last_hidden_state
                found = pool(hidden, mask, self._making.pooling)
                return torch.nn.functional.normalize(found) if self._making.normalize else found
        except torch.OutOfMemoryError as error:
            raise _OutOfMemory from error
        except RuntimeError as error:
            if "can't allocate memory" not in str(error):  # how torch says it of a machine's own memory
                raise
            raise _OutOfMemory from error


class _OutOfMemory(Exception):
    """A batch does not fit into the memory of the device."""


def load(encoding: Encoding, version: str) -> Transformer:
    """Read a model and its tokenizer from safetensors and JSON; nothing of it is executed.

    Raises:
        InputError: It is damaged, or of a kind that is not read.
        UsageError: A GPU is asked for, and there is none.
    """
    import transformers

    folder = locate(encoding.model)
    making = read(folder, encoding)
    config = read_json(folder / "config.json")
    if config.get("is_encoder_decoder"):
        raise InputError(f"{folder} is an encoder with a decoder", fix="take a model with one of them")
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder} has no weights in safetensors; others are programs, and not read",
            fix="convert it: AutoModel.from_pretrained(...).save_pretrained(..., safe_serialization=True)",
        )
    device, dtype = place(encoding)
    with _quiet(transformers):
        try:
            model = transformers.AutoModel.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
            )
            words: Any = transformers.AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
        except Exception as error:  # noqa: BLE001 - each part of transformers raises its own at a damaged file
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"{folder} cannot be read: {line}", fix="get the model again") from None
    tokenizer = getattr(words, "backend_tokenizer", None)
    if tokenizer is None:
        raise InputError(f"{folder} has no fast tokenizer (tokenizer.json)", fix="save it with transformers")
    most = _most_tokens(making, config, int(min(words.model_max_length, 1 << 40)))
    tokenise = Tokenising(tokenizer, most, making, windows=encoding.long == "mean-of-windows")
    model = model.eval().requires_grad_(False).to(device)
    if device.type == "cpu" and not encoding.compile:
        packed(model)
    return Transformer(model, tokenise, making, encoding, version)


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:  # noqa: ANN401 - a module
    """Keep transformers' bars and warnings from the terminal."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _most_tokens(making: Making, config: dict[str, Any], tokenizer: int) -> int:
    """Say how many tokens of a text are read: what it was trained for, within its places."""
    places = config.get("max_position_embeddings")
    if isinstance(places, int) and config.get("model_type") in _AFTER_PADDING:
        places -= int(config.get("pad_token_id") or 0) + 1
    known = [making.most_tokens, places, tokenizer if tokenizer < 1 << 30 else None]
    return min([number for number in known if isinstance(number, int) and number > 0], default=_MOST_TOKENS)


_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "longformer"})
"""Models that number places from after the padding's id."""
