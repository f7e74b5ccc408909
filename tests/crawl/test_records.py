"""`crawl records`: rows of CSV, TSV, JSON lines and Parquet become text by a template."""

import email
import email.policy
import gzip
import io
import itertools
import json
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from crawling import crawl
from hypothesis import given
from hypothesis import strategies as st

from corpuskit import engine
from corpuskit.crawl.records import Records
from corpuskit.document import document_id
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import _check_portable

FILMS = [
    {"title": "Alien", "year": 1979, "director": "Ridley Scott"},
    {"title": "Heat", "year": None, "director": "Michael Mann"},
    {"title": None, "year": 1999, "director": None},
    {"title": "Persona", "year": 1966, "director": None},
]
TEXTS = ["Alien (1979) by Ridley Scott", "Heat by Michael Mann", "Persona (1966)"]
TEMPLATE = "{title}[ ({year})][ by {director}]"


def write(path, data):
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def separated(mark):
    rows = [list(FILMS[0]), *([str(value or "") for value in film.values()] for film in FILMS)]
    return "".join(f"{mark.join(row)}\n" for row in rows)


def in_every_format(folder):
    lines = "".join(f"{json.dumps(film)}\n" for film in FILMS)
    pq.write_table(pa.Table.from_pylist(FILMS), folder / "films.parquet")
    return [
        write(folder / "films.csv", separated(",")),
        write(folder / "films.tsv", separated("\t")),
        write(folder / "films.jsonl", lines),
        write(folder / "films.csv.zst", zstandard.ZstdCompressor().compress(separated(",").encode())),
        folder / "films.parquet",
    ]


def test_every_format_gives_the_same_texts(tmp_path):
    for path in in_every_format(tmp_path):
        kept, rejected = crawl(Records(template=TEMPLATE), path)
        assert [row["text"] for row in kept] == TEXTS
        assert [row["rule"] for row in rejected] == ["records.missing"]
        assert {row["source"] for row in kept} == {"films"}
    both, _ = crawl(Records(template=TEMPLATE), tmp_path)
    assert len(both) == 15


def test_the_columns_that_are_named_go_along(tmp_path):
    csv = "id,text,link,when,tongue,stars,tag\n7,Hi,http://a/,2012-08-16,de,5,x\n8,Ho,,,,,\n9,Ha,,,,many,\n"
    stage = Records(
        template="post",
        id_column="id",
        url_column="link",
        date_column="when",
        language_column="tongue",
        keep_columns=("stars:int64", "tag"),
        source="posts",
    )
    (one, two), rejected = crawl(stage, write(tmp_path / "a.csv", csv))
    assert (one["id"], one["url"], one["lang"]) == (document_id("posts", "7", ""), "http://a/", "deu")
    assert one["date"].isoformat() == "2012-08-16T00:00:00+00:00"
    assert (one["stars"], one["tag"], two["stars"], two["tag"], two["url"]) == (5, "x", None, None, None)
    assert [row["rule"] for row in rejected] == ["records.type"]


