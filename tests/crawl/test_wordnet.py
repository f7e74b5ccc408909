"""Synsets by their first word, from the files of WordNet and from the package wn."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpuskit.crawl.wordnet import is_lexicon, lexicon, synset_names, wordnet_files
from corpuskit.errors import InputError

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by\n"
ADJ = LICENCE + "00019731 00 s 02 ready_to_hand(p) 0 handy 0 002 & 00019131 a 0000 | easy to reach\n"
NOUN = (
    LICENCE
    + "00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is\n"
    + "09104811 15 n 03 St._Louis 0 Saint_Louis 0 Gateway_to_the_West 0 001 #p 09 n 0000 | the city\n"
    + "no synset at all\n"
)


def folder(path: Path) -> str:
    path.mkdir()
    (path / "data.adj").write_text(ADJ)
    (path / "data.noun").write_text(NOUN)
    return str(path)


@pytest.mark.parametrize(("cut", "names"), [(False, ["entity", "St. Louis"]), (True, ["entity", "st"])])
def test_a_synset_is_named_by_its_first_word(tmp_path, cut, names):
    adjectives, nouns = wordnet_files(folder(tmp_path / "dict"))
    assert wordnet_files(str(tmp_path)) == [f"{tmp_path}/dict/data.adj", f"{tmp_path}/dict/data.noun"]
    (found,) = synset_names(adjectives, cut=cut)
    assert (found.texts.to_pylist(), found.faults) == (["ready to hand"], [])
    (found,) = synset_names(nouns, cut=cut)
    assert found.texts.to_pylist() == names
    assert found.counts.null_count == 2
    assert [NOUN[fault.at :] for fault in found.faults] == ["no synset at all\n"]


def test_a_folder_without_wordnet_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"no data\.noun"):
        wordnet_files(str(tmp_path))


def test_a_lexicon_of_wn(tmp_path, monkeypatch):
    wn = pytest.importorskip("wn")
    monkeypatch.setattr(wn.config, "data_directory", tmp_path / "wn")
    lmf = tmp_path / "tiny.xml"
    lmf.write_text("""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.1.dtd">
<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">
<Lexicon id="tiny" label="Tiny" language="en" email="a@b.example" license="x" version="1">
<LexicalEntry id="tiny-1"><Lemma writtenForm="St. Louis" partOfSpeech="n"/>
<Sense id="tiny-1-n" synset="tiny-s1"/></LexicalEntry>
<Synset id="tiny-s1" ili="" partOfSpeech="n" members="tiny-1-n"/>
</Lexicon></LexicalResource>
""")
    wn.add(lmf, progress_handler=None)
    assert is_lexicon("tiny:1")
    assert not is_lexicon(str(tmp_path))
    assert lexicon("tiny:1").texts.to_pylist() == ["St. Louis"]
    assert lexicon("tiny:1", cut=True).texts.to_pylist() == ["st"]
    with pytest.raises(InputError, match="no lexicon other:1"):
        lexicon("other:1")
