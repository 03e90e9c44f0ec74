"""A child that keeps failing takes its neighbours along, and at last its supervisor: the ladder in a real tree."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.supervisor import Backoff, ChildSpec, Intensity, Strategy
from treewarden.supervisor.core.event import Decided, OutcomeObserved
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import Blueprint, Tree, child, open_tree, tree

ORDER = ("before", "failing", "after")
OFTEN = Intensity(100, 1_000.0)


@frozen
class Work: ...


@frozen
class Crash: ...


class Shaky(Agent[int]):
    """Works, until it is told to crash: its state is not what kills it."""

    state = 0

    @handles
    def work(self, message: Work) -> None:
        self.state += 1

    @handles
    def crash(self, message: Crash) -> None:
        raise RuntimeError("told to")


def shaky(id: str) -> ChildSpec:
    backoff = Backoff(first=1.0, factor=1.0, most=1.0, jitter=0.0)
    return child(Shaky, id=id, backoff=backoff, stable_after=60.0, mailbox=MailboxSpec(durability=VOLATILE))


def group(strategy: Strategy, restarts: Intensity = OFTEN) -> Blueprint:
    return tree(tree(*map(shaky, ORDER), id="group", strategy=strategy, restarts=restarts), shaky("beside"))


def lives(running: Tree) -> tuple[int, ...]:
    """Of the group itself, its children in their order, and the one beside it."""
    found = {str(status.path): status.incarnation for status in running.snapshot()}
    return (found["group"], *(found[f"group/{id}"] for id in ORDER), found["beside"])


async def fail(running: Tree) -> tuple[int, ...]:
    """Have the one in the middle work, then crash; returns the lives when that has been dealt with."""
    for message in (Work(), Crash()):
        running.ref("group/failing").tell_nowait(message)
    await trio.sleep(5.0)
    return lives(running)


@pytest.mark.parametrize(
    ("strategy", "narrow", "wide", "scope"),
    [
        (Strategy.ONE_FOR_ONE, (0, 0, 1, 0, 0), (0, 0, 1, 1, 0), "rest"),
        (Strategy.REST_FOR_ONE, (0, 0, 1, 1, 0), (0, 1, 1, 1, 0), "all"),
        (Strategy.ONE_FOR_ALL, (0, 1, 1, 1, 0), (0, 1, 1, 1, 0), "all"),
    ],
)
async def test_from_itself_to_its_group(
    strategy: Strategy,
    narrow: tuple[int, ...],
    wide: tuple[int, ...],
    scope: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Three attempts as declared; after they have failed, one scope wider; after six a person is asked."""
    journal = MemoryJournal()
    async with open_tree(group(strategy), journal=journal) as running:
        found = [lives(running), *[await fail(running) for _ in range(6)]]
        steps = [tuple(b - a for a, b in zip(*two, strict=True)) for two in pairwise(found)]
        assert steps == [narrow] * 3 + [wide] * 3
        await fail(running)
        states = {str(status.path): status.state for status in running.snapshot()}
        assert (states["group/failing"], states["group/before"], states["group/after"]) == ("held", "up", "up")
        events = [record.event for record in await journal.read()]
    decided = [event for event in events if isinstance(event, Decided)]
    assert [(each.rule, each.action) for each in decided[3:]] == [("wider", "restart")] * 3 + [
        ("out of patience", "hold")
    ]
    assert {each.details["scope"] for each in decided[3:6]} == {scope}
    assert [each.outcome for each in events if isinstance(each, OutcomeObserved)] == ["failed"] * 6


async def test_from_its_group_to_its_supervisor(autojump_clock: trio.testing.MockClock) -> None:
    """Over the limit the supervisor gives up, and the one above starts it again with all that is below it."""
    journal = MemoryJournal()
    async with open_tree(group(Strategy.ONE_FOR_ONE, Intensity(4, 1_000.0)), journal=journal) as running:
        found = [await fail(running) for _ in range(5)]
        assert [each[3] for each in found] == [1, 1, 1, 2, 3]
        assert found[3] == (1, 1, 5, 2, 1)
        assert found[4] == (2, 2, 6, 3, 1)
        assert {status.state for status in running.snapshot()} == {"up"}
        assert (await fail(running))[:4] == (2, 2, 7, 3), "it begins anew, with itself alone"
        events = [record.event for record in await journal.read()]
    decided = [(str(each.path), each.rule, each.action) for each in events if isinstance(each, Decided)]
    assert decided[4:6] == [
        ("group/failing", "intensity", "escalate"),
        ("group", "supervisor gave up", "restart"),
    ]
    assert decided[6][1:] == ("crash", "restart")
