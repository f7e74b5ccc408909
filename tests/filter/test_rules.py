"""filter rules: cuts and their spans, what is recorded, what becomes a column, and in which order."""

import dataclasses
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.errors import InputError, UsageError
from corpuskit.filter import signals
from corpuskit.filter.rules import Rules
from corpuskit.filter.signals import SIGNALS
from corpuskit.filter.tables import BUILT_IN, load
from corpuskit.settings import from_mapping
from corpuskit.stage import Split, check_conservation
from corpuskit.testing import check_stage, documents

PROSE = "It rained for most of the night.\nBy the morning all of the roads were under water.\n"
GERMAN = "Der Hafen wurde im Frühjahr jenes Jahres gebaut, als der Fluss niedrig genug stand. " * 2
CHINESE = (
    "委员会将于星期四再次开会，讨论明年的预算和修建新港口的计划。工程师说，第一批石块已经运到河边，"
    "但是必须等待潮水退去才能继续施工。北方城镇的商人很快就会来到这里，码头上将开设一个新的市场。"
    "渔民们希望新的防波堤能够在冬天到来之前完工，这样他们的船只就不会再被风浪打坏。"
)


def write(folder: Path, name: str, *rules: dict[str, Any]) -> str:
    """Write a rule table and return its path."""
    rows = (
        "[[rule]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in rule.items()) for rule in rules
    )
    (folder / f"{name}.toml").write_text("\n".join(rows), "utf-8")
    return str(folder / f"{name}.toml")


def _toml(value: object) -> str:
    return str(value) if isinstance(value, int | float) else repr(value)


def split(stage: Rules, texts: Iterable[str], **columns: Any) -> Split:
    batch = documents(texts, **columns)
    result = dataclasses.replace(stage.split(batch), source=batch)
    check_conservation(result, stage.name)
    return result


def cuts(result: Split) -> list[tuple[str, int, int]]:
    rows = [row for row in result.rejected.to_pylist() if row["start"] is not None]
    return sorted((row["rule"], row["start"], row["end"]) for row in rows)


def broken(result: Split) -> list[str]:
    return sorted(row["rule"] for row in result.rejected.to_pylist() if row["start"] is None)


@pytest.mark.parametrize(
    "stage",
    [
        Rules(),
        Rules(tables=BUILT_IN, lists=(f"question_overlap={__file__}",)),
        Rules(tables=("c4", "gopher"), signals=("char_count", "word_count")),
        Rules(tables=("c4",), keep_signals=False),
        Rules(tables=("dclm", "refinedweb", "c4", "redpajama2")),
        Rules(signals_only=True),
        Rules(tables=(), signals=("upper_word_ratio",)),
    ],
)
def test_laws(stage: Rules) -> None:
    texts = [
        PROSE * 3,
        f"Menu\n{PROSE}\nHome\n\nAbout us\n",
        f"As said.[1] {PROSE}\nSee [edit]",
        CHINESE,
        GERMAN,
        "{",
        "\n\n\n",
    ]
    scores = [0.3, 0.2, None, 0.28, 0.1, None, 0.5]
    check_stage(
        stage, documents(texts, lang=["eng", "eng", None, "zho", "deu", "eng", None], clip_score=scores)
    )


def test_every_broken_rule_is_recorded_with_value_and_bound() -> None:
    result = split(Rules(tables=("gopher",)), ["#one two #three"])
    found = {row["rule"]: (row["value"], row["bound"], row["stage"]) for row in result.rejected.to_pylist()}
    assert found == {
        "gopher.word_count.min": (3.0, 50.0, "filter.rules"),
        "gopher.hash_word_ratio.max": (pytest.approx(2 / 3), 0.1, "filter.rules"),
        "gopher.stop_word_count.min": (0.0, 2.0, "filter.rules"),
    }


