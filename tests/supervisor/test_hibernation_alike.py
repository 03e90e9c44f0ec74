"""Whatever is done to agents that fall asleep and wake: they do what they would have done had they never slept."""

from __future__ import annotations

import contextvars
import math
import re
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import RateLimited, Stop, TreewardenError
from treewarden.supervisor import NO_BACKOFF, Intensity, SupervisorSpec, otp
from treewarden.supervisor.core.event import TreeOpened
from treewarden.supervisor.core.policies import kubernetes
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import Tree, child, open_tree, tree

AFTER = 0.75
WAY = re.compile(r"""trace=(['"])(\\.|(?!\1).)*\1""")
"""It says through which functions of ours a handler was called."""
LOG: list[Any] = []
"""What the agents did, and when; none of it is settled or undone."""
MARK: contextvars.ContextVar[int] = contextvars.ContextVar("mark", default=0)


@frozen
class Add:
    amount: int
    seconds: float = 0.0


@frozen
class Say:
    """Do what this word says."""

    word: str


@frozen
class Total(Request[int]):
    seconds: float = 0.0


@frozen
class Due:
    number: int


class Worker(Agent[int]):
    state = 0
    lives = 0

    @handles
    def add_at_once(self, message: Due) -> None:
        self.state += message.number
        self._note("due", message.number)

    @handles
    async def add(self, message: Add) -> None:
        if message.seconds:
            await trio.sleep(message.seconds)
        self.state += message.amount
        self._note("add", message.amount)

    @handles
    async def total(self, message: Total) -> int:
        await trio.sleep(message.seconds)
        return self.state

    @handles
    def say(self, message: Say) -> None:
        self.state += 1
        self._note(message.word)
        match message.word:
            case "fail":
                raise ValueError("told to")
            case "end":
                raise Stop
            case "limited":
                if MARK.get() < 3:
                    MARK.set(MARK.get() + 1)
                    raise RateLimited(2.0)
            case "later":
                self.after(1.5, Due(100), key="later")
            case "often":
                self.after(1.0, Due(7), key="often", every=2.0)
            case "off":
                self.call_off("often")
            case "stash":
                self.stash(Add)
            case "unstash":
                self.unstash()
            case "help":
                self.start_soon(self._help)
            case "keep":
                self.checkpoint("by name")
            case _:
                MARK.set(MARK.get() + 1)

    async def _help(self) -> None:
        await trio.sleep(2.5)
        self._note("helped")
        if self.state % 3 == 0:
            raise ValueError("a helper")
        self.ref(str(self.path)).tell_nowait(Due(3)) if self.state % 2 else None

    def _note(self, *what: Any) -> None:
        LOG.append((round(trio.current_time(), 3), str(self.path), *what, self.state, MARK.get()))


class Starter(Worker):
    async def on_start(self) -> None:
        MARK.set(10)
        self._note("on_start")


class Stopper(Worker):
    async def on_stop(self, exit: Exit) -> None:
        self._note("on_stop", type(exit).__name__)


class Ticker(Worker):
    @every(3)
    async def tick(self) -> None:
        self.state += 1000
        self._note("tick")


KINDS: dict[str, type[Worker]] = {"plain": Worker, "starts": Starter, "stops": Stopper, "ticks": Ticker}
LEVELS: dict[str, Durability] = {
    "memory": VOLATILE,
    "some": Checkpointed(messages=3),
    "seconds": Checkpointed(seconds=2),
}


def blueprint(sleeps: bool, level: str) -> SupervisorSpec:
    return tree(
        *(
            child(
                agent,
                id=id,
                mailbox=MailboxSpec(capacity=4, durability=LEVELS.get(level, MESSAGE)),
                progress_within=6.0,
                backoff=NO_BACKOFF,
                hibernate_after=AFTER if sleeps else math.inf,
            )
            for id, agent in KINDS.items()
        ),
        policy=otp() if level == "memory" else kubernetes(),
        restarts=Intensity(1000, 1.0),
    )


Step = tuple[str, str, float]


