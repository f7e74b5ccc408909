"""Asking again: how often, how long between, how many at a time."""

import threading
import time

import pytest

from corpuskit.crawl.patience import Again, Patience, Terms, Turns
from corpuskit.errors import TryLater


def patience(tmp_path, **terms) -> Patience:
    return Patience(Terms(**{"pause": 0.02, **terms}), Turns(tmp_path / "turns", 2))


def failing(times: int, after: float | None = None):
    left = [times]

    def attempt() -> str:
        if left[0]:
            left[0] -= 1
            raise Again("503 SlowDown", after)
        return "done"

    return attempt


def test_it_asks_again_as_often_as_it_may(tmp_path):
    assert patience(tmp_path, retries=2).ask("x", failing(2)) == "done"
    with pytest.raises(TryLater, match="x: 503 SlowDown, and so 3 times"):
        patience(tmp_path, retries=2).ask("x", failing(3))
    with pytest.raises(TryLater, match="and so 1 time$|and so 1 time\n"):
        patience(tmp_path, retries=0).ask("x", failing(1))


def test_waits_double_with_jitter_that_is_a_hash(tmp_path):
    asked = patience(tmp_path, pause=1.0)
    delays = [asked._delay("x", number, Again("")) for number in range(12)]
    assert delays == [patience(tmp_path, pause=1.0)._delay("x", number, Again("")) for number in range(12)]
    for number, delay in enumerate(delays):
        whole = min(60.0, 2.0**number)
        assert 0.5 * whole <= delay < 1.5 * whole
    assert delays[0] != asked._delay("y", 0, Again(""))
    assert len({round(delay / min(60.0, 2.0**number), 6) for number, delay in enumerate(delays)}) == 12


def test_retry_after_is_obeyed_up_to_ten_minutes(tmp_path):
    assert patience(tmp_path)._delay("x", 0, Again("", 600.0)) == 600.0
    began = time.monotonic()
    assert patience(tmp_path).ask("x", failing(1, after=0.3)) == "done"
    assert time.monotonic() - began >= 0.3
    with pytest.raises(TryLater, match="1 time"):
        patience(tmp_path).ask("x", failing(1, after=601.0))
    assert time.monotonic() - began < 2


def test_a_refusal_holds_up_the_other_threads_and_the_last_one_lets_them_go(tmp_path):
    asked = patience(tmp_path, retries=1, pause=0.2)
    times: list[float] = []

    def refused() -> None:
        times.append(time.monotonic())
        raise Again("429")

    def go() -> None:
        with pytest.raises(TryLater):
            asked.ask("x", refused)

    threads = [threading.Thread(target=go) for _ in range(2)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    later = sorted(at - began for at in times)
    assert 2 <= len(times) <= 4 and all(at < 0.09 or at >= 0.1 for at in later)
    asked._ready = time.monotonic() + 100
    with pytest.raises(TryLater, match="given up"):
        asked.ask("x", failing(0))


def test_no_more_have_a_turn_at_a_time_than_may(tmp_path):
    at_once, peak = [0], [0]
    lock = threading.Lock()

    def work() -> None:
        turns = Turns.of(str(tmp_path), 3)  # each process opens its own
        for _ in range(3):
            with turns.taken():
                with lock:
                    at_once[0] += 1
                    peak[0] = max(peak[0], at_once[0])
                time.sleep(0.01)
                with lock:
                    at_once[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peak[0] == 3
    assert Turns.of("s3://bucket/x", 1)._paths != Turns.of("s3://bucket/y", 1)._paths