def test_rules_of_later_tables_are_recorded_for_a_document_already_rejected() -> None:
    result = split(Rules(tables=("gopher", "c4")), ["A { short page."])
    assert {rule.split(".")[0] for rule in broken(result)} == {"gopher", "c4"}
    assert len(result.kept) == 0


def test_a_null_signal_breaks_no_rule() -> None:
    result = split(Rules(tables=("fineweb",)), ["", " \n "])  # no line and no word: every ratio is 0/0
    assert result.kept["short_line_ratio"].to_pylist() == [None, None]
    assert len(result.rejected) == 0


def test_zero_is_a_bound_and_absence_is_off(tmp_path: Path) -> None:
    table = write(tmp_path, "mine", {"name": "curly", "signal": "curly_bracket_count", "max": 0})
    result = split(Rules(tables=(table,)), ["a {", "a }"])
    assert result.kept["text"].to_pylist() == ["a }"]
    assert result.rejected.to_pylist()[0]["bound"] == 0.0


def test_a_true_or_false_signal_is_one_or_zero(tmp_path: Path) -> None:
    table = write(tmp_path, "mine", {"name": "digits", "signal": "line_numeric", "max": 0, "scope": "line"})
    assert split(Rules(tables=(table,)), ["a\n12\nb"]).kept["text"].to_pylist() == ["a\nb"]


def test_the_signals_a_table_lists_become_columns_unless_signals_are_not_kept() -> None:
    kept = split(Rules(tables=("redpajama2",), signals_only=True), [PROSE]).kept
    assert kept["word_entropy"].to_pylist()[0] > 2
    assert len(kept) == 1
    plain = split(Rules(tables=("redpajama2",), keep_signals=False, signals=("char_count",)), [PROSE]).kept
    assert {"char_count"} == set(plain.schema.names) - set(documents([]).schema.names)


# Cuts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("keep\nDROP\nkeep", "keep\nkeep"),
        ("DROP\nkeep\n", "keep\n"),
        ("keep\nDROP\n", "keep"),
        ("keep\nDROP", "keep"),
        ("keep\n\nDROP\n\nkeep", "keep\n\nkeep"),
        ("keep\n\nDROP\n\nDROP\n\nkeep", "keep\n\nkeep"),
        ("keep\nDROP\n\nkeep", "keep\n\nkeep"),
        ("keep\n\nDROP\nkeep", "keep\n\nkeep"),
        ("\n\nDROP\n\nkeep", "keep"),
        ("keep\n\nDROP\n\nDROP\n\n\n", "keep"),
        ("DROP\n\nDROP", ""),
        ("\nDROP\n", ""),
        ("  DROP  \r\nkeep\r\n", "keep\r\n"),
        ("keep\n\n\nkeep\n", "keep\n\n\nkeep\n"),
        ("ä DROP\nkeep ß\n DROP 中\n", "keep ß"),
    ],
)
def test_cut_lines_leave_no_blank_lines_behind(before: str, after: str, tmp_path: Path) -> None:
    rule = {"name": "lower", "signal": "line_upper_ratio", "max": 0.5, "scope": "line"}
    result = split(Rules(tables=(write(tmp_path, "mine", rule),)), ["other\n", before, "another\n"])
    assert result.kept["text"].to_pylist() == ["other\n", after, "another\n"]


def test_each_line_of_a_run_is_a_cut_of_its_own() -> None:
    result = split(Rules(tables=("c4-fineweb",)), [f"Home\n{PROSE}Two words\nAbout us"])
    size = len("Home\n") + len(PROSE)
    rule = "c4-fineweb.line_word_count.min"
    assert [cut for cut in cuts(result) if cut[0] == rule] == [
        (rule, 0, 5),
        (
            rule,
            size - 1,
            size + 10,
        ),  # the last lines take the newline before them instead of the one they lack
        (rule, size + 10, size + 18),
    ]


