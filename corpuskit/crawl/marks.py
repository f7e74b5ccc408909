"""Decide the attribute tests of XPath expressions once a page, and mark the elements that pass.

libxml2 calls back into Python for every `re:test` of every element, in every expression, in every copy
of the tree. A page repeats the same few attribute values on thousands of elements, so here each value
is tested once, elements that pass get an attribute, and the expressions ask for that attribute alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lxml.etree import XPath
from lxml.html import HtmlElement

from corpuskit.crawl.sieve import Sieve

__all__ = ["Marks"]

_MEMO = 1 << 16  # verdicts kept per attribute; a crawl has no end of class names
_NAMESPACES = {"re": "http://exslt.org/regular-expressions"}
_TOKEN = re.compile(r"""\s*('[^']*'|"[^"]*"|@[\w-]+|[\w:-]+|[()|,=])""")
_SELF = re.compile(r"\s*self::[\w-]+(\s+or\s+self::[\w-]+)*\s*")

_Tests = dict[tuple[str, ...], list[str]]
"""Regular expressions by the attributes they look at; of several attributes the first present counts."""


class _Unsupported(ValueError):
    """The expression is not one this module can turn into marks."""


class Marks:
    """The marks of some expressions; `rewrite` adds an expression, `mark` marks a tree.

    >>> from lxml.html import fromstring
    >>> marks = Marks()
    >>> find = marks.rewrite(XPath(".//*[self::p or self::div][contains(@class, 'ad') or @id='x']"))
    >>> page = fromstring("<body><p class='bad'>1</p><p>2</p><div id='x'>3</div><a class='ad'>4</a></body>")
    >>> marks.mark(page)
    >>> [element.text for element in find(page)]
    ['1', '3']
    """

    def __init__(self) -> None:
        self._searches: dict[str, list[tuple[str, tuple[str, ...], Any]]] = {}
        self._sieves: dict[str, Sieve] = {}
        self._verdicts: dict[str, dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {}
        self._count = 0

    def rewrite(self, xpath: XPath) -> XPath:
        """Return an expression that selects the same elements of a marked tree, or itself where it cannot.

        Rewritten are `.//TAG[...]...` and `(.//TAG[...])[1]` whose first predicate (after an optional
        `self::TAG or ...`) joins tests of attributes with `or`: equality, presence, `contains`,
        `starts-with`, `translate` and `re:test`. Other predicates stay as they are.
        """
        try:
            head, tests, tail = _divide(xpath.path)
        except (_Unsupported, re.error):
            return xpath
        mark = f"corpuskit-{self._count}"
        self._count += 1
        for attributes, patterns in tests.items():
            search = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
            for attribute in attributes:
                self._searches.setdefault(attribute, []).append((mark, attributes, search))
                self._verdicts[attribute] = {}
                self._sieves.pop(attribute, None)
        return XPath(f"{head}[@{mark}]{tail}", namespaces=_NAMESPACES)

    def mark(self, tree: HtmlElement) -> None:
        """Mark every element of a tree, in place; copies carry the marks along."""
        known = self._verdicts
        for element in tree.iter("*"):
            for attribute, value in element.items():
                verdicts = known.get(attribute)
                if verdicts is None:
                    continue
                found = verdicts.get(value)
                if found is None:
                    found = self._decide(attribute, value)
                for mark, attributes in found:
                    if len(attributes) == 1 or attribute == _first(element, attributes):
                        element.set(mark, "")

    def _decide(self, attribute: str, value: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        verdicts = self._verdicts[attribute]
        if len(verdicts) >= _MEMO:
            verdicts.clear()
        searches = self._searches[attribute]
        sieve = self._sieves.get(attribute)
        if sieve is None:
            sieve = self._sieves[attribute] = Sieve([search.pattern for _, _, search in searches])
        likely = [searches[number] for number in sieve.may_match(value)]
        found = tuple((mark, attributes) for mark, attributes, search in likely if search.search(value))
        verdicts[value] = found
        return found


def _first(element: HtmlElement, attributes: tuple[str, ...]) -> str:
    """Return which of some attributes the element has first, as XPath's string() of a union does."""
    return next(str(name) for name, _ in element.items() if name in attributes)


def _divide(path: str) -> tuple[str, _Tests, str]:
    """Cut an expression into what comes before its attribute tests, the tests, and what comes after."""
    whole = re.fullmatch(r"\s*(\(?)\s*\.//(\*|\w+)\s*(\[.*?\])\s*(\)\s*\[1\]|)\s*", path, re.DOTALL)
    if not whole or bool(whole[1]) != bool(whole[4]):
        raise _Unsupported(path)
    predicates = list(_predicates(whole[3]))
    tags = f"[{predicates.pop(0)}]" if _SELF.fullmatch(predicates[0]) else ""
    if not predicates:
        raise _Unsupported(path)
    tests = _Reader(predicates.pop(0)).tests()
    # A number counts the children of one parent, so only without one may all descendants be one step.
    counted = any(re.search(r"^\d+$|position|last", predicate) for predicate in predicates)
    head = f"{whole[1]}{'.//' if counted else 'descendant::'}{whole[2]}"
    return head, tests, tags + "".join(f"[{predicate}]" for predicate in predicates) + whole[4]


def _predicates(text: str) -> Iterator[str]:
    depth, start, quote = 0, 0, ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "[":
            start = start if depth else at + 1
            depth += 1
        elif char == "]":
            depth -= 1
            if not depth:
                yield text[start:at].strip()
        elif not depth and not char.isspace():
            raise _Unsupported(text)


class _Reader:
    """Reads `TEST or TEST ...` and turns every test into a regular expression over attributes."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = [*_TOKEN.findall(text), ""]
        self._at = 0
        if re.sub(r"\s", "", "".join(self._tokens)) != re.sub(r"\s", "", text):
            raise _Unsupported(text)

    def tests(self) -> _Tests:
        found: _Tests = {}
        while True:
            attributes, pattern = self._test()
            found.setdefault(attributes, []).append(pattern)
            if not self._peek():
                return found
            self._take("or")

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        if not token or (wanted and token not in wanted):
            raise _Unsupported(token)
        self._at += 1
        return token

    def _test(self) -> tuple[tuple[str, ...], str]:
        if self._peek().startswith("@"):
            return self._presence()
        function = self._take("contains", "starts-with", "re:test")
        self._take("(")
        attributes, same = self._value()
        self._take(",")
        text = self._text()
        if function != "re:test":
            text = "".join(same.get(char, re.escape(char)) for char in text)
            text = rf"\A{text}" if function == "starts-with" else text
        elif same:
            raise _Unsupported("re:test of translate")
        elif self._peek() == ",":
            self._take(",")
            text = f"(?{self._text()}:{text})"
        self._take(")")
        if re.search(text, ""):
            raise _Unsupported("a test that also holds without the attribute")
        return attributes, text

    def _presence(self) -> tuple[tuple[str, ...], str]:
        attributes = self._names()
        if len(attributes) > 1:
            raise _Unsupported("a comparison of several attributes")
        if self._peek() != "=":
            return attributes, ""
        self._take("=")
        return attributes, rf"\A{re.escape(self._text())}\Z"

    def _value(self) -> tuple[tuple[str, ...], dict[str, str]]:
        if self._peek() != "translate":
            return self._names(), {}
        self._take("translate")
        self._take("(")
        attributes = self._names()
        self._take(",")
        before = self._text()
        self._take(",")
        after = self._text()
        self._take(")")
        if len(before) != len(after) or set(before) & set(after):
            raise _Unsupported("translate")
        same = {now: f"[{re.escape(now + was)}]" for was, now in zip(before, after, strict=True)}
        return attributes, same | dict.fromkeys(before, "(?!)")

    def _names(self) -> tuple[str, ...]:
        names: Sequence[str] = [self._name()]
        while self._peek() == "|":
            self._take("|")
            names = [*names, self._name()]
        return tuple(names)

    def _name(self) -> str:
        token = self._take()
        if not token.startswith("@"):
            raise _Unsupported(token)
        return token[1:]

    def _text(self) -> str:
        token = self._take()
        if token[:1] not in ("'", '"'):
            raise _Unsupported(token)
        return token[1:-1]
