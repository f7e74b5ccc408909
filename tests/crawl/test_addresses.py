import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.crawl.addresses import BadScheme, BadUrl, is_public, literal, resolve, split

PUBLIC = [
    "8.8.8.8",
    "1.0.0.1",
    "93.184.215.14",
    "223.255.255.1",
    "172.15.0.1",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::808:808",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "0.1.2.3",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00::1",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "2001::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:8.8.8.8",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:a00:1::",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "2001:0:808:808::f7f7:f7f7",
    "fe80::1%eth0",
    "2606:4700:4700::1111%1",
]


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses_may_be_dialled(ip):
    assert is_public(ip)


@pytest.mark.parametrize("ip", PRIVATE)
def test_no_other_address_may(ip):
    assert not is_public(ip)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "2130706433", "8.8.8", "8.8.8.8 ", "[::1]", "08.8.8.8"]
)
def test_what_is_no_address_may_not(text):
    assert not is_public(text)


@given(st.integers(0, 2**32 - 1))
def test_wrapping_an_address_in_another_changes_nothing(number):
    ip = ipaddress.IPv4Address(number)
    public = is_public(str(ip))
    assert is_public(f"::ffff:{ip}") == public
    assert is_public(str(ipaddress.IPv6Address((0x64FF9B << 96) | number))) == public
    assert is_public(str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1))) == public


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f.1",
        "0x7F000001",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "127%2e0%2e0%2e1",
        "%31%32%37.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "⓪x7f.1",
        "user@127.1",
        "user:word@127.1",
        "8.8.8.8@127.1",
        "127.1:80",
    ],
)
def test_every_spelling_of_an_address_is_that_address(host):
    assert split(f"http://{host}/")[0] == ("http", "127.0.0.1", 80)


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[::FFFF:127.0.0.1]:80", "::ffff:7f00:1"),
        ("0", "0.0.0.0"),  # noqa: S104 - nothing is bound
        ("0x", "0.0.0.0"),  # noqa: S104
        ("4294967295", "255.255.255.255"),
        ("EXAMPLE.com.", "example.com"),
        ("ex%61mple.com", "example.com"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("b%C3%BCcher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("with_line.example", "with_line.example"),
        ("1e3", "1e3"),
    ],
)
def test_hosts_have_one_form(host, normal):
    assert split(f"http://{host}")[0].host == normal


@pytest.mark.parametrize(
    "url",
    [
        "http:///path",
        "http:example.com",
        "http://",
        "http://4294967296/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://0x1.example.0x1/",
        "http://a..b/",
        "http://-a.example/",
        "http://a b/",
        "http://a%20b/",
        "http://a%2fb/",
        "http://a%00.example/",
        "http://a%40b/",
        "http://good.example\\@127.0.0.1/",
        "http://[::1/",
        "http://::1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1%25]/",
        "http://[v1.a]/",
        "http://[127.0.0.1]/",
        "http://a.example:99999/",
        "http://a.example:-1/",
        "http://a.example:80:80/",
        "http://\u200d/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 127 + "example/",
    ],
)
def test_a_host_that_programs_may_read_differently_is_none(url):
    with pytest.raises(BadUrl):
        split(url)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "data:text/html,x", "ftp://a.example/", "gopher://a/", "javascript:1", "", "a/b"],
)
def test_only_http_and_https_are_schemes(url):
    with pytest.raises(BadScheme):
        split(url)


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ("", "/"),
        ("/", "/"),
        ("?", "/?"),
        ("?a=1#b", "/?a=1"),
        ("/a b?c d", "/a%20b?c%20d"),
        ("/%7Ea/%zz?%E4", "/%7Ea/%zz?%E4"),
        ("/é?ü=ß", "/%C3%A9?%C3%BC=%C3%9F"),
        ("//double//", "//double//"),
        ("/open/../secret/x", "/secret/x"),
        ("/open/%2e%2E/secret", "/secret"),
        ("/a\r\nHost: evil", "/aHost:%20evil"),
        ("/a\x00b\x7f", "/a%00b%7F"),
        ("/a\\b", "/a%5Cb"),
        ("/a|b[c]", "/a|b[c]"),
    ],
)
def test_targets_are_escaped_and_their_dots_resolved(rest, target):
    assert split("http://a.example" + rest)[1] == target


def test_an_origin_is_written_as_the_start_of_a_url():
    written = [
        "http://a.example",
        "https://a.example:80",
        "http://[2001:db8::1]:8080",
        "https://[2001:db8::1]",
    ]
    assert [str(split(url)[0]) for url in written] == written
    assert str(split("https://A.example:443")[0]) == "https://a.example"


@given(st.text(max_size=60))
def test_whatever_the_url_it_splits_into_a_safe_one_or_is_bad(text):
    for url in (text, "http://" + text, "http://a.example/" + text):
        try:
            origin, target = split(url)
        except BadUrl:
            continue
        assert origin.host and origin.host.isascii() and target.startswith("/") and target.isascii()
        assert not set(f"{origin}{target}") & set("\r\n\t \x00#\\")
        assert split(f"{origin}{target}") == (origin, target)


def test_names_are_not_addresses():
    assert [literal(host) for host in ("a.example", "1e3", "", "1.2.3.4.5", "256.1.1.1", "09.1", ":")] == [
        None
    ] * 7


def test_the_systems_resolver_gives_each_address_once():
    places = resolve("localhost", 80)
    assert len(places) == len(set(places)) and {port for _, port in places} == {80}
    assert {ip for ip, _ in places} <= {"127.0.0.1", "::1"}
