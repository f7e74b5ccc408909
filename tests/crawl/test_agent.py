import pytest

from corpuskit import __version__
from corpuskit.crawl.agent import user_agent
from corpuskit.errors import UsageError


@pytest.mark.parametrize(
    "contact",
    [
        "crawler@mit.edu",
        "mailto:crawler@mit.edu",
        "https://lab.mit.edu/crawler?why",
        "http://lab.mit.edu",
        "team+crawl@a-b.co.uk",
        "testing@testers.org",
    ],
)
def test_the_agent_names_program_version_and_contact(contact):
    assert user_agent(f" {contact}\n") == f"corpuskit/{__version__} (+{contact})"


@pytest.mark.parametrize(
    "contact",
    [
        None,
        "",
        " \t",
        "me",
        "@",
        "a@b",
        "https://",
        "https://localhost/",
        "http://127.0.0.1/",
        "ftp://lab.mit.edu/",
        "you@mit.edu",
        "your-email@mit.edu",
        "crawler@example.com",
        "crawler@mail.example.org",
        "https://example.com/bot",
        "https://your-domain.com",
        "a@b.invalid",
        "crawler@mit.edu) evil (",
        "crawler@mit.edu\r\nCookie: a=b",
        "crawler@bücher.de",
    ],
)
def test_a_contact_that_reaches_nobody_is_refused_with_the_fix(contact):
    with pytest.raises(UsageError, match="reach you") as refused:
        user_agent(contact)
    assert "mail address" in (refused.value.fix or "")
