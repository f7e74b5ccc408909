"""Rule tables: the built-in ones are whole, and what is wrong with a user's own is named and corrected."""

import re
from pathlib import Path

import pytest

from corpuskit.errors import UsageError
from corpuskit.filter.signals import LINE_SIGNALS, SIGNALS
from corpuskit.filter.tables import BUILT_IN, SPAN_SIGNALS, WORD_LISTS, Rule, load, load_all

ROW = '[[rule]]\nname = "words.min"\nsignal = "word_count"\nmin = 5\n'


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(text, "utf-8")
    return str(folder / name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_tables_cite_a_source_for_every_rule(name: str) -> None:
    table = load(name)
    assert table.name == name
    assert all(rule.source for rule in table.rules)
    assert all(rule.name.startswith(f"{name}.") for rule in table.rules)


def test_the_tables_of_the_papers_are_built_in() -> None:
    assert {"gopher", "c4", "c4-fineweb", "fineweb", "refinedweb", "dclm", "redpajama2"} <= set(BUILT_IN)


def test_bad_words_carry_their_licence_and_are_the_english_list() -> None:
    text = WORD_LISTS["bad_word_count"].read_text("utf-8")
    assert "Creative Commons Attribution 4.0" in text
    listed = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(listed) == len(set(listed)) == 403
    assert "2 girls 1 cup" in listed


def test_word_lists_are_of_known_signals_and_name_their_source() -> None:
    for signal, path in WORD_LISTS.items():
        assert signal in SIGNALS
        assert re.search("^# .*licen[cs]e", path.read_text("utf-8"), re.IGNORECASE | re.MULTILINE)


def test_reads_a_table_of_ones_own(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        ROW
        + '[[rule]]\nname = "short"\nsignal = "line_word_count"\nscope = "line"\nmax = 0\nsource = "mine"\n'
        + 'languages = ["en", "deu"]\n',
    )
    table = load(path)
    assert table.name == "mine"
    assert table.rules == (
        Rule("mine.words.min", "word_count", 5.0, None),
        Rule("mine.short", "line_word_count", None, 0.0, "line", "mine", ("eng", "deu")),
    )
    assert (table.rules[0].bound, table.rules[1].bound) == (5.0, 0.0)
    assert table.scoped("line") == table.rules[1:]
    assert table.cuts
    assert not load("gopher").cuts


def test_digest_follows_the_content_not_the_place(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    one, two = write(tmp_path, ROW), write(tmp_path / "elsewhere", ROW)
    assert load(one).sha256 == load(two).sha256
    assert load(write(tmp_path, ROW.replace("5", "6"))).sha256 != load(two).sha256


WRONG = {
    "no rules": ("", "has no rules", "[[rule]]"),
    "not TOML": ("[[rule]\n", "is not TOML", ""),
    "a key beside the rules": ('title = "x"\n' + ROW, "unknown key 'title'", "[[rule]]"),
    "rules that are no rows": ("rule = 3\n", "has no rules", "[[rule]]"),
    "a row that is no table": ("rule = [3]\n", "rule 1: not a table", "[[rule]]"),
    "a misspelt key": (
        ROW + 'scop = "line"\n',
        "rule 1 (words.min): unknown key 'scop'",
        "did you mean 'scope'?",
    ),
    "a misspelt signal": (
        ROW.replace("word_count", "wrd_count"),
        "unknown signal 'wrd_count'",
        "'word_count'?",
    ),
    "a misspelt scope": (ROW + 'scope = "lines"\n', "unknown scope 'lines'", "did you mean 'line'?"),
    "a line signal for documents": (
        ROW.replace("word_count", "line_word_count"),
        "'line_word_count' is not a signal of a document",
        'say scope = "line"',
    ),
    "a document signal for lines": (
        ROW + 'scope = "line"\n',
        "is not a signal of a line",
        'say scope = "document"',
    ),
    "no name": (ROW.replace('name = "words.min"\n', ""), "rule 1 has no name", 'add name = "..."'),
    "an empty name": (ROW.replace("words.min", ""), "name wants text", ""),
    "a name that is a number": (ROW.replace('"words.min"', "7"), "rule 1: name wants text, not 7", ""),
    "no signal": (ROW.replace('signal = "word_count"\n', ""), "has no signal", 'add signal = "..."'),
    "a signal and a column": (ROW + 'column = "score"\n', "has both signal and column", "exactly one"),
    "a signal for a column": (ROW.replace("signal", "column"), "is a signal", 'say signal = "word_count"'),
    "a column of lines": (
        '[[rule]]\nname = "x"\ncolumn = "score"\nscope = "line"\nmin = 2\n',
        "not of a line",
        "leave scope out",
    ),
    "no bound": (ROW.replace("min = 5\n", ""), "has neither min nor max", "exactly one"),
    "two bounds": (ROW + "max = 9\n", "has both min and max", "two rules"),
    "a bound in quotes": (ROW.replace("= 5", '= "5"'), "min wants a number, not '5'", ""),
    "a bound that is a switch": (
        ROW.replace("= 5", "= false"),
        "min wants a number, not False",
        "take it out",
    ),
    "a bound that is no number": (ROW.replace("= 5", "= nan"), "min wants a number, not nan", "take it out"),
    "an infinite bound": (ROW.replace("= 5", "= -inf"), "min wants a number, not -inf", "take it out"),
    "a source that is no text": (ROW + "source = 3\n", "source wants text, not 3", ""),
    "a name twice": (ROW + ROW, "rule 2 (words.min): an earlier rule has this name", "its own name"),
    "an unknown language": (
        ROW + 'languages = ["englsh"]\n',
        "rule 1 (words.min): no language 'englsh'",
        "'eng'?",
    ),
    "a language that is no list": (ROW + 'languages = "en"\n', "languages wants a list", ""),
    "a span rule with another bound": (
        '[[rule]]\nname = "x"\nsignal = "citation"\nscope = "span"\nmax = 2\n',
        "cuts all that it finds",
        "say max = 0",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named_with_file_and_row_and_corrected(wrong: str, tmp_path: Path) -> None:
    text, what, fix = WRONG[wrong]
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as error:
        load(path)
    assert path in error.value.what
    assert what in error.value.what
    assert fix in (error.value.fix or "")


def test_reads_a_rule_of_a_column(tmp_path: Path) -> None:
    path = write(tmp_path, '[[rule]]\nname = "x"\ncolumn = "score"\nmin = 2\n')
    assert load(path).rules == (Rule("mine.x", "score", 2.0, None, column=True),)


def test_zero_is_a_bound(tmp_path: Path) -> None:
    rule = load(write(tmp_path, ROW.replace("5", "0"))).rules[0]
    assert (rule.low, rule.high, rule.bound) == (0.0, None, 0.0)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("gofer", "did you mean 'gopher'?"),
        ("mine", "mine.toml"),
        ("missing.toml", "gopher"),
        ("folder/missing.toml", "gopher"),
    ],
)
def test_an_unknown_table_is_named_and_corrected(name: str, fix: str) -> None:
    with pytest.raises(UsageError) as error:
        load(name)
    assert name in error.value.what
    assert fix in (error.value.fix or "")


def test_bytes_that_are_no_text_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe[[rule]]")
    with pytest.raises(UsageError, match="is not TOML"):
        load(str(tmp_path / "mine.toml"))


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    mine = write(tmp_path, ROW, "gopher.toml")
    assert load(mine).rules[0].name == "gopher.words.min"
    with pytest.raises(UsageError, match="both called 'gopher'"):
        load_all(["gopher", mine])
    with pytest.raises(UsageError, match="both called 'gopher'"):
        load_all(["gopher", "gopher"])


def test_a_table_may_list_signals_that_it_does_not_judge(tmp_path: Path) -> None:
    table = load(write(tmp_path, f'signals = ["char_count", "word_entropy"]\n{ROW}'))
    assert table.signals == ("char_count", "word_entropy")
    with pytest.raises(UsageError, match="unknown signal 'char_cuont'") as caught:
        load(write(tmp_path, f'signals = ["char_cuont"]\n{ROW}'))
    assert caught.value.fix == "did you mean 'char_count'?"
    with pytest.raises(UsageError, match="signals wants a list"):
        load(write(tmp_path, f'signals = "char_count"\n{ROW}'))


def test_no_signal_is_of_two_scopes() -> None:
    names = [*SIGNALS, *LINE_SIGNALS, *SPAN_SIGNALS]
    assert len(names) == len(set(names))


def test_the_documentation_lists_every_table_and_signal() -> None:
    text = (Path(__file__).parents[2] / "docs" / "filter.md").read_text("utf-8")
    for name in (*BUILT_IN, *SIGNALS, *LINE_SIGNALS, *SPAN_SIGNALS):
        assert f"| `{name}` |" in text
    for known in (SIGNALS, LINE_SIGNALS):
        assert all(f"| `{name}` | {signal.meaning} |" in text for name, signal in known.items())