def test_a_line_that_breaks_two_rules_is_cut_once_and_recorded_twice() -> None:
    text = PROSE * 2 + "Enable JavaScript\n" + PROSE
    result = split(Rules(tables=("c4",)), [text])
    start, end = 2 * len(PROSE), 2 * len(PROSE) + len("Enable JavaScript\n")
    assert cuts(result) == [
        ("c4.line_ends_terminal", start, end),
        ("c4.line_has_javascript", start, start),
        ("c4.line_word_count.min", start, start),
    ]
    assert {row["bound"] for row in result.rejected.to_pylist()} == {0.0, 1.0, 5.0}
    assert result.kept["text"].to_pylist() == [PROSE * 3]


def test_spans_of_later_cuts_are_told_in_the_text_that_came_in(tmp_path: Path) -> None:
    rule = {"name": "upper", "signal": "line_upper_ratio", "max": 0.5, "scope": "line"}
    mine = write(tmp_path, "mine", rule)
    text = f"As some say.[1] {PROSE}SHOUT NOW[12]\n{PROSE}Two words.\n{PROSE}"
    result = split(Rules(tables=("c4", mine)), [text, text])
    data = text.encode()
    found = {
        name: [data[start:end].decode() for rule, start, end in cuts(result) if rule == name]
        for name, *_ in cuts(result)
    }
    assert found == {
        "c4.citation": ["[1]", "[1]", "[12]", "[12]"],
        "c4.line_ends_terminal": ["SHOUT NOW", "SHOUT NOW", "\n", "\n"],  # in two pieces, around the citation
        "c4.line_word_count.min": ["", "", "Two words.\n", "Two words.\n"],
    }
    assert result.kept["text"].to_pylist() == [f"As some say. {PROSE * 3}"] * 2


def test_citations_go_before_lines_are_judged() -> None:
    result = split(
        Rules(tables=("c4",)), [f"{PROSE}The wall stood for a hundred years.[3][citation needed]\n"]
    )
    assert result.kept["text"].to_pylist() == [f"{PROSE}The wall stood for a hundred years.\n"]


def test_document_rules_see_what_the_cuts_of_their_table_leave() -> None:
    code = "function() { javascript is on; }.\n"
    assert broken(split(Rules(tables=("c4",)), [PROSE * 2 + code])) == []
    assert broken(split(Rules(tables=("c4",)), [PROSE * 2 + code.replace("javascript", "the script")])) == [
        "c4.curly_bracket_count.max"
    ]


def test_tables_apply_in_the_order_given(tmp_path: Path) -> None:
    long = write(tmp_path, "long", {"name": "words", "signal": "word_count", "min": 20})
    text = f"{PROSE}One\nTwo\nThree\nFour.\nBoats went from door to door."
    assert broken(split(Rules(tables=(long, "c4")), [text])) == []
    assert broken(split(Rules(tables=("c4", long)), [text])) == []
    text = f"{PROSE}One\nTwo\nThree\nFour."
    assert "long.words" not in broken(split(Rules(tables=(long, "c4")), [text]))
    after = split(Rules(tables=("c4", long)), [text]).rejected.to_pylist()
    assert [row["value"] for row in after if row["rule"] == "long.words"] == [17.0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    "Menu",
                    "",
                    " ",
                    "It rained for most of the night.",
                    "Ünïcode [1] zählt hier auch.",
                    "[edit]",
                    "中文。",
                ]
            ),
            max_size=8,
        ).map("\n".join),
        max_size=4,
    )
)
def test_what_is_kept_is_what_came_in_without_the_spans(texts: list[str]) -> None:
    stage = Rules(tables=("c4", "c4-fineweb"))
    result = split(stage, texts)
    kept = dict(zip(result.kept["id"].to_pylist(), result.kept["text"].to_pylist(), strict=True))
    for row in documents(texts).to_pylist():
        data = row["text"].encode()
        spans = [
            (r["start"], r["end"])
            for r in result.rejected.to_pylist()
            if r["id"] == row["id"] and r["start"] is not None
        ]
        for start, end in sorted(spans, reverse=True):
            data = data[:start] + data[end:]
        data.decode()
        if row["id"] in kept:
            assert kept[row["id"]] == data.decode()


