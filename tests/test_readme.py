"""What the README says is true: its commands print what stands there, its Python runs, its links lead on.

UPDATE_README=1 pytest tests/test_readme.py writes what the commands print now over what differs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpuskit.recipe import KINDS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "bench" / "README.md"]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
INSTALL = "pip install . && "
RUN_BY_CI = ["pip install '.[test]' && pytest"]
FILE_SIZE = re.compile(
    r"(?<= of )[\d.]+ (?:bytes|kB|MB)$", re.MULTILINE
)  # Parquet's own bytes differ by its version


def blocks(kind: str) -> list[str]:
    return [body for name, body in BLOCK.findall(README.read_text("utf-8")) if name == kind]


def commands(block: str) -> list[tuple[str, str]]:
    """Pair each command of a console block with the output that stands below it."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def same(said: str, printed: str) -> bool:
    """Compare line by line; a line of three dots stands for any lines, file sizes for any size."""
    said, printed = (FILE_SIZE.sub("?", text).strip() for text in (said, printed))
    pieces = (re.escape(piece) for piece in re.split(r"^\.\.\.$", said, flags=re.MULTILINE))
    return re.fullmatch(".*".join(pieces), printed, re.DOTALL) is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("readme")
    (place / "examples").symlink_to(ROOT / "examples")
    return place


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    assert done.stderr == ""
    return done.stdout


def test_commands_print_what_the_readme_says(folder, environment):
    text = README.read_text("utf-8")
    found = [pair for block in blocks("console") for pair in commands(block)]
    ours = [(line, said) for line, said in found if line.removeprefix(INSTALL).startswith("corpuskit ")]
    assert [line for line, _ in found if (line, _) not in ours] == RUN_BY_CI
    for line, said in ours:
        arguments = line.removeprefix(INSTALL).split()[1:]
        printed = run([sys.executable, "-m", "corpuskit", *arguments], folder, environment)
        if os.environ.get("UPDATE_README") and not same(said, printed):
            text = text.replace(f"$ {line}\n{said}", f"$ {line}\n{printed}")
            continue
        assert same(said, printed), printed
    if os.environ.get("UPDATE_README"):
        README.write_text(text, "utf-8")
    assert list(folder.glob("fineweb/part-*.parquet"))


def test_python_runs_and_prints_what_its_comment_says(folder, environment):
    [block] = blocks("python")
    printed = run([sys.executable, "-c", block], folder, environment)
    comments = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
    assert comments
    assert printed.splitlines() == comments


def test_the_table_of_verbs_names_every_kind():
    rows = re.findall(r"^\| \[`(\w+)`\].*\| (.*) \|$", README.read_text("utf-8"), re.MULTILINE)
    told = {f"{verb}.{kind}" for verb, kinds in rows for kind in re.findall(r"`(\w+)`", kinds)}
    assert told == set(KINDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / link).exists(), f"{page}: {link}"


def test_output_is_compared_whole_but_for_dots():
    assert same("a\n...\nd", "a\nb\nc\nd\n")
    assert not same("a\n...\nd", "a\nb\nc\n")
    assert not same("a\nb", "a\nb\nc\n")
    assert same("in 1 file of 26.0 kB", "in 1 file of 25.9 kB")
