"""The main text: what an extractor took, and what stands among it; not what stands beside."""

from __future__ import annotations

import pytest
from resiliparse.parse.html import HTMLTree

from corpuskit.crawl.blocks import read
from corpuskit.crawl.maintext import chosen, render
from corpuskit.crawl.pictures import pictures

ONE = "The harbour of this town was built in spring when the river was low."
TWO = "They waited for every tide before another block could be laid."


def kept(inner: str, main: str = f"{ONE}\n{TWO}", around: str = "<article>{}</article>") -> str:
    page = around.format(f"<p>{ONE}</p>{inner}<p>{TWO}</p>")
    tree = HTMLTree.parse(page)
    images = pictures(tree, "http://a.example/")
    found = read(tree, {one.node: number for number, one in enumerate(images)})
    placed = render(chosen(found, main))
    data = placed.text.encode()
    for number, offset in reversed(placed.images):
        data = data[:offset] + f"[{number}]".encode() + data[offset:]
    return data.decode().removeprefix(ONE).removesuffix(TWO).strip()


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<img src=a>", "[0]"),
        ("<div><div><a href=b><img src=a></a></div></div>", "[0]"),
        ("<ul><li>a<li><img src=a>b</ul>", "- a\n- [0]b"),
        ("<table><tr><td>a<td><img src=a>b</table>", "a | [0]b"),
        ("<pre>x = 1\n  y</pre>", "x = 1\n  y"),
        ("<h2>Next</h2>", "Next"),
        (
            "<figure><img src=a><figcaption>A boat, by <a href=x>me</a></figcaption></figure>",
            "[0]A boat, by me",
        ),
        ("<div><img src=a><p>A boat</p></div>", "[0]A boat"),
        ("<figure><img src=a><figcaption><a href=x>A boat</a></figcaption></figure>", "[0]A boat"),
        ("<div class='elementor-widget elementor-widget-image'><img src=a></div>", "[0]"),
        ("<noscript><img src=a></noscript>", "[0]"),
        (f"<div><img src=a><p>{'A long text beside an image. ' * 10}</p></div>", "[0]"),
        ("<ul><li><a href=x><img src=a></a><li><a href=y><img src=b></a></ul>", "[0][1]"),
    ],
)
def test_what_stands_among_the_main_text_is_of_it(inner: str, expected: str) -> None:
    assert kept(inner) == expected


@pytest.mark.parametrize(
    "inner",
    [
        "<ul><li><a href=x><img src=a>Another story</a><li><a href=y>And one more</a></ul>",
        "<aside><img src=a></aside>",
        "<div class='share-buttons'><img src=a></div>",
        "<div class='box widget widget_image'><img src=a></div>",
        "<div id=related><h2>Read on</h2><img src=a></div>",
        "<p>A paragraph that the extractor has left out for its reasons.</p>",
        "<div><div><div><div><div><div><img src=a></div></div></div></div></div></div>",
        "<form><select><option><img src=a></select></form>",
    ],
)
def test_what_stands_beside_it_is_not(inner: str) -> None:
    assert kept(inner) == ""


def test_before_and_after_the_text_only_images_of_its_own_container_are_of_it() -> None:
    body = (
        "<body><img src=logo><ul><li>Home</ul><article><img src=lead>{}<img src=end><ul><li>x</ul></article>"
    )
    page = body + "<footer><img src=foot></footer>"
    assert kept("", around=page).replace(ONE, "").replace("\n", "") == f"[1]{TWO}[2]"


def test_the_same_text_for_narrow_and_wide_screens_comes_once() -> None:
    assert kept(f"<div class=wide><p>{ONE}</p></div>") == ""


def test_a_page_of_which_nothing_was_taken_gives_nothing() -> None:
    assert kept("<img src=a>", main="") == ""
