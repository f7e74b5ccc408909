"""Marks select what the expressions they stand for select."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.etree import XPath
from lxml.html import fromstring

from corpuskit.crawl.marks import Marks

RE = {"re": "http://exslt.org/regular-expressions"}
EXPRESSIONS = [
    ".//*[self::div or self::p][@class='ad' or @id='x' or re:test(@class, '^nav|menu(?!s)')]",
    ".//*[contains(translate(@id, 'T', 't'), 'teaser') or starts-with(@class, 'main')]",
    ".//div[re:test(@id|@class, 'cookie') or @hidden]",
    ".//*[re:test(@id|@style, 'HIDDEN', 'i')][not(.//p)]",
    "(.//*[self::div or self::p][@id='x' or contains(@class, 'a')])[1]",
    ".//*[self::div or self::p][contains(@class, 'a')][1]",
]
KEPT = [
    ".//header",
    "(.//article)[1]",
    ".//div[contains(@class, '')]",
    ".//div[@id='a' and @class='b']",
    ".//div[@id|@class='b']",
    ".//div[text()='x']",
]

VALUES = st.sampled_from(
    ["", "ad", "x", "nav", "menus menu", "Teaser", "teaser", "main a", "cookie", "hidden Hidden", "a\n"]
)


def element(tag: str, names: list[str], values: list[str], children: list[str]) -> str:
    attributes = " ".join(f'{name}="{value}"' for name, value in zip(names, values, strict=False))
    return f"<{tag} {attributes}>{''.join(children)}</{tag}>"


ELEMENTS = st.recursive(
    st.just(""),
    lambda inner: st.builds(
        element,
        st.sampled_from(["div", "p", "span"]),
        st.permutations(["id", "class", "style", "hidden"]).flatmap(
            lambda n: st.integers(0, 4).map(lambda k: n[:k])
        ),
        st.lists(VALUES, min_size=4, max_size=4),
        st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)


@given(st.lists(ELEMENTS, max_size=4))
def test_a_marked_tree_gives_what_xpath_gives(elements):
    tree = fromstring(f"<html><body>{''.join(elements)}<br></body></html>")
    expected = [XPath(expression, namespaces=RE)(tree) for expression in EXPRESSIONS]
    marks = Marks()
    rewritten = [marks.rewrite(XPath(expression, namespaces=RE)) for expression in EXPRESSIONS]
    marks.mark(tree)
    assert [find(tree) for find in rewritten] == expected


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_can_be_marked_is(expression):
    assert "corpuskit-0" in Marks().rewrite(XPath(expression, namespaces=RE)).path


@pytest.mark.parametrize("expression", KEPT)
def test_what_cannot_be_marked_stays(expression):
    xpath = XPath(expression, namespaces=RE)
    assert Marks().rewrite(xpath) is xpath
