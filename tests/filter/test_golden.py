"""Golden cases of every built-in rule: prose that is kept, a text exactly at the bound, one just beyond."""

import itertools
from collections.abc import Iterator
from string import ascii_lowercase

import pytest

from corpuskit.filter import signals
from corpuskit.filter.rules import Rules
from corpuskit.filter.tables import BUILT_IN, Rule, load
from corpuskit.stage import Split
from corpuskit.testing import documents

GOOD = """\
The harbour was built in the spring of that year, when the river had fallen low enough for the masons to work.
They lowered the first blocks by hand and had to wait for every tide before another course could be laid.
"You will have to be patient with it," said the engineer, who had seen three such walls give way before.
By autumn a pier of grey granite reached two hundred yards into the bay, and fishing boats moored behind it.
Traders from the northern towns soon followed; a market opened on the quay, and rents in the lanes doubled.
"""
"""Kept by every table, whole."""


def fresh(length: int) -> Iterator[str]:
    """Yield words of `length` letters, no two alike."""
    return ("".join(letters) for letters in itertools.product(ascii_lowercase, repeat=length))


def words(count: int, length: int = 4) -> list[str]:
    return list(itertools.islice(fresh(length), count))


def lines(count: int, length: int = 4, *, copies: int = 0, between: str = "\n") -> str:
    """Write `count` lines of one length, the last `copies` of which repeat the first."""
    different = words(count - copies, length)
    return between.join([*different, *different[:1] * copies])


