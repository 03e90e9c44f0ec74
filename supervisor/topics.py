"""Publish and subscribe: what a topic is told goes at once into the mailboxes of those who have subscribed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from treewarden.agents.audience import Audience
from treewarden.agents.core.durability import Overflow
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import AgentStopped, ConfigurationError, DeliveryError, NoSuchSlot, NotHandled
from treewarden.agents.sending import handled_by
from treewarden.agents.slot import Slot, Turn

from .core.spec import Subscriber
from .publication import Place, Publication

if TYPE_CHECKING:
    from .common import Common

__all__ = ["Topic"]


class Topic(Audience):
    """One address, and everybody who is told what it is told. No task of its own, and nothing waits here.

    It outlives the incarnations of its supervisor and those of its subscribers.
    """

    def __init__(self, path: Path, common: Common) -> None:
        self.path = path
        self._common = common
        self._declared: dict[Path, Overflow] = {}
        self._added: dict[Path, Overflow] = {}

    def declare(self, subscribers: Iterable[Subscriber]) -> None:
        """Go by what the blueprint says now; who has subscribed by himself stays."""
        self._declared = {self.path.resolve(each.path): each.overflow for each in subscribers}

    def subscribe(self, subscriber: Path, overflow: Overflow) -> None:
        if subscriber == self.path:
            raise ConfigurationError(f"{self.path}: it is the topic itself; name somebody else")
        if self._common.registry.lookup(subscriber) is None and not self._is_to_begin(subscriber):
            self._common.registry.find(subscriber)  # which says what is near, or what is there instead
        self._added[subscriber] = overflow

    def unsubscribe(self, subscriber: Path) -> bool:
        return self._added.pop(subscriber, None) is not None

    @property
    def slots(self) -> list[Slot]:
        """The mailboxes of all who could be told something."""
        found: dict[Slot, None] = {}
        topics = [self]
        for topic in topics:
            for path in topic.subscribers:
                there = self._common.registry.lookup(path)
                if isinstance(there, Topic):
                    topics += [there] if there not in topics else []
                elif there is not None:
                    found.update(dict.fromkeys([there] if isinstance(there, Slot) else there.slots))
        return list(found)

    @property
    def subscribers(self) -> dict[Path, Overflow]:
        """Everybody, those of the blueprint first; what is subscribed at run time counts."""
        return {**self._declared, **self._added}

    def choose(self, message: object) -> Sequence[Slot]:
        kind = type(message).__qualname__
        text = f"{self.path}: it is a topic, and answers no {kind}; gather() asks several agents at once"
        raise NotHandled(text, path=self.path, retry_safe=True)

    # -- publishing

    async def publish(self, message: object, turn: Turn | None, priority: int, deadline: float) -> None:
        """Into the mailbox of each subscriber; `Publication.deliver` says how."""
        publication = Publication(self.path, self._common, message, turn, priority)
        await publication.deliver(list(self._places(message, publication.errors)), deadline)

    def publish_nowait(self, message: object, turn: Turn | None, priority: int) -> None:
        publication = Publication(self.path, self._common, message, turn, priority)
        publication.deliver_nowait(list(self._places(message, publication.errors)))

    # -- who is told

    def _places(self, message: object, errors: list[Exception]) -> Iterator[Place]:
        """The mailboxes that get `message`, each once. Whoever is gone is left out, and who does not handle it.

        Raises `AgentStopped` if everybody is gone, because the tree has ended.
        """
        if self._common.over:
            raise AgentStopped(f"{self.path}: the tree has ended", path=self.path)
        told: set[Slot] = set()
        kind = type(message)
        for slot, overflow in self._resolved(message, errors, {self}):
            if slot not in told and not slot.ended and handled_by(slot, kind):
                told.add(slot)
                yield slot, overflow

    def _resolved(self, message: object, errors: list[Exception], seen: set[Topic]) -> Iterator[Place]:
        for path, overflow in self.subscribers.items():
            found = self._common.registry.lookup(path)
            if isinstance(found, Slot):
                yield found, overflow
            elif isinstance(found, Topic):
                if found not in seen:
                    yield from found._resolved(message, errors, {*seen, found})
            elif found is None:
                if not self._is_to_begin(path):
                    self._added.pop(path, None)
                else:
                    text = f"{path}: it has not begun yet, and {self.path} would leave it out"
                    errors.append(NoSuchSlot(text, path=path, retry_safe=True))
            elif any(handled_by(slot, type(message)) for slot in found.slots):
                try:
                    yield from ((slot, overflow) for slot in found.choose(message))
                except DeliveryError as error:
                    errors.append(error)

    def _is_to_begin(self, path: Path) -> bool:
        """Whether nobody has lived there yet, because those above it are still being started."""
        supervisors, above = self._common.supervisors, path.parent
        while above not in supervisors and above != ROOT:
            path, above = above, above.parent
        supervisor = supervisors.get(above)
        child = None if supervisor is None else supervisor.children.get(path.name)
        return child is not None and child.lives == 0
