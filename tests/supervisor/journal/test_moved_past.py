"""What was moved has the past that it would have if it had stayed: a slot has gone back, been pruned and forked."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import trio
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalError
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.core.event import (
    EventsPruned,
    RolledBack,
)
from treewarden.supervisor.core.lineage import past_of
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.moving import move as move_in
from treewarden.supervisor.journal.port import Commit, RestoreRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.moved import past_told, stays_of, went_back_in
from treewarden.supervisor.pruning import Pruning

from ...journals import WALL, WallClock, checkpoint, fact, on_disk, state

T = TypeVar("T")
OTHER = Path("other")


_HOMES = ("a", "d/x", "d/y", "e/x", "e/y", "g")
_Step = tuple[str, int, int]
_WHAT: Final = ("settle", "settle", "keep", "keep", "back", "back", "declared", "move", "move", "prune")
_steps = st.lists(st.tuples(st.sampled_from(_WHAT), st.integers(0, 2), st.integers(0, 5)), min_size=6, max_size=24)


class _Twins:
    """Two journals with the same past, but that in the first one slots are moved about, and in the second they stay."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.files = (folder / "moved.db", folder / "stayed.db")
        self.homes = [Path("a"), Path("d/x"), Path("e/y")]
        self.were: dict[int, list[Path]] = {}
        """Where each was at an event."""
        self.seq = 0
        self.settled = [0, 0, 0]
        self.kept: list[list[tuple[int, int]]] = [[], [], []]
        self.number = 0
        self.cut = 0

    def paths(self, who: int) -> tuple[Path, Path]:
        return self.homes[who], Path(f"p{who}")

    async def commit(self, build: Callable[[Path], Commit], who: int) -> None:
        for file, path in zip(self.files, self.paths(who), strict=True):
            async with on_disk(file) as journal:
                await journal.commit(build(path))
                self.seq = journal.head
        self.were[self.seq] = list(self.homes)

    async def do(self, step: _Step) -> None:
        what, who, which = step
        if what in ("settle", "keep"):
            self.settled[who] += 1
            self.number += 1
            number, value = self.number, self.settled[who]
            if what == "keep":
                self.kept[who].append((number, self.seq + 1))
            await self.commit(lambda path: self._settled(path, value, number if what == "keep" else None), who)
        elif what == "back" and self.kept[who]:
            self.settled[who] += 1
            number, seq = self.kept[who][which % len(self.kept[who])]
            value = self.settled[who]
            await self.commit(lambda path: self._back(path, number, seq, value), who)
        elif what == "declared":
            self.settled[who] += 1
            event = RolledBack(path=Path("x"), to=None, by="ada")
            await self.commit(
                lambda path: Commit(states=(state(0, path),), events=((WALL, evolve(event, path=path)),)), who
            )
        elif what == "move":
            await self.move(self.homes[who], Path(_HOMES[which]))
        elif what == "prune":
            await self.prune(which)

    def _settled(self, path: Path, value: int, number: int | None) -> Commit:
        kept = () if number is None else (evolve(checkpoint(1, path=path), number=number, body=state(value).body),)
        return Commit(by=path, states=(state(value, path),), checkpoints=kept, events=((WALL, fact(value, path)),))

    def _back(self, path: Path, number: int, seq: int, value: int) -> Commit:
        event = RolledBack(path=path, to=seq, checkpoint=number, by="ada")
        return Commit(by=path, restores=(RestoreRow(path, number, value),), events=((WALL, event),))

    async def move(self, old: Path, new: Path) -> None:
        try:
            move_in(self.files[0], old, new, by="ada", at=WALL)
        except JournalError:
            return
        async with on_disk(self.files[1]) as journal:
            await journal.commit(Commit(events=((WALL, fact(0, OTHER)), (WALL, fact(0, OTHER)))))
            self.seq = journal.head
        self.were[self.seq - 1] = self.were[self.seq] = self.homes = [
            Path(f"{new}{home[len(old) :]}") if home.is_within(old) else home for home in self.homes
        ]

    async def prune(self, last: int) -> None:
        for file in self.files:
            async with on_disk(file) as journal:
                retention = EventRetention(last=last, past_checkpoints=True)
                plan = await Pruning(journal, WallClock()).prune(retention, "ada")
                self.cut = plan.through
                self.seq = journal.head
        self.were[self.seq] = list(self.homes)

    def states(self, place: int, at: int) -> list[str | None]:
        """Of each, what it has in a fork at that event."""
        file = self.files[place]
        target = file.with_name(f"fork{place}.db")
        target.unlink(missing_ok=True)
        fork(file, target, at=at, new_tree=lambda: "f0")
        homes = self.were[at] if place == 0 else [self.paths(who)[1] for who in range(3)]
        with JournalFile.open(target) as reading:
            assert reading.verify().sound
            assert not reading.check_rows().faults
            found = {each.path: each.body for each in reading.states()}
        assert found.keys() <= set(homes)
        return [found.get(home) for home in homes]

    async def past(self, place: int, who: int) -> Sequence[int]:
        """The numbers of the checkpoints that lead to what it has now, as a tree that runs there reads it."""
        path = self.paths(who)[place]
        async with on_disk(self.files[place]) as journal:
            kept = [(each.number, each.seq) for each in await journal.checkpoints(path, 100)]
            stays = await stays_of(journal, path, 0)
            told = sorted((await went_back_in(journal, stays, journal.head)).items())
            cut = await journal.cut()
            past = past_told(cut.event, stays) if cut is not None and isinstance(cut.event, EventsPruned) else None
            after = [(seq, event) for seq, event in told if past is None or seq > past.through]
        return past_of(kept, after, pruned=past)

    def part(self, place: int, who: int) -> list[tuple[Any, ...]]:
        """What a bundle of it alone has of its past: the states with which forks of that begin."""
        path, file = self.paths(who)[place], self.files[place]
        copy = file.with_name(f"part{place}.db")
        copy.unlink(missing_ok=True)
        with JournalFile.open(file) as reading:
            read_bundle(list(sealed(bundle_of(reading, path))), copy)
        found = list[tuple[Any, ...]]()
        with JournalFile.open(copy) as reading:
            assert reading.verify().sound
            assert not reading.check_rows().faults
            records = [record for record in reading.records(limit=1000) if isinstance(record.event, (RolledBack,))]
            facts = [record for record in reading.records(limit=1000) if "counted" in str(record.event)]
            mine = sorted([*records, *facts], key=lambda record: record.seq)
        for record in _some(mine, 2):
            if getattr(record.event, "path", None) != OTHER:
                target = file.with_name(f"part-fork{place}.db")
                target.unlink(missing_ok=True)
                fork(copy, target, at=record.seq, new_tree=lambda: "f0")
                with JournalFile.open(target) as reading:
                    found.append((type(record.event).__name__, [each.body for each in reading.states()]))
        return found


