"""Scatter-gather: who is waited for, and when it is known that it was in vain."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import (
    AgentFailed,
    AskTimeout,
    ConfigurationError,
    DeliveryError,
    NoSuchSlot,
    QuorumMissed,
)
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, Intensity
from treewarden.topologies.child import child
from treewarden.topologies.gather import gather
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Price(Request[float]):
    """Ask what something costs."""

    of: str = "tea"


@frozen
class Best(Request[tuple[str, ...]]):
    """Ask somebody who asks others; the reply names those who replied."""

    quorum: int


class Shop(Agent[int]):
    """Takes its time, and names its price; one without a price fails."""

    state = 0

    def __init__(self, after: float = 0.0, price: float | None = 1.0) -> None:
        self.takes = after
        self.price = price

    @handles
    async def asked(self, message: Price) -> float:
        await trio.sleep(self.takes)
        self.state += 1
        if self.price is None:
            raise ValueError("closed today")
        return self.price


class Buyer(Agent[None]):
    def __init__(self, shops: Sequence[str]) -> None:
        self.shops = shops

    @handles
    async def best(self, message: Best) -> tuple[str, ...]:
        found = await gather([self.ref(path) for path in self.shops], Price(), quorum=message.quorum)
        return tuple(found.replies)

    @handles
    async def asked(self, message: Price) -> float:
        return max((await gather([self.ref(path) for path in self.shops], message)).replies.values())


def shop(id: str, after: float, price: float | None = 1.0) -> ChildSpec:
    spec = MailboxSpec(durability=VOLATILE)
    return child(Shop, id=id, args={"after": after, "price": price}, mailbox=spec, backoff=NO_BACKOFF)


def refs(running: Tree, names: str) -> list[Ref]:
    return [running.ref(name) for name in names]


async def test_all_reply(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(shop("a", 3, 1.5), shop("b", 1, 2.5), shop("c", 2, 3.5))) as running:
        found = await gather(refs(running, "abc"), Price())
        assert dict(found.replies) == {"a": 1.5, "b": 2.5, "c": 3.5}
        assert list(found.replies) == ["b", "c", "a"], "in the order in which they came"
        assert not found.failures
        assert trio.current_time() == pytest.approx(3)


async def test_a_quorum_is_enough_and_nobody_waits_for_the_rest(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(shop("a", 3), shop("b", 1), shop("c", 2), shop("d", 0, None))) as running:
        found = await gather(refs(running, "abcd"), Price(), quorum=2)
        assert list(found.replies) == ["b", "c"]
        assert list(found.failures) == ["d"]
        assert isinstance(found.failures[next(iter(found.failures))], AgentFailed)
        assert trio.current_time() == pytest.approx(2)


async def test_out_of_reach_is_said_at_once(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(shop("a", 1), shop("b", 2, None), shop("c", 4, None), shop("d", 60))) as running:
        with pytest.raises(QuorumMissed, match=r"3 of 4 replies were asked for, and 2 failed: b: .*; c: ") as missed:
            await gather(refs(running, "abcd"), Price(), quorum=3, within=30)
        assert trio.current_time() == pytest.approx(4)
        assert isinstance(missed.value, DeliveryError)
        assert (missed.value.path, dict(missed.value.replies), list(missed.value.failures)) == (
            "c",
            {"a": 1.0},
            ["b", "c"],
        )


async def test_the_limit_is_that_of_all(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(shop("a", 1), shop("b", 60))) as running:
        assert list((await gather(refs(running, "ab"), Price(), quorum=1, within=2)).replies) == ["a"]
        begun = trio.current_time()
        with pytest.raises(QuorumMissed, match="no reply to Price within 2 s") as missed:
            await gather(refs(running, "ab"), Price(), within=2)
        assert trio.current_time() - begun == pytest.approx(2, abs=0.11)
        assert isinstance(missed.value.failures[running.ref("b").path], AskTimeout)


async def test_whoever_is_not_there_has_failed(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(shop("a", 1), shop("b", 1))) as running:
        gone = running.ref("b")
        await running.supervisor().terminate_child("b")
        await running.supervisor().delete_child("b")
        found = await gather([running.ref("a"), gone], Price(), quorum=1)
        assert [type(error) for error in found.failures.values()] == [NoSuchSlot]


async def test_cancelled_it_waits_for_nobody(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(shop("a", 60), shop("b", 60))) as running:
        with trio.move_on_after(3) as limit:
            await gather(refs(running, "ab"), Price(), within=30)
        assert limit.cancelled_caught
        assert trio.current_time() == pytest.approx(3)


async def test_inside_a_handler(autojump_clock: CLOCK) -> None:
    buyer = child(Buyer, args={"shops": ["a", "b", "c"]})
    async with open_tree(tree(shop("a", 3), shop("b", 1), shop("c", 2), buyer)) as running:
        assert await running.ref("buyer").ask(Best(2)) == ("b", "c")
        assert trio.current_time() == pytest.approx(2)
        assert await running.ref("buyer").ask(Best(3), within=20) == ("b", "c", "a")


async def test_inside_a_handler_a_cycle_is_found_and_others_are_asked(autojump_clock: CLOCK) -> None:
    buyers = [
        child(Buyer, id=id, args={"shops": shops}) for id, shops in (("x", ["y"]), ("y", ["x"]), ("z", ["x", "a"]))
    ]
    async with open_tree(tree(shop("a", 0), *buyers)) as running:
        with pytest.raises(AgentFailed, match=r"QuorumMissed.*asking would wait for itself: x asks y asks x"):
            await running.ref("x").ask(Price())
        assert await running.ref("z").ask(Best(1)) == ("a",)


async def test_a_pool_is_one_of_those_who_are_asked(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(pool(shop("shop", 1), size=3), shop("a", 2))) as running:
        found = await gather([running.ref("shop"), running.ref("a")], Price())
        assert list(found.replies) == ["shop", "a"]


async def test_what_cannot_be_asked_is_refused(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(shop("a", 1), shop("b", 1))) as running:
        with pytest.raises(ConfigurationError, match="nobody is asked"):
            await gather([], Price())
        with pytest.raises(ConfigurationError, match="a is asked twice"):
            await gather(refs(running, "aba"), Price())
        async with open_tree(tree(shop("a", 3), shop("c", 4))) as other:
            with pytest.raises(ConfigurationError, match=r"a is asked in two trees, .*; gather from one tree at a"):
                await gather([*refs(running, "ab"), other.ref("a")], Price())
            assert len((await gather([*refs(running, "ab"), other.ref("c")], Price())).replies) == 3
        with pytest.raises(ConfigurationError, match="'b' is no ref; give gather those that `ref"):
            await gather([running.ref("a"), "b"], Price())  # type: ignore[list-item]
        for quorum in (0, 3, True):
            with pytest.raises(ConfigurationError, match="quorum is"):
                await gather(refs(running, "ab"), Price(), quorum=quorum)
        for within in (0.0, float("inf"), float("nan")):
            with pytest.raises(ConfigurationError, match="within is"):
                await gather(refs(running, "ab"), Price(), within=within)


@given(
    shops=st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=6),
    share=st.floats(0, 1),
)
def test_it_ends_when_it_is_decided(shops: list[tuple[int, bool]], share: float) -> None:
    """With the quorum's last reply, or with the first failure that is one too many; replies and failures are true."""
    quorum = max(1, round(share * len(shops)))
    good = sorted(after for after, answers in shops if answers)
    bad = sorted(after for after, answers in shops if not answers)
    reached = len(good) >= quorum
    end = good[quorum - 1] if reached else bad[len(shops) - quorum]

    async def run() -> None:
        specs = [shop(f"s{n}", after + 0.5, 1.0 if answers else None) for n, (after, answers) in enumerate(shops)]
        async with open_tree(tree(*specs, policy=otp(), restarts=Intensity(100, 1))) as running:
            asked = [running.ref(spec.id) for spec in specs]
            try:
                found = await gather(asked, Price(), quorum=quorum, within=60)
                replies, failures = found.replies, found.failures
                assert reached
                assert len(replies) >= quorum
            except QuorumMissed as missed:
                replies, failures = missed.replies, missed.failures
                assert not reached
            assert trio.current_time() == pytest.approx(end + 0.5)
            for n, (_, answers) in enumerate(shops):
                assert f"s{n}" not in (failures if answers else replies)

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
