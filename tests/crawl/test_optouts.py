import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.optouts import opted_out


def header(*values, **how):
    return opted_out([("X-Robots-Tag", value) for value in values], **how)


@pytest.mark.parametrize(
    ("value", "directive"),
    [
        ("noai", "noai"),
        ("NoAI", "noai"),
        ("noindex", "noindex"),
        ("none", "none"),
        ("noml", "noml"),
        ("follow, noindex", "noindex"),
        ("noarchive,noai,noindex", "noai"),
        ("nofollow noindex", "noindex"),
        ("nofollow; noai", "noai"),
        ("noai, unavailable_after: Wed, 01 Jan 2031 00:00:00 GMT", "noai"),
        ("unavailable_after: Wed, 01 Jan 2031 00:00:00 GMT, noai", "noai"),
        ("unavailable_after: Wednesday, 01-Jan-31 00:00:00 GMT, noai", "noai"),
        ("unavailable_after: 2031-01-01T00:00:00+00:00, noai", "noai"),
        ("max-image-preview:none, noai", "noai"),
        ("max-snippet: -1, max-video-preview: -1, none", "none"),
        ("mybot: noai", "noai"),
        ("mybot : noai", "noai"),
        ("MyBot/2.0: noai", "noai"),
        ("mybot: nofollow, noai", "noai"),
        ("otherbot: nofollow, mybot: noindex", "noindex"),
        ("noindex, otherbot: nofollow", "noindex"),
        ("*: noai", "noai"),
        ("robots: none", "none"),
        ("noai: true", "noai"),
        # And what is no opt-out of ours.
        ("", None),
        ("all", None),
        ("index, follow", None),
        ("nofollow, nosnippet, noarchive, notranslate", None),
        ("max-image-preview:none", None),
        ("max-image-preview: none, max-snippet: 0", None),
        ("unavailable_after: Wed, 01 Jan 2031 00:00:00 GMT", None),
        ("otherbot: noai", None),
        ("otherbot: nofollow, noindex", None),
        ("mybot: nofollow, otherbot: noai, noindex", None),
        ("mybotnet: noai", None),
        ("noairlines, nonesuch, xnoindex", None),
        ("noimageai, noimageindex", None),
    ],
)
def test_directives_of_a_header(value, directive):
    assert header(value, agent="mybot") == directive


@pytest.mark.parametrize(
    ("value", "directive"),
    [("noimageai", "noimageai"), ("noimageindex", "noimageindex"), ("noai", "noai"), ("nofollow", None)],
)
def test_images_have_directives_of_their_own(value, directive):
    assert header(value, for_images=True) == directive


def test_each_of_repeated_headers_counts_with_a_scope_of_its_own():
    assert header("otherbot: nofollow", "noai") == "noai"
    assert header("nofollow", "otherbot: noai") is None


@pytest.mark.parametrize(
    ("value", "found"), [("1", "tdm-reservation"), (" 1 ", "tdm-reservation"), ("0", None), ("", None)]
)
def test_a_reservation_is_an_opt_out(value, found):
    assert opted_out([("TDM-Reservation", value)]) == found
    assert opted_out([], f'<meta name="tdm-reservation" content="{value}">'.encode()) == found


def test_other_headers_say_nothing():
    assert opted_out([("Content-Type", "noai"), ("X-Robots", "noai")]) is None


@pytest.mark.parametrize(
    ("page", "directive"),
    [
        ('<meta name="robots" content="noindex">', "noindex"),
        ("<META NAME='ROBOTS' CONTENT='NOAI, NOIMAGEAI' />", "noai"),
        ("<meta content=none name=robots>", "none"),
        ('<meta\nname = "robots"\ncontent = "follow, noai"\n>', "noai"),
        ('<meta name="mybot" content="noai">', "noai"),
        ('<meta name="robots" content="index"><meta name="robots" content="noai">', "noai"),
        ('<meta name="robots" content="max-image-preview:none, noai">', "noai"),
        ('<meta name="robots" content="no&#97;i">', "noai"),
        ('<meta http-equiv="X-Robots-Tag" content="noai">', "noai"),
        ('<meta/name="robots"/content="noai">', "noai"),
        ('<!-- a --><meta name="robots" content="noai"><!-- b -->', "noai"),
        ('<!-- without end <meta name="robots" content="noai">', "noai"),
        ('<meta name="robots" content="max-image-preview:large">', None),
        ('<meta name="otherbot" content="noai">', None),
        ('<meta name="description" content="noai, noindex">', None),
        ('<!-- <meta name="robots" content="noai"> -->', None),
        ('<metadata name="robots" content="noai">', None),
        ('<p>name="robots" content="noai"</p>', None),
        ("", None),
    ],
)
def test_directives_of_a_page(page, directive):
    for before in ("", "<!doctype html><html><head><title>x</title>"):
        assert opted_out([], (before + page).encode(), agent="mybot") == directive


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_pages_with_a_byte_order_mark_are_read(encoding):
    assert opted_out([], '<meta name="robots" content="noai">'.encode(encoding)) == "noai"


def test_the_start_of_a_page_is_read_and_no_more():
    tag = b'<meta name="robots" content="noai">'
    assert opted_out([], b"x" * ((256 << 10) - len(tag)) + tag) == "noai"
    assert opted_out([], b"x" * (256 << 10) + tag) is None


@pytest.mark.parametrize(
    "piece",
    [
        b"<meta ",
        b"<meta a",
        b'<meta "',
        b"<meta a='",
        b'<meta a="a=',
        b"<meta" + b" " * 1990 + b"<",
        b"<meta " + b"a" * 1990 + b"<",
        b"<meta " + b"a " * 990 + b"<",
        b"<meta " + b"a=" * 990 + b"<",
        b"<!--",
        b"<!-- -->",
        b"<",
        b"\xff",
        b"&#",
    ],
)
def test_hostile_pages_cost_little(piece):
    page = (piece * ((1 << 20) // len(piece) + 1))[: 1 << 20]
    begun = time.process_time()
    assert opted_out([("X-Robots-Tag", page[:100_000].decode("latin-1"))], page) is None
    assert time.process_time() - begun < 1


@given(st.text(max_size=200), st.binary(max_size=200))
def test_nothing_raises(value, page):
    names = ("x-robots-tag", "tdm-reservation", value)
    found = opted_out([(name, value) for name in names], b"<meta name=robots content='" + page + page)
    assert found is None or isinstance(found, str)


@given(
    st.lists(
        st.sampled_from(["index", "nofollow", "max-snippet:5", "max-image-preview: none", "x-y"]), max_size=5
    ),
    st.integers(0, 5),
)
def test_an_opt_out_is_found_wherever_it_stands(others, place):
    assert header(", ".join(others)) is None
    assert header(", ".join([*others[:place], "noai", *others[place:]])) == "noai"
