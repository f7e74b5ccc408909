"""Settings: one dataclass, read strictly, digested canonically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from corpuskit import settings
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.stage import Stage


@dataclass(frozen=True)
class Example(Stage):
    """A stage with one setting of each kind."""

    keep: tuple[str, ...] = setting((), "Names.")
    limit: int = setting(3, "A number.")
    share: float | None = setting(None, "A share.")
    mode: Literal["a", "b"] = setting("a", "A choice.")
    strict: bool = setting(True, "A switch.")
    memory: int = setting(1 << 30, "A budget.", content=False)


def read(**values: object) -> Example:
    return settings.from_mapping(Example, values, "[example]")


def test_every_kind_is_read() -> None:
    given = read(keep=["x", "y"], limit="2KiB", share=1, mode="b", strict=False, memory="1GiB")
    assert given == Example(("x", "y"), 2048, 1.0, "b", False, 1 << 30)
    assert read(keep="x,y").keep == ("x", "y")
    assert read(share=None).share is None
    assert read(limit=0, share=0.0) == Example(limit=0, share=0.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limti": 3}, "no setting 'limti' in .example.\nfix: did you mean 'limit'"),
        ({"limit": "many"}, "wants a whole number or a size, not 'many'"),
        ({"limit": 2.5}, "limit wants a whole number, not 2.5"),
        ({"limit": True}, "limit wants a whole number, not True"),
        ({"mode": "c"}, "mode wants one of a, b, not 'c'"),
        ({"strict": 1}, "strict wants true or false, not 1"),
        ({"keep": 5}, "keep wants a list"),
        ({"keep": [5]}, "keep wants text, not 5"),
        ({"share": "x"}, "share wants a number"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(**values)


def test_only_what_can_change_the_output_is_digested() -> None:
    assert Example(memory=1).digest() == Example(memory=2).digest()
    others = [
        Example(limit=4),
        Example(keep=("x",)),
        Example(share=0.0),
        Example(mode="b"),
        Example(strict=False),
    ]
    assert len({Example().digest(), *(other.digest() for other in others)}) == 6


def test_fields_describe_themselves() -> None:
    told = {
        field.name: (field.kind, field.many, field.choices, field.optional)
        for field in settings.fields(Example)
    }
    assert told == {
        "keep": (str, True, (), False),
        "limit": (int, False, (), False),
        "share": (float, False, (), True),
        "mode": (str, False, ("a", "b"), False),
        "strict": (bool, False, (), False),
        "memory": (int, False, (), False),
    }


@dataclass(frozen=True)
class Reader:
    """A setting that is a word of Python."""

    from_: str | None = setting(None, "Where from.")
    size: int = setting(1, "How much.")


def test_a_word_of_python_is_a_setting_without_the_underscore_that_its_attribute_has() -> None:
    assert [field.name for field in settings.fields(Reader)] == ["from", "size"]
    reader = settings.from_mapping(Reader, {"from": "here"}, "test")
    assert reader == Reader("here") and settings.to_mapping(reader) == {"from": "here", "size": 1}
    assert settings.passed_on(Reader, reader) == reader
    with pytest.raises(UsageError, match="no setting 'form'") as error:
        settings.from_mapping(Reader, {"form": "here"}, "test")
    assert error.value.fix == "did you mean 'from'?"
