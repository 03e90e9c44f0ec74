"""What a slot holds in memory, when another class is to live there: brought up by upcasts, as after a process death."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from treewarden.agents.agent import Agent, is_agent_class, state_type
from treewarden.agents.core.message import Envelope
from treewarden.agents.errors import CommitFailed, ConfigurationError, UnknownKind
from treewarden.agents.ports import KEEP
from treewarden.agents.shared import SharedQueue
from treewarden.agents.slot import NOT_KNOWN

from .codecs import codec_of_class
from .core.event import SignalNoted
from .core.spec import ChildSpec, Shared, SupervisorSpec
from .journal.commit import Commit
from .settling import SlotStore

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from treewarden.agents.slot import Slot

    from .child import Child
    from .common import Common
    from .journal.codec import Codec
    from .supervisor import Supervisor

__all__ = ["behind_what_was_told", "bring_up", "bring_up_in_memory", "bring_up_queue", "queue_waits"]


async def behind_what_was_told(common: Common) -> None:
    """Wait until all that was told to another class is in its mailbox, or has failed to get to the disk."""
    with suppress(CommitFailed):  # so did whatever was on its way before it
        await common.journal.commit(Commit())


def bring_up(slot: Slot, store: SlotStore) -> None:
    """The state, and the messages that wait, for the class that is to live there.

    Raises `UnknownKind` if that cannot read the state, or a message that is on disk: then nothing has changed. A
    message in memory that it cannot read stays as it is.
    """
    before = store.codecs_before
    slot.unstash()  # as the next life does first
    state = slot.state if slot.state is KEEP else _state(slot.state, before, store.codec)
    _exchange(slot, before, store.codec, strict=True)
    slot.state = state
    store.went_over()


def bring_up_in_memory(slot: Slot, before: type[Agent[Any]], after: type[Agent[Any]], common: Common) -> None:
    """The same where nothing is on disk. A state that the class cannot read is given up, and that is noted."""
    slot.unstash()
    codecs = None
    with suppress(ConfigurationError):  # what is never stored may be of any type
        codecs = (codec_of_class(before),), codec_of_class(after)
    if codecs is not None:
        _exchange(slot, *codecs, strict=False)
    declared = state_type(after)
    if slot.state is KEEP or declared in (state_type(before), Any) or _is(slot.state, declared):
        return
    try:
        if codecs is None:
            raise UnknownKind("what they know, or handle, is of types that cannot be stored, so nothing leads over")
        slot.state = _state(slot.state, *codecs)
    except (UnknownKind, ConfigurationError) as error:
        text = f"{_name(after)} begins anew, and not with what {_name(before)} knew: {error}"
        common.note(SignalNoted(path=slot.path, kind="state_given_up", text=text))
        slot.state = KEEP


def queue_waits(
    supervisor: Supervisor, spec: SupervisorSpec, renew: Callable[[Child], Awaitable[None]]
) -> AbstractAsyncContextManager[None]:
    """In the block workers of another class take the place of those who share a queue: nobody is handed anything, and
    at its end what waits is for them. Where something on disk is not, `renew` starts anew whoever lives, to be held."""
    queue = supervisor.common.registry.get(supervisor.path)
    old, new = supervisor.spec.children[:1], spec.children[:1]
    if not isinstance(spec.router, Shared) or not isinstance(queue, SharedQueue) or not old or not new:
        return nullcontext()
    before, after = old[0], new[0]
    if not isinstance(before, ChildSpec) or not isinstance(after, ChildSpec) or before.agent is after.agent:
        return nullcontext()
    return _waiting(queue, before, after, supervisor, renew)


@asynccontextmanager
async def _waiting(
    queue: SharedQueue,
    before: ChildSpec,
    after: ChildSpec,
    supervisor: Supervisor,
    renew: Callable[[Child], Awaitable[None]],
) -> AsyncGenerator[None]:
    store, common = queue.store, supervisor.common
    queue.pause("reloaded")
    if isinstance(store, SlotStore):
        queue.handles = NOT_KNOWN  # what that other class handled says nothing
    try:
        yield
        if isinstance(store, SlotStore):
            store.go_over(common.codec_for(after))
            if store.codecs_before:
                await behind_what_was_told(common)
                try:
                    bring_up_queue(queue, store.codec)
                except UnknownKind:  # whoever has begun meanwhile did not know; from here on each start says so
                    for child in list(supervisor.children.awake):
                        if child.current is not None:
                            await renew(child)
        elif is_agent_class(before.agent) and is_agent_class(after.agent):
            bring_up_in_memory(queue, before.agent, after.agent, common)
    finally:
        queue.resume("reloaded")


def bring_up_queue(slot: Slot, codec: Codec) -> None:
    """What waits in the queue of a pool, for a worker of the class whose codec this is.

    Raises `UnknownKind` for a message on disk that it cannot read: then nothing has changed. So does a variant that
    takes the place of one worker and does not know what the others handle: what waits is theirs as well.
    """
    queue, store = slot.mail, slot.mail.store
    if not isinstance(store, SlotStore):
        return
    if store.codec is codec:
        if store.codecs_before and _exchange(queue, store.codecs_before, codec, strict=True):
            store.went_over()  # else a later one may read the rest
        return
    strange = sorted(_name(kind) for kind in queue.handles - NOT_KNOWN if not codec.has(kind))
    if strange:
        slot.unstash()  # somebody else may take it
        raise UnknownKind(f"in the queue of {queue.path} it would be handed {', '.join(strange)}, as the other workers")


def _is(state: object, declared: Any) -> bool:
    """Whether it is of that type as it is; False where only its codec can tell."""
    try:
        return isinstance(state, declared)
    except TypeError:  # of the items of a collection, nobody knows so
        return False


def _state(state: object, before: Sequence[Codec], after: Codec) -> object:
    try:
        after.check_state(after.encode_row(state)[0])
    except ConfigurationError:
        return _brought_up(state, before, after)
    return state


def _brought_up(value: object, before: Sequence[Codec], after: Codec) -> Any:
    """By the first of the classes before that knew it: each may have been told something, also if it never lived."""
    *others, last = before
    for codec in others:
        with suppress(ConfigurationError):
            return after.decode(*codec.encode(value))
    return after.decode(*last.encode(value))


def _exchange(slot: Slot, before: Sequence[Codec], after: Codec, *, strict: bool) -> bool:
    """Bring up each message that waits: whether each could be. Raises `UnknownKind` for one on disk if it is `strict`,
    and then none was."""
    found: dict[int, Any] = {}
    waiting = [*slot, *(slot.parked or ())]
    for item in waiting:
        body = item.body if isinstance(item, Envelope) else item
        try:
            found[id(item)] = body if after.knows(body) else _brought_up(body, before, after)
        except UnknownKind as error:
            if strict and isinstance(item, Envelope) and item.row is not None:
                raise UnknownKind(f"message {item.id}: {error}") from None
        except ConfigurationError:  # nobody handled it before either
            pass
    for item in waiting:
        if isinstance(item, Envelope):
            item.body = found.get(id(item), item.body)
    slot.exchange(lambda item: item if isinstance(item, Envelope) else found.get(id(item), item))
    return len(found) == len(waiting)


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
