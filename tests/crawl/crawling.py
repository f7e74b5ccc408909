"""Runs a crawl in this process, as the engine does, without its workers."""

from corpuskit.document import REJECT
from corpuskit.stage import Stage


def crawl(stage: Stage, *sources: object) -> tuple[list[dict], list[dict]]:
    """Return the rows that are kept and rejected; their schemas are those declared, and no id comes twice."""
    kept, rejected = [], []
    for task in stage.plan(*map(str, sources)):
        for split in stage.run(task):
            assert split.kept.schema.equals(stage.writes(task.schema))
            assert split.rejected.schema.equals(REJECT)
            kept += split.kept.to_pylist()
            rejected += split.rejected.to_pylist()
    ids = [row["id"] for row in kept + rejected]
    assert len(set(ids)) == len(ids)
    return kept, rejected
