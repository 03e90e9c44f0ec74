"""The same seeds three times: supervised, without faults, and by a naive runner whose wins are told."""

from __future__ import annotations

import trio

from treewarden.agents.core.path import ROOT
from treewarden.supervisor.core.policies import Otp
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, Restore, Strategy
from treewarden.topologies.chaos import World, crash, disk_full, kill
from treewarden.topologies.chaos.arms import NAIVE, Arms, naive
from treewarden.topologies.chaos.campaign import run_seeds
from treewarden.topologies.chaos.reporting import html, summary
from treewarden.topologies.chaos.run import Setting, run_world
from treewarden.topologies.chaos.subjects import SUBJECTS, Clerk, Job
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import walk
from treewarden.topologies.core.faults import Fault
from treewarden.topologies.tree import tree

SUBJECT = SUBJECTS["tree/one_for_all/message"]


async def hasty(world: World) -> None:
    """Has no patience with a disk: what is told has to be acknowledged at once."""
    await world.start(tree(child(Clerk, args={"outside": world.outside})))
    for number in range(10):
        if not await world.tell("clerk", Job(number), within=0.2):
            world.fail("every order is taken", f"{number} was not")
        await trio.sleep(0.3)


def compared(body: object, *faults: Fault, seeds: int = 6) -> Arms:
    setting = Setting(faults=faults, within=3.0)
    arms = Arms(body, setting)  # type: ignore[arg-type]
    run_seeds(arms.body, setting, range(seeds), test="test", stop_after=seeds, done=arms.add)
    return arms


def test_what_is_told_to_a_naive_runner_dies_with_its_process() -> None:
    arms = compared(SUBJECT.run, crash(rate=2.0))
    data = arms.data()
    assert [row["arm"] for row in data["arms"]] == ["supervised", "without faults", "naive runner"]
    assert not any(run.failed for run in (*arms.supervised.values(), *arms.calm.values()))
    assert data["naive_losses"]["count"] == 6
    assert "no_acknowledged_message_lost" in data["naive_failures"]
    assert [row["faults"] > 0 for row in data["arms"]] == [True, False, True]


def test_the_schedule_is_the_same_and_so_is_the_run_each_time() -> None:
    setting = Setting(faults=(kill(rate=1.0), crash(rate=0.5)), within=3.0)
    first = run_world(SUBJECT.run, 3, setting)
    beside, again = (run_world(SUBJECT.run, 3, setting, injections=first.injections, arm=NAIVE) for _ in range(2))
    assert beside.injections == first.injections
    assert beside.digest == again.digest != first.digest


def test_what_the_naive_runner_does_better_is_told() -> None:
    arms = compared(hasty, disk_full(rate=3.0, times=60))
    data = arms.data()
    assert data["naive_wins"]["held where the supervised tree failed"]["seeds"] == arms.naive_wins != []
    assert arms.sentences[-1].startswith("the naive runner held where the supervised tree failed: ")
    setting = Setting(faults=(disk_full(rate=3.0, times=60),), within=3.0)
    total = run_seeds(hasty, setting, range(1), test="test")
    page = html(summary("test", total, arms.supervised[0], arms))
    assert "The same seeds three times" in page
    assert "held where the supervised tree failed" in page


def test_a_naive_tree_has_the_same_slots_and_nothing_else() -> None:
    world_free = tree(
        tree(child(Clerk, args={"outside": None}, progress_within=3.0), id="desk", strategy=Strategy.ONE_FOR_ALL),
        strategy=Strategy.REST_FOR_ONE,
    )
    plain = naive(world_free)
    assert [path for path, _ in walk(plain, ROOT)] == [path for path, _ in walk(world_free, ROOT)]
    assert isinstance(plain.policy, Otp)
    for _, spec in walk(plain, ROOT):
        if isinstance(spec, ChildSpec):
            assert (spec.backoff, spec.progress_within, spec.restore) == (NO_BACKOFF, None, Restore.INITIAL)
        else:
            assert spec.strategy is Strategy.ONE_FOR_ONE
