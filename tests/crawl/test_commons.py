"""Wikimedia Commons: what is asked, how its answers read, and what it says went wrong with status 200."""

from urllib.parse import parse_qs, urlsplit

import pytest
from search_world import commons_page

from corpuskit.crawl.commons import Commons
from corpuskit.crawl.patience import Again
from corpuskit.crawl.results import NoResult, Unusable


def read(*pages, cursor=None, width=None, **told):
    answer = {"batchcomplete": True, "query": {"pages": list(pages)}} | told
    return Commons(width=width).read(answer, cursor or {})


def asked(cursor, **settings) -> dict[str, list[str]]:
    return parse_qs(urlsplit(Commons(**settings).request("dog", cursor).url).query)


def test_a_request_asks_politely_and_passes_the_whole_continuation_on():
    found = asked({"gsroffset": 50, "continue": "gsroffset||", "maxlag": 99})
    assert found["maxlag"] == ["5"]
    assert found["gsrsearch"] == ["dog"] and found["gsrlimit"] == ["50"] and found["gsrnamespace"] == ["6"]
    assert found["gsroffset"] == ["50"] and found["continue"] == ["gsroffset||"]
    assert found["iiprop"] == ["url|size|mime|sha1|extmetadata"] and "iiurlwidth" not in found
    assert asked({}, width=640)["iiurlwidth"] == ["640"]


def test_a_result_keeps_licence_and_attribution():
    (found,) = read(commons_page(7, 1)).results
    assert found._asdict() == {
        "service_id": "7",
        "url": "https://commons.wikimedia.org/wiki/File:Dog_7.jpg",
        "image": "https://upload.wikimedia.org/wikipedia/commons/0/07/Dog_7.jpg",
        "text": "A dog & number 7",
        "width": 4000,
        "height": 3000,
        "license": "by-sa",
        "license_version": "4.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/4.0",
        "creator": "Ann",
        "attribution": '"Dog 7" by Ann, CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0), '
        "via Wikimedia Commons",
        "tags": ["Dogs", "Grass"],
        "filetype": "jpg",
    }


def test_without_a_description_the_title_is_the_text_and_the_asked_attribution_comes_first():
    facts = {"ImageDescription": "", "Attribution": "<b>Ann</b> / CC"}
    (found,) = read(commons_page(7, 1, extmetadata=facts)).results
    assert (found.text, found.attribution) == ("Dog 7", "Ann / CC")


@pytest.mark.parametrize(
    ("code", "name", "licence"),
    [
        ("cc-by-2.5", "CC BY 2.5", ("by", "2.5")),
        ("cc-by-sa-3.0-de", "CC BY-SA 3.0 de", ("by-sa", "3.0")),
        ("", "CC BY-SA 2.0", ("by-sa", "2.0")),
        ("cc0", "CC0", ("cc0", "1.0")),
        ("pd", "Public domain", ("pd", None)),
        ("", "Public domain", ("pd", None)),
        ("gfdl", "GFDL", ("gfdl", None)),
        ("", "", (None, None)),
    ],
)
def test_licences_are_written_as_creative_commons_writes_them(code, name, licence):
    (found,) = read(commons_page(7, 1, extmetadata={"License": code, "LicenseShortName": name})).results
    assert (found.license, found.license_version) == licence


def test_results_come_in_the_order_of_the_search_in_either_format():
    pages = [commons_page(1, 3), commons_page(2, 1), commons_page(3, 2)]
    assert [item.service_id for item in read(*pages).results] == ["2", "3", "1"]
    by_id = {str(page["pageid"]): page for page in pages}
    old = Commons().read({"batchcomplete": "", "query": {"pages": by_id}}, {})
    assert [item.service_id for item in old.results] == ["2", "3", "1"]


def test_with_a_width_the_scaled_image_is_taken_where_there_is_one():
    thumb = {
        "thumburl": "https://upload.wikimedia.org/thumb/Dog.tif/640px-Dog.tif.jpg",
        "thumbwidth": 640,
        "thumbheight": 480,
        "thumbmime": "image/jpeg",
        "mime": "image/tiff",
    }
    (found,) = read(commons_page(7, 1, **thumb), width=640).results
    assert (found.image, found.width, found.filetype) == (thumb["thumburl"], 640, "jpg")
    (found,) = read(commons_page(7, 1, **thumb)).results
    assert (found.image, found.width, found.filetype) == (
        commons_page(7, 1)["imageinfo"][0]["url"],
        4000,
        "tiff",
    )


def test_files_that_are_no_images_and_pages_without_a_file_are_none():
    gone = {"pageid": 8, "title": "File:Gone.jpg", "index": 2}
    found = read(commons_page(7, 1, mime="application/pdf"), gone)
    assert found.results == (NoResult("images.search_type"), NoResult("images.search_result"))


def test_facts_spread_over_several_answers_are_waited_for():
    later = {"iistart": "2019", "continue": "||"}
    waits = {"pageid": 8, "title": "File:Later.jpg", "index": 2}
    first = Commons().read(
        {"continue": later, "query": {"pages": [commons_page(7, 1), waits]}}, {"gsroffset": 50}
    )
    assert [item.service_id for item in first.results] == ["7"] and first.next == later
    told = {"pageid": 7, "title": "File:Dog 7.jpg", "index": 1}
    second = read(told, commons_page(8, 2), cursor=later)
    assert [item.service_id for item in second.results] == ["8"]


def test_no_results_are_an_empty_page():
    assert Commons().read({"batchcomplete": True}, {}).results == ()


@pytest.mark.parametrize("code", ["maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError"])
def test_a_busy_service_is_asked_again(code):
    with pytest.raises(Again, match=code):
        Commons().read({"error": {"code": code, "info": "Waiting for db: 6 seconds lagged", "lag": 6}}, {})


def test_an_error_of_the_query_is_its_own_fault():
    with pytest.raises(Unusable, match="cirrussearch-query-too-long") as caught:
        Commons().read({"error": {"code": "cirrussearch-query-too-long", "info": "long"}}, {})
    assert caught.value.blames_query
    for odd in ("text", None, {"code": 7}):
        with pytest.raises(Unusable, match="unknown"):
            Commons().read({"error": odd}, {})


@pytest.mark.parametrize(
    "after", ["text", {}, {"gsroffset": []}, {"gsroffset": "x" * 2000}, dict.fromkeys(map(str, range(99)), 1)]
)
def test_a_continuation_that_makes_no_sense_is_unusable(after):
    with pytest.raises(Unusable, match="continuation"):
        read(commons_page(1, 1), **{"continue": after})