# Signals as columns


def test_signals_are_of_the_text_as_it_is_kept() -> None:
    stage = Rules(tables=("gopher", "c4-fineweb", "fineweb"), signals=("char_count",))
    texts = [f"Home\n{PROSE * 4}", PROSE * 5, f"Menu\nSearch\n{PROSE * 6}"]
    batch = documents([text + " ".join(f"Word{n} and more." for n in range(40)) for text in texts])
    result = stage.split(batch)
    assert len(cuts(result)) == 3
    again = Rules(tables=stage.tables, signals=stage.signals, signals_only=True).split(
        batch.set_column(
            batch.schema.get_field_index("text"),
            batch.schema.field("text"),
            pa.array(
                [
                    text.replace("Home\n", "").replace("Menu\nSearch\n", "")
                    for text in batch["text"].to_pylist()
                ],
                pa.large_string(),
            ),
        )
    )
    kept = result.kept["id"].to_pylist()
    for name in {rule.signal for table in stage.tables for rule in load(table).scoped("document")} | {
        "char_count"
    }:
        expected = dict(zip(again.kept["id"].to_pylist(), again.kept[name].to_pylist(), strict=True))
        assert result.kept[name].to_pylist() == [expected[id] for id in kept], name


def test_signals_are_computed_again_only_for_documents_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[set[str], int]] = []
    compute = signals.compute

    def spy(names: Iterable[str], batch: pa.RecordBatch, lists: Any) -> dict[str, pa.Array]:
        seen.append((set(names), len(batch)))
        return compute(names, batch, lists)

    monkeypatch.setattr(signals, "compute", spy)
    Rules(tables=("gopher", "c4-fineweb")).split(documents([PROSE * 9, PROSE * 8 + "Menu\n", PROSE * 7]))
    again = [rows for names, rows in seen if "word_count" in names]
    assert again == [3, 1]


def test_signals_only_annotates_and_keeps_everything_as_it_is() -> None:
    result = split(Rules(tables=("gopher", "c4"), signals_only=True), ["Menu\nshort {", ""])
    assert result.kept["text"].to_pylist() == ["Menu\nshort {", ""]
    assert result.kept["word_count"].to_pylist() == [3, 0]
    assert result.kept["curly_bracket_count"].to_pylist() == [1, 0]
    assert len(result.rejected) == 0


def test_columns_are_declared_before_any_row() -> None:
    batch = documents([PROSE], word_count=["wrong type"])
    stage = Rules(tables=("gopher",), signals=("char_count",))
    written = stage.writes(batch.schema)
    assert written.field("word_count").type == SIGNALS["word_count"].type
    assert written.names[-1] == "char_count"
    assert stage.split(batch).kept.schema.equals(written)
    assert Rules(tables=("gopher",), keep_signals=False).writes(batch.schema) == batch.schema


# Languages


def test_english_rules_leave_documents_known_to_be_in_another_language_alone() -> None:
    rule = "gopher.stop_word_count.min"
    for lang, judged in (("eng", True), (None, True), ("deu", False)):
        assert (rule in broken(split(Rules(tables=("gopher",)), [GERMAN], lang=[lang]))) == judged
    batch = documents([GERMAN]).drop_columns(["lang"])
    assert rule in Rules(tables=("gopher",)).split(batch).rejected["rule"].to_pylist()


def test_a_language_without_spaces_does_not_break_every_rule() -> None:
    assert broken(split(Rules(tables=("gopher", "c4", "fineweb")), [CHINESE], lang=["zho"])) == []


