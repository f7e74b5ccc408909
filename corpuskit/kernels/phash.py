"""The perceptual hash of an image: 64 bits that hardly change when it is scaled or compressed again."""

import numpy as np
from PIL import Image
from scipy import fft

__all__ = ["phash"]

_SIDE = 8
_SCALED = 4 * _SIDE


def phash(image: Image.Image) -> int:
    """Return the pHash of an image of any mode, bit for bit that of the package ImageHash.

    The image is made grey and scaled to 32 x 32; a bit says whether one of the 8 x 8 lowest coefficients of
    its cosine transform is above their median, the first row's first coefficient being the highest bit. So
    half of the bits are 1 unless coefficients are equal, and two hashes differ in an even number of them.
    Colours count for nothing, and an image of a single colour has no pattern: all such have about one hash.

    Source: http://hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html; ImageHash 4.3, `phash`:
    `int(str(imagehash.phash(image)), 16)`.

    >>> noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16), dtype=np.uint8))
    >>> phash(noise).bit_count(), phash(noise.resize((64, 64))) ^ phash(noise.resize((128, 128)))
    (32, 0)
    """
    grey = image.convert("L").resize((_SCALED, _SCALED), Image.Resampling.LANCZOS)
    lowest = fft.dct(fft.dct(np.asarray(grey), axis=0), axis=1)[:_SIDE, :_SIDE]
    bits = np.packbits(lowest > np.median(lowest))
    return int.from_bytes(bits.tobytes(), "big")
