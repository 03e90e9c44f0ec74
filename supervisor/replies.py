"""Replies to asks of handlers, kept until the asking handler has settled: if it runs again, it gets the same ones."""

from __future__ import annotations

from treewarden.agents.core.message import MessageId

__all__ = ["Replies"]


class Replies:
    """Those of one tree, by the id of the ask, which begins with the id of the asking message and a `>`."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[MessageId, object]] = {}
        """By the message that the chain of asks began with."""

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def keep(self, ask: MessageId, reply: object) -> None:
        self._kept.setdefault(_root(ask), {})[ask] = reply

    def get(self, ask: MessageId) -> tuple[object] | None:
        """The reply in a tuple of one, for a reply may be None."""
        found = self._kept.get(_root(ask), {})
        return (found[ask],) if ask in found else None

    def forget(self, asking: MessageId) -> None:
        """The message `asking` has settled, or was given up: nobody asks again what its handler asked."""
        found = self._kept.get(_root(asking))
        if found is None:
            return
        for ask in [ask for ask in found if ask.startswith(f"{asking}>")]:
            del found[ask]
        if not found:
            del self._kept[_root(asking)]


def _root(id: MessageId) -> str:
    return id.partition(">")[0]
