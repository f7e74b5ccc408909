"""The vectors of documents' images, and what they say of a document: its own vector, and its scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.filter.encoders import Encoder, Floats

__all__ = ["ImageVectors", "encode"]


@dataclass(frozen=True, eq=False)
class ImageVectors:
    """A vector for each image of a batch.

    Attributes:
        vectors: float32[images, width]; a row of NaN for one without bytes, or that cannot be decoded.
        rows: Of which document each is, int64[images], in order.
        documents: How many documents there are.
        undecodable: How many images have bytes that cannot be decoded.
    """

    vectors: Floats
    rows: npt.NDArray[np.int64]
    documents: int
    undecodable: int

    def means(self) -> Floats:
        """Return the mean of each document's vectors: float32[documents, width]; NaN where it has none.

        >>> vectors = np.array([[1, 3], [np.nan, np.nan], [3, 5]], np.float32)
        >>> ImageVectors(vectors, np.array([0, 0, 0]), 2, 0).means().tolist()
        [[2.0, 4.0], [nan, nan]]
        """
        there = np.isfinite(self.vectors).all(axis=1)
        sums = np.zeros((self.documents, self.vectors.shape[1]))
        np.add.at(sums, self.rows[there], self.vectors[there])
        counts = np.bincount(self.rows[there], minlength=self.documents)[:, None]
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        return np.asarray(means, np.float32)

    def best(self, scores: pa.Array) -> pa.Array:
        """Return the highest of the scores of each document's images: float32, null where none has one.

        >>> images = ImageVectors(np.zeros((3, 1), np.float32), np.array([0, 0, 1]), 3, 0)
        >>> images.best(pa.array([0.25, 0.5, None], pa.float32())).to_pylist()
        [0.5, None, None]
        """
        values = np.asarray(pc.fill_null(scores.cast(pa.float64()), -np.inf))
        found = np.full(self.documents, -np.inf)
        np.maximum.at(found, self.rows, values)
        none = np.isneginf(found)
        return pa.array(np.where(none, 0, found), pa.float64(), mask=none).cast(pa.float32())

    def clip_scores(self, texts: Floats) -> pa.Array:
        """Compare each document's text with its images: the cosine with the image that is closest.

        Args:
            texts: float32[documents, width]; a row of NaN for one without a vector.

        Returns:
            float32, -1 to 1; null where the text has no vector, or no image has.

        Source: Radford et al. 2021 (CLIP); not multiplied by 100 as by OpenAI's `logits_per_image`, nor by
        2.5 and cut at 0 as CLIPScore (Hessel et al. 2021).

        >>> vectors = np.array([[0, 2], [3, 3]], np.float32)
        >>> images = ImageVectors(vectors, np.array([0, 0]), 1, 0)
        >>> images.clip_scores(np.array([[5, 0]], np.float32)).to_pylist()
        [0.7071067690849304]
        """
        cosines = np.einsum("ij,ij->i", _unit(texts)[self.rows], _unit(self.vectors))
        undefined = ~np.isfinite(cosines)
        return self.best(pa.array(np.where(undefined, 0, cosines), mask=undefined))


def _unit(vectors: Floats) -> npt.NDArray[np.float64]:
    """Scale rows to length 1; one of zeros has no direction and is NaN."""
    wide = vectors.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def encode(images: pa.ListArray, encoder: Encoder) -> ImageVectors:
    """Encode the images of documents, a column as `corpuskit.document.IMAGES`."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(images), 0), np.int64)
    each = images.flatten()
    data = pc.struct_field(each, "bytes")
    vectors = encoder.encode_images(data)
    lost = np.isnan(vectors).any(axis=1) & np.asarray(
        pc.fill_null(pc.greater(pc.binary_length(data), 0), False)
    )
    return ImageVectors(vectors, np.repeat(np.arange(len(lengths)), lengths), len(lengths), int(lost.sum()))
