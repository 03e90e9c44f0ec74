"""A policy that fails takes nobody with it: another one decides, and the journal says why."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.core.said import shown
from treewarden.supervisor import NO_BACKOFF, ChildSpec, Intensity, Policy
from treewarden.supervisor.core.action import Break, Escalate, FallBack, Hold, Perform, Restart, Scope, Throttle
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.event import Decided, Event, IncidentOpened, SignalNoted
from treewarden.supervisor.core.fallback import checked
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.ladder import Ladder
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.ops.telling import story_lines
from treewarden.supervisor.views import incidents
from treewarden.topologies import child, open_tree, tree

from ..journals import on_disk
from .core.cases import case, exited

HALF = "caf\udce9"
"""As a name in Latin-1 that was read as UTF-8."""
WRITTEN = "caf\\udce9"


@frozen
class Crash: ...


@frozen
class Alive(Request[bool]): ...


class Fragile(Agent[None]):
    @handles
    def crash(self, message: Crash) -> None:
        raise RuntimeError("told to")

    @handles
    def alive(self, message: Alive) -> bool:
        return True


def bug(*_: object) -> Any:
    raise LookupError("a bug in the policy")


class Odd(BaseException):
    pass


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def throws(error: BaseException) -> Callable[[Case], Any]:
    def propose(_: Case) -> Any:
        raise error

    return propose


def restart(_: Case) -> Any:
    return (Option(Restart(), "mine", "a reason"),)


def nothing(_: Case) -> Any:
    return ()


def no_value(_: Case) -> Any:
    return ("hold",)


@frozen
class Custom:
    """A policy of a user's, some part of which is broken."""

    proposes: Callable[[Case], Any] = restart
    declines: Callable[[Case], Any] = nothing
    name: Any = "custom"
    counts_alike: Any = False
    escalates: Any = True
    stable_after: Any = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        return self.proposes(case)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return self.declines(case)


class Bare:
    """Not even that: it has no name and no flags."""

    def propose(self, case: Case) -> tuple[Option, ...]:
        return restart(case)


@frozen
class BrokenLadder(Ladder):
    broken: bool = field(default=True, kw_only=True)

    def propose(self, case: Case) -> tuple[Option, ...]:
        return bug()


def fragile() -> ChildSpec:
    return child(Fragile, id="a", backoff=NO_BACKOFF, mailbox=MailboxSpec(durability=VOLATILE))


async def crashed(policy: Any, journal: Any = None) -> list[Event]:
    """The facts of one crash under this policy, from the end to the next life."""
    journal = journal or MemoryJournal()
    async with open_tree(tree(fragile(), policy=policy), journal=journal) as running:
        await running.ref("a").tell(Crash())
        assert await running.ref("a").ask(Alive())
        assert running.snapshot()[0].incarnation == 2
        found = list[Event]()
        while not any(isinstance(event, Decided) for event in found):
            await journal.wait_beyond(len(found))
            found = [record.event for record in await journal.read()]
    return [event for event in found if isinstance(event, (IncidentOpened, SignalNoted, Decided))]


WRONG: list[tuple[Any, str]] = [
    (Custom(bug), "custom: LookupError: a bug in the policy (supervisor/test_policy_failed.py:"),
    (
        Custom(throws(Unreadable())),
        "custom: tests.supervisor.test_policy_failed.Unreadable: <its text could not be read>",
    ),
    (Custom(throws(Odd("base"))), "custom: RuntimeError: it raised tests.supervisor.test_policy_failed.Odd: base"),
    (Custom(throws(GeneratorExit())), "custom: RuntimeError: it raised GeneratorExit"),
    (
        Custom(throws(BaseExceptionGroup("odd", [Odd("in a group")]))),
        "it raised tests.supervisor.test_policy_failed.Odd: odd",
    ),
    (Custom(lambda _: None), "custom: TypeError: 'NoneType' object is not iterable"),
    (Custom(lambda _: ("restart",)), "custom: TypeError: it proposed 'restart'; propose() returns a tuple of Option"),
    (Custom(lambda _: (Option("restart", "mine", "why"),)), "it proposed 'restart', which is no action; take one of"),  # type: ignore[arg-type]
    (Custom(lambda _: (Option(Restart(), "mine", None),)), "an Option whose reason is None; it must be a text"),  # type: ignore[arg-type]
    (
        Custom(lambda _: (Option(Restart(Scope.ONE, "soon"), "mine", "why"),)),  # type: ignore[arg-type]
        "it proposed a restart whose after is 'soon'; it must be a number of seconds",
    ),
    (Custom(lambda _: (Option(Restart(1), "mine", "why"),)), "a restart whose scope is 1; it must be a Scope"),  # type: ignore[arg-type]
    (Custom(lambda _: (Option(Throttle(None), "mine", "why"),)), "a throttle whose seconds is None"),  # type: ignore[arg-type]
    (Bare(), "Bare: AttributeError: 'Bare' object has no attribute 'counts_alike'"),
]


