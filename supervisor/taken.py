"""Large values that are encoded before the settle that writes them, with turns for everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from treewarden.agents.errors import ConfigurationError

from .common import OF_WAITS
from .journal.scalars import AT_ONCE
from .unhurried import again_and_again

if TYPE_CHECKING:
    from treewarden.agents.slot import Turn

    from .common import Common
    from .journal.codec import Codec, Encoded
    from .journal.slices import Slices
    from .results import ResultCodec

__all__ = ["Given", "Taken", "take", "wide_beside"]

Given: TypeAlias = tuple[object, "Codec | ResultCodec", object]
"""By what a value is found again, what encodes it, and the value."""


class Taken:
    """What was encoded; or why something cannot be, which its settle raises: by then it may be replaced."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[object, Encoded | Exception]] = {}
        """With what each is found by, which nobody else is as long as it stands here."""

    def add(self, by: object, made: Encoded | Exception) -> None:
        self._made[id(by)] = by, made

    def pop(self, by: object) -> Encoded | None:
        """What was made of it; None: nothing was. It counts once: whoever writes it gives up what it is made of."""
        found = self._made.pop(id(by), None)
        if found is None:
            return None
        if isinstance(found[1], Exception):
            raise found[1]
        return found[1]


def wide_beside(turn: Turn, reply: tuple[object, object] | None, codec: Codec, common: Common) -> list[Given]:
    """What is written besides a state, if to encode one of it, or all together, keeps everybody else for more than a
    few milliseconds: what `turn` has told and recorded, and a `reply`, behind its ask."""
    given: list[Given] = []
    if reply is not None and reply[1].__class__ in codec.open_types:
        given.append((reply[0], codec, reply[1]))
    for each in turn.outgoing:
        item = each.envelope
        of: Codec | None = getattr(each.target.store, "codec", None)
        if of is not None and item.body.__class__ in of.open_types:
            given.append((item, of, item.body))
    for fact in turn.events:
        if fact.__class__ in OF_WAITS:
            continue
        with suppress(ConfigurationError):  # which its settle raises
            of = common.codec_of(fact.__class__)
            if fact.__class__ in of.open_types:
                given.append((fact, of, fact))
    room = AT_ONCE
    for _, known_to, value in given:
        room = known_to.left(value, room)
        if room < 0:
            return given
    return []


async def take(given: Sequence[Given]) -> Taken:
    """Encode all of them. Cancelled: as if nothing had been."""
    return await again_and_again(_taking(given))


def _taking(given: Sequence[Given]) -> Slices[Taken]:
    taken, room = Taken(), AT_ONCE
    for by, codec, value in given:
        room = codec.left(value, room)
        if room < 0:
            yield
            room = codec.left(value, AT_ONCE)
        try:
            made = yield from codec.encoding(value)
        except Exception as error:
            made = error
        taken.add(by, made)
    return taken
