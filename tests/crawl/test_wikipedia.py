"""`crawl wikipedia`: every page of a dump becomes a document or a reject that says why not."""

# ruff: noqa: E501 - a case is read best on one line

import bz2
import signal

import pytest
import wikidump
from crawling import crawl
from wikidump import PACKINGS, multistream, page, pieces, plain, site

from corpuskit import engine, settings
from corpuskit.crawl import dumpfile, wikipedia
from corpuskit.crawl.wikipedia import Wikipedia
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import _check_portable


def one(tmp_path, item: bytes, head: bytes | None = None, **chosen: object) -> dict:
    """Crawl a dump of one page; return the one row it becomes, with its rule where it is a reject."""
    path = tmp_path / "one.xml"
    path.write_bytes(plain([item], head))
    kept, rejected = crawl(Wikipedia(**chosen), path)
    assert len(kept) + len(rejected) == 1
    return {"rule": None, **(kept + rejected)[0]}


def test_a_page_becomes_a_document(tmp_path):
    row = one(tmp_path, page(7, title="Zürich (town), 'x' & more"))
    assert row["rule"] is None
    assert row["title"] == "Zürich (town), 'x' & more"
    assert row["url"] == "https://en.wikipedia.org/wiki/Z%C3%BCrich_(town),_%27x%27_%26_more"
    assert (row["page_id"], row["revision_id"], row["lang"], row["lang_score"]) == (7, 1007, "eng", None)
    assert (row["source"], row["date"].isoformat()) == ("enwiki", "2024-05-19T12:00:07+00:00")
    assert row["origin"] == f"{tmp_path}/one.xml@{len(site()) + 2}"
    assert row["text"].startswith("Town 7 is a town of the north. It has a harbour")


