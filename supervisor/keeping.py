"""States that are kept and gone back to while the tree runs: on an operator's wish, or as a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from attrs import evolve

from treewarden.agents.agent import made_by
from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.durability import Message
from treewarden.agents.core.exit import describe
from treewarden.agents.core.label import Label, checked_tags
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import is_number, shown
from treewarden.agents.errors import (
    CheckpointRefused,
    CommitFailed,
    ConfigurationError,
    JournalDamaged,
    NoSuchSlot,
    StartFailed,
    UnknownKind,
)
from treewarden.agents.ports import KEEP, Settled
from treewarden.agents.slot import Slot

from .calls import checked_limit, must_be_text
from .child import Child
from .common import Common
from .core.checkpoint import Checkpoint, Search
from .core.diff import Change
from .core.event import RolledBack
from .core.spec import ChildSpec
from .journal.commit import kept_as
from .journal.comparing import comparing
from .journal.port import CheckpointRow, Commit, KeepRow, Kept, RestoreRow, StateRow
from .settling import SlotStore
from .unhurried import unhurried

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["UNDO", "difference", "go_back", "keep", "put_back", "roll_back", "search"]

UNDO: Final = "before rolling back"
"""The name of the state that was left. It makes room for newer ones, as one without a name does."""

_LATEST: Final = 1e15
"""Wall seconds: far from what no database can compare."""


async def keep(common: Common, path: Path, name: str, description: str, tags: Iterable[str]) -> Checkpoint:
    """Keep the state of a slot as it last settled (see `Tree.checkpoint`)."""
    try:
        label = Label(name, description, checked_tags(tags))
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    slot = common.registry.get(path)
    if slot is None:
        if path in common.supervisors:
            raise _no_agent(path)
        raise common.nowhere(path)
    store = slot.store
    if not isinstance(store, SlotStore):
        text = f"{path}: its state is only in memory; give its mailbox another durability than volatile"
        raise CheckpointRefused(text, path=path)
    newer = not isinstance(slot.spec.durability, Message) and slot.state is not KEEP
    """What is in memory is newer than what is on disk."""
    taking = store.taking(slot.state) if newer else None
    if taking is not None:
        await taking
        if common.registry.get(path) is not slot:  # what it left is deleted, and nothing of it may come after that
            raise NoSuchSlot(f"{path}: the tree has no such slot any more", path=path)
    since = newer and store.went_back_at == store.state_settled and (await common.journal.recover(path)).state
    number, wall, retention = common.next_row(), common.clock.wall(), store.retention
    events, prunes = kept_as(path, number, label, wall), (store.prune(wall),)
    if not newer:
        keeps = (KeepRow(path, number, wall, label, retention.pins(label)),)
        commit = Commit(by=path, keeps=keeps, prunes=prunes, events=events)
    else:
        row = store.state_row(slot.state)
        if since and evolve(since, settled=row.settled) != row:
            store.went_back_at = None  # it has settled since, and so this is a state of its own
        kept = (CheckpointRow.of(row, number, label, wall, pinned=retention.pins(label)),)
        commit = Commit(by=path, states=(row,), checkpoints=kept, prunes=prunes, events=events)
    try:
        await common.journal.commit(commit)
    except CommitFailed:
        if commit.keeps and (await common.journal.recover(path)).state is None:
            text = f"{path}: nothing of it has settled yet: its state is the one that its class declares"
            raise CheckpointRefused(text, path=path) from None
        raise
    found = await _kept_under(number, path, common)
    if found is None:
        text = f"{path}: by its retention this checkpoint goes at once; give it a name or a tag that stays"
        raise CheckpointRefused(text, path=path)
    return found


async def search(
    common: Common,
    path: Path,
    *,
    name: str | None,
    text: str,
    tags: Iterable[str],
    since: float | None,
    until: float | None,
    limit: int,
) -> tuple[Checkpoint, ...]:
    """What is kept at or below `path`, newest first (see `Tree.checkpoints`)."""
    for what, said in (("name", name or ""), ("text", text)):
        must_be_text(what, said)
    for what, when in (("since", since), ("until", until)):
        if when is not None and (not is_number(when) or abs(when) > _LATEST):
            raise ConfigurationError(f"{what} is {shown(when)}; give seconds since 1970, or None")
    try:
        wanted = Search(name=name, text=text, tags=checked_tags(tags), since=since, until=until)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return tuple(await common.journal.checkpoints(path, checked_limit(limit), wanted))


async def difference(common: Common, before: int, after: int | None) -> tuple[Change, ...]:
    """What differs between two kept states, or one and the current one (see `Tree.diff`)."""
    old = await _kept(common, before)
    if after is not None:
        new = (await _kept(common, after)).state
    else:
        new = (await common.journal.recover(old.about.path)).state or old.state
    return await unhurried(comparing(old.state, new))


async def _kept(common: Common, number: int) -> Kept:
    kept = await common.journal.checkpoint(number) if _is_number(number) else None
    if kept is None:
        raise CheckpointRefused(f"there is no checkpoint {shown(number)}; checkpoints() lists them", path=ROOT)
    return kept


def _is_number(value: object) -> bool:
    """Whether a checkpoint may have this number: nobody can look for anything else."""
    return type(value) is int and abs(value) < 1 << 63


async def roll_back(supervisor: Supervisor, child: Child, to: int | str | None, by: str) -> Checkpoint | None:
    """Go back on an operator's wish; whoever lives there is stopped before and started after it."""
    common, children = supervisor.common, supervisor.children
    target, state = await _target(child, to, common)
    lived = child.current is not None
    if lived:
        await children.stop(child, "rolled back")
    try:
        await go_back(child, target, common, by, state=state)
    finally:
        child.bad_from = child.left = None
        child.away_over = ""
        failure = await children.start(child, asked=True) if lived else None
    if failure is not None:
        raise StartFailed(child.path, failure)
    return target


