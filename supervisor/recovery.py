"""Slots are made, and filled from the journal: what a child has before its first life."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from treewarden.agents.agent import is_agent_class
from treewarden.agents.core.durability import VOLATILE, Message
from treewarden.agents.core.message import CAME_BACK, OF_EFFECTS, Envelope, Happened, MessageId, Priority
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import ConfigurationError, UnknownKind
from treewarden.agents.ports import KEEP
from treewarden.agents.slot import NOT_KNOWN, Slot

from .common import Common
from .core.spec import ChildSpec, Spec, SupervisorSpec
from .journal.large import LIMIT
from .journal.port import Commit, MessageRow, Recovered, ReplyRow, ReturnedRow, StateRow
from .settling import SlotStore
from .unhurried import unhurried
from .unsettled import Drop, give_up
from .warden import let_above

if TYPE_CHECKING:
    from treewarden.agents.core.parked import ParkedMessages
    from treewarden.agents.core.wait import Sorted, Wait
    from treewarden.agents.shared import SharedQueue

    from .journal.codec import Codec
    from .journal.slices import Slices

__all__ = [
    "DEATHS",
    "check_durability",
    "check_storable",
    "is_at_rest",
    "make_slot",
    "needs_restoring",
    "open_queue",
    "restore_at_once",
    "restore_slot",
    "wait_for_count",
]

DEATHS: Final = 3
"""Process deaths that a message at the head of its mailbox, or a tick, may have been the cause of before it is set
aside."""

_AT_ONCE: Final = 256
"""Rows that are decoded before anybody else has a turn."""
_COUNTED: Final = "its deaths are being counted"


def make_slot(path: Path, spec: ChildSpec, common: Common, make: Callable[..., Slot] = Slot) -> Slot:
    """The slot of an agent, as `make` makes it; one that the tree already has goes on with its mailbox."""
    slot = common.registry.get(path)
    if slot is not None:
        check_durability(slot, spec)
        slot.spec, slot.most = spec.mailbox, spec.mailbox.capacity
        if isinstance(slot.store, SlotStore):
            slot.store.go_over(_codec(path, spec, common))
            slot.store.retention = spec.retention
            if slot.store.codecs_before and slot.agent is None:  # what that other class handled says nothing
                slot.handles = slot.plain = NOT_KNOWN
        slot.reopen()
        return slot
    if common.leftovers is not None:
        common.leftovers.finish(path)
    store = None
    if spec.mailbox.durability != VOLATILE:
        ahead = isinstance(spec.mailbox.durability, Message)
        store = SlotStore(path, _codec(path, spec, common), common, spec.retention, runs_ahead=ahead)
    slot = make(path, spec.mailbox, common.stopwatch, store)
    slot.on_drop = Drop(slot, common)
    if common.diagnoses:
        slot.diagnosis = common.diagnoses.pop(path, None)
    common.registry.add(slot)
    common.outage.hold(slot)
    return slot


def check_storable(path: Path, spec: Spec, common: Common) -> None:
    """Raise `ConfigurationError` if an agent of `spec`, which stands at `path`, or one below it is durable and keeps or
    gets what cannot be stored. Of a function that makes agents nothing is known before it is called."""
    if isinstance(spec, SupervisorSpec):
        for child in spec.children:
            check_storable(path / child.id, child, common)
    elif spec.mailbox.durability != VOLATILE:
        for agent in (spec.agent, *spec.variants.values()):
            if is_agent_class(agent):
                _codec(path, spec if agent is spec.agent else evolve(spec, agent=agent), common)


def _codec(path: Path, spec: ChildSpec, common: Common) -> Codec:
    """Of the agent at `path`. Raises `ConfigurationError`, which names the path."""
    try:
        return common.codec_for(spec)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}; or make its mailbox volatile, which stores nothing") from error


async def open_queue(path: Path, spec: ChildSpec, common: Common) -> SharedQueue:
    """The queue of a pool whose workers are as `spec` says, with what waited in it when the last process ended.

    Raises as `make_slot` and `restore_slot` do.
    """
    from treewarden.agents.shared import SharedQueue  # with the first pool that shares one

    queue = make_slot(path, spec, common, SharedQueue)
    assert isinstance(queue, SharedQueue)
    await restore_slot(queue, common)
    return queue


def check_durability(slot: Slot, spec: ChildSpec) -> None:
    """Raise `ConfigurationError` if a slot of the running tree would have to be of another durability."""
    if slot.spec.durability != spec.mailbox.durability:
        raise ConfigurationError(
            f"{slot.path}: its durability cannot change while the tree runs, from {slot.spec.durability} to "
            f"{spec.mailbox.durability}; stop the tree and start it again"
        )


def needs_restoring(slot: Slot, common: Common) -> bool:
    """Whether the journal holds something for a slot that nobody has lived in since the process began."""
    store = slot.store
    return isinstance(store, SlotStore) and not store.restored and slot.path in common.journal.opened.slots


def is_at_rest(slot: Slot, common: Common) -> bool:
    """Whether the next life can begin at once: nothing is to be read, on its way to the disk, or to be mended."""
    store = slot.store
    return not isinstance(store, SlotStore) or (_is_brought_up(slot, store) and not needs_restoring(slot, common))


def _is_brought_up(slot: Slot, store: SlotStore) -> bool:
    """Whether nothing is to be done first about what it has in memory, and what waits for it."""
    shared = None if slot.mail is slot else slot.mail.store
    return store.is_at_rest and not (isinstance(shared, SlotStore) and shared.codecs_before)


async def restore_slot(slot: Slot, common: Common, *, began: bool = True) -> int | None:
    """Make the slot what it was when it last settled. Returns the sequence number of the state, if one was stored.
    Unless somebody `began` to live there, what is first in its mailbox is not to blame for a death of the process.

    In the same process that is waiting for what is on its way to the disk, and bringing the state up for the class that
    is to live there, if that is another one; after a process death it is reading the journal: state, due times, and
    the messages that wait.

    Raises `UnknownKind` if any of that cannot be read by the code at hand: then nothing has changed, and all of it
    stays where it is. Raises `JournalDamaged` likewise where it is not what was written, and `JournalError`.
    """
    store = slot.store
    if not isinstance(store, SlotStore):
        return None
    if store.codecs_before:
        from .carrying_over import behind_what_was_told  # with the first reload to another class

        await behind_what_was_told(common)
    if not needs_restoring(slot, common):
        await store.come_to_rest()
        store.mend()
        _carry_over(slot, store)
        return None
    held = await common.journal.recover(slot.path)
    while True:
        head = common.journal.head
        read = await unhurried(_reading(held, store.codec, common))
        if head == common.journal.head:
            break
        again = await common.journal.recover(slot.path)  # in a turn between, a person may have given up what waits
        if _what_of(again, common) == _what_of(held, common):
            break
        held = again
    _carry_over(slot, store)  # what it was told while nobody could live there
    _fill(slot, store, held, read, common, began=began)
    return held.state_seq


def _carry_over(slot: Slot, store: SlotStore) -> None:
    """What is in memory only is for the class that is to live there. Raises `UnknownKind`, and has changed nothing."""
    if not _is_brought_up(slot, store):
        from .carrying_over import bring_up, bring_up_queue

        if slot.mail is not slot:
            bring_up_queue(slot, store.codec)
        if store.codecs_before:
            bring_up(slot, store)


def restore_at_once(slot: Slot, common: Common) -> bool:
    """`restore_slot` after a process death, if what the journal holds for the slot is at hand and takes no time to
    read. False: nothing has changed, and `restore_slot` says why if something is wrong."""
    store = slot.store
    if not isinstance(store, SlotStore) or not _is_brought_up(slot, store) or not needs_restoring(slot, common):
        return False
    held = common.journal.at_hand(slot.path)
    if held is None or slot.path in common.left_by_old_code:
        return False
    try:
        next(_reading(held, store.codec, common))
    except StopIteration as end:
        _fill(slot, store, held, end.value, common)
        return True
    except BaseException as error:  # also of an upcast of the user's: `restore_slot` meets it again, behind the fence
        let_above(error)
    return False


def _fill(slot: Slot, store: SlotStore, held: Recovered, read: _Read, common: Common, *, began: bool = True) -> None:
    store.restored = True
    fresh = slot.clear()  # siblings that started earlier may have told it something: that comes after what it had
    if held.state is not None:
        if slot.state is KEEP:  # else it was rolled back before anybody could live with what is stored
            slot.state = read.state
        store.settles = store.state_settled = held.state.settled
        went_back = common.went_back.get(slot.path)
        if went_back and went_back[-1][0] == held.state_seq:  # whoever lived after that began with an event
            store.went_back_at = held.state.settled
    slot.due.update(held.timers)
    for id, reply in read.replies:
        common.replies.keep(id, reply)
    messages = read.messages
    if read.aside is not None:
        _restock_waiting(slot, messages, read.aside, common, began=began)
    else:
        for place, (row, envelope) in enumerate(messages):
            _restock(slot, row, envelope, common, head=began and place == 0)
    if read.events:  # no handler runs for one, so that none is to blame for a death, and none waits for its turn
        from .events import come

        come(slot, read.events, common)
    for item in fresh:
        slot.restock(item, item.priority if isinstance(item, Envelope) else Priority.NORMAL)


@frozen
class _Read:
    """What the journal holds for a slot, decoded."""

    state: object
    replies: Sequence[tuple[MessageId, object]]
    messages: Sequence[tuple[MessageRow, Envelope]]
    events: Sequence[Envelope] = ()
    """Those among them, which no handler runs for."""
    aside: _Aside | None = None
    """Where some of them may wait for something."""


@frozen
class _Aside:
    """What becomes of messages of which some may wait."""

    found: Sorted
    waiting: Mapping[MessageId, Wait]
    parked: ParkedMessages


def _reading(held: Recovered, codec: Codec, common: Common) -> Slices[_Read]:
    """Decode all of it, before anything is changed. Raises `UnknownKind` saying what cannot be read."""
    unread: list[UnknownKind] = []

    def decode(what: str, row: StateRow | ReplyRow | MessageRow) -> Slices[Any]:
        try:
            if isinstance(row, StateRow):
                codec.check_state(row.kind)
            elif isinstance(row, MessageRow):
                codec.check_message(row.kind)
            if len(row.body) > LIMIT:
                return (yield from codec.decoding(row.kind, row.version, row.body))
            return codec.decode(row.kind, row.version, row.body)
        except UnknownKind as error:
            unread.append(UnknownKind(f"{what}: {error}"))
            return None

    state = None if held.state is None else (yield from decode("its state", held.state))
    replies: list[tuple[MessageId, object]] = []
    for count, row in enumerate(held.replies, 1):
        if count % _AT_ONCE == 0:
            yield
        if row.id.endswith(OF_EFFECTS):
            from .effects import known_of  # few agents have effects, here and below

            reply = known_of(row, unread, replies[-1][1] if replies else None)
        else:
            reply = yield from decode(f"the reply to {row.id}", row)
        replies.append((row.id, reply))
    messages: list[tuple[MessageRow, Envelope]] = []
    events: list[Envelope] = []
    for count, row in enumerate(held.messages, 1):
        if count % _AT_ONCE == 0:
            yield
        if row.row <= common.journal.opened.last_row:
            envelope = _envelope(row, (yield from decode(f"message {row.id}", row)), common)
            if type(envelope.body) is Happened:
                events.append(envelope)
            else:
                messages.append((row, envelope))
    if unread:
        more = f" ({len(unread) - 1} more of what it holds cannot be read either)" if len(unread) > 1 else ""
        raise UnknownKind(f"{unread[0]}{more}")
    aside = None
    if any(id.endswith(OF_EFFECTS) for id, _ in replies):
        aside = yield from _setting_aside(messages, dict(replies), common)
    return _Read(state, replies, messages, events, aside)


def _setting_aside(
    messages: Sequence[tuple[MessageRow, Envelope]], replies: Mapping[MessageId, object], common: Common
) -> Slices[_Aside]:
    """See `_Aside`: what waits is parked where nobody sees it yet."""
    from treewarden.agents.core.parked import ParkedMessages

    from .waits import sorting

    found, waiting = yield from sorting([row.id for row, _ in messages], replies, common.clock.wall())
    parked = ParkedMessages()
    for count, place in enumerate(found.parked, 1):
        if count % _AT_ONCE == 0:
            yield
        row, envelope = messages[place]
        parked.add(envelope, waiting[row.id])
    return _Aside(found, waiting, parked)


def _what_of(held: Recovered, common: Common) -> tuple[int | None, list[MessageId], list[int]]:
    """Which state, replies and messages these are; not those that came since the process began."""
    last = common.journal.opened.last_row
    return held.state_seq, [row.id for row in held.replies], [row.row for row in held.messages if row.row <= last]


def _waits_for_person(message: MessageId, common: Common) -> bool:
    """Whether nothing of this message runs, as long as nobody has said what came of one of its effects."""
    if not common.replies.below(message):
        return False
    from .effects import in_doubt

    return any(step.alone for step in in_doubt(common, message))


def _restock_waiting(
    slot: Slot, messages: Sequence[tuple[MessageRow, Envelope]], aside: _Aside, common: Common, *, began: bool
) -> None:
    """The messages of a mailbox of which some may wait: those stay parked, or come back where their wait is over."""
    from .waits import arm

    found, waiting = aside.found, aside.waiting
    if common.journal.opened.after_crash and found.back:
        from .ended_waits import note_ended

        came = [waiting.get(messages[place][0].id) for place in found.back]
        note_ended([wait for wait in came if wait is not None], common)
    back = set(found.back)
    for place in (*found.back, *found.rest):
        row, envelope = messages[place]
        _restock(slot, row, envelope, common, head=began and place == found.first, back=place in back)
    if found.parked:
        slot.parking().take_over(aside.parked)
    arm(slot, common)


def _envelope(row: MessageRow, body: Any, common: Common) -> Envelope:
    return Envelope(
        body,
        id=row.id,
        sender=row.sender,
        deliveries=row.deliveries,
        deaths=row.deaths,
        row=row.row,
        priority=row.priority,
        since=common.clock.now() - max(0.0, common.clock.wall() - row.at) if row.at > 0.0 else None,
    )


def wait_for_count(commit: Commit, slot: Slot, common: Common, why: str = _COUNTED) -> None:
    """Hand nothing out before this, and what was submitted before, is on disk: what is handled next may end the process
    within the same millisecond, again, and nobody would have counted."""
    slot.pause(why)
    common.submit(commit, partial(slot.resume, why))


def _restock(
    slot: Slot, row: MessageRow, envelope: Envelope, common: Common, *, head: bool, back: bool = False
) -> None:
    opened = common.journal.opened
    deaths = envelope.deaths = row.deaths + (1 if head and opened.after_crash else 0)
    if deaths >= DEATHS and not _waits_for_person(row.id, common):
        give_up(slot, envelope, f"the process died {deaths} times while it was first in its mailbox", common)
        wait_for_count(Commit(), slot, common)
        return
    if deaths != row.deaths:
        wait_for_count(Commit(returned=(ReturnedRow(row.row, row.deliveries, deaths),)), slot, common)
    if back or row.id in opened.kept_for:  # its settle ends what it has begun, whatever way it takes
        envelope.deadline = CAME_BACK
    slot.restock(envelope, row.priority)