def test_line_rules_follow_the_language_of_their_document(tmp_path: Path) -> None:
    rule = {"name": "upper", "signal": "line_upper_ratio", "max": 0.5, "scope": "line", "languages": ["en"]}
    result = split(
        Rules(tables=(write(tmp_path, "mine", rule),)), ["a\nB", "a\nB", "a\nB"], lang=["eng", "deu", None]
    )
    assert result.kept["text"].to_pylist() == ["a", "a\nB", "a"]


# Settings


def test_digest_covers_what_tables_hold_not_where_they_lie(tmp_path: Path) -> None:
    rule = {"name": "words", "signal": "word_count", "min": 20}
    (tmp_path / "other").mkdir()
    one, two = write(tmp_path, "mine", rule), write(tmp_path / "other", "mine", rule)
    assert Rules(tables=(one,)).digest() == Rules(tables=(two,)).digest()
    assert (
        Rules(tables=(write(tmp_path, "mine", {**rule, "min": 21}),)).digest()
        != Rules(tables=(two,)).digest()
    )
    assert Rules(tables=("gopher", "c4")).digest() != Rules(tables=("c4", "gopher")).digest()
    assert "bad_words.txt" in Rules(tables=("c4",)).content()
    assert "bad_words.txt" in Rules(tables=(), signals=("bad_word_count",)).content()
    assert "bad_words.txt" not in Rules(tables=("gopher",)).content()


def test_a_stage_keeps_the_tables_it_was_made_with(tmp_path: Path) -> None:
    table = write(tmp_path, "mine", {"name": "words", "signal": "word_count", "min": 2})
    sent = pickle.dumps(Rules(tables=(table,)))
    Path(table).unlink()
    stage = pickle.loads(sent)  # noqa: S301 - made above
    assert broken(split(stage, ["one"])) == ["mine.words"]


@pytest.mark.parametrize(
    ("values", "what", "fix"),
    [
        ({"tables": "gofer"}, "no rule table 'gofer'", "did you mean 'gopher'?"),
        (
            {"tables": "gopher", "signals": "wordcount"},
            "unknown signal 'wordcount'",
            "did you mean 'word_count'?",
        ),
        ({"tables": []}, "no table and no signal", "--tables"),
        ({"table": "gopher"}, "no setting 'table'", "did you mean 'tables'?"),
    ],
)
def test_wrong_settings_are_named_and_corrected(values: dict[str, Any], what: str, fix: str) -> None:
    with pytest.raises(UsageError) as error:
        from_mapping(Rules, values, "filter.rules")
    assert what in error.value.what
    assert fix in (error.value.fix or "")


def test_a_column_that_documents_bring_along_is_judged_as_it_is(tmp_path: Path) -> None:
    """The value at the bound is kept, one below it goes, and one that is null breaks no rule."""
    table = tmp_path / "mine.toml"
    table.write_text('[[rule]]\nname = "aesthetic.min"\ncolumn = "aesthetic"\nmin = 4.5\n')
    stage = Rules(tables=(str(table),))
    batch = documents(["a", "b", "c"], aesthetic=[4.5, 4.25, None])
    result = stage.split(batch)
    assert result.kept["text"].to_pylist() == ["a", "c"]
    assert [(row["rule"], row["value"], row["bound"]) for row in result.rejected.to_pylist()] == [
        ("mine.aesthetic.min", 4.25, 4.5)
    ]
    assert result.kept.schema == batch.schema
    check_stage(stage, batch)


@pytest.mark.parametrize("columns", [{}, {"aesthetic": ["high", "low"]}])
def test_a_column_that_is_not_there_is_missed_before_any_document(
    columns: dict[str, list[str]], tmp_path: Path
) -> None:
    table = tmp_path / "mine.toml"
    table.write_text('[[rule]]\nname = "aesthetic.min"\ncolumn = "aesthetic"\nmin = 4.5\n')
    with pytest.raises(InputError, match="judges 'aesthetic'") as caught:
        Rules(tables=(str(table),)).writes(documents(["a", "b"], **columns).schema)
    assert caught.value.fix
