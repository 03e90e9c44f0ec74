"""First crashes are answered at once: nobody can tell that from a supervisor that looks at the whole case each time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import TreeFailed, TreewardenError
from treewarden.supervisor import NO_BACKOFF, ChildSpec, Policy, Strategy, SupervisorSpec
from treewarden.supervisor.core.event import Decided, TreeOpened
from treewarden.supervisor.core.first_crash import FirstCrash
from treewarden.supervisor.core.ladder import Ladder
from treewarden.supervisor.core.policies import Otp
from treewarden.supervisor.core.spec import Intensity, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import Tree, child, open_tree, tree
from treewarden.topologies.chaos.determinism import ordered_by


class LooksAtAllOtp(Otp):
    """The same rules, of a class that is not known to answer at once."""


class LooksAtAllLadder(Ladder):
    """Likewise."""


POLICIES: dict[str, tuple[type[Any], type[Any]]] = {"otp": (Otp, LooksAtAllOtp), "ladder": (Ladder, LooksAtAllLadder)}
ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (ValueError, TimeoutError, ConnectionError, MemoryError, TypeError, KeyError)
}


class TooBusyOverload(Exception):
    """Whoever dies of this has had too much to do."""


class SlowDown(Exception):
    after = 3.0


ERRORS["TooBusyOverload"] = TooBusyOverload
ERRORS["SlowDown"] = SlowDown


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


@frozen
class Fail:
    kind: str


@frozen
class FailAnswering(Request[int]):
    kind: str


@frozen
class BreakNext:
    """Fail, and let the next life not begin."""


class Fragile(Agent[int]):
    state = 0

    def __init__(self, marks: list[str]) -> None:
        self.marks = marks
        if marks:
            raise ArithmeticError(marks.pop())

    @handles
    def add(self, message: Add) -> None:
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state

    @handles
    def fail(self, message: Fail) -> None:
        raise ERRORS[message.kind]("told to")

    @handles
    def fail_answering(self, message: FailAnswering) -> int:
        raise ERRORS[message.kind]("asked to")

    @handles
    def break_next(self, message: BreakNext) -> None:
        self.marks.append("not now")
        raise ValueError("told to")


def leaf(id: str, **options: Any) -> ChildSpec:
    marks: list[str] = []
    return child(Fragile, id=id, args={"marks": marks}, mailbox=MailboxSpec(durability=VOLATILE), **options)


def blueprint(policy: Policy, strategy: Strategy, most: int) -> SupervisorSpec:
    group = tree(
        leaf("at_once", backoff=NO_BACKOFF),
        leaf("later", uses=("api",)),
        leaf("own", backoff=NO_BACKOFF, restarts=Intensity(2, 5)),
        leaf("transient", backoff=NO_BACKOFF, restart=RestartPolicy.TRANSIENT, stable_after=1.0),
        leaf("temporary", restart=RestartPolicy.TEMPORARY),
        id="g",
        strategy=strategy,
        restarts=Intensity(most, 5),
    )
    return tree(group, policy=policy, restarts=Intensity(3, 5))


Step = tuple[str, str, str]


async def step(running: Tree, policy: Policy, strategy: Strategy, what: Step) -> Any:
    name, id, detail = what
    ref = running.ref(f"/g/{id}")
    match name:
        case "tell":
            ref.tell_nowait(Add(1))
        case "fail":
            ref.tell_nowait(Fail(detail))
        case "fail_answering":
            return await ref.ask(FailAnswering(detail), within=1)
        case "break_next":
            ref.tell_nowait(BreakNext())
        case "ask":
            return await ref.ask(Total(), within=1)
        case "kill":
            return running.kill(f"/g/{id}")
        case "signal":
            running.signal(f"/g/{id}", {"kind": "slow", "severity": 0.7})
        case "reload":
            await running.reload(blueprint(policy, strategy, most=7))
        case "watch":
            async with running.watch(f"/g/{id}") as ends:
                with trio.move_on_after(0.5):
                    return await anext(ends)
        case _:
            await trio.sleep(float(detail))
    return None


async def story(policy: Policy, strategy: Strategy, steps: list[Step], read: bool) -> list[Any]:
    """What is seen while these are done, and what the journal tells in the end."""
    journal, seen = MemoryJournal(), list[Any]()
    plan = blueprint(policy, strategy, most=3)
    try:
        async with open_tree(plan, journal=journal, seed=1, wall=trio.current_time) as running:
            for what in steps:
                try:
                    found = await step(running, policy, strategy, what)
                except TreewardenError as error:
                    found = repr(error)
                await trio.testing.wait_all_tasks_blocked()
                seen.append((what, str(found), trio.current_time(), str(running.snapshot())))
                if read:
                    await journal.read(limit=7)
    except TreeFailed as error:
        seen.append(str(error))
    async with journal:
        records = await journal.read(limit=100_000)
    return [
        *seen,
        *((record.seq, record.at, record.event) for record in records if not isinstance(record.event, TreeOpened)),
    ]


def both(name: str, strategy: Strategy, steps: list[Step], read: bool = False) -> tuple[list[Any], list[Any]]:
    told: list[list[Any]] = []
    for policy in POLICIES[name]:
        clock = trio.testing.MockClock(autojump_threshold=0)
        with ordered_by(1):
            told.append(trio.run(story, policy(), strategy, steps, read, clock=clock))
    return told[0], told[1]


IDS = st.sampled_from(["at_once", "later", "own", "transient", "temporary"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["fail", "fail", "fail_answering"]), IDS, st.sampled_from(sorted(ERRORS))),
    st.tuples(st.sampled_from(["tell", "ask", "kill", "signal", "watch", "break_next", "reload"]), IDS, st.just("")),
    st.tuples(st.just("wait"), st.just("own"), st.sampled_from(["0.3", "2", "12", "70"])),
)
STRATEGIES = Strategy.ONE_FOR_ONE, Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL


@settings(max_examples=80)
@given(
    st.sampled_from(sorted(POLICIES)),
    st.sampled_from(STRATEGIES),
    st.lists(STEPS, min_size=1, max_size=8),
    st.booleans(),
)
def test_nobody_can_tell_which_way_a_crash_was_answered(
    name: str, strategy: Strategy, steps: list[Step], read: bool
) -> None:
    at_once, looked_at = both(name, strategy, steps, read)
    assert at_once == looked_at


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bad_day(name: str, strategy: Strategy) -> None:
    """Each child in turn, then what follows on a first crash: the same again, calm, a start that fails, a reload."""
    steps: list[Step] = []
    for id in ("at_once", "later", "own", "transient", "temporary"):
        steps += [("fail", id, "ValueError"), ("ask", id, ""), ("wait", id, "2"), ("fail", id, "TypeError")]
        steps += [("wait", id, "70"), ("tell", id, ""), ("fail_answering", id, "ConnectionError"), ("wait", id, "70")]
        steps += [("break_next", id, ""), ("watch", id, ""), ("wait", id, "70"), ("reload", id, "")]
    at_once, looked_at = both(name, strategy, steps)
    assert at_once == looked_at
    assert sum(isinstance(each[2], Decided) for each in at_once if len(each) == 3) >= 15


async def test_it_is_the_first_crash_that_is_answered_at_once(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    begin = FirstCrash.__init__

    def noted(self: FirstCrash, path: Any, *given: Any) -> None:
        made.append(path.name)
        begin(self, path, *given)

    monkeypatch.setattr(FirstCrash, "__init__", noted)
    async with open_tree(blueprint(Ladder(), Strategy.ONE_FOR_ONE, most=5)) as running:
        for id, kind in (
            ("at_once", "ValueError"),
            ("at_once", "ValueError"),  # in trouble already
            ("own", "KeyError"),  # a limit of its own
            ("temporary", "MemoryError"),  # not restarted
            ("later", "ValueError"),  # a sibling was in the same trouble
            ("transient", "TypeError"),
        ):
            running.ref(f"/g/{id}").tell_nowait(Fail(kind))
            await trio.testing.wait_all_tasks_blocked()
    assert made == ["at_once", "transient"]
