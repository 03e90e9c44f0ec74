"""Giving up old events: what may go, what stays all the same, and the record that proves the rest."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import trio
from attrs import define, evolve, field, frozen

from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import JournalError
from treewarden.agents.ports import Clock

from .core.anchor import Sign
from .core.event import (
    EventsPruned,
    IncidentClosed,
    IncidentOpened,
    QuestionAnswered,
    QuestionAsked,
    RolledBack,
    SlotMoved,
    SupervisorEnded,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from .core.lineage import Past, past_at
from .core.moves import moves_of, place_now, place_then
from .core.retention import EventRetention, boundary_text, wanted_cut
from .journal.port import START, Commit, Journal, Record, Seq
from .unhurried import unhurried
from .views.pruned import Pruned, fold, pruned_of, without_forgotten

__all__ = ["CutPlan", "Pruning"]

_WentBack: TypeAlias = Sequence[tuple[Seq, RolledBack | SlotMoved]]
"""Who went back to what, and what was moved to another path, in the order of the journal."""
_LOG: Final = logging.getLogger("treewarden")
_PAGE: Final = 200
"""Events that are read at a time: so long does whoever commits meanwhile wait at most."""
_LOOK_EVERY: Final = 60.0
_SLACK: Final = 0.1
"""A retention cuts when this share of the events may go: a record for each event that grows old would be none less."""


@frozen(kw_only=True)
class CutPlan:
    """What a cut would do."""

    after: Seq
    """The last event that went before."""
    through: Seq
    """The last event that goes; `after` if none does."""
    held: tuple[str, ...] = ()
    """Why more stays than the retention asks for."""

    dry: bool = False
    """Nothing was done."""

    @property
    def count(self) -> int:
        return self.through - self.after

    def __str__(self) -> str:
        """What was done, and what stays all the same, in a sentence or two."""
        would = " would be" if self.dry else " are"
        gone = f"; those up to {self.after} had gone before" if self.after else ""
        held = f"; more stays, because {self.held[0]}" if self.held else ""
        if not self.count:
            return f"nothing to prune{gone}{held}"
        return f"events {self.after + 1} to {self.through}{would} pruned{held}"


@define(eq=False)
class Pruning:
    """The cuts of one journal, one at a time, for whoever owns it."""

    journal: Journal
    clock: Clock
    sign: Sign | None = None
    """Signs the record of a cut, as it signs heads."""
    covered: Callable[[], Seq | None] = lambda: None
    """The last event that a head outside of the file covers; None if none are kept."""
    _turn: trio.Lock = field(factory=trio.Lock)

    async def plan(self, retention: EventRetention) -> CutPlan:
        """What `prune` would cut off now."""
        return (await self._plan(retention))[0]

    async def _plan(self, retention: EventRetention) -> tuple[CutPlan, _WentBack]:
        cut = await self._last_cut()
        after = 0 if cut is None else cut.through
        through = await self._wanted(retention, after)
        if through <= after:
            return CutPlan(after=after, through=after), ()
        held: list[str] = []
        open_since, went_back = await self._incidents(after)
        for last, why in (*open_since, *await self._checkpoints(retention), *self._heads()):
            if max(last, after) < through:
                through, held = max(last, after), [why]
        return CutPlan(after=after, through=through, held=tuple(held)), went_back

    async def prune(self, retention: EventRetention, by: str) -> CutPlan:
        """Give up what `retention` lets go, and return what that was.

        One commit writes the record of the cut; from then on these events count as gone, and they are deleted in short
        steps. Cancelled in between: the next call, or the next owner's, deletes the rest. Raises `CommitFailed`, and
        `JournalError` for events that cannot be read: nothing was given up then. Also where they cannot be deleted yet,
        which it says.
        """
        async with self._turn:
            plan, went_back = await self._plan(retention)
            if plan.count:
                await self._cut(plan, went_back, by)
            try:
                await self.journal.trim()
            except JournalError as error:
                if not plan.count or type(error) is not JournalError:
                    raise
                text = f"{plan}, and not all of them are deleted yet: {error}; the next prune goes on"
                raise JournalError(text) from error
            return plan

    async def keep_to(self, retention: EventRetention) -> None:
        """Prune again and again, for as long as nobody cancels it. What the journal refuses is logged and tried again
        later."""
        due, failing = 0, False
        while True:
            try:
                if self.journal.head >= due:
                    due = await self._keep_to(retention)
                failing = False
            except JournalError as error:
                if not failing:
                    _LOG.warning("old events cannot be pruned: %s", error)
                failing = True
            await trio.sleep(_LOOK_EVERY)

    async def _keep_to(self, retention: EventRetention) -> Seq:
        """Prune if that is worth a record. Returns at which head to look again."""
        head, cut = self.journal.head, await self._last_cut()
        after = 0 if cut is None else cut.through
        worth = _SLACK * (head - after)
        if await self._wanted(retention, after) - after <= worth:
            return head
        plan = await self.prune(retention, "retention")
        return head + int(worth) if plan.held else head

    async def _cut(self, plan: CutPlan, went_back: _WentBack, by: str) -> None:
        journal = self.journal
        pruned = pruned_of(await self._last_cut())
        last: Record | None = None
        after = plan.after
        while records := await self._page(after, plan.through):
            pruned, last = fold(pruned, records), records[-1]
            after = last.seq
        if last is None or after != plan.through:
            raise JournalError(f"event {plan.through} is not there: nothing was pruned; `treewarden journal verify`")
        pruned = await self._with_pasts(await unhurried(without_forgotten(pruned)), went_back, plan.through)
        tree = journal.opened.tree
        text = boundary_text(tree, plan.through, last.hash, plan.count)
        event = EventsPruned(
            tree=tree,
            through=plan.through,
            hash=last.hash,
            count=plan.count,
            until=last.at,
            by=by,
            summary=pruned.as_data(),
            mac="" if self.sign is None else self.sign(text),
        )
        await journal.commit(Commit(events=((self.clock.wall(), event),)))

    async def _with_pasts(self, pruned: Pruned, went_back: _WentBack, through: Seq) -> Pruned:
        """With what led to which of the checkpoints that are still there, of each slot that has gone back by then."""
        moves, gone, pasts = moves_of(went_back), dict[Path, list[tuple[Seq, RolledBack]]](), dict[Path, Past]()

        def then(path: Path, seq: Seq) -> Path | None:
            now = place_now(path, seq, moves)
            return None if now is None else place_then(now, through, moves)

        for seq, event in went_back:
            if isinstance(event, RolledBack) and (path := then(event.path, seq)) is not None:
                gone.setdefault(path, []).append((seq, event))
        for slot, past in pruned.pasts.items():
            if (path := then(Path(slot), past.through)) is not None:
                pasts[path] = past
        concerned = {*pasts, *(path for path, (first, *_) in gone.items() if first[0] <= through)}
        if not concerned:
            return pruned
        kept: dict[Path, list[tuple[int, Seq]]] = {}
        for each in await self.journal.checkpoints(ROOT, sys.maxsize):
            if (path := place_then(each.path, through, moves)) is not None:
                kept.setdefault(path, []).append((each.number, each.seq))
        return evolve(
            pruned,
            pasts={
                str(path): past_at(kept[path], gone.get(path, ()), through, pasts.get(path))
                for path in sorted(concerned & kept.keys())
            },
        )

    async def _wanted(self, retention: EventRetention, after: Seq) -> Seq:
        old = START if retention.within is None else await self._before(after, self.clock.wall() - retention.within)
        return wanted_cut(retention, self.journal.head, old)

    async def _last_cut(self) -> EventsPruned | None:
        found = await self.journal.cut()
        return found.event if found is not None and isinstance(found.event, EventsPruned) else None

    async def _page(self, after: Seq, through: Seq) -> Sequence[Record]:
        """The next events after `after`, up to `through`; none if that is all."""
        found = await self.journal.read(after, min(_PAGE, through - after)) if after < through else ()
        return [record for record in found if record.seq <= through]

    async def _before(self, after: Seq, wall: float) -> Seq:
        """The last event that is older, by halving: clocks go forward, nearly always."""
        low, high = after, self.journal.head
        while low < high:
            middle = (low + high) // 2
            found = await self.journal.read(middle, 1)
            if found and found[0].at < wall:
                low = found[0].seq
            else:
                high = middle
        return low

    async def _incidents(self, after: Seq) -> tuple[list[tuple[Seq, str]], _WentBack]:
        """Before which event each open incident begins, and each question that nobody has answered; and who went back
        to what."""
        current: dict[str, tuple[Path, Seq]] = {}
        asked: dict[Path, tuple[Seq, str]] = {}
        went_back: list[tuple[Seq, RolledBack | SlotMoved]] = []
        head = self.journal.head
        while records := await self._page(after, head):
            after = records[-1].seq
            for record in records:
                match record.event:
                    case IncidentOpened(path=path, incident=incident):
                        current[incident] = path, record.seq - 1
                    case IncidentClosed(incident=incident):
                        current.pop(incident, None)
                    case SupervisorEnded(path=above):  # nobody sees what becomes of those below it
                        current = {id: at for id, at in current.items() if at[0] == above or not at[0].is_within(above)}
                    case TreeReloaded(removed=removed):
                        for gone in removed:
                            current = {id: at for id, at in current.items() if not at[0].is_within(gone)}
                    case QuestionAsked(slot=slot):
                        asked[slot] = record.seq - 1, f"a person is asked about {slot} since then"
                    case QuestionAnswered(slot=slot):
                        asked.pop(slot, None)
                    case RolledBack() | SlotMoved() as event:
                        went_back.append((record.seq, event))
                    case TreeOpened() | TreeClosed():
                        current.clear()
                    case _:
                        pass
        open = [(seq, f"incident {id} of {path} is open since then") for id, (path, seq) in current.items()]
        return [*open, *asked.values()], went_back

    async def _checkpoints(self, retention: EventRetention) -> list[tuple[Seq, str]]:
        if retention.past_checkpoints:
            return []
        return [
            (kept.seq - 1, f"checkpoint {kept.number} of {kept.path} is of the event behind it")
            for kept in await self.journal.checkpoints(ROOT, sys.maxsize)
            if kept.pinned and kept.seq > START
        ]

    def _heads(self) -> list[tuple[Seq, str]]:
        covered = self.covered()
        return [] if covered is None else [(covered, "no head that is kept outside covers more")]
