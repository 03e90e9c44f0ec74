"""What users of a broken dependency are at: calls that were on their way when it broke, and tries without an answer."""

from __future__ import annotations

import trio
import trio.testing
from attrs import define, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.supervisor.core import event as events
from treewarden.supervisor.core.action import Action, Break, Restart
from treewarden.supervisor.core.breaker import PROBE_WITHIN
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.signal import Reported
from treewarden.supervisor.core.spec import ChildSpec, SupervisorSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child, supervisor
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Call:
    """Use it, for so many seconds."""

    seconds: float = 0.0
    error: type[Exception] = ConnectionRefusedError


@define
class Outside:
    """What all of them use."""

    down: bool = True
    calls: list[tuple[float, str]] = field(factory=list[tuple[float, str]])


class User(Agent[None]):
    def __init__(self, name: str, outside: Outside) -> None:
        self.name, self.outside = name, outside

    @handles
    async def call(self, message: Call) -> None:
        self.outside.calls.append((trio.current_time(), self.name))
        await trio.sleep(message.seconds)
        if self.outside.down:
            raise message.error("nobody listens")


@frozen
class Breaks:
    """Breaks the dependency for five seconds where it does not answer, and restarts after other failures."""

    name: str = "breaks"
    counts_alike: bool = True
    escalates: bool = False
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        if isinstance(case.signal, Reported):
            return ()
        refused = "ConnectionRefused" in repr(case.signal)
        action: Action = Break("api", 5.0) if refused else Restart()
        return (Option(action, "rule", "because"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


def users(outside: Outside, *groups: str) -> SupervisorSpec:
    """A user for each letter, in a supervisor for each text."""
    volatile = MailboxSpec(durability=VOLATILE)

    def user(name: str) -> ChildSpec:
        return child(User, id=name, args={"name": name, "outside": outside}, uses=("api",), mailbox=volatile)

    below = [supervisor(group, children=tuple(user(name) for name in group)) for group in groups]
    return tree(*below, policy=Breaks())


async def decided(journal: MemoryJournal) -> list[tuple[str, str]]:
    """What was decided about whom."""
    found = [record.event for record in await journal.read(limit=10_000)]
    return [(str(each.path), each.action) for each in found if isinstance(each, events.Decided)]


async def changes(journal: MemoryJournal) -> list[tuple[str, str]]:
    found = [record.event for record in await journal.read(limit=10_000)]
    return [(each.passage, each.why) for each in found if isinstance(each, events.DependencyChanged)]


async def test_a_call_that_was_on_its_way_fails_for_the_reason_that_is_known(autojump_clock: CLOCK) -> None:
    outside, journal = Outside(), MemoryJournal()
    async with open_tree(users(outside, "a", "bc"), journal=journal) as running:
        await running.ref("bc/b").tell(Call(2.0))
        await running.ref("bc/c").tell(Call(2.0, ZeroDivisionError))
        await running.ref("a/a").tell(Call())
        await trio.sleep(3)
        assert await decided(journal) == [("a/a", "break"), ("bc/c", "restart")]
        notes = {str(slot.path): slot.note for slot in running.snapshot()}
        assert notes["bc/b"] == "waits for api"


async def test_who_is_stopped_while_it_tries_hands_that_over(autojump_clock: CLOCK) -> None:
    outside, journal = Outside(), MemoryJournal()
    async with open_tree(users(outside, "abc"), journal=journal) as running:
        await running.ref("abc/a").tell(Call())
        await trio.sleep(1)
        outside.down = False
        await running.ref("abc/b").tell(Call(40.0))
        await trio.sleep(15)
        assert [name for _, name in outside.calls] == ["a", "b"]
        await running.ref("abc/c").tell(Call())
        await running.supervisor("abc").terminate_child("b")
        await trio.sleep(3)
        assert [name for _, name in outside.calls] == ["a", "b", "c"]
        assert (await changes(journal))[-2:] == [("half_open", "one user tries"), ("closed", "the probe worked")]


async def test_a_try_that_takes_too_long_has_failed(autojump_clock: CLOCK) -> None:
    outside, journal = Outside(), MemoryJournal()
    async with open_tree(users(outside, "ab"), journal=journal) as running:
        await running.ref("ab/a").tell(Call())
        await trio.sleep(1)
        await running.ref("ab/b").tell(Call(500.0))
        await trio.sleep(15)
        begun = {name: at for at, name in outside.calls}["b"]
        running.signal("ab/b", {"kind": "odd", "severity": 0.1})  # what it says of something else is no answer
        await trio.sleep_until(begun + PROBE_WITHIN - 1)
        assert (await changes(journal))[-1] == ("half_open", "one user tries")
        await trio.sleep(3)
        assert (await changes(journal))[-1] == ("open", "the probe took too long")


async def test_what_nobody_uses_any_more_is_not_broken(autojump_clock: CLOCK) -> None:
    outside, journal = Outside(), MemoryJournal()
    async with open_tree(users(outside, "ab"), journal=journal) as running:
        await running.ref("ab/a").tell(Call())
        await trio.sleep(1)
        for name in "ab":
            await running.supervisor("ab").terminate_child(name)
        await trio.sleep(10)
        assert (await changes(journal))[-1] == ("closed", "nobody who uses it is left")
        outside.down = False
        await running.supervisor("ab").restart_child("b")
        await running.ref("ab/b").tell(Call())
        await trio.sleep(0.1)
        assert [name for _, name in outside.calls] == ["a", "b"]
