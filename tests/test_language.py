"""Language detection: names, golden texts, and text meant to mislead or to stall."""

import threading
import time

import pyarrow as pa
import pytest

from corpuskit.errors import UsageError
from corpuskit.language import LANGUAGES, SAMPLE, detect, language, model_digest

ENGLISH = "The committee will meet again on Thursday to discuss the budget for the coming year."
GERMAN = (
    "Der Ausschuss trifft sich am Donnerstag wieder, um über den Haushalt des nächsten Jahres zu beraten."
)
TEXTS = {
    "eng": ENGLISH,
    "deu": GERMAN,
    "fra": "Le comité se réunira de nouveau jeudi pour discuter du budget de l'année prochaine.",
    "zho": "委员会将于星期四再次开会，讨论明年的预算。",
    "jpn": "委員会は木曜日に再び会合を開き、来年の予算について話し合います。",
    "tha": "คณะกรรมการจะประชุมอีกครั้งในวันพฤหัสบดีเพื่อหารือเกี่ยวกับงบประมาณ",
    "rus": "Комитет снова соберётся в четверг, чтобы обсудить бюджет на будущий год.",
    "ara": "ستجتمع اللجنة مرة أخرى يوم الخميس لمناقشة ميزانية العام المقبل.",
}


def test_detects_languages_of_many_scripts() -> None:
    langs, scores = detect(list(TEXTS.values()))
    assert langs.to_pylist() == list(TEXTS)
    assert langs.type == pa.string()
    assert scores.type == pa.float32()
    assert all(0.5 < score <= 1 for score in scores.to_pylist())


@pytest.mark.parametrize("nothing", [None, "", " \n\t\u3000 "])
def test_no_text_has_no_language(nothing: str | None) -> None:
    langs, scores = detect([nothing, ENGLISH])
    assert langs.to_pylist() == [None, "eng"]
    assert scores[0].as_py() is None


def test_reads_arrow_arrays_whole_sliced_and_chunked() -> None:
    texts = [GERMAN, None, ENGLISH]
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(texts, kind)
        assert detect(array)[0].to_pylist() == ["deu", None, "eng"]
        assert detect(array.slice(1, 2))[0].to_pylist() == [None, "eng"]
        assert detect(pa.chunked_array([array, array]))[0].to_pylist() == ["deu", None, "eng"] * 2
    assert detect([])[0].to_pylist() == []


def test_line_ends_do_not_hide_the_rest_of_a_text() -> None:
    assert detect(["Hi\n" + GERMAN.replace(" ", "\n")])[0].to_pylist() == ["deu"]
    assert detect([GERMAN.replace(" ", "\r\n")])[1] == detect([GERMAN.replace(" ", "  ")])[1]


def test_fasttext_end_of_line_word_does_not_hide_the_rest_of_a_text() -> None:
    assert detect([f"bonjour </s> {ENGLISH}"])[0].to_pylist() == ["eng"]


def test_long_text_is_judged_by_start_middle_and_end_in_bounded_time() -> None:
    filler = "0 " * (5 << 20)
    start = time.perf_counter()
    langs, _ = detect(
        [filler + ENGLISH * 40, ENGLISH * 40 + filler, filler[: 5 << 20] + ENGLISH * 80 + filler[: 5 << 20]]
    )
    assert time.perf_counter() - start < 1
    assert langs.to_pylist() == ["eng"] * 3


def test_text_up_to_the_sample_is_judged_whole() -> None:
    text = "x " * ((SAMPLE - len(GERMAN)) // 4) + GERMAN + " x" * ((SAMPLE - len(GERMAN)) // 4)
    assert len(text) <= SAMPLE
    assert detect([text])[0].to_pylist() == ["deu"]


def test_hostile_text_is_total() -> None:
    texts = [
        "\0",
        "</s>",
        "__label__en",
        "\ufeff",
        "🙂" * 20_000,
        "a" * (10 << 20),
        "\u202e" * 9_000,
        "1 2 3",
    ]
    langs, scores = detect(texts)
    assert len(langs) == len(scores) == len(texts)


def test_same_answer_alone_in_company_and_in_threads() -> None:
    texts = list(TEXTS.values()) * 20
    expected = detect(texts)
    assert [detect([text])[1][0] for text in TEXTS.values()] == list(expected[1][: len(TEXTS)])
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(detect(texts) == expected)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("en", "eng"),
        ("eng", "eng"),
        ("EN", "eng"),
        ("eng_Latn", "eng"),
        ("pt-BR", "por"),
        ("zh", "zho"),
        ("ceb", "ceb"),
    ],
)
def test_names_of_languages(name: str, code: str) -> None:
    assert language(name) == code


def test_unknown_language_is_named_and_corrected() -> None:
    with pytest.raises(UsageError, match=r"no language 'engl'") as error:
        language("engl")
    assert error.value.fix == "did you mean 'eng'?"
    with pytest.raises(UsageError, match="no language ''"):
        language("")


def test_a_label_that_means_another_language_in_iso_639_3_is_no_name() -> None:
    assert LANGUAGES["als"] == "gsw"  # the model's label for Alemannic is Tosk Albanian in ISO 639-3
    with pytest.raises(UsageError, match="no language 'als'"):
        language("als")


def test_every_code_is_three_letters_and_stands_for_one_label() -> None:
    codes = list(LANGUAGES.values())
    assert len(codes) == 176
    assert len(set(codes)) == 176
    assert all(len(code) == 3 and code.isalpha() and code.islower() for code in codes)


def test_model_is_named_by_its_content() -> None:
    assert model_digest() == "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
