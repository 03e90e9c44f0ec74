"""What agents do to themselves in a world: a leak, a loop, a full context; where each hurts, and where it is met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from attrs import evolve, frozen

from treewarden.agents import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.loops import LoopLimit
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies import child, tree
from treewarden.topologies.chaos import ContextFull, Model, World, faults
from treewarden.topologies.chaos.run import Body, Run, Setting, run_world
from treewarden.topologies.chaos.subjects import SUBJECTS
from treewarden.topologies.chaos.world import AS_IT_IS, Arm
from treewarden.topologies.core.faults import Fault, Injection

OFTEN = Intensity(1000, 1.0)


def at(fault: Fault, *, target: str = "*") -> tuple[Injection, ...]:
    """It comes once, early."""
    return (Injection(fault.kind, target, 0.1, knobs=fault.knobs),)


def decided(run: Run) -> list[str]:
    return [mark.text for mark in run.marks if mark.kind == "decision"]


def test_a_leak_ends_the_process_where_nobody_acts_and_not_where_it_is_recycled() -> None:
    body, injections = SUBJECTS["tree/one_for_one/message"].run, at(faults.leak(), target="clerk")
    setting = Setting(within=30.0)
    patient = run_world(body, 1, setting, injections=injections)
    assert (patient.failures, patient.faults["out_of_memory"]) == ((), 3)  # nothing acknowledged is lost all the same
    assert set(decided(patient)) == {"resume"}
    recycling = run_world(body, 1, setting, injections=injections, arm=Arm(lambda each: evolve(each, policy=belief())))
    assert (recycling.failures, recycling.faults) == ((), {"leak": 1})
    assert decided(recycling).count("recycle") >= 3


@frozen
class Look:
    page: int


class Reader(Agent[None]):
    """Asks a model about each page. What does not fit any more is met by `meets`."""

    def __init__(self, world: World, model: Model, meets: str) -> None:
        self.world, self.model, self.meets = world, model, meets

    @handles
    async def look(self, message: Look) -> None:
        while True:
            try:
                await self.model.ask(500)
                break
            except ContextFull:
                if self.meets == "a new life":
                    raise
                if self.meets == "a summary":
                    self.model.shorten(to=200)
                self.world.sometimes("it did not fit")
                await trio.sleep(1.0)
        await self.world.outside.effect(f"page {message.page}", idempotent=True)


def reads(meets: str, **spec: Any) -> Body:
    async def body(world: World) -> None:
        args = {"world": world, "model": world.outside.model("model"), "meets": meets}
        reader = child(Reader, args=args, mailbox=MailboxSpec(deliveries=5), **spec)
        await world.start(tree(reader, restarts=OFTEN))
        for page in range(4):
            await world.tell("reader", Look(page))
            await trio.sleep(0.2)
        await world.eventually(all_read, within=60.0)

    return body


def all_read(world: World) -> str:
    missing = {f"page {page}" for page in range(4)} - {effect.key for effect in world.outside.effects}
    return f"not read: {', '.join(sorted(missing))}" if missing else ""


@pytest.mark.parametrize(
    ("meets", "failure", "decisions"),
    [
        ("patience", "all_read: not read: page 1, page 2, page 3", []),
        ("a summary", None, []),
        ("a new life", None, ["restart"]),
    ],
)
def test_a_full_context_is_seen_by_the_agent(meets: str, failure: str | None, decisions: list[str]) -> None:
    run = run_world(reads(meets), 1, Setting(within=2.0), injections=at(faults.full_context()))
    assert run.failures == (() if failure is None else (failure,))
    assert (run.faults, decided(run)) == ({"full_context": 1}, decisions)


def test_asking_fills_the_window_by_itself() -> None:
    async def body(world: World) -> None:
        model = world.outside.model("model", window=1000)
        await model.ask(600)
        assert (model.used, model.room) == (600, 400)
        with pytest.raises(ContextFull, match="500 tokens, and there is room for 400") as refused:
            await model.ask(500)
        assert (refused.value.response.status_code, refused.value.room, model.used) == (400, 400, 600)
        model.shorten(to=100)
        assert await model.ask(500, answer="yes") == "yes"

    assert run_world(body, 1, Setting(within=0.1)).failures == ()


def test_a_loop_is_seen_by_what_is_called_and_by_nothing_else() -> None:
    injections = at(faults.tool_loop(seconds=1800.0))
    blind = run_world(reads("patience", progress_within=5.0), 1, Setting(within=2.0), injections=injections)
    assert (blind.failures, decided(blind)) == (("all_read: not read: page 1, page 2, page 3",), [])
    seen = run_world(
        reads("patience", progress_within=5.0, loops=LoopLimit()), 1, Setting(within=2.0), injections=injections
    )
    assert (seen.failures, seen.faults, decided(seen)) == ((), {"tool_loop": 1}, ["restart"])
    (opened,) = [event for _, event in seen.facts if type(event).__name__ == "IncidentOpened"]
    assert "search -> read, 3 times" in getattr(opened, "text", "")


def test_a_loop_ends_by_itself() -> None:
    run = run_world(reads("patience"), 1, Setting(within=2.0), injections=at(faults.tool_loop(seconds=20.0, every=0.1)))
    assert (run.failures, run.faults) == ((), {"tool_loop": 1})


@pytest.mark.parametrize("make", [faults.leak, faults.tool_loop, faults.full_context, faults.torn_write])
def test_each_comes_as_its_seed_and_its_budget_say(make: Callable[..., Fault]) -> None:
    setting = Setting(faults=(make(rate=5.0, budget=2),), within=3.0)
    runs = [run_world(reads("a summary", loops=LoopLimit()), seed, setting, arm=AS_IT_IS) for seed in (1, 2, 1)]
    assert runs[0].digest == runs[2].digest != runs[1].digest
    for run in runs:
        struck = [mark for mark in run.marks if mark.kind == "fault" and mark.text == setting.faults[0].kind]
        assert 0 < len(struck) <= 2
        assert all(mark.at <= 3.2 for mark in struck)  # then it is quiet
