"""What link datasets share: canonical columns equal `urls.canonical`, groups equal a dictionary's."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from corpuskit import urls
from corpuskit.crawl.mentions import Groups, canonical_column, host_column

SCHEMES = ("http://", "https://", "HTTP://", "ftp://", "//", "")
HOSTS = ("a.example", "A.example", "a.example.", "a-b.c.example:80", "[::1]", "ü.example", "u@a.example")
PIECES = ("/", ".", "..", "a", "~", "%7e", "%41", ";jsessionid=1", "?", "&", "b=1", "utm_x=1", "#", " ", "é")
ODD = ("\\", "//", "=", "+", "'", "\n", ":", ";", "@", "(", "[")
URLS = st.builds(
    lambda scheme, host, pieces: f"{scheme}{host}{''.join(pieces)}",
    st.sampled_from(SCHEMES),
    st.sampled_from(HOSTS),
    st.lists(st.sampled_from(PIECES + ODD), max_size=6),
)


@given(st.lists(st.one_of(URLS, st.none(), st.text(max_size=8))))
@example(
    [
        "http://a.example",
        "http://a.example/",
        "http://a.example/.",
        "http://a.example/a/..b",
        "http://a.example/a\n",
    ]
)
def test_a_column_of_urls_is_what_each_url_is(column: list[str | None]) -> None:
    column = [url if url is None else url.encode("utf-8", "replace").decode() for url in column]
    found = canonical_column(pa.array(column, pa.string()))
    assert found.to_pylist() == [None if url is None else urls.canonical(url) for url in column]
    for url, host in zip(found.to_pylist(), host_column(found).to_pylist(), strict=True):
        if url is not None and url.startswith(("http://", "https://")) and urls.host(url):
            assert host is not None and host.strip("[]") == urls.host(url)
        else:
            assert host is None


def test_most_urls_are_told_without_taking_them_apart(monkeypatch) -> None:
    monkeypatch.setattr(urls, "canonical", None)
    column = pa.array(["http://www.a.example/", "https://a.example/b/c_(d).html", "http://a.example/b/"])
    assert canonical_column(column).equals(column)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([None, "", "a", "b", "é"]), st.integers(-3, 9))))
def test_groups_are_what_a_dictionary_would_hold(rows: list[tuple[int, str | None, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    keys = np.array([key for key, _, _ in rows], np.int64)
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    label = np.searchsorted(np.unique(keys), keys)
    batch = pa.RecordBatch.from_arrays([pa.array([name for _, name, _ in rows], pa.string())], ["name"])
    groups, counts = Groups(batch, label, starts), np.array([count for _, _, count in rows], np.int64)

    sums: dict[int, int] = defaultdict(int)
    pairs: Counter[tuple[int, str]] = Counter()
    best: dict[int, tuple[int, int]] = {}
    for place, (key, name, count) in enumerate(rows):
        sums[key] += count
        best[key] = min(best.get(key, (99, 0)), (count, place))
        if name is not None:
            pairs[key, name] += count
            pairs[key, name] += 0
    names = sorted(sums)
    assert groups.total(counts).tolist() == [sums[key] for key in names]
    assert groups.first(counts).tolist() == [best[key][1] for key in names]
    of, values, total = groups.pairs("name", counts)
    triples = zip(of, values.to_pylist(), total, strict=True)
    found = [(names[link], value, count) for link, value, count in triples]
    assert found == sorted((key, name, count) for (key, name), count in pairs.items())
    offsets = groups.offsets(of).to_pylist()
    assert [b - a for a, b in zip(offsets, offsets[1:], strict=False)] == [
        sum(key == name for name, _ in pairs) for key in names
    ]
