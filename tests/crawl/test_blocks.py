"""Blocks of pages: what reads as a unit, in order, with images in their places."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from corpuskit.crawl.blocks import Block, read
from corpuskit.crawl.maintext import render
from corpuskit.crawl.pictures import pictures


def blocks(page: str) -> list[Block]:
    tree = HTMLTree.parse(page)
    images = pictures(tree, "http://a.example/")
    return read(tree, {one.node: number for number, one in enumerate(images)}).blocks


def text(page: str) -> str:
    return render(blocks(page)).text


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>One<p>two", "One\n\ntwo"),
        ("<div>a<p>b</p>c</div>", "a\n\nb\n\nc"),
        ("<p>a <b> b</b><i>c</i>\n d&nbsp;e", "a bc d\xa0e"),
        ("<p>a<br>b<br><br>c", "a\nb\n\nc"),
        ("<ul><li>a<li><p>b</p><p>more</p></ul>c", "- a\n- b\n  more\n\nc"),
        ("<ol start=3><li>a<ul><li>b</ul><li>c</ol>", "3. a\n  - b\n4. c"),
        ("<dl><dt>a<dd>b</dl>", "a\n\nb"),
        ("<table><caption>T</caption><tr><th>a<th>b<tr><td>1<td>2 <i>3</i></table>", "T\na | b\n1 | 2 3"),
        ("<table><tr><td><p>a</p><p>b</p><td>c</table>", "a\n\nb\n\nc"),
        ("<pre>\n  x  y\n\n\n    z\n</pre>", "  x  y\n\n\n    z"),
        ("<p>a<code>b</code> c<pre><code>if x:\n\ty</code></pre>", "ab c\n\nif x:\n\ty"),
        ("<figure><img src=a><figcaption>b</figcaption></figure>", "b"),
        ("a<script>x</script><style>y</style><!-- z --><template>t</template><button>u</button>b", "ab"),
        ("<p hidden>a<p style='display: none'>b<p>c", "c"),
        ("<p>a<noscript>Turn it on<img src=a></noscript><p>b", "a\n\nb"),
        ("<p> <p>\n<br><br> <div></div>", ""),
        ("", ""),
    ],
)
def test_a_page_reads_as_it_looks(page: str, expected: str) -> None:
    assert text(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>one <img src=a> two", "one [0]two"),
        ("<p>one<img src=a>two", "one[0]two"),
        ("<p>é</p><img src=a><p>b", "é\n\n[0]b"),
        ("<p>a</p><img src=a>", "a[0]"),
        ("<img src=a><img src=b><p>a", "[0][1]a"),
        ("<ul><li>a <img src=a><li><img src=b>b</ul>", "- a[0]\n- [1]b"),
        ("<table><tr><td><img src=a><td>x</table>", "[0]| x"),
        ("<p>a</p><noscript><img src=b></noscript><p>c", "a\n\n[0]c"),
        ("<p>a</p><picture><source srcset=b><img src=a></picture><p>c", "a\n\n[0]c"),
        ("<pre>a\n <img src=b>b</pre>", "a\n [0]b"),
    ],
)
def test_images_stand_where_they_stood(page: str, expected: str) -> None:
    placed = render(blocks(page))
    data = placed.text.encode()
    for number, offset in reversed(placed.images):
        data = data[:offset] + f"[{number}]".encode() + data[offset:]
    assert data.decode() == expected


def test_depth_is_no_danger() -> None:
    assert text("<div>" * 50_000 + "deep") in ("", "deep")
    assert text("<p>before</p>" + "<b>" * 50_000 + "deep").startswith("before")


_TAGS = ("p", "div", "ul", "ol", "li", "table", "tr", "td", "pre", "b", "a", "figure", "h2", "noscript", "br")


@st.composite
def _pages(draw: st.DrawFn) -> str:
    parts = []
    for _ in range(draw(st.integers(0, 25))):
        kind = draw(st.integers(0, 3))
        tag = draw(st.sampled_from(_TAGS))
        said = draw(st.text(alphabet="aé🙂\ue000\ue001\ufffc\u2028 \n\t|-", max_size=8))
        parts.append([f"<{tag}>", f"</{tag}>", said, f"<img src=i{draw(st.integers(0, 4))} alt=x>"][kind])
    return "".join(parts)


@settings(max_examples=300, deadline=None)
@given(_pages())
def test_any_page_gives_offsets_on_characters_in_order_and_no_more_than_it_holds(page: str) -> None:
    placed = render(blocks(page))
    data, offsets = placed.text.encode(), [offset for _, offset in placed.images]
    assert offsets == sorted(offsets)
    assert all(0 <= offset <= len(data) for offset in offsets)
    for offset in offsets:
        data[:offset].decode()
    numbers = [number for number, _ in placed.images]
    assert numbers == sorted(set(numbers))
    for private in "\ue000\ue001\ufffc":  # what a page says stays, and nothing of ours is added
        assert placed.text.count(private) <= page.count(private)
    if "<pre" not in page:
        assert "\n\n\n" not in placed.text
