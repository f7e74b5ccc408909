"""The main text of pages: trafilatura's own, whatever was done to get it faster."""

import importlib
import io
import logging
import warnings

import pytest
from building import page

from corpuskit.crawl import accelerate
from corpuskit.crawl.archive import Record, records
from corpuskit.crawl.extract import extract
from corpuskit.crawl.payload import decode, inflate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its downloader warns of what it lacks
    import trafilatura


def trafilatura_itself(text: str, precision: bool = True) -> str:
    return trafilatura.extract(text, favor_precision=precision, include_comments=False) or ""


def test_a_page_gives_its_text_and_title():
    text = page(7).decode()
    found = extract(text)
    assert found.title == "Page 7"
    assert found.text == trafilatura_itself(text)
    assert "a pier of grey granite" in found.text


def test_resiliparse_gives_text_and_title():
    found = extract(page(7).decode(), "resiliparse")
    assert found.title == "Page 7" and "a pier of grey granite" in found.text


@pytest.mark.parametrize(
    "text", ["", "   ", "plain words, no tags", "<p>", "<html><body></body></html>", "\0<html>\ufffe</html>"]
)
@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
def test_what_is_hardly_a_page_gives_little(text, extractor):
    assert len(extract(text, extractor).text) <= len(text)


HARD = {
    "deep": "<div>" * 3000 + "deep text" + "</div>" * 3000,
    "control characters": "<html><body><p>one\x00two\x0bthree\x1f four five six seven</p></body></html>",
    "invalid characters": "<html><body><p>one\ufffftwo \ufffe three</p><p>and more text</p></body></html>",
    "declared": '<?xml version="1.0" encoding="latin-1"?><html><body><p>'
    + "Some words here. " * 30
    + "</p></body></html>",
    "two bodies": "<html><body><p>first</p></body><body><p>" + "second text. " * 40 + "</p></body></html>",
    "bare": "words without a body <b>and</b> " * 30,
    "raw text": "<html><body><div><p>"
    + "Words. " * 50
    + "</p><xmp><b>raw</b></xmp><title></title></div></body></html>",
    "table": "<html><body><table>"
    + "<tr><td>one, two, three four five</td><td>six</td></tr>" * 30
    + "</table></body></html>",
    "forum": '<html><script type="application/ld+json">{"@type": "DiscussionForumPosting"}</script><body>'
    + "<div class='comment-list'><p>A long answer, with some words in it.</p></div>" * 9
    + "</body></html>",
    "links": "<html><body><div class='content'>"
    + "<a href='/x'>a link of words</a> " * 90
    + "</div></body></html>",
    "video": "<html><body><article><p>Words.</p><iframe src='https://youtube.com/1'></iframe></article></body></html>",
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("precision", [True, False])
def test_hard_pages_give_trafilatura_s_text(name, precision):
    assert extract(HARD[name], precision=precision).text == trafilatura_itself(HARD[name], precision)


@pytest.mark.parametrize("precision", [True, False])
def test_real_pages_give_trafilatura_s_text(data, precision):
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    paths = sorted((data / "warc" / "pages").glob("*.warc.gz")) + [data / "warc" / "aut" / "example.warc.gz"]
    compared = 0
    for path in paths:
        responses = [
            item
            for item in records(io.BytesIO(path.read_bytes()))
            if isinstance(item, Record) and item.status == 200 and item.body
        ]
        for item in responses[precision::20]:  # every page is compared by bench/extraction.py
            text, _ = decode(item.http, inflate(item.http, item.body))
            assert extract(text, precision=precision).text == trafilatura_itself(text, precision), item.url
            compared += 1
    assert compared > 35


def test_the_copy_leaves_trafilatura_alone():
    accelerate.Trafilatura()
    assert trafilatura.core.load_html is trafilatura.utils.load_html
    assert all("corpuskit" not in xpath.path for xpath in trafilatura.xpaths.OVERALL_DISCARD_XPATH)


def test_every_slow_expression_is_marked():
    xpaths = importlib.import_module("corpuskit.crawl._trafilatura.xpaths")
    slow = [
        x.path
        for name in accelerate._LISTS
        for x in getattr(xpaths, name)
        if "re:test" in x.path.split("corpuskit-")[0]
    ]
    assert not slow