async def step(running: Tree, what: Step) -> Any:
    name, id, number = what
    ref, root = running.ref(id), running.supervisor()
    match name:
        case "tell":
            return await ref.tell(Add(int(number)), within=1)
        case "slow":
            return await ref.tell(Add(1, seconds=number), within=1)
        case "ask":
            return await ref.ask(Total(), within=4)
        case "low":
            return ref.tell_nowait(Due(int(number)), priority=Priority.LOW)
        case "wait":
            return await trio.sleep(number)
        case "kill":
            return running.kill(id)
        case "terminate":
            return await root.terminate_child(id)
        case "restart":
            return await root.restart_child(id)
        case "drain":
            return await running.drain(id, within=number)
        case "children":
            return await root.children()
        case "statistics":
            return ref.statistics()
        case _:
            return ref.tell_nowait(Say(name)) if level_allows(ref, name) else await ref.tell(Say(name), within=1)


def level_allows(ref: Any, name: str) -> bool:
    """Whether it may be told without waiting for the disk."""
    return not ref._find(ref.path).durable


async def story(sleeps: bool, level: str, steps: list[Step]) -> list[str]:
    """What is seen while these are done, what the agents noted, and what the journal tells in the end."""
    journal, seen = MemoryJournal(), list[Any]()
    LOG.clear()
    async with open_tree(blueprint(sleeps, level), journal=journal, seed=1, wall=lambda: 0.0) as running:
        await trio.testing.wait_all_tasks_blocked()
        for what in steps:
            try:
                found = await step(running, what)
            except TreewardenError as error:
                found = repr(error)
            await trio.testing.wait_all_tasks_blocked()
            seen.append((trio.current_time(), what, str(found)))
        seen.append(str(running.snapshot()))
    async with journal:
        events = [record.event for record in await journal.read(limit=100_000)]
    told = [event for event in events if not isinstance(event, TreeOpened)]
    # trio runs those who are due at the same time in any order
    told.sort(key=lambda event: str(getattr(event, "path", "")))
    seen += [*sorted(LOG, key=lambda each: each[1]), *told]
    return [WAY.sub("", str(each).replace(journal.opened.tree, "")) for each in seen]


def both(level: str, steps: list[Step]) -> tuple[list[str], list[str]]:
    one, other = (
        trio.run(story, sleeps, level, steps, clock=trio.testing.MockClock(autojump_threshold=0))
        for sleeps in (True, False)
    )
    return one, other


SAYING = ["fail", "end", "limited", "later", "often", "off", "stash", "unstash", "help", "keep", "mark"]
IDS = st.sampled_from(sorted(KINDS))
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.just("plain"), st.sampled_from([0.1, 0.5, 0.75, 1.0, 1.6, 5.0])),
    st.tuples(st.sampled_from(SAYING), IDS, st.just(0.0)),
    st.tuples(st.sampled_from(["tell", "low", "ask"]), IDS, st.integers(1, 5).map(float)),
    st.tuples(st.sampled_from(["slow", "drain"]), IDS, st.sampled_from([0.2, 1.0, 8.0])),
    st.tuples(st.sampled_from(["kill", "terminate", "restart", "children", "statistics"]), IDS, st.just(0.0)),
)


@settings(max_examples=80)
@given(st.sampled_from(["memory", "some", "seconds", "message"]), st.lists(STEPS, max_size=14))
def test_nobody_can_tell_who_has_slept(level: str, steps: list[Step]) -> None:
    asleep, awake = both(level, steps)
    assert asleep == awake


@pytest.mark.parametrize("level", ["memory", "some", "seconds", "message"])
@pytest.mark.parametrize("id", sorted(KINDS))
def test_a_long_day(level: str, id: str) -> None:
    day = """mark tell wait5 ask mark wait5 fail wait1.6 ask later often wait5 help wait5 ask off wait5 stash tell
        tell wait5 unstash wait5 ask limited wait5 tell wait5 ask keep tell slow8 wait5 ask wait5 kill ask wait5
        terminate tell wait1.6 restart wait5 ask end wait5 ask drain1 restart ask wait5 often wait5 statistics
        children wait5 tell"""
    steps: list[Step] = []
    for word in day.split():
        name = word.rstrip("0123456789.")
        steps.append((name, id, float(word[len(name) :] or 2)))
    asleep, awake = both(level, steps)
    assert asleep == awake
