"""Effects in doubt, and what a person says came of them: in a tree that runs, and in a journal on which none does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from treewarden.agents.core.message import Envelope, MessageId, asked_in
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import listed, shown
from treewarden.agents.core.step import BEGUN, UNREAD, Begun, Done, GiveUp, begun_id, done_id, mail_of
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import ConfigurationError, JournalError, NotDone, UnknownKind
from treewarden.agents.ports import Clock

from .core.event import DeadLettered, EffectNoted, Event, QuestionAsked
from .effects import begun_of, in_doubt, noted
from .held_over import answers, asked_over, let_go
from .journal.canonical import dump
from .journal.port import Commit, DeadRow, Journal, MessageRow, ReplyRow
from .recovery import needs_restoring
from .results import ANSWERED, ResultCodec, result_codec
from .unhurried import unhurried
from .unsettled import give_up

if TYPE_CHECKING:
    from treewarden.agents.slot import Slot

    from .common import Common

__all__ = ["OpenEffect", "Said", "answer", "answer_at_rest", "open_effects", "open_in"]

Said: TypeAlias = Done[Any] | NotDone | GiveUp
"""What a person may say of an effect in doubt."""


@frozen(kw_only=True)
class OpenEffect:
    """An effect that has begun and of which no result is known."""

    path: Path
    effect: str
    key: str
    """By which the outside knows it, and a person names it."""
    message: str
    kind: str
    """Of the message in whose handler it ran."""
    since: float
    """Wall seconds."""
    under_way: bool = False
    """Its call runs, in this process."""
    unread: bool = False
    """It was done, and somebody is held because the code at hand cannot read its result."""


async def open_effects(common: Common, path: Path) -> tuple[OpenEffect, ...]:
    """See `Tree.effects`."""
    running = common.replies.under_way
    found = [_open(step, step.step in running) for step in await _begun(common, path)]
    found += [_open(step, False, unread=True) for step in await _unread(common, path)]
    return tuple(sorted(found, key=lambda each: (each.since, each.key)))


def open_in(rows: Iterable[ReplyRow], path: Path, held: Iterable[str] = ()) -> tuple[OpenEffect, ...]:
    """Those of these rows, of a file, at or below `path`. `held` is what is said of who is held."""
    rows = tuple(rows)
    found = [_open(step, False) for step in _begun_in(rows) if step.path.is_within(path)]
    found += [_open(step, False, unread=True) for step in _unread_in(rows, held) if step.path.is_within(path)]
    return tuple(sorted(found, key=lambda each: (each.since, each.key)))


async def answer(common: Common, path: Path, said: Said, key: str, by: str) -> OpenEffect:
    """See `Tree.answer`."""
    _check(said)
    step, unread = await _open_step(common, path, key)
    made = await _large_row(step, said)
    if made is not None:  # others had turns: one of them may have said something
        step, unread = await _open_step(common, path, step.key)
    if step.step in common.replies.under_way:
        raise ConfigurationError(
            f"{path}: the call of {step.name!r} still runs, or somebody else says what came of it; say so when "
            "that has ended"
        )
    row = made or _row(step, said, None if step.returns is None else result_codec(step.returns))
    slot = common.registry.get(mail_of(step.step))
    slots = [each for each in (slot, common.registry.get(step.path)) if each is not None]
    known = slot is not None and not needs_restoring(slot, common)
    answered = asked_over(common, step)
    common.replies.under_way.add(step.step)  # or another one could say something else meanwhile, or it could run
    try:
        if step in unread:
            await _take_back(common, step)
        await _answer(common, said, step, row, slots, known, by, _answers(answered, by))
    finally:
        common.replies.under_way.discard(step.step)
        common.replies.awaited.discard(step.step)
    let_go(common, step, by, answered)
    ask, opened = _ask_of(step), common.journal.opened
    comes_again = asked_in(ask) == f"{opened.tree}-{opened.epoch}"  # asked to slow down; with its end all of it goes
    if ask and not comes_again:
        with suppress(JournalError, UnknownKind):  # of somebody else: what came of this effect is stored
            if _is_over(ask, await _begun(common, ROOT)):
                common.forget_replies(ask)
    return _open(step, False)


async def _open_step(common: Common, path: Path, key: str) -> tuple[Begun, Sequence[Begun]]:
    """The effect that a person means, and all those there that were done and cannot be read."""
    unread = await _unread(common, path)
    return _meant([*await _begun(common, path), *unread], path, key), unread


async def _answer(
    common: Common,
    said: Said,
    step: Begun,
    row: ReplyRow | None,
    slots: Sequence[Slot],
    known: bool,
    by: str,
    over: Sequence[Event],
) -> None:
    if isinstance(said, GiveUp) and known and ">" not in step.message and step.waits:
        where, envelope = _waiting(slots, step)
        where.remove_oldest(0, lambda item: item is envelope)
        common.note(_fact(step, said, by), *over)  # before it: asked in vain, nobody is held for good
        give_up(where, envelope, _reason(step, by), common)
        await common.journal.commit(Commit())  # behind that
    else:
        waiting = () if known else (await common.journal.recover(mail_of(step.step))).messages
        await common.journal.commit(_commit(step, said, by, row, waiting, common.clock.wall(), over))
        if isinstance(said, GiveUp):
            common.replies.forget(step.message)
        elif row is None:
            common.replies.drop(step.step)
        elif common.replies.get(begun_id(step.step)) is not None:
            common.replies.put(row.id, row)


async def answer_at_rest(journal: Journal, clock: Clock, path: Path, said: Said, key: str, by: str) -> OpenEffect:
    """As `Tree.answer`, without the tree: the agent goes on when the next one is opened. What came of the effect is not
    read before its handler runs again: where it does not fit, the agent is held over that.

    Raises `ConfigurationError` where no such effect is in doubt, and `CommitFailed`: nothing has changed then.
    """
    _check(said)
    rows: list[ReplyRow] = []
    waiting: dict[Path, Sequence[MessageRow]] = {}
    for each in sorted(journal.opened.slots):
        if each.is_within(path) or path.is_within(each):
            held = await journal.recover(each)
            rows += held.replies
            waiting[each] = held.messages
    asked = [record.event for record in await journal.questions() if isinstance(record.event, QuestionAsked)]
    unread = _unread_in(rows, [each.question for each in asked])
    step = _meant([found for found in (*_begun_in(rows), *unread) if found.path.is_within(path)], path, key)
    over = _answers([each.slot for each in asked if step.key in each.question], by)
    row = _row(step, said, None)
    if step in unread:
        await journal.commit(_taken_back(step, clock.wall()))
    await journal.commit(_commit(step, said, by, row, waiting.get(mail_of(step.step), ()), clock.wall(), over))
    if ask := _ask_of(step):
        with suppress(JournalError, UnknownKind):  # as above
            kept = [row for each in journal.opened.slots for row in (await journal.recover(each)).replies]
            if _is_over(ask, _begun_in(row for row in kept if row.id.startswith(f"{ask}>"))):
                await journal.commit(Commit(forget_replies=(f"{ask}>",)))
    return _open(step, False)


def _ask_of(step: Begun) -> MessageId:
    """The ask from outside of handlers that an effect was done for; empty where it was a message."""
    root = step.step.partition(">")[0]
    return root if asked_in(root) else ""


def _is_over(ask: MessageId, doubts: Iterable[Begun]) -> bool:
    """Whether nothing of it is in doubt: what was done for it besides is of no use to anybody then."""
    return not any(each.step.startswith(f"{ask}>") for each in doubts)


def _check(said: Said) -> None:
    if not isinstance(said, (Done, NotDone, GiveUp)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{shown(said)} says nothing of an effect; say Done(value), NotDone() or GiveUp()")


def _meant(found: Sequence[Begun], path: Path, key: str) -> Begun:
    """The one effect that a person means. Raises `ConfigurationError` where that is not clear."""
    fitting = [each for each in found if not key or each.key == key]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        keys = listed([f"{each.key} ({each.name} of {each.kind})" for each in fitting])
        raise ConfigurationError(f"{path}: {len(fitting)} effects are in doubt there; name the key of one: {keys}")
    others = f", but {listed([each.key for each in found])}" if key and found else ""
    what = f"no effect has the key {key} there" if key else "no effect is in doubt there"
    raise ConfigurationError(
        f"{path}: {what}{others}; effects() of the tree, or `treewarden effects FILE.db`, lists those that are in doubt"
    )


async def _large_row(step: Begun, said: Said) -> ReplyRow | None:
    """As `_row`, in slices, of a result that is large; None of any other, and of one that does not fit as it is."""
    codec = None if step.returns is None else result_codec(step.returns)
    if not isinstance(said, Done) or not step.waits or codec is None or not codec.is_wide(said.value):
        return None
    try:
        kind, version, body, large = await unhurried(codec.encoding(said.value))
    except ConfigurationError:
        return None
    return ReplyRow(done_id(step.step), mail_of(step.step), kind, body, version, large)


def _row(step: Begun, said: Said, codec: ResultCodec | None) -> ReplyRow | None:
    """The result that is to be stored. Raises `ConfigurationError` for one that cannot be."""
    if not isinstance(said, Done) or not step.waits:  # an ask from outside does not come again, to get it
        return None
    value: Any = said.value
    if codec is None:
        try:
            body = dump(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"{step.path}: {shown(value)} is no JSON ({error}); this process has not run {step.name!r}, and knows "
                "not what it returns: give that as JSON"
            ) from None
        return ReplyRow(done_id(step.step), mail_of(step.step), ANSWERED, body)
    try:
        kind, version, body, large = codec.encode_row(value)
    except ConfigurationError:
        try:
            kind, version, body, large = codec.encode_row(codec.read(value))
        except ConfigurationError as error:
            raise ConfigurationError(f"{step.path}: {step.name!r} does not return {shown(value)}: {error}") from None
    return ReplyRow(done_id(step.step), mail_of(step.step), kind, body, version, large)


def _answers(slots: Iterable[Path], by: str) -> list[Event]:
    return answers(slots, f"{by} said what came of it")


def _commit(
    step: Begun,
    said: Said,
    by: str,
    row: ReplyRow | None,
    waiting: Sequence[MessageRow],
    wall: float,
    over: Sequence[Event],
) -> Commit:
    events: list[tuple[float, Event]] = [(wall, each) for each in (_fact(step, said, by), *over)]
    dead: tuple[DeadRow, ...] = ()
    if row is not None:
        return Commit(replies=(row,), events=tuple(events))
    if not isinstance(said, GiveUp):
        return Commit(forget_replies=(f"{step.step}>",), events=tuple(events))
    for each in waiting:
        if each.id == step.message:
            reason = _reason(step, by)
            dead = (DeadRow(each.path, each.id, each.kind, each.body, reason, wall, each.row, each.sender, each.version,
                            priority=each.priority),)  # fmt: skip
            events.append((wall, DeadLettered(path=each.path, message=each.id, kind=each.kind, reason=reason)))
    return Commit(dead=dead, forget_replies=(f"{step.message}>",), events=tuple(events))


def _fact(step: Begun, said: Said, by: str) -> EffectNoted:
    what = "done" if isinstance(said, Done) else "not done" if isinstance(said, NotDone) else "given up"
    return noted(step, what, by)


def _reason(step: Begun, by: str) -> str:
    return f"{by} gave it up over its effect {step.name!r} (key {step.key})"


def _waiting(slots: Sequence[Slot], step: Begun) -> tuple[Slot, Envelope]:
    """Where the message of a step waits in memory. Raises `ConfigurationError` if somebody has it in hand."""
    for slot in slots:
        for item in slot:
            if isinstance(item, Envelope) and item.id == step.message and item.reply is None:
                return slot, item
    raise ConfigurationError(f"{step.path}: {step.message} is in hand at the moment; hold the agent first")


async def _begun(common: Common, path: Path) -> list[Begun]:
    """What has begun at or below `path`, also of slots that nobody has lived in since the process began."""
    found = {each.step: each for each in in_doubt(common)}
    for each in common.journal.opened.slots:
        slot = common.registry.get(each)
        if (each.is_within(path) or path.is_within(each)) and (slot is None or needs_restoring(slot, common)):
            held = await common.journal.recover(each)
            found.update({step.step: step for step in _begun_in(held.replies)})
    return [each for each in found.values() if each.path.is_within(path)]


def _begun_in(rows: Iterable[ReplyRow]) -> list[Begun]:
    kept = {row.id: row for row in rows}
    begun = [begun_of(row) for row in kept.values() if row.kind == BEGUN]
    return [step for step in begun if done_id(step.step) not in kept]


async def _unread(common: Common, path: Path) -> list[Begun]:
    """Effects at or below `path` over whose result somebody is held who cannot read it."""
    held = [
        child.note
        for each in common.supervisors.values()
        for child in each.children.awake
        if child.question is not None
    ]
    held = [note for note in held if UNREAD in note]
    rows: list[ReplyRow] = []
    for each in common.journal.opened.slots if held else ():
        if each.is_within(path) or path.is_within(each):
            rows += (await common.journal.recover(each)).replies
    return [step for step in _unread_in(rows, held) if step.path.is_within(path)]


def _unread_in(rows: Iterable[ReplyRow], held: Iterable[str]) -> list[Begun]:
    notes = [note for note in held if UNREAD in note]
    kept = {row.id: row for row in rows}
    begun = [begun_of(row) for row in kept.values() if row.kind == BEGUN] if notes else []
    return [step for step in begun if done_id(step.step) in kept and any(step.key in note for note in notes)]


async def _take_back(common: Common, step: Begun) -> None:
    """A result that nobody can read is none any more: it is in doubt, until the answer is stored right behind this."""
    await common.journal.commit(_taken_back(step, common.clock.wall()))
    begun = common.replies.get(begun_id(step.step))
    common.replies.drop(step.step)
    if begun is not None:
        common.replies.put(begun_id(step.step), begun[0])


def _taken_back(step: Begun, wall: float) -> Commit:
    fact = noted(step, "in doubt", text=f"it {UNREAD}")
    return Commit(forget_replies=(done_id(step.step),), events=((wall, fact),))


def _open(step: Begun, under_way: bool, *, unread: bool = False) -> OpenEffect:
    return OpenEffect(
        path=step.path,
        effect=step.name,
        key=step.key,
        message=step.message,
        kind=step.kind,
        since=step.since,
        under_way=under_way,
        unread=unread,
    )