def _some(found: Sequence[T], most: int) -> Sequence[T]:
    """About so many of them, from the first to the last."""
    return found[:: -max(1, len(found) // most)]


_GONE_BACK: Final = [("keep", 0, 0), ("keep", 0, 0), ("keep", 0, 0), ("back", 0, 1), ("settle", 0, 0), ("keep", 0, 0)]


@settings(max_examples=2, deadline=None)
@given(_steps)
@example([*_GONE_BACK[:5], ("move", 0, 2), ("settle", 0, 0), ("settle", 0, 0), ("settle", 0, 0)])
@example([*_GONE_BACK, ("move", 0, 2), ("prune", 0, 4), ("settle", 0, 0)])
@example([*_GONE_BACK, ("move", 0, 2), ("settle", 0, 0), ("prune", 0, 0), ("keep", 0, 0), ("settle", 0, 0)])
@example([*_GONE_BACK, ("move", 0, 2), ("move", 1, 0), ("back", 1, 0)])
def test_what_was_moved_has_the_past_that_it_would_have_if_it_had_stayed(steps: list[_Step]) -> None:
    async def check(folder: str) -> None:
        twins = _Twins(pathlib.Path(folder))
        for who in range(3):
            await twins.do(("keep", who, 0))
        for step in steps:
            await twins.do(step)
        for at in _some(range(twins.cut + 1, twins.seq + 1), 5):
            assert twins.states(0, at) == twins.states(1, at), at
        for who in range(3):
            assert await twins.past(0, who) == await twins.past(1, who), who
        who = len(steps) % 3
        assert twins.part(0, who) == twins.part(1, who), who

    with tempfile.TemporaryDirectory() as folder:
        trio.run(check, folder)
