"""Decoding of strangers' images: what is kept, how it looks, and what is not decoded."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from image_farm import broken, png
from PIL import Image, ImageCms

from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.resizing import Look, Made, make
from corpuskit.pixels import image_format


def encoded(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def look_at(made: Made | Verdict) -> Image.Image:
    assert isinstance(made, Made), made
    image = Image.open(io.BytesIO(made.data))
    image.load()
    assert image.size == (made.width, made.height)
    return image


def near(pixel: object, wanted: tuple[int, int, int], by: int = 4) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(one - other) <= by for one, other in zip(pixel, wanted, strict=True))


def striped(width: int, height: int) -> Image.Image:
    """Make an image that is red, and blue at the left."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, max(1, width // 4), height))
    return image


@pytest.mark.parametrize(
    ("mode", "size", "bigger", "of", "wanted"),
    [
        ("no", None, False, (300, 200), (300, 200)),
        ("border", 100, False, (300, 200), (100, 100)),
        ("border", 100, False, (30, 20), (100, 100)),
        ("keep_ratio", 100, False, (300, 200), (150, 100)),
        ("keep_ratio", 100, False, (30, 20), (150, 100)),
        ("keep_ratio", 100, True, (30, 20), (30, 20)),
        ("keep_ratio", 100, True, (300, 101), (297, 100)),
        ("keep_ratio", 100, True, (300, 100), (300, 100)),
        ("keep_ratio_largest", 100, False, (300, 200), (100, 67)),
        ("keep_ratio_largest", 100, True, (100, 20), (100, 20)),
        ("keep_ratio_largest", 100, False, (3000, 2), (100, 1)),
        ("center_crop", 100, False, (300, 200), (100, 100)),
        ("center_crop", 100, True, (300, 50), (100, 50)),
    ],
)
def test_modes_give_the_sizes_of_img2dataset(
    mode: str, size: int | None, bigger: bool, of: tuple[int, int], wanted: tuple[int, int]
) -> None:
    for kind in ("PNG", "JPEG"):
        made = make(encoded(striped(*of), kind), Look(mode=mode, size=size, only_if_bigger=bigger))  # type: ignore[arg-type]
        assert look_at(made).size == wanted
        assert isinstance(made, Made) and (made.original_width, made.original_height) == of


def test_a_border_is_white_and_a_crop_is_of_the_middle() -> None:
    data = encoded(striped(400, 200))
    framed = look_at(make(data, Look("border", 100)))
    assert near(framed.getpixel((50, 5)), (255, 255, 255)) and near(framed.getpixel((60, 50)), (254, 0, 0))
    cut = look_at(make(data, Look("center_crop", 100)))
    assert near(cut.getpixel((10, 50)), (254, 0, 0)), "the blue at the left is cut off"


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_and_is_removed(turn: int) -> None:
    upright = striped(80, 48)
    inverse = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[turn]
    methods = [None, 0, 3, 1, 5, 4, 6, 2]  # by orientation, Pillow's transpositions
    method = methods[inverse - 1]
    stored = upright if method is None else upright.transpose(Image.Transpose(method))
    exif = Image.Exif()
    exif[0x0112] = turn
    exif[0x010F] = "maker"
    made = make(encoded(stored, "JPEG", exif=exif, quality=95), Look(min_side=48))
    image = look_at(made)
    assert image.size == (80, 48) and isinstance(made, Made) and made.original_width == 80
    assert near(image.getpixel((4, 24)), (0, 0, 255), 24) and near(image.getpixel((60, 24)), (255, 0, 0), 24)
    assert not image.getexif() and b"maker" not in made.data


def test_every_mode_becomes_rgb_upon_white() -> None:
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    half = Image.new("RGBA", (32, 32), (0, 0, 0, 128))
    for mode, data, wanted in (
        ("RGBA", encoded(clear), (255, 255, 255)),
        ("RGBA", encoded(half), (127, 127, 127)),
        ("LA", encoded(clear.convert("LA")), (255, 255, 255)),
        ("WEBP", encoded(half, "WEBP", lossless=True), (127, 127, 127)),
        ("1", encoded(Image.new("1", (32, 32), 1)), (255, 255, 255)),
        ("I;16", encoded(Image.new("I;16", (32, 32), 0x80FF)), (128, 128, 128)),
        ("P", encoded(Image.new("RGB", (32, 32), (0, 128, 0)).quantize(4)), (0, 128, 0)),
        ("CMYK", encoded(Image.new("CMYK", (32, 32), (255, 255, 0, 0)), "JPEG"), (0, 0, 255)),
        ("GIF", encoded(Image.new("RGB", (32, 32), (0, 128, 0)), "GIF"), (0, 128, 0)),
        ("AVIF", encoded(Image.new("RGB", (32, 32), (0, 128, 0)), "AVIF"), (0, 128, 0)),
    ):
        image = look_at(make(data, Look()))
        assert image.mode == "RGB" and near(image.getpixel((16, 16)), wanted), mode
    see_through = encoded(Image.new("P", (32, 32), 0), "PNG", transparency=b"\0")
    assert near(look_at(make(see_through, Look())).getpixel((3, 3)), (255, 255, 255))


