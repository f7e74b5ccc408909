"""filter language: what is annotated, what is kept, and what a reject says."""

import pyarrow as pa
import pytest

from corpuskit.errors import UsageError
from corpuskit.filter.language import Language
from corpuskit.language import detect
from corpuskit.settings import from_mapping
from corpuskit.testing import check_stage, documents

ENGLISH = "The committee will meet again on Thursday to discuss the budget for the coming year."
GERMAN = "Der Ausschuss trifft sich am Donnerstag wieder, um über den Haushalt zu beraten."
UNSURE = "ok 12 kg"


@pytest.mark.parametrize(
    "stage", [Language(), Language(keep=("en",)), Language(keep=("de", "en"), min_score=0.0)]
)
def test_laws(stage: Language) -> None:
    check_stage(stage, documents([ENGLISH, GERMAN, UNSURE, ""]))


def test_without_keep_everything_is_annotated_and_stays() -> None:
    split = Language(min_score=1.0).split(documents([ENGLISH, GERMAN, UNSURE, ""]))
    assert split.kept["lang"].to_pylist()[:2] == ["eng", "deu"]
    assert split.kept["lang"].to_pylist()[3] is None
    assert split.kept["lang_score"][3].as_py() is None
    assert len(split.kept) == 4
    assert len(split.rejected) == 0


def test_keeps_what_is_asked_for_and_says_why_the_rest_goes() -> None:
    split = Language(keep=("en",)).split(documents([ENGLISH, GERMAN, ""]))
    assert split.kept["text"].to_pylist() == [ENGLISH]
    german, empty = split.rejected.to_pylist()
    assert (german["stage"], german["rule"], german["bound"]) == ("filter.language", "language.keep", None)
    assert german["value"] == pytest.approx(detect([GERMAN])[1][0].as_py())
    assert (empty["rule"], empty["value"]) == ("language.keep", None)


def test_both_rules_are_recorded_where_both_are_broken() -> None:
    split = Language(keep=("de",), min_score=1.0).split(documents([UNSURE]))
    assert sorted(split.rejected["rule"].to_pylist()) == ["language.keep", "language.min_score"]


def test_a_score_at_the_bound_is_kept_and_one_below_is_not() -> None:
    score = detect([ENGLISH])[1][0].as_py()
    docs = documents([ENGLISH])
    assert len(Language(keep=("en",), min_score=score).split(docs).kept) == 1
    split = Language(keep=("en",), min_score=score + 1e-6).split(docs)
    assert split.rejected.select(["rule", "value", "bound"]).to_pylist() == [
        {"rule": "language.min_score", "value": score, "bound": score + 1e-6}
    ]


def test_a_min_score_of_zero_is_a_bound_like_any_other() -> None:
    assert len(Language(keep=("en",), min_score=0.0).split(documents([ENGLISH])).kept) == 1


def test_spellings_of_one_language_are_one_setting() -> None:
    assert Language(keep=("en", "de")) == Language(keep=("deu", "eng_Latn", "EN"))
    assert Language(keep=("en",)).digest() == Language(keep=("eng",)).digest()
    assert Language(keep=("en",)).digest() != Language(keep=("de",)).digest()


@pytest.mark.parametrize(
    ("values", "message", "fix"),
    [
        ({"keep": ["englsh"]}, "no language 'englsh'", "did you mean 'eng'?"),
        ({"keep": "en", "min_score": 65}, "min_score is 65.0", "between 0 and 1"),
        ({"keep": "en", "min_score": float("nan")}, "min_score is nan", "between 0 and 1"),
        ({"kep": "en"}, "no setting 'kep'", "did you mean 'keep'?"),
    ],
)
def test_wrong_settings_are_named_and_corrected(values: dict[str, object], message: str, fix: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        from_mapping(Language, values, "filter.language")
    assert fix in str(error.value)


def test_columns_are_declared_even_where_they_were_missing_or_of_another_type() -> None:
    schema = pa.schema(
        [pa.field("id", pa.string()), pa.field("text", pa.large_string()), pa.field("lang", pa.int8())]
    )
    written = Language().writes(schema)
    assert written.names == ["id", "text", "lang", "lang_score"]
    assert written.field("lang").type == pa.string()
