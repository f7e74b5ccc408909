"""The public interface: every name that is promised, and that promising costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import corpuskit

ROOT = Path(__file__).parents[1]
PUBLIC = {
    "Chain",
    "CorpuskitError",
    "Dataset",
    "DoesNotFit",
    "Input",
    "InputError",
    "Options",
    "Outlook",
    "Progress",
    "REJECT",
    "Recipe",
    "SCHEMA",
    "Split",
    "Stage",
    "Step",
    "TargetError",
    "Task",
    "TooManyBadRecords",
    "TryLater",
    "UsageError",
    "outlook",
    "reject_rows",
    "run",
    "setting",
}


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_public_names_are_these() -> None:
    assert set(corpuskit.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(corpuskit, name)
    assert name in dir(corpuskit)
    if callable(found):
        assert found.__name__ == name
        assert found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'rnu'"):
        corpuskit.rnu  # noqa: B018 - looking it up is the test


def test_errors_have_the_exit_codes_of_the_command_line() -> None:
    kinds = [corpuskit.UsageError, corpuskit.InputError, corpuskit.TargetError, corpuskit.TooManyBadRecords]
    kinds += [corpuskit.DoesNotFit, corpuskit.TryLater]
    assert [kind.exit_code for kind in kinds] == [2, 3, 4, 5, 6, 75]
    assert all(issubclass(kind, corpuskit.CorpuskitError) for kind in kinds)


@pytest.mark.parametrize("module", ["corpuskit", "corpuskit.recipe", "corpuskit.cli"])
def test_import_is_light(module: str) -> None:
    heavy = {"pyarrow", "numpy", "numba", "rich", "fsspec"}
    assert python("-c", f"import sys, {module}; print({heavy!r} & set(sys.modules))") == "set()"


def test_python_m_is_the_command() -> None:
    assert python("-m", "corpuskit", "--version") == f"corpuskit {corpuskit.__version__}"
