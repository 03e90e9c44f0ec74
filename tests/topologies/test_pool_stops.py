"""Workers behind one address do the same and need none of each other: they end together, in one grace."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents import Agent, Exit, Stopped, handles
from treewarden.supervisor import Grace, Intensity, SupervisorSpec, otp
from treewarden.topologies import Blueprint, child, open_tree, partitions, pool, tree
from treewarden.topologies.core.routing import Route

CLOCK = trio.testing.MockClock


@frozen
class Fetch:
    key: str
    seconds: float


class Worker(Agent[int]):
    state = 0

    def __init__(self, ends: list[tuple[float, Exit]]) -> None:
        self.ends = ends

    async def on_stop(self, exit: Exit) -> None:
        self.ends.append((trio.current_time(), exit))

    @handles
    async def fetch(self, message: Fetch) -> None:
        await trio.sleep(message.seconds)
        self.state += 1
        if message.seconds == 1.0:
            raise ValueError("told to")


def workers(ends: list[tuple[float, Exit]], route: Route, size: int = 8) -> Blueprint:
    worker = child(Worker, args={"ends": ends}, shutdown=Grace(5))
    return tree(pool(worker, size=size, route=route, key="key" if route == "by_key" else None, id="pool"))


async def time_to_stop(shape: Blueprint, path: str, seconds: float) -> float:
    async with open_tree(shape) as running:
        for number in range(8):
            await running.ref(path).tell(Fetch(str(number), seconds))
        await trio.sleep(0.5)
        begun = trio.current_time()
    return trio.current_time() - begun


@pytest.mark.parametrize("route", ["round_robin", "least_loaded", "by_key", "broadcast", "shared"])
async def test_those_who_hang_take_one_grace_together(route: Route, autojump_clock: CLOCK) -> None:
    assert await time_to_stop(workers([], route), "pool", 600) == pytest.approx(5, abs=0.5)


async def test_those_who_work_end_when_their_work_is_done(autojump_clock: CLOCK) -> None:
    ends: list[tuple[float, Exit]] = []
    assert await time_to_stop(workers(ends, "round_robin"), "pool", 3) == pytest.approx(2.5, abs=0.5)
    assert [exit for _, exit in ends] == [Stopped("shutdown")] * 8
    assert len({at for at, _ in ends}) == 1


async def test_partitions_end_together(autojump_clock: CLOCK) -> None:
    shelf = tree(child(Worker, id="book", args={"ends": []}, shutdown=Grace(5)), id="shelf")
    assert await time_to_stop(tree(partitions(shelf, 4, key="key", entry="book")), "shelf", 600) <= 10


async def test_partitions_without_a_key_are_no_address_and_end_one_after_the_other(autojump_clock: CLOCK) -> None:
    shelf = tree(child(Worker, id="book", args={"ends": []}, shutdown=Grace(5)), id="shelf")
    async with open_tree(tree(partitions(shelf, 4))) as running:
        for number in range(4):
            await running.ref(f"shelf/{number}/book").tell(Fetch("", 600))
        await trio.sleep(0.5)
        begun = trio.current_time()
    assert trio.current_time() - begun == pytest.approx(20, abs=0.5)


async def test_a_pool_that_gives_up_works_again_after_one_grace(autojump_clock: CLOCK) -> None:
    """While it stops nobody of it works: it took one grace for each that hung."""
    shape = workers([], "round_robin")
    (few,) = (evolve(each, restarts=Intensity()) for each in shape.children if isinstance(each, SupervisorSpec))
    async with open_tree(evolve(shape, children=(few,), policy=otp())) as running:
        for number in range(4):
            await running.ref(f"pool/{number}").tell(Fetch("", 600))
        for number in range(4, 8):
            await running.ref(f"pool/{number}").tell(Fetch("", 1.0))
        await trio.sleep(12)
        assert running.snapshot()[0].incarnation == 2


async def test_others_end_one_after_the_other_the_last_one_first(autojump_clock: CLOCK) -> None:
    ends: list[tuple[float, Exit]] = []
    children = [child(Worker, id=str(number), args={"ends": ends}, shutdown=Grace(5)) for number in range(3)]
    async with open_tree(tree(*children)) as running:
        await running.ref("2").tell(Fetch("", 2))
        await running.ref("1").tell(Fetch("", 600))
        await trio.sleep(0.5)
        begun = trio.current_time()
    assert [round(at - begun, 1) for at, _ in ends] == [1.5, 6.5], "of 2 and of 0: who hangs is killed"
    assert trio.current_time() - begun == pytest.approx(6.5, abs=0.1)
