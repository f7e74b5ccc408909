"""Canonical URLs and registrable domains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.urls import canonical, host, registrable_domain


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTPS://Example.COM:443/A", "https://example.com/A"),
        ("http://example.com:8080/", "http://example.com:8080/"),
        ("http://user:pass@example.com./", "http://example.com/"),
        ("http://example.com/a/./b/../c/..", "http://example.com/a/"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://example.com/%7Ea%2fb%e4", "http://example.com/~a%2Fb%E4"),
        ("http://example.com/ä b", "http://example.com/%C3%A4%20b"),
        ("http://example.com/?b=2&a=1&&utm_source=x&fbclid=y", "http://example.com/?a=1&b=2"),
        ("http://example.com/a;jsessionid=1F?x", "http://example.com/a?x"),
        ("http://example.com/#part", "http://example.com/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]/"),
        (" http://exa\nmple.com/ ", "http://example.com/"),
        ("http://example.com:99999/", "http://example.com/"),
        ("mailto:a@b.c", "mailto:a@b.c"),
        ("not a url", "not a url"),
        ("http://[broken", "http://[broken"),
        ("", ""),
    ],
)
def test_canonical(url, expected):
    assert canonical(url) == expected
    assert canonical(expected) == expected


@given(
    st.one_of(
        st.text(),
        st.text().map(lambda text: f"http://example.com/{text}"),
        st.text().map(lambda t: f"http://{t}"),
    )
)
def test_canonical_never_raises_and_is_stable(url):
    once = canonical(url)
    assert canonical(once) == once
    assert host(url) is None or host(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://www.example.co.uk/x", "example.co.uk"),
        ("http://a.b.github.io/", "b.github.io"),
        ("http://example.com:8080", "example.com"),
        ("http://bücher.de", "xn--bcher-kva.de"),
        ("http://127.0.0.1/", None),
        ("http://[::1]/", None),
        ("http://localhost/", None),
        ("http://com/", None),
        ("mailto:a@b.c", None),
    ],
)
def test_registrable_domain(url, expected):
    assert registrable_domain(url) == expected
