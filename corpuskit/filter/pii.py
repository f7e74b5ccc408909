"""`filter pii`: find personal data and secrets by their form, and mask them or drop the document."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, get_args

import pyarrow as pa
import pyarrow.compute as pc
import re2

from corpuskit.document import empty_rejects, reject_rows
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage

__all__ = ["Kind", "Pii", "Span", "find"]

Kind = Literal["key", "email", "iban", "card", "ip", "phone"]


class Span(NamedTuple):
    """Bytes `start` to `end` of a text, and what kind of data they are."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True)
class Pii(Stage):
    """Mask personal data and secrets, or drop the documents that hold any.

    Found by form alone: e-mail addresses, public IP addresses, telephone numbers, payment cards with
    a right check digit, IBANs with a right checksum, and keys with a known prefix. Names and postal
    addresses have no form and are not found. A mask names its kind: `<email>`; the reject has the span
    it stands for and, as its value, its own length in bytes.

    Source: FineWeb (arXiv:2406.17557, section 3) masks e-mail and public IP addresses; the other kinds
    are ours. Expressions run under RE2, in time linear in the text.

    >>> from corpuskit.testing import documents
    >>> Pii().split(documents(["Write to ann@example.org today."])).kept["text"].to_pylist()
    ['Write to <email> today.']
    """

    name = "filter.pii"

    kinds: tuple[Kind, ...] = setting(get_args(Kind), "what to look for")
    action: Literal["mask", "drop"] = setting("mask", "mask what is found, or drop the document")

    def split(self, batch: pa.RecordBatch) -> Split:
        """Mask or drop what holds personal data; the rest is passed on as it is."""
        found = [(row, spans) for row, text in enumerate(_texts(batch)) if (spans := find(text, self.kinds))]
        if not found:
            return Split(batch)
        return self._drop(batch, found) if self.action == "drop" else self._mask(batch, found)

    def _drop(self, batch: pa.RecordBatch, found: list[tuple[int, list[Span]]]) -> Split:
        rejects = [empty_rejects()]
        for kind in self.kinds:
            counts = {row: sum(span.kind == kind for span in spans) for row, spans in found}
            rows = [row for row, count in counts.items() if count]
            values = pa.array([float(counts[row]) for row in rows], pa.float64())
            rejects.append(
                reject_rows(
                    batch, self.name, f"pii.{kind}", pa.array(rows, pa.int64()), value=values, bound=0.0
                )
            )
        gone = pc.is_in(pa.array(range(len(batch))), pa.array([row for row, _ in found]))
        return Split(batch.filter(pc.invert(gone)), pa.concat_batches(rejects))

    def _mask(self, batch: pa.RecordBatch, found: list[tuple[int, list[Span]]]) -> Split:
        text, rows = batch["text"], [row for row, _ in found]
        masked = [_masked(text[row].as_buffer().to_pybytes(), spans).decode() for row, spans in found]
        changed = pc.is_in(pa.array(range(len(batch))), pa.array(rows))
        place = batch.schema.get_field_index("text")
        texts = pc.replace_with_mask(text, changed, pa.array(masked, pa.large_string()))
        kept = batch.set_column(place, batch.schema.field(place), texts)
        rejects = [empty_rejects()]
        for kind in self.kinds:
            spans = [(row, span) for row, spans in found for span in spans if span.kind == kind]
            rejects.append(
                reject_rows(
                    batch,
                    self.name,
                    f"pii.{kind}",
                    pa.array([row for row, _ in spans], pa.int64()),
                    start=pa.array([span.start for _, span in spans], pa.int64()),
                    end=pa.array([span.end for _, span in spans], pa.int64()),
                    value=float(len(kind) + 2),
                )
            )
        return Split(kept, pa.concat_batches(rejects))


def _texts(batch: pa.RecordBatch) -> Iterator[bytes]:
    for text in batch["text"]:
        yield text.as_buffer().to_pybytes()


def _masked(text: bytes, spans: list[Span]) -> bytes:
    pieces, last = [], 0
    for span in spans:
        pieces += [text[last : span.start], f"<{span.kind}>".encode()]
        last = span.end
    return b"".join([*pieces, text[last:]])


def find(text: bytes, kinds: tuple[Kind, ...] = get_args(Kind)) -> list[Span]:
    """Find personal data in UTF-8 text: spans in bytes, in order, none overlapping another.

    Where two kinds claim the same bytes, the one named first in `Kind` has them. An empty text has none.

    >>> find(b"Call +44 7700 900123 or 8.8.8.8", ("phone", "ip"))
    [Span(start=5, end=20, kind='phone'), Span(start=24, end=31, kind='ip')]
    """
    taken: list[Span] = []
    for kind in (known for known in get_args(Kind) if known in kinds):
        hints, expressions, check = _FORMS[kind]
        if hints and not any(hint in text for hint in hints):
            continue
        for expression in expressions:
            starts, found = [span.start for span in taken], list[Span]()
            for start, end in _matches(expression, text):
                before = bisect_left(starts, end)
                free = not before or taken[before - 1].end <= start
                if free and check(text[start:end]):
                    found.append(Span(start, end, kind))
            taken = sorted([*taken, *found])
    return taken


def _matches(expression: str, text: bytes) -> Iterator[tuple[int, int]]:
    """Find the spans of group 1; what follows a match may be what must come before the next."""
    search, place = _compiled(expression).search, 0
    while match := search(text, place):
        start, place = match.span(1)
        yield start, place


