"""Facts from JSON that may hold anything: never an error but those that are told."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_world import commons_page, flickr_photo, openverse_image

from corpuskit.crawl.commons import Commons
from corpuskit.crawl.flickr import Flickr
from corpuskit.crawl.openverse import Openverse
from corpuskit.crawl.patience import Again
from corpuskit.crawl.results import NoResult, Unusable, credit, members, text
from corpuskit.errors import UsageError

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
PLACES = {
    "openverse": (Openverse(), openverse_image("a"), lambda item: {"results": [item], "page_count": 1}),
    "commons": (Commons(), commons_page(1, 1), lambda item: {"batchcomplete": 1, "query": {"pages": [item]}}),
    "flickr": (
        Flickr(),
        flickr_photo(1),
        lambda item: {"stat": "ok", "photos": {"pages": 1, "photo": [item]}},
    ),
}


def paths(value, *path):
    yield path
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from paths(inner, *path, key)


def put(value, path, odd):
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], odd)
    return copy


@pytest.mark.parametrize("name", PLACES)
@given(data=st.data())
def test_any_value_in_any_place_gives_a_result_or_a_reject(name, data):
    service, item, wrap = PLACES[name]
    whole = wrap(item)
    path = data.draw(st.sampled_from(list(paths(whole))))
    odd = put(whole, path, data.draw(ANYTHING))
    if not isinstance(odd, dict):  # the pager lets nothing else through
        return
    with contextlib.suppress(Unusable, Again, UsageError):
        for found in service.read(odd, {}).results:
            if not isinstance(found, NoResult):
                assert found.service_id and found.image.startswith(("http://", "https://"))
                for number in (found.width, found.height):
                    assert number is None or 0 < number < 2**31
                for fact in (found.license, found.creator, found.attribution, found.text, found.url):
                    assert fact is None or isinstance(fact.encode(), bytes)
                assert found.tags is None or all(tag.encode() for tag in found.tags)


@pytest.mark.parametrize("name", PLACES)
def test_deep_nesting_in_any_place_is_no_error(name):
    service, item, wrap = PLACES[name]
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    whole = wrap(item)
    for path in paths(whole):
        odd = put(whole, path, deep)
        if isinstance(odd, dict):
            with contextlib.suppress(Unusable, Again, UsageError):
                service.read(odd, {})


def test_half_a_surrogate_pair_becomes_text_that_can_be_written():
    assert text("a\ud800b") == "a?b"


def test_what_is_no_object_is_an_empty_one():
    assert members([{"a": 1}, 7, "x"]) == [{"a": 1}, {}, {}]
    assert members({"1": {"a": 1}}) == [{"a": 1}] and members("abc") == [] and members(None) == []


def test_a_credit_leaves_out_what_is_not_known():
    assert credit(None, None, None, "https://x.example", "Flickr") == "Untitled, via Flickr"
    assert credit("Dog", None, "CC0", None, "Openverse") == '"Dog", CC0, via Openverse'
