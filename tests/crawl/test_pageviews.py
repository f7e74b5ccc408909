"""Hourly page views: one project, articles alone, hours with enough views."""

from __future__ import annotations

import gzip

from corpuskit.crawl.pageviews import is_page_views, page_views

DUMP = b"""aa Main_Page 400 0
en - 90 0
en Albert_Einstein 50 0
en Alien:_Covenant 900 0
en Apollo_13 49 0
en AT%26T 60 0
en broken line here
en Zo\xff 70 0
en.m Albert_Einstein 500 0
eno Albert_Einstein 500 0
"""


def test_articles_with_enough_views_in_the_hour(tmp_path):
    path = tmp_path / "pageviews-20240101-000000.gz"
    path.write_bytes(gzip.compress(DUMP))
    assert is_page_views(str(path))
    (found,) = page_views(str(path), "en", 50)
    assert list(zip(found.texts.to_pylist(), found.counts.to_pylist(), strict=True)) == [
        ("-", 90),
        ("Albert Einstein", 50),
        ("AT&T", 60),
    ]
    assert [(fault.rule, DUMP[fault.at :].split(b"\n")[0]) for fault in found.faults] == [
        ("malformed", b"en broken line here"),
        ("malformed", b"en Zo\xff 70 0"),
    ]
    (found,) = page_views(str(path), "en", 60, unescape=False)
    assert found.texts.to_pylist() == ["-", "AT%26T"]
    (found,) = page_views(str(path), "en.m", 1)
    assert found.counts.to_pylist() == [500]


def test_other_files_are_none(tmp_path):
    for number, text in enumerate([b"the 12\n", b"Main_Page\t12\n", b"a b c d\n", b"", b"Hello World 1 2\n"]):
        path = tmp_path / f"{number}"
        path.write_bytes(text)
        assert not is_page_views(str(path))
