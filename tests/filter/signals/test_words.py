"""Word and character signals against a twin over Python's str."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpuskit.filter import signals
from corpuskit.filter.signals.words import STOP_WORDS
from corpuskit.kernels import utf8, words

PIECES = st.sampled_from(
    [
        "the",
        "The",
        "(OF)",
        "“and”",
        "that,",
        "withs",
        "have",
        "be",
        "#",
        "##x",
        "...",
        "....",
        "……",
        "…",
        "A.B.",
        "NASA",
        "5",
        "été",
        "字喜欢",
        "ไทย",
        "İ",
        "{",
        "}}",
        "\n",
        "\t",
        "\u3000",
        "\u00ad",
        "to",
        "-to-",
        "d'or",
        "ǅ",
        "\u2028",
    ]
)
TEXT = st.lists(PIECES | st.just(" "), max_size=30).map("".join) | st.text(
    st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=60
)
NAMES = [
    "word_count",
    "mean_word_length",
    "longest_word_length",
    "hash_word_ratio",
    "ellipsis_word_ratio",
    "alphabetic_word_ratio",
    "upper_word_ratio",
    "unspaced_word_ratio",
    "stop_word_count",
    "char_count",
    "alphabetic_char_ratio",
    "curly_bracket_count",
    "newline_word_ratio",
    "symbol_word_ratio",
    "stop_word_occurrences",
    "curly_bracket_char_ratio",
    "removed_word_ratio",
]


def batch_of(*texts):
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})


def compute(text, *names):
    return [column.to_pylist()[0] for column in signals.compute(names, batch_of(text)).values()]


def spelled(text):
    data, offsets = utf8.buffers(pa.array([text], pa.large_string()))
    found = words.split(data, offsets)
    return [bytes(data[a:b]).decode() for a, b in zip(found.starts, found.ends, strict=True)]


def unspaced(word):
    return any("\u0e00" <= c <= "\u0eff" or "\u3400" <= c <= "\u9fff" for c in word)


def stripped(word):
    while word and not word[0].isalnum():
        word = word[1:]
    while word and not word[-1].isalnum():
        word = word[:-1]
    return word


def per(part, whole):
    return part / whole if whole else None


def twin(text):
    found = spelled(text)
    foreign = sum(map(unspaced, found))
    mostly = foreign * 2 > len(found)
    cores = [stripped(word) for word in found]
    occurring = [word.lower() for word in cores if word.isascii() and word.lower() in STOP_WORDS]
    return {
        "word_count": len(found),
        "mean_word_length": None if mostly else per(sum(map(len, found)), len(found)),
        "longest_word_length": max(map(len, found), default=None),
        "hash_word_ratio": per(text.count("#"), len(found)),
        "ellipsis_word_ratio": per(text.count("...") + text.count("…"), len(found)),
        "alphabetic_word_ratio": per(sum(any(c.isalpha() for c in word) for word in found), len(found)),
        "upper_word_ratio": per(sum(word.isupper() for word in found), len(found)),
        "unspaced_word_ratio": per(foreign, len(found)),
        "stop_word_count": None if mostly else len(set(occurring)),
        "char_count": len(text),
        "alphabetic_char_ratio": per(sum(c.isalpha() for c in text), len(text)),
        "curly_bracket_count": text.count("{"),
        "newline_word_ratio": per(text.count("\n"), len(found)),
        "symbol_word_ratio": per(text.count("#") + text.count("...") + text.count("…"), len(found)),
        "stop_word_occurrences": None if mostly else len(occurring),
        "curly_bracket_char_ratio": per(text.count("{") + text.count("}"), len(text)),
        "removed_word_ratio": 0.0 if found else None,
    }


SCRIPTS = st.text(
    st.characters(max_codepoint=0x2FF) | st.sampled_from("字喜欢ไทยяЯ한글…“”\u3000\u2028😀ΣǅⅧ½"), max_size=60
)


@given(
    st.lists(
        st.none() | TEXT.filter(lambda text: all(unspaced(c) or ord(c) < 0x300 for c in text)) | SCRIPTS,
        max_size=4,
    )
)
@example(["the of and to be that have with", "THE… (the)", None, "", "...... #"])
def test_signals_equal_their_twin(texts):
    columns = signals.compute(NAMES, batch_of(*texts))
    expected = [twin(text or "") for text in texts]
    for name in NAMES:
        assert columns[name].type == signals.SIGNALS[name].type
        assert columns[name].to_pylist() == [row[name] for row in expected], name


@given(st.lists(TEXT, max_size=3))
def test_a_batch_is_its_texts(texts):
    together = signals.compute(NAMES, batch_of(*texts))
    alone = [signals.compute(NAMES, batch_of(text)) for text in texts]
    for name in NAMES:
        assert together[name].to_pylist() == [columns[name].to_pylist()[0] for columns in alone]


def test_stop_words_count_once_each():
    assert compute("The the THE of", "stop_word_count") == [2]
    assert compute("then oft be-all", "stop_word_count") == [0]


def test_nothing_is_undefined_not_zero():
    ratios = [name for name in signals.SIGNALS if name.endswith("_ratio")]
    of_chars = {"alphabetic_char_ratio", "curly_bracket_char_ratio"}
    for text in ("", " \n "):
        columns = signals.compute(ratios, batch_of(text))
        undefined = {name for name, column in columns.items() if column.null_count}
        assert undefined == set(ratios) - (of_chars if text else set())
        assert compute(text, "word_count", "stop_word_count", "sentence_count", "line_count") == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "text", ["我喜欢读书，也喜欢写字。" * 5, "ฉันชอบอ่านหนังสือ" * 5, "私は本を読むのが好きです。" * 5]
)
def test_scripts_without_spaces_fail_no_rule_on_words(text):
    length, stops, alphabetic, unspaced_share = compute(
        text, "mean_word_length", "stop_word_count", "alphabetic_word_ratio", "unspaced_word_ratio"
    )
    assert length is None and stops is None
    assert alphabetic == unspaced_share == 1.0


def test_half_unspaced_is_still_spaced():
    assert compute("ab 字", "mean_word_length", "stop_word_count") == [1.5, 0]
