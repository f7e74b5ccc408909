"""`crawl books`: whole books with chapters, or a reject that says why not."""

# ruff: noqa: E501 - a case is read best on one line

import gzip
import tarfile

import crawling
import pytest
from epubs import XHTML, chapter, epub

from corpuskit import engine, settings
from corpuskit.crawl import books
from corpuskit.crawl.bookhtml import blocks, parse
from corpuskit.crawl.books import Books
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import _check_portable


def crawl(stage: Books, *sources: object) -> tuple[list[dict], list[dict]]:
    kept, rejected = crawling.crawl(stage, *sources)
    for row in kept:
        data = row["text"].encode()
        for one in row["chapters"]:
            assert " ".join(data[one["offset"] :].decode().split()).startswith(one["title"])
    return kept, rejected


def one(path, **chosen: object) -> dict:
    kept, rejected = crawl(Books(**chosen), path)
    assert len(kept) + len(rejected) == 1
    return {"rule": None, **(kept + rejected)[0]}


TEXT = """The Project Gutenberg eBook of The Sea

Title: The Sea
Author: A. Author
Language: English

*** START OF THE PROJECT GUTENBERG EBOOK THE SEA ***

Produced by A. Volunteer


THE SEA

CONTENTS

CHAPTER I.

CHAPTER II.

CHAPTER I.

The sea was high and the wind blew from the north all day, and nobody in the
harbour could say when the boats that had gone out before the dawn would come
home again to us.

CHAPTER II.

Émile waited.

*** END OF THE PROJECT GUTENBERG EBOOK THE SEA ***

The licence.
"""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_a_text_of_project_gutenberg(tmp_path, encoding):
    path = tmp_path / "sea.txt"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode(encoding))
    row = one(path)
    assert (row["rule"], row["title"], row["author"], row["lang"]) == (None, "The Sea", "A. Author", "eng")
    assert row["text"].startswith("THE SEA\n\nCONTENTS") and row["text"].endswith("Émile waited.")
    assert "day, and nobody in the harbour could say when the boats" in row["text"]
    assert [one["title"] for one in row["chapters"]] == ["CHAPTER I.", "CHAPTER II."]
    assert (row["source"], row["origin"]) == ("books", f"{path}@0")
    assert "in the\nharbour" in one(path, rewrap=False)["text"]


