"""The stage that the contract shows an author is one that keeps the contract."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any

import pytest

from corpuskit.document import REJECT, SCHEMA
from corpuskit.errors import UsageError
from corpuskit.testing import LAWS, check_stage, documents

PAGE = Path(__file__).parent.parent / "docs" / "contract.md"


@pytest.fixture
def shouting(monkeypatch: pytest.MonkeyPatch) -> Any:
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
                if "class Shouting" in block)  # fmt: skip
    module = types.ModuleType("contract_example")
    monkeypatch.setitem(__import__("sys").modules, "contract_example", module)
    exec(compile(code, str(PAGE), "exec"), module.__dict__)  # noqa: S102 - our own page
    return module.Shouting


def test_the_example_keeps_the_laws(shouting: Any) -> None:
    check_stage(shouting(), documents(["PLEASE READ", "as you like"]))
    split = shouting().split(documents(["PLEASE READ", "as you like", "123", ""]))
    assert split.kept["text"].to_pylist() == ["as you like", "123", ""]
    assert split.rejected.select(["rule", "value", "bound"]).to_pylist() == [
        {"rule": "shouting.max", "value": 1.0, "bound": 0.5}
    ]
    with pytest.raises(UsageError):
        shouting(most=2.0)


def test_the_page_names_every_column_and_law() -> None:
    text = PAGE.read_text("utf-8")
    missing = [name for name in (*SCHEMA.names, *REJECT.names) if f"`{name}`" not in text]
    assert not missing
    assert [law for law in LAWS if f"| {law} |" not in text] == []
