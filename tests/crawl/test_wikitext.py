"""Wikitext to text: golden cases, no holes, and never an error whatever the page."""

# ruff: noqa: E501 - a case is read best on one line

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.wikinames import form_of, is_disambiguation, is_redirect, is_stub, names, table
from corpuskit.crawl.wikitext import plain_text

CASES = [
    # style and links
    ("'''Bold''', ''italic'' and '''''both''''' of ''''it''''", "Bold, italic and both of 'it'"),
    ("[[Welle (Mechanik)|Welle]]n and [[Nabe]]n", "Wellen and Naben"),
    ("[http://a.example the site], [http://b.example], http://c.example/x", "the site, http://c.example/x"),
    ("see [[:Category:Towns|towns]] and [[#History]]", "see towns and History"),
    ("[[wikt:word]] [[de:Stadt]][[zh-yue:X]]", "word"),
    ("[[File:A.jpg|thumb|A [[town]] {{small|x}}]]Text [[Datei:B.png|mini]] end", "Text end"),
    ("Text\n[[Category:Towns]]\n[[Kategorie:Städte|X]]", "Text"),
    # lines
    ("one\ntwo\n\nthree", "one two\n\nthree"),
    ("一二\n三四\nabc\n五", "一二三四 abc 五"),
    ("one<br>two<br />three", "one\ntwo\nthree"),
    ("== History ==\nText.\n=== Early ===\nMore.", "History\n\nText.\n\nEarly\n\nMore."),
    ("Text.\n== Empty ==\n=== Also ===\n== Full ==\nMore.", "Text.\n\nFull\n\nMore."),
    ("Text.\n== External links ==\n* [http://a x]\n== Later ==\nMore.", "Text.\n\nLater\n\nMore."),
    ("Text.\n== Weblinks ==\n=== Inner ===\nx", "Text."),
    ("* a\n* b\n** c\n* d\n\nText", "- a\n- b\n  - c\n- d\n\nText"),
    ("# a\n# b\n## c\n# d\n\n# e", "1. a\n2. b\n  1. c\n3. d\n1. e"),
    (";Term\n:its meaning", "Term\n\nits meaning"),
    ("<poem>\nRoses are red\nViolets blue\n</poem>", "Roses are red\nViolets blue"),
    # what is left out
    ('A<ref>x</ref> b<ref name=y/>.<!-- c --> D<ref name="a>b">e</ref>', "A b. D"),
    ("A <ref>x</ref>.", "A."),
    ("a <ref>never closed\nb", "a never closed b"),
    ("before\n{| class=x\n|-\n| a\n{|\n| inner\n|}\n| b\n|}\nafter", "before after"),
    ("before\n{|\n| cell\ntext of a table without an end", "before text of a table without an end"),
    ("{{Infobox\n| a = [[b]]\n| c = {{d|e}}\n}}\nText", "Text"),
    ("Text<gallery>\nA.jpg|b\n</gallery> end", "Text end"),
    ("__NOTOC__Text <span style='display:none'>x</span>end", "Text end"),
    ("a <nowiki>[[b]] {{c}}</nowiki> d", "a [[b]] {{c}} d"),
    ("Let <math>a  < b</math> be", "Let $a < b$ be"),
    ('So\n<math display="block">x</math>\nholds', "So\n\n$x$\n\nholds"),
    ("<syntaxhighlight lang=c>\nif (a) {\n  b();\n}\n</syntaxhighlight>", "if (a) {\n  b();\n}"),
    ("H<sub>2</sub>O, m<sup>2</sup>, x<sup>th</sup>", "H₂O, m², xth"),
    ("a&nbsp;b &amp; c &ndash; d", "a b & c – d"),
    # templates that read as something
    ("{{lang|fr|Berne}}, {{lang-de|Bern}}", "Berne, Bern"),
    ("{{convert|5|km|mi}} and {{convert|3|to|4|km2|sqmi|abbr=on}}", "5 km and 3 to 4 km²"),
    ("{{Convert|{{convert|1|km}}|m}}", "1 km m"),
    ("a{{nbsp}}b{{spaced ndash}}c{{!}}d{{=}}e", "a b – c|d=e"),
    ("{{as of|2010|4}}, {{as of|2011}}", "As of April 2010, As of 2011"),
    ("{{IPAc-en|lang|b|ɜːr|n}} {{IPA-de|bɛrn}}", "/bɜːrn/ [bɛrn]"),
    ("He said:\n{{quote|text=So it is.|author=X}}\nIndeed.", "He said:\n\nSo it is.\n\nIndeed."),
    ("{{frac|1|2}} {{frac|3|1|4}} {{frac|5}}", "1/2 3 1/4 1/5"),
    ("{{circa|1900}} {{formatnum:12345}} {{ship|HMS|Ajax|1912}}", "c. 1900 12345 HMS Ajax"),
    ("{{Vorlage:lang|fr|mot}} {{Lang_|fr|mot}}", "mot mot"),
    # holes
    ("Bern ({{audio|x}}; {{lang|fr|Berne}}; {{y}}) is", "Bern (Berne) is"),
    ("Bern ({{x}}) is, ({{x}}, {{y}}; {{z}}) so", "Bern is, so"),
    ("Bern ({{x}}, born 1900) and (in {{lang|de|}}, 1901)", "Bern (born 1900) and (in, 1901)"),
    ("Oslo {{x}}, {{y}}, capital {{z}}.", "Oslo, capital."),
    ("Types: {{x}}, {{y}} and a", "Types: and a"),
    ("f() and g( ) stay, and [] , so", "f() and g( ) stay, and [] , so"),
    ("{{nihongo|Tokyo|東京}} and {{nihongo|Tokyo}}", "Tokyo (東京) and Tokyo"),
    ("* {{x}}\n* a {{x}}\n* {{x}}: b", "- a\n- b"),
    ('The "{{x}}" word', "The word"),
    # markup that is broken
    ("a [[b and {{c\nd ]] e }} f", "a b and d e f"),
    ("[[File:A.jpg|never closed\nText", "Text"),
    ("| a row that is none\nText", "Text"),
    ("", ""),
    (" \n\n", ""),
]


