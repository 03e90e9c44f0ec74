"""A broken dependency in a tree that runs: whoever uses it waits, wherever they live, and one finds out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path as File

import trio
import trio.testing
from attrs import define, evolve, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.supervisor.core import event as events
from treewarden.supervisor.core.action import Action, Break, Restart
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.spec import ChildSpec, SupervisorSpec
from treewarden.supervisor.views import tree_status
from treewarden.topologies.child import child, supervisor
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .views.histories import records


@frozen
class Call:
    """Use it."""


@define
class Outside:
    """What all of them use."""

    down: bool = True
    error: type[Exception] = ConnectionRefusedError
    calls: list[tuple[float, str]] = field(factory=list[tuple[float, str]])


class User(Agent[int]):
    state = 0

    def __init__(self, name: str, outside: Outside) -> None:
        self.name, self.outside = name, outside

    @handles
    async def call(self, message: Call) -> None:
        self.outside.calls.append((trio.current_time(), self.name))
        if self.outside.down:
            raise self.outside.error("nobody listens")
        self.state += 1


@frozen
class Breaks:
    """Breaks the dependency at every failure; for `patient` ones restarts instead."""

    seconds: float = 5.0
    patient: tuple[str, ...] = ()
    name: str = "breaks"
    counts_alike: bool = True
    escalates: bool = False
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        patient = case.signal.path.name in self.patient
        action: Action = Restart() if patient else Break("api", self.seconds)
        return (Option(action, "rule", "because"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


def topology(outside: Outside, policy: Breaks | None = None) -> SupervisorSpec:
    def user(name: str, *uses: str) -> ChildSpec:
        return child(User, id=name, args={"name": name, "outside": outside}, uses=uses)

    left = supervisor("left", children=(user("a", "api"), user("b", "api"), user("free")))
    right = supervisor("right", children=(user("c", "api"), user("d", "api")))
    return tree(left, right, policy=policy or Breaks())


async def tell(running: Tree, *paths: str) -> None:
    for path in paths:
        await running.ref(path).tell(Call())


async def changes(running: Tree) -> list[events.DependencyChanged]:
    found: list[events.DependencyChanged] = []
    head = running.head
    async with running.events() as told:
        async for record in told:
            if isinstance(record.event, events.DependencyChanged):
                found.append(record.event)
            if record.seq >= head:
                break
    return found


async def test_all_users_in_the_tree_wait_and_one_finds_out(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(topology(outside)) as running:
        begun = trio.current_time()
        await tell(running, "left/a")
        await trio.sleep(1)
        await tell(running, "left/b", "right/c", "right/d", "left/free")
        await trio.sleep(3)
        names = [name for _, name in outside.calls]
        assert names == ["a", "free"], "whoever does not use it goes on, also beside one who does"
        notes = {str(slot.path): slot.note for slot in running.snapshot()}
        assert all(notes[path] == "waits for api" for path in ("left/a", "left/b", "right/c", "right/d"))
        await trio.sleep(5)
        assert len([at for at, name in outside.calls if at - begun > 4 and name != "free"]) == 1, "exactly one probe"
        outside.down = False
        await trio.sleep(60)
        assert {name for _, name in outside.calls} == {"a", "b", "c", "d", "free"}
        states = [(one.passage, one.why) for one in await changes(running)]
        assert states[-2:] == [("half_open", "one user tries"), ("closed", "the probe worked")]
        assert {str(user) for user in (await changes(running))[0].users} == {"left/a", "left/b", "right/c", "right/d"}
        assert not any(slot.note for slot in running.snapshot() if "free" not in str(slot.path))


async def test_the_others_wait_until_it_is_known_how_the_probe_went(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(topology(outside)) as running:
        await tell(running, "right/c")
        await trio.sleep(1)
        await tell(running, "left/a", "left/b", "right/d")
        await trio.sleep(120)
        tried = [at for at, _ in outside.calls]
        gaps = [later - before for before, later in pairwise(tried)]
        assert len(tried) < 8, "one call for each opening, for all of them together"
        assert all(after > before for before, after in pairwise(gaps)), "longer after each"
        assert len({name for _, name in outside.calls}) > 2, "another one each time"


async def test_the_probe_of_another_policy_opens_it_again(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(topology(outside, Breaks(patient=("c", "d")))) as running:
        await tell(running, "left/a")
        await trio.sleep(1)
        await tell(running, "right/c")
        await trio.sleep(30)
        found = [one for one in await changes(running) if one.why == "the probe failed"]
        assert found, "whatever the policy decides about the probe itself"
        assert found[0].seconds > 5 * 1.5
        outside.down = False
        await trio.sleep(300)
        assert {name for _, name in outside.calls} == {"a", "c"}
        assert (await changes(running))[-1].passage == "closed"


async def test_one_tries_who_has_something_to_do(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(topology(outside)) as running:
        running.signal("left/a", {"kind": "odd", "severity": 0.9})
        await trio.sleep(1)
        outside.down = False
        await tell(running, "right/d")
        await trio.sleep(20)
        found = [(str(one.path), one.passage, one.why) for one in await changes(running)]
        assert found[-2:] == [
            ("right/d", "half_open", "one user tries"),
            ("right/d", "closed", "the probe worked"),
        ], found


async def test_a_user_that_is_started_meanwhile_waits_too(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(topology(outside, Breaks(20.0))) as running:
        await tell(running, "left/a")
        await trio.sleep(1)
        late = child(User, id="late", args={"name": "late", "outside": outside}, uses=("api",))
        await running.supervisor("right").start_child(late)
        await tell(running, "right/late")
        await trio.sleep(10)
        assert [name for _, name in outside.calls] == ["a"]
        outside.down = False
        await trio.sleep(30)
        assert "late" in [name for _, name in outside.calls]


async def test_a_user_that_is_started_where_nobody_used_it_may_be_the_one_who_tries(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outside = Outside()
    below = [
        supervisor(id, children=(child(User, id=id[0], args={"name": id, "outside": outside}, uses=uses),))
        for id, uses in (("free", ()), ("used", ("api",)))
    ]
    async with open_tree(tree(*below, policy=Breaks(patient=("f",)))) as running:
        await tell(running, "free/f", "used/u")
        await trio.sleep(1)
        late = child(User, id="late", args={"name": "late", "outside": outside}, uses=("api",))
        await running.supervisor("free").start_child(late)
        await tell(running, "free/late")
        await trio.sleep(8)
        assert [name for _, name in outside.calls] == ["free", "free", "used", "late"]
        last = (await changes(running))[-1]
        assert (last.passage, last.why) == ("open", "the probe failed")


async def test_whoever_was_terminated_is_not_started_by_it(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(topology(outside)) as running:
        await running.supervisor("left").terminate_child("b")
        await tell(running, "left/a")
        await trio.sleep(1)
        outside.down = False
        await trio.sleep(100)
        (b,) = [slot for slot in running.snapshot() if str(slot.path) == "left/b"]
        assert b.state is SlotState.DOWN
        assert (await changes(running))[-1].passage == "closed"


async def test_a_new_process_begins_with_all_of_them_closed(
    autojump_clock: trio.testing.MockClock, tmp_path: File
) -> None:
    outside, file = Outside(), tmp_path / "t.db"
    async with open_tree(topology(outside, Breaks(200.0)), journal=on_disk(file)) as running:
        await tell(running, "left/a")
        await trio.sleep(1)
        assert [one.passage for one in await changes(running)] == ["open"]
    outside.down = False
    async with open_tree(topology(outside, Breaks(200.0)), journal=on_disk(file)) as running:
        await tell(running, "right/c")
        await trio.sleep(1)
        assert "c" in [name for _, name in outside.calls]


def test_the_journal_tells_who_waits_and_who_tries() -> None:
    def at(passage: str, path: str = "left/a", seconds: float = 0.0) -> events.DependencyChanged:
        users = (Path("left/a"), Path("right/c"))
        return events.DependencyChanged(
            path=Path(path), dependency="api", passage=passage, users=users, seconds=seconds
        )

    status = tree_status.TreeStatus()
    told: list[list[str]] = []
    for record in records(at("open", seconds=5.0), at("half_open", "right/c"), at("closed", "right/c")):
        status = tree_status.fold(status, [record])
        told.append([slot.note for slot in status.slots.values()])
    assert told == [["waits for api"] * 2, ["waits for api", "tries api"], ["", ""]]


async def test_who_waits_for_it_is_held_for_nobody_in_the_file_either(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(topology(Outside())) as running:
        await tell(running, "left/a")
        await trio.sleep(1)
        status, head = tree_status.TreeStatus(), running.head
        async with running.events() as told:
            async for record in told:
                status = tree_status.fold(status, [record])
                if record.seq >= head:
                    break
        live = next(slot for slot in running.snapshot() if slot.path == Path("left/a"))
        seen = status.slots[Path("left/a")]
        assert (live.state, live.held, live.note) == (SlotState.RESTARTING, False, "waits for api")
        assert (seen.state, seen.note) == (live.state, live.note)


def crowd(outside: Outside, number: int = 50) -> SupervisorSpec:
    """Half of them here, half of them there."""
    users = [
        child(User, id=f"u{place}", args={"name": str(place), "outside": outside}, uses=("api",))
        for place in range(number)
    ]
    half = number // 2
    both = supervisor("left", children=tuple(users[:half])), supervisor("right", children=tuple(users[half:]))
    return tree(*both, policy=Breaks())


def paths(number: int = 50) -> list[str]:
    return [f"{'left' if place < number // 2 else 'right'}/u{place}" for place in range(number)]


async def back_at(seed: int) -> list[float]:
    """When each of fifty users first called what is back, from the moment when that was known."""
    outside = Outside()
    async with open_tree(crowd(outside), seed=seed) as running:
        await tell(running, "left/u0")
        await trio.sleep(1)
        await tell(running, *paths())
        outside.down = False
        await trio.sleep(60)
        works = [at for at, name in outside.calls if name != "0"]  # which is the one that tried
        assert len(works) == 49
        return [round(at - works[0], 6) for at in works]


async def test_they_do_not_all_come_back_at_once(autojump_clock: trio.testing.MockClock) -> None:
    times = await back_at(7)
    assert all(len([at for at in times if before <= at < before + 0.01]) <= 3 for before in times)
    assert 0.4 < times[-1] < 0.5
    assert await back_at(7) == times, "the same under the same seed"
    assert await back_at(8) != times


async def test_those_who_have_not_come_back_wait_on_if_it_breaks_again(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(crowd(outside)) as running:
        await tell(running, "left/u0")
        await trio.sleep(1)
        await tell(running, *paths())
        outside.down = False
        await trio.sleep_until(outside.calls[0][0] + 6.2)
        assert 10 < len(outside.calls) < 40
        before = len(outside.calls)
        outside.down = True
        await trio.sleep(2)
        assert before < len(outside.calls) < before + 5
        assert sum(slot.note == "waits for api" for slot in running.snapshot()) == 50
        outside.down = False
        await trio.sleep(60)
        assert {name for _, name in outside.calls} == {str(place) for place in range(50)}
        assert not any(slot.note for slot in running.snapshot())


async def test_whoever_does_not_use_it_any_more_waits_for_no_turn(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    async with open_tree(crowd(outside, 4)) as running:
        await tell(running, "left/u0")
        await trio.sleep(1)
        await tell(running, *paths(4))
        free = child(User, id="u3", args={"name": "free", "outside": outside})
        here, there = running.blueprint.children
        assert isinstance(there, SupervisorSpec)
        await running.supervisor("right").replace(evolve(there, children=(there.children[0], free)))
        outside.down = False
        await trio.sleep(60)
        assert running.ref("right/u3").statistics().paused == ()
        assert not any(slot.mailbox for slot in running.snapshot())
        assert here.id == "left"
