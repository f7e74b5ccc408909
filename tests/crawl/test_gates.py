"""Gates: what passes, what does not, and what is said of it."""

import time

import pytest

from corpuskit.crawl.gates import BlockList, Verdict, cheap_text, language_verdict, read_block_list
from corpuskit.errors import InputError

GERMAN = "<p>Der Hafen der Stadt wurde im Frühjahr gebaut, als der Fluss niedrig genug stand.</p>" * 3
ENGLISH = "<p>The harbour of the town was built in spring, when the river had fallen low enough.</p>" * 3


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://example.com/", "gate.domain"),
        ("http://deep.www.example.com:80/", "gate.domain"),
        ("http://blog.example.org/", "gate.domain"),
        ("http://www.blog.example.org/", None),
        ("http://example.org/", None),
        ("http://notexample.com/", None),
        ("http://b.test/A/CASINO/", "gate.url"),
        (None, None),
        ("", None),
    ],
)
def test_block_lists(url, rule):
    blocked = BlockList(domains=["Example.com", "blog.example.org"], urls=["/casino/", "a+b"])
    verdict = blocked.verdict(url)
    assert (verdict and verdict.rule) == rule


def test_no_list_blocks_nothing():
    assert BlockList().verdict("http://example.com/") is None


def test_lists_are_read_without_blanks_and_comments(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# a comment\n\n example.com \nb.test\n")
    assert read_block_list([str(path)]) == ["example.com", "b.test"]
    assert read_block_list([]) == []
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="no entries"):
        read_block_list([str(path)])
    with pytest.raises(InputError, match="absent"):
        read_block_list([str(tmp_path / "absent")])


def test_cheap_text_leaves_out_scripts_and_markup():
    page = (
        "<STYLE>p {}</style><p class='a>b'>One&nbsp;<b>two</b><!-- no --></p><script>x = '<p>'</script >three"
    )
    assert cheap_text(page) == "b'>One two three"
    assert cheap_text("<script>never closed <p>text") == "never closed text"


@pytest.mark.parametrize("piece", ["<script", "<!--", "<", "<a ", "&amp", "<style></script", "</script>"])
def test_cheap_text_takes_linear_time(piece):
    start = time.process_time()
    cheap_text(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 2


def test_languages():
    assert language_verdict(GERMAN, ("deu",), 0.5) is None
    assert language_verdict("", ("deu",), 0.5) is None
    verdict = language_verdict(ENGLISH, ("deu", "fra"), 0.5)
    assert verdict == Verdict("gate.language", verdict.value, 0.5) and verdict.value > 0.5
    assert language_verdict(ENGLISH, ("deu",), 1.0) is None or verdict.value == 1.0
