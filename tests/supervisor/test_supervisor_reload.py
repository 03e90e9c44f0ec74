"""A running tree takes another blueprint."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.agent import Agent
from treewarden.agents.core.durability import VOLATILE, Checkpointed, MailboxSpec
from treewarden.agents.errors import AgentStopped, ConfigurationError, NoSuchSlot, Stop
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import Intensity, RestartPolicy, Strategy, SupervisorSpec
from treewarden.topologies.child import child

from .puppets import Add, Total, crash, dynamic, fail, lives, puppet, running, states, tell, under

OFTEN = Intensity(100, 1000)


class Storable(Agent[int]):
    state = 0


def reloaded(blueprint: SupervisorSpec) -> SupervisorSpec:
    return evolve(blueprint, policy=otp())


async def test_what_is_new_starts_what_is_gone_ends_what_has_changed_lives_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    same, changed, gone = puppet("same", log), puppet("changed", log), puppet("gone", log)
    async with running(under(same, gone, changed)) as tree:
        for path in ("same", "changed", "gone"):
            await tree.ref(path).tell(Add(3))
        kept = tree.ref("changed")
        ghost = tree.ref("gone")
        log.clear()
        told = await tree.reload(reloaded(under(puppet("new", log), same, evolve(changed, stable_after=99))))
        assert (told.added, told.removed, told.changed) == (("new",), ("gone",), ("changed",))
        assert log == ["-gone", "+new", "-changed", "+changed"]
        assert lives(tree) == {"new": 1, "same": 1, "changed": 2}
        assert await kept.ask(Total()) == 3
        assert await tree.ref("same").ask(Total()) == 3
        with pytest.raises((AgentStopped, NoSuchSlot)):
            await ghost.ask(Total())
        log.clear()
    assert log == ["-changed", "-same", "-new"]  # in the new order


async def test_the_same_blueprint_changes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    blueprint = under(puppet("a", log), under(puppet("x", log), id="s"), dynamic(puppet("job", log), id="d"))
    async with running(blueprint) as tree:
        await tree.supervisor("d").start_dynamic(id="one")
        log.clear()
        told = await tree.reload(reloaded(blueprint))
        assert (told.added, told.removed, told.changed, log) == ((), (), (), [])
        assert lives(tree) == {"a": 1, "s": 1, "s/x": 1, "d": 1, "d/one": 1}


async def test_who_is_gone_for_good_is_new_only_with_another_spec(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    once, deleted = puppet("once", log, restart=RestartPolicy.TEMPORARY), puppet("deleted", log)
    async with running(under(puppet("a", log), once, deleted)) as tree:
        await tell(tree, "once", fail(Stop()))
        await tree.supervisor().terminate_child("deleted")
        await tree.supervisor().delete_child("deleted")
        log.clear()
        told = await tree.reload(reloaded(under(puppet("a", log), once, deleted, puppet("new", log))))
        assert (told.added, told.changed, log) == (("new",), (), ["+new"])
        again = evolve(once, stable_after=99)
        told = await tree.reload(reloaded(under(puppet("a", log), again, deleted, puppet("new", log))))
        assert (told.added, told.changed, log) == (("once",), (), ["+new", "+once"])
        assert lives(tree) == {"a": 1, "once": 1, "new": 1}


async def test_it_goes_down_into_supervisors_that_stay(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    inner = under(puppet("x", log), puppet("y", log), id="s")
    async with running(under(puppet("a", log), inner)) as tree:
        log.clear()
        wider = under(puppet("x", log), puppet("y", log), puppet("z", log), id="s", restarts=OFTEN)
        told = await tree.reload(reloaded(under(puppet("a", log), wider)))
        assert (told.added, told.changed) == (("s/z",), ("s",)), "a child more, and another limit"
        assert log == ["+s/z"]
        for _ in range(5):
            await crash(tree, "s/x")
        assert lives(tree)["s"] == 1  # by its new limits
        await tree.supervisor().stop()


async def test_dynamic_children_change_with_their_template(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    template = puppet("job", log)
    async with running(under(dynamic(template, id="d"))) as tree:
        await tree.supervisor("d").start_dynamic(id="one")
        await tree.ref("d/one").tell(Add(2))
        log.clear()
        told = await tree.reload(reloaded(under(dynamic(evolve(template, stable_after=99), id="d"))))
        assert told.changed == ("d/one",)
        assert log == ["-d/one", "+d/one"]
        assert await tree.ref("d/one").ask(Total()) == 2


async def test_a_new_child_that_does_not_start_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    attempts: list[int] = []

    async def start(_: object) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("not yet")

    blueprint = under(puppet("a"), restarts=Intensity(5, 5))
    async with running(blueprint) as tree:
        late = puppet("b", args={"starting": start})
        await tree.reload(reloaded(under(puppet("a"), late, restarts=Intensity(5, 5))))
        await trio.sleep(1)
        assert states(tree) == {"a": "up", "b": "up"}
        assert len(attempts) == 3


@pytest.mark.parametrize(
    "blueprint",
    [
        under(puppet("x"), puppet("x")),
        under(puppet("a"), strategy=Strategy.DYNAMIC),
        under(puppet("a", mailbox=MailboxSpec(durability=Checkpointed(messages=1)))),
        under(puppet("a", significant=True, restart="transient")),
    ],
    ids=["twins", "static to dynamic", "another durability", "significant for nobody"],
)
async def test_a_blueprint_that_cannot_work_changes_nothing(
    blueprint: SupervisorSpec, autojump_clock: trio.testing.MockClock
) -> None:
    log: list[str] = []
    async with running(under(puppet("a", log))) as tree:
        with pytest.raises(ConfigurationError):
            await tree.reload(reloaded(blueprint))
        assert log == ["+a"]
        await crash(tree, "a")
        assert lives(tree) == {"a": 2}


async def test_a_change_below_that_cannot_be_made_is_refused_first(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing has changed then, also not what comes before it."""
    log: list[str] = []
    old = under(puppet("a", log), under(child(Storable, id="x", mailbox=MailboxSpec(durability=VOLATILE)), id="s"))
    durable = child(Storable, id="x", mailbox=MailboxSpec(durability=Checkpointed(messages=1)))
    new = under(puppet("new", log), under(durable, id="s"))
    async with running(old) as tree:
        log.clear()
        with pytest.raises(ConfigurationError, match="s/x: its durability cannot change"):
            await tree.reload(reloaded(new))
        assert log == []
        assert lives(tree) == {"a": 1, "s": 1, "s/x": 1}


async def test_an_agent_becomes_a_supervisor_and_an_agent_again(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(puppet("a", log))) as tree:
        await tree.ref("a").tell(Add(4))
        old = tree.ref("a")
        await tree.reload(reloaded(under(under(puppet("x", log), id="a"))))
        assert lives(tree) == {"a": 2, "a/x": 1}
        with pytest.raises((AgentStopped, NoSuchSlot)):
            await old.tell(Add(1))
        await tree.reload(reloaded(under(puppet("a", log))))
        assert lives(tree) == {"a": 3}
        assert log == ["+a", "-a", "+a/x", "-a/x", "+a"]
        assert await tree.ref("a").ask(Total()) == 0
        with pytest.raises(NoSuchSlot):
            tree.ref("a/x")


async def test_a_child_that_fails_its_new_start_leaves_the_others_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    broken = puppet("b", log, args={"starting": fail(OSError("never"))})
    async with running(under(puppet("a", log), restarts=Intensity(2, 5))) as tree:
        await tree.reload(reloaded(under(puppet("a", log), broken, restarts=OFTEN)))
        assert lives(tree)["a"] == 1
        await tree.supervisor().terminate_child("b")
        assert states(tree) == {"a": "up", "b": "down"}
