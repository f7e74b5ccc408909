"""Golden cases of the tables that choose texts of one kind: kept, at the bound, and dropped."""

from pathlib import Path

import pytest

from corpuskit.errors import UsageError
from corpuskit.filter.rules import Rules
from corpuskit.filter.signals import compute
from corpuskit.filter.tables import load
from corpuskit.stage import Split
from corpuskit.testing import check_stage, documents

STORY = "The harbour was closed on Monday, the ministry said. It will open again next week.\n" * 5
NEWS = f"Harbour closed\nBy Jane Doe\nApril 25, 2019\n{STORY}"
URL = "https://www.nytimes.com/world/harbour.html"


def judge(text: str, url: str | None, *lists: str) -> Split:
    return Rules(tables=("realnews",), lists=lists).split(documents([text], url=[url]))


@pytest.mark.parametrize(
    ("text", "url", "rules"),
    [
        (NEWS, URL, []),
        (NEWS, None, []),  # a host that is not known breaks no rule
        (NEWS, "https://harbour.example.org/", ["news_host"]),
        (NEWS.replace("By Jane Doe\n", ""), URL, ["has_byline"]),
        (NEWS.replace("April 25, 2019\n", ""), URL, ["has_published_date"]),
        (NEWS.replace("April 25, 2019\n", ""), "https://www.nytimes.com/2019/04/25/a.html", []),
        (STORY, "https://example.org/", ["news_host", "has_byline", "has_published_date"]),
    ],
)
def test_realnews_keeps_dated_articles_with_a_byline_from_news_sites(text, url, rules):
    split = judge(text, url)
    assert split.rejected["rule"].to_pylist() == [f"realnews.{rule}" for rule in rules]
    assert len(split.kept) == (not rules)
    assert all((row["value"], row["bound"]) == (0, 1) for row in split.rejected.to_pylist())


def test_news_hosts_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "hosts.txt"
    path.write_text("# ours\nharbour.example.org\n")
    assert len(judge(NEWS, "https://harbour.example.org/1", f"news_host={path}").kept) == 1
    assert judge(NEWS, URL, f"news_host={path}").rejected["rule"].to_pylist() == ["realnews.news_host"]


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """Questions of 25 words in all, no two alike."""
    path = tmp_path / "questions.txt"
    path.write_text("q12\n" + "".join(f"q{number} r{number}?\n" for number in range(12)))
    return str(path)


def text(shared: int) -> str:
    """Write 25 different words, so many of which are in the questions, and no two of them together."""
    others = [f"w{number}" for number in range(25 - shared)]
    return " ".join([*(f"q{number} {others.pop()}" for number in range(shared)), *others])


def test_stories_keeps_the_bound_and_drops_what_is_below(questions: str) -> None:
    (rule,) = load("stories").rules
    stage = Rules(tables=("stories",), lists=(f"question_overlap={questions}",))
    split = stage.split(documents([text(10), text(9), text(8), "q0 r0 " * 9]))
    assert split.kept["question_overlap"].to_pylist()[1] == rule.bound == 0.036
    assert len(split.kept) == 3
    (row,) = split.rejected.to_pylist()
    assert (row["rule"], row["bound"]) == ("stories.question_overlap.min", 0.036)
    assert row["value"] == pytest.approx(0.032)
    check_stage(stage)


def test_both_tables_are_whole() -> None:
    names = [rule.name for table in ("stories", "realnews") for rule in load(table).rules]
    assert names == [
        "stories.question_overlap.min",
        "realnews.news_host",
        "realnews.has_byline",
        "realnews.has_published_date",
    ]


def test_lists_are_read_once_and_known_by_what_they_say(questions: str, tmp_path: Path) -> None:
    stage = Rules(tables=("stories",), lists=(f"question_overlap={questions}",))
    copy = tmp_path / "copy.txt"
    copy.write_text(f"# a comment\n\n{Path(questions).read_text()}")
    assert Rules(tables=("stories",), lists=(f"question_overlap={copy}",)).digest() == stage.digest()
    copy.write_text("another question")
    assert Rules(tables=("stories",), lists=(f"question_overlap={copy}",)).digest() != stage.digest()
    assert "news_hosts.txt" in Rules(tables=("realnews",)).content()
    assert "list question_overlap" not in Rules(tables=("gopher",), lists=stage.lists).content()
    Path(questions).unlink()
    assert len(stage.split(documents([text(10)])).kept) == 1


@pytest.mark.parametrize(
    ("settings", "what", "fix"),
    [
        ({"tables": ("stories",)}, "question_overlap has no questions", "--lists question_overlap=FILE"),
        ({"signals": ("question_overlap",)}, "question_overlap has no questions", "--lists"),
        (
            {"lists": ("question_overlp=x",)},
            "lists has 'question_overlp=x'",
            "did you mean 'question_overlap'?",
        ),
        ({"lists": ("x.txt",)}, "lists has 'x.txt'", "write SIGNAL=x.txt"),
        ({"lists": ("news_host=missing.txt",)}, "cannot read the list missing.txt", "path"),
    ],
)
def test_wrong_lists_are_said_before_any_work(
    settings: dict[str, tuple[str, ...]], what: str, fix: str
) -> None:
    with pytest.raises(UsageError) as error:
        Rules(**settings)
    assert what in error.value.what and fix in (error.value.fix or "")


def test_a_signal_without_questions_is_null() -> None:
    assert compute(["question_overlap"], documents(["a text"]))["question_overlap"].null_count == 1
