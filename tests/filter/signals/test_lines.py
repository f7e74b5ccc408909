"""Line signals of documents against a twin over Python's str."""

import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.filter import signals

LINE = st.sampled_from(
    [
        "",
        " ",
        "• a",
        "-5",
        "- 5",
        "* x",
        "– y",
        "-",
        "end...",
        "end…",
        "end..",
        "a.",
        "wow!",
        "好。",
        "क।",
        'said."',
        "x" * 30,
        "é" * 30,
        "y" * 31,
        " " * 40 + "z.",
        "tail \t",
        "\u2028",
        "a\rb",
        "▪b",
        "...",
        "•",
    ]
)
TEXT = st.lists(LINE | st.text(max_size=8), max_size=10).map("\n".join)
NAMES = [
    "line_count",
    "bullet_line_ratio",
    "ellipsis_line_ratio",
    "terminal_punctuation_line_ratio",
    "short_line_ratio",
]


def compute(names, *texts):
    columns = signals.compute(names, pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())}))
    return [
        dict(zip(names, row, strict=True))
        for row in zip(*(c.to_pylist() for c in columns.values()), strict=True)
    ]


def is_bullet(line):
    return line[0] in "•‣⁃∙▪▫■□●○◦▶◀·" or (line[0] in "-*–" and line[1:2].isspace())


def twin(text):
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    tests = (
        is_bullet,
        lambda line: line.endswith(("...", "…")),
        lambda line: regex.search(r"\p{Sentence_Terminal}$", line) is not None,
        lambda line: len(line) <= 30,
    )
    shares = [sum(map(test, lines)) / len(lines) if lines else None for test in tests]
    return dict(zip(NAMES, [len(lines), *shares], strict=True))


@given(st.lists(st.none() | TEXT, max_size=4))
def test_signals_equal_their_twin(texts):
    assert compute(NAMES, *texts) == [twin(text or "") for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"), [("x" * 30, 1.0), ("x" * 31, 0.0), ("  " + "é" * 30 + "\r\n", 1.0)]
)
def test_a_short_line_has_thirty_characters(text, expected):
    assert compute(["short_line_ratio"], text) == [{"short_line_ratio": expected}]


def test_blank_lines_are_newlines_only():
    assert compute(["line_count", "newline_word_ratio"], "a b\n\n \nc d\n") == [
        {"line_count": 2, "newline_word_ratio": 1.0}
    ]
