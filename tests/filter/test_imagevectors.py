"""What filter embed says of images and by heads: its columns, the thresholds of rule tables, its errors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from corpuskit.document import IMAGES
from corpuskit.errors import UsageError
from corpuskit.filter import heads
from corpuskit.filter.embed import Embed
from corpuskit.filter.encoders import Encoding, load
from corpuskit.filter.rules import Rules
from corpuskit.testing import check_stage, documents

pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.numpy")


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((40, 40)).save(out, "PNG")
    return out.getvalue()


def pairs(*rows: tuple[str, list[bytes | None]]) -> pa.RecordBatch:
    batch = documents([text for text, _ in rows])
    shown = [[{"offset": 0, "bytes": data} for data in images] for _, images in rows]
    return batch.append_column(IMAGES, pa.array(shown, IMAGES.type))


PAIRS = [
    ("a dog", [picture(0)]),
    ("a dog, a cat", [picture(1), b"<html>", picture(2), None]),
    ("", [picture(3)]),
    ("no image here", []),
    ("a broken one", [b"\x89PNG\r\n\x1a\nnothing"]),
]


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def texts_and_images(clip: str) -> tuple[np.ndarray, np.ndarray]:
    model = load(Encoding(model=clip))
    images = pa.array([picture(number) for number in range(4)])
    return model.encode_texts(pa.array([text for text, _ in PAIRS])), model.encode_images(images)


def write_head(folder: Path, name: str, beside: str = "{}", width: int = 8) -> str:
    weights = np.random.default_rng(0).normal(size=(1, width)).astype(np.float32)
    safetensors.save_file({"weight": weights}, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(beside)
    return str(folder / f"{name}.safetensors")


def test_a_clip_score_is_the_cosine_with_the_closest_image(clip: str) -> None:
    split = Embed(model=clip, images=True, clip_score=True, vectors="float32").split(pairs(*PAIRS))
    texts, seen = map(unit, texts_and_images(clip))
    wanted = [texts[0] @ seen[0], max(texts[1] @ seen[1], texts[1] @ seen[2])]
    found = split.kept["clip_score"].to_pylist()
    assert found[:2] == pytest.approx(wanted, abs=1e-5)
    assert found[2:] == [None, None, None]
    assert split.facts["images that cannot be decoded"] == 2
    assert len(split.kept) == len(PAIRS)


def test_an_image_embedding_is_the_mean_of_a_documents_images(clip: str) -> None:
    kept = Embed(model=clip, images=True, vectors="float32").split(pairs(*PAIRS)).kept
    _, seen = texts_and_images(clip)
    found = kept["image_embedding"].to_pylist()
    for row, wanted in enumerate([seen[0], seen[1:3].mean(axis=0), seen[3]]):
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)
    assert found[3:] == [None, None]
    assert kept.schema.field("image_embedding").type == pa.list_(pa.float32(), 8)


def test_heads_score_the_text_or_the_best_image(clip: str, tmp_path: Path) -> None:
    """A head that says nothing scores images where they are embedded, else the text."""
    beside = {"by_text": '{"on": "text"}', "by_image": '{"on": "image"}', "usual": "{}"}
    chosen = tuple(f"{name}={write_head(tmp_path, name, text)}" for name, text in beside.items())
    kept = Embed(model=clip, heads=chosen, clip_score=True).split(pairs(*PAIRS)).kept
    texts, seen = texts_and_images(clip)
    head = heads.load(str(tmp_path / "usual.safetensors"))
    by_text, each = head.scores(texts).to_pylist(), head.scores(seen).to_pylist()
    assert by_text[2] is None
    assert kept["by_text"].to_pylist() == [pytest.approx(one, abs=1e-5) if one else None for one in by_text]
    best = [each[0], max(each[1:3]), each[3]]
    assert kept["by_image"].to_pylist() == [*(pytest.approx(one, abs=1e-5) for one in best), None, None]
    assert kept["usual"].equals(kept["by_image"])
    assert kept.schema.field("usual").type == pa.float32()
    alone = Embed(model=clip, heads=chosen[2:]).split(documents([text for text, _ in PAIRS])).kept
    assert alone["usual"].equals(kept["by_text"])


@pytest.mark.parametrize("column", ["clip_score", "aesthetic"])
def test_a_rule_table_keeps_at_the_bound_and_rejects_below(clip: str, column: str, tmp_path: Path) -> None:
    """Keep, boundary and reject; a pair without a score breaks no rule."""
    embed = Embed(model=clip, clip_score=True, heads=(f"aesthetic={write_head(tmp_path, 'head')}",))
    scored = embed.split(pairs(*[("a dog", [picture(seed)]) for seed in range(3)], PAIRS[4])).kept
    low, middle, high = sorted(value for value in scored[column].to_pylist() if value is not None)
    table = tmp_path / "mine.toml"
    table.write_text(f'[[rule]]\nname = "score.min"\ncolumn = "{column}"\nmin = {middle!r}\n')
    split = Rules(tables=(str(table),)).split(scored)
    assert {*split.kept[column].to_pylist()} == {middle, high, None}
    found = [(row["rule"], row["value"], row["bound"]) for row in split.rejected.to_pylist()]
    assert found == [("mine.score.min", low, middle)]


def test_laws(tmp_path: Path) -> None:
    """With vectors that are sums: those of networks differ in their last digits with what is in a batch."""
    pytest.importorskip("wordllama", exc_type=ImportError)
    head = write_head(tmp_path, "head", width=256)
    check_stage(Embed(model="wordllama", heads=(f"score={head}",)), documents(["a dog", "A cat, a dog"]))


def test_a_batch_may_be_cut_anywhere(clip: str, tmp_path: Path) -> None:
    head = write_head(tmp_path, "head")
    stage = Embed(model=clip, images=True, clip_score=True, heads=(f"score={head}",), vectors="float32")
    batch = pairs(*PAIRS)
    whole = stage.split(batch).kept
    pieces = pa.concat_batches([stage.split(batch.slice(at, 1)).kept for at in range(len(batch))])
    assert pieces.schema == whole.schema
    for name in ("clip_score", "score", "embedding", "image_embedding"):
        one, other = (batch[name].to_pylist() for batch in (whole, pieces))
        assert [value is None for value in one] == [value is None for value in other]
        for value, again in zip(one, other, strict=True):
            if value is not None:
                np.testing.assert_allclose(again, value, atol=1e-5)


def test_the_digest_covers_what_a_head_is_not_where_it_lies(clip: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    one, same = (write_head(folder, "head") for folder in (tmp_path, tmp_path / "elsewhere"))
    digests = [Embed(model=clip, heads=(f"a={path}",)).digest() for path in (one, same)]
    assert digests[0] == digests[1]
    assert Embed(model=clip, heads=(f"b={one}",)).digest() != digests[0]
    write_head(tmp_path, "head", '{"output": "sigmoid"}')
    assert Embed(model=clip, heads=(f"a={one}",)).digest() != digests[0]


def test_what_is_wrong_is_said_before_any_document(clip: str, tmp_path: Path) -> None:
    small = write_head(tmp_path, "small", width=5)
    seeing = write_head(tmp_path, "seeing", '{"on": "image"}')
    plain, shown = documents(["a"]).schema, pairs(("a", [])).schema
    for stage, schema, what in [
        (Embed(model=clip, heads=(f"a={small}",)), plain, "takes vectors of 5 numbers"),
        (Embed(model=clip, images=True), plain, "have no images"),
        (Embed(model=clip, heads=(f"a={seeing}",)), plain, "have no images"),
        (Embed(model=clip, heads=(f"lang={small}",)), plain, "column 'lang'|takes vectors"),
        (Embed(model=clip, heads=(f"lang={seeing}",)), shown, "column 'lang'"),
    ]:
        with pytest.raises(UsageError, match=what) as caught:
            stage.writes(schema)
        assert caught.value.fix
    for taken in ("embedding", "image_embedding", "clip_score"):
        with pytest.raises(UsageError, match="is there already"):
            Embed(model=clip, heads=(f"{taken}={small}",))
