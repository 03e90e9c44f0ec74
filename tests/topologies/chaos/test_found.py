"""What the kit has found in treewarden, as the least that showed it: each of these failed once."""

from __future__ import annotations

import pytest
import trio
from attrs import evolve

from treewarden.agents import Agent
from treewarden.agents.core.path import Path
from treewarden.agents.errors import SupervisionError
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.decision import Policy, is_paced
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import kubernetes, otp
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies import tree
from treewarden.topologies.chaos.gate import Gate
from treewarden.topologies.chaos.instrumented import instrumented
from treewarden.topologies.chaos.run import Setting, run_world
from treewarden.topologies.chaos.subjects import SUBJECTS
from treewarden.topologies.chaos.world import World
from treewarden.topologies.core.faults import Injection, Trigger

SLOW = Injection("slow", "*", 0.0, knobs={"seconds": 1.0})


@pytest.mark.parametrize(
    "subject", ["pool/round_robin/message", "pool/shared/message", "topic/message", "nested/message"]
)
@pytest.mark.parametrize("at", [0.0, 0.06, 0.3])
def test_what_a_worker_has_in_hand_outlives_its_supervisor(subject: str, at: float) -> None:
    """Seed 64: the message in hand of a worker whose supervisor was killed waited for the next process."""
    killed = (SLOW, Injection("kill_supervisor", "*", at))
    run = run_world(SUBJECTS[subject].run, 64, Setting(within=2.0), injections=killed)
    assert (run.failures, run.faults.get("slow"), run.faults.get("kill_supervisor")) == ((), 1, 1)


@pytest.mark.parametrize(
    ("subject", "seed"), [("topic/message", 8), ("pool/least_loaded/message", 35), ("pool/round_robin/message", 64)]
)
def test_it_keeps_its_place_over_a_crash(subject: str, seed: int) -> None:
    """Seeds 8 and 35: with a crash of the process after that, later messages were handled before it."""
    faults = (SLOW, Injection("kill_supervisor", "*", 0.1), Injection("crash", "*", 0.4, knobs={"down": 1.0}))
    run = run_world(SUBJECTS[subject].run, seed, Setting(within=2.0), injections=faults)
    assert (run.failures, run.faults.get("crash")) == ((), 1)


def test_who_is_judged_when_its_supervisor_is_killed_keeps_what_it_had_in_hand() -> None:
    """Seed 278 of nested/message: the decision was waiting for the journal, and the message waited for ever."""
    slow, kill = SLOW, Injection("kill", "*", 0.0, 0.0)
    faults = (
        Injection("crash", "*", 0.065407, knobs={"down": 1.0}),
        *(evolve(slow, at=at) for at in (0.414746, 0.55749)),
        evolve(kill, at=1.43186),
        Injection("stubborn", "*", 1.78114, knobs={"seconds": 20.0}),
        evolve(kill, at=2.16075),
        Injection("suspend", "*", 2.72087, knobs={"seconds": 30.0}),
        Injection("kill_supervisor", "*", 3.59132),
    )
    run = run_world(SUBJECTS["nested/message"].run, 278, Setting(within=4.0), injections=faults, scale=0.5)
    assert (run.failures, run.faults.get("stubborn"), run.faults.get("kill_supervisor")) == ((), 1, 1)


def test_a_drain_of_a_dynamic_child_that_the_tree_does_not_outlive_fails_by_itself() -> None:
    """Seed 20599 of dynamic/checkpoint: what the supervisor had refused came in a group, past those who expect it."""
    faults = (
        Injection("stubborn", "*", 0.112525, knobs={"seconds": 20.0}),
        Injection("drain", "*", 0.411237),
    )
    run = run_world(SUBJECTS["dynamic/checkpoint"].run, 20599, Setting(within=4.0), injections=faults, scale=0.5)
    assert (run.failures, run.faults) == ((), {"stubborn": 1, "drain": 1})


@pytest.mark.parametrize("durability", ["message", "checkpoint", "volatile"])
@pytest.mark.parametrize("place", ["commit", "committed"])
def test_a_process_that_dies_while_its_tree_begins_leaves_no_call_unanswered(durability: str, place: str) -> None:
    """Sweep of dynamic/*: the start of a child that was asked of such a tree was neither refused nor answered."""
    died = (Injection("crash", "*", 0.0, knobs={"down": 0.5}, trigger=Trigger(place, 2)),)
    run = run_world(SUBJECTS[f"dynamic/{durability}"].run, 1, Setting(within=1.0), injections=died)
    assert (run.failures, run.faults.get("crash")) == ((), 1)


async def calls_who_does_not_begin(world: World) -> None:
    """Ask a supervisor something while it starts, and let its start fail."""

    async def slowly(path: Path) -> None:
        await trio.sleep(1.0)
        if world.process.tree is not None and trio.current_time() < 4.0:
            raise OSError("not today")

    desk = tree(Clerk, id="desk", on_start=slowly, restarts=Intensity(100, 1.0))
    started = await world.start(tree(desk, restarts=Intensity(100, 1.0)))
    started.kill("desk")
    await trio.sleep(0.5)
    with trio.fail_after(5.0), pytest.raises(SupervisionError):
        await started.supervisor("desk").count()
    await trio.sleep(60.0)
    assert (await started.supervisor("desk").count()).active == 1


class Clerk(Agent[None]):
    pass


def test_a_call_to_a_supervisor_that_does_not_begin_is_answered() -> None:
    """Seed 2038, pipeline/checkpoint: a call that came while a supervisor started, and failed to, waited for ever."""
    assert run_world(calls_who_does_not_begin, 1, Setting(within=1.0)).failures == ()


@pytest.mark.parametrize("fault", ["drain", "cancel"])
def test_a_broadcast_leaves_out_who_is_stopped_or_being_drained(fault: str) -> None:
    """Sixteen of 10,000 seeds of pool/broadcast/message: what was told meanwhile was missed where nobody had promised
    it. The worker does all that comes once it is back."""
    faults = (evolve(SLOW, target="pool/0"), Injection(fault, "pool/0", 0.0))
    run = run_world(SUBJECTS["pool/broadcast/message"].run, 3, Setting(within=2.0), injections=faults)
    assert (run.failures, run.faults.get(fault)) == ((), 1)


@pytest.mark.parametrize("policy", [otp(), kubernetes(), ladder(), belief()])
def test_a_tree_under_faults_goes_at_the_pace_of_its_own_policy(policy: Policy) -> None:
    """Under faults the restarts of `otp()` waited for the tree's bucket, which it knows nothing of."""
    gate = Gate(lambda: 0.0, lambda kind, name: None)
    policed = instrumented(tree(policy=policy), gate).policy
    assert policed is not None
    assert policed is not policy
    assert is_paced(policed) == is_paced(policy)
