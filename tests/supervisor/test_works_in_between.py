"""Who fails now and then and works in between: that is a share of errors, and no dependency that is down for all."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.agents.errors import MailboxFull
from treewarden.supervisor import Intensity
from treewarden.supervisor.core.event import Decided, IncidentClosed
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

IN_MEMORY = MailboxSpec(durability=VOLATILE)
WORKERS = 10
PLENTY = Intensity(10_000, 5.0)


@frozen
class Call:
    """Something that needs the service."""


@frozen
class Chat:
    """Something that does not."""


class Service:
    """Fails a share of the calls of each worker, by chances of its own; every one while it is down."""

    def __init__(self, share: float = 0.04, *, seed: int = 0, down: bool = False) -> None:
        self.share = share
        self.down = down
        self.chances = {f"{n}": random.Random(f"{seed}/{n}") for n in range(WORKERS)}
        self.lost = ""
        """The worker that this service never answers."""
        self.answers = 0

    async def call(self, path: Path) -> None:
        await trio.sleep(0.01)
        if self.chances[path.name].random() < self.share or self.down or path.name == self.lost:
            raise ConnectionResetError("the other side is gone")
        self.answers += 1


class Worker(Agent[None]):
    def __init__(self, service: Service) -> None:
        self.service = service

    @handles
    async def call(self, message: Call) -> None:
        await self.service.call(self.path)


class Chatty(Worker):
    @handles
    def chat(self, message: Chat) -> None:
        pass


class Hanging(Worker):
    @handles
    async def call(self, message: Call) -> None:
        self.service.answers += 1
        if self.service.answers % 20 == 0:
            await trio.sleep_forever()


class Poller(Agent[None]):
    """Calls by itself, and its heart beats ten times as often."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @every(0.5)
    async def poll(self) -> None:
        await self.service.call(self.path)

    @every(0.05)
    def beat(self) -> None:
        pass


async def decisions(
    agent: type[Agent[Any]],
    service: Service,
    script: Callable[[Tree], Awaitable[None]],
    *,
    many: int = WORKERS,
    restarts: Intensity = PLENTY,
    **fields: Any,
) -> Counter[str]:
    """The rules by which was decided while the script ran, and how incidents ended."""
    found = Counter[str]()
    given: dict[str, Any] = {"args": {"service": service}, "mailbox": IN_MEMORY, **fields}
    workers = [child(agent, id=f"{n}", **given) for n in range(many)]
    async with open_tree(tree(*workers, restarts=restarts), seed=0) as running, trio.open_nursery() as nursery:

        async def listen() -> None:
            async with running.events() as records:
                async for record in records:
                    match record.event:
                        case Decided(rule=rule):
                            found[rule] += 1
                        case IncidentClosed(outcome=outcome):
                            found[outcome] += 1
                        case _:
                            pass

        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        await script(running)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return found


async def busy(running: Tree, seconds: float, *, chats: int = 0, many: int = WORKERS) -> None:
    """Each worker has something to do fifty times a second, as long as there is room."""
    for _ in range(int(seconds * 50)):
        for n in range(many):
            for message in (Call(), *(Chat(),) * chats):
                with suppress(MailboxFull):
                    running.ref(f"{n}").tell_nowait(message)
        await trio.sleep(0.02)