def test_packed_text_is_the_same_book(tmp_path):
    (tmp_path / "sea.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert one(tmp_path / "sea.txt.gz")["title"] == "The Sea"


NOTED = '<p>It was<a epub:type="noteref" href="#n">1</a> so.</p><aside epub:type="footnote" id="n"><p>A note.</p></aside>'


def test_an_epub_is_its_text_alone(tmp_path):
    documents = {
        "title.xhtml": XHTML.format(body='<section epub:type="titlepage"><h1>The Sea</h1></section>'),
        "toc.xhtml": XHTML.format(body='<nav epub:type="toc"><h1>Contents</h1></nav>'),
        "1.xhtml": chapter(1, NOTED),
        "2.xhtml": chapter(2, '<p>a&nbsp;b<br/>c &eacute; </p><span role="doc-pagebreak">7</span>'),
        "notes.xhtml": XHTML.format(body='<section role="doc-endnotes"><p>End.</p></section>'),
    }
    path = tmp_path / "sea.epub"
    path.write_bytes(epub(documents))
    row = one(path)
    assert row["text"] == "Chapter 1\n\nText of 1.\n\nIt was so.\n\nChapter 2\n\nText of 2.\n\na b\nc é"
    assert row["chapters"] == [{"title": "Chapter 1", "offset": 0}, {"title": "Chapter 2", "offset": 35}]
    assert (row["title"], row["author"], row["lang"]) == ("The Sea", "A. Author", "eng")
    assert row["date"].isoformat() == "2013-04-17T10:00:00+00:00"


CASES = {
    "a.pdf": (b"%PDF-1.4", "type"),
    "b.epub": (b"no zip", "bad"),
    "c.txt": (b" \n\n", "empty"),
    "d.txt": (b"a\0b" * 100, "bad"),
    "e.html": (b"<html><body><img src='x'></body></html>", "empty"),
    "f.html": (b"", "bad"),
    "g.txt": (b"word " * 30_000, "bomb"),
    "h.epub": (epub({"a.xhtml": "x" * 200_000}), "bomb"),
    "i.txt.gz": (gzip.compress(b"word " * 5000)[:-20], "bad"),
    "k.epub": (epub({"a.xhtml": chapter(1)}, {"META-INF/encryption.xml": "<e><EncryptionMethod Algorithm='aes'/></e>"}), "drm"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_file(tmp_path, name):
    data, rule = CASES[name]
    (tmp_path / name).write_bytes(data)
    row = one(tmp_path / name, max_book=100_000)
    assert (row["rule"], row["stage"]) == (f"books.{rule}", "crawl.books")
    assert row["bound"] == (100_000 if rule == "bomb" else None)


def test_the_limit_is_what_a_book_may_be(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"word\n" * 20)
    assert one(tmp_path / "a.txt", max_book=100)["rule"] is None
    assert one(tmp_path / "a.txt", max_book=99)["rule"] == "books.bomb"


def test_folders_of_chapters(tmp_path):
    names = ["titlepage", "preface", "chapter-1", "chapter-2", "chapter-10", "epilogue", "endnotes"]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in reversed(names):
            body = f"<section><h2>{name}</h2><p>Text.</p></section>"
            if name == "titlepage":
                body = '<section epub:type="titlepage"><h1 epub:type="title">T</h1><b epub:type="z3998:author">A</b></section>'
            if name == "endnotes":
                body = '<section epub:type="endnotes"><p>x</p></section>'
            (tmp_path / folder / f"{name}.xhtml").write_text(XHTML.format(body=body))
    kept, rejected = crawl(Books(), tmp_path)
    assert len(kept) == 2 and not rejected
    titles = [one["title"] for one in kept[0]["chapters"]]
    assert titles == ["preface", "chapter-1", "chapter-2", "chapter-10", "epilogue"]
    assert (kept[0]["title"], kept[0]["author"]) == ("T", "A")
    assert len(crawl(Books(html="book"), tmp_path)[0]) == 10


def test_a_page_of_contents_tells_the_order(tmp_path):
    for name in ("ch01", "ch02", "ch02s01", "apa", "pr01"):
        (tmp_path / f"{name}.html").write_text(f"<html><body><h2>{name}</h2><p>x</p></body></html>")
    toc = "".join(f'<a href="{name}.html#x">x</a>' for name in ("pr01", "ch01", "ch02", "ch02s01", "apa"))
    page = f'<html><title>The Guide</title><body><h1>The Guide</h1><a href="apa.html">a</a><div class="toc">{toc}</div></body></html>'
    (tmp_path / "index.html").write_text(page)
    row = one(tmp_path)
    assert [one["title"] for one in row["chapters"]] == [
        "The Guide",
        "pr01",
        "ch01",
        "ch02",
        "ch02s01",
        "apa",
    ]
    assert row["title"] == "The Guide"


def test_files_of_other_names_are_books_of_their_own(tmp_path):
    for name in ("emma.html", "persuasion.html", "LICENSE.md", "style.css"):
        (tmp_path / name).write_text(f"<html><body><p>{name}</p></body></html>")
    assert len(crawl(Books(), tmp_path)[0]) == 2
    assert len(crawl(Books(html="chapter"), tmp_path)[0]) == 1


def test_a_package_in_a_folder_is_one_book(tmp_path):
    import zipfile

    (tmp_path / "sea.epub").write_bytes(epub({"z.xhtml": chapter(1), "a.xhtml": chapter(2)}))
    with zipfile.ZipFile(tmp_path / "sea.epub") as archive:
        archive.extractall(tmp_path / "sea")  # noqa: S202 - made above
    kept, _ = crawl(Books(), tmp_path)
    assert len(kept) == 2
    assert kept[0]["text"] == kept[1]["text"] == "Chapter 1\n\nText of 1.\n\nChapter 2\n\nText of 2."


HTML = [
    ("<p>a <b>b</b>\n c</p><p>d</p>", "a b c\n\nd"),
    ("<h1>T</h1><ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><ol><li><p>x</p></li></ol>", "T\n\n- a\n- b\n  - c\n1. x"),
    ("<table><tr><th>a</th><td>b</td></tr><tr><td>c</td><td></td></tr></table>", "a | b\n\nc"),
    ("<pre>if x:\n    y\n</pre>", "if x:\n    y"),
    ("<hgroup><h2>I</h2><p>Loomings</p></hgroup><p>Call me.</p>", "I: Loomings\n\nCall me."),
    ("<p>a<script>x</script><!-- c -->b<style>d</style></p>", "ab"),
    ("<section id='pg-header'><p>Gutenberg</p></section><p>Text</p>", "Text"),
    ("<p>soft\u00adhyphen and\u2060—dash</p>", "softhyphen and—dash"),
    ("bare text <p>more", "bare text\n\nmore"),
]  # fmt: skip


@pytest.mark.parametrize(("markup", "text"), HTML)
def test_html(tmp_path, markup, text):
    (tmp_path / "a.html").write_text(f"<html><body>{markup}</body></html>", "utf-8")
    assert one(tmp_path / "a.html")["text"] == text


def test_hostile_markup_is_bounded(tmp_path):
    deep = "<div>" * 100_000 + "x"
    assert one_of(tmp_path, deep) in (None, "books.bad", "books.empty")
    lol = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
    xhtml = XHTML.format(body="<p>x &b; &c; y</p>").replace("<!DOCTYPE html>", lol)
    text = "\n".join(block.text for block in blocks(parse(xhtml)).blocks)
    assert "haha" not in text and "root:" not in text


def one_of(tmp_path, markup: str) -> str | None:
    (tmp_path / "deep.html").write_text(markup)
    return one(tmp_path / "deep.html")["rule"]


def test_one_and_two_workers_write_the_same_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(books, "_TASK_BOOKS", 2)
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.txt").write_text(f"CHAPTER I\n\nBook {number}.")
    found = []
    for workers in (1, 2):
        target = str(tmp_path / f"out{workers}")
        dataset = engine.run(Books(), str(tmp_path / "in"), target, options=engine.Options(workers=workers))
        found.append([part.sha256 for part in dataset.parts])
        assert dataset.rows == 5
    assert found[0] == found[1] and len(found[0]) == 3


def test_ids_stay_when_books_move_and_differ_where_names_do_not(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text("Text.")
    assert len(crawl(Books(), tmp_path)[0]) == 2
    assert one(tmp_path / "a")["id"] == one(tmp_path / "b")["id"]


def test_what_cannot_be_is_an_error(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(InputError, match="no books"):
        Books().plan(str(tmp_path))
    with pytest.raises(UsageError, match="standard input"):
        Books().plan("-")
    for wrong in ({"max_book": 0}, {"timeout": -1.0}, {"html": "page"}):
        with pytest.raises(UsageError):
            settings.from_mapping(Books, wrong, "crawl.books")
    _check_portable(Books(rewrap=False))


def test_a_book_that_breaks_the_parser_is_a_reject(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(books, "_from_text", fail)
    (tmp_path / "a.txt").write_text("x")
    assert one(tmp_path / "a.txt")["rule"] == "books.crash"


def test_real_books(data, tmp_path):
    with tarfile.open(data / "text" / "standardebooks.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")  # noqa: S202 - our own file
    kept, rejected = crawl(Books(), tmp_path)
    assert not rejected
    rows = {row["title"]: row for row in kept}
    counts = {title: len(row["chapters"]) for title, row in rows.items()}
    assert counts == {
        "Moby Dick": 138,
        "Frankenstein": 30,
        "Pride and Prejudice": 61,
        "The Origin of Species": 18,
    }
    whale = rows["Moby Dick"]
    assert [one["title"] for one in whale["chapters"]][2] == "I: Loomings"
    assert whale["text"].endswith("only found another orphan.") and whale["author"] == "Herman Melville"
    assert "Standard Ebooks" not in whale["text"]
