"""Spans of formatting and of menu phrases against twins over Python's re."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpuskit.filter.signals import by_span
from corpuskit.filter.tables import SPAN_SIGNALS
from corpuskit.kernels import utf8, words

PIECES = st.sampled_from(
    [
        "\n", "\n\n", "\n\n\n\n", " ", "\t", "a", "é", "字", "word ", "Sign-in", "sign-in ", "SIGN-IN",
        "sign-ins", "Read more...", "read MORE…", " read more...", "thread more...", "items in cart",
        "3 Items in Cart",
        "items in carts", "http://a.b/c", "HTTPS://x.y", "ftp://f", "www.z.org/(q)", "wwww.no", "ahttp://no",
        "http://", "http://.", "x://y", "://", "www.", ".", ",", "(", ")", "\"",
        "one two three four five six ",
        "\u3000", "。", "'",
    ]
)  # fmt: skip
TEXTS = st.lists(st.none() | st.lists(PIECES, max_size=12).map("".join), max_size=4)


def batch_of(*texts):
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})


def found(signal, *texts):
    spans = SPAN_SIGNALS[signal](batch_of(*texts))
    return list(zip(spans.text.tolist(), spans.starts.tolist(), spans.ends.tolist(), strict=True))


def left(signal, text):
    data = text.encode()
    for _, start, end in reversed(found(signal, text)):
        data = data[:start] + data[end:]
    return data.decode()


def word_count(line):
    return len(words.split(*utf8.buffers(pa.array([line], pa.large_string()))).starts)


def newline_twin(text):
    return [
        (len(text[: m.start()].encode()) + 2, len(text[: m.end()].encode()))
        for m in re.finditer("\n{3,}", text)
    ]


def url_body(text):
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth < 0 or not re.match(r"(?![\"<>`|\\^{}])[^\x00-\x20\s。字]", char):
            return text[:place]
    return text


def url_twin(text):
    head = re.compile(r"(?<![0-9A-Za-z])(?:(?:ftp|https?)://|www\.)", re.I)
    at, out = 0, []
    while match := head.search(text, at):
        kept = url_body(text[match.end() :]).rstrip(".,;:!?'*_]")
        at = match.end()
        if kept:
            end = match.end() + len(kept)
            start = len(text[: match.start()]) - len(re.search(r"[ \t]*\Z", text[: match.start()])[0])
            floor = out[-1][1] if out else 0
            out.append((max(start, floor), end))
            at = end
    return [(len(text[:start].encode()), len(text[:end].encode())) for start, end in out]


def phrase_twin(text, expression):
    out, at = [], 0
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        bare = line.strip()
        if bare and word_count(bare) <= 10:
            first = at + line.index(bare)
            for m in re.finditer(expression, bare, re.I):
                whole = m.group("phrase") == bare
                out.append((at, at + len(line)) if whole else (first + m.start(), first + m.end()))
        at += len(line)
    return [(len(text[:start].encode()), len(text[:end].encode())) for start, end in out]


EDGE = r"(?<![0-9A-Za-z])"
TWINS = {
    "excess_newlines": newline_twin,
    "text_url": url_twin,
    "sign_in": lambda text: phrase_twin(text, r"\A(?P<phrase>sign-in)(?![0-9A-Za-z])[ \t]?"),
    "read_more": lambda text: phrase_twin(text, rf"[ \t]?{EDGE}(?P<phrase>read more(?:\.\.\.|…))\Z"),
    "items_in_cart": lambda text: phrase_twin(text, rf"[ \t]?{EDGE}(?P<phrase>items in cart)(?![0-9A-Za-z])"),
}


@pytest.mark.parametrize("signal", TWINS)
@given(texts=TEXTS)
@example(texts=["\n\n\n", "\n", None, "a\n\n\n\n"])
@example(texts=["http://a.b/chttp://a.b/c www.z.org/(q)).", "See http://a.b/c, or"])
@example(texts=["items in cart3 items in cart"])
@example(texts=["items in cart items in cart\nSign-in\nSign-in now Read more..."])
def test_spans_equal_their_twin(signal, texts):
    expected = [(row, *span) for row, text in enumerate(texts) for span in TWINS[signal](text or "")]
    assert found(signal, *texts) == expected


@pytest.mark.parametrize("signal", TWINS)
@given(texts=TEXTS)
def test_spans_are_in_order_apart_and_not_empty(signal, texts):
    batch = batch_of("before\n\n\n\nSign-in", *texts)[1:]
    got = SPAN_SIGNALS[signal](batch)
    assert list(zip(got.text, got.starts, got.ends, strict=True)) == found(signal, *texts)
    ends = dict.fromkeys(range(len(texts)), 0)
    for row, start, end in found(signal, *texts):
        assert ends[row] <= start < end <= len(texts[row].encode())
        ends[row] = end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See https://example.org/a?b=c#d for more.", "See for more."),
        ("(see http://example.org/a_(b)).", "(see)."),
        ("www.example.org is down", " is down"),
        ("HTTP://EXAMPLE.ORG/", ""),
        ("看http://a.example/b。然后", "看。然后"),
        ("“http://a.example/b”", "“”"),
        ("a http://[::1]/x b", "a b"),
        ("example.org stays, so does e.g.this", "example.org stays, so does e.g.this"),
        ("wwww.example or xhttp://example", "wwww.example or xhttp://example"),
        ("http:// alone", "http:// alone"),
        ("line\n  http://a.example\nline", "line\n\nline"),
    ],
)
def test_urls(text, expected):
    assert left("text_url", text) == expected


@pytest.mark.parametrize(
    ("signal", "text", "expected"),
    [
        ("sign_in", "Sign-in to comment\nnext", "to comment\nnext"),
        ("sign_in", "Please sign-in\n", "Please sign-in\n"),
        ("sign_in", "first\nSIGN-IN\nnext", "first\nnext"),
        ("read_more", "The pier reopens Read more...\n", "The pier reopens\n"),
        ("read_more", "Read more... about it", "Read more... about it"),
        ("items_in_cart", "You have 3 items in cart now", "You have 3 now"),
        ("items_in_cart", "1 2 3 4 5 6 7 items in cart", "1 2 3 4 5 6 7"),
        ("items_in_cart", "1 2 3 4 5 6 7 8 items in cart", "1 2 3 4 5 6 7 8 items in cart"),
    ],
)
def test_phrases(signal, text, expected):
    assert left(signal, text) == expected


def test_an_empty_batch_has_no_spans():
    for signal in SPAN_SIGNALS:
        assert found(signal) == found(signal, "", None) == []
    assert by_span.excess_newlines(batch_of()).starts.tolist() == []
