"""Columns: paths into records, types that are declared, dates and layouts."""

import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.columns import (
    LAYOUTS,
    TYPES,
    Layout,
    as_date,
    as_language,
    as_type,
    field_names,
    kept_columns,
    lookup,
    no_column,
)
from corpuskit.errors import UsageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("record", "path", "value"),
    [
        ({"a": 1}, "a", 1),
        ({"a": {"b": {"c": 2}}}, "a.b.c", 2),
        ({"a.b": 3, "a": {"b": 4}}, "a.b", 3),
        ({"a": [{"b": 1}, {"c": 2}, {"b": [3]}]}, "a.b", [1, [3]]),
        ({"a": "text"}, "a.b", None),
        ({"a": None}, "a.b", None),
        ({}, "a", None),
        ({"a": {"__class__": 1}}, "a.__class__.__name__", None),
        ({"a": []}, "a.b", None),
    ],
)
def test_a_path_leads_into_objects_and_lists_and_nowhere_else(record, path, value):
    assert lookup(record, path) == value


@given(JSON, st.sampled_from(["a", "a.b", "a.b.c", ".", "", "a..b", "__class__"]))
def test_a_path_raises_nothing(record, path):
    lookup(record, path)
    if isinstance(record, dict):
        for name in field_names(record):
            assert isinstance(name, str)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, "int64", None),
        (7, "int64", 7),
        (7.0, "int64", 7),
        ("-7", "int64", -7),
        (7, "float64", 7.0),
        ("1e3", "float64", 1000.0),
        ("7", "string", "7"),
        (7, "string", "7"),
        (True, "string", "true"),
        (True, "bool", True),
        ("False", "bool", False),
        ("2019", "date", datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC)),
        ("soon", "date", None),
    ],
)
def test_a_value_is_read_as_the_type_that_was_declared(value, kind, expected):
    found = as_type(value, TYPES[kind])
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (7.5, "int64"),
        ("seven", "int64"),
        ("1_0", "int64"),
        (True, "int64"),
        (2**63, "int64"),
        (10**4000, "int64"),
        (10**4000, "float64"),
        ("nan", "float64"),
        (float("inf"), "float64"),
        (1, "bool"),
        ("yes", "bool"),
        ({}, "string"),
        ([1], "int64"),
    ],
)
def test_a_value_of_another_type_is_refused(value, kind):
    with pytest.raises(TypeError):
        as_type(value, TYPES[kind])


@given(JSON, st.sampled_from(sorted(TYPES)))
def test_whatever_is_given_fits_the_column_or_is_refused(value, kind):
    try:
        found = as_type(value, TYPES[kind])
    except TypeError:
        return
    pa.array([found], TYPES[kind])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2019-04-25T12:57:54Z", "2019-04-25T12:57:54+00:00"),
        ("2019-04-25 12:57:54+02:00", "2019-04-25T10:57:54+00:00"),
        ("20190425", "2019-04-25T00:00:00+00:00"),
        ("Thu, 22 Aug 2002 18:26:25 +0700", "2002-08-22T11:26:25+00:00"),
        (1345107919, "2012-08-16T09:05:19+00:00"),
        ("1345107919.0", "2012-08-16T09:05:19+00:00"),
        (1345107919000, "2012-08-16T09:05:19+00:00"),
        (1979, "1979-01-01T00:00:00+00:00"),
        (datetime.date(2020, 1, 2), "2020-01-02T00:00:00+00:00"),
        ("", None),
        (True, None),
        (float("nan"), None),
        (10**30, None),
        ([], None),
    ],
)
def test_dates(value, expected):
    found = as_date(value)
    assert (found.isoformat() if found else None) == expected


def test_languages():
    assert [as_language(name) for name in ("en", "deu", "zh-Hans", "", "xx-none", None, ["en"], 3)] == [
        "eng",
        "deu",
        "zho",
        *[None] * 5,
    ]


def test_columns_to_keep():
    layout = Layout(types={"token_count": "int64"})
    found = kept_columns(["token_count", "n=meta.stars:float64", "meta.name:string", "x"], layout, "here")
    assert found == (
        ("token_count", "token_count", pa.int64()),
        ("n", "meta.stars", pa.float64()),
        ("name", "meta.name", pa.string()),
        ("x", "x", None),
    )


@pytest.mark.parametrize(
    ("given", "what", "fix"),
    [
        (["a:strng"], "unknown type 'strng'", "did you mean 'string'?"),
        (["meta.url"], "there is a column 'url' already", "new_url=meta.url"),
        (["a", "b.a"], "there is a column 'a' already", "new_a=b.a"),
        (["=a"], "has '=a'", "NAME=PATH:TYPE"),
        ([""], "has ''", "PATH:TYPE"),
    ],
)
def test_wrong_columns_to_keep_are_corrected(given, what, fix):
    with pytest.raises(UsageError) as error:
        kept_columns(given, Layout(), "here")
    assert what in error.value.what and fix in error.value.fix


def test_a_missing_column_is_named_with_those_there_are():
    assert no_column("txet", ["text", "id"], "f").fix == "did you mean 'text'?"
    assert no_column("text", ["URL", "TEXT"], "f").fix == "did you mean 'TEXT'?"
    error = no_column("text", ["raw_content", "url", "date_download", "language", "language_score"], "f")
    assert error.fix == "its layout may be redpajama2: --layout redpajama2"
    assert error.what.startswith("f has no column 'text'; it has raw_content, url")


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_declare_types_that_exist_for_columns_that_are_not_documents_own(name):
    layout = LAYOUTS[name]
    assert set(layout.types.values()) <= set(TYPES)
    assert not set(layout.types) & set(layout.paths().values())
    assert layout.text in layout.needed() and layout.rare <= set(layout.paths().values())