def test_lists_follow_the_language_of_the_row(tmp_path):
    rows = [{"t": ["a", "b", "c"], "lang": lang} for lang in ("en", "de", "zh", None)]
    path = write(tmp_path / "a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    kept, _ = crawl(Records(template="{t}", language_column="lang", language="fr"), path)
    assert [row["text"] for row in kept] == ["a, b and c", "a, b und c", "a、b和c", "a, b et c"]
    assert [row["lang"] for row in kept] == ["eng", "deu", "zho", "fra"]


CSV = {
    "quoted": (b'"a, ""b""\nc",1\n', None),
    "too few": (b"a\n", ("malformed", 1)),
    "too many": (b"a,1,2\n", ("malformed", 3)),
    "a quote within": (b'"a"b,1\n', ("malformed", 7)),
    "not UTF-8": (b"\xe4,1\n", ("malformed", 4)),
    "no title": (b",1\n", ("missing", None)),
}


@pytest.mark.parametrize("name", CSV)
def test_what_becomes_of_a_row_of_csv(tmp_path, name):
    row, expected = CSV[name]
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbftitle,n\r\nfirst,1\r\n\r\n" + row + b"last,1\n")
    kept, rejected = crawl(Records(template="{title}"), path)
    assert [kept[0]["text"], kept[-1]["text"]] == ["first", "last"] and len(kept) == 2 + (not expected)
    if expected:
        rule, value = expected
        assert [(row["rule"], row["value"]) for row in rejected] == [(f"records.{rule}", value)]
        assert rejected[0]["origin"] == f"{path}@23"
    else:
        assert kept[1]["text"] == 'a, "b"\nc' and kept[1]["origin"] == f"{path}@23"


def test_a_quote_without_its_other_is_counted(tmp_path):
    path = write(tmp_path / "a.csv", 'title\none\n"two\nthree\n')
    kept, rejected = crawl(Records(template="{title}"), path)
    assert [row["text"] for row in kept] == ["one"]
    assert [(row["rule"], row["value"]) for row in rejected] == [("records.malformed", 11)]


def test_tsv_has_no_quotes(tmp_path):
    path = write(tmp_path / "a.tsv", 'title\tn\n"Weird Al" live\t1\n"open\t2\n')
    kept, rejected = crawl(Records(template="{title}"), path)
    assert [row["text"] for row in kept] == ['"Weird Al" live', '"open'] and not rejected


def test_a_cut_file_is_counted(tmp_path):
    rows = "".join(f"title {number}\n" for number in range(99_999))
    packed = gzip.compress(f"title\n{rows}".encode())
    path = write(tmp_path / "a.csv.gz", packed[: len(packed) // 2])
    kept, rejected = crawl(Records(template="{title}"), path)
    assert 0 < len(kept) < 99_999 and [row["rule"] for row in rejected] == ["records.lost"]
    line = write(tmp_path / "a.jsonl", '{"title": "x"}\n{"title": \n')
    assert [row["rule"] for row in crawl(Records(template="{title}"), line)[1]] == ["records.malformed"]


def test_words_for_no_value_and_other_encodings(tmp_path):
    path = write(tmp_path / "a.csv", "title;year\nAmélie;\\N\nNA;2001\n".encode("latin-1"))
    stage = Records(template="{title}[ ({year})]", missing=("\\N", "NA"), delimiter=";", encoding="latin-1")
    kept, rejected = crawl(stage, path)
    assert [row["text"] for row in kept] == ["Amélie"] and [row["rule"] for row in rejected] == [
        "records.missing"
    ]


def test_a_text_of_nothing_is_empty(tmp_path):
    path = write(tmp_path / "a.csv", "a,b\n,x\ny,x\n")
    kept, rejected = crawl(Records(template="[{a}]"), path)
    assert [row["text"] for row in kept] == ["y"] and [row["rule"] for row in rejected] == ["records.empty"]


@pytest.mark.parametrize(
    ("settings", "what", "fix"),
    [
        (
            {"template": "{titel}"},
            "has no column 'titel'; it has title, year, director",
            "did you mean 'title'?",
        ),
        ({"template": "{title}[ {yaer}]"}, "no column 'yaer'", "did you mean 'year'?"),
        ({"template": "{title}[ {yaer}]"}, "no column 'yaer'", "--optional-fields yaer"),
        ({"template": "{title}", "url_column": "url"}, "no column 'url'", "known"),
        ({"template": "{title}", "keep_columns": ("yeer",)}, "no column 'yeer'", "'year'"),
        ({"template": "product"}, "no column 'name'", "known"),
    ],
)
def test_a_field_that_a_file_has_not_is_an_error_in_every_format(tmp_path, settings, what, fix):
    for path in in_every_format(tmp_path):
        with pytest.raises(UsageError) as error:
            Records(**settings).plan(str(path))
        assert str(path) in error.value.what and what in error.value.what and fix in error.value.fix


def test_ready_templates_and_optional_fields_do_without(tmp_path):
    path = write(tmp_path / "a.csv", "title,plot\nAlien,In space.\n")
    assert crawl(Records(template="film"), path)[0][0]["text"] == "Alien\n\nIn space."
    stage = Records(template="{title}[ by {director}]", optional_fields=("director",))
    assert crawl(stage, path)[0][0]["text"] == "Alien"


@pytest.mark.parametrize(
    ("settings", "what", "fix"),
    [
        ({"delimiter": ";;"}, "delimiter is ';;'", "one character"),
        ({"encoding": "latin-99"}, "no encoding 'latin-99'", "latin-1"),
        ({"encoding": "utf-16"}, "utf-16 is not read", "iconv"),
        ({"language": "klingon"}, "no language 'klingon'", ""),
        ({"template": "{a|uper}"}, "no filter 'uper'", "did you mean 'upper'?"),
        ({"keep_columns": ("text",)}, "there is a column 'text' already", "new_text=text"),
    ],
)
def test_wrong_settings_are_said_before_any_work(settings, what, fix):
    with pytest.raises(UsageError) as error:
        Records(**{"template": "{title}", **settings})
    assert what in error.value.what and fix in error.value.fix


def test_files_that_are_not_what_they_are_said_to_be(tmp_path):
    with pytest.raises(UsageError, match="does not say what it is") as error:
        Records(template="{a}").plan(str(write(tmp_path / "a.dat", "a\n1\n")))
    assert "--format" in error.value.fix
    assert crawl(Records(template="{a}", format="csv"), tmp_path / "a.dat")[0][0]["text"] == "1"
    with pytest.raises(InputError, match=r"a\.csv is empty"):
        Records(template="{a}").plan(str(write(tmp_path / "a.csv", "")))
    with pytest.raises(UsageError) as wrong:
        Records(template="{a}").plan(str(write(tmp_path / "b.csv", "a;b\n1;2\n")))
    assert wrong.value.fix == "its fields may be divided by another mark: --delimiter ';'"


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(separated(",").encode())))
    kept, _ = crawl(Records(template=TEMPLATE, format="csv"), "-")
    assert [row["text"] for row in kept] == TEXTS and kept[0]["source"] == "stdin"


def test_the_digest_follows_what_the_template_says(tmp_path):
    path = write(tmp_path / "t.txt", "{title}")
    assert Records(template=str(path)).digest() == Records(template="{title}").digest()
    assert Records(template="{title} ").digest() != Records(template="{title}").digest()
    _check_portable(Records(template="film", missing=("NA",), keep_columns=("a:int64",)))


def test_workers_change_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    in_every_format(tmp_path / "in")
    options = [engine.Options(workers=workers) for workers in (1, 2)]
    stage = Records(template=TEMPLATE)
    one, two = (
        engine.run(stage, str(tmp_path / "in"), str(tmp_path / str(o.workers)), options=o) for o in options
    )
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts] and one.rows == 15


