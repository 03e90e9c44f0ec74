"""Agents whose `__init__` raises what no program should raise: it is a start that failed, wherever it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.exit import leaves
from treewarden.agents.core.message import Request
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import StartFailed, TreeFailed
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity, Strategy
from treewarden.topologies.child import Child, child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Alive(Request[int]):
    pass


@frozen
class Die:
    pass


class Odd(BaseException):
    pass


ERRORS: dict[str, Callable[[], BaseException]] = {
    "a BaseException": Odd,
    "GeneratorExit": GeneratorExit,
    "a group of BaseExceptions": lambda: BaseExceptionGroup("odd ones", [Odd("a"), Odd("b")]),
}
ALL = [*ERRORS, "Cancelled"]


async def error_called(name: str) -> BaseException:
    """Of these one is a `Cancelled` that was kept for later, when nobody asks for it any more."""
    if name != "Cancelled":
        return ERRORS[name]()
    kept: BaseException | None = None
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            kept = error
            raise
    assert kept is not None
    return kept


class Births:
    """Raises at the birth of this number, and at no other."""

    def __init__(self, number: int, error: BaseException) -> None:
        self.left = number
        self.error = error

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


class Born(Agent[None]):
    def __init__(self, births: Births | None = None) -> None:
        if births is not None:
            births()

    @handles
    def alive(self, message: Alive) -> int:
        return 1

    @handles
    def die(self, message: Die) -> None:
        raise ValueError("it has to")


def made(births: Births) -> Born:
    return Born(births)


def born(births: Births, durability: Durability, agent: Any = Born) -> Any:
    mailbox = MailboxSpec(durability=durability)
    return child(agent, id="born", args={"births": births}, mailbox=mailbox, backoff=NO_BACKOFF)


def in_tree(*children: Child, **options: Any) -> Any:
    bystander = child(Born, id="bystander", mailbox=MailboxSpec(durability=VOLATILE))
    return open_tree(tree(*children, bystander, policy=otp(), restarts=Intensity(10, 1), **options))


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
@pytest.mark.parametrize("agent", [Born, made])
async def test_at_the_first_start_the_tree_does_not_open(
    error: str, durability: Durability, agent: Any, autojump_clock: MockClock
) -> None:
    with (
        trio.fail_after(60),
        pytest.raises(
            TreeFailed, match=r"the root did not last: .*(StartFailed: its child did|no agent could be made)"
        ),
    ):
        async with in_tree(born(Births(1, await error_called(error)), durability, agent)):
            raise AssertionError("it opened")


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
async def test_at_a_restart_it_is_tried_again(error: str, durability: Durability, autojump_clock: MockClock) -> None:
    async with in_tree(born(Births(2, await error_called(error)), durability)) as running:
        await running.ref("born").tell(Die())
        await trio.sleep(1)
        assert await running.ref("born").ask(Alive()) == 1
        assert {str(slot.path): slot.incarnation for slot in running.snapshot()}["bystander"] == 1


@pytest.mark.parametrize("error", ALL)
async def test_a_dynamic_start_is_refused_to_its_caller_alone(error: str, autojump_clock: MockClock) -> None:
    births = Births(2, await error_called(error))
    desk = tree(born(births, VOLATILE), id="desk", strategy=Strategy.DYNAMIC)
    async with in_tree(desk) as running:
        supervisor = running.supervisor("desk")
        first = await supervisor.start_dynamic()
        with pytest.raises(StartFailed):
            await supervisor.start_dynamic()
        third = await supervisor.start_dynamic()
        assert [view.path for view in await supervisor.children()] == [first.path, third.path]
        assert await running.ref(third.path).ask(Alive()) == 1


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_ctrl_c_there_is_nobodys_failure(
    error: type[BaseException], number: int, autojump_clock: MockClock
) -> None:
    async def live() -> None:
        async with in_tree(born(Births(number, error()), VOLATILE)) as running:
            await running.ref("born").tell(Die())
            await trio.sleep(1)

    with pytest.raises(BaseException) as caught:  # noqa: PT011 (it may come alone or in a group)
        await live()
    assert any(isinstance(leaf, error) for leaf in leaves(caught.value))
