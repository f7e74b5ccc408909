"""Openverse: what is asked, and how its answers read."""

import pytest
from search_world import openverse_image

from corpuskit.crawl.openverse import Openverse
from corpuskit.crawl.results import NoResult, Page, Unusable


def read(*images, page_count=1, cursor=None) -> Page:
    return Openverse().read({"results": list(images), "page_count": page_count}, cursor or {})


def test_a_request_asks_for_no_more_than_twenty_and_carries_the_token_in_a_header_only():
    url, headers = Openverse(license=("by", "cc0")).request("St. Louis & more", {})
    assert url == (
        "https://api.openverse.org/v1/images/?q=St.+Louis+%26+more&page=1&page_size=20&license=by%2Ccc0"
    )
    assert headers == {}
    url, headers = Openverse(key="secret").request("dog", {"page": 3})
    assert "page=3" in url and "secret" not in url and headers == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(Openverse(key="secret"))


def test_a_result_keeps_licence_and_attribution():
    (found,) = read(openverse_image("a")).results
    assert found._asdict() == {
        "service_id": "a",
        "url": "https://www.flickr.com/photos/ann/a",
        "image": "https://live.staticflickr.com/1/a_b.jpg",
        "text": "A picture of a",
        "width": 1024,
        "height": 683,
        "license": "by-sa",
        "license_version": "2.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/2.0/",
        "creator": "Ann",
        "attribution": '"A picture of a" by Ann is licensed under CC BY-SA 2.0.',
        "tags": ["dog", "grass"],
        "filetype": "jpg",
    }


def test_what_is_missing_is_null_and_an_attribution_is_composed():
    (found,) = read(
        openverse_image(
            "a", attribution=None, tags=None, filetype=None, width=None, height="x", foreign_landing_url=""
        )
    ).results
    assert found.attribution == (
        '"A picture of a" by Ann, CC BY-SA 2.0 (https://creativecommons.org/licenses/by-sa/2.0/), '
        "via Openverse"
    )
    assert (found.tags, found.width, found.height, found.url, found.filetype) == (
        None,
        None,
        None,
        None,
        "jpg",
    )


def test_a_result_without_id_or_image_is_none():
    found = read(openverse_image("a", id=7), openverse_image("b", url="javascript:alert(1)"), "text", None)
    assert found.results == (NoResult("images.search_result"),) * 4


@pytest.mark.parametrize(
    ("page", "pages", "after"),
    [(1, 1, None), (1, 2, {"page": 2}), (19, 99, {"page": 20}), (20, 99, None), (1, "many", None)],
)
def test_no_more_than_twenty_pages_are_asked_for(page, pages, after):
    assert read(page_count=pages, cursor={"page": page}).next == after


def test_an_answer_without_results_is_unusable():
    with pytest.raises(Unusable):
        Openverse().read({"detail": "no"}, {})
