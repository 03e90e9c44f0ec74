"""One bucket of restarts for a whole tree: what is beyond it waits its turn, and it is said why."""

from __future__ import annotations

from itertools import accumulate

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor import (
    NO_BACKOFF,
    Backoff,
    ChildSpec,
    Intensity,
    Policy,
    RestartBucket,
    Strategy,
    akka,
    belief,
    kubernetes,
    ladder,
    otp,
)
from treewarden.supervisor.core.event import ChildStarted, Decided, SignalNoted
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Record
from treewarden.topologies import Blueprint, child, open_tree, tree
from treewarden.topologies.core.blueprint import validate
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.toml import loads

OFTEN = Intensity(100_000, 1.0)


@frozen
class Crash:
    kind: str


class Mortal(Agent[None]):
    state = None

    @handles
    def crash(self, message: Crash) -> None:
        raise type(message.kind, (Exception,), {})("told to")


def mortal(id: str, backoff: Backoff = NO_BACKOFF) -> ChildSpec:
    return child(Mortal, id=id, backoff=backoff, mailbox=MailboxSpec(durability=VOLATILE), stable_after=1e6)


def flock(size: int, policy: Policy, bucket: RestartBucket | None, backoff: Backoff = NO_BACKOFF) -> Blueprint:
    """Two supervisors with agents below; nobody but the bucket holds anybody up."""
    halves = [
        tree(*[mortal(f"n{n}", backoff) for n in range(half, size, 2)], id=f"half{half}", restarts=OFTEN)
        for half in (0, 1)
    ]
    return tree(*halves, policy=policy, restarts=OFTEN, restart_bucket=bucket)


async def crashed(blueprint: Blueprint, order: list[tuple[float, int]]) -> tuple[list[float], list[Record]]:
    """When lives began anew, in seconds since the first crash, and all that was journaled. `order` says when to crash
    whom, each by an error of its own: siblings in the same trouble would wait for what they share."""
    journal = MemoryJournal()
    async with open_tree(blueprint, journal=journal, seed=0, wall=lambda: trio.current_time()) as running:
        begun = trio.current_time()
        for number, (at, who) in enumerate(order):
            await trio.sleep_until(begun + at)
            running.ref(f"half{who % 2}/n{who}").tell_nowait(Crash(f"Odd{number}"))
        await trio.sleep(1000)
        records = list(await journal.read(limit=100_000))
    again = [each.at - begun for each in records if isinstance(each.event, ChildStarted) and each.event.incarnation > 1]
    return again, records


async def test_what_is_beyond_it_waits_its_turn_and_why_says_so(autojump_clock: trio.testing.MockClock) -> None:
    again, records = await crashed(flock(5, ladder(), RestartBucket(2, 10.0)), [(0.0, n) for n in range(5)])
    assert again == pytest.approx([0.0, 0.0, 10.0, 20.0, 30.0])
    decided = [each.event for each in records if isinstance(each.event, Decided)]
    assert [each.details["after"] for each in decided] == pytest.approx([0.0, 0.0, 10.0, 20.0, 30.0])
    text = "at most 2 restarts at once in the whole tree, then one every 10 s: its turn comes in {} s"
    assert [text.format(s) in each.because for s, each in zip((1, 1, 10, 20, 30), decided, strict=True)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert not any(isinstance(each.event, SignalNoted) for each in records)


async def test_a_backoff_that_ends_when_there_is_no_room_is_followed_by_a_turn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    backoff = Backoff(first=5.0, factor=1.0, most=5.0, jitter=0.0)
    again, records = await crashed(flock(3, ladder(), RestartBucket(1, 60.0), backoff), [(n / 2, n) for n in range(3)])
    assert again == pytest.approx([5.0, 65.0, 125.0])
    noted = [each.event for each in records if isinstance(each.event, SignalNoted)]
    assert [(str(each.path), each.kind, each.facts) for each in noted] == [
        ("half1/n1", "restart_bucket", {"seconds": 59.5}),
        ("half0/n2", "restart_bucket", {"seconds": 119.0}),
    ]
    assert noted[0].text == "at most 1 restart at once in the whole tree, then one every 60 s: its turn comes in 59.5 s"


@pytest.mark.parametrize("bucket", [RestartBucket(1, 60.0), None])
async def test_otp_knows_no_such_thing(bucket: RestartBucket | None, autojump_clock: trio.testing.MockClock) -> None:
    again, _ = await crashed(flock(4, otp(), bucket), [(0.0, n) for n in range(4)] * 3)
    assert again == pytest.approx([0.0] * 12)


async def test_a_group_counts_once_and_waits_together(autojump_clock: trio.testing.MockClock) -> None:
    group = tree(mortal("n0"), mortal("n2"), id="half0", strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN)
    blueprint = tree(group, restarts=OFTEN, restart_bucket=RestartBucket(1, 30.0))
    again, _ = await crashed(blueprint, [(0.0, 0), (1.0, 2)])
    assert again == pytest.approx([0.0, 0.0, 30.0, 30.0])


async def test_a_person_need_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    blueprint = tree(mortal("a"), mortal("b"), restart_bucket=RestartBucket(1, 500.0))
    async with open_tree(blueprint) as running:
        for who in ("a", "b"):
            running.ref(who).tell_nowait(Crash(f"Odd{who}"))
            await trio.sleep(1)
        assert [(each.incarnation, each.state) for each in running.snapshot()] == [(2, "up"), (1, "restarting")]
        running.resume("b")
        await trio.sleep(1)
        assert [(each.incarnation, each.state) for each in running.snapshot()] == [(2, "up"), (2, "up")]


async def test_a_reload_brings_another_one(autojump_clock: trio.testing.MockClock) -> None:
    blueprint = flock(4, ladder(), RestartBucket(1, 500.0))
    async with open_tree(blueprint) as running:
        await running.reload(flock(4, ladder(), None))
        for n in range(4):
            running.ref(f"half{n % 2}/n{n}").tell_nowait(Crash(f"Odd{n}"))
        await trio.sleep(1)
        assert [each.incarnation for each in running.snapshot() if not each.supervisor] == [2] * 4


@settings(max_examples=25, deadline=None)
@given(
    policy=st.sampled_from([ladder(), belief(), kubernetes(), akka()]),
    holds=st.integers(1, 4),
    every=st.sampled_from([0.5, 3.0, 20.0]),
    first=st.sampled_from([0.0, 0.3, 7.0]),
    gaps=st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.1, 2.0, 15.0]), st.integers(0, 7)), max_size=25),
    window=st.floats(0, 60),
)
def test_no_window_sees_more_restarts_than_it_allows(
    policy: Policy, holds: int, every: float, first: float, gaps: list[tuple[float, int]], window: float
) -> None:
    backoff = Backoff(first=first, factor=2.0, most=60.0, jitter=0.25)
    order = list(zip(accumulate([gap for gap, _ in gaps]), [who for _, who in gaps], strict=True))

    async def run() -> list[float]:
        return (await crashed(flock(8, policy, RestartBucket(holds, every), backoff), order))[0]

    again = trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    for begun in again:
        assert sum(begun <= at <= begun + window for at in again) <= holds + (window + 1e-6) / every


