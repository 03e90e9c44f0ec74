"""For which messages replies, effects and waits are kept, in a journal that somebody takes or copies."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
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
        rows = [(_text(id), _text(kind)) for id, kind in kept]
        asking, in_vain = sorted_out(rows, partial(_waiting, connection), tree)
    except sqlite3.DatabaseError:
        return frozenset(), ()
    return asking, tuple([prefix for prefix in in_vain if are_sound(connection, prefix)])


def _waiting(connection: sqlite3.Connection, messages: Collection[MessageId]) -> Collection[MessageId]:
    """Those of `messages` that wait. SQLite looks for them: a mailbox may be long, and its ids are not made here."""
    sought = json.dumps([each for each in messages if each.isprintable()])  # no other is anybody's id
    look = (
        "SELECT CAST(id AS BLOB) FROM mailbox WHERE CAST(id AS BLOB) IN (SELECT CAST(value AS BLOB) FROM json_each(?))"
    )
    return [_text(id) for (id,) in connection.execute(look, (sought,))]


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
