"""`dedup minhash` on real near duplicates, against the exact similarity of all pairs."""

import gzip
import json
import tarfile

import lxml.html
import numpy as np
import pytest
import scipy.sparse

from corpuskit.dedup.minhash import MinHash, chance_to_meet, shingles, signatures
from corpuskit.kernels import minhash
from corpuskit.testing import documents, write_dataset

SEEDS = range(1, 9)


def licence_texts(data):
    with gzip.open(data / "neardup" / "licence_texts.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def guide_pages(data):
    with tarfile.open(data / "neardup" / "install_guide.tar.gz") as pages:
        files = sorted((member.name, member) for member in pages if member.name.endswith(".html"))
        return [lxml.html.fromstring(pages.extractfile(member).read()).text_content() for _, member in files]


def all_pairs(texts):
    """The Jaccard similarity of every pair that shares a shingle: first, second, similarity."""
    members, offsets = minhash.sets(*shingles(texts))
    known, which = np.unique(members, return_inverse=True)
    holds = scipy.sparse.csr_matrix(
        (np.ones(len(members), np.int32), which, offsets), (len(texts), len(known))
    )
    shared = scipy.sparse.triu(holds @ holds.T, k=1).tocoo()
    sizes = np.diff(offsets)
    return shared.row, shared.col, shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)


@pytest.mark.parametrize("read", [licence_texts, guide_pages])
def test_recall_and_precision_at_08(data, runs, tmp_path, read):
    texts = read(data)
    first, second, similarity = all_pairs(texts)
    alike = similarity >= 0.8
    assert alike.sum() > 500

    # Pairs meet as often as the curve says. They share permutations and texts, so that one seed may be lucky
    # or not (its standard deviation here is .014); over eight seeds .015 is three standard deviations.
    expected = chance_to_meet(similarity[alike], 14, 8).mean()
    met = []
    for seed in SEEDS:
        bands = minhash.band_hashes(signatures(texts, seed=seed), 14)
        met.append((bands[:, first[alike]] == bands[:, second[alike]]).any(axis=0).mean())
    assert np.mean(met) == pytest.approx(expected, abs=0.015)

    # Precision 1: no document goes that the exact clusters would keep, and every value is the true one.
    links = scipy.sparse.coo_matrix((np.ones(alike.sum()), (first[alike], second[alike])), (len(texts),) * 2)
    _, labels = scipy.sparse.csgraph.connected_components(links, directed=False)
    heads = {}
    exact = {number for number, label in enumerate(labels) if heads.setdefault(label, number) != number}
    split = runs(MinHash(), [write_dataset(tmp_path / "docs", documents(texts))])
    ours = {int(row["id"], 16): row for row in split.rejected.to_pylist()}
    assert set(ours) <= exact
    true = dict(zip(zip(first.tolist(), second.tolist(), strict=True), similarity.tolist(), strict=True))
    for number, row in ours.items():
        twin = int(row["twin"], 16)
        assert labels[number] == labels[twin]
        assert row["value"] == pytest.approx(true.get((twin, number), 0.0))

    # Recall: clusters have many links, so nearly no document of the exact answer is missed.
    assert len(ours) >= 0.99 * len(exact)
