"""What comes at its times is run at once, because somebody wants it, here or from another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from treewarden.agents.agent import Agent, at, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.errors import AgentStopped, ConfigurationError, NoSuchSlot, RateLimited
from treewarden.agents.worker import worker
from treewarden.supervisor.core.event import CommandAnswered
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.sending import Outcome
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

from ..agents.trees import kept, slot_of
from ..journals import on_disk
from .commanded import Add, Counter, events, order

CLOCK = trio.testing.MockClock


class Poller(Agent[int]):
    state = 0

    def __init__(self, log: list[float], takes: float = 0.0, errors: Any = None) -> None:
        self.log = log
        self.takes = takes
        self.errors: list[Exception] = errors or []

    async def _come(self) -> None:
        self.log.append(round(trio.current_time() % 1000, 3))
        self.state += 1
        await trio.sleep(self.takes)
        if self.errors:
            raise self.errors.pop(0)


class Often(Poller):
    @every(100)
    async def poll(self) -> None:
        await self._come()

    @handles
    def add(self, message: Add) -> None: ...


class Daily(Poller):
    @at("00:01:40,00:03:20,00:16:40")  # after 100, 200 and 1000 seconds
    async def report(self) -> None:
        await self._come()


class Both(Poller):
    @every(100)
    async def poll(self) -> None:
        await self._come()

    @at("12:00")
    async def report(self) -> None:
        self.log.append(-1.0)


def opened(*children: Any, journal: Any = None) -> Any:
    begun = trio.current_time()
    assert begun % 1000 == 0
    return open_tree(tree(*children), journal=journal, wall=lambda: trio.current_time() - begun)


@pytest.fixture(params=[MESSAGE, VOLATILE], ids=["message", "volatile"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


@pytest.mark.parametrize(("agent", "log"), [(Often, [0, 30, 100, 200]), (Daily, [30, 100, 200])])
async def test_it_runs_at_once_and_what_is_due_comes_still(
    agent: Any, log: list[float], durability: Durability, autojump_clock: CLOCK
) -> None:
    found: list[float] = []
    async with opened(kept(agent, durability, args={"log": found}, id="poller")) as running:
        await trio.sleep(30)
        assert running.run_now("poller")
        await trio.sleep(200)
    assert found == log


@pytest.mark.parametrize(("agent", "log"), [(Often, [0, 50, 100]), (Daily, [50, 100])])
async def test_what_waits_already_and_what_somebody_wants_are_one(
    agent: Any, log: list[float], autojump_clock: CLOCK
) -> None:
    found: list[float] = []
    async with opened(kept(agent, VOLATILE, args={"log": found}, id="poller")) as running:
        await trio.sleep(30)
        slot = slot_of(running, "poller")
        slot.pause("held")
        assert [running.run_now("poller") for _ in range(3)] == [True, False, False]
        await trio.sleep(20)
        slot.resume("held")
        await trio.sleep(70)
    assert found == log


@pytest.mark.parametrize(("agent", "log"), [(Often, [0, 150, 200]), (Daily, [150, 200])])
async def test_one_that_comes_due_while_what_somebody_wants_waits_is_one_with_it(
    agent: Any, log: list[float], autojump_clock: CLOCK
) -> None:
    found: list[float] = []
    async with opened(kept(agent, VOLATILE, args={"log": found}, id="poller")) as running:
        await trio.sleep(30)
        slot = slot_of(running, "poller")
        slot.pause("held")
        assert running.run_now("poller")
        await trio.sleep(120)
        slot.resume("held")
        await trio.sleep(100)
    assert found == log


@pytest.mark.parametrize(("agent", "log"), [(Often, [0, 50, 100]), (Daily, [30, 50, 100])])
async def test_while_it_runs_it_is_wanted_once_more(agent: Any, log: list[float], autojump_clock: CLOCK) -> None:
    found: list[float] = []
    async with opened(kept(agent, VOLATILE, args={"log": found, "takes": 20.0}, id="poller")) as running:
        await trio.sleep(30)
        running.run_now("poller")
        await trio.sleep(5)
        assert found[-1] == 30
        assert [running.run_now("poller"), running.run_now("poller")] == [True, False]
        await trio.sleep(90)
    assert found == [0, 30, 50, 100] if agent is Often else log


async def test_silence_between_forgets_nothing(autojump_clock: CLOCK) -> None:
    found: list[float] = []
    async with opened(kept(Daily, MESSAGE, args={"log": found}, id="poller")) as running:
        slot = slot_of(running, "poller")
        assert slot.agent is not None
        slot.pause("held")
        running.run_now("poller")
        slot.agent.life.silence()
        with pytest.raises(ConfigurationError, match="poller begins or ends just now, and takes no ticks; ask again"):
            running.run_now("poller")
        slot.agent.life.go_on()
        slot.resume("held")
        await trio.sleep(150)
    assert found == [0, 100]


async def test_a_rate_limit_puts_off_what_has_a_timetable(autojump_clock: CLOCK) -> None:
    found: list[float] = []
    args = {"log": found, "errors": [RateLimited(20.0)]}
    async with opened(kept(Daily, MESSAGE, args=args, id="poller")) as running:
        await trio.sleep(30)
        running.run_now("poller")
        await trio.sleep(100)
    assert found == [30, 50, 100]


async def test_one_that_fails_leaves_what_is_due(durability: Durability, autojump_clock: CLOCK) -> None:
    found, journal = list[float](), MemoryJournal()
    args = {"log": found, "errors": [ValueError("once")]}
    async with opened(kept(Daily, durability, args=args, id="poller", backoff=NO_BACKOFF), journal=journal) as running:
        await trio.sleep(30)
        running.run_now("poller")
        await trio.sleep(100)
        assert running.snapshot()[0].restarts == 1
    assert found == [30, 100]


async def test_which_one_is_meant(autojump_clock: CLOCK) -> None:
    found: list[float] = []
    async with opened(kept(Both, VOLATILE, args={"log": found})) as running:
        await trio.sleep(1)
        running.run_now("both", "report")
        with pytest.raises(ConfigurationError, match="both has more than one tick; name "):
            running.run_now("both")
        with pytest.raises(ConfigurationError, match="both has no tick 'add'; name "):
            running.run_now("both", "add")
        with pytest.raises(ConfigurationError):
            running.run_now("both", 3)
        await wait_all_tasks_blocked()
    assert found == [0, -1]


async def test_a_worker(autojump_clock: CLOCK) -> None:
    found: list[float] = []

    async def nightly() -> None:
        found.append(trio.current_time() % 1000)

    async with opened(child(worker(nightly, at="03:00"))) as running:
        await trio.sleep(7)
        running.run_now("nightly")
        await trio.sleep(1)
    assert found == [7]


async def test_what_cannot_be_run_is_refused(autojump_clock: CLOCK) -> None:
    shape = (child(Counter), pool(Counter, id="pool", size=2), kept(Often, MESSAGE, args={"log": list[float]()}))
    async with opened(*shape, tree(Counter, id="below")) as running:
        for path, error, text in (
            ("counter", ConfigurationError, "counter has no @every and no @at method; tell it a message"),
            ("pool", ConfigurationError, "pool is a pool; name one of its workers, as pool/0"),
            ("below", NoSuchSlot, "below"),
            ("oftn", NoSuchSlot, "did you mean often"),
            ("/", NoSuchSlot, "/ is the whole tree, and no slot of it"),
        ):
            with pytest.raises(error, match=text):
                running.run_now(path)
        await running.supervisor().terminate_child("often")
        with pytest.raises((ConfigurationError, AgentStopped, NoSuchSlot), match="often"):
            running.run_now("often")


async def test_another_process_wants_it(tmp_path: Path, autojump_clock: CLOCK) -> None:
    found, file = list[float](), tmp_path / "tree.db"
    shape = tree(child(Often, args={"log": found}), child(Both, args={"log": list[float]()}))
    async with open_tree(shape, journal=on_disk(file)) as running:
        await trio.sleep(5)
        before = len(found)
        assert await order(file, "run_now", "often") == Outcome("c1", "applied", "often: its tick runs next")
        await wait_all_tasks_blocked()
        assert len(found) == before + 1
        again = await order(file, "run_now", "often")
        assert (again.state, again.duplicate) == ("applied", True)
        await wait_all_tasks_blocked()
        assert len(found) == before + 1
        (event,) = await events(running, CommandAnswered)
        assert (event.path, event.what, event.by, event.applied) == ("often", "run_now", "ann", True)
        assert await order(file, "run_now", "often", "c2", tick="poll") == Outcome(
            "c2", "applied", "often: poll runs next"
        )
        slot_of(running, "often").pause("held")
        await order(file, "run_now", "often", "c3")
        assert await order(file, "run_now", "often", "c4") == Outcome(
            "c4", "applied", "often: its tick waits already, and runs once"
        )
        refused = await order(file, "run_now", "both", "c5")
        assert (refused.state, refused.text) == ("refused", "both has more than one tick; name poll or report")
