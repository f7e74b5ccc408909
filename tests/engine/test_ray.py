"""The Ray engine writes the local bytes, whatever node is lost; each engine goes on with the other's run."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stages import Deadly, Longer, Loses, Most
from test_run import snapshot

from corpuskit.engine import Options, Progress, run
from corpuskit.engine.local import WorkerFailed
from corpuskit.errors import TryLater
from corpuskit.testing import documents, write_dataset

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

ROUNDS = int(os.environ.get("CORPUSKIT_NODES_LOST", "1"))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of one node on this machine, to which tests add another."""
    two = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    here = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])}
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address=two.address, runtime_env={"env_vars": here}, **quiet)
    yield two
    ray.shutdown()
    two.shutdown()


@pytest.fixture
def source(tmp_path: Path) -> str:
    batches = [
        documents([f"{part} text " * size for size in range(20)], id=[f"{part}-{size}" for size in range(20)])
        for part in range(12)
    ]
    return write_dataset(tmp_path / "source", *batches)


STAGES = (Most(limit=1000), Longer(nap=0.05))


def test_no_cluster_is_an_error_that_says_how_to_start_one(source: str, tmp_path: Path) -> None:
    with pytest.raises(TryLater, match="no Ray cluster at auto") as error:
        run(Longer(), source, str(tmp_path / "out"), options=Options(engine="ray"))
    assert "ray start --head --node-ip-address 127.0.0.1" in (error.value.fix or "")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_lost_node_costs_nothing(cluster: Any, source: str, tmp_path: Path, number: int) -> None:
    run(STAGES, source, str(tmp_path / "local"), options=Options(workers=2))
    node = cluster.add_node(num_cpus=1)
    lost = threading.Event()

    def watch(now: Progress) -> None:
        if now.stage == "dedup.most" and now.done == 2 + number % 5 and not lost.is_set():
            lost.set()
            cluster.remove_node(node, allow_graceful=False)

    options = Options(engine="ray", workers=2, progress=watch)
    run(STAGES, source, str(tmp_path / "ray"), options=options)
    assert lost.is_set()
    assert snapshot(tmp_path / "ray") == snapshot(tmp_path / "local")


class Stopped(Exception):
    """The driver was told to stop."""


@pytest.mark.parametrize("engines", [("local", "ray"), ("ray", "local")])
def test_either_goes_on_with_the_others_run(
    cluster: Any, source: str, tmp_path: Path, engines: tuple[Any, Any]
) -> None:
    def stop(now: Progress) -> None:
        if now.stage == "dedup.most" and now.done >= 3:
            raise Stopped

    target = tmp_path / "out"
    with pytest.raises(Stopped):
        run(STAGES, source, str(target), options=Options(engine=engines[0], workers=1, progress=stop))
    begun = len(list(target.glob("done/*.json")))
    assert 3 <= begun < 12
    run(STAGES, source, str(target), options=Options(engine=engines[1], workers=1))
    run(STAGES, source, str(tmp_path / "clean"), options=Options(workers=2))
    assert snapshot(target) == snapshot(tmp_path / "clean")


def test_poison_and_bugs_are_told_as_they_are_locally(cluster: Any, tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", documents(["fine", "kill me", "also fine"]))
    dataset = run(Deadly(), source, str(tmp_path / "out"), options=Options(engine="ray", max_bad=1.0))
    assert dataset.table(["text"])["text"].to_pylist() == ["fine", "also fine"]
    with pytest.raises(WorkerFailed, match="documents lost"):
        run(Loses(), source, str(tmp_path / "lost"), options=Options(engine="ray"))
