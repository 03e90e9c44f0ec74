"""Replies to asks of handlers, and what came of their effects, kept until the handler has settled: if it runs again, it
gets the same ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from treewarden.agents.asking import joins
from treewarden.agents.core.message import Envelope, MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.slot import Slot

__all__ = ["Replies", "address_of"]

_MOST_OVER: Final = 10_000
"""Messages that have settled of which a reply may come still: one that takes so long is kept for nothing. And of what
they had asked, as many that were answered, and as many that have begun."""


class Replies:
    """Those of one tree, by the id of the ask, which begins with the id of the asking message and a `>`."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[MessageId, object]] = {}
        """By the message that the chain of asks began with."""
        self._over: dict[MessageId, None] = {}
        """Whose handlers asked, and have settled."""
        self._answered: dict[MessageId, None] = {}
        """What those had asked that was answered, the oldest first."""
        self._elsewhere: dict[str, dict[MessageId, list[Callable[[MessageId], None]]]] = {}
        """Whose handlers asked somebody of another tree, where the reply is kept: who forgets it there. By the message
        that the chain of asks began with."""
        self.under_way: set[MessageId] = set()
        """Effects whose call runs, and whatever else of which it is on its way to the disk how it has ended."""
        self._begun: dict[str, dict[MessageId, tuple[Slot, Envelope]]] = {}
        """Where the handlers of asks that have not been answered began last, by what the chain began with."""
        self._begun_late: dict[MessageId, tuple[Slot, Envelope]] = {}
        """Likewise, where the message is over for which they were asked, the oldest first."""
        self.replaced: set[MessageId] = set()
        """Waits whose end is on its way to the disk, with the beginning of the one in their place."""
        self.awaited: set[MessageId] = set()
        """Those of them over which somebody is held until their call ends."""
        self.read: set[Path] = set()
        """Where nobody has lived in this process, and what is kept there is known all the same."""

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def keep(self, ask: MessageId, reply: object) -> MessageId | None:
        """Keep a reply that was stored. If its asker has given up waiting, and settled, nobody needs it: it is not
        kept, and returned is the message that has settled, under which it would be stored for good."""
        if self._begun or self._begun_late:
            self._take_begun(ask)
        over = self.settled_of(ask) if self._over else None
        if over is None or self._is_for_one_in_hand(ask, len(over)):
            self._kept.setdefault(_root(ask), {})[ask] = reply
        else:
            self._remember_answered([ask])
            self.forget(over, stored=False)  # what its handler has not come to, and an earlier one had
        return over

    def begins(self, ask: Envelope, slot: Slot) -> tuple[Slot, Envelope] | None:
        """The handler of `ask` begins in `slot`, unless that has been said of another one, and not yet that it `ended`:
        then returned is which, and with what envelope. Who asks from outside does not ask the same again."""
        if ">" not in ask.id:
            return None
        late = self.settled_of(ask.id) is not None
        begun = self._begun_late if late else self._begun.setdefault(_root(ask.id), {})
        found = begun.get(ask.id)
        if found is not None and found[0] is not slot:
            return found
        begun[ask.id] = slot, ask
        if late:
            _bound(begun)
        return None

    async def begun_before(
        self, ask: Envelope, slot: Slot, begun: Envelope, behind: Callable[[], Awaitable[object]]
    ) -> bool | None:
        """What `Store.begins` says of an ask that has begun in another slot. `behind` waits for what is on its way to
        the disk now."""
        if joins(ask, slot, begun):
            return False
        if begun.id:  # or it was handed on, and its reply comes from there
            await behind()
            if joins(ask, slot, begun):
                return False
        self.ended(ask.id, begun)
        return None

    def ended(self, ask: MessageId, begun: Envelope) -> None:
        """Nothing comes any more of the handler that began with this envelope."""
        found = self._begun_late.get(ask) or self._begun.get(_root(ask), {}).get(ask)
        if found is not None and found[1] is begun:
            self._take_begun(ask)

    def _take_begun(self, ask: MessageId) -> tuple[Slot, Envelope] | None:
        root = _root(ask)
        begun = self._begun.get(root, {})
        found = begun.pop(ask, None) or self._begun_late.pop(ask, None)
        if not begun:
            self._begun.pop(root, None)
        return found

    def put(self, id: MessageId, known: object) -> None:
        """Keep what is known of an effect, whose message is in hand or waits."""
        self._kept.setdefault(_root(id), {})[id] = known

    def drop(self, step: MessageId) -> None:
        """Nothing is known of this effect any more; its handler goes on."""
        found = self._kept.get(_root(step), {})
        for id in [id for id in found if id.startswith(f"{step}>")]:
            del found[id]
        if not found:
            self._kept.pop(_root(step), None)

    def below(self, message: MessageId = "") -> list[tuple[MessageId, object]]:
        """What is kept for this message, and for what was asked in its handler; without one, all that is kept."""
        if not message:
            return [each for found in self._kept.values() for each in found.items()]
        found = self._kept.get(_root(message), {})
        return [each for each in found.items() if each[0].startswith(f"{message}>")]

    def settled_of(self, ask: MessageId) -> MessageId | None:
        """The message for which this is asked, if it has settled, or was given up, meanwhile."""
        end = ask.find(">")
        while end >= 0:
            if ask[:end] in self._over:
                return ask[:end]
            end = ask.find(">", end + 1)
        return None

    def get(self, ask: MessageId) -> tuple[object] | None:
        """The reply in a tuple of one, for a reply may be None."""
        found = self._kept.get(_root(ask), {})
        return (found[ask],) if ask in found else None

    def was_answered(self, ask: MessageId) -> bool:
        """Whether this, or anything that was asked or done for it, was answered for a message that has settled, or was
        given up, meanwhile. Asked twice, by two lives, it may come to its turn once more when nobody waits for it."""
        return ask in self._answered

    def _remember_answered(self, asks: Iterable[MessageId]) -> None:
        """These are answered, and the message is over for which they were asked. So something was done in each ask on
        the way to them, of which nothing is known any more: handled again, that would be done again."""
        for ask in asks:
            self._answered[ask] = None
            end = ask.rfind(">")
            while (above := ask.rfind(">", 0, end)) >= 0:
                self._answered[ask[:end]] = None
                end = above
        _bound(self._answered)

    def kept_elsewhere(self, asking: MessageId, forget: Callable[[MessageId], None]) -> None:
        """The handler of `asking` asks somebody of another tree, where `forget` has to be called when that is over."""
        if self._over and self.settled_of(f"{asking}>") is not None:
            forget(asking)  # who asked for this has given up waiting, and settled: nobody would say so again
            return
        known = self._elsewhere.setdefault(_root(asking), {}).setdefault(asking, [])
        if forget not in known:
            known.append(forget)

    def forget(self, asking: MessageId, *, stored: bool = True) -> None:
        """The message `asking` has settled, or was given up: nobody asks again what its handler asked, nor what was
        asked for that. Other trees are not told before that is stored (`forgotten`): the next process may ask again."""
        if self._elsewhere and stored:
            self._forget_elsewhere(asking)
        for ask in [ask for ask in self._begun.get(_root(asking), ()) if ask.startswith(f"{asking}>")]:
            found = self._take_begun(ask)
            if found is not None:
                self._begun_late[ask] = found
                _bound(self._begun_late)
        self._over[asking] = None
        _bound(self._over)
        found = self._kept.get(_root(asking))
        if found is None:
            return
        above = len(asking)
        gone = [
            ask
            for ask in found
            if ask.startswith(f"{asking}>") and (ask.rfind(">") == above or not self._is_for_one_in_hand(ask, above))
        ]
        self._remember_answered(gone)
        for ask in gone:
            del found[ask]
        if not found:
            del self._kept[_root(asking)]

    def _is_for_one_in_hand(self, id: MessageId, above: int) -> bool:
        """Whether a handler is at an ask for which this was asked or done, so that it may come to this yet. `above` is
        where the id of the message ends that is over."""
        begun = self._begun.get(_root(id), {})
        end = id.find(">", above + 1)
        while end >= 0:
            found = begun.get(id[:end]) or self._begun_late.get(id[:end])
            if found is not None and found[0].busy is found[1]:
                return True
            end = id.find(">", end + 1)
        return False

    def forgotten(self, prefixes: Iterable[str]) -> None:
        """It is stored that the replies to asks which begin so may go."""
        if self._elsewhere:
            for prefix in prefixes:
                self._forget_elsewhere(prefix.removesuffix(">"))

    def _forget_elsewhere(self, asking: MessageId) -> None:
        asked = self._elsewhere.get(_root(asking), {})
        for each in [each for each in asked if each == asking or each.startswith(f"{asking}>")]:
            for forget in asked.pop(each, ()):  # gone if who was told before had asked this tree again
                forget(each)
        if not asked:
            self._elsewhere.pop(_root(asking), None)


def address_of(ask: MessageId) -> str:
    """Whom a handler has asked, by the id of the ask."""
    return ask.rpartition(">")[2].partition(":")[0]


def _bound(over: dict[MessageId, Any]) -> None:
    while len(over) > _MOST_OVER:
        del over[next(iter(over))]


def _root(id: MessageId) -> str:
    return id.partition(">")[0]
