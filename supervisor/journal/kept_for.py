"""For which messages replies, effects and waits are kept, in a journal that somebody takes or copies."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

from treewarden.agents.core.message import MessageId, is_of
from treewarden.agents.core.step import BEGUN, done_id, is_step, step_of

from .integrity import are_sound

__all__ = ["KeptFor", "kept_for", "sorted_out"]

KeptFor: TypeAlias = tuple[frozenset[MessageId], tuple[str, ...]]
"""`kept_for` and `kept_in_vain` of `Opened`."""


def kept_for(connection: sqlite3.Connection, tree: str) -> KeptFor:
    """Those in the journal `tree`. What is damaged stays: whoever needs it says so."""
    try:
        kept = connection.execute("SELECT CAST(id AS BLOB), CAST(kind AS BLOB) FROM replies").fetchall()
        waiting = {_text(id) for (id,) in connection.execute("SELECT CAST(id AS BLOB) FROM mailbox")}
    except sqlite3.DatabaseError:
        return frozenset(), ()
    asking, in_vain = sorted_out([(_text(id), _text(kind)) for id, kind in kept], waiting.intersection, tree)
    return asking, tuple([prefix for prefix in in_vain if are_sound(connection, prefix)])


def sorted_out(
    kept: Iterable[tuple[MessageId, str]], waiting: Callable[[Collection[MessageId]], Collection[MessageId]], tree: str
) -> KeptFor:
    """Those of what is `kept`, by its ids and kinds; `waiting` says which of some messages do."""
    chains: dict[MessageId, dict[MessageId, str]] = {}
    for id, kind in kept:
        chains.setdefault(id.partition(">")[0], {})[id] = kind
    asking = frozenset(waiting(chains))
    over = [message for message in chains if message not in asking and is_of(message, tree)]
    return asking, tuple([f"{message}>" for message in over if not _any_in_doubt(chains[message])])


def _any_in_doubt(kept: Mapping[MessageId, str]) -> bool:
    return any(kind == BEGUN and is_step(id) and done_id(step_of(id)) not in kept for id, kind in kept.items())


def _text(stored: bytes) -> str:
    """What is no text is nobody's id."""
    return stored.decode(errors="surrogateescape")
