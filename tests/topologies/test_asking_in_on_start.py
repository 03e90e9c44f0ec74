"""What an `on_start` asks, and who cannot answer before it has returned."""

from __future__ import annotations

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AskCycle
from treewarden.supervisor.core.spec import Backoff
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

IN_MEMORY = MailboxSpec(durability=VOLATILE)  # what it fails on is not handled again
CLOCK = trio.testing.MockClock


@frozen
class Double(Request[int]):
    n: int


@frozen
class Fall:
    pass


class Doubles(Agent[int]):
    state = 0

    @handles
    async def double(self, message: Double) -> int:
        return 2 * message.n

    @handles
    def fall(self, message: Fall) -> None:
        raise RuntimeError("down")


class Asks(Doubles):
    """Asks each of `whom` in its `on_start`; or in a task of its own and in one elsewhere, `later` seconds after they
    were begun there."""

    def __init__(
        self,
        whom: tuple[str, ...],
        said: list[object],
        later: float = 0.0,
        slow: float = 0.0,
        elsewhere: trio.Nursery | None = None,
    ) -> None:
        self.whom, self.said, self.later, self.slow, self.elsewhere = whom, said, later, slow, elsewhere

    async def on_start(self) -> None:
        if not self.later:
            await self._ask()
            return
        self.start_soon(self._ask)
        if self.elsewhere is not None:
            self.elsewhere.start_soon(self._ask)
        await trio.sleep(self.slow)

    async def _ask(self) -> None:
        await trio.sleep(self.later)
        for path in self.whom:
            try:
                self.said.append(await self.ref(path).ask(Double(2)))
            except AskCycle as refused:
                self.said.append(str(refused))


async def test_who_begins_only_when_it_has_returned_is_not_waited_for(autojump_clock: CLOCK) -> None:
    said: list[object] = []
    whom = (".", "../later", "../earlier")
    began = trio.current_time()
    async with open_tree(
        tree(child(Doubles, id="earlier"), child(Asks, args={"whom": whom, "said": said}), child(Doubles, id="later"))
    ):
        assert trio.current_time() == began
    what = "asking would wait for itself: {} handles nothing before the on_start of asks has returned; "
    assert said == [
        what.format("asks") + "do without, or have a handler ask, of a message that it tells itself",
        what.format("later") + "do without, or have a handler ask, of a message that it tells itself",
        4,
    ]


async def test_nor_who_is_down_while_its_supervisor_waits_for_that_start(autojump_clock: CLOCK) -> None:
    said: list[object] = []
    asks = child(Asks, args={"whom": ("../falls",), "said": said}, backoff=Backoff(first=1, jitter=0))
    falls = child(Doubles, id="falls", mailbox=IN_MEMORY, backoff=Backoff(first=9, jitter=0))
    async with open_tree(tree(falls, asks)) as running:
        await running.ref("falls").tell(Fall())
        await trio.sleep(2)
        assert running.kill("asks")
        await trio.sleep(20)
        assert said[0] == 4
        assert "falls handles nothing before the on_start of asks has returned" in str(said[1])


async def test_what_an_on_start_began_may_wait_for_who_is_down(autojump_clock: CLOCK) -> None:
    said: list[object] = []
    async with trio.open_nursery() as elsewhere:
        asks = child(Asks, args={"whom": ("../falls",), "said": said, "later": 3.0, "elsewhere": elsewhere})
        falls = child(Doubles, id="falls", mailbox=IN_MEMORY, backoff=Backoff(first=4, jitter=0))
        async with open_tree(tree(falls, asks)) as running:
            await trio.sleep(1)
            await running.ref("falls").tell(Fall())
            await trio.sleep(9)
            assert said == [4, 4]


async def test_a_helper_waits_for_who_comes_later_while_its_on_start_goes_on(autojump_clock: CLOCK) -> None:
    said: list[object] = []
    asks = child(Asks, args={"whom": ("../pool",), "said": said, "later": 1.0, "slow": 2.0})
    async with open_tree(tree(asks, pool(Doubles, size=2, id="pool"))) as running:
        await trio.sleep(1)
        assert said == [4]
        assert running.snapshot()[0].incarnation == 1
