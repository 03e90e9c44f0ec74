"""Waits that a handler comes to no more, because its code has changed or it takes another way: what is said of each,
and that another one of its name begins anew."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import (
    Agent,
    AlreadyRuled,
    Approved,
    ConfigurationError,
    Happened,
    Refused,
    WaitExpired,
    handles,
)
from treewarden.agents.testing import run_handler
from treewarden.supervisor.core.event import ApprovalNoted, DeadLettered, WaitNoted
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies import child, tree
from treewarden.topologies.running import Tree

from .effects_desk import Processes
from .trees import Disk, events, happened, slot_of
from .waits_desk import Remind, left, opened
from .waits_desk import processes as processes

KINDS = ("time", "event", "approval")


class Changing(Agent[tuple[Any, ...]]):
    """Whose code is another one in each process."""

    state = ()

    def __init__(self, does: list[str]) -> None:
        self.does = does

    @handles
    async def remind(self, message: Remind) -> None:
        came: list[Any] = []
        for what in self.does:
            kind, _, name = what.partition(" ")
            match kind:
                case "time":
                    came.append(await self.sleep_until(self.now() + 10.0, name=name))
                case "event":
                    came.append(await self.wait_event("shipped", returns=int, until=self.now() + 40.0, name=name))
                case "approval":
                    ruling = await self.approval(name, about=1, within=50.0)
                    came.append(ruling.approved)
                case _:
                    await trio.sleep_forever()
        self.state = tuple(came)


@pytest.fixture
def in_memory() -> Processes:
    """Each call is the next process; what is said of the disk below is so there, too."""
    memory = Disk()
    return lambda: memory


def changing(*does: str) -> Any:
    return child(Changing, id="desk", args={"does": list(does)}, backoff=NO_BACKOFF)


async def end(running: Tree, kind: str, how: Any = None) -> None:
    """Have what is waited for come."""
    match kind:
        case "time":
            await trio.sleep(10.5)
        case "event":
            await running.ref("desk").tell(Happened("shipped", 7))
        case _:
            (wait,) = await running.waits()
            await running.rule("desk", how or Approved("ada"), key=wait.key)
    await trio.sleep(1)


def state(running: Tree) -> Any:
    return slot_of(running, "desk").state


async def chain(running: Tree, count: int) -> list[tuple[str, str, str]]:
    """The first facts about waits and approvals: of what kind, what became of it, and why."""
    found: list[tuple[str, str, str]] = []
    with trio.fail_after(60):
        async with running.events() as records:
            async for record in records:
                match record.event:
                    case WaitNoted() as noted:
                        found.append((noted.kind, noted.what, noted.text))
                    case ApprovalNoted() as noted:
                        found.append(("approval", noted.what, noted.text))
                    case _:
                        continue
                if len(found) == count:
                    break
    return found


@pytest.mark.parametrize("ended", [False, True], ids=["open", "ended"])
@pytest.mark.parametrize(("before", "now"), [(a, b) for a in KINDS for b in KINDS if a != b])
async def test_one_of_another_kind_begins_anew(
    in_memory: Processes, before: str, now: str, ended: bool, autojump_clock: MockClock
) -> None:
    """Nothing that was said of the old one is meant for the new one: no refusal lets it go on."""
    async with opened(changing(f"{before} go", "hangs"), journal=in_memory()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        if ended:
            await end(running, before, Refused("ada"))
        assert len(await running.waits()) == (not ended)
    async with opened(changing(f"{now} go"), journal=in_memory()) as running:
        if not ended:
            await end(running, before)
        await trio.sleep(1)
        assert [(each.wait, each.what) for each in await running.waits()] == [("go", now)]
        assert state(running) == ()
        await end(running, now)
        assert await running.waits() == ()
        assert state(running) == ({"approval": True, "event": 7, "time": None}[now],)
        assert left(running) == 0


BY_TIME = {
    "time": [("time", "begun", ""), ("time", "passed by", "{}")],
    "event": [("event", "begun", ""), ("event", "passed by", "{}")],
    "approval": [("approval", "asked", ""), ("approval", "expired", "{}")],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("now", "why"),
    [
        ((), "its handler has ended without it"),
        (("event other",), "its handler waits for 'other' instead"),
        (("time other",), "its handler waits for 'other' instead"),
        (("approval other",), "its handler waits for 'other' instead"),
        (("time go",), "its handler comes to sleep_until() under that name now"),
        (("approval go",), "its handler comes to approval() under that name now"),
        (("event go",), "its handler comes to wait_event() under that name now"),
    ],
    ids=["none", "event elsewhere", "time elsewhere", "approval elsewhere", "time", "approval", "event"],
)
async def test_the_chain_says_how_it_has_ended(
    in_memory: Processes, kind: str, now: tuple[str, ...], why: str, autojump_clock: MockClock
) -> None:
    if now == (f"{kind} go",):
        return
    async with opened(changing(f"{kind} go"), journal=in_memory()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        assert len(await running.waits()) == 1
    async with opened(changing(*now), journal=in_memory()) as running:
        await trio.sleep(60)
        found = await chain(running, 3 if now else 2)
        assert found[:2] == [(of, what, text.format(why)) for of, what, text in BY_TIME[kind]]
        assert [(of, what) for of, what, _ in found[2:]] == [
            (each.partition(" ")[0], "asked" if each.startswith("approval") else "begun") for each in now
        ]
        memory = in_memory()
        assert isinstance(memory, Disk)
        assert [each.what for each in await events(memory, WaitNoted)].count("passed by") == (kind != "approval")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_disk_that_refuses_the_next_one_has_ended_nothing(kind: str, autojump_clock: MockClock) -> None:
    """The handler runs again, and finds what it had come to before."""
    memory, refused = Disk(), list[int]()

    def broken(commit: Commit) -> bool:
        begins = any(isinstance(fact, WaitNoted) and fact.what == "begun" for _, fact in commit.events)
        if begins and not refused:
            refused.append(1)
            return True
        return False

    async with opened(changing(f"{kind} go"), journal=memory) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
    async with opened(changing("time other"), journal=memory) as running:
        memory.broken = broken
        await trio.sleep(60)
        assert refused == [1]
        before = [("approval", "asked"), ("approval", "expired")]
        if kind != "approval":
            before = [(kind, "begun"), (kind, "passed by")]
        found = await chain(running, 4)
        assert [each[:2] for each in found] == [*before, ("time", "begun"), ("time", "over")]
        assert state(running) == (None,)
        assert left(running) == 0


async def test_an_event_that_has_ended_it_is_a_dead_letter(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(changing("event go", "hangs"), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await end(running, "event")
    async with opened(changing("approval go"), journal=processes()) as running:
        (letter,) = await happened(running, DeadLettered)
        assert letter.reason == "its handler comes to approval() under that name now"
        assert await chain(running, 3) == [("event", "begun", ""), ("event", "over", ""), ("approval", "asked", "")]


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_is_open_is_ended_by_a_handler_that_takes_another_way(
    in_memory: Processes, kind: str, autojump_clock: MockClock
) -> None:
    class Greedy(Changing):
        @handles
        async def remind(self, message: Remind) -> None:
            self.does.append("again")
            if len(self.does) == 2:
                with suppress(BaseException):
                    await super().remind(message)
            self.state = ("went on",)

    desk = child(Greedy, id="desk", args={"does": [f"{kind} go"]}, backoff=NO_BACKOFF)
    async with opened(desk, journal=in_memory()) as running:
        await running.ref("desk").tell(Remind())
        ends = ("approval", "superseded") if kind == "approval" else (kind, "passed by")
        assert (await chain(running, 2))[1] == (*ends, "its handler has ended without it")
        await trio.sleep(1)
        assert (await running.waits(), left(running), state(running)) == ((), 0, ("went on",))


async def test_a_person_who_rules_then_is_told_why(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(changing("approval go", "hangs"), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        (wait,) = await running.waits()
    async with opened(changing(), journal=processes()) as running:
        await trio.sleep(60)
        with pytest.raises(AlreadyRuled, match=r"expired at 1970"):
            await running.rule("desk", Approved("ada"), key=wait.key)


async def test_a_test_says_of_which_kind_it_was() -> None:
    waits = {"go": Refused("ada")}
    for word in ("time go", "event go"):
        run = await run_handler(Changing([word]), Remind(), waits=waits)
        assert isinstance(run.error, ConfigurationError)
        assert "under that name now, and waits says Refused" in str(run.error)


class Typed(Agent[tuple[Any, ...]]):
    """Waits for a number, or for a text in another release, and then for an approval."""

    state = ()

    def __init__(self, returns: list[Any]) -> None:
        self.returns = returns

    @handles
    async def remind(self, message: Remind) -> None:
        got = await self.wait_event("shipped", returns=self.returns[0])
        ruling = await self.approval("pay", about=1)
        if self.returns[0] is int:
            self.returns[0] = str
            raise ValueError("the next release runs")
        self.state = (got, ruling.approved)


async def test_an_event_that_is_turned_down_behind_a_later_wait_is_listed_and_waited_for(
    autojump_clock: MockClock,
) -> None:
    async with opened(child(Typed, id="desk", args={"returns": [int]})) as running:
        await running.ref("desk").tell(Remind())
        await running.ref("desk").tell(Happened("shipped", 1))
        await trio.sleep(1)
        (wait,) = await running.waits()
        await running.rule("desk", Approved("ada"), key=wait.key)
        await trio.sleep(60)
        assert [each.wait for each in await running.waits()] == ["event"]
        await running.ref("desk").tell(Happened("shipped", "ups"))
        await trio.sleep(1)
        assert (slot_of(running, "desk").state, left(running)) == (("ups", True), 0)


class Later(Agent[tuple[Any, ...]]):
    """Waits for a number, or for a text in another release, and then for 20 seconds, for one thing or another."""

    state = ()

    def __init__(self, returns: type[Any], then: str) -> None:
        self.returns = returns
        self.then = then

    @handles
    async def remind(self, message: Remind) -> None:
        got = await self.wait_event("shipped", returns=self.returns)
        if self.then == "sleep":
            await self.sleep_until(20.0)
        elif self.then == "approval":
            await self.approval("pay", about=1, within=19.0)
        else:
            with suppress(WaitExpired):
                await self.wait_event("paid", until=20.0, name="paid")
        self.state = (got,)


@pytest.mark.parametrize("again", ["", "again"])
@pytest.mark.parametrize("then", ["sleep", "approval", "event"])
async def test_an_event_that_is_turned_down_when_the_time_of_a_later_wait_has_passed_is_listed_and_waited_for(
    processes: Processes, then: str, again: str, autojump_clock: MockClock
) -> None:
    """The later one was taken for what its message waits for: waits() was empty, or had one that was over."""

    def desk(returns: type[Any]) -> ChildSpec:
        return child(Later, id="desk", args={"returns": returns, "then": then})

    async with opened(desk(int), journal=processes()) as running:
        await running.ref("desk").tell(Happened("shipped", 1))
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        await running.reload(tree(desk(str)))
        await trio.sleep(30)
        assert [each.wait for each in await running.waits()] == ["event"]
        if again:
            await trio.sleep(1)
        else:
            await running.ref("desk").tell(Happened("shipped", "ups"))
            await trio.sleep(1)
            assert (slot_of(running, "desk").state, left(running)) == (("ups",), 0)
    if again:
        async with opened(desk(str), journal=processes()) as running:
            await trio.sleep(1)
            assert [each.wait for each in await running.waits()] == ["event"]
            await running.ref("desk").tell(Happened("shipped", "ups"))
            await trio.sleep(1)
            assert (slot_of(running, "desk").state, left(running)) == (("ups",), 0)
