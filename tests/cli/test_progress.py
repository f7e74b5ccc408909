"""What a person sees: the table of a stage, and a bar on a terminal only."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from corpuskit.cli import progress
from corpuskit.dataset import Dataset
from corpuskit.engine import Outlook, Progress

NOW = Progress("filter.rules", 12, 3, 1200, 900, 5_000_000, 2, 1)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def judged(dataset: str) -> Dataset:
    """Return a dataset whose manifest tells of twelve rules that reject, and two that cut."""
    found = Dataset(dataset)
    rules: dict[str, Any] = {
        f"rule_{number:02d}": {"documents": number, "spans": 0, "bytes": 0} for number in range(1, 13)
    }
    rules |= {f"cut_{number}": {"documents": 0, "spans": number, "bytes": 1000 * number} for number in (1, 2)}
    told = {"name": "filter.rules", "rows_in": 1000, "rows_out": 900, "rules": rules}
    found.manifest["stages"] = [{**found.manifest["stages"][0], **told}]
    return found


def test_the_table_shows_what_took_most_and_v_shows_all(
    judged: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.show_result(judged, every_rule=False, worked=True)
    table = capsys.readouterr().out
    assert re.search(r"^filter\.rules +1,000$", table, re.MULTILINE)
    assert re.search(r"^  kept +900 90\.0 %$", table, re.MULTILINE)
    assert re.findall(r"rule_(\d+) ", table) == ["12", "11", "10", "09", "08", "07", "06", "05"]
    assert re.search(r"^  rule_12 +12 +1\.2 %$", table, re.MULTILINE)
    assert re.search(r"^  cut_2 +2 +2\.0 kB$", table, re.MULTILINE)
    assert "and 4 more rules: -v shows all" in table
    assert "9 documents, 45 words" in table
    progress.show_result(judged, every_rule=True, worked=True)
    table = capsys.readouterr().out
    assert len(re.findall(r"rule_\d+ ", table)) == 12
    assert "more rules" not in table


def test_an_outlook_that_is_not_known_yet_is_a_question_mark(
    judged: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.show_outlook(
        [((), "out/steps/01-a", Outlook(4, 1, 1200, 10_000)), ((), "out", None)], as_json=False
    )
    first, second = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    assert first == ["4", "1", "1,200", "10.0", "kB", "out/steps/01-a"]
    assert second == ["?", "0", "?", "?", "out"]


def test_a_bar_on_a_terminal_says_how_far_the_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with progress.Watch() as watch:
        assert not watch.worked
        watch(NOW)
    assert watch.worked
    for shown in ("filter.rules", "3/12", "900 of 1,200 kept", "1 restart"):
        assert shown in terminal.getvalue()


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO, False), (Terminal, True)])
def test_no_bar_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool
) -> None:
    monkeypatch.setattr("sys.stderr", stream())
    with progress.Watch(quiet=quiet) as watch:
        watch(NOW)
    import sys

    assert watch.worked
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
