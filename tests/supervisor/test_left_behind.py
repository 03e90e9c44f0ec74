"""Children whose supervisor was restarted and starts none of them: what is on disk waits until somebody does."""

from __future__ import annotations

import pathlib
from contextlib import suppress

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.message import Happened, Request
from treewarden.agents.errors import AgentStopped, ConfigurationError, Ignore, MailboxFull, NoSuchSlot, StartFailed
from treewarden.supervisor import RestartPolicy, Strategy, otp
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.topologies.child import child, supervisor
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..agents.trees import Disk
from ..journals import on_disk

CLOCK = trio.testing.MockClock


@frozen
class Add:
    number: int


@frozen
class Later:
    """Waits for a person to say so."""

    number: int


@frozen
class Numbers(Request[tuple[int, ...]]):
    """What was added."""


class Book(Agent[tuple[int, ...]]):
    state = ()

    @handles
    async def add(self, message: Add) -> None:
        self.state = (*self.state, message.number)

    @handles
    async def later(self, message: Later) -> None:
        await self.wait_event(f"now {message.number}", until=self.now() + 60)
        self.state = (*self.state, message.number)

    @handles
    async def numbers(self, message: Numbers) -> tuple[int, ...]:
        return self.state


class Fickle(Book):
    """Does what it is told to do at its next starts."""

    def __init__(self, next_ones: list[str]) -> None:
        self.next_ones = next_ones

    async def on_start(self) -> None:
        what = self.next_ones.pop() if self.next_ones else "start"
        if what == "fail":
            raise ConnectionError("nobody answers")
        if what == "ignore":
            raise Ignore


def books(durability: Durability | None = None) -> SupervisorSpec:
    mailbox = MailboxSpec() if durability is None else MailboxSpec(durability=durability)
    of_template = supervisor("shelf", strategy=Strategy.DYNAMIC, children=(child(Book, mailbox=mailbox),))
    return tree(of_template, supervisor("desk", children=()))


async def begin(running: Tree, path: str) -> None:
    above, _, id = path.rpartition("/")
    if above == "shelf":
        await running.supervisor(above).start_dynamic(id=id)
    else:
        await running.supervisor(above).start_child(child(Book, id=id))


async def restart(running: Tree, path: str) -> None:
    """The supervisor of `path`, to which nobody lives then."""
    assert running.kill(path.rpartition("/")[0])
    await trio.sleep(10)
    with pytest.raises(AgentStopped, match="nobody has started it again"):
        await running.ref(path).tell(Add(0))


both = pytest.mark.parametrize("path", ["shelf/a", "desk/a"])


@both
async def test_state_and_messages_are_there_when_it_is_started_again(path: str, autojump_clock: CLOCK) -> None:
    async with open_tree(books()) as running:
        await begin(running, path)
        book = running.ref(path)
        for number in (1, 2):
            await book.tell(Add(number))
        await trio.sleep(1)
        running.hold(path)
        await trio.sleep(1)
        for number in (3, 4):
            await book.tell(Add(number))
        await restart(running, path)
        assert not await running.dead_letters()
        await begin(running, path)
        assert await book.ask(Numbers()) == (1, 2, 3, 4)


@both
async def test_a_message_that_waits_goes_on_to_wait(path: str, autojump_clock: CLOCK) -> None:
    async with open_tree(books()) as running:
        await begin(running, path)
        await running.ref(path).tell(Later(1))
        await trio.sleep(1)
        await restart(running, path)
        assert [str(wait.path) for wait in await running.waits()] == [path]
        await begin(running, path)
        await running.ref(path).tell(Happened("now 1"))
        await trio.sleep(1)
        assert await running.ref(path).ask(Numbers()) == (1,)


async def test_who_asks_or_waits_for_room_is_told(autojump_clock: CLOCK) -> None:
    async with open_tree(books()) as running, trio.open_nursery() as nursery:
        await begin(running, "shelf/a")
        book, refused = running.ref("shelf/a"), list[type[Exception]]()
        running.hold("shelf/a")
        await trio.sleep(1)
        with suppress(MailboxFull):
            for number in range(1000):
                await book.tell(Add(number), within=0.0)
        waiting = book.statistics().depth

        async def tell() -> None:
            try:
                await book.tell(Add(1000), within=1000)
            except AgentStopped as error:
                refused.append(type(error))

        nursery.start_soon(tell)
        await trio.sleep(1)
        await restart(running, "shelf/a")
        assert refused == [AgentStopped]
        await begin(running, "shelf/a")
        assert len(await book.ask(Numbers())) == waiting


async def test_what_was_on_its_way_to_the_disk_is_there_as_well(autojump_clock: CLOCK) -> None:
    disk = Disk()
    async with open_tree(books(), journal=disk) as running, trio.open_nursery() as nursery:
        await begin(running, "shelf/a")
        disk.slow = True
        nursery.start_soon(running.ref("shelf/a").tell, Add(1))
        await trio.testing.wait_all_tasks_blocked()
        assert running.kill("shelf")
        await trio.sleep(10)
        assert running.snapshot()[0].incarnation == 2
        disk.slow = False
        disk.go()
        assert not await running.dead_letters()
        await begin(running, "shelf/a")
        assert await running.ref("shelf/a").ask(Numbers()) == (1,)


@pytest.mark.parametrize("durability", [VOLATILE, Checkpointed(1)])
async def test_messages_in_memory_are_given_up_as_ever(durability: Durability, autojump_clock: CLOCK) -> None:
    async with open_tree(books(durability)) as running:
        await begin(running, "shelf/a")
        book = running.ref("shelf/a")
        await book.tell(Add(1))
        await trio.sleep(1)
        running.hold("shelf/a")
        await trio.sleep(1)
        await book.tell(Add(2))
        assert running.kill("shelf")
        await trio.sleep(10)
        with pytest.raises(NoSuchSlot if durability == VOLATILE else AgentStopped):
            await book.tell(Add(3))
        await begin(running, "shelf/a")
        assert await book.ask(Numbers()) == (() if durability == VOLATILE else (1,))


