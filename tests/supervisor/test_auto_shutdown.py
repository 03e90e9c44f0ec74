"""Significant children in the states that OTP does not have: held, and stopped by a policy."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.core.exit import Stopped
from treewarden.agents.errors import Stop
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import AutoShutdown, ChildSpec, RestartPolicy, SupervisorSpec
from treewarden.supervisor.core.table import table

from .puppets import crash, fail, puppet, quiet, running, states, tell, under

ALL, ANY = AutoShutdown.ALL_SIGNIFICANT, AutoShutdown.ANY_SIGNIFICANT


def significant(id: str) -> ChildSpec:
    return puppet(id, restart=RestartPolicy.TRANSIENT, significant=True)


def pair(auto_shutdown: AutoShutdown, *rules: Rule) -> SupervisorSpec:
    policy = table(list(rules)) if rules else None
    return under(significant("a"), significant("b"), puppet("c"), auto_shutdown=auto_shutdown, policy=policy)


async def test_one_that_is_held_is_still_to_come(autojump_clock: trio.testing.MockClock) -> None:
    async with running(pair(ALL)) as tree:
        tree.hold("a")
        await quiet()
        await tell(tree, "b", fail(Stop()))
        assert states(tree) == {"a": "held", "b": "down", "c": "up"}
        tree.resume("a")
        await quiet()
        await tell(tree, "a", fail(Stop()))
        with trio.fail_after(60):
            assert await tree.wait_ended() == Stopped("auto_shutdown")


@pytest.mark.parametrize(("auto_shutdown", "others"), [(ANY, []), (ALL, ["b"])], ids=["any", "all"])
async def test_one_that_its_policy_stops_has_ended(
    auto_shutdown: AutoShutdown, others: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with running(pair(auto_shutdown, Rule("crash", "stop"))) as tree:
        for other in others:
            await tell(tree, other, fail(Stop()))
            assert states(tree) == {"a": "up", "b": "down", "c": "up"}
        await crash(tree, "a")
        with trio.fail_after(60):
            assert await tree.wait_ended() == Stopped("auto_shutdown")


async def test_one_that_hangs_and_is_stopped_for_it_has_not_ended_by_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(pair(ANY, Rule("reported:stuck", "stop"))) as tree:
        tree.signal("a", {"kind": "stuck", "severity": 0.5})
        await quiet()
        assert states(tree) == {"a": "down", "b": "up", "c": "up"}
        await tree.supervisor().terminate_child("b")
        await quiet()
        assert states(tree)["c"] == "up"