@pytest.mark.parametrize(("policy", "text"), WRONG, ids=[text for _, text in WRONG])
async def test_the_ladder_decides_where_a_policy_fails(
    policy: Any, text: str, autojump_clock: trio.testing.MockClock
) -> None:
    opened, noted, decided, *_ = await crashed(policy)
    assert isinstance(opened, IncidentOpened)
    assert isinstance(noted, SignalNoted)
    assert (noted.kind, noted.severity) == ("policy_failed", 1.0)
    assert text in noted.text
    assert isinstance(decided, Decided)
    assert (decided.policy, decided.rule, decided.action) == ("ladder", "crash", "restart")
    assert decided.because[1] == f"{noted.facts['policy']} failed, so ladder decides"


class HalfLadder(Ladder):
    """Nothing that it says is checked: it is one of ours."""

    def propose(self, case: Case) -> tuple[Option, ...]:
        return (Option(Restart(), HALF, HALF, HALF),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return (Declined("hold", HALF),)


@pytest.mark.parametrize(
    "policy",
    [
        Custom(lambda _: (Option(Restart(), HALF, HALF, HALF),), lambda _: (Declined("hold", HALF),), name=HALF),
        HalfLadder(),
    ],
    ids=["custom", "ladder"],
)
async def test_half_a_character_loses_no_decision(
    policy: Any, tmp_path: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Nor what is written in the same commit: the end of the life, and the incident."""
    with trio.fail_after(30):
        opened, decided, *_ = await crashed(policy, on_disk(tmp_path / "tree.db"))
    assert isinstance(opened, IncidentOpened)
    assert isinstance(decided, Decided)
    assert decided.policy in (WRITTEN, "ladder")
    assert (decided.rule, decided.because[0], decided.next) == (WRITTEN, WRITTEN, WRITTEN)
    assert [each.why for each in decided.rejected] == [WRITTEN]


@pytest.mark.parametrize(
    ("proposed", "done"),
    [
        (Hold(HALF), Hold(WRITTEN)),
        (Escalate(HALF), Escalate(WRITTEN)),
        (Break(HALF, 2.0), Break(WRITTEN, 2.0)),
        (FallBack(HALF), FallBack(WRITTEN)),
        (Perform(HALF, 1.0), Perform(WRITTEN, 1.0)),
    ],
)
def test_half_a_character_in_what_is_to_be_done(proposed: Any, done: Any) -> None:
    """It is journaled with what comes of it, too."""
    policy = checked(Custom(lambda _: (Option(proposed, "mine", "why", certain=True),)))
    assert policy.propose(case(exited())) == (Option(done, "mine", "why", certain=True),)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_ctrl_c_in_a_policy_is_not_its_failure(
    error: type[BaseException], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(error):
        await crashed(Custom(throws(error())))


async def test_a_policy_that_was_too_slow_is_not_asked_for_a_minute(autojump_clock: trio.testing.MockClock) -> None:
    def slowly(case: Case) -> Any:
        autojump_clock.jump(3)
        return restart(case)

    journal = MemoryJournal()
    async with open_tree(
        tree(fragile(), policy=Custom(slowly), restarts=Intensity(100, 1)), journal=journal
    ) as running:
        for pause in (1, 1, 61, 1):
            await running.ref("a").tell(Crash())
            assert await running.ref("a").ask(Alive())
            await trio.sleep(pause)
        found = [record.event for record in await journal.read(limit=1000)]
    decided = [event for event in found if isinstance(event, Decided)]
    assert [event.policy for event in decided] == ["custom", "ladder", "ladder", "custom"]
    assert decided[1].because[1] == "custom was too slow, so ladder decides"
    slow = [event for event in found if isinstance(event, SignalNoted) and event.kind == "policy_slow"]
    assert [event.text for event in slow] == [
        "custom: it took 3 s to decide, and everything else waited; it is not asked for 60 s"
    ] * 2


async def test_otp_decides_where_the_ladder_fails(autojump_clock: trio.testing.MockClock) -> None:
    _, noted, decided = await crashed(BrokenLadder())
    assert isinstance(noted, SignalNoted)
    assert noted.text.startswith("ladder: LookupError: a bug in the policy")
    assert isinstance(decided, Decided)
    assert (decided.policy, decided.because[1]) == ("otp", "ladder failed, so otp decides")


async def test_it_is_asked_again_about_the_next_failure(autojump_clock: trio.testing.MockClock) -> None:
    faults = [bug]
    policy = Custom(lambda case: faults.pop()() if faults else restart(case))
    journal = MemoryJournal()
    async with open_tree(tree(fragile(), policy=policy), journal=journal) as running:
        for _ in range(2):
            await running.ref("a").tell(Crash())
            assert await running.ref("a").ask(Alive())
        decided = [record.event for record in await journal.read() if isinstance(record.event, Decided)]
    assert [(each.policy, each.rule) for each in decided] == [("ladder", "crash"), ("custom", "mine")]


async def test_a_failed_policy_leaves_the_limits_as_they_are(autojump_clock: trio.testing.MockClock) -> None:
    """A restart is counted once, whoever decides about it."""
    journal = MemoryJournal()
    async with open_tree(tree(fragile(), policy=Custom(bug)), journal=journal) as running:
        for _ in range(3):
            await running.ref("a").tell(Crash())
            assert await running.ref("a").ask(Alive())
        assert running.snapshot()[0].restarts == 3


@pytest.mark.parametrize(
    ("declines", "text"),
    [
        (bug, "custom could not say what it declined: LookupError: a bug in the policy"),
        (
            throws(Unreadable()),
            "custom could not say what it declined: tests.supervisor.test_policy_failed.Unreadable: <its text",
        ),
        (throws(Odd("base")), "custom could not say what it declined: RuntimeError: it raised"),
        (no_value, "custom could not say what it declined: TypeError: it declined 'hold'"),
    ],
    ids=["raises", "cannot be read", "a BaseException", "no Declined"],
)
async def test_a_policy_that_cannot_explain_itself_has_decided_all_the_same(
    declines: Callable[[Case], Any], text: str, tmp_path: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    for journal in (MemoryJournal(), on_disk(tmp_path / "tree.db")):
        _, decided = await crashed(Custom(declines=declines), journal)
        assert isinstance(decided, Decided)
        assert (decided.policy, decided.rule) == ("custom", "mine")
        assert decided.because[-1].startswith(text)


@pytest.mark.parametrize("seconds", ["soon", float("nan"), -1.0, 10**400])
async def test_a_time_that_is_none_is_not_taken_for_one(seconds: Any, autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    policy = Custom(stable_after=seconds)
    async with open_tree(tree(evolve(fragile(), stable_after=7.0), policy=policy), journal=journal) as running:
        await running.ref("a").tell(Crash())
        assert await running.ref("a").ask(Alive())
        await trio.sleep(7.5)
        found = [record.event for record in await journal.read()]
    assert f"its stable_after is {shown(seconds)}" in next(each.text for each in found if isinstance(each, SignalNoted))
    assert type(found[-1]).__name__ == "IncidentClosed"


async def test_what_why_says_of_it(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    policy: Policy = Custom(bug)
    async with open_tree(tree(fragile(), policy=policy), journal=journal) as running:
        await running.ref("a").tell(Crash())
        assert await running.ref("a").ask(Alive())
        told = incidents.fold(incidents.Incidents(), await journal.read())
    (story,) = told.stories.values()
    text = "\n".join(story_lines(story))
    assert "policy_failed" in text
    assert "LookupError: a bug in the policy" in text
    assert "custom failed, so ladder decides" in text