def repeated(passage: str, chars: int) -> str:
    """Write a passage twice with words that occur once between: `chars` characters, spaces not counted."""
    size = len(passage.replace(" ", ""))
    rest = chars - 2 * size
    filler = words(rest // 5 - 1, 5)
    filler.append("z" * (rest - 5 * len(filler)))
    return f"{passage} {' '.join(filler)} {passage}"


AT_AND_BEYOND = {
    # Gopher, repetition
    "gopher.duplicate_line_ratio.max": (lines(10, copies=3), lines(10, copies=4)),
    "gopher.duplicate_paragraph_ratio.max": (
        lines(10, copies=3, between="\n\n"),
        lines(10, copies=4, between="\n\n"),
    ),
    "gopher.duplicate_line_char_ratio.max": (lines(5, copies=1), lines(9, copies=2)),
    "gopher.duplicate_paragraph_char_ratio.max": (
        lines(5, copies=1, between="\n\n"),
        lines(9, copies=2, between="\n\n"),
    ),
    "gopher.top_2gram_char_ratio.max": (repeated("ab cd", 40), repeated("ab cd", 39)),
    "gopher.top_3gram_char_ratio.max": (repeated("abc def ghi", 100), repeated("abc def ghi", 99)),
    "gopher.top_4gram_char_ratio.max": (repeated("ab cd ef gh", 100), repeated("ab cd ef gh", 99)),
    "gopher.duplicate_5gram_char_ratio.max": (
        repeated("abc def ghi jkl mno", 100),
        repeated("abc def ghi jkl mno", 99),
    ),
    "gopher.duplicate_6gram_char_ratio.max": (
        repeated("ab cd ef gh ijk lmn", 100),
        repeated("ab cd ef gh ijk lmn", 99),
    ),
    "gopher.duplicate_7gram_char_ratio.max": (
        repeated("a bc de fg hi jk lm", 100),
        repeated("a bc de fg hi jk lm", 99),
    ),
    "gopher.duplicate_8gram_char_ratio.max": (
        repeated("a b c d ef gh ij kl", 100),
        repeated("a b c d ef gh ij kl", 99),
    ),
    "gopher.duplicate_9gram_char_ratio.max": (
        repeated("a b c d e f g hi jk", 100),
        repeated("a b c d e f g hi jk", 99),
    ),
    "gopher.duplicate_10gram_char_ratio.max": (
        repeated("a b c d e f g h i j", 100),
        repeated("a b c d e f g h i j", 99),
    ),
    # Gopher, quality
    "gopher.word_count.min": (" ".join(words(50)), " ".join(words(49))),
    "gopher.word_count.max": (" ".join(words(100_000)), " ".join(words(100_001))),
    "gopher.mean_word_length.min": (" ".join(words(60, 3)), " ".join([*words(59, 3), "ab"])),
    "gopher.mean_word_length.max": (" ".join(words(60, 10)), " ".join([*words(59, 10), "abcdefghijk"])),
    "gopher.hash_word_ratio.max": (" ".join(words(10)) + "#", " ".join(words(9)) + "#"),
    "gopher.ellipsis_word_ratio.max": (" ".join(words(10)) + "...", " ".join(words(9)) + "…"),
    "gopher.bullet_line_ratio.max": ("\n".join(["• item"] * 9 + ["prose"]), "\n".join(["• item"] * 10)),
    "gopher.ellipsis_line_ratio.max": (
        "\n".join(["more..."] * 3 + ["prose"] * 7),
        "\n".join(["more..."] * 4 + ["prose"] * 6),
    ),
    "gopher.alphabetic_word_ratio.min": (
        " ".join(words(8) + ["1", "2"]),
        " ".join(words(7) + ["1", "2", "3"]),
    ),
    "gopher.stop_word_count.min": ("the plan of mine", "the plan and the other plan".replace("and", "or")),
    # C4, pages
    "c4.lorem_ipsum_count.max": (
        GOOD + "Lorem dolor ipsum is not the phrase.",
        GOOD + "So lorem ipsum dolor sit amet.",
    ),
    "c4.curly_bracket_count.max": (
        GOOD + "The closing } alone is no code.",
        GOOD + "This { opens a block of it.",
    ),
    "c4.bad_word_count.max": (
        GOOD + "Her buttons were of brass and bone.",
        GOOD + "He fell on his butt in the mud.",
    ),
    "c4.sentence_count.min": (
        "One is a short sentence. Two is a longer one here. Three of them will do.",
        "One is a short sentence. Two of them will not do.",
    ),
    # FineWeb
    "fineweb.terminal_punctuation_line_ratio.min": (
        "\n".join(["a line."] * 3 + ["a line"] * 22),
        "\n".join(["a line."] * 2 + ["a line"] * 23),
    ),
    "fineweb.short_line_ratio.max": (
        "\n".join(["x" * 30] * 67 + ["x" * 31] * 33),
        "\n".join(["x" * 30] * 68 + ["x" * 31] * 32),
    ),
    "fineweb.duplicate_line_char_ratio.max": (lines(100, copies=1), lines(100, copies=2)),
    "fineweb.newline_word_ratio.max": ("a b c\nd e f\ng h i\nj", "a b c\nd e\nf g h\ni\nj"),
}
"""For each document rule: a text exactly at the bound, which is kept, and one just beyond it."""

AT_AND_BEYOND |= {
    name.replace("c4.", "c4-fineweb."): texts
    for name, texts in AT_AND_BEYOND.items()
    if name.startswith("c4.") and "bad_word" not in name
}

OWN = {
    "symbol_word_ratio.max": (" ".join(words(20)) + "#...", " ".join(words(19)) + "#..."),
    "stop_word_occurrences.min": ("the plan or the other", "the plan or another"),
}
"""What DCLM and RedPajama-V2 have besides Gopher's rules."""

for table in ("dclm", "redpajama2"):
    names = {rule.name.removeprefix(f"{table}.") for rule in load(table).scoped("document")}
    known = {name.removeprefix("gopher."): texts for name, texts in AT_AND_BEYOND.items()} | OWN
    AT_AND_BEYOND |= {f"{table}.{name}": known[name] for name in names}

KEPT_AND_CUT = {
    "c4.line_longest_word.max": (
        [f"A line with a word of {'x' * 1000} letters."],
        [f"A line with a word of {'x' * 1001} letters."],
    ),
    "c4.line_ends_terminal": (
        [
            "This line ends in a full stop.",
            "Does this one end in a question mark?",
            "And this one does in another!",
            'He said that "this is the last of them."',
            "The line ends well [but for a remark].",
        ],
        [
            "This line has no mark at its end",
            "This one goes on and on...",
            "This one goes on like that…",
            "These are the things we need:",
        ],
    ),
    "c4.line_word_count.min": (["One two three four five."], ["One two three four."]),
    "c4.line_has_javascript": (
        ["You need a java script for this."],
        ["Please enable JavaScript in your browser now."],
    ),
    "c4.line_has_policy": (
        ["The privacy of the policy is in doubt.", "We used cookies for the cake today."],
        [
            "Read the Terms of Use before you go on.",
            "See our Privacy Policy for more on this.",
            "The cookie policy is not a recipe here.",
            "This site uses cookies to work at all.",
            "You agree to the use of cookies here.",
            "We use cookies to make this site work.",
        ],
    ),
    "c4.citation": (
        [
            "It stands in the book [1a] and nowhere else.",
            "It stands so (12) in the book here.",
            "As in [sic] the book.",
        ],
        ["[1]", "[]", "[1234]", "[edit]", "[citation needed]"],
    ),
}
"""For each rule that cuts: lines (or spans) that stay, and some that go."""

KEPT_AND_CUT |= {
    name.replace("c4.", "c4-fineweb."): texts
    for name, texts in KEPT_AND_CUT.items()
    if name != "c4.line_ends_terminal"
}

KEPT_AND_CUT |= {
    "refinedweb.line_upper_ratio.max": (["Half OF IT is"], ["MORE Than HALF"]),
    "refinedweb.line_numeric": (["Route 66"], ["12 34", "1,024 (2.5)"]),
    "refinedweb.line_is_counter": (["3 likes and more", "3 apples"], ["3 likes", "1.2K Shares"]),
    "refinedweb.line_word_count.min": (["Home page"], ["Home", "Contact..."]),
    "dclm.text_url": (
        ["It stands at example.org and on port 80."],
        [" https://www.example.org/a?b=c", " www.example.org", " http://example.org/a_(b)"],
    ),
}

CUT_WITHIN = {
    "refinedweb.sign_in": [
        ("Please sign-in to comment.", "Please sign-in to comment."),
        (
            "Sign-in one two three four five six seven eight nine.",
            "one two three four five six seven eight nine.",
        ),
        ("Sign-in one two three four five six seven eight nine ten.", None),
    ],
    "refinedweb.read_more": [
        ("The pier has reopened. Read more...", "The pier has reopened."),
        ("Read more... about the pier.", None),
    ],
    "refinedweb.items_in_cart": [
        ("There are items in cart for you.", "There are for you."),
        ("The items in carts are for you.", None),
    ],
    "dclm.excess_newlines": [
        ("One line.\n\n\n\nAnother line.", "One line.\n\nAnother line."),
        ("a\n\nb", None),
    ],
}
"""For each rule that cuts within a line: texts and what is left of them; null where nothing goes."""

CHOOSE = {"stories", "realnews"}
"""Tables that look for texts of one kind, in place of good ones: tests/filter/test_choosing.py."""

IMAGES = {"coyo", "datacomp-basic", "kosmos1", "laion", "laion-clip", "mmc4", "obelics"}
"""Tables for images and their captions: tests/filter/test_image_tables.py."""

RULES = {rule.name: rule for table in BUILT_IN if table not in CHOOSE | IMAGES for rule in load(table).rules}


def apply(name: str, text: str) -> Split:
    return Rules(tables=(name.split(".")[0],)).split(documents([text]))


def value(rule: Rule, text: str) -> float:
    return float(signals.compute([rule.signal], documents([text]))[rule.signal][0].as_py())


def test_every_built_in_rule_has_golden_cases() -> None:
    documents_of = {name for name, rule in RULES.items() if rule.scope == "document"}
    elsewhere = {name for name in RULES if ".url_" in name} | {"refinedweb.removed_word_ratio.max"}
    assert documents_of - elsewhere == set(AT_AND_BEYOND)
    assert set(RULES) - documents_of == set(KEPT_AND_CUT) | set(CUT_WITHIN)


@pytest.mark.parametrize("table", sorted({*BUILT_IN} - CHOOSE - IMAGES))
def test_good_prose_breaks_no_rule_and_loses_nothing(table: str) -> None:
    split = Rules(tables=(table,)).split(documents([GOOD]))
    assert split.rejected.to_pylist() == []
    assert split.kept["text"].to_pylist() == [GOOD]


@pytest.mark.parametrize("name", AT_AND_BEYOND)
def test_a_value_at_the_bound_is_kept(name: str) -> None:
    at, _ = AT_AND_BEYOND[name]
    assert value(RULES[name], at) == RULES[name].bound
    assert name not in apply(name, at).rejected["rule"].to_pylist()


@pytest.mark.parametrize("name", AT_AND_BEYOND)
def test_a_value_beyond_the_bound_is_rejected_and_recorded(name: str) -> None:
    rule, (_, beyond) = RULES[name], AT_AND_BEYOND[name]
    found = [row for row in apply(name, beyond).rejected.to_pylist() if row["rule"] == name]
    assert len(found) == 1
    assert (found[0]["value"], found[0]["bound"]) == (value(rule, beyond), rule.bound)
    assert found[0]["value"] < rule.bound if rule.low is not None else found[0]["value"] > rule.bound
    assert found[0]["start"] is None


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name in KEPT_AND_CUT for line in KEPT_AND_CUT[name][0]]
)
def test_a_line_at_the_bound_stays(name: str, line: str) -> None:
    split = apply(name, f"{GOOD}{line}\n")
    assert split.rejected.to_pylist() == []
    assert split.kept["text"].to_pylist() == [f"{GOOD}{line}\n"]