@pytest.mark.parametrize(("wikitext", "text"), CASES)
def test_golden(wikitext, text):
    assert plain_text(wikitext) == text


def test_sections_of_sources_stay_if_asked():
    wikitext = "Text.\n== References ==\n{{reflist}}\n== See also ==\n* [[X]]"
    assert plain_text(wikitext) == "Text."
    assert plain_text(wikitext, apparatus=True) == "Text.\n\nSee also\n\n- X"


def test_a_wikis_own_namespaces():
    assert plain_text("[[Kladde:A.jpg|x]]Text") == "xText"
    assert plain_text("[[Kladde:A.jpg|x]]Text", names(("Kladde",))) == "Text"


@pytest.mark.parametrize(
    ("title", "wikitext", "found"),
    [
        ("X", "{{disambig}}", True),
        ("X", "{{Begriffsklärung}}", True),
        ("X", "__DISAMBIG__", True),
        ("X", "[[Category:All disambiguation pages]]", True),
        ("X (disambiguation)", "", True),
        ("X", "{{for|disambiguation|Y}} [[disambiguation]]", False),
        ("X disambiguation", "", False),
    ],
)
def test_disambiguation(title, wikitext, found):
    assert is_disambiguation(title, wikitext, names()) is found


def test_redirects_and_stubs():
    assert is_redirect(" #redirect [[X]]") and is_redirect("#転送 [[X]]")
    assert not is_redirect("See #redirect [[X]]") and not is_redirect("#REDIRECT nothing")
    assert is_stub("{{ Swiss-geo-stub }}") and is_stub("{{ébauche|ville}}")
    assert not is_stub("{{stubbed}} {{stubs only}}".replace("stubs only", "no stubs"))


def test_the_table_is_sound():
    for entry in table()["template"]:
        assert set(entry) <= {"names", "text", "where", "skip"}
        for name in entry["names"]:
            assert name == name.lower() and form_of(name), name


PIECES = st.sampled_from(
    [*"[]{}|'=*#:;<>/!&\n ()\",.-"]
    + ["[[", "]]", "{{", "}}", "{|", "|}", "|-", "'''", "<ref>", "</ref>", "<ref/>", "<!--", "-->", "<math>", "</math>"]
    + ["<nowiki>", "</nowiki>", "==", "File:", "Category:", "{{lang|de|", "{{convert|1|", "<br>", "<div>", "</div>", "word"]
    + ["&nbsp;", "&#x0;", "&#xd800;", "\x01", "\x05", "\x050\x05", "中文", "{{quote|", "<pre>", "</pre>", "http://a", "__TOC__"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=4), max_size=60).map("".join))
def test_no_page_is_an_error(wikitext):
    text = plain_text(wikitext)
    assert text == text.strip()
    assert text.encode() is not None
    assert not set(text) & set(map(chr, range(1, 9)))
    assert not text.count("\n\n\n") or "<pre>" in wikitext or "<nowiki>" in wikitext


@pytest.mark.parametrize(
    "piece",
    ["{{x}}, ", "<ref>", "<!--", "(", "({{x}}", ", ", "{|\n", "{| ", "[[a|", "'''", "<ref name=\"", "{{x}} ", "== \n", "*{{x}}\n", "[[File:", "«{{x}}"],
)  # fmt: skip
def test_hostile_pages_take_linear_time(piece):
    """Twice the page may take a little more than twice the time, and no more."""
    spent = []
    for size in (20_000, 80_000):
        began = time.process_time()
        plain_text(piece * (size // len(piece)))
        spent.append(time.process_time() - began)
    assert spent[1] < 8 * spent[0] + 0.5
