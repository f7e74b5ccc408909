"""The schedule under a simulated clock: days of crawling in milliseconds."""

import heapq
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from corpuskit.crawl.politeness import Politeness, Schedule
from corpuskit.crawl.slots import Blocked, Slots


class World:
    """Serves a schedule with so many workers; `addresses` and `answer` say what the hosts are like."""

    def __init__(self, schedule, addresses, answer=lambda job: {}, seconds=lambda job: 0.3):
        self.schedule, self.addresses, self.answer, self.seconds = schedule, addresses, answer, seconds
        self.now = 1000.0
        self.done = []
        self.idle = 0.0

    def run(self, workers):
        under_way, tick = [], 0
        while True:
            while len(under_way) < workers and (turn := self.schedule.next(self.now)) is not None:
                if self.schedule.claim(turn, self.addresses(turn.job[0]), self.now):
                    tick += 1
                    heapq.heappush(under_way, (self.now + self.seconds(turn.job), tick, self.now, turn))
            due = self.schedule.due()
            if under_way and (due is None or len(under_way) == workers or under_way[0][0] <= due):
                self.now, _, start, turn = heapq.heappop(under_way)
                self.done.append((turn.job, start, self.now))
                told = dict(self.answer(turn.job))
                again = told.pop("again", None)
                for job in self.schedule.release(turn, self.now, **told):
                    self.done.append((job, None, None))
                if again is not None:
                    self.schedule.add(turn.job[0], again)
            elif due is not None:
                self.now = max(self.now, due)
            else:
                return


def gaps(done, name_of):
    """Return the seconds between the requests of each name, in order."""
    by_name = defaultdict(list)
    for job, start, end in done:
        for name in name_of(job):
            by_name[name].append((start, end))
    found = []
    for times in by_name.values():
        times.sort()
        found += [after[0] - before[1] for before, after in zip(times, times[1:], strict=False)]
    return found


@pytest.mark.parametrize("workers", [1, 7, 64])
@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_one_at_a_time_per_domain_and_address(workers, delay):
    chance = random.Random(workers)
    hosts = {
        f"h{number}": [(f"h{number}", page) for page in range(chance.randint(1, 30))] for number in range(80)
    }
    where = {host: tuple(chance.sample(["a", "b", "c", *(f"x{n}" for n in range(40))], 2)) for host in hosts}
    schedule = Schedule(Politeness(delay), Slots())
    schedule.begin({host: list(jobs) for host, jobs in hosts.items()})
    world = World(schedule, where.__getitem__, seconds=lambda job: chance.uniform(0.01, 3))
    world.run(workers)
    assert sorted(job for job, *_ in world.done) == sorted(job for jobs in hosts.values() for job in jobs)
    assert min(gaps(world.done, lambda job: [job[0]])) >= delay - 1e-6
    assert min(gaps(world.done, lambda job: where[job[0]])) >= delay - 1e-6


def test_lasts_as_long_as_the_largest_host_and_no_longer():
    hosts = {f"h{number}": [(f"h{number}", page) for page in range(10)] for number in range(100)}
    hosts["large"] = [("large", page) for page in range(1000)]
    schedule = Schedule(Politeness(5.0), Slots())
    schedule.begin(hosts)
    world = World(schedule, lambda host: (host,))
    world.run(16)
    assert world.now - 1000 == pytest.approx(1000 * 5.3 - 5, abs=1)


def test_an_address_is_busy_all_the_time():
    schedule = Schedule(Politeness(5.0), Slots())
    schedule.begin({f"h{number}": [(f"h{number}", 0)] * 3 for number in range(50)})
    world = World(schedule, lambda host: ("the only one",))
    world.run(32)
    assert world.now - 1000 == pytest.approx(150 * 5.3 - 5, abs=1)


def test_hosts_begun_come_first():
    schedule = Schedule(Politeness(0.0), Slots())
    schedule.begin({f"h{number:03}": [(f"h{number:03}", page) for page in range(5)] for number in range(200)})
    world = World(schedule, lambda host: (host,))
    world.run(4)
    at_once = 0
    for _, start, _ in world.done:
        began = {job[0] for job, other, _ in world.done if other <= start}
        ended = {job[0] for job, _, other in world.done if job[1] == 4 and other <= start}
        at_once = max(at_once, len(began - ended))
    assert at_once <= 12


