"""Signals of the sentences' order: equal to their twin, and they tell a text from its shuffling."""

import itertools
import math
import random
import re
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.filter import signals
from corpuskit.filter.signals.order import BLOCK, COMMON, LEAST_BLOCK, LEAST_SENTENCES, ORDERED
from corpuskit.kernels.sentences import sentence_starts

NAMES = ["sentence_cohesion", "sentence_shuffled"]
LINE = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij", "kl"]), min_size=1, max_size=4).map(" ".join)


def compute(*texts):
    found = signals.compute(NAMES, pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())}))
    return list(zip(*(found[name].to_pylist() for name in NAMES), strict=True))


def shares(lines):
    """Return how many words each two lines share, without those too common."""
    holders = defaultdict(list)
    for number, line in enumerate(lines):
        for word in set(re.findall(r"\w+", line.lower())):
            holders[word].append(number)
    table = np.zeros((len(lines), len(lines)))
    for held in holders.values():
        if len(held) <= max(2, len(lines) // COMMON):
            for one, other in itertools.permutations(held, 2):
                table[one, other] += 1
    return table


def twin(lines):
    """Compare neighbours with the mean and variance over all orders."""
    shared = mean = variance = 0.0
    for first in range(0, len(lines), BLOCK):
        block = lines[first : first + BLOCK]
        count = len(block)
        if count < LEAST_BLOCK:
            continue
        table = shares(block)
        total, squares, rows = table.sum(), (table**2).sum(), (table.sum(1) ** 2).sum()
        shared += sum(table[row, row + 1] for row in range(count - 1))
        mean += total / count
        second = squares / count + 2 * (rows - squares) / (count * (count - 1))
        second += (total**2 - 4 * (rows - squares) - 2 * squares) / (count * (count - 1))
        variance += second - (total / count) ** 2
    return (shared - mean) / math.sqrt(variance) if variance > 1e-9 else None


@given(st.lists(LINE, max_size=30))
def test_the_cohesion_equals_its_twin(lines):
    ((cohesion, shuffled),) = compute("\n".join(lines))
    expected = twin(lines)
    assert (cohesion is None) == (expected is None) and shuffled is None
    if expected is not None:
        assert cohesion == pytest.approx(expected, abs=1e-9)


def test_the_moments_are_those_of_all_orders():
    lines = ["a b", "b c", "x", "c d a", "y d", "b", "z", "c"]
    table = shares(lines)
    sums = [
        sum(table[one, other] for one, other in itertools.pairwise(order))
        for order in itertools.permutations(range(len(lines)))
    ]
    here = sum(table[row, row + 1] for row in range(len(lines) - 1))
    assert compute("\n".join(lines))[0][0] == pytest.approx((here - np.mean(sums)) / np.std(sums))


def story(sentences, seed):
    """Write sentences in which each takes up words of the one before, as topics come and go."""
    rng = random.Random(seed)
    return [
        f"{rng.choice('abcdef')}{at // 4} and {rng.choice('ghijkl')}{at // 3} said so."
        for at in range(sentences)
    ]


def test_a_text_in_order_is_told_from_its_shuffling():
    texts = [story(400, seed) for seed in range(10)]
    mixed = [random.Random(seed).sample(text, len(text)) for seed, text in enumerate(texts)]
    assert [shuffled for _, shuffled in compute(*map("\n".join, texts))] == [False] * 10
    assert [shuffled for _, shuffled in compute(*map(" ".join, texts))] == [False] * 10  # lines do not matter
    assert sum(shuffled for _, shuffled in compute(*map("\n".join, mixed))) >= 9


def test_too_few_sentences_are_not_judged():
    at, below = ("\n".join(story(count, 1)) for count in (LEAST_SENTENCES, LEAST_SENTENCES - 1))
    ((high, judged), (also, unjudged)) = compute(at, below)
    assert high > ORDERED and also > ORDERED and judged is False and unjudged is None


def test_texts_of_a_batch_do_not_touch():
    one, two = "\n".join(story(150, 1)), "\n".join(story(700, 2))
    assert compute("", one, "  \n", two, one) == [c for t in ("", one, "", two, one) for c in compute(t)]
    assert compute("", "One sentence.", "Same same.\n" * 500) == [(None, None)] * 3


def sentences_of(text):
    lines = [line.strip().encode() for line in text.splitlines() if line.strip()]
    found = []
    for line in lines:
        starts, _ = sentence_starts(np.frombuffer(line, np.uint8), np.array([0]), np.array([len(line)]))
        found += [line[start:end].decode() for start, end in itertools.pairwise([*starts, len(line)])]
    return found


def test_real_texts_and_their_shuffling(data):
    articles = re.split(
        r"(?m)^ = [^=].*? = \n", (data / "text" / "wikitext2" / "valid.txt").read_text("utf-8")
    )
    judged = [
        text for text, (_, shuffled) in zip(articles, compute(*articles), strict=True) if shuffled is not None
    ]
    assert len(judged) > 20
    assert not any(shuffled for _, shuffled in compute(*judged))
    sentences = [sentences_of(text) for text in judged]
    within = ["\n".join(random.Random(1).sample(text, len(text))) for text in sentences]
    verdicts = [shuffled for _, shuffled in compute(*within) if shuffled is not None]
    assert len(verdicts) > 20 and sum(verdicts) >= 0.9 * len(verdicts)
    pool = [sentence for text in sentences for sentence in text if len(sentence) > 20]
    across = ["\n".join(random.Random(seed).sample(pool, 300)) for seed in range(20)]  # as 1 Billion Word is
    assert sum(bool(shuffled) for _, shuffled in compute(*across)) >= 18
