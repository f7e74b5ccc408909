"""Load corpuskit's MinHash signatures into datasketch, and ask its index for near duplicates of a text."""

from pathlib import Path

from datasketch import MinHash, MinHashLSH

from corpuskit.dedup.minhash import signatures

SEED, PERMUTATIONS = 1, 128
articles = sorted((Path(__file__).parent / "data" / "articles").glob("*.txt"))
texts = [path.read_text("utf-8") for path in articles]
rows = signatures(texts, permutations=PERMUTATIONS, seed=SEED)

index = MinHashLSH(threshold=0.8, num_perm=PERMUTATIONS)
for path, row in zip(articles, rows, strict=True):
    index.insert(path.stem, MinHash(hashvalues=row, seed=SEED, scheme="affine32"))

edited = texts[0].replace("two hives because one", "a pair of hives, because one")
[row] = signatures([edited], permutations=PERMUTATIONS, seed=SEED)
print(f"{len(texts)} texts; near duplicates of an edited {articles[0].stem}:", end=" ")
print(*index.query(MinHash(hashvalues=row, seed=SEED, scheme="affine32")))
