"""Signals of single lines, and citations, against twins over Python's str."""

import re
import unicodedata

import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.filter import signals
from corpuskit.kernels import utf8, words

LINE = st.sampled_from(
    [
        "",
        " \t",
        "It ends.",
        'He said "no"',
        "no end",
        "cut...",
        "cited.[1]",
        "cited.[2][edit] ",
        "[3]",
        "odd][1]",
        "好。」",
        "ALL CAPS",
        "42",
        "1,234.50",
        "$5",
        "3 likes",
        "1.2K  Shares!",
        "likes 3",
        "3 likes you",
        "Enable JavaScript now",
        "Our Privacy Policy.",
        "use\u00a0cookies",
        "x" * 50,
        "a\rb\r",
        "• item",
        "- item",
        "-5",
    ]
)
TEXT = st.lists(LINE | st.text("aB1.[]\n é字”…", max_size=8), max_size=8).map("\n".join)
NAMES = list(signals.LINE_SIGNALS)
CITATION = r"\[[0-9]*\]|\[edit\]|\[citation needed\]"


def batch_of(*texts):
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})


def spelled(line):
    data, offsets = utf8.buffers(pa.array([line], pa.large_string()))
    found = words.split(data, offsets)
    return [bytes(data[a:b]).decode() for a, b in zip(found.starts, found.ends, strict=True)]


def ends_terminal(line):
    bare = re.sub(rf"(?:\s*(?:{CITATION}))+$", "", line).strip()
    return bool(regex.search(r"[\p{Sentence_Terminal}\"”」』»]$", bare)) and not bare.endswith(("...", "…"))


def twin(line):
    line = line.strip()
    seen = [char for char in line if not char.isspace()]
    kinds = {unicodedata.category(char)[0] for char in seen}
    lower = re.sub(r"\s+", " ", line).lower()
    policy = (
        "terms of use",
        "privacy policy",
        "cookie policy",
        "uses cookies",
        "use of cookies",
        "use cookies",
    )
    return {
        "line_word_count": len(spelled(line)),
        "line_longest_word": max(map(len, spelled(line))),
        "line_ends_terminal": ends_terminal(line),
        "line_upper_ratio": sum(char.isupper() for char in seen) / len(seen),
        "line_numeric": "N" in kinds and kinds <= {"N", "P"},
        "line_digit_ratio": sum(unicodedata.category(char)[0] == "N" for char in seen) / len(seen),
        "line_starts_bullet": line[0] in "•‣⁃∙▪▫■□●○◦▶◀·" or (line[0] in "-*–" and line[1:2].isspace()),
        "line_is_counter": bool(
            re.fullmatch(r"[^\w]*\d[\d.,]*\s*[KkMmBb]?\s+(likes|shares)\W*", line.lower())
        ),
        "line_has_javascript": "javascript" in lower,
        "line_has_policy": any(phrase in lower for phrase in policy),
    }


@given(st.lists(st.none() | TEXT, max_size=3))
def test_lines_equal_their_twin(texts):
    lines = signals.compute_lines(NAMES, batch_of(*texts))
    expected = []
    for row, text in enumerate(texts):
        at = 0
        for line in re.findall(r"[^\n]*\n|[^\n]+", text or ""):
            size = len(line.encode())
            if line.strip():
                expected.append((row, at, at + size, *twin(line).values()))
            at += size
    columns = [lines.columns[name].to_pylist() for name in twin("x")]
    got = zip(lines.text.tolist(), lines.starts.tolist(), lines.ends.tolist(), *columns, strict=True)
    assert list(got) == expected


@given(st.lists(st.none() | st.text("[]1٣edit citationneeded", max_size=20) | TEXT, max_size=4))
def test_citations_equal_their_twin(texts):
    texts.append("a[12]b[][edit] [citation needed] [Edit] [sic] [[3]")
    found = signals.citations(batch_of(*texts))
    expected = [
        (row, len(text[: m.start()].encode()), len(text[: m.end()].encode()))
        for row, text in enumerate(text or "" for text in texts)
        for m in re.finditer(CITATION, text)
    ]
    assert list(zip(found.text.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("3 likes", True),
        ("1,024 Comments", True),
        ("2.5k views", True),
        ("· 12 Followers ·", True),
        ("1 vote", True),
        ("3 likes and more", False),
        ("three likes", False),
        ("3", False),
        ("3 apples", False),
    ],
)
def test_counters(line, expected):
    assert signals.compute_lines(["line_is_counter"], batch_of(line)).columns[
        "line_is_counter"
    ].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A line.", True),
        ("A line?", True),
        ("A line!", True),
        ('"A line"', True),
        ("“A line”", True),
        ("一行。", True),
        ("A line", False),
        ("A line,", False),
        ("A line...", False),
        ("A line…", False),
        ("A line.[1]", True),
        ("A line[1]", False),
        ("A line'", False),
    ],
)
def test_ends(line, expected):
    lines = signals.compute_lines(["line_ends_terminal"], batch_of(line))
    assert lines.columns["line_ends_terminal"].to_pylist() == [expected]


def test_spans_of_a_slice_are_within_their_text():
    batch = batch_of("skipped\n", "é\n\nab\n", "c")[1:]
    lines = signals.compute_lines([], batch)
    assert lines.text.tolist() == [0, 0, 1]
    assert (lines.starts.tolist(), lines.ends.tolist()) == ([0, 4, 0], [3, 7, 1])
    assert lines.columns == {}
