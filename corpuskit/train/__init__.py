"""Training what a stage reads: a model for `filter quality`, a vocabulary for `shard tokens`."""

from corpuskit.train.quality import QualityTraining, Trained, train_quality
from corpuskit.train.tokenizer import TokenizerTraining, TrainedTokenizer, train_tokenizer

__all__ = [
    "QualityTraining",
    "TokenizerTraining",
    "Trained",
    "TrainedTokenizer",
    "train_quality",
    "train_tokenizer",
]
