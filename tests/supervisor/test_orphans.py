"""What a kill of a supervisor leaves below it while the one above ends: nobody else has less of a grace for it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.supervisor.core.event import ChildEnded, SupervisorEnded
from treewarden.supervisor.core.spec import BRUTAL_KILL, Grace, Intensity, Shutdown, Strategy, SupervisorSpec
from treewarden.supervisor.journal.memory import MemoryJournal

from .puppets import Puppet, crash, events, puppet, quiet, running, states, under


async def four_seconds(_: Puppet) -> None:
    await trio.sleep(4)


def slowly_emptied(log: list[str], shutdown: Shutdown) -> SupervisorSpec:
    """A supervisor below which somebody needs four seconds to end in order."""
    slow = under(puppet("slow", log, args={"stopping": four_seconds}, shutdown=Grace(10)), id="below")
    return under(slow, id="killed", shutdown=shutdown)


@pytest.mark.parametrize("shutdown", [BRUTAL_KILL, Grace(1)], ids=["brutally", "after its grace"])
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ONE, Strategy.DYNAMIC])
async def test_whoever_ends_has_its_grace_for_its_other_children(
    strategy: Strategy, shutdown: Shutdown, autojump_clock: trio.testing.MockClock
) -> None:
    """As in OTP; it waited for the orphans first, was killed over that, and its children ended without `on_stop`."""
    log: list[str] = []
    killed = slowly_emptied(log, shutdown)
    if strategy is Strategy.DYNAMIC:
        above = under(killed, id="ends", strategy=strategy, shutdown=Grace(3))
    else:
        above = under(puppet("other", log), killed, id="ends", shutdown=Grace(3))
    journal = MemoryJournal()
    async with running(under(puppet("first", log), above), journal) as tree:
        if strategy is Strategy.DYNAMIC:
            await tree.supervisor("ends").start_dynamic(id="killed")
        await tree.supervisor().terminate_child("ends")
        assert trio.current_time() == 4, "nobody lives below it any more"
        assert states(tree)["ends"] == "down"
        noted = await events(journal, SupervisorEnded, ChildEnded)
        ends = {str(each.path): each.exit for each in noted if isinstance(each, SupervisorEnded | ChildEnded)}
        assert ends["ends"] == "stopped"
        assert {"ends/killed", "ends/killed/below", "ends/killed/below/slow"} <= set(ends)
        assert ("-ends/other" in log) == (strategy is Strategy.ONE_FOR_ONE)
        assert (await tree.supervisor().restart_child("ends")).incarnation == 2
    assert log[-1] == "-first"


async def test_so_has_whoever_is_above_that_one(autojump_clock: trio.testing.MockClock) -> None:
    """Its own end is one in order, and there somebody lives below it still."""
    log: list[str] = []
    between = under(slowly_emptied(log, BRUTAL_KILL), id="between")
    above = under(puppet("other", log), between, id="ends", shutdown=Grace(3))
    journal = MemoryJournal()
    async with running(under(puppet("first", log), above), journal) as tree:
        await tree.supervisor().terminate_child("ends")
        assert trio.current_time() == 4, "nobody lives below it any more"
        noted = await events(journal, SupervisorEnded)
        exits = {str(each.path): each.exit for each in noted if isinstance(each, SupervisorEnded)}
        assert (exits["ends"], exits["ends/between"]) == ("stopped", "stopped")
        assert "-ends/other" in log


async def test_the_next_one_waits_until_they_are_gone(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    group = under(
        slowly_emptied(log, BRUTAL_KILL), puppet("other", log), strategy=Strategy.ONE_FOR_ALL, restarts=Intensity(9, 99)
    )
    async with running(group) as tree:
        log.clear()
        await crash(tree, "other")
        await trio.sleep(5)
        assert log == ["-other", "-killed/below/slow", "+killed/below/slow", "+other"]
        assert set(states(tree).values()) == {"up"}


async def test_the_tree_is_left_when_they_are_gone(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(puppet("other", log), slowly_emptied(log, BRUTAL_KILL))):
        await quiet()
        log.clear()
    assert trio.current_time() == 4
    assert sorted(log) == ["-killed/below/slow", "-other"]
