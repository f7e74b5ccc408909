"""Pictures are found wherever a page keeps them, once each, at the address a browser would load."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from corpuskit.crawl.pictures import Picture, base_url, largest, licence, page_language, pictures, resolve

PAGE = "https://a.example/b/c.html"


def found(html: str) -> list[Picture]:
    return pictures(HTMLTree.parse(html), PAGE)


def urls(html: str) -> list[str]:
    return [one.url.removeprefix("https://a.example") for one in found(html)]


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ('<img src="x.jpg">', "/b/x.jpg"),
        ('<amp-img src="x.jpg"></amp-img>', "/b/x.jpg"),
        ('<img src="data:image/gif;base64,R0" data-src="x.jpg">', "/b/x.jpg"),
        ('<img src="blank.gif" data-lazy-src="x.jpg">', "/b/x.jpg"),
        ('<img data-original="x.jpg">', "/b/x.jpg"),
        ('<img src="s.jpg" srcset="s.jpg 300w, x.jpg 900w, m.jpg 600w">', "/b/x.jpg"),
        ('<img src="s.jpg" srcset="/x,y.jpg 2x,/z.jpg 1.5x">', "/x,y.jpg"),
        ('<img src="s.jpg" data-srcset="x.jpg 900w">', "/b/x.jpg"),
        ('<picture><source srcset="x.webp 2x"><img src="s.jpg"></picture>', "/b/x.webp"),
        ('<picture><source srcset="x.webp 2x"><noscript><img src="s.jpg"></noscript></picture>', "/b/x.webp"),
        ("<noscript><img src=x.jpg></noscript>", "/b/x.jpg"),
        ('<base href="/d/"><img src="x.jpg">', "/d/x.jpg"),
        ('<base href="javascript:0"><img src="x.jpg">', "/b/x.jpg"),
        ('<img src=" \n x.jpg\t">', "/b/x.jpg"),
        ('<img src="x\ny.jpg">', "/b/xy.jpg"),
        ('<img src="..\\x.jpg">', "/x.jpg"),
        ('<img src="x y.jpg?a=b c#d">', "/b/x%20y.jpg?a=b%20c"),
        ('<img src="é.jpg">', "/b/%C3%A9.jpg"),
        ('<img src="?x">', "/b/c.html?x"),
    ],
)
def test_an_image_is_where_a_browser_finds_it(html: str, url: str) -> None:
    assert urls(html) == [url]


@pytest.mark.parametrize(
    "html",
    [
        "<img>",
        "<img src=''>",
        "<img src='data:image/png;base64,AAAA'>",
        "<img src='javascript:alert(1)'>",
        "<img src='ftp://a.example/x.jpg'>",
        "<img src='http://[::1/x.jpg'>",
        "<img src='file:///etc/passwd'>",
        "<template><img src=x.jpg></template>",
        "<!-- <img src=x.jpg> -->",
    ],
)
def test_what_no_browser_loads_is_no_image(html: str) -> None:
    assert urls(html) == []


def test_texts_are_what_is_said_once_each() -> None:
    (one,) = found(
        '<figure><a><img src=x alt="  A\n bee " title="A bee"></a><figcaption>On <b>clover</b></figure>'
    )
    assert (one.alt, one.title, one.caption) == ("A bee", "A bee", "On clover")
    assert one.texts() == (("alt", "A bee"), ("caption", "On clover"))
    (bare,) = found('<img src=x alt=" " title="">')
    assert bare.texts() == ()


def test_a_caption_that_could_be_anothers_is_no_caption() -> None:
    page = "<figure><img src=x><img src=y><figcaption>both</figcaption></figure>"
    assert [one.caption for one in found(page)] == ["both", "both"]
    page = "<figure><figure><img src=x><figcaption>a</figcaption></figure><figcaption>b</figcaption></figure>"
    assert [one.caption for one in found(page)] == ["a"]
    page = "<figure><img src=x><figcaption>a</figcaption><figcaption>b</figcaption></figure>"
    assert [one.caption for one in found(page)] == [None]


def test_the_noscript_twin_of_a_lazy_image_is_not_a_second() -> None:
    page = '<img src="s.gif" data-src="x.jpg" alt="A"><noscript><img src="x.jpg" alt="A"></noscript>'
    assert urls(page + '<img src="x.jpg" alt="another text">') == ["/b/x.jpg", "/b/x.jpg"]


@pytest.mark.parametrize(
    ("written", "pixels"),
    [("640", 640), (" 640px ", 640), ("100%", None), ("auto", None), ("-1", None), ("0", 0)],
)
def test_declared_size(written: str, pixels: int | None) -> None:
    (one,) = found(f'<img src=x width="{written}">')
    assert (one.width, one.height) == (pixels, None)


@pytest.mark.parametrize(
    ("html", "url"),
    [
        (
            "<a rel='license' href='https://creativecommons.org/licenses/by/4.0/'>",
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        ("<link rel='LICENSE' href='/l'>", "https://a.example/l"),
        (
            "<a href='http://creativecommons.org/publicdomain/zero/1.0/'>",
            "http://creativecommons.org/publicdomain/zero/1.0/",
        ),
        (
            "<a href='https://creativecommons.org/licenses/by/4.0/'><a rel=license href=/own>",
            "https://a.example/own",
        ),
        ("<a href='https://creativecommons.org/about/'>", None),
        ("<a rel='nofollow' href='/license'>", None),
    ],
)
def test_licence(html: str, url: str | None) -> None:
    assert licence(HTMLTree.parse(html), PAGE) == url


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("<html lang=de>", "de"),
        ("<html lang='EN_us'>", "en"),
        ("<html>", None),
        ("<html lang='x-klingon'>", None),
    ],
)
def test_page_language(html: str, code: str | None) -> None:
    assert page_language(HTMLTree.parse(html)) == code


# RFC 3986, 5.4.1 and 5.4.2: what a reference gives against http://a/b/c/d;p?q
EXAMPLES = {
    "g": "http://a/b/c/g", "./g": "http://a/b/c/g", "g/": "http://a/b/c/g/", "/g": "http://a/g",
    "//g": "http://g", "?y": "http://a/b/c/d;p?y", "g?y": "http://a/b/c/g?y", ";x": "http://a/b/c/;x",
    "g;x": "http://a/b/c/g;x", "": "http://a/b/c/d;p?q", ".": "http://a/b/c/", "./": "http://a/b/c/",
    "..": "http://a/b/", "../g": "http://a/b/g", "../..": "http://a/", "../../g": "http://a/g",
    "../../../g": "http://a/g", "../../../../g": "http://a/g", "/./g": "http://a/g", "/../g": "http://a/g",
    "g.": "http://a/b/c/g.", "..g": "http://a/b/c/..g", "./../g": "http://a/b/g", "g/../h": "http://a/b/c/h",
    "g;x=1/../y": "http://a/b/c/y", "g?y/./x": "http://a/b/c/g?y/./x", "g#s": "http://a/b/c/g",
}  # fmt: skip


@pytest.mark.parametrize(("reference", "target"), EXAMPLES.items())
def test_references_resolve_as_in_the_rfc(reference: str, target: str) -> None:
    assert resolve("http://a/b/c/d;p?q", reference) == target


@given(st.text(max_size=80))
def test_whatever_is_written_resolves_to_an_address_or_nothing(reference: str) -> None:
    url = resolve(PAGE, reference)
    if url is not None:
        assert url.isascii() and url.startswith(("http://", "https://")) and " " not in url
        assert resolve(PAGE, url) == url


@given(st.text("ab/.", min_size=1, max_size=12))
def test_plain_paths_resolve_as_urljoin_does(path: str) -> None:
    assert resolve(PAGE, path) == urljoin(PAGE, path)


@given(st.text(max_size=200))
def test_a_srcset_never_breaks(text: str) -> None:
    best = largest([text])
    assert best is None or best in text


@given(st.text("<>/= \"'imgsrcpictureset,x1noscriptfigcaption", max_size=300))
def test_a_page_never_breaks(html: str) -> None:
    tree = HTMLTree.parse(html)
    for one in pictures(tree, PAGE):
        assert one.url.startswith(("http://", "https://"))
    assert base_url(tree, PAGE)


def test_a_page_of_images_alone_ends() -> None:
    assert len(found("".join(f"<img src={n}>" for n in range(10_100)))) == 10_000