async def test_the_next_process_finds_them_too(tmp_path: pathlib.Path, autojump_clock: CLOCK) -> None:
    file = tmp_path / "books.db"
    for number in (1, 2, 3):
        async with open_tree(books(), journal=on_disk(file)) as running:
            for _ in range(2):
                await begin(running, "shelf/a")  # the second one may not have been needed by anybody before
                assert running.kill("shelf")
                await trio.sleep(10)
            await begin(running, "shelf/a")
            await running.ref("shelf/a").tell(Add(number))
            assert len(await running.ref("shelf/a").ask(Numbers())) == number
            assert running.kill("shelf")
            await trio.sleep(10)


async def test_who_is_terminated_is_forgotten_as_ever(autojump_clock: CLOCK) -> None:
    async with open_tree(books()) as running:
        await begin(running, "shelf/a")
        await running.ref("shelf/a").tell(Add(1))
        await trio.sleep(1)
        await restart(running, "shelf/a")
        await begin(running, "shelf/a")
        await running.supervisor("shelf").terminate_dynamic("a")
        await begin(running, "shelf/a")
        assert await running.ref("shelf/a").ask(Numbers()) == ()


async def test_of_who_has_never_done_anything_nothing_is_left(autojump_clock: CLOCK) -> None:
    async with open_tree(books()) as running:
        await begin(running, "shelf/a")
        assert running.kill("shelf")
        await trio.sleep(10)
        with pytest.raises(NoSuchSlot):
            await running.ref("shelf/a").tell(Add(0))


@pytest.mark.parametrize("what", ["fail", "ignore"])
@pytest.mark.parametrize("process", ["the same process", "the next one"])
async def test_a_start_that_comes_to_nothing_costs_nothing(
    what: str, process: str, tmp_path: pathlib.Path, autojump_clock: CLOCK
) -> None:
    next_ones = list[str]()
    shelf = supervisor("shelf", strategy=Strategy.DYNAMIC, children=(child(Fickle, args={"next_ones": next_ones}),))
    async with open_tree(tree(shelf), journal=on_disk(tmp_path / "books.db")) as running:
        await begin(running, "shelf/a")
        await running.ref("shelf/a").tell(Add(1))
        await trio.sleep(1)
        running.hold("shelf/a")
        await trio.sleep(1)
        await running.ref("shelf/a").tell(Add(2))
        if process == "the same process":
            await restart(running, "shelf/a")
            await fail_to_begin(running, what, next_ones)
    async with open_tree(tree(shelf), journal=on_disk(tmp_path / "books.db")) as running:
        await fail_to_begin(running, what, next_ones)
        assert not await running.dead_letters()


async def fail_to_begin(running: Tree, what: str, next_ones: list[str]) -> None:
    """And begin then."""
    next_ones.append(what)
    with suppress(StartFailed):
        await begin(running, "shelf/a")
    assert not next_ones
    await begin(running, "shelf/a")
    assert await running.ref("shelf/a").ask(Numbers()) == (1, 2)


async def test_a_temporary_child_that_is_stopped_with_its_group_is_left_behind(
    tmp_path: pathlib.Path, autojump_clock: CLOCK
) -> None:
    temporary = child(Book, id="b", restart=RestartPolicy.TEMPORARY)
    together = tree(child(Book), temporary, strategy=Strategy.ONE_FOR_ALL, policy=otp())
    async with open_tree(together, journal=on_disk(tmp_path / "books.db")) as running:
        await running.ref("b").tell(Add(1))
        await trio.sleep(1)
        await running.ref("b").tell(Later(2))
        await trio.sleep(1)
        assert running.kill("book")
        await trio.sleep(10)
        with pytest.raises(AgentStopped, match="stopped with its group"):
            await running.ref("b").tell(Add(3))
        assert not await running.dead_letters()
    async with open_tree(together, journal=on_disk(tmp_path / "books.db")) as running:
        await running.ref("b").tell(Happened("now 2"))
        await trio.sleep(1)
        assert await running.ref("b").ask(Numbers()) == (1, 2)


async def test_a_drain_counts_what_waits_for_nobody(autojump_clock: CLOCK) -> None:
    async with open_tree(books()) as running:
        await begin(running, "shelf/a")
        running.hold("shelf/a")
        await trio.sleep(1)
        await running.ref("shelf/a").tell(Add(1))
        await restart(running, "shelf/a")
        drained = await running.drain("shelf", within=1)
        assert drained.left == {"shelf/a": 1}
        assert not drained.complete


async def test_a_start_that_is_refused_leaves_it_of_its_kind(autojump_clock: CLOCK) -> None:
    """And whoever is of another kind begins with nothing of it."""
    async with open_tree(books()) as running:
        await begin(running, "desk/a")
        await running.ref("desk/a").tell(Add(1))
        await trio.sleep(1)
        await restart(running, "desk/a")
        desk = running.supervisor("desk")
        with pytest.raises(ConfigurationError, match="durability cannot change"):
            await desk.start_child(child(Book, id="a", mailbox=MailboxSpec(durability=VOLATILE)))
        await desk.start_child(supervisor("a", children=(child(Book, id="b"),)))
        with pytest.raises(NoSuchSlot):
            await running.ref("desk/a").tell(Add(2))
        await desk.terminate_child("a")
        await desk.delete_child("a")
        await begin(running, "desk/a")
        assert await running.ref("desk/a").ask(Numbers()) == ()
