"""The end of a tree with an incarnation that does not end: the block waits for it, and says so."""

from __future__ import annotations

import math
import signal

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.supervisor.core.spec import Grace
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


class Stubborn(Agent[None]):
    state = None

    @handles
    async def hold(self, seconds: float) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)

    @handles
    async def interrupt(self, times: int) -> None:
        """Stand for somebody at the keyboard, who does not interrupt this very task."""
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
            for _ in range(times):
                trio.lowlevel.current_trio_token().run_sync_soon(signal.raise_signal, signal.SIGINT)
                await trio.sleep(1)


class Patient(Agent[None]):
    state = None

    @handles
    async def hold(self, _: float) -> None:
        """Ends by its cancellation only; somebody presses Ctrl-C after a while."""
        await trio.sleep(100)
        trio.lowlevel.current_trio_token().run_sync_soon(signal.raise_signal, signal.SIGINT)
        await trio.sleep_forever()


def stubborn() -> Blueprint:
    return tree(child(Stubborn, id="a", mailbox=MailboxSpec(durability=VOLATILE), shutdown=Grace(1)))


@pytest.mark.parametrize(("seconds", "told"), [(11.0, 0), (310.0, 1), (320.0, 2)])
async def test_it_says_for_whom_it_waits(
    seconds: float, told: int, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_tree(stubborn()) as running:
        await running.ref("a").tell(seconds)
    assert trio.current_time() == seconds
    said = [each.getMessage() for each in caplog.records if each.name == "treewarden"]
    assert len(said) == told
    assert all(each.startswith("a did not end although cancelled: for ") for each in said)
    assert all("`kill -9 " in each for each in said)


@pytest.mark.parametrize(("seconds", "told"), [(59.0, 0), (359.0, 1), (361.0, 2)])
async def test_it_says_whose_grace_it_waits_for(
    seconds: float, told: int, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    memory = MailboxSpec(durability=VOLATILE)
    slow = child(Stubborn, id="slow", mailbox=memory, shutdown=Grace(math.inf))
    async with open_tree(tree(child(Stubborn, id="other", mailbox=memory), tree(slow, id="desk"))) as running:
        await running.ref("desk/slow").tell(seconds)
    assert trio.current_time() == seconds
    said = [each.getMessage() for each in caplog.records if each.name == "treewarden"]
    text = "the block of open_tree was left, and waits for desk/slow, as its grace allows; Ctrl-C ends it by force"
    assert said == [text] * told


def test_ctrl_c_ends_a_grace(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        slow = child(Patient, id="slow", mailbox=MailboxSpec(durability=VOLATILE), shutdown=Grace(math.inf))
        async with open_tree(tree(slow)) as running:
            await running.ref("slow").tell(0.0)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len([each for each in caplog.records if each.name == "treewarden"]) == 1


def test_ctrl_c_has_it_said_again_and_comes_when_all_have_ended(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with open_tree(stubborn()) as running:
            await running.ref("a").tell(2)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len([each for each in caplog.records if each.name == "treewarden"]) == 2


class Elsewhere(Agent[None]):
    """Shields what is not its handler."""

    state = None

    async def run(self) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(15)

    @handles
    def help(self, seconds: float) -> None:
        self.start_soon(shielded, seconds)


async def shielded(seconds: float) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)


async def test_whoever_holds_up_a_cancelled_block_is_named_too(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled from outside, nobody is fenced off: all end by themselves, or do not."""
    line = tree(child(Stubborn, id="quick"), child(Elsewhere, id="plain"), child(Elsewhere, id="helped"), id="line")
    with trio.move_on_after(1):
        async with open_tree(tree(stubborn().children[0], child(Stubborn, id="idle"), line)) as running:
            await running.ref("a").tell(400.0)
            await running.ref("line/quick").tell(5.0)
            await running.ref("line/helped").tell(20.0)
            await trio.sleep(50)
    assert trio.current_time() == 400
    said = [each.getMessage().split(" did not end")[0] for each in caplog.records if each.name == "treewarden"]
    assert said == ["a, line/helped body, line/helped helper, line/plain body", "a"]
