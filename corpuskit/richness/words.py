"""What a sample of words tells: how many are new, how they spread, and how well their text packs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import zstandard

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.ngrams import ngram_hashes
from corpuskit.kernels.utf8 import readonly
from corpuskit.richness.sampling import WordSample

__all__ = [
    "ZIPF_RANKS",
    "compression_ratio",
    "distinct",
    "entropy",
    "heaps_exponent",
    "measure_words",
    "mtld",
    "zipf_slope",
]

ZIPF_RANKS = (10, 1000)
_DISTINCT = (1, 2, 4)
_ENTROPY = (1, 2)
_TTR = 0.72
_LEVEL = 9
_WINDOW_LOG = 27

Numbers = npt.NDArray[np.int64]


def measure_words(sample: WordSample) -> dict[str, float | None]:
    """Return every measure of a sample of words by its name; what is undefined is null."""
    grams = {n: ngram_hashes(sample.hashes, sample.offsets, n)[0] for n in (1, 2, 4)}
    counts = {n: np.unique(grams[n], return_counts=True)[1] for n in grams}
    return {
        **{f"distinct_{n}": distinct(counts[n]) for n in _DISTINCT},
        "mtld": mtld(sample.hashes),
        **{f"entropy_{n}": entropy(counts[n]) for n in _ENTROPY},
        "zipf_slope": zipf_slope(counts[1]),
        "heaps_exponent": heaps_exponent(sample.hashes),
        "compression_ratio": compression_ratio(b"\n".join(sample.texts)),
    }


def distinct(counts: Numbers) -> float | None:
    """Return the share of distinct n-grams: 1 where none comes twice; null where there is none.

    It falls as a sample grows, so only samples of one size compare.

    Source: Li et al. 2016 (A Diversity-Promoting Objective Function for Neural Conversation Models),
    distinct-1 and distinct-2. They divide by the number of words; here it is by the number of n-grams.

    Args:
        counts: How often each distinct n-gram comes, int64.

    >>> distinct(np.array([2, 1, 1]))
    0.75
    """
    total = int(counts.sum())
    return len(counts) / total if total else None


def entropy(counts: npt.NDArray[np.int64]) -> float | None:
    """Return the entropy of how often things come, in bits; null where there is nothing.

    2 to its power is the effective number: how many equally frequent things are as hard to guess. Of a
    sample it is too low, the more the larger the vocabulary: only samples of one size compare.

    Source: Shannon 1948; of n-grams as a measure of diversity: Zhang et al. 2018 (Generating Informative and
    Diverse Conversational Responses via Adversarial Information Maximization), Ent-n; the effective number:
    Hill 1973, of order 1.

    >>> entropy(np.array([1, 1, 1, 1])), entropy(np.array([5]))
    (2.0, 0.0)
    """
    found = np.sort(counts[counts > 0])  # sums in one order, so that equal counts give equal bits
    if not len(found):
        return None
    shares = found / found.sum()
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def mtld(hashes: Hashes) -> float | None:
    """Return the mean words of a stretch that keeps a type-token ratio of 0.72; null where none ends.

    The ratio of distinct words to words sinks as one reads on. Where it is below 0.72 a factor is full, and
    counting begins anew; what is left at the end counts as the part of a factor that it is. MTLD is the words
    divided by the factors, the mean of reading forwards and backwards. It sees some 50 to 150 words at a
    time: a longer text that comes again is as new to it as the first time.

    Source: McCarthy & Jarvis 2010 (MTLD, vocd-D, and HD-D). Deviations: the passages of a sample are read as
    one text, and inflected forms are words of their own.

    >>> mtld(np.array([1, 2, 1, 2, 1, 2], np.uint64)), mtld(np.array([1, 2, 3], np.uint64))
    (3.0, None)
    """
    distinct_words, numbers = np.unique(hashes, return_inverse=True)
    seen = np.full(len(distinct_words), -1, np.int64)
    lengths = []
    for one in (numbers, numbers[::-1]):
        seen[:] = -1
        factors = float(_factors(readonly(np.ascontiguousarray(one, np.int64)), seen))
        if not factors:
            return None
        lengths.append(len(hashes) / factors)
    return sum(lengths) / 2


@kernel
def _factors(numbers: Numbers, seen: Numbers) -> Int:
    """Count factors; `seen` says in which stretch each word was seen last, at first -1."""
    factors: Int = 0
    types = words = 0
    for number in numbers:
        words += 1
        if seen[number] != factors:
            seen[number] = factors
            types += 1
        if types / words < _TTR:
            factors += 1
            types = words = 0
    if words:
        return factors + (1 - types / words) / (1 - _TTR)
    return factors + 0.0


def zipf_slope(counts: Numbers) -> float | None:
    """Return how steeply word frequencies fall over ranks 10 to 1,000; null with fewer distinct words.

    The slope of log frequency over log rank, by least squares in which every rank weighs 1 / rank, so that
    each decade weighs the same. Natural text is near -1; steeper is a vocabulary of fewer words. The first
    ranks hold function words, and beyond the thousandth are words seen a few times, which make steps.

    Source: Zipf 1949 (Human Behavior and the Principle of Least Effort); Piantadosi 2014 on its limits.

    >>> round(zipf_slope(np.array([10**9 // rank for rank in range(1, 1001)])), 3)
    -1.0
    """
    first, last = ZIPF_RANKS
    if len(counts) < last:
        return None
    ranks = np.arange(first, last + 1)
    x, y = np.log(ranks), np.log(np.sort(counts)[::-1][first - 1 : last])
    weights = 1 / ranks
    x = x - np.average(x, weights=weights)
    return float((weights * x * y).sum() / (weights * x * x).sum())


def heaps_exponent(hashes: Hashes) -> float | None:
    """Return how fast new words still come: 1 where every word is new, 0 where none is; null under two words.

    The exponent b of V(n) = K n^b between half of the sample and all of it: log2(V(n) / V(n / 2)).

    Source: Heaps 1978 (Information Retrieval), section 7.5; Herdan 1960. Deviation: between two points, not
    a fit.

    >>> heaps_exponent(np.array([1, 2, 3, 4], np.uint64)), heaps_exponent(np.array([1, 2, 1, 2], np.uint64))
    (1.0, 0.0)
    """
    half = len(hashes) // 2
    if not half:
        return None
    _, first = np.unique(hashes, return_index=True)
    return math.log(len(first) / int((first < half).sum())) / math.log(len(hashes) / half)


def compression_ratio(text: bytes) -> float | None:
    """Return how many times smaller zstd makes a text: higher is more repetitive; null of no text.

    Source: Shaib et al. 2024 (Standardizing the Measurement of Text Diversity), compression ratio. They use
    gzip, which sees 32 KiB back; zstd at level 9 sees the whole sample, so copies far apart count. It depends
    on the size of the sample, on the script (three bytes a character pack better than one), and a little on
    the version of zstd.

    >>> compression_ratio(b"so be it. " * 1000) > 100, compression_ratio(b"")
    (True, None)
    """
    if not text:
        return None
    settings = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, source_size=len(text), window_log=_WINDOW_LOG
    )
    return len(text) / len(zstandard.ZstdCompressor(compression_params=settings).compress(text))
