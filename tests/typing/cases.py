"""What a type checker infers. `test_inference.py` runs pyright over it; nothing here is executed."""

from __future__ import annotations

from typing import Any, ClassVar, assert_type

from attrs import frozen

from treewarden.agents import Agent, Job, Ref, Request, Upcasts, handles, worker
from treewarden.agents.agent_spec import AgentSpec
from treewarden.agents.testing import run_handler


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]):
    pass


@frozen
class Names(Request[list[str]]):
    of: str = ""


@frozen
class Perhaps(Request[float | None]):
    pass


@frozen
class Tally:
    total: int = 0


def to_cents(old: dict[str, Any]) -> dict[str, Any]:
    return {"cents": 100 * old["total"]}


@frozen
class Kept:
    __version__: ClassVar[int] = 2
    __upcasts__: ClassVar[Upcasts] = {1: to_cents}
    cents: int = 0


class WronglyKept:
    __upcasts__: ClassVar[Upcasts] = {"1": to_cents}  # pyright: ignore[reportAssignmentType]


class Counter(Agent[Tally]):
    state = Tally()

    @handles
    async def add(self, message: Add) -> None:
        assert_type(self.state, Tally)
        assert_type(self.ref("../other"), Ref)

    @handles
    def total(self, message: Total) -> int:
        return self.state.total


async def what_an_ask_gives(counter: Ref) -> None:
    assert_type(await counter.ask(Total()), int)
    assert_type(await counter.ask(Names("a")), list[str])
    assert_type(await counter.ask(Perhaps(), within=1.0), float | None)
    await counter.tell(Add(1))
    counter.tell_nowait(Total())


async def what_is_no_request(counter: Ref) -> None:
    await counter.ask(Add(1))  # pyright: ignore[reportArgumentType]
    await counter.ask("total")  # pyright: ignore[reportArgumentType]
    await counter.ask(Total)  # pyright: ignore[reportArgumentType]
    _: str = await counter.ask(Total())  # pyright: ignore[reportAssignmentType]


async def what_a_run_gives() -> None:
    asked = await run_handler(Counter(), Total(), state=Tally(3))
    assert_type(asked.reply, int)
    assert_type(asked.state, Tally)
    told = await run_handler(Counter(), Add(1))
    assert_type(told.state, Tally)
    assert_type(told.reply, None)
    await run_handler(Counter(), Add(1), state=7)  # pyright: ignore[reportArgumentType, reportCallIssue]


def handlers_stay_what_they_are(counter: Counter) -> None:
    assert_type(counter.total(Total()), int)
    counter.total(Add(1))  # pyright: ignore[reportArgumentType]


async def poll(job: Job) -> str:
    assert_type(job.value, Any)
    return "done"


def what_a_worker_is() -> None:
    assert_type(worker(poll, every=30), AgentSpec)
    worker(poll, every="often")  # pyright: ignore[reportArgumentType]
    worker(lambda: 3)  # pyright: ignore[reportArgumentType]
