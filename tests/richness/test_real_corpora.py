"""Books, mail, spam and repeated text, crawled as a user would, come out in the expected order."""

from __future__ import annotations

import email
import email.policy
import json
import tarfile
from pathlib import Path

import pytest
from resiliparse.extract.html2text import extract_plain_text

import corpuskit
from corpuskit.crawl.books import Books
from corpuskit.crawl.records import Records
from corpuskit.engine import Options, crew
from corpuskit.richness import Sampling, Source, richness

ORDER = ("books", "mail", "spam", "repeated")


def letters(archive: Path) -> dict[str, list[dict[str, str]]]:
    """Read mails: the subject, and the body as text; a thousand and all the spam."""
    found: dict[str, list[dict[str, str]]] = {"easy-ham-1": [], "spam-1": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            _, kind, name = member.name.split("/")
            if not name.endswith(".json") or len(found[kind]) == 1000:
                continue
            raw = json.loads(tar.extractfile(member).read())["text"]
            try:
                message = email.message_from_string(raw, policy=email.policy.default)
                part = message.get_body(("plain", "html"))
                text = str(part.get_content())
            except (LookupError, ValueError, AttributeError, TypeError):  # spam breaks every rule of MIME
                continue
            body = extract_plain_text(text) if part.get_content_type() == "text/html" else text
            body = body.encode("utf-8", "replace").decode()
            found[kind].append({"name": name, "subject": str(message["subject"] or ""), "body": body})
    return found


def crawl_records(folder: Path, name: str, records: list[dict[str, str]]) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    stage = Records(template="[{subject}\n\n]{body}", id_column="name", source=name)
    return corpuskit.run(stage, str(path), str(folder / name), options=Options(workers=1, max_bad=0.05)).path


@pytest.fixture(scope="module")
def found(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(data / "text" / "standardebooks.tar.gz") as tar:
        books = [one for one in tar.getmembers() if "shelley" in one.name or "austen" in one.name]
        tar.extractall(folder, books, filter="data")
    ham, spam = letters(data / "text" / "spamassassin.tar.gz").values()
    again = [{**one, "name": f"{copy}/{one['name']}"} for copy in range(50) for one in ham[:20]]
    with crew():
        paths = [
            corpuskit.run(Books(), str(folder / "standardebooks"), str(folder / "books"),
                          options=Options(workers=1)).path,
            crawl_records(folder, "mail", ham),
            crawl_records(folder, "spam", spam),
            crawl_records(folder, "repeated", again),
        ]  # fmt: skip
    drawn = Sampling(words=100_000)
    return {
        name: richness(path, sampling=drawn).corpora[0].whole for name, path in zip(ORDER, paths, strict=True)
    }


def test_repetition_puts_them_in_order(found: dict[str, Source]) -> None:
    distinct = [found[name].measures["distinct_4"].value for name in ORDER]
    assert distinct == sorted(distinct, reverse=True)
    assert distinct[0] > 0.95 and 0.75 < distinct[1] < 0.95 and 0.5 < distinct[2] < 0.8 and distinct[3] < 0.2
    packed = {name: found[name].measures["compression_ratio"].value for name in ORDER}
    assert packed["repeated"] > 4 * max(packed[name] for name in ORDER[:3])


def test_what_the_documentation_says_each_cannot_see(found: dict[str, Source]) -> None:
    mtld = {name: found[name].measures["mtld"].value for name in ORDER}
    assert mtld["repeated"] > 0.7 * mtld["mail"]  # it reads a hundred words at a time
    words = {name: found[name].measures["distinct_1"].value for name in ORDER}
    assert words["books"] < words["mail"]  # addresses and code are new words, and no richer prose
