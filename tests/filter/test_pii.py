"""Personal data: a find, a near miss and a boundary for every kind; spans, masks, and linear time."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.filter.pii import Pii, find
from corpuskit.testing import check_stage, documents

FOUND = {
    "email": ["ann@example.org", "a.b+c@sub.example.co.uk", "x@a-b.io"],
    "ip": ["8.8.4.4", "2001:4860:4860::8888"],
    "phone": ["+44 7700 900123", "+46 (0)8 928 571 38", "541-714-1388", "(579)888-3058", "01.84.17.61.18"],
    "card": ["4007070753690781", "4007 0707 5369 0781", "347415977307943"],
    "iban": ["GB82WEST12345698765432", "DE89 3704 0044 0532 0130 00"],
    "key": [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a" * 36,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
}
NOT_FOUND = {
    "email": ["ann@localhost", "@handle", "a @ b.org"],
    "ip": ["10.0.0.1", "127.0.0.1", "192.168.1.1", "256.1.1.1", "1.2.3.4.5", "::1", "12:30:45"],
    "phone": ["2024-11-24", "1,234,567", "10-20", "1939-1945", "ISBN 978-3-16-148410-0"],
    "card": ["4007070753690782", "0000000000000000", "12345678901"],
    "iban": ["GB82WEST12345698765433", "AB12"],
    "key": ["AKIA", "ghp_short", "sk-8"],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
@pytest.mark.parametrize("around", ["{}", "see {}.", "({})", "ü {} — “{}”", "{}\n{} {}"])
def test_found(kind: str, text: str, around: str) -> None:
    whole = around.format(*[text] * 3).encode()
    spans = find(whole)
    assert {span.kind for span in spans} == {kind}
    assert [whole[span.start : span.end].decode() for span in spans] == [text] * around.count("{}")


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NOT_FOUND.items() for text in texts]
)
def test_not_found(kind: str, text: str) -> None:
    assert find(f"see {text} there".encode(), (kind,)) == []


def test_mask_and_drop() -> None:
    docs = documents(["Mail ann@example.org, call +44 7700 900123.", "Nothing here."])
    masked = Pii().split(docs)
    assert masked.kept["text"].to_pylist() == ["Mail <email>, call <phone>.", "Nothing here."]
    assert [(row["rule"], row["start"], row["end"], row["value"]) for row in masked.rejected.to_pylist()] == [
        ("pii.email", 5, 20, 7.0),
        ("pii.phone", 27, 42, 7.0),
    ]
    dropped = Pii(action="drop", kinds=("email",)).split(docs)
    assert dropped.kept["text"].to_pylist() == ["Nothing here."]
    assert [(row["rule"], row["value"], row["bound"]) for row in dropped.rejected.to_pylist()] == [
        ("pii.email", 1, 0)
    ]


@pytest.mark.parametrize("action", ["mask", "drop"])
def test_laws(action: str) -> None:
    check_stage(Pii(action=action), documents([text for texts in FOUND.values() for text in texts]))


@given(
    st.lists(
        st.sampled_from([text for texts in FOUND.values() for text in texts] + ["word", "ü", "\n", "12"])
    )
)
def test_spans_are_in_order_apart_and_on_character_boundaries(words: list[str]) -> None:
    text = " ".join(words).encode()
    last = 0
    for span in find(text):
        assert last <= span.start < span.end <= len(text)
        text[span.start : span.end].decode()
        last = span.end


ADVERSARIAL = [
    "4111111111111111 ",
    "8.8.8.8 ",
    "x@b.co ",
    "a",
    "a@",
    "1",
    "1 ",
    "1.",
    "x@a.",
    ":",
    "1:",
    "+1",
    "GB12 ",
    "eyJ",
    "-----BEGIN PRIVATE KEY-----",
    "(11",
]


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_a_megabyte_of_almost_is_read_to_its_end(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece)) + " ann@example.org").encode()
    assert find(text)[-1] == (len(text) - 15, len(text), "email")


def test_labelled_texts(data: Path) -> None:
    kinds = {"EMAIL_ADDRESS": "email", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip"}
    kinds["PHONE_NUMBER"] = "phone"
    gold, hits, false = Counter(), Counter(), Counter()
    for item in json.loads((data / "pii" / "spans.json").read_text()):
        text = item["full_text"]
        spans = find(text.encode())
        wanted = [
            (
                kinds[each["entity_type"]],
                len(text[: each["start_position"]].encode()),
                each["entity_value"].encode(),
            )
            for each in item["spans"]
            if each["entity_type"] in kinds
        ]
        for kind, start, value in wanted:
            gold[kind] += 1
            hits[kind] += any(
                s.kind == kind and s.start < start + len(value) and start < s.end for s in spans
            )
        for span in spans:
            false[span.kind] += not any(
                kind == span.kind and span.start < start + len(value) and start < span.end
                for kind, start, value in wanted
            )
    for kind in ("email", "card", "iban", "ip"):
        assert (hits[kind], false[kind]) == (gold[kind], 0)
    assert hits["phone"] / gold["phone"] >= 0.65
    assert hits["phone"] / (hits["phone"] + false["phone"]) >= 0.95
