"""Replies to asks of handlers, and what came of their effects, kept until the handler has settled: if it runs again, it
gets the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from treewarden.agents.core.message import Envelope, MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.slot import Slot

__all__ = ["Replies", "address_of"]

_MOST_OVER: Final = 10_000
"""Messages that have settled of which a reply may come still: one that takes so long is kept for nothing. And of what
they had asked, as many that were answered."""


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
        if self._begun:
            self._over_with(ask, [ask])
        over = self.settled_of(ask) if self._over else None
        if over is None:
            self._kept.setdefault(_root(ask), {})[ask] = reply
        else:
            self._remember_answered([ask])
        return over

    def begins(self, ask: Envelope, slot: Slot, after: tuple[Slot, Envelope] | None) -> tuple[Slot, Envelope] | None:
        """See `Store.begins`."""
        found = self._begun.get(_root(ask.id), {}).get(ask.id)
        if found is not None and found is not after and found[0] is not slot:
            return found
        if self.settled_of(ask.id) is None:
            self._begun.setdefault(_root(ask.id), {})[ask.id] = slot, ask
        return None

    def _over_with(self, begun_for: MessageId, asks: Iterable[MessageId]) -> None:
        """Nobody needs to know any more where these have begun."""
        root = _root(begun_for)
        found = self._begun.get(root, {})
        for ask in asks:
            found.pop(ask, None)
        if not found:
            self._begun.pop(root, None)

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
        """Whether this was answered for a message that has settled, or was given up, meanwhile. Asked twice, by two
        lives, it may come to its turn once more, though nobody waits for it."""
        return ask in self._answered

    def _remember_answered(self, asks: Iterable[MessageId]) -> None:
        """These are answered, and the message is over for which they were asked."""
        self._answered.update(dict.fromkeys(asks))
        while len(self._answered) > _MOST_OVER:
            del self._answered[next(iter(self._answered))]

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
        if self._begun:
            self._over_with(asking, [ask for ask in self._begun.get(_root(asking), ()) if ask.startswith(f"{asking}>")])
        self._over[asking] = None
        if len(self._over) > _MOST_OVER:
            del self._over[next(iter(self._over))]
        found = self._kept.get(_root(asking))
        if found is None:
            return
        gone = [ask for ask in found if ask.startswith(f"{asking}>")]
        self._remember_answered(gone)
        for ask in gone:
            del found[ask]
        if not found:
            del self._kept[_root(asking)]

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


def _root(id: MessageId) -> str:
    return id.partition(">")[0]
