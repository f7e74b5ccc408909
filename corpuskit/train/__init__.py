"""Training what a stage reads: `train quality` makes the model of `filter quality`."""

from corpuskit.train.quality import QualityTraining, Trained, train_quality

__all__ = ["QualityTraining", "Trained", "train_quality"]
