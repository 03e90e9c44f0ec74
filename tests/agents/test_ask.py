"""Asking: the reply, the errors instead of one, and the limit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import (
    AgentFailed,
    AgentStopped,
    AskTimeout,
    ConfigurationError,
    MailboxFull,
    NotHandled,
    Stop,
)
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import NO_BACKOFF, RestartPolicy
from treewarden.supervisor.core.table import table
from treewarden.topologies.child import child

from .trees import Add, Counter, Disk, Gate, Held, Tally, Total, kept, opened, slot_of, volatile


@frozen
class Break(Request[int]):
    text: str = "unlucky"


@frozen
class Leave(Request[int]):
    reason: str | None = None


@frozen
class Odd(Request[int]):
    pass


@frozen
class Count(Request[int]):
    """Adds one, and replies how many there are now."""


class Fragile(Agent[Tally]):
    state = Tally()

    @handles
    async def break_down(self, message: Break) -> int:
        self.state = evolve(self.state, total=-1)
        raise ValueError(message.text)

    @handles
    def leave(self, message: Leave) -> int:
        self.state = evolve(self.state, total=self.state.total + 1)
        raise Stop(message.reason)

    @handles
    def count(self, message: Count) -> int:
        self.state = evolve(self.state, total=self.state.total + 1)
        return self.state.total

    @handles
    def total(self, message: Total) -> int:
        return self.state.total


HELD = table([Rule("crash", "hold"), Rule("reported:odd", "hold")])


@pytest.mark.parametrize("alive", [False, True])
async def test_a_slot_that_is_held_is_named_as_one(alive: bool, autojump_clock: MockClock) -> None:
    """Of one that was down it was said that nobody lives there at the moment: as if somebody would by himself."""
    async with opened(volatile(Fragile), policy=HELD) as running:
        fragile = running.ref("fragile")
        if alive:
            running.signal("fragile", {"kind": "odd", "severity": 1.0})
        else:
            with pytest.raises(AgentFailed):
                await fragile.ask(Break())
        await wait_all_tasks_blocked()
        error = await timed_out(fragile.ask(Total(), within=1))
        assert str(error).startswith("fragile: no reply to Total within 1 s: it is next, and the slot is held until")
        assert "`treewarden why FILE.db fragile`" in str(error)
        assert "`treewarden resume FILE.db fragile` or resume('fragile') of the tree lets it go on" in str(error)
        running.resume("fragile")
        assert await fragile.ask(Total(), within=1) == 0


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_the_reply_is_what_the_handler_returns(durability: Durability, autojump_clock: MockClock) -> None:
    async with opened(kept(Fragile, durability)) as running:
        fragile = running.ref("fragile")
        assert [await fragile.ask(Count()) for _ in range(3)] == [1, 2, 3]
        assert await fragile.ask(Total()) == 3


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_a_handler_that_raises_fails_its_asker_and_the_state_is_what_it_was(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Fragile, durability, backoff=NO_BACKOFF)) as running:
        fragile = running.ref("fragile")
        await fragile.ask(Count())
        with pytest.raises(AgentFailed, match="fragile: ValueError: unlucky") as failed:
            await fragile.ask(Break())
        assert failed.value.failure.type == "ValueError"
        assert failed.value.failure.message_kind == "Break"
        assert failed.value.path == "fragile"
        assert await fragile.ask(Total()) == 1
        await wait_all_tasks_blocked()
        (slot,) = running.snapshot()
        assert slot.restarts == 1  # the ask was not handled again


@pytest.mark.parametrize("reason", [None, "enough"])
@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_a_handler_that_ends_its_agent_settles_and_says_so(
    durability: Durability, reason: str | None, autojump_clock: MockClock
) -> None:
    async with opened(kept(Fragile, durability, restart=RestartPolicy.PERMANENT)) as running:
        fragile = running.ref("fragile")
        with pytest.raises(AgentStopped, match="fragile: it ended while it handled this ask"):
            await fragile.ask(Leave(reason))
        assert await fragile.ask(Total()) == 1


async def test_what_the_agent_does_not_handle(autojump_clock: MockClock) -> None:
    async with opened(volatile(Fragile)) as running:
        with pytest.raises(NotHandled, match="fragile: it does not handle Odd; it handles Break, Count, Leave, Total"):
            await running.ref("fragile").ask(Odd())


async def test_what_nobody_handles_is_answered_when_its_turn_comes(autojump_clock: MockClock) -> None:
    """Where it was not known what the slot handles: nobody had lived there."""
    async with opened(volatile(Fragile)) as running:
        slot = slot_of(running, "fragile")
        slot.handles = frozenset({*slot.handles, Odd})
        with pytest.raises(NotHandled, match="fragile: no handler for Odd"):
            await running.ref("fragile").ask(Odd())


async def test_an_agent_that_is_stopped_while_it_handles_an_ask(autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate}, restart=RestartPolicy.TEMPORARY)) as running:
        errors: list[Exception] = []

        async def ask() -> None:
            try:
                await running.ref("counter").ask(Held(), within=100)
            except Exception as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            nursery.start_soon(ask)  # this one waits in the mailbox
            await wait_all_tasks_blocked()
            running.kill("counter")
        assert [type(error) for error in errors] == [AgentFailed, AgentStopped]
        assert "killed" in str(errors[0])


# -- the limit


async def timed_out(ask: Any) -> AskTimeout:
    with pytest.raises(AskTimeout) as late:
        await ask
    assert isinstance(late.value, TimeoutError)
    return late.value


@pytest.mark.parametrize("within", [0.0, 0.001, 0.1, 1.0, 5.0, 7.3])
async def test_the_limit_is_kept_to_a_64th_of_a_second(within: float, autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate})) as running:
        await trio.sleep(0.003)
        before = trio.current_time()
        await timed_out(running.ref("counter").ask(Held(), within=within))
        assert within <= trio.current_time() - before <= within + 1 / 64


async def test_without_a_limit_it_waits_as_long_as_it_takes(autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate})) as running, trio.open_nursery() as nursery:

        async def ask() -> None:
            assert await running.ref("counter").ask(Held("x"), within=math.inf) == "x"

        nursery.start_soon(ask)
        await trio.sleep(1000)
        gate.open()


async def test_an_ask_that_timed_out_names_the_target_the_message_and_the_likely_cause(
    autojump_clock: MockClock,
) -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate}, capacity=3)) as running:
        counter, slot = running.ref("counter"), slot_of(running, "counter")
        error = await timed_out(counter.ask(Held(), within=1))
        assert str(error) == "counter: no reply to Held within 1 s: its handler is still running"
        assert not error.retry_safe
        error = await timed_out(counter.ask(Total(), within=0.5))
        assert str(error) == "counter: no reply to Total within 0.5 s: it is next, and Held is still being handled"
        assert error.retry_safe
        await counter.tell(Add())
        error = await timed_out(counter.ask(Total(), within=1))
        assert "2 messages are before it, and Held is still being handled" in str(error)
        error = await timed_out(counter.ask(Total(), within=2))
        assert str(error) == ("counter: no reply to Total within 2 s: its mailbox was full all the time (3 of 3 wait)")
        assert error.retry_safe
        gate.open()
        await wait_all_tasks_blocked()
        slot.pause("throttled")
        error = await timed_out(counter.ask(Total(), within=1))
        assert str(error).endswith("it is next, and the slot is paused (throttled)")


async def test_a_slot_without_an_agent_is_named_as_one(autojump_clock: MockClock) -> None:
    async with opened(volatile(Fragile)) as running:
        fragile = running.ref("fragile")
        with pytest.raises(AgentFailed):
            await fragile.ask(Break())  # it is started again after a delay
        error = await timed_out(fragile.ask(Total(), within=0.01))
        assert str(error).endswith("it is next, and nobody lives in the slot at the moment")
        await trio.sleep(1)
        assert await fragile.ask(Total()) == 0


async def test_an_ask_whose_asker_has_gone_is_not_handled(autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate}), volatile(Fragile)) as running:
        fragile = running.ref("fragile")
        slot_of(running, "fragile").pause("held")
        await timed_out(fragile.ask(Count(), within=1))
        slot_of(running, "fragile").resume("held")
        assert await fragile.ask(Count()) == 1
        assert slot_of(running, "fragile").handled == 1


async def test_one_that_comes_to_its_turn_too_late_is_told_so(autojump_clock: MockClock) -> None:
    async with opened(volatile(Fragile)) as running:
        slot = slot_of(running, "fragile")
        slot.pause("held")
        await trio.sleep(0.003)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                error = await timed_out(running.ref("fragile").ask(Count(), within=1))
                assert "Count came to its turn after its limit had passed, and was not handled" in str(error)
                assert error.retry_safe

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            autojump_clock.jump(1.005)  # after the limit, and before anybody looks whether it has passed
            slot.resume("held")


async def test_a_reply_that_comes_too_late_is_dropped(autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate})) as running:
        counter = running.ref("counter")
        await timed_out(counter.ask(Held("late"), within=1))
        gate.open()
        assert await counter.ask(Held("next")) == "next"
        assert gate.left == ["late", "next"]


async def test_an_ask_that_is_cancelled_is_handled_all_the_same(autojump_clock: MockClock) -> None:
    async with opened(volatile(Fragile)) as running:
        fragile = running.ref("fragile")
        slot_of(running, "fragile").pause("held")
        with trio.move_on_after(1) as scope:
            await fragile.ask(Count(), within=10)
        assert scope.cancelled_caught
        slot_of(running, "fragile").resume("held")
        assert await fragile.ask(Count()) == 2


async def test_a_hundred_askers_get_each_its_own_reply(autojump_clock: MockClock) -> None:
    async with opened(child(Fragile), journal=Disk()) as running:
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await running.ref("fragile").ask(Count()))

        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(ask)
        assert sorted(replies) == list(range(1, 61))


# -- the disk


async def test_a_reply_leaves_when_what_it_rests_on_is_on_disk(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Fragile), journal=journal) as running:
        fragile, replies = running.ref("fragile"), list[int]()

        async def ask(message: Request[int]) -> None:
            replies.append(await fragile.ask(message, within=100))

        async with trio.open_nursery() as nursery:
            journal.slow = True
            nursery.start_soon(ask, Count())
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, Total())
            await wait_all_tasks_blocked()
            assert slot_of(running, "fragile").inflight == 2
            assert replies == []
            journal.slow = False
            journal.go()
        assert replies == [1, 1]


async def test_an_ask_that_changes_nothing_costs_no_commit(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Fragile), journal=journal) as running:
        fragile = running.ref("fragile")
        await fragile.ask(Count())
        assert len(journal.of("fragile")) == 1
        for _ in range(5):
            await fragile.ask(Total())
        assert len(journal.of("fragile")) == 1


async def test_an_ask_is_not_stored(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Fragile), journal=journal) as running:
        await running.ref("fragile").ask(Count())
        assert not [row for commit in journal.seen for row in commit.accepted]


async def test_an_ask_waits_for_room_within_its_limit(autojump_clock: MockClock) -> None:
    spec = MailboxSpec(capacity=1, durability=VOLATILE)
    async with opened(child(Fragile, mailbox=spec)) as running:
        fragile, slot = running.ref("fragile"), slot_of(running, "fragile")
        slot.pause("held")
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await fragile.ask(Count(), within=10))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
            await trio.sleep(5)
            assert fragile.statistics().senders_waiting == 2
            slot.resume("held")
        assert replies == [1, 2, 3]
        slot.pause("held")
        slot.put_nowait(Add())
        with pytest.raises(MailboxFull):
            fragile.tell_nowait(Count())


@frozen
class Plain:
    """No request, although its handler returns something."""


class Generous(Agent[None]):
    @handles
    def give(self, message: Plain) -> int:
        return 1


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_what_is_no_request_is_not_asked(durability: Any, autojump_clock: MockClock) -> None:
    """Its reply has no type: nobody could check it, and a durable agent would fail of storing it."""
    async with opened(kept(Generous, durability)) as running:
        generous = running.ref("generous")
        await generous.tell(Plain())
        await wait_all_tasks_blocked()
        with pytest.raises(ConfigurationError) as refused:
            await generous.ask(Plain())  # type: ignore[arg-type]
        assert str(refused.value) == (
            "generous: Plain is no Request, so nothing says what its reply is; tell it, or declare "
            "`class Plain(Request[...])` with the type of the reply"
        )
        assert running.snapshot()[0].handled == 1
