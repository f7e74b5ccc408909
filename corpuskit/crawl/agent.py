"""Who the crawler says it is: a name that site owners can look up, and a contact that they can write to."""

from __future__ import annotations

import re

from corpuskit import __version__
from corpuskit.errors import UsageError

__all__ = ["PRODUCT", "user_agent"]

PRODUCT = "corpuskit"
"""The product token: what robots.txt groups and `bot:` directives are matched with."""

_MAIL = re.compile(r"(?:mailto:)?[^\s@()<>,;:\"]+@((?:[\w-]+\.)+[a-z][\w-]+)", re.IGNORECASE)
_PAGE = re.compile(r"https?://((?:[\w-]+\.)+[a-z][\w-]+)(?::\d+)?(?:[/?][^\s()]*)?", re.IGNORECASE)
_EXAMPLES = re.compile(
    r"(?:.*\.)?(?:example(?:\.(?:com|net|org|edu))?|invalid|test|localhost|local"
    r"|(?:your-?(?:domain|site|company|org|mail|host)|domain|company)\.\w+)",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"(?:mailto:)?(?:your[-._]?(?:e?mail|name|address)|you|me|user|foo|xxx+)@", re.IGNORECASE
)


def user_agent(contact: str | None) -> str:
    """Return the User-Agent header of every request, `corpuskit/VERSION (+contact)`.

    Raises:
        UsageError: The contact is missing, blank, a placeholder, or neither a mail address nor a web page.

    >>> user_agent("https://crawler.mit.edu/about").replace(__version__, "VERSION")
    'corpuskit/VERSION (+https://crawler.mit.edu/about)'
    """
    text = (contact or "").strip()
    if not text:
        raise _unknown("no contact is given")
    found = _MAIL.fullmatch(text) or _PAGE.fullmatch(text)
    if found is None or not text.isascii():
        raise _unknown(f"the contact {text!r} is neither a mail address nor a web page")
    if _EXAMPLES.fullmatch(found[1]) or _NOBODY.match(text):
        raise _unknown(f"the contact {text!r} is a placeholder")
    return f"{PRODUCT}/{__version__} (+{text})"


def _unknown(what: str) -> UsageError:
    return UsageError(
        f"{what}, and site owners must be able to reach you",
        fix="give your mail address, or a web page that says who crawls and why",
    )