@cache
def _compiled(expression: str) -> re2._Regexp:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes: offsets are bytes, and any byte is a character
    options.log_errors = False
    return re2.compile(expression.encode(), options)


_NOT_DIGITS = bytes(byte for byte in range(256) if not 48 <= byte <= 57)
_VALUES = bytes(max(0, byte - 48) for byte in range(256))
_DOUBLED = bytes(digit * 2 - 9 * (digit > 4) if digit < 10 else 0 for digit in range(256))
_NUMBERS = {each: str(int(each, 36)) for each in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _is_public(found: bytes) -> bool:
    try:
        return ipaddress.ip_address(found.decode()).is_global
    except ValueError:
        return False


def _is_card(found: bytes) -> bool:
    """Check the length and the Luhn digit. Source: ISO/IEC 7812-1, annex B."""
    digits = found.translate(_VALUES, b" -")
    total = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))
    return 12 <= len(digits) <= 19 and total % 10 == 0 and len(set(digits)) > 1


def _is_iban(found: bytes) -> bool:
    """Check the length and the checksum. Source: ISO 13616, ISO/IEC 7064 MOD 97-10."""
    text = found.replace(b" ", b"").decode().upper()
    turned = text[4:] + text[:4]
    return 15 <= len(text) <= 34 and int("".join(map(_NUMBERS.__getitem__, turned))) % 97 == 1


def _is_phone(found: bytes) -> bool:
    """Check the number of digits: 8, which few dates and prices have, to 15. Source: ITU-T E.164."""
    digits = len(found.partition(b"x")[0].translate(None, _NOT_DIGITS))
    return 8 <= digits <= 15


_BEFORE = r"(?:^|[^0-9A-Za-z.+/_-])"
_AFTER = r"(?:$|[^0-9A-Za-z_/-]|[/-](?:$|[^0-9]))"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PEM = r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
_PREFIXED = "|".join(
    [
        r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # Amazon Web Services
        r"gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{22,255}",
        r"glpat-[0-9A-Za-z_-]{20,64}",
        r"xox[abeoprs]-[0-9A-Za-z-]{10,250}",  # Slack
        r"AIza[0-9A-Za-z_-]{35}",  # Google
        r"sk-(?:proj-|ant-)?[0-9A-Za-z_-]{20,200}",  # OpenAI, Anthropic
        r"[rs]k_live_[0-9A-Za-z]{16,247}",  # Stripe
        r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{16,64}",  # SendGrid
        r"npm_[0-9A-Za-z]{36}|pypi-[0-9A-Za-z_-]{50,200}|hf_[0-9A-Za-z]{30,40}",
        r"eyJ[0-9A-Za-z_-]{10,500}\.eyJ[0-9A-Za-z_-]{10,900}\.[0-9A-Za-z_-]{10,900}",  # JSON web token
    ]
)
_NATIONAL = "|".join(
    [
        r"\([0-9]{2,5}\)[ .-]?[0-9]{3,4}[ .-]?[0-9]{3,4}",
        r"[0-9]{3}[.-][0-9]{3}[.-][0-9]{4}",
        r"0[0-9]{1,4}(?:[ .-][0-9]{2,4}){2,4}",
        r"0[0-9]{2,4}[ -][0-9]{6,8}",
        r"00[1-9][0-9]{0,2}(?:[ .-][0-9]{2,4}){2,4}",
    ]
)

_WORD = r"(?:^|[^0-9A-Za-z])"
_CARD = r"[1-6][0-9]{11,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){3}|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}"
_IBAN = r"(?i:[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?)"
_LOCAL = r"[0-9A-Za-z][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{0,63}"
_FOUR = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_SIX = r"[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{3,40}(?:\.[0-9]{1,3}){0,3}"
_ABROAD = r"\+[1-9](?:(?:[ .-]|[ .-]?\(|\)[ .-]?)?[0-9]){7,14}"


class _Form(NamedTuple):
    """How one kind is found: bytes a text must hold, expressions whose group 1 is it, and a last check."""

    hints: tuple[bytes, ...]
    expressions: tuple[str, ...]
    check: Callable[[bytes], bool]


_FORMS: dict[Kind, _Form] = {
    "key": _Form(
        (),
        (
            rf"({_PEM}[0-9A-Za-z+/=\s:,-]*?-----END [A-Z ]{{0,20}}PRIVATE KEY-----)",
            rf"(?:^|[^0-9A-Za-z_])({_PREFIXED})",
        ),
        bool,
    ),
    "email": _Form((b"@",), (rf"({_LOCAL}@(?:{_LABEL}\.)+[A-Za-z]{{2,24}})",), bool),
    "iban": _Form((), (rf"{_WORD}({_IBAN})",), _is_iban),
    "card": _Form((), (rf"(?:^|[^0-9A-Za-z.+_-])({_CARD}){_AFTER}",), _is_card),
    "ip": _Form(
        (b".", b":"),
        (
            rf"(?:^|[^0-9A-Za-z.])({_FOUR})(?:$|[^0-9A-Za-z.]|\.(?:$|[^0-9A-Za-z]))",
            rf"(?:^|[^0-9A-Za-z:.])({_SIX})(?:$|[^0-9A-Za-z:])",
        ),
        _is_public,
    ),
    "phone": _Form(
        (),
        (
            rf"(?:^|[^0-9A-Za-z+])({_ABROAD}(?:x[0-9]{{1,5}})?)(?:$|[^0-9A-Za-z])",
            rf"{_BEFORE}((?:{_NATIONAL})(?:x[0-9]{{1,5}})?){_AFTER}",
        ),
        _is_phone,
    ),
}