@pytest.mark.parametrize(
    ("name", "cut"), [(name, cut) for name in KEPT_AND_CUT for cut in KEPT_AND_CUT[name][1]]
)
def test_a_line_or_span_beyond_the_bound_is_cut(name: str, cut: str) -> None:
    first, rest = GOOD.split("\n", 1)
    span = cut if RULES[name].scope == "span" else f"\n{cut}"
    split = apply(name, f"{first}{span}\n{rest}")
    assert split.kept["text"].to_pylist() == [GOOD]
    (row,) = split.rejected.to_pylist()
    assert (row["rule"], row["bound"], row["value"]) == (name, RULES[name].bound, None)
    start = len(first) + (RULES[name].scope == "line")
    assert (row["start"], row["end"]) == (start, start + len(span.encode()))


@pytest.mark.parametrize(
    ("name", "text", "left"), [(name, *texts) for name, cases in CUT_WITHIN.items() for texts in cases]
)
def test_a_phrase_is_cut_from_its_line(name: str, text: str, left: str | None) -> None:
    expected = text if left is None else left
    split = apply(name, f"{GOOD}{text}")
    assert split.kept["text"].to_pylist() == [f"{GOOD}{expected}"]
    spans = [row for row in split.rejected.to_pylist() if row["rule"] == name]
    assert sum(row["end"] - row["start"] for row in spans) == len(text) - len(expected)


