"""Templates: what is in them, what vanishes, what is wrong; and no record makes one raise."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.templates import FILTERS, READY, load, parse
from corpuskit.errors import UsageError

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="{}[]\\"), max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats()
    | PLAIN
    | st.datetimes()
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.builds(
    lambda path, filters: f"{{{'|'.join([path, *filters])}}}",
    st.sampled_from(["a", "b", "a.b", "c.a.b"]),
    st.lists(
        st.sampled_from([*FILTERS, 'join:" / "', "date:year", "default:x", "split:;", 'default:"|}"']),
        max_size=3,
    ),
)
TEMPLATES = st.recursive(
    FIELDS, lambda inner: st.lists(inner | PLAIN, max_size=3).map(lambda items: f"[{{a}}{''.join(items)}]")
)


@pytest.mark.parametrize(
    ("template", "record", "text"),
    [
        ("{title} ({year})", {"title": "Alien", "year": 1979}, "Alien (1979)"),
        ("{title} ({year})", {"title": "Alien"}, None),
        ("{title}[ ({year})]", {"title": "Alien"}, "Alien"),
        ("{title}[ ({year})]", {"title": "Alien", "year": " "}, "Alien"),
        ("{a}[ by {b}[ in {c}]]", {"a": "A", "b": "B"}, "A by B"),
        ("{a}[ by {b}[ in {c}]]", {"a": "A", "c": "C"}, "A"),
        ("{studio.name}", {"studio": {"name": "Fox"}}, "Fox"),
        ("{cast.name}", {"cast": [{"name": "A"}, {}, {"name": "B"}]}, "A, B"),
        ("{a|default:none}", {}, "none"),
        ('{a|default:""}.', {}, "."),
        ("{a|upper} {b|lower}", {"a": ["x", "y"], "b": "Z"}, "X, Y z"),
        ('{a|split:"|"|join:" / "}', {"a": "Drama| Crime |"}, "Drama / Crime"),
        ("{a|split:;|first|upper}", {"a": "x;y"}, "X"),
        ("{a|unescape}", {"a": "R&amp;D"}, "R&D"),
        ("{a}", {"a": []}, None),
        ("{a}", {"a": {"b": 1}}, None),
        ("{a}", {"a": float("nan")}, None),
        ("{a} {b} {c}", {"a": 7.0, "b": 7.5, "c": True}, "7 7.5 true"),
        (r"\{{a}\} \[x\] \\ one\ntwo", {"a": 1}, "{1} [x] \\ one\ntwo"),
        ("{a}", {"a": "{b} [c] {a|upper}"}, "{b} [c] {a|upper}"),
        ("{ first name }", {"first name": "Ann"}, "Ann"),
        ("{a}[\n\n\n{b}]\n\n\n\n{c} \nend", {"a": 1, "c": 3}, "1\n\n3\nend"),
        ("{a.__class__}[{a}]", {"a": "x"}, None),
        ("{a|date}", {"a": "2024-05-01T10:00:00Z"}, "2024-05-01"),
        ("{a|date}", {"a": "a Tuesday"}, "a Tuesday"),
        (
            "{a|date} {b|date:year} {c|date:year}",
            {"a": 1979, "b": "1 May 2024", "c": "1979"},
            "1979 1 May 2024 1979",
        ),
        ("{a|date:year}", {"a": datetime.datetime(2024, 5, 1)}, "2024"),
        ("{a|number}", {"a": 1234567}, "1234567"),
        ("{a|date}", {"a": 10**400}, str(10**400)),
    ],
)
def test_what_a_template_makes(template, record, text):
    assert parse(template).render(record) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (None, "a, b, c; 2024-05-01; 1234.5"),
        ("eng", "a, b and c; 1 May 2024; 1,234.5"),
        ("deu", "a, b und c; 1. Mai 2024; 1.234,5"),
        ("zho", "a、b和c; 2024年5月1日; 1,234.5"),
        ("fra", "a, b et c; 1 mai 2024; 1\u202f234,5"),
        ("xxx", "a, b, c; 2024-05-01; 1234.5"),
    ],
)
def test_lists_dates_and_numbers_follow_the_language(language, text):
    record = {"list": ["a", "b", "c"], "date": "2024-05-01", "number": 1234.5}
    assert parse("{list}; {date|date}; {number|number}").render(record, language) == text


@pytest.mark.parametrize(
    ("template", "what", "fix"),
    [
        ("no field", "has no field", "{title}"),
        ("{title", "line 1, character 1: a field without a name, or not closed", "{title}"),
        ("a\nb {}", "line 2, character 3: a field without a name", "{title}"),
        ("{a|upper", "a field that is not closed", "{title|upper}"),
        ("{a|uper}", "line 1, character 3: no filter 'uper'", "did you mean 'upper'?"),
        ("{a|date:lnog}", "no form of dates 'lnog'", "did you mean 'long'?"),
        ("{a} [b {c}", "character 5: a section that is not closed", "]"),
        ("{a}] b", "']' closes nothing", r"\]"),
        ("{a}} b", "'}' closes nothing", r"\}"),
        ("{a} [b]", "character 5: a section without a field", r"\["),
        ("{a{b}}", "a field without a name", ""),
        ("[" * 30 + "{a}" + "]" * 30, "more than 20 sections", "fewer"),
        ('{a|default:"x}', "a field that is not closed", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_place(template, what, fix):
    with pytest.raises(UsageError) as error:
        parse(template)
    assert what in error.value.what and fix in error.value.fix


def test_a_number_of_any_size_is_written():
    assert parse("{a|number}").render({"a": 10**4000}, "eng") == str(10**4000)


def test_fields_are_needed_outside_sections_and_without_a_default():
    assert parse("{a}[ {b}[ {c}]] {d|default:x} [{a}]").fields == {
        "a": True,
        "b": False,
        "c": False,
        "d": False,
    }


def test_a_template_is_named_written_out_or_a_file(tmp_path):
    (tmp_path / "mine.txt").write_text("{a}!\n", "utf-8")
    assert load("{a}!").render({"a": 1}) == load(str(tmp_path / "mine.txt")).render({"a": 1}) == "1!"
    with pytest.raises(UsageError, match="no template 'flim'") as error:
        load("flim")
    assert "did you mean 'film'?" in error.value.fix


READY_TEXTS = {
    "film": (
        {
            "title": "Alien",
            "year": 1979,
            "director": "Ridley Scott",
            "cast": ["Weaver", "Skerritt"],
            "plot": "In space.",
        },
        "Alien (1979)\n\nDirected by Ridley Scott. Starring Weaver and Skerritt.\n\nIn space.",
        "title",
    ),
    "product": (
        {
            "name": "Kettle",
            "brand": "Acme",
            "price": 20,
            "currency": "EUR",
            "features": ["steel", "1 l", "quiet"],
        },
        "Kettle by Acme\n\nFeatures: steel, 1 l and quiet.\nPrice: 20 EUR.",
        "name",
    ),
    "company": (
        {"name": "Acme", "founded": "1901-02-03", "employees": 12345, "description": "It makes kettles."},
        "Acme\n\nFounded: 1901. Employees: 12,345.\n\nIt makes kettles.",
        "name",
    ),
    "post": (
        {"author": "ann", "date": "2012-08-16", "text": "Hello!"},
        "ann, 16 August 2012: Hello!",
        "text",
    ),
    "question_answer": ({"question": "Why?", "answer": "Because."}, "Why?\n\nBecause.", "question"),
}


@pytest.mark.parametrize("name", READY)
def test_ready_templates(name):
    record, text, needed = READY_TEXTS[name]
    template = load(name)
    assert template.render(record, "eng") == text
    assert template.fields[needed]
    assert template.render({needed: None}) is None
    alone = {field: "x" for field, must in template.fields.items() if must}
    assert template.render(alone) in ("x", "x\n\nx")


@given(
    st.lists(TEMPLATES | PLAIN, min_size=1, max_size=4).map("".join),
    st.dictionaries(st.sampled_from("abc"), VALUES),
)
def test_no_record_raises_and_no_brace_is_left_over(template, record):
    try:
        made = parse(template)
    except UsageError:
        assert "{" not in template
        return
    for language in (None, "eng", "deu", "zho", "ara"):
        text = made.render(record, language)
        if '"|}"' not in template:
            assert text is None or not set("{}[]") & set(text)


@given(st.text(max_size=40) | st.text('{}[]|:"\\ab', max_size=20))
def test_no_text_breaks_the_parser(template):
    try:
        parse(template).render({"a": "x"})
    except UsageError as error:
        assert error.fix
