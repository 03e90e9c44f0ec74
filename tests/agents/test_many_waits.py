"""Many messages that wait: others have turns while they are read when a process begins, and while they are listed."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, MailboxSpec, handles
from treewarden.agents.core.path import Path
from treewarden.supervisor import open_waits, recovery, waits
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.unhurried import unhurried
from treewarden.topologies import child

from .effects_desk import Processes
from .waits_desk import Remind, desk, opened, parked
from .waits_desk import processes as processes

MANY = 80
AT_ONCE = 8
FEW = 12


class Slices:
    """In how many slices something was done. Turns of the loop are no measure of that: some are a thread's, which may
    take any number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen = 0
        for module in (recovery, open_waits):
            monkeypatch.setattr(module, "_AT_ONCE", AT_ONCE)
            monkeypatch.setattr(module, "unhurried", self.counted)
        monkeypatch.setattr(waits, "_AT_ONCE", AT_ONCE)

    async def counted(self, slices: Generator[None, None, Any]) -> Any:
        return await unhurried(self._each(slices))

    def _each(self, slices: Generator[None, None, Any]) -> Generator[None, None, Any]:
        while True:
            try:
                next(slices)
            except StopIteration as end:
                return end.value
            self.seen += 1
            yield


async def test_others_have_turns_meanwhile(
    processes: Processes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(desk(list[Any]()), journal=processes()) as running:
        for number in range(MANY):
            await running.ref("desk").tell(Remind(number, (1000.0 + number,)))
        await trio.sleep(5)
    slices = Slices(monkeypatch)
    async with opened(desk(list[Any]()), journal=processes()) as running:
        acts = "messages and what is known of their waits are read, sorted out, and parked"
        assert slices.seen >= 4 * (MANY // AT_ONCE - 1), acts
        assert parked(running) == MANY
        begun = slices.seen
        listed = await running.waits()
        assert slices.seen - begun >= 2 * (MANY // AT_ONCE - 1), "what is known, and what is shown"
    assert {each.until for each in listed} == {1000.0 + number for number in range(MANY)}


@frozen
class Go:
    number: int


class Slow(Agent[int]):
    state = 0

    def __init__(self, begun: list[int], gate: trio.Event) -> None:
        self.begun, self.gate = begun, gate

    @handles
    async def go(self, message: Go) -> None:
        self.begun.append(message.number)
        await self.gate.wait()


async def test_what_is_to_be_handled_is_made_ready_in_the_slices_in_which_it_is_read(
    processes: Processes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not in the act that begins the life: that only puts it into the mailbox, in its order."""
    gate, begun, mailbox = trio.Event(), list[int](), MailboxSpec(capacity=MANY)
    slow = child(Slow, args={"begun": begun, "gate": gate}, mailbox=mailbox, backoff=NO_BACKOFF)
    with trio.CancelScope() as power:
        async with opened(slow, journal=processes()) as running:
            for number in range(MANY):
                await running.ref("slow").tell(Go(number))
            await trio.testing.wait_all_tasks_blocked()
            power.cancel()
            await trio.sleep_forever()
    made, in_slices, by_then, envelope = list[Any](), list[int](), [0], recovery._envelope  # pyright: ignore[reportPrivateUsage]

    def counted(*args: Any) -> Any:
        made.append(args)
        return envelope(*args)

    def each(slices: Generator[None, None, Any]) -> Generator[None, None, Any]:
        while True:
            before = len(made)
            try:
                next(slices)
            except StopIteration as end:
                return end.value
            finally:
                in_slices.append(len(made) - before)
                by_then[0] = len(made)
            yield

    monkeypatch.setattr(recovery, "_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(recovery, "_envelope", counted)

    async def seen(slices: Generator[None, None, Any]) -> Any:
        return await unhurried(each(slices))

    monkeypatch.setattr(recovery, "unhurried", seen)
    begun.clear()
    gate.set()
    async with opened(slow, journal=processes()) as running:
        await trio.sleep(5)
    assert begun == list(range(MANY))
    assert sum(in_slices) == MANY
    assert by_then == [len(made)], "none behind the last slice"
    assert max(in_slices) == AT_ONCE


async def test_what_a_person_gives_up_while_it_is_read_does_not_wait(
    processes: Processes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it handled, beside the dead letter that it is."""
    async with opened(desk(list[Any]()), journal=processes()) as running:
        for number in range(FEW):
            await running.ref("desk").tell(Remind(number, (1000.0,)))
        await trio.sleep(5)
    log, journal, given_up = list[Any](), processes(), list[str]()

    async def meanwhile(slices: Generator[None, None, Any]) -> Any:
        read = await unhurried(slices)
        if not given_up:
            first = (await journal.recover(Path("desk"))).messages[0]
            given_up.append(first.id)
            fact = Recorded(path=Path("desk"), kind="given up", facts={}, message=first.id)
            commit = Commit(acked=(first.row or 0,), forget_replies=(f"{first.id}>",), events=((1.0, fact),))
            await journal.commit(commit)
        return read

    monkeypatch.setattr(recovery, "_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(recovery, "unhurried", meanwhile)
    async with opened(desk(log), journal=journal) as running:
        assert parked(running) == FEW - 1
        assert given_up[0] not in {each.message for each in await running.waits()}
        await trio.sleep(2000)
    assert sorted(number for what, number, _ in log if what == "slept") == list(range(1, FEW))


async def test_what_begins_while_they_are_listed_is_no_part_of_it(
    processes: Processes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of one moment."""
    monkeypatch.setattr(open_waits, "_AT_ONCE", AT_ONCE)
    async with opened(desk(list[Any]()), journal=processes()) as running:
        for number in range(MANY):
            await running.ref("desk").tell(Remind(number, (1000.0,)))
        await trio.sleep(5)
        found = list[int]()

        async def look() -> None:
            found.append(len(await running.waits()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.lowlevel.checkpoint()
            assert not found, "it has begun, and is not done"
            for number in range(MANY):
                await running.ref("desk").tell(Remind(MANY + number, (1000.0,)))
            await trio.sleep(5)
        assert found == [MANY]
        assert len(await running.waits()) == 2 * MANY