@pytest.mark.parametrize(("words_left", "kept"), [(38, True), (37, False)])
def test_refinedweb_drops_a_page_that_loses_more_than_a_twentieth_of_its_words(
    words_left: int, kept: bool
) -> None:
    name = "refinedweb.removed_word_ratio.max"
    split = apply(name, f"{' '.join(words(words_left))}\nHome\nContact\n")  # two words go
    assert len(split.kept) == kept
    (value,) = [row["value"] for row in split.rejected.to_pylist() if row["rule"] == name] or [0.05]
    assert value == pytest.approx(2 / (words_left + 2))
    if kept:
        assert split.kept["removed_word_ratio"].to_pylist() == [0.05]


def test_words_that_an_earlier_table_removed_do_not_count() -> None:
    page = " ".join([*words(60), *["http://example.org/"] * 9, "the", "with"])
    split = Rules(tables=("dclm", "refinedweb")).split(documents([f"{page}\nHome\n"]))
    assert split.kept["removed_word_ratio"].to_pylist() == [pytest.approx(1 / 63)]
    again = Rules(tables=("dclm", "refinedweb", "fineweb-url")).split(documents([f"{page}\nHome\n"]))
    assert again.kept["removed_word_ratio"].to_pylist() == [pytest.approx(1 / 63)]