LONG = "The old town lies on a hill above the river and has many towers. " * 6
CASES = {
    "article": (page(1, LONG), None, None, None),
    "talk": (page(1, LONG, ns=1), "namespace", 1, None),
    "script": (page(1, LONG, model="javascript"), "model", None, None),
    "redirect": (page(1, "#REDIRECT [[X]]", redirect="X"), "redirect", None, None),
    "redirect, unmarked": (page(1, "#Weiterleitung [[X]]"), "redirect", None, None),
    "disambiguation": (page(1, f"'''X''' may be\n* [[A]]\n{LONG}\n{{{{Disambig}}}}"), "disambiguation", None, None),
    "disambiguation, by title": (page(1, LONG, "X (Begriffsklärung)"), "disambiguation", None, None),
    "disambiguation needed": (page(1, LONG + "{{disambiguation needed inline}}x"), "disambiguation", None, None),
    "stub": (page(1, LONG + "\n{{Swiss-geo-stub}}"), "stub", None, None),
    "one word too short": (page(1, "word " * 49), "words", 49, 50),
    "just long enough": (page(1, "word " * 50), None, None, None),
    "empty": (page(1, "  "), "empty", 0, None),
    "only a box": (page(1, "{{Infobox town|name=X}}"), "empty", 0, None),
    "not well-formed": (page(1, LONG).replace(b"</title>", b"</titel>"), "bad", None, None),
    "no title": (page(1, LONG).replace(b"<title>Town 1</title>", b""), "bad", None, None),
    "no end": (page(1, LONG).replace(b"</page>", b""), "bad", None, None),
    "an unknown entity": (page(1, LONG).replace(b"The old", b"&lol9;"), "bad", None, None),
    "a declaration within": (page(1, LONG).replace(b"<title>", b"<!DOCTYPE x [<!ENTITY a 'b'>]><title>"), "bad", None, None),
    "large": (page(1, "x " * 40000), "size", None, 50000),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_page(tmp_path, name):
    item, rule, value, bound = CASES[name]
    row = one(tmp_path, item, max_page=50000)
    assert row["rule"] == (rule and f"wikipedia.{rule}")
    if rule:
        assert row["stage"] == "crawl.wikipedia" and row["bound"] == bound
        assert row["value"] == value or rule in ("bad", "size")


def test_settings_that_let_more_through(tmp_path):
    assert one(tmp_path, page(1, LONG, ns=1), namespaces=(1,))["rule"] is None
    assert one(tmp_path, page(1, LONG + "{{stub}}"), stubs=True)["rule"] is None
    assert one(tmp_path, page(1, "few words"), min_words=None)["text"] == "few words"
    text = f"{LONG}\n== References ==\n* A book\n== More ==\nx"
    assert "A book" not in one(tmp_path, page(1, text))["text"]
    assert "References\n\n- A book\n\nMore\n\nx" in one(tmp_path, page(1, text), references=True)["text"]
    assert one(tmp_path, page(1, LONG), source="mine")["source"] == "mine"


def test_another_wikis_own_names_count(tmp_path):
    text = f"[[Dosiero:A.jpg|thumb|b]] {LONG} [[Kategorio:X]][[Kladde:Y]]"
    row = one(tmp_path, page(1, text), site("de", "Kladde", "Kategorie"))
    assert row["text"] == LONG.strip() and row["lang"] == "deu"


def test_hostile_xml_is_never_expanded(tmp_path):
    bomb = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
    for entity in (b"&b;", b"&c;"):
        row = one(tmp_path, page(1, LONG).replace(b"The old", entity), bomb + site())
        assert row["rule"] == "wikipedia.bad"


def test_damage_costs_the_page_alone(tmp_path):
    items = [page(number) for number in range(9)]
    items[4] = items[4].replace(b"</page>", b"")
    items[6] = items[6].replace(b"<ns>", b"<nt>")
    (tmp_path / "a.xml").write_bytes(plain(items))
    kept, rejected = crawl(Wikipedia(), tmp_path)
    assert [row["page_id"] for row in kept] == [0, 1, 2, 3, 5, 7, 8]
    assert [row["rule"] for row in rejected] == ["wikipedia.bad"] * 2


def test_a_truncated_dump_says_what_is_lost(tmp_path):
    whole = multistream([page(number) for number in range(9)])
    (tmp_path / "a.xml.bz2").write_bytes(whole[:-400])
    kept, rejected = crawl(Wikipedia(), tmp_path)
    assert [row["page_id"] for row in kept] == [0, 1, 2, 3, 4, 5]
    assert [row["rule"] for row in rejected] == ["wikipedia.lost"]
    assert 0 < rejected[0]["value"] < len(whole) - 400
    for name in ("xml.gz", "xml.zst", "xml.xz"):
        path = tmp_path / f"b.{name}"
        path.write_bytes(PACKINGS[name](plain([page(number) for number in range(9)]))[:-60])
        kept, rejected = crawl(Wikipedia(), path)
        assert "wikipedia.lost" in [row["rule"] for row in rejected]


def test_a_flipped_bit_costs_one_stream(tmp_path):
    data = bytearray(multistream([page(number) for number in range(30)]))
    starts = [at for at in range(len(data)) if data.startswith(b"BZh9", at)]
    data[starts[4] + 60] ^= 8
    (tmp_path / "a.xml.bz2").write_bytes(data)
    kept, rejected = crawl(Wikipedia(), tmp_path)
    assert [row["page_id"] for row in kept] == [*range(9), *range(12, 30)]
    assert [(row["rule"], row["value"]) for row in rejected] == [("wikipedia.lost", starts[5] - starts[4])]


def without(rows: list[dict], *names: str) -> list[dict]:
    return [{name: row[name] for name in row if name not in names} for row in rows]


def test_every_packing_gives_the_same_articles(tmp_path):
    data = plain([page(number) for number in range(7)])
    found = []
    for name, pack in PACKINGS.items():
        path = tmp_path / f"a.{name}"
        path.write_bytes(pack(data))
        found.append(without(crawl(Wikipedia(), path)[0], "id", "origin"))
    assert len(found[0]) == 7 and all(other == found[0] for other in found)


@pytest.mark.parametrize("step", [1, 100, 700, 5000])
@pytest.mark.parametrize("pack", ["plain", "multistream", "pieces of 50", "pieces of 700"])
def test_ranges_give_every_page_once_however_they_are_cut(tmp_path, monkeypatch, step, pack):
    items = [page(number) for number in range(20)]
    data = plain(items)
    path = tmp_path / ("a.xml" if pack == "plain" else "a.xml.bz2")
    sizes = {"pieces of 50": 50, "pieces of 700": 700}
    path.write_bytes(
        data
        if pack == "plain"
        else multistream(items)
        if pack == "multistream"
        else pieces(data, sizes[pack])
    )
    whole, _ = crawl(Wikipedia(), path)
    steps = {"_PACKED_STEP": step, "_PLAIN_STEP": step}
    for name, value in steps.items():
        monkeypatch.setattr(dumpfile, name, max(value, path.stat().st_size // 300))
    cut, rejected = crawl(Wikipedia(), path)
    assert cut == whole and len(whole) == 20 and not rejected


def test_one_and_two_workers_write_the_same_dataset(tmp_path, monkeypatch):
    (tmp_path / "enwiki-20240601-pages-articles-multistream.xml.bz2").write_bytes(
        multistream([page(number) for number in range(12)])
    )
    (tmp_path / "enwiki-20240601-pages-articles-multistream-index.txt.bz2").write_bytes(
        bz2.compress(b"0:1:Town")
    )
    found = []
    for workers in (1, 2):
        target = str(tmp_path / f"out{workers}")
        options = engine.Options(workers=workers)
        dataset = engine.run(Wikipedia(), str(tmp_path / "enwiki-*.bz2"), target, options=options)
        found.append([part.sha256 for part in dataset.parts])
        assert dataset.rows == 12
        assert set(dataset.table(["source"])["source"].to_pylist()) == {"enwiki-20240601"}
    assert found[0] == found[1]
    assert Dataset(target).schema.names[-3:] == ["title", "page_id", "revision_id"]


def test_a_folder_of_wikitext_is_pages_without_a_site(tmp_path):
    (tmp_path / "Old_Town.txt").write_text(f"'''Old Town''' {LONG}<ref>x</ref>")
    (tmp_path / "Escaped.wiki").write_text(f"&lt;!-- a --&gt;{LONG}&lt;ref&gt;&amp;quot;&lt;/ref&gt;")
    (tmp_path / "To.txt").write_text("#REDIRECT [[Old Town]]")
    (tmp_path / "Latin.txt").write_bytes(f"Zürich. {LONG}".encode("latin-1"))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "Old_Town.txt").write_text(LONG)
    (tmp_path / "picture.jpg").write_bytes(b"x")
    kept, rejected = crawl(Wikipedia(), tmp_path)
    rows = {row["title"]: row for row in kept}
    assert sorted(row["title"] for row in kept) == ["Escaped", "Latin", "Old Town", "Old Town"]
    assert rows["Escaped"]["text"] == LONG.strip()
    assert rows["Latin"]["text"] == f"Zürich. {LONG}".strip()
    nothing = [rows["Latin"][name] for name in ("url", "date", "lang", "page_id", "revision_id")]
    assert nothing == [None] * 5
    assert rows["Latin"]["source"] == tmp_path.name
    assert [row["rule"] for row in rejected] == ["wikipedia.redirect"]


def test_beside_a_dump_only_pages_that_are_named_count(tmp_path):
    (tmp_path / "a.xml").write_bytes(plain([page(1)]))
    (tmp_path / "README.txt").write_text(LONG)
    assert [row["title"] for row in crawl(Wikipedia(), tmp_path)[0]] == ["Town 1"]
    assert len(crawl(Wikipedia(), tmp_path, tmp_path / "README.txt")[0]) == 2
    assert [row["title"] for row in crawl(Wikipedia(format="wikitext"), tmp_path)[0]] == ["README"]


def test_what_is_no_dump_is_an_error(tmp_path):
    for name, content, match in (
        ("a.xml", b"<rss></rss>", "not a MediaWiki dump"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(20), "7z archive|not a MediaWiki dump"),
        ("a-index.txt", b"0:1:X", "there is no dump"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=match):
            Wikipedia().plan(str(path))
    with pytest.raises(UsageError, match="standard input"):
        Wikipedia().plan("-")
    for wrong in ({"max_page": 0}, {"timeout": 0.0}, {"namespaces": ()}, {"format": "html"}):
        with pytest.raises(UsageError):
            settings.from_mapping(Wikipedia, wrong, "crawl.wikipedia")
    _check_portable(Wikipedia(namespaces=(0, 14), min_words=None))


def test_a_page_that_takes_too_long_or_breaks_the_parser_is_a_reject(tmp_path, monkeypatch):
    def loop(*_: object) -> str:
        while True:
            pass

    monkeypatch.setattr(wikipedia, "plain_text", loop)
    row = one(tmp_path, page(1), timeout=0.1)
    assert (row["rule"], row["bound"]) == ("wikipedia.timeout", 0.1)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)

    def fail(*_: object) -> str:
        raise RecursionError

    monkeypatch.setattr(wikipedia, "plain_text", fail)
    assert one(tmp_path, page(1))["rule"] == "wikipedia.crash"


def test_a_page_never_held_is_never_large_in_memory(tmp_path):
    from corpuskit.crawl.dumpxml import pages

    seen = []

    def chunks():
        yield dumpfile.Chunk(None, 0, site() + b"<page><text>", True)
        for _ in range(50):
            yield dumpfile.Chunk(None, 0, b"x" * 100_000, True)
            seen.append(1)
        yield dumpfile.Chunk(None, 0, b"</text></page>" + page(2), True)

    first, second = pages(chunks(), 250_000)
    assert first.data is None and 250_000 < first.length < 450_000
    assert second.data.startswith(b"<page>") and len(seen) == 50


def test_real_pages_read_well(data):
    kept, rejected = crawl(Wikipedia(min_words=None, stubs=True), data / "text" / "wikitext_pages")
    assert len(kept) + len(rejected) == 68 + 4
    texts = {row["title"]: row["text"] for row in kept}
    assert texts["Keilwelle"].startswith("Als Keilwellen werden Wellen bezeichnet, bei denen ein Formschluss")
    assert "5 mi north-northwest of Tomahawk." in texts["Bradley-(community),-Lincoln-County,-Wisconsin"]
    for title, text in texts.items():
        if title not in ("United-Kingdom", "raith rovers", "texts"):  # broken at the source, or no wikitext
            assert not any(
                mark in text for mark in ("{{", "}}", "[[", "]]", "|", "''", "<ref", "()", "(,")
            ), title


def test_the_builder_makes_what_wikimedia_does():
    assert bz2.decompress(multistream([page(1)])) == plain([page(1)]) == wikidump.plain([page(1)], site())
