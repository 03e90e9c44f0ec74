"""Effects of handlers in the journal: that one begins, and what came of it, beside the replies that are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import evolve

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.step import (
    BEGUN,
    Begun,
    Known,
    begun_id,
    done_id,
    is_step,
    key_of,
    mail_of,
    message_of,
    numbered,
    step_of,
)
from treewarden.agents.core.wait import WAITS, Wait
from treewarden.agents.errors import UnknownKind
from treewarden.agents.slot import Slot

from .core.event import EffectNoted, Event
from .held_over import answers, asked_over, let_go
from .journal.canonical import dump, load
from .journal.commit import Commit, ReplyRow
from .journal.large import LIMIT
from .replies import address_of
from .results import ANSWERED, result_codec
from .unhurried import unhurried

if TYPE_CHECKING:
    from .approvals import SlotApprovals
    from .common import Common
    from .events import SlotEvents
    from .journal.codec import Codec
    from .taken import Given, Taken
    from .waits import SlotWaits

__all__ = ["Effects", "begun_of", "doubts_of", "in_doubt", "known_of", "noted", "read_held"]

_VERSION: Final = 1
_ENDED: Final = "the end of its call"
"""Who lets go of an agent that was held because a call of its still ran."""
_MOST_TOLD: Final = 8
"""Effects of which a dead letter tells."""
_LONGEST: Final = 2000
"""Characters of what is said of a doubt."""


class Effects:
    """The `Steps` of one slot. What is known of them is with the tree's replies, and goes with them."""

    def __init__(self, slot: Slot, common: Common, bring: Callable[[Commit], object]) -> None:
        """`bring` queues a result, which the slot's next output waits for."""
        self._slot = slot
        self._bring = bring
        self._common = common
        self._replies = common.replies
        self._taken: Taken | None = None
        self._read: tuple[ReplyRow, Any] | None = None
        """A large result, as it is stored and as it was read."""

    @property
    def waits(self) -> SlotWaits:
        from .waits import SlotWaits  # with the first wait

        return SlotWaits(self._slot, self._common)

    @property
    def events(self) -> SlotEvents:
        from .events import SlotEvents  # with the first event, or wait for one

        return SlotEvents(self._slot, self._common)

    @property
    def approvals(self) -> SlotApprovals:
        from .approvals import SlotApprovals  # with the first approval

        return SlotApprovals(self._slot, self._common)

    def new_id(self) -> MessageId:
        common = self._common
        return f"{common.journal.opened.tree}-{common.journal.opened.epoch}.{next(common.serials)}"

    def check(self, returns: object) -> None:
        result_codec(returns)

    def found(self, step: Begun) -> Begun | Known | None:
        self._read_said(step)
        kept = self._replies.get(done_id(step.step))
        if kept is None:
            begun = self._replies.get(begun_id(step.step))
            if begun is None or not isinstance(begun[0], Begun):
                return None
            typed = evolve(begun[0], returns=step.returns)  # whoever answers may give a value of that
            self._replies.put(begun_id(step.step), typed)
            return typed
        row = kept[0]
        if self._read is not None and self._read[0] is row:
            return Known(self._read[1])
        return Known(result_codec(step.returns).decode(row) if isinstance(row, ReplyRow) else row)

    def reading(self, step: Begun) -> Coroutine[Any, Any, None] | None:
        kept = self._replies.get(done_id(step.step))
        row = None if kept is None else kept[0]
        if not isinstance(row, ReplyRow) or len(row.body) <= LIMIT or row.kind == ANSWERED:
            return None
        return self._decode(step, row)

    async def _decode(self, step: Begun, row: ReplyRow) -> None:
        self._read = row, await unhurried(result_codec(step.returns).decoding(row))

    def same(self, step: MessageId) -> MessageId:
        message = message_of(step)
        if ">" not in message or self._is_address_of(message):
            return step
        known = [*self._replies.under_way, *(step_of(id) for id, _ in self._replies.below(message) if is_step(id))]
        of_it = [each for each in known if message_of(each) == message and numbered(each) == numbered(step)]
        return of_it[0] if of_it else step

    def of(self, message: MessageId) -> dict[MessageId, Begun | None]:
        kept = [(id, known) for id, known in self._replies.below(message) if is_step(id)]
        own = [(step_of(id), known) for id, known in kept if message_of(step_of(id)) == message]
        done = {step for step, known in own if not isinstance(known, Begun)}
        return {step: None if step in done else known for step, known in own if isinstance(known, Begun)}

    async def stored(self, step: MessageId) -> None:
        kept = self._replies.get(done_id(step))
        if kept is None or isinstance(kept[0], ReplyRow):
            await trio.lowlevel.checkpoint()
        else:  # this process has it, perhaps of another worker's
            await self._common.outage.written(math.inf)

    def under_way(self, step: MessageId) -> bool:
        found = step in self._replies.under_way
        if found:  # whoever finds that is held, until its end
            self._replies.awaited.add(step)
        return found

    async def begin(self, step: Begun) -> None:
        common, replies = self._common, self._replies
        if replies.get(begun_id(step.step)) is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            replies.under_way.add(step.step)
            common.note(noted(step, "begun", text="again"))
            return
        replies.under_way.add(step.step)
        row, said, known = _begun_row(step, self._mail), list[BaseException | None](), trio.Event()

        def then(error: BaseException | None) -> None:
            said.append(error)
            known.set()

        begun = Commit(by=self._slot.path, replies=(row,), events=self._dated(noted(step, "begun")))
        common.journal.submit(begun, then)
        try:
            await known.wait()
        except BaseException:  # it is on its way to the disk, or it is known by now what came of it there
            self._undo(step, said)
            raise
        if said[0] is not None:
            self._undo(step, said)
            raise said[0]
        replies.put(row.id, step)

    def taking(self, step: Begun, value: object) -> Coroutine[Any, Any, None] | None:
        codec = result_codec(step.returns)
        return self._take((step, codec, value)) if codec.is_wide(value) else None

    async def _take(self, given: Given) -> None:
        from .taken import take  # with the first large value of a process

        self._taken = await take([given])

    def finish(self, step: Begun, value: object, by: str = "") -> None:
        replies, taken = self._replies, self._taken
        replies.under_way.discard(step.step)
        kind, version, body, large = (taken and taken.pop(step)) or result_codec(step.returns).encode_row(value)
        row = ReplyRow(done_id(step.step), mail_of(step.step), kind, body, version, large)
        over = self._over(step)
        events = self._dated(noted(step, "done", by), *answers(over or (), _ENDED))
        if replies.get(begun_id(step.step)) is None:  # of a life that has ended, whose message went on meanwhile
            self._common.submit(Commit(events=events))
            return
        replies.put(row.id, value)
        self._bring(Commit(by=self._slot.path, replies=(row,), events=events))
        self._let_go(step, over)

    def undo(self, step: Begun) -> None:
        self._undo(step, (None,))

    def _undo(self, step: Begun, said: Sequence[BaseException | None]) -> None:
        """`said` is what the disk has said of its beginning, or will have before it says anything of this."""
        common = self._common
        self._replies.under_way.discard(step.step)
        self._replies.drop(step.step)
        over = self._over(step)
        answered = answers(over or (), _ENDED)
        commit = Commit(forget_replies=(f"{step.step}>",), events=self._dated(noted(step, "not done"), *answered))

        def then(error: BaseException | None) -> None:
            common.heard(error)
            if said[0] is not None:  # it has never begun
                common.note(*answered)
            elif error is not None:
                common.submit(commit)

        if not said:  # it falls with its beginning
            common.journal.submit(evolve(commit, by=self._slot.path), then)
        elif said[0] is not None:
            then(said[0])
        else:
            common.submit(commit)
        self._let_go(step, over)

    def leave(self, step: Begun, why: str) -> None:
        self._replies.under_way.discard(step.step)
        over = None if step.alone else self._over(step)  # of which only a person could say more now
        self._common.note(noted(step, "in doubt", text=why), *answers(over or (), _ENDED))
        self._let_go(step, over)

    def forget(self, message: MessageId) -> None:
        self._common.forget_replies(message)

    def _read_said(self, step: Begun) -> None:
        """Take back what a person has said of a step where nobody knew its type, if it does not fit: it is in doubt
        again, so that it can be said anew. Raises `UnknownKind` for that."""
        kept, begun = self._replies.get(done_id(step.step)), self._replies.get(begun_id(step.step))
        if kept is None or not isinstance(kept[0], ReplyRow) or kept[0].kind != ANSWERED:
            return
        try:
            result_codec(step.returns).decode(kept[0])
        except UnknownKind as error:
            self._replies.drop(step.step)
            if begun is not None and isinstance(begun[0], Begun):
                self._replies.put(begun_id(step.step), evolve(begun[0], returns=step.returns))
            fact = noted(step, "in doubt", text=str(error))
            self._common.submit(Commit(forget_replies=(done_id(step.step),), events=self._dated(fact)))
            raise

    def _is_address_of(self, message: MessageId) -> bool:
        """Whether an ask of a handler can come to nobody else."""
        return address_of(message) == self._mail

    @property
    def _mail(self) -> Path:
        """Where its messages wait: whoever is handed one there has to know of its steps."""
        return self._slot.mail.path

    def _over(self, step: Begun) -> list[Path] | None:
        """About whom a person is asked because this still ran, in a life that was left behind; None: it did not."""
        if step.step not in self._replies.awaited:
            return None
        self._replies.awaited.discard(step.step)
        return asked_over(self._common, step)

    def _let_go(self, step: Begun, over: list[Path] | None) -> None:
        """Whoever was held because this still ran goes on, behind what is on its way to the disk."""
        if over is not None:
            common = self._common
            common.journal.submit(Commit(), lambda _: let_go(common, step, _ENDED, over))

    def _dated(self, *events: Event) -> tuple[tuple[float, Event], ...]:
        wall = self._common.clock.wall()
        return tuple([(wall, event) for event in events])


