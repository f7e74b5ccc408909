"""What a quality model's card and the command line say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card", "summary"]

_MEASURES = (
    ("precision", "precision at score 0.5"),
    ("recall", "recall at score 0.5"),
    ("f1", "F1 at score 0.5"),
    ("auc", "AUC"),
    ("auc_of_length", "AUC of the length alone"),
    ("mean_score_of_positives", "mean score of positives"),
    ("mean_score_of_negatives", "mean score of negatives"),
    ("pareto_9_keeps_of_positives", "share of positives that `--pareto 9` keeps"),
    ("pareto_9_keeps_of_negatives", "share of negatives that `--pareto 9` keeps"),
)


_VALUES = {
    "raw": "A bucket's value is how often its tokens occur.",
    "relative": "A bucket's value is its tokens' share of the document's: its length has no part in it.",
}


def summary(path: str, told: Mapping[str, Any]) -> str:
    """Say in some lines how good a model is and what to look at."""
    counts = told["documents"]
    lines = [f"{path}: tested on {_count(counts, 'test')} documents, trained on {_count(counts, 'train')}"]
    lines += [f"  {name.replace('`', ''):45}{told['test'][key]:6.3f}" for key, name in _MEASURES]
    return "\n".join(lines + [f"note: {note}" for note in notes(told)])


def _count(counts: Mapping[str, Mapping[str, int]], fold: str) -> str:
    return f"{counts['positive'][fold]:,} + {counts['negative'][fold]:,}"


def notes(told: Mapping[str, Any]) -> list[str]:
    """List what makes the measures doubtful; nothing does where there are none."""
    leak, test, found = told["leakage"], told["test"], []
    if leak["texts_on_both_sides"]:
        found.append(f"{leak['texts_on_both_sides']:,} texts are among positives and negatives")
    if leak["texts_in_train_and_test"]:
        found.append(
            f"{leak['texts_in_train_and_test']:,} texts of the test were trained on: run dedup exact first"
        )
    if leak["sites_on_both_sides"]:
        sites, documents = leak["sites_on_both_sides"], leak["documents_of_those_sites"]
        found.append(f"{sites:,} sites, {documents:,} documents, are among positives and negatives")
    if leak["sites_in_several_folds"]:
        found.append(
            "trained and tested on, as they are too large to hold out: "
            + ", ".join(leak["sites_in_several_folds"])
        )
    if leak["documents_without_site"]:
        found.append(f"{leak['documents_without_site']:,} documents have no url: each stands for itself")
    if test["auc"] - test["auc_of_length"] < 0.02:
        found.append("the length alone does as well")
    if not told["converged"]:
        found.append(f"the regression had not converged after {told['steps']:,} steps")
    return found


def card(told: Mapping[str, Any]) -> str:
    """Write the model card, as Markdown."""
    counts, chosen = told["documents"], told["settings"]
    lines = [
        "# A quality model of corpuskit",
        "",
        "Logistic regression over Spark's HashingTF (2^18 buckets, MurmurHash3 seed 42) of lower-case",
        "tokens, as in GPT-3's appendix A, calibrated by Platt's line. The score is the chance that a",
        "document is one of the positives, if positives and negatives are equally frequent.",
        _VALUES[chosen["term_frequency"]],
        "",
        "    corpuskit filter quality --model THIS_FOLDER --pareto 9 SOURCE TARGET",
        "",
        "## Trained on",
        "",
        "| side | dataset | documents | manifest |",
        "|---|---|---|---|",
    ]
    for side in ("positive", "negative"):
        lines += [
            f"| {side} | {one['name']} | {one['rows']:,} | {one['sha256'][:16]} |" for one in told[side]
        ]
    lines += [
        "",
        "| side | to train | to calibrate | to test |",
        "|---|---|---|---|",
        *(f"| {side} | {' | '.join(f'{count:,}' for count in counts[side].values())} |" for side in counts),
        "",
        "Both sides weigh the same. All documents of a site are in one column, but for sites named below.",
        "",
        f"Settings: {', '.join(f'{name} {value}' for name, value in chosen.items())}. Written by corpuskit "
        f"{told['corpuskit']}, after {told['steps']:,} steps of L-BFGS.",
        "",
        "## Measured on documents it has not seen",
        "",
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {told['test'][key]:.4f} |" for key, name in _MEASURES),
        "",
    ]
    doubts = notes(told)
    if doubts:
        lines += ["## To keep in mind", "", *(f"- {note}" for note in doubts), ""]
    return "\n".join(lines)
