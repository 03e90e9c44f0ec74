"""Calls to a supervisor: what they do, and what comes of them. Those that are refused: `test_supervisor_refusals`."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.core.exit import Exit, Failed, Failure, Finished, Stopped
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.errors import (
    AgentStopped,
    AlreadyStarted,
    ConfigurationError,
    NoSuchSlot,
    NotFound,
    StartFailed,
    Stop,
)
from treewarden.supervisor.calls import Counts, Started
from treewarden.supervisor.core.event import ChildStartFailed
from treewarden.supervisor.core.spec import (
    AutoShutdown,
    Intensity,
    RestartPolicy,
    Strategy,
)
from treewarden.supervisor.journal.memory import MemoryJournal

from .puppets import Add, Total, crash, dynamic, events, fail, lives, puppet, quiet, running, states, tell, under

OFTEN = Intensity(100, 1000)


async def test_the_life_of_a_child_by_calls(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(puppet("a", log))) as tree:
        ref = tree.supervisor()
        begun = await ref.start_child(puppet("b", log))
        assert begun == Started(Path("b"), 1, begun.life, None)
        assert await ref.count() == Counts(specs=2, active=2, supervisors=0, workers=2)
        await tree.ref("b").tell(Add(4))
        await quiet()
        await ref.terminate_child("b")
        await ref.terminate_child("b")  # no error: it is down
        assert await ref.count() == Counts(specs=2, active=1, supervisors=0, workers=2)
        with pytest.raises(AgentStopped):
            await tree.ref("b").ask(Total())
        assert (await ref.restart_child("b")).incarnation == 2
        assert await tree.ref("b").ask(Total()) == 4
        await ref.terminate_child("b")
        await ref.delete_child("b")
        with pytest.raises(NoSuchSlot):
            tree.ref("b")
        assert await ref.count() == Counts(specs=1, active=1, supervisors=0, workers=1)
        assert log == ["+a", "+b", "-b", "+b", "-b"]


async def test_children_are_shown_in_start_order(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("b"), under(puppet("x"), id="s"), restarts=OFTEN)) as tree:
        await tree.supervisor().start_child(puppet("a"))
        await crash(tree, "b")
        await tree.supervisor().terminate_child("a")
        views = await tree.supervisor().children()
        assert [(view.id, view.state, view.incarnation, view.supervisor) for view in views] == [
            ("b", SlotState.UP, 2, False),
            ("s", SlotState.UP, 1, True),
            ("a", SlotState.DOWN, 1, False),
        ]
        assert len({view.life for view in views}) == 3
        assert await tree.supervisor().count() == Counts(specs=3, active=2, supervisors=1, workers=2)
        assert await tree.supervisor("s").count() == Counts(specs=1, active=1, supervisors=0, workers=1)


async def test_only_a_start_that_the_supervisor_wanted_is_its_trouble(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a")), journal) as tree:
        with pytest.raises(StartFailed):
            await tree.supervisor().start_child(puppet("b", args={"starting": fail(OSError("no"))}))
        (failed,) = await events(journal, ChildStartFailed)
        assert isinstance(failed, ChildStartFailed)
        assert failed.asked


# -- dynamic children


async def test_the_life_of_dynamic_children(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(dynamic(puppet("job", restart=RestartPolicy.TRANSIENT), max_children=3, restarts=OFTEN)) as tree:
        ref = tree.supervisor()
        one = await ref.start_dynamic({"log": log})
        two = await ref.start_dynamic({"log": log})
        named = await ref.start_dynamic({"log": log}, id="mine")
        assert [one.path, two.path, named.path] == ["job-1", "job-2", "mine"]
        with pytest.raises(ConfigurationError, match="it has 3 children, and max_children is 3"):
            await ref.start_dynamic()
        with pytest.raises(AlreadyStarted):  # whoever wants it to be there need not mind that nobody else may come
            await ref.start_dynamic(id="mine")
        for wrong in (5, "log", [1]):
            with pytest.raises(ConfigurationError, match="give a mapping, by the names of the arguments"):
                await ref.start_dynamic(wrong)  # type: ignore[arg-type]
        await ref.terminate_dynamic("job-2")
        with pytest.raises(AlreadyStarted):
            await ref.start_dynamic(id="mine")
        await crash(tree, "mine")  # with the arguments that it was given
        assert log == ["+job-1", "+job-2", "+mine", "-job-2", "-mine", "+mine"]
        assert await ref.count() == Counts(specs=1, active=2, supervisors=0, workers=2)
        assert (await ref.start_dynamic()).path == "job-3"


async def test_a_life_is_terminated_and_not_its_successor(autojump_clock: trio.testing.MockClock) -> None:
    async with running(dynamic(puppet("job"), restarts=OFTEN)) as tree:
        ref = tree.supervisor()
        first = await ref.start_dynamic(id="a")
        await crash(tree, "a")
        await ref.terminate_dynamic("a", life=first.life)  # that one has ended: nothing to do
        assert lives(tree) == {"a": 2}
        (view,) = await ref.children()
        await ref.terminate_dynamic("a", life=view.life)
        assert lives(tree) == {}
        await ref.terminate_dynamic("a", life=view.life)
        with pytest.raises(NotFound):
            await ref.terminate_dynamic("a")


async def test_all_dynamic_children_have_the_template(autojump_clock: trio.testing.MockClock) -> None:
    template = puppet("job")
    async with running(dynamic(template)) as tree:
        await tree.supervisor().start_dynamic(id="a")
        assert await tree.supervisor().spec("job") == template
        assert await tree.supervisor().spec("a") == template
        with pytest.raises(NotFound):
            await tree.supervisor().spec("b")


async def test_a_dynamic_supervisor_stops_all_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(_: object) -> None:
        await trio.sleep(3)

    async with running(dynamic(puppet("job", args={"stopping": slow}))) as tree:
        for _ in range(4):
            await tree.supervisor().start_dynamic()
    assert trio.current_time() == 3


# -- ends


@pytest.mark.parametrize(
    ("exit", "restart", "back"),
    [
        (Stopped(), RestartPolicy.PERMANENT, True),
        (Stopped(), RestartPolicy.TRANSIENT, False),
        (Finished(), RestartPolicy.TRANSIENT, False),
        (Failed(Failure("Test", "asked to")), RestartPolicy.TRANSIENT, True),
        (Failed(Failure("Test", "asked to")), RestartPolicy.TEMPORARY, False),
    ],
)
async def test_a_supervisor_that_is_asked_to_end_is_a_child_like_others(
    exit: Exit, restart: RestartPolicy, back: bool, autojump_clock: trio.testing.MockClock
) -> None:
    log: list[str] = []
    inner = under(puppet("x", log), puppet("y", log), id="s", restart=restart)
    async with running(under(inner, puppet("b", log), restarts=OFTEN)) as tree:
        log.clear()
        await tree.supervisor("s").stop(exit)
        assert log[:2] == ["-s/y", "-s/x"]
        await quiet()
        assert log[2:] == (["+s/x", "+s/y"] if back else [])
        assert lives(tree).get("b") == 1
        assert ("s" in states(tree)) is (restart is not RestartPolicy.TEMPORARY)


# -- several things before it reacts


async def test_a_suspended_supervisor_reacts_to_nothing(autojump_clock: trio.testing.MockClock) -> None:
    spec = under(puppet("a"), puppet("b"), strategy=Strategy.ONE_FOR_ALL, restarts=Intensity(1, 1000))
    async with running(spec) as tree:
        async with tree.supervisor().suspended():
            assert tree.supervisor().busy
            await crash(tree, "a")
            await crash(tree, "b")
            await trio.sleep(10)
            assert lives(tree) == {"a": 1, "b": 1}
        await quiet()
        assert lives(tree) == {"a": 2, "b": 2}  # both ends are one restart: the second was taken in by the group's stop
        assert not tree.supervisor().busy


async def test_who_gives_up_waiting_for_it_suspends_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a"))) as tree:
        ref = tree.supervisor()
        async with ref.suspended():
            with trio.move_on_after(1):
                async with ref.suspended():
                    pytest.fail("it was suspended twice")
        assert (await ref.count()).specs == 1


async def test_a_suspended_supervisor_can_be_killed(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(under(puppet("x"), id="s"), restarts=OFTEN)) as tree, tree.supervisor("s").suspended():
        tree.kill("s")
        await quiet()
        assert lives(tree) == {"s": 2, "s/x": 2}


# -- code change


async def test_new_flags_and_specs_without_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    old = under(puppet("a", log), puppet("b", log), puppet("c", log), restarts=Intensity(0, 1000))
    new = under(
        puppet("c", log, restart=RestartPolicy.TEMPORARY),
        puppet("new", log),
        puppet("a", log),
        restarts=OFTEN,
        strategy=Strategy.REST_FOR_ONE,
    )
    async with running(old) as tree:
        log.clear()
        ref = tree.supervisor()
        assert await ref.replace(new) == ("new",)
        assert log == []
        assert [view.id for view in await ref.children()] == ["c", "new", "a", "b"]
        assert states(tree) == {"c": "up", "new": "down", "a": "up", "b": "up"}
        await crash(tree, "a")
        assert log == ["-a", "-b", "+a", "+b"]
        await crash(tree, "c")
        assert list(states(tree)) == ["new", "a", "b"]


async def test_a_new_template_counts_from_the_next_start(autojump_clock: trio.testing.MockClock) -> None:
    old, new = [list[str]() for _ in range(2)]
    template = puppet("job", args={"log": old})
    async with running(dynamic(template, restarts=OFTEN)) as tree:
        await tree.supervisor().start_dynamic(id="a")
        changed = puppet("job", restart=RestartPolicy.TEMPORARY, args={"log": new})
        await tree.supervisor().replace(dynamic(changed, restarts=OFTEN))
        await tree.supervisor().start_dynamic(id="b")
        assert (old, new) == (["+a"], ["+b"])
        await crash(tree, "a")  # temporary by now
        assert states(tree) == {"b": "up"}


async def test_auto_shutdown_can_come_later(autojump_clock: trio.testing.MockClock) -> None:
    inner = under(puppet("x", restart=RestartPolicy.TRANSIENT), id="s", restart=RestartPolicy.TRANSIENT)
    async with running(under(inner)) as tree:
        wanted = under(
            puppet("x", restart=RestartPolicy.TRANSIENT, significant=True),
            id="s",
            auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
        )
        await tree.supervisor("s").replace(wanted)
        await tell(tree, "s/x", _finish)
        assert states(tree) == {"s": "down"}


async def _finish(_: object) -> None:
    raise Stop