def test_colours_of_a_profile_become_those_of_srgb() -> None:
    lab = Image.new("RGB", (32, 32), (200, 60, 60))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = look_at(make(encoded(lab, icc_profile=profile), Look()))
    assert near(same.getpixel((3, 3)), (200, 60, 60)) and "icc_profile" not in same.info
    broken = look_at(make(encoded(lab, "JPEG", icc_profile=b"no profile"), Look()))
    assert near(broken.getpixel((3, 3)), (200, 60, 60))


def test_the_first_frame_of_several_counts() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert near(look_at(make(data, Look())).getpixel((9, 9)), (254, 0, 0), 8), kind


def test_bounds_reject_what_lies_beyond_them() -> None:
    data = encoded(striped(300, 100))
    assert isinstance(make(data, Look(min_side=100, max_aspect=3, max_pixels=30_000)), Made)
    assert make(data, Look(min_side=101)) == Verdict("images.small", 100, 101)
    assert make(data, Look(max_aspect=2.99)) == Verdict("images.aspect", 3, 2.99)
    assert make(data, Look(max_pixels=29_999)) == Verdict("images.bomb", 30_000, 29_999)


def test_damage_is_named() -> None:
    photo = encoded(Image.effect_noise((300, 300), 60).convert("RGB"), "JPEG")
    for data, rule in (
        (b"", "images.type"),
        (b"<html>", "images.type"),
        (encoded(striped(9, 9), "BMP"), "images.type"),
        (encoded(striped(9, 9), "TIFF"), "images.type"),
        (photo[: len(photo) // 2], "images.truncated"),
        (encoded(striped(90, 90))[:-40], "images.truncated"),
        (encoded(Image.effect_noise((90, 90), 60), "WEBP")[:-400], "images.truncated"),
        (photo[:20], "images.truncated"),
        (broken(), "images.decode"),
        (png(60_000, 60_000, b""), "images.bomb"),
        (png(9_000, 9_000, b""), "images.bomb"),
    ):
        found = make(data, Look())
        assert isinstance(found, Verdict) and found.rule == rule, (rule, found)


def test_the_content_says_the_format() -> None:
    image = striped(9, 9)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"):
        assert image_format(encoded(image, kind)) == kind
    assert image_format(encoded(image, "TIFF")) is None
    assert look_at(make(encoded(image), Look(encoding="webp"))).format == "WEBP"


def test_the_same_bytes_give_the_same_bytes() -> None:
    data = encoded(Image.effect_noise((400, 300), 60), "JPEG")
    for look in (Look("keep_ratio", 128), Look("border", 128, encoding="webp")):
        assert make(data, look) == make(data, look)


PEAK = """
import pathlib

def peak():
    \"\"\"The most memory of this program in MiB: ru_maxrss would count its parent's too.\"\"\"
    status = pathlib.Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) // 1024
"""


def test_every_real_image_is_made_or_rejected_in_little_memory(data: Path) -> None:
    script = """
import sys
from corpuskit.crawl.resizing import Look, Made, make
base = peak()
for path in sorted(pathlib.Path(sys.argv[1]).glob('*/*.*')):
    for look in (Look(), Look('border', 256, interpolation='lanczos')):
        found = make(path.read_bytes(), look)
    print(path.parent.name, path.suffix, 'kept' if isinstance(found, Made) else found.rule)
print('memory', 'peak', peak() - base)
"""
    command = [sys.executable, "-c", PEAK + script, str(data / "images")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    lines = [line.split() for line in said if line.startswith(("pillow", "skimage"))]
    files = [path for name in ("pillow", "skimage") for path in (data / "images" / name).iterdir()]
    assert len(lines) == len(files)
    rules = Counter(rule for _, _, rule in lines)
    decodable = sum(path.suffix in (".png", ".jpg", ".gif", ".webp") for path in files)
    assert rules["kept"] == decodable - 1 and rules["images.truncated"] == 1
    assert rules["images.type"] == len(files) - decodable
    assert int(said[-1].split()[-1]) < 500


def test_the_largest_image_takes_less_than_500_mb() -> None:
    """64 million pixels with transparency, which are laid upon white."""
    script = """
import sys
from corpuskit.crawl.resizing import Look, make
data = sys.stdin.buffer.read()
base = peak()
assert make(data, Look('border', 256)).original_width == 8000
print(peak() - base)
"""
    data = encoded(Image.new("LA", (8000, 8000), (9, 99)), compress_level=1)
    said = subprocess.run(
        [sys.executable, "-c", PEAK + script], input=data, capture_output=True, check=True
    ).stdout
    assert 100 < int(said) < 500