@pytest.mark.parametrize("seed", [2, 4, 9])
async def test_a_share_of_errors_in_a_pool_breaks_nothing(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    """Ten workers of whom each had failed once within a minute were one dead dependency, again and again."""
    service = Service(seed=seed)
    found = await decisions(Worker, service, lambda running: busy(running, 20.0))
    assert found["wider"] == found["out of patience"] == 0
    assert service.answers > 4000, "by backoffs that grew it was about 1,000 of 10,000"
    assert found["siblings alike"] <= 1, "five of ten may fail together by chance, once in a hundred seconds"


@pytest.mark.parametrize("seed", [2, 4, 9])
async def test_nor_does_it_where_the_code_is_new_and_there_is_none_to_fall_back_to(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    service = Service(seed=seed)

    async def work(running: Tree) -> None:
        running.deployed()
        await busy(running, 20.0)
        assert not [slot.note for slot in running.snapshot() if slot.note.startswith("held")]

    found = await decisions(Worker, service, work)
    assert found["wider"] == found["out of patience"] == 0
    assert service.answers > 4000


@pytest.mark.parametrize("seed", [0, 3, 8])
async def test_with_few_restarts_they_are_left_alone_before_the_tree_gives_up(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Two failures a second, where three in five seconds may be: the tree had ended after some three seconds."""
    service = Service(seed=seed)
    found = await decisions(Worker, service, lambda running: busy(running, 20.0), restarts=Intensity())
    assert found["siblings alike"] >= 1
    assert found["intensity"] == 0


async def test_hardly_anybody_waits_with_one_that_is_left_alone(autojump_clock: trio.testing.MockClock) -> None:
    service = Service()
    service.lost = "0"
    waiting = Counter[bool]()

    async def look(running: Tree) -> None:
        for _ in range(60):
            await busy(running, 0.5)
            waiting.update(slot.path == "0" for slot in running.snapshot() if slot.note.startswith("waits for"))

    assert (await decisions(Worker, service, look))["outside again"] >= 1
    assert service.answers > 6000, "it was about 2,600 of 15,000"
    assert waiting[False] < 240


@pytest.mark.parametrize("mailbox", [IN_MEMORY, MailboxSpec()], ids=["in memory", "durable"])
async def test_what_goes_down_under_a_busy_pool_is_found(
    mailbox: MailboxSpec, autojump_clock: trio.testing.MockClock
) -> None:
    """And at once: to wait for second failures took messages for poison that had used up their two deliveries."""
    service = Service(share=0.0)

    async def goes_down(running: Tree) -> None:
        for _ in range(60):
            for n in range(WORKERS):
                await running.ref(f"{n}").tell(Call())
        await trio.sleep(0.3)
        service.down = True
        await trio.sleep(2.0)

    found = await decisions(Worker, service, goes_down, mailbox=mailbox)
    assert found["siblings alike"] >= 1
    assert found["poison message"] == 0


@pytest.mark.parametrize("chats", [0, 3])
async def test_what_is_down_from_the_beginning_is_found(chats: int, autojump_clock: trio.testing.MockClock) -> None:
    """Also where other messages are handled meanwhile."""
    service = Service(down=True)
    found = await decisions(Chatty if chats else Worker, service, lambda running: busy(running, 1.0, chats=chats))
    assert found["siblings alike"] >= 1


async def test_one_alone_with_the_default_limits_becomes_slower_and_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It was held after six failures; to begin anew each time would have ended the tree."""
    service = Service()

    async def long(running: Tree) -> None:
        await busy(running, 300.0, many=1)
        assert [slot.note for slot in running.snapshot() if slot.held] == []

    found = await decisions(Worker, service, long, many=1, restarts=Intensity())
    assert service.answers > 1000
    assert found["fixed"] > 10


async def test_what_hangs_now_and_then_keeps_its_state(autojump_clock: trio.testing.MockClock) -> None:
    """After two hangs it went back to an earlier state, and then it was held."""
    service = Service()
    found = await decisions(
        Hanging, service, lambda running: busy(running, 60.0, many=1), many=1, progress_within=1.0, stable_after=30.0
    )
    assert found["stalled"] > 10
    assert set(found) == {"stalled", "fixed"}


@pytest.mark.parametrize(("down", "broken"), [(True, True), (False, False)])
async def test_a_heartbeat_is_no_sign_of_work(down: bool, broken: bool, autojump_clock: trio.testing.MockClock) -> None:
    service = Service(down=down)

    async def wait(_: Tree) -> None:
        await trio.sleep(40.0)

    found = await decisions(Poller, service, wait)
    assert (found["siblings alike"] > 0) is broken
    assert found["outside"] >= 4