# Saying it -------------------------------------------------------------------------------------------------------


def test_a_file_says_it_as_python_does() -> None:
    children = 'children = [{ id = "a", agent = "treewarden.agents:Agent" }]'
    read = loads(f"restart_bucket = {{ holds = 50, every = 0.5 }}\n{children}").blueprint
    assert read.restart_bucket == RestartBucket(50, 0.5)
    assert loads(f'restart_bucket = "unlimited"\n{children}').blueprint.restart_bucket is None
    assert loads(children).blueprint.restart_bucket == RestartBucket()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("5", "is no restart bucket; write { holds = 1000, every = 0.01 } or 'unlimited'"),
        ("{ holds = 0 }", "restart_bucket.holds"),
        ("{ every = nan }", "restart_bucket.every"),
        ("{ every = true }", "restart_bucket.every"),
        ("{ hold = 5 }", "holds"),
    ],
)
def test_a_file_that_says_it_wrongly_is_refused(wrong: str, text: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        loads(f'restart_bucket = {wrong}\nchildren = [{{ id = "a", agent = "treewarden.agents:Agent" }}]')
    assert text in str(caught.value)


@pytest.mark.parametrize("bucket", [None, RestartBucket(5, 1.0)])
async def test_a_part_that_comes_later_has_none_either(
    bucket: RestartBucket | None, autojump_clock: trio.testing.MockClock
) -> None:
    """It was taken, and held nothing."""
    below = tree(mortal("a"), id="desk", restart_bucket=bucket)
    async with open_tree(tree(mortal("b"), restart_bucket=None)) as running:
        for late in (below, tree(below, id="floor")):
            with pytest.raises(ConfigurationError, match=r"desk: restart_bucket is .* say it at the root"):
                await running.supervisor().start_child(late)
        await running.supervisor().start_child(tree(mortal("a"), id="desk"))
        await running.reload(tree(mortal("b"), mortal("c"), restart_bucket=RestartBucket(5, 1.0)))


def test_only_the_root_has_one() -> None:
    below = tree(mortal("a"), id="desk", restart_bucket=RestartBucket(5, 1.0))
    (problem,) = validate(tree(below))
    assert str(problem) == (
        "tree.children[desk].restart_bucket: RestartBucket(holds=5, every=1.0) is for the whole tree, and this is a "
        "part of one; say it at the root"
    )
    (problem,) = validate(tree(mortal("a"), restart_bucket=5))  # pyright: ignore[reportArgumentType]
    assert "5 is not a RestartBucket or None; give RestartBucket(holds, every)" in str(problem)
    with pytest.raises((ConfigurationError, ValueError), match="holds is 0"):
        RestartBucket(0)