@given(st.binary(max_size=120), st.sampled_from(["csv", "tsv", "jsonl"]))
def test_no_bytes_raise(tmp_path_factory, data, form):
    path = write(tmp_path_factory.mktemp("any") / "a", b'title,"n"\n' + data)
    for task in Records(template="{title}", format=form, optional_fields=("title",)).plan(str(path)):
        list(Records(template="{title}", format=form).run(task))


def test_real_posts(data):
    stage = Records(
        template="{title}[\\n\\n{selftext|unescape}]",
        id_column="id",
        url_column="url",
        date_column="created_utc",
        keep_columns=("score:int64", "domain"),
    )
    kept, rejected = crawl(stage, data / "reddit" / "top" / "aerospace.csv.gz")
    assert len(kept) > 200 and not rejected
    assert all(row["url"] and 2008 <= row["date"].year <= 2014 and row["score"] >= 0 for row in kept)


def as_records(archive, wanted):
    """Make records of mails, as a user would: headers by name, and the plain text of the body."""
    with tarfile.open(archive) as tar:
        for member in itertools.islice((item for item in tar if item.isfile() and wanted(item.name)), 300):
            message = email.message_from_binary_file(tar.extractfile(member), policy=email.policy.default)
            part = message.get_body(("plain",))
            try:
                text = part.get_content() if part else None
            except LookupError:  # a charset that does not exist
                text = part.get_payload(decode=True).decode("latin-1")
            record = {
                "name": member.name,
                "body": text,
                "subject": message["subject"],
                "date": message["date"],
            }
            yield {name: str(value) for name, value in record.items() if value is not None}


@pytest.mark.parametrize(("name", "year"), [("spamassassin", 2002), ("20newsgroups", 1993)])
def test_real_mails_and_posts_become_sensible_text(data, tmp_path, name, year):
    found = list(
        as_records(
            data / "text" / f"{name}.tar.gz", lambda name: "spam-" not in name and not name.endswith(".json")
        )
    )
    lines = "".join(f"{json.dumps(record).encode('utf-8', 'replace').decode()}\n" for record in found)
    path = write(tmp_path / "mails.jsonl", lines)
    kept, rejected = crawl(
        Records(template="[{subject}\n\n]{body}", id_column="name", date_column="date"), path
    )
    assert len(kept) + len(rejected) == 300 and len(kept) > 200
    assert {row["rule"] for row in rejected} <= {"records.missing", "records.malformed"}
    assert sum(year - 2 < row["date"].year < year + 2 for row in kept if row["date"]) > 0.9 * len(kept)
    assert not [row for row in kept if "\nReceived: from" in row["text"][:500] or "{body}" in row["text"]]