async def read_held(ask: MessageId, codec: Codec, common: Common) -> None:
    """Read what is kept by those workers of the pool that a handler has asked who have not lived in this process: who
    is held does not begin, a smaller pool has fewer of them, and another one gets the ask again. Raises `UnknownKind`
    for what cannot be read of it."""
    replies = common.replies
    for path in _not_read(Path(address_of(ask)), common):
        all_read = True
        for row in (await common.journal.recover(path)).replies:
            try:
                known = known_of(row, []) if is_step(row.id) else codec.decode(row.kind, row.version, row.body)
            except UnknownKind:
                all_read = False
                if row.id == ask:
                    raise
                continue
            if replies.get(row.id) is None:
                replies.put(row.id, known)
        if all_read:
            replies.read.add(path)


def _not_read(pool: Path, common: Common) -> list[Path]:
    """The workers that a pool has, or had, of which something is stored and nobody knows what."""
    registry, stored, read = common.registry, common.journal.opened.slots, common.replies.read
    found = registry.lookup(pool)
    slots = () if found is None else found.workers if isinstance(found, Slot) else found.slots
    living = [slot.path for slot in slots if slot.path in stored and not getattr(slot.store, "restored", True)]
    gone: list[Path] = []
    if pool not in read:  # of all who are gone
        gone = [each for each in stored - read if each.parent == pool and registry.get(each) is None]
        if not gone:
            read.add(pool)
    return [*(each for each in living if each not in read), *gone]


