"""Colours and the palette that stands for them: which is the nearest, and which palette is a good one.

Nothing here depends on the order of threads or on a linear algebra library: the same pixels give the same
palette and the same numbers on every machine.
"""

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import kernel
from corpuskit.kernels.utf8 import readonly

Pixels = npt.NDArray[np.uint8]
Palette = npt.NDArray[np.float32]

ROUNDS = 30
"""Most rounds of k-means."""
STILL = 200
"""The rounds end when fewer than one pixel in so many has another colour than before."""


def nearest_colours(pixels: Pixels, palette: Palette) -> npt.NDArray[np.uint16]:
    """Number the palette's nearest colour to each pixel; the first of those that are equally near.

    Args:
        pixels: uint8[n, 3]; red, green and blue.
        palette: float32[k, 3], k at most 65,536; red, green and blue from -1 to 1, 2 / 255 a step.

    Returns:
        uint16[n].

    Source: image-gpt, `src/utils.py:color_quantize`. Deviation: distances are sums of squared differences,
    where there a² - 2ab + b² loses the last digits.

    >>> palette = np.array([[-1, -1, -1], [1, 1, 1], [1, -1, -1]], np.float32)
    >>> nearest_colours(np.array([[255, 250, 240], [9, 9, 9], [200, 0, 20]], np.uint8), palette).tolist()
    [1, 0, 2]
    """
    out = np.empty(len(pixels), np.uint16)
    _nearest(readonly(pixels), readonly(palette.astype(np.float64)), out)
    return out


def find_palette(pixels: Pixels, draws: npt.NDArray[np.float64]) -> Palette:
    """Find the colours that stand for pixels with the least squared error, by k-means from k-means++.

    Args:
        pixels: uint8[n, 3]; n at least 1.
        draws: float64[k]; random numbers from 0 to below 1, one for each colour to begin with.

    Returns:
        float32[k, 3], from -1 to 1. Where the pixels have fewer colours than k, the last stand there again.

    >>> pixels = np.array([[0, 0, 0], [0, 0, 0], [255, 255, 255]], np.uint8)
    >>> sorted(find_palette(pixels, np.array([0.1, 0.5])).tolist())
    [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]
    """
    centres = _first(readonly(pixels), readonly(draws))
    numbers = np.zeros(len(pixels), np.uint16)
    for _ in range(ROUNDS):
        sums, counts = np.zeros((len(draws), 3), np.int64), np.zeros(len(draws), np.int64)
        changed = _round(readonly(pixels), readonly(_scaled(centres)), numbers, sums, counts)
        used = counts > 0
        centres[used] = sums[used] / counts[used, None]
        if changed * STILL < len(pixels):
            break
    return _scaled(centres).astype(np.float32)


def _scaled(centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(centres / 127.5 - 1)


@kernel
def _nearest(pixels: Pixels, palette: npt.NDArray[np.float64], out: npt.NDArray[np.uint16]) -> None:
    for place in range(len(pixels)):
        red, green, blue = (
            pixels[place, 0] / 127.5 - 1,
            pixels[place, 1] / 127.5 - 1,
            pixels[place, 2] / 127.5 - 1,
        )
        least, found = np.inf, 0
        for colour in range(len(palette)):
            distance = (
                (red - palette[colour, 0]) ** 2
                + (green - palette[colour, 1]) ** 2
                + (blue - palette[colour, 2]) ** 2
            )
            if distance < least:
                least, found = distance, colour
        out[place] = found


@kernel
def _first(pixels: Pixels, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Choose pixels to begin with: each with a chance that grows with the square of its distance."""
    centres = np.empty((len(draws), 3), np.float64)
    distances = np.full(len(pixels), 1 << 30, np.int64)
    chosen = np.int64(draws[0] * len(pixels))
    for place in range(len(draws)):
        total = np.int64(0)
        for pixel in range(len(pixels)):
            distance = np.int64(0)
            for channel in range(3):
                step = np.int64(pixels[pixel, channel]) - np.int64(pixels[chosen, channel])
                distance += step * step
            distances[pixel] = min(distances[pixel], distance)
            total += distances[pixel]
        for channel in range(3):
            centres[place, channel] = pixels[chosen, channel]
        if place + 1 == len(draws):
            break
        wanted = np.int64(draws[place + 1] * total)
        for pixel in range(len(pixels)):
            wanted -= distances[pixel]
            if wanted < 0:
                chosen = np.int64(pixel)
                break
    return centres


@kernel
def _round(
    pixels: Pixels,
    centres: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.uint16],
    sums: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> int:
    """Number each pixel's centre, and sum up the pixels of each; say how many numbers have changed."""
    before = numbers.copy()
    _nearest(pixels, centres, numbers)
    changed = 0
    for place in range(len(pixels)):
        number = np.int64(numbers[place])
        changed += number != before[place]
        counts[number] += 1
        for channel in range(3):
            sums[number, channel] += np.int64(pixels[place, channel])
    return changed