async def _target(child: Child, to: int | str | None, common: Common) -> tuple[Checkpoint | None, object]:
    """The checkpoint that is meant, and its state, which the code at hand can read."""
    slot, path = child.slot, child.path
    if slot is None:
        raise _no_agent(path)
    if to is None:
        return None, _declared(child, slot.store) if isinstance(slot.store, SlotStore) else KEEP
    journal, kept = common.journal, None
    if isinstance(slot.store, SlotStore):
        if isinstance(to, str):
            named = await journal.checkpoints(path, 1, Search(name=to)) if to else ()
            kept = await journal.checkpoint(named[0].number) if named else None
        elif _is_number(to):
            kept = await journal.checkpoint(to)
    if kept is None or kept.about.path != path or not isinstance(slot.store, SlotStore):
        text = f"{path}: there is no checkpoint {shown(to)}; {_known(await journal.checkpoints(path, 5))}"
        raise CheckpointRefused(text, path=path)
    return kept.about, await _decoded(slot.store, kept)


def _known(kept: Sequence[Checkpoint]) -> str:
    if not kept:
        return "none is kept"
    return "the newest are " + ", ".join(f"{each.number} {each.name}".rstrip() for each in kept)


async def go_back(
    child: Child,
    to: Checkpoint | None,
    common: Common,
    by: str = "",
    diagnosis: Diagnosis | None = None,
    state: object = KEEP,
    over: str = "",
) -> int | None:
    """Make the slot's state that of a checkpoint, or the one that its class declares. Nobody lives there meanwhile.
    `state` is that state, where it is known already; `over` what a policy goes back for, so that it can be put back.

    Whoever lives there next finds the diagnosis, with what was undone in it. What was left is kept under the name
    `UNDO`, unless it is a checkpoint anyway, as one that was gone back to is; returns the number of that. None: there
    was nothing, or it is what the slot got in this incident.

    Raises `CheckpointRefused` if the checkpoint was pruned, or no state can be had from the class: nothing has changed
    then. If the journal cannot commit, a policy's rollback counts in memory, and is written when it can; an operator's
    (`by`) raises `CommitFailed`.
    """
    slot, path = child.slot, child.path
    assert slot is not None
    store = slot.store
    told = diagnosis or Diagnosis(by=by, because=(f"{by} asked for it",))
    if not isinstance(store, SlotStore):
        slot.state = KEEP
        slot.diagnosis = told
        common.note(RolledBack(path=path, to=None, by=by, diagnosis=told))
        return None
    await store.come_to_rest()
    store.mend()
    wall, keeps = common.clock.wall(), ()
    left = None if by or child.left is not None else await _stands_at(store, common)
    written: StateRow | None = None
    if by or store.state_settled != store.went_back_at or (child.left is None and left is None):
        if not isinstance(slot.spec.durability, Message):
            written = await _write_out(slot, store, common)
        if await _is_on_disk(path, common):
            keeps = (KeepRow(path, common.next_row(), wall, Label(UNDO)),)
    left = keeps[0].number if keeps else left
    before = child.left if left is None else left
    if to is None:
        state = _declared(child, store) if state is KEEP else state
        told = evolve(told, undone=store.state_settled)
        event = RolledBack(path=path, to=None, by=by, diagnosis=told, left=before, over=over)
        commit = Commit(by=path, states=(store.state_row(state),), keeps=keeps, events=((wall, event),))
    else:
        if state is KEEP:
            kept = await common.journal.checkpoint(to.number)
            if kept is None:
                raise _pruned(path, to)
            state = await _decoded(store, kept)
        undone = max(0, store.state_settled - to.settled)
        told = evolve(told, to=to.number, name=to.name, undone=undone)
        event = RolledBack(
            path=path, to=to.seq, checkpoint=to.number, name=to.name, by=by, diagnosis=told, left=before, over=over
        )
        back = RestoreRow(path, to.number, store.settles)
        commit = Commit(by=path, restores=(back,), keeps=keeps, events=((wall, event),))
    try:
        place = await common.journal.commit(commit)
    except CommitFailed as error:
        if to is not None and await common.journal.checkpoint(to.number) is None:
            raise _pruned(path, to) from None
        if by:
            raise
        common.heard(error)
        if isinstance(slot.spec.durability, Message):  # whoever lives there settles nothing before that is written
            common.submit(evolve(commit, by=None))
        else:
            store.owes = Settled(path=path, state=state)
            late = Commit(events=((wall, event),))
            if written is not None:  # as it is, for by then it may have settled, and stand on disk, with another one
                left = left or common.next_row()
                event = evolve(event, left=left)
                kept_too = (CheckpointRow.of(written, left, Label(UNDO), wall, pinned=False),)
                late = Commit(checkpoints=kept_too, events=((wall, event),))
            common.submit(late)
        place = common.journal.head + 1
    common.has_gone_back(place, event)
    slot.state = state
    slot.diagnosis = told
    store.state_settled = store.went_back_at = store.settles
    return left