def noted(step: Begun, what: str, by: str = "", text: str = "") -> EffectNoted:
    """What has become of a step, as a fact."""
    return EffectNoted(
        path=step.path, message=step.message, effect=step.name, key=step.key, what=what, by=by, text=text[:_LONGEST]
    )


def _begun_row(step: Begun, mail: Path) -> ReplyRow:
    """What is stored before a step runs."""
    data = {
        "at": step.since,
        "path": str(step.path),
        "name": step.name,
        "kind": step.kind,
        "alone": step.alone,
        "waits": step.waits,
    }
    return ReplyRow(begun_id(step.step), mail, BEGUN, dump(data), _VERSION)


def begun_of(row: ReplyRow) -> Begun:
    """The step that a row says has begun. Raises `UnknownKind` for one that this code cannot read."""
    try:
        data: Any = load(row.body)
        if row.kind != BEGUN or row.version != _VERSION:
            raise ValueError(f"it is of kind {row.kind}, version {row.version}")
        step = step_of(row.id)
        return Begun(
            step=step,
            name=data["name"],
            key=key_of(step),
            path=Path(data["path"]),
            since=float(data["at"]),
            kind=data["kind"],
            alone=data["alone"],
            waits=data["waits"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownKind(f"the effect {row.id} cannot be read by this code: {error}") from error


def known_of(row: ReplyRow, unread: list[UnknownKind], before: object = None) -> object:
    """What a row says of an effect, or a wait: that it has begun; or the row itself, whose type its handler knows.
    `before` is what the row before this one has said: of the end of a wait, that this has begun."""
    waits = row.kind == WAITS and row.id == begun_id(step_of(row.id))
    ends = isinstance(before, Wait) and row.id == done_id(before.step)
    if row.kind != BEGUN and not waits and not ends:
        return row
    try:
        if ends:
            from .approvals import known_in

            known_in({begun_id(step_of(row.id)): before, row.id: row})
            return row
        if waits:
            from .waits import wait_of

            return wait_of(row)
        return begun_of(row)
    except UnknownKind as error:
        unread.append(error)
        return None


def in_doubt(common: Common, message: MessageId = "") -> list[Begun]:
    """The effects of this message, and of what was asked in its handler, that have begun and of which no result is
    known; without a message those of all."""
    kept = dict(common.replies.below(message))
    return [
        each for id, each in kept.items() if isinstance(each, Begun) and done_id(each.step) not in kept and is_step(id)
    ]


def doubts_of(common: Common, message: MessageId) -> str:
    """What a dead letter has to say besides its reason: whoever puts it back has it done anew, under another key."""
    doubts = in_doubt(common, message)
    steps = [known for id, known in common.replies.below(message) if isinstance(known, Begun) and is_step(id)]
    came = [(each, "is in doubt" if each in doubts else "was done") for each in steps]
    told = [f"; its effect {each.name!r} (key {each.key}) {what}" for each, what in came]
    more = len(told) - _MOST_TOLD
    text = "".join(told[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
    if any(isinstance(known, Wait) for _, known in common.replies.below(message)):
        from .events import got_by
        from .waits import said_of

        text += got_by(common, message) + said_of(common, message)
    return text