def test_throttling_doubles_the_delay_and_answers_halve_it():
    told = iter([{"failed": True, "throttled": True}] * 2 + [{}] * 30)
    schedule = Schedule(Politeness(5.0), Slots())
    schedule.begin({"h": [("h", page) for page in range(30)]})
    world = World(schedule, lambda host: (host,), lambda job: next(told))
    world.run(2)
    pauses = [round(pause) for pause in gaps(world.done, lambda job: [job[0]])]
    assert pauses[:3] == [10, 20, 20]
    assert pauses[10:13] == [20, 10, 10] and pauses[-1] == 5


@pytest.mark.parametrize(("wait", "pause"), [(90.0, 90.0), (3.0, 10.0), (1e9, 3600.0)])
def test_retry_after_is_kept_up_to_an_hour(wait, pause):
    told = iter([{"failed": True, "throttled": True, "wait": wait}, {}])
    schedule = Schedule(Politeness(5.0), Slots())
    schedule.begin({"h": [("h", 0), ("h", 1)]})
    world = World(schedule, lambda host: (host,), lambda job: next(told))
    world.run(2)
    assert gaps(world.done, lambda job: [job[0]]) == [pytest.approx(pause)]


def test_crawl_delay_counts_where_it_is_larger():
    schedule = Schedule(Politeness(5.0), Slots())
    schedule.begin({"slow": [("slow", 0), ("slow", 1)], "fast": [("fast", 0), ("fast", 1)]})
    schedule.ask("slow", 60.0)
    schedule.ask("fast", 1.0)
    world = World(schedule, lambda host: (host,))
    world.run(2)
    assert sorted(gaps(world.done, lambda job: [job[0]])) == [pytest.approx(5), pytest.approx(60)]


@pytest.mark.parametrize(("failures", "given_up"), [(9, 0), (10, 15)])
def test_ten_failures_in_a_row_end_a_host(failures, given_up):
    told = iter([{"failed": True}] * failures + [{}] * 30)
    schedule = Schedule(Politeness(5.0), Slots())
    schedule.begin({"h": [("h", page) for page in range(25)]})
    world = World(schedule, lambda host: (host,), lambda job: next(told))
    world.run(2)
    assert sum(start is None for _, start, _ in world.done) == given_up
    assert len(world.done) == 25
    assert schedule.add("h", ("h", 99)) is (failures < 10)


def test_other_processes_are_waited_for(tmp_path: Path):
    path = tmp_path / "hosts"
    with Slots(path) as ours, Slots(path) as theirs:
        assert theirs.take(["h", "1.2.3.4"], 1000.0) is None
        theirs.give([("h", 1030.0), ("1.2.3.4", 1010.0)])
        blocked = ours.take(["other", "1.2.3.4"], 1000.0)
        assert blocked is not None and blocked.name == "1.2.3.4" and blocked.until == 1010.0
        assert ours.take(["other"], 1000.0) is None, "nothing is kept of a try that failed"
        assert ours.take(["h"], 1030.0) is None


def test_a_host_in_use_elsewhere_is_asked_about_again_soon(tmp_path: Path):
    path = tmp_path / "hosts"
    holds = "import sys; from pathlib import Path; from corpuskit.crawl.slots import Slots; "
    holds += (
        f"slots = Slots(Path({str(path)!r})); slots.take(['h'], 1000.0); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with Slots(path) as slots:
            assert slots.take(["h"], 1000.0) == Blocked("h", 1000.25)
            assert slots.take(["another"], 1000.0) is None
            other.kill()
            other.wait()
            assert slots.take(["h"], 1001.0) is None, "a process that died holds nothing"


def test_the_pause_outlives_the_process(tmp_path: Path):
    for _ in range(2):
        with Slots(tmp_path / "hosts") as slots:
            schedule = Schedule(Politeness(5.0), slots)
            schedule.begin({"h": [("h", 0)]})
            world = World(schedule, lambda host: (host,))
            world.run(1)
    assert world.done[0][1] == pytest.approx(1000 + 0.3 + 5)


def test_memory_does_not_grow_with_hosts_done():
    schedule = Schedule(Politeness(0.0), Slots())
    schedule.begin({f"h{number}": [(f"h{number}", 0)] for number in range(5000)})
    World(schedule, lambda host: (host,)).run(8)
    assert not schedule._hosts and not schedule._lines and not schedule._open
