"""CLIP of random weights: the numbers of transformers, images that are hostile, models that are damaged."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from corpuskit.errors import InputError, UsageError
from corpuskit.filter.encoders import Encoding, load
from corpuskit.filter.encoders.preprocess import Preprocess, from_open_clip, from_transformers

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXTS = ["a dog", "A dog runs on the beach, and another one sleeps", "", None, " \n", "ÉÉ 日本 🙂"]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (max(2, height // 9), max(2, width // 9), 3))
    return Image.fromarray(noise.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def file(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.large_string())


def images(*values: bytes | None) -> pa.Array:
    return pa.array(values, pa.binary())


def theirs(folder: str, of: list[str] | list[Image.Image]) -> np.ndarray:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    model = transformers.CLIPModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        if isinstance(of[0], str):
            tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
            given = tokenizer(of, padding=True, truncation=True, max_length=12, return_tensors="pt")
            found = model.get_text_features(**given)
        else:
            given = CLIPImageProcessorPil.from_pretrained(folder)(of, return_tensors="pt")
            found = model.get_image_features(given["pixel_values"])
    return found.pooler_output.numpy()


def test_texts_are_those_of_transformers(clip: str) -> None:
    model = load(Encoding(model=clip))
    found = model.encode_texts(texts(*TEXTS))
    assert (model.width, found.shape, found.dtype) == (8, (6, 8), np.float32)
    assert model.modalities == {"text", "image"}
    there = [0, 1, 5]
    assert np.isnan(np.delete(found, there, axis=0)).all()
    np.testing.assert_allclose(found[there], theirs(clip, [str(TEXTS[at]) for at in there]), atol=1e-5)


SIZES = [(32, 32), (100, 40), (40, 100), (33, 500), (9, 7), (401, 399)]


def test_images_are_those_of_transformers(clip: str) -> None:
    pictures = [picture(*size) for size in SIZES]
    found = load(Encoding(model=clip)).encode_images(images(*map(file, pictures)))
    np.testing.assert_allclose(found, theirs(clip, pictures), atol=1e-4)


@pytest.mark.parametrize("size", [*SIZES, (640, 480), (224, 224), (3, 4)])
@pytest.mark.parametrize("edge", [224, 30])
def test_preprocessing_is_that_of_transformers(size: tuple[int, int], edge: int) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    image = picture(*size)
    told = {"size": {"shortest_edge": edge}, "crop_size": {"height": 224, "width": 224}}
    wanted = CLIPImageProcessorPil(**told)(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(from_transformers(told, 224, "here")(image), wanted, atol=1e-3)


def test_a_thread_of_pixels_becomes_no_giant() -> None:
    """Of 1 by 50,000 pixels the middle is seen; resized whole it would be 224 by 11 million."""
    image = Image.new("RGB", (1, 50_000), "black")
    image.paste((255, 255, 255), (0, 24_990, 1, 25_010))
    found = Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3)(image)
    assert found.shape == (3, 224, 224)
    assert (found == 1).all()


GOOD = file(picture(50, 40))


def bomb() -> bytes:
    """Make a PNG that says it is 60,000 pixels wide and high."""
    head = b"IHDR" + struct.pack(">II", 60_000, 60_000) + GOOD[24:29]
    return GOOD[:12] + head + struct.pack(">I", zlib.crc32(head)) + GOOD[33:]


HOSTILE = {
    "null": None,
    "empty": b"",
    "no image": b"<html>nothing here</html>",
    "cut": GOOD[: len(GOOD) // 2],
    "a head alone": GOOD[:40],
    "another decoder": file(picture(20, 20), "BMP"),
    "a bomb": bomb(),
}


def test_an_image_that_cannot_be_decoded_has_no_vector(clip: str) -> None:
    model = load(Encoding(model=clip))
    found = model.encode_images(images(GOOD, *HOSTILE.values(), GOOD))
    assert np.isfinite(found[[0, -1]]).all()
    assert np.isnan(found[1:-1]).all()
    np.testing.assert_allclose(found[0], found[-1], atol=1e-6)
    assert np.isnan(model.encode_images(images(None, b"x"))).all()
    assert model.encode_images(images()).shape == (0, 8)


def test_kinds_of_images_are_made_rgb(clip: str) -> None:
    grey = picture(40, 40).convert("L")
    alike = [grey, grey.convert("RGB"), grey.convert("RGBA")]
    found = load(Encoding(model=clip)).encode_images(images(*map(file, alike)))
    np.testing.assert_allclose(found[1:], found[:1].repeat(2, axis=0), atol=1e-6)


def test_small_batches_give_the_same_vectors(clip: str) -> None:
    one, many = (load(Encoding(model=clip, batch_tokens=tokens)) for tokens in (1, 16384))
    given = texts(*[f"a dog and {number} cats"[: 9 + number] for number in range(9)])
    np.testing.assert_allclose(one.encode_texts(given), many.encode_texts(given), atol=1e-6)
    pictures = images(GOOD, b"", *(file(picture(40, 30 + size)) for size in range(5)))
    np.testing.assert_allclose(one.encode_images(pictures), many.encode_images(pictures), atol=1e-6)


def test_the_mean_of_windows_is_weighted_by_tokens(clip: str) -> None:
    """Ten letters fill a window between its ends; a rest of two has four tokens."""
    whole = load(Encoding(model=clip, long="mean-of-windows"))
    plain = load(Encoding(model=clip))
    first, rest, both = whole.encode_texts(texts("a " * 10, "b c", "a " * 10 + "b c"))
    np.testing.assert_allclose(both, (12 * first + 4 * rest) / 16, atol=1e-6)
    np.testing.assert_allclose(plain.encode_texts(texts("a " * 10 + "b c"))[0], first, atol=1e-6)


def test_normalize_scales(clip: str) -> None:
    model = load(Encoding(model=clip, normalize=True))
    for found in (model.encode_texts(texts("a dog", None)), model.encode_images(images(GOOD, b""))):
        assert np.linalg.norm(found[0]) == pytest.approx(1, abs=1e-6)
        assert np.isnan(found[1]).all()


def test_memory_that_is_too_small_halves_the_batch(clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(Encoding(model=clip, batch_tokens=16383))
    given = texts(*[f"dog {number}" for number in range(7)])
    wanted, seen = model.encode_texts(given), []
    tower = model._towers.of_texts  # type: ignore[attr-defined]

    def small(tokens: Any) -> Any:
        seen.append(len(tokens))
        if len(tokens) > 2:
            raise torch.OutOfMemoryError
        return tower(tokens)

    monkeypatch.setattr(model._towers, "of_texts", small)  # type: ignore[attr-defined]
    np.testing.assert_allclose(model.encode_texts(given), wanted, atol=1e-6)
    assert seen[0] == 7
    assert max(seen[1:]) < 7


def copy(clip: str, to: Path) -> Path:
    return Path(shutil.copytree(clip, to / "copy"))


def test_a_model_that_is_damaged_or_lacks_weights(clip: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(clip, tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop("visual_projection.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights, such as visual_projection") as caught:
        load(Encoding(model=str(folder)))
    assert caught.value.fix
    (folder / "model.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="is damaged"):
        load(Encoding(model=str(folder)))
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="is damaged"):
        load(Encoding(model=str(folder)))


WRONG = [
    ({"do_center_crop": False}, "do_center_crop is false"),
    ({"crop_size": 99}, "does not take"),
    ({"rescale_factor": 1.0}, "does not take"),
    ({"size": {"height": 32, "width": 32}}, "does not say how"),
    ({"size": 10**9}, "does not say how"),
    ({"image_std": [1, 0, 1]}, "does not say how"),
    ({"image_mean": "grey"}, "does not say how"),
    ({"resample": 77}, "does not say how"),
]


@pytest.mark.parametrize(("told", "what"), WRONG)
def test_another_way_to_see_images_is_refused(told: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        from_transformers(told, 32, "preprocessor_config.json")


def test_what_a_model_does_not_say_is_as_in_clip() -> None:
    assert from_transformers({}, 224, "here") == from_open_clip({}, 224, "here") == Preprocess()
    with pytest.raises(InputError, match="another way"):
        from_open_clip({"resize_mode": "squash"}, 224, "here")
    with pytest.raises(InputError, match="does not say how"):
        from_open_clip({"interpolation": "random"}, 224, "here")


def test_settings_that_a_clip_has_not(clip: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which has its own"):
        load(Encoding(model=clip, pooling="mean"))
    folder = copy(clip, tmp_path)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"model_type": "siglip"}))
    with pytest.raises(InputError, match="is a siglip, not a CLIP"):
        load(Encoding(model=str(folder)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(clip: str) -> None:
    with pytest.raises(UsageError, match="there is no GPU"):
        load(Encoding(model=clip, device="cuda"))


def test_open_clip_takes_its_own_towers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package needs torchvision: where it is missing that is said, and what is refused is told before."""
    from corpuskit.filter.encoders import openclip

    told = {"model_cfg": {"embed_dim": 8, "text_cfg": {"hf_model_name": "x/y"}, "vision_cfg": {}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))
    if not __import__("importlib.util").util.find_spec("open_clip"):
        with pytest.raises(UsageError, match="need open_clip"):
            load(Encoding(model=str(tmp_path)))
    monkeypatch.setattr(openclip, "need", lambda *names: None)
    with pytest.raises(InputError, match="hf_model_name from elsewhere"):
        load(Encoding(model=str(tmp_path)))
    told["model_cfg"]["text_cfg"] = {}  # type: ignore[index]
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="has no open_clip_model.safetensors"):
        load(Encoding(model=str(tmp_path)))
