"""Flickr: what is asked, how its answers read, and failures with status 200."""

from urllib.parse import parse_qs, urlsplit

import pytest
from search_world import flickr_photo

from corpuskit.crawl.flickr import Flickr
from corpuskit.crawl.patience import Again
from corpuskit.crawl.results import NoResult, Page, Unusable
from corpuskit.errors import UsageError


def read(*photos, pages=1, cursor=None, **settings) -> Page:
    told = {"photos": {"page": 1, "pages": pages, "perpage": 250, "photo": list(photos)}, "stat": "ok"}
    return Flickr(key="k", **settings).read(told, cursor or {})


def asked(**settings) -> dict[str, list[str]]:
    return parse_qs(urlsplit(Flickr(key="k", **settings).request("a dog", {"page": 2}).url).query)


def test_a_request_leaves_out_what_has_all_rights_reserved():
    found = asked()
    assert found["text"] == ["a dog"] and found["page"] == ["2"] and found["api_key"] == ["k"]
    assert found["license"] == ["1,2,3,4,5,6,7,8,9,10"]
    assert asked(license=("by", "cc0"))["license"] == ["4,9"]
    assert asked(license=("all-rights-reserved",))["license"] == ["0"]
    assert "secret" not in repr(Flickr(key="secret"))


def test_a_result_keeps_licence_and_attribution():
    (found,) = read(flickr_photo(7)).results
    assert found._asdict() == {
        "service_id": "7",
        "url": "https://www.flickr.com/photos/12345678@N00/7",
        "image": "https://live.staticflickr.com/65535/7_abc_b.jpg",
        "text": "Dog 7",
        "width": 1024,
        "height": 683,
        "license": "by",
        "license_version": "2.0",
        "license_url": "https://creativecommons.org/licenses/by/2.0/",
        "creator": "Ann",
        "attribution": '"Dog 7" by Ann, CC BY 2.0 (https://creativecommons.org/licenses/by/2.0/), via Flickr',
        "tags": ["dog", "grass"],
        "filetype": "jpg",
    }


def test_without_a_title_the_description_is_the_text():
    (found,) = read(flickr_photo(7, title="", license="99")).results
    assert (found.text, found.license, found.license_url) == ("My dog", None, None)


@pytest.mark.parametrize(
    ("width", "found"), [(None, 3000), (400, 500), (500, 500), (501, 1024), (9999, 3000)]
)
def test_a_width_chooses_the_smallest_size_that_is_as_wide(width, found):
    original = {"url_o": "https://live.staticflickr.com/1/o.png", "width_o": "3000", "height_o": "2000"}
    (chosen,) = read(flickr_photo(7, **original), width=width).results
    assert chosen.width == found


def test_a_photo_without_an_image_or_with_an_odd_id_is_none():
    bare = {key: value for key, value in flickr_photo(1).items() if not key.startswith("url_")}
    assert read(bare, flickr_photo(2, id="../x"), 7).results == (NoResult("images.search_result"),) * 3
    (found,) = read(flickr_photo(3, owner="../../evil")).results
    assert found.url is None


@pytest.mark.parametrize(
    ("page", "pages", "after"), [(1, 1, None), (1, 2, {"page": 2}), (15, 99, {"page": 16}), (16, 99, None)]
)
def test_no_more_than_four_thousand_results_are_asked_for(page, pages, after):
    assert read(pages=pages, cursor={"page": page}).next == after


def test_failures_come_with_status_200():
    with pytest.raises(UsageError, match="Invalid API Key"):
        Flickr().read(
            {"stat": "fail", "code": 100, "message": "Invalid API Key (Key has invalid format)"}, {}
        )
    with pytest.raises(Again, match="105"):
        Flickr().read({"stat": "fail", "code": 105, "message": "Service currently unavailable"}, {})
    with pytest.raises(Unusable, match="Illogical") as caught:
        Flickr().read({"stat": "fail", "code": 18, "message": "Illogical arguments"}, {})
    assert caught.value.code == 18 and caught.value.blames_query
    for odd in ({}, {"stat": "ok"}, {"stat": "ok", "photos": []}, {"stat": ["fail"]}):
        with pytest.raises(Unusable):
            Flickr().read(odd, {})