async def put_back(child: Child, common: Common, diagnosis: Diagnosis | None) -> None:
    """Make the slot's state what it was before a policy took it back. Where that cannot be had any more, it has what it
    has."""
    kept = None if child.left is None else await _kept_under(child.left, child.path, common)
    if kept is not None:
        with suppress(CheckpointRefused, UnknownKind, JournalDamaged):
            await go_back(child, kept, common, diagnosis=diagnosis)
            child.away_over = ""


async def _stands_at(store: SlotStore, common: Common) -> int | None:
    """The checkpoint that the slot went back to, if its state is that still, and it is still kept."""
    went_back = common.went_back.get(store.path)
    if not went_back or store.state_settled != store.went_back_at:
        return None
    number = went_back[-1][1].checkpoint
    return None if number is None or await _kept_under(number, store.path, common) is None else number


async def _kept_under(number: int, path: Path, common: Common) -> Checkpoint | None:
    """The checkpoint of a slot that has this number, without its state, which may be long; None if it is not kept."""
    found = await common.journal.checkpoints(path, 1, Search(number=number))
    return found[0] if found else None


async def _write_out(slot: Slot, store: SlotStore, common: Common) -> StateRow | None:
    """Have on disk what was only to be there later, as far as it can be written and the disk takes it. Returns it."""
    if slot.state is KEEP:
        return None
    try:
        taking = store.taking(slot.state)
        if taking is not None:
            await taking
        row = store.state_row(slot.state)
    except ConfigurationError:
        return None
    with suppress(CommitFailed):
        await common.journal.commit(Commit(by=slot.path, states=(row,)))
    return row


async def _is_on_disk(path: Path, common: Common) -> bool:
    try:
        return (await common.journal.recover(path)).state is not None
    except JournalDamaged:  # which may be why: there is nothing that is worth to be kept
        return False


def _declared(child: Child, store: SlotStore) -> object:
    """The state that the agent's class begins with. Raises `CheckpointRefused` if none can be made, or stored."""
    assert isinstance(child.spec, ChildSpec)
    try:
        state = made_by(child.spec.agent, child.spec.args).state
        store.codec.encode_row(state)
    except Exception as error:  # it is the user's code that makes it
        raise CheckpointRefused(
            f"{child.path}: no state can be had from its class ({describe(error)}); nothing was rolled back",
            path=child.path,
        ) from error
    return state


async def _decoded(store: SlotStore, kept: Kept) -> object:
    store.codec.check_state(kept.state.kind)
    return await unhurried(store.codec.decoding(kept.state.kind, kept.state.version, kept.state.body))


def _pruned(path: Path, to: Checkpoint) -> CheckpointRefused:
    return CheckpointRefused(f"{path}: checkpoint {to.number} was pruned; nothing was rolled back", path=path)


def _no_agent(path: Path) -> CheckpointRefused:
    return CheckpointRefused(f"{path}: it is a supervisor; name an agent below it", path=path)
