"""Project Gutenberg: its wrapping in every form, and its hard-wrapped lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.gutenberg import book_lines, facts, is_heading, paragraphs

STARTS = [
    "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***",
    "*** START OF THIS PROJECT GUTENBERG EBOOK EMMA ***",
    "***START OF THE PROJECT GUTENBERG EBOOK EMMA***",
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.17.02*END*",
]
ENDS = [
    "*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***",
    "*** END OF THIS PROJECT GUTENBERG EBOOK EMMA ***",
    "***END OF THE PROJECT GUTENBERG EBOOK EMMA***",
    "End of the Project Gutenberg EBook of Emma, by Jane Austen",
    "End of Project Gutenberg's Emma, by Jane Austen",
    "End of The Project Gutenberg Etext of Emma",
    "The End of the Project Gutenberg Etext of Emma",
]
BOOK = [f"Line {number} of the book." for number in range(40)]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("end", ENDS)
def test_every_marker_is_found(start, end):
    lines = ["The Project Gutenberg eBook of Emma", "", start, *BOOK, end, "", "The licence."]
    first, last = book_lines(lines)
    assert lines[first:last] == BOOK


def test_what_names_the_project_in_passing_loses_nothing():
    lines = ["I read the Project Gutenberg etexts.", *BOOK, "He spoke of Project Gutenberg.", *BOOK]
    assert book_lines(lines) == (0, len(lines))


def test_a_short_poem_before_a_long_licence():
    lines = [STARTS[0], "", "A poem.", "", ENDS[0], *["licence"] * 360]
    first, last = book_lines(lines)
    assert [line for line in lines[first:last] if line] == ["A poem."]


def test_small_print_at_the_end_is_no_start():
    lines = [*BOOK, "End of the Project Gutenberg Etext of X", "more", STARTS[3]]
    assert book_lines(lines) == (0, 40)


def test_credits_go_and_the_books_own_first_words_stay():
    lines = [
        STARTS[0],
        "",
        "",
        "Produced by A. Volunteer and",
        "the Team at http://www.pgdp.net",
        "",
        "EMMA",
        "",
        *BOOK,
    ]
    first, _ = book_lines(lines)
    assert [line for line in lines[first:] if line][0] == "EMMA"


def test_facts_of_the_header():
    new = [
        "The Project Gutenberg eBook of Emma",
        "",
        "Title: Emma",
        "",
        "Author: Jane Austen",
        "Language: English",
    ]
    assert facts(new) == ("Emma", "Jane Austen", "English")
    assert facts(["The Project Gutenberg Etext of Emma, by Jane Austen"])[:2] == ("Emma", "Jane Austen")
    assert facts(["Title: A list", "Author: me"]) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CHAPTER I.", True),
        ("CHAPTER THE FIRST", True),
        ("Chapter 12. In which nothing happens", True),
        ("BOOK TWENTY-ONE", True),
        ("XIV", True),
        ("Kapitel 3", True),
        ("PREFACE", True),
        ("ACT I\nSCENE II", True),
        ("Chapter and verse were given.", False),
        ("I went home.", False),
        ("Book lovers came.", False),
        ("Part of it was lost.", False),
        ("CHAPTER I " + "x" * 100, False),
    ],
)
def test_headings(text, found):
    assert is_heading(text) is found


PROSE = [
    "It was the best of times, it was the worst of times, it was the age of",
    "wisdom, it was the age of foolishness, it was the epoch of belief, it was",
    "the epoch of incredulity, so they say, and it was the season of Light--",
    "it was another age too, and the longest season of well-",
    "known Darkness, it was the spring of hope, it was the winter of despair,",
    "we had everything.",
    "",
    "  Tyger Tyger, burning bright,",
    "  In the forests of the night;",
    "    What immortal hand or eye,",
    "",
    "Shall I compare thee",
    "to a summer's day?",
    "Thou art more lovely",
    "and more temperate.",
    "",
    "A short line.",
]


def test_prose_is_joined_and_verse_is_not():
    found = paragraphs(PROSE, rewrap=True)
    assert found[0].count("\n") == 0 and "age of wisdom" in found[0] and "Light--it was" in found[0]
    assert "well-known Darkness" in found[0] and found[0].endswith("we had everything.")
    assert found[1].split("\n")[2] == "  What immortal hand or eye,"
    assert found[2].count("\n") == 3
    assert found[3] == "A short line."


def test_without_rewrap_lines_stay():
    assert paragraphs(PROSE, rewrap=False)[0].count("\n") == 5


def test_ideographs_are_joined_without_a_space():
    lines = ["本手册属于自由软件您可以在通用公共授权下重新发布和或修改它请在附录阅读"] * 6 + ["完。"]
    assert paragraphs(lines, rewrap=True) == ["".join(lines)]


def test_long_lines_are_no_wrapping():
    lines = ["word " * 60] * 8
    assert paragraphs(lines, rewrap=True)[0].count("\n") == 7


@given(st.lists(st.text("ab -—\t中", max_size=90), max_size=30), st.booleans())
def test_no_letter_is_lost(lines, rewrap):
    kept = "".join("".join(paragraphs(lines, rewrap)).split())
    assert kept == "".join("".join(lines).split())
