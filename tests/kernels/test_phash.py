"""Our hash is ImageHash's, bit for bit."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from corpuskit.kernels.phash import phash
from corpuskit.pixels import BadImage, decode


def theirs(image):
    return int(str(imagehash.phash(image)), 16)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "1"])
@pytest.mark.parametrize("size", [(1, 1), (31, 33), (32, 32), (300, 7), (257, 640)])
def test_noise_and_plain_colours_of_every_mode(mode, size):
    noise = np.random.default_rng(len(mode)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    for image in (Image.fromarray(noise), Image.new("RGB", size, (200, 30, 90)), Image.new("RGB", size)):
        converted = image.convert(mode)
        assert phash(converted) == theirs(converted)


def test_smooth_pictures():
    x, y = np.meshgrid(np.linspace(0, 9, 120), np.linspace(0, 5, 90))
    for number in range(50):
        picture = Image.fromarray((127 * (1 + np.sin(x * number / 7) * np.cos(y + number))).astype(np.uint8))
        assert phash(picture) == theirs(picture)


def test_real_images(data):
    compared = 0
    for path in sorted(path for path in (data / "images").rglob("*") if path.is_file()):
        try:
            image = decode(path.read_bytes())
        except BadImage:
            continue
        assert phash(image) == theirs(image), path.name
        compared += 1
    assert compared > 60
