"""`crawl clicks`: logs of every make into one row per page, with its queries by their clicks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from corpuskit import settings
from corpuskit.crawl.clicks import Clicks
from corpuskit.crawl.mentions import link_id
from corpuskit.engine import Options, run
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import _check_portable, write_dataset

ORCAS = (
    "1\twhy is the sky blue\tD1\thttps://a.example/sky\n"
    "2\tsky \tD1\thttps://a.example/sky#x\n"
    "3\tsky\tD1\thttps://A.example/sky\n"
    "4\t\tD2\thttps://b.example/\n"
    "5\tquery\tD3\tno address\n"
    "6\ttoo few\n"
)
SKY = {
    "id": link_id("https://a.example/sky"),
    "url": "https://a.example/sky",
    "clicks": 3,
    "queries": [{"query": "sky", "clicks": 2}, {"query": "why is the sky blue", "clicks": 1}],
}


def crawl(stage: Clicks, path: Path, content: str | bytes) -> tuple[list[dict], list[str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    first, last = (step.stage for step in stage.steps())
    mentions = [split.kept for task in first.plan(str(path)) for split in first.run(task)]
    folder = write_dataset(path.parent / f"{path.name}.mentions", *mentions)
    kept, rejected = [], []
    for task in last.plan(folder):
        for split in last.run(task):
            assert split.kept.schema.equals(stage.writes(task.schema))
            kept += split.kept.to_pylist()
            rejected += split.rejected.to_pylist()
    return kept, sorted(row["rule"].removeprefix("clicks.") for row in rejected)


def test_orcas(tmp_path: Path) -> None:
    assert crawl(Clicks(), tmp_path / "a.tsv", ORCAS) == ([SKY], ["malformed", "query", "scheme"])
    assert crawl(Clicks(), tmp_path / "a.tsv.gz", gzip.compress(ORCAS.encode()))[0] == [SKY]


def test_columns_by_name_by_number_and_of_objects(tmp_path: Path) -> None:
    rows = [
        ("sky", "http://a.example", 2),
        ("blue, sky", "http://a.example/", "3"),
        ("sky", "http://a.example", 0),
    ]
    rows += [
        ("sky", "http://a.example", -1),
        ("sky", "http://a.example", "many"),
        ("sky", "http://a.example", "1.5"),
    ]
    expected = ([("blue, sky", 3), ("sky", 2)], ["count"] * 3)
    chosen = Clicks(query_column="q", url_column="page", clicks_column="n")
    table = "n,q,page\n" + "".join(f'{n},"{q}",{url}\n' for q, url, n in rows)
    objects = "".join(json.dumps({"q": q, "page": url, "n": n, "more": [1]}) + "\n" for q, url, n in rows)
    plain = "".join(f"{q}\t{url}\t{n}\n" for q, url, n in rows)
    numbered = Clicks(query_column="1", url_column="2", clicks_column="3")
    for stage, name, content in (
        (chosen, "a.csv", table),
        (chosen, "a.jsonl", objects),
        (numbered, "a.tsv", plain),
    ):
        [row], rules = crawl(stage, tmp_path / name, content)
        assert ([(one["query"], one["clicks"]) for one in row["queries"]], rules) == expected
        assert (row["url"], row["clicks"]) == ("http://a.example", 5)


@pytest.mark.parametrize(
    ("chosen", "content", "error"),
    [
        ({}, "q,url\na,http://a.example\n", "no column 'query'"),
        ({}, "a\thttp://a.example\n", "its first line is no header"),
        ({"query_column": "5", "url_column": "4"}, ORCAS, "no column '5'"),
        ({"clicks_column": "n"}, '{"query": "q", "url": "http://a.example"}\n', "no column 'n'"),
        ({}, "", "is empty"),
    ],
)
def test_a_column_that_is_not_there_is_an_error(
    tmp_path: Path, chosen: dict, content: str, error: str
) -> None:
    with pytest.raises(InputError, match=error) as caught:
        crawl(Clicks(**chosen), tmp_path / "log", content)
    assert caught.value.fix


def test_a_malformed_line_costs_that_line(tmp_path: Path) -> None:
    content = '{"query": "q", "url": "http://a.example"}\n{"query": \n[1]\n{"query": null, "url": "http://a.example"}\n'
    assert crawl(Clicks(), tmp_path / "log", content)[1] == ["malformed", "malformed", "query"]


def test_settings_and_workers(tmp_path: Path) -> None:
    _check_portable(Clicks(clicks_column="n"))
    with pytest.raises(UsageError, match="url_column is empty"):
        settings.from_mapping(Clicks, {"url-column": ""}, "crawl.clicks")
    paths = []
    for number in range(2):
        path = tmp_path / f"{number}.tsv"
        path.write_text(ORCAS if number else ORCAS.replace("sky\tD1", f"sky {number}\tD1"))
        paths.append(str(path))
    options = {count: Options(workers=count, max_bad=0.5) for count in (1, 2)}
    one, two = (
        run(Clicks(), paths, str(tmp_path / str(count) / "out"), options=options[count]) for count in (1, 2)
    )
    assert one.sha256 == two.sha256
    [row] = one.table().to_pylist()
    assert row["clicks"] == 6 and row["queries"][0] == {"query": "sky", "clicks": 3}
