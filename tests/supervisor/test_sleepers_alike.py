"""Whatever is done to children that sleep: nobody can tell them from children with all that belongs to one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreeFailed, TreewardenError
from treewarden.supervisor import BRUTAL_KILL, ChildSpec, Strategy, SupervisorSpec, otp
from treewarden.supervisor.core.event import ChildStartFailed, TreeOpened
from treewarden.supervisor.core.spec import Intensity, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.sleeper import may_sleep
from treewarden.topologies import Tree, child, open_tree, tree

MADE: list[str] = []
"""What was made, by the argument that it was given."""


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


@frozen
class Fail: ...


class Sleepy(Agent[int]):
    state = 0

    def __init__(self, word: str = "") -> None:
        MADE.append(word)
        if word == "own":
            self.state = 100 + len(MADE)

    @handles
    def add(self, message: Add) -> None:
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError("told to")


def leaf(asleep: bool, id: str, word: str = "", **options: Any) -> ChildSpec:
    """Who uses something that may be down is no sleeper, and else the same."""
    box, uses = MailboxSpec(durability=VOLATILE), () if asleep else ("api",)
    return child(Sleepy, id=id, args={"word": word}, mailbox=box, uses=uses, **options)


def blueprint(asleep: bool, strategy: Strategy, version: int = 0) -> SupervisorSpec:
    """A group, a dynamic supervisor, and a few beside them; each version differs in something."""
    members = [leaf(asleep, f"n{n}", "own" if n == 1 else "") for n in range(4)]
    members[3] = evolve(members[3], restart=RestartPolicy.TEMPORARY)
    if version == 1:
        members = [evolve(members[0], stable_after=77), *members[2:], leaf(asleep, "late")]
    group = tree(*members, id="g", strategy=strategy, restarts=Intensity(3, 5))
    template = leaf(asleep, "job", stable_after=10.0 + version)
    below = tree(template, id="d", strategy=Strategy.DYNAMIC, max_children=3)
    return tree(leaf(asleep, "a", progress_within=3.0), group, below, policy=otp(), restarts=Intensity(4, 5))


class Busy(Sleepy):
    async def on_stop(self, exit: Exit) -> None: ...


Step = tuple[str, str, str]


async def step(running: Tree, asleep: bool, strategy: Strategy, what: Step) -> Any:
    """Do one thing; returns all that can be seen of it."""
    name, above, id = what
    path, supervisor = Path.parse(above) / id, running.supervisor(above)
    calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
        "terminate": lambda: supervisor.terminate_child(id),
        "restart": lambda: supervisor.restart_child(id),
        "delete": lambda: supervisor.delete_child(id),
        "start": lambda: supervisor.start_child(leaf(asleep, id)),
        "start_dynamic": lambda: supervisor.start_dynamic(id=id),
        "broken_dynamic": lambda: supervisor.start_dynamic({"word": "x", "nonsense": 1}, id=id),
        "named_dynamic": lambda: supervisor.start_dynamic({"word": "own"}),
        "terminate_dynamic": lambda: supervisor.terminate_dynamic(id),
        "spec": lambda: supervisor.spec(id),
        "count": lambda: supervisor.count(),
        "stop": lambda: running.supervisor(path).stop(),
        "ask": lambda: running.ref(path).ask(Total(), within=1),
        "drain": lambda: running.drain(path, within=1),
        "reload": lambda: running.reload(blueprint(asleep, strategy, version=len(id) % 2)),
    }
    match name:
        case "tell" | "fail":
            running.ref(path).tell_nowait(Add(1) if name == "tell" else Fail())
        case "kill":
            return running.kill(path)
        case "signal":
            running.signal(path, {"kind": "slow", "severity": 0.3})
        case "wait":
            await trio.sleep(1)
        case "watch":
            async with running.watch(path) as ends:
                with trio.move_on_after(0.5):
                    return await anext(ends)
        case "children":
            views = await supervisor.children()
            return [(view, running.snapshot()) for view in views]
        case _:
            return await calls[name]()
    return None


async def story(asleep: bool, strategy: Strategy, steps: list[Step]) -> list[Any]:
    """What is seen while these are done, and what the journal tells in the end."""
    journal, seen = MemoryJournal(), list[Any]()
    MADE.clear()
    try:
        async with open_tree(blueprint(asleep, strategy), journal=journal, seed=1, wall=lambda: 0.0) as running:
            for what in steps:
                try:
                    found = await step(running, asleep, strategy, what)
                except TreewardenError as error:
                    found = repr(error)
                await trio.testing.wait_all_tasks_blocked()
                seen.append((what, str(found).replace("uses=('api',)", "uses=()"), len(MADE)))
            refs = [running.ref(status.path) for status in running.snapshot() if not status.supervisor]
            seen += [running.supervisor().busy, running.handled]
        for ref in refs:
            try:
                ref.tell_nowait(Add(1))
            except TreewardenError as error:
                seen.append(repr(error))
    except TreeFailed as error:
        seen.append(str(error))
    async with journal:
        events = [record.event for record in await journal.read(limit=100_000)]
    return [*seen, *(told(event) for event in events if not isinstance(event, TreeOpened))]


def told(event: Any) -> Any:
    """What an agent raises while it is made comes by other lines of ours."""
    if isinstance(event, ChildStartFailed):
        return evolve(event, failure=evolve(event.failure, trace=""))
    return event


def both(strategy: Strategy, steps: list[Step]) -> tuple[list[Any], list[Any]]:
    one, other = (
        trio.run(story, asleep, strategy, steps, clock=trio.testing.MockClock(autojump_threshold=0))
        for asleep in (True, False)
    )
    return one, other


def steps_of(words: str, *paths: str) -> list[Step]:
    """Each of these words, about each of these paths."""
    return [(word, str(Path.parse(path).parent), Path.parse(path).name) for word in words.split() for path in paths]


LEAF = "tell ask fail kill signal watch terminate restart delete start drain spec"
SINGLE = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
STEPS = st.one_of(
    st.sampled_from(steps_of(LEAF, "a", "g/n0", "g/n1", "g/n2", "g/n3", "g/late", "d/x")),
    st.sampled_from(steps_of("start_dynamic broken_dynamic named_dynamic terminate_dynamic", "d/x", "d/y", "d/job-1")),
    st.sampled_from(steps_of("kill terminate restart stop watch drain", "g", "d")),
    st.sampled_from([*steps_of("children count", "g/x", "d/x"), *steps_of("reload", "old", "ne", "wait")]),
    st.sampled_from([*steps_of("wait", "x"), ("start_dynamic", "d", "no id")]),
)


@settings(max_examples=60)
@given(st.sampled_from(SINGLE), st.lists(STEPS, max_size=10))
def test_nobody_can_tell_who_sleeps(strategy: Strategy, steps: list[Step]) -> None:
    asleep, not_asleep = both(strategy, steps)
    assert asleep == not_asleep


@pytest.mark.parametrize("strategy", SINGLE)
def test_a_long_day(strategy: Strategy) -> None:
    day = """children g; tell g n0; fail g n0; children g; ask g n1; kill / g; ask g n1; children g; watch g n2
        terminate g n2; watch g n2; ask g n2; delete g n2; start g n2; reload / old; reload / ne; children g
        start_dynamic d x; start_dynamic d x; terminate_dynamic d x; named_dynamic d x; broken_dynamic d y; children d
        terminate / g; tell g n0; restart / g; ask g n0; drain g n0; drain / d; count d x; stop / g; wait / x; ask g n1
        signal / a; tell / a; count / x; drain / g; ask g n1; ask d job-1; named_dynamic d x; children / x"""
    steps: list[Step] = []
    for line in day.replace("\n", ";").split(";"):
        name, above, *id = line.split()
        steps.append((name, above, id[0] if id else "x"))
    asleep, not_asleep = both(strategy, steps)
    assert asleep == not_asleep


def test_it_is_known_who_may_sleep() -> None:
    sleepy = leaf(True, "a")
    assert may_sleep(sleepy)
    assert not may_sleep(leaf(False, "a"))
    assert not may_sleep(tree(id="a"))
    for change in (
        {"mailbox": MailboxSpec()},
        {"outlet": ("../b",)},
        {"agent": Busy},
        {"shutdown": BRUTAL_KILL},
        {"intake": IntakeLimit(oldest=1.0)},
    ):
        assert not may_sleep(evolve(sleepy, **change)), change
    assert not may_sleep(evolve(sleepy, significant=True, restart=RestartPolicy.TRANSIENT))
