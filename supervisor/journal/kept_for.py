"""For which messages replies, effects and waits are kept, in a journal that somebody takes or copies."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Final, TypeAlias

from treewarden.agents.core.message import MessageId, is_of
from treewarden.agents.core.step import BEGUN, done_id, is_step, step_of

from .integrity import damaged_replies

__all__ = ["KeptFor", "in_doubt", "kept_for", "sorted_out"]

KeptFor: TypeAlias = tuple[frozenset[MessageId], tuple[str, ...]]
"""`kept_for` and `kept_in_vain` of `Opened`."""


_ROOT: Final = "substr(CAST(id AS BLOB), 1, instr(CAST(id || '>' AS BLOB), x'3e') - 1)"
"""The message that a row of replies is kept for, as bytes. What is asked of them is asked once for all of them: there
may be as many as a journal has rows."""
_IN_DOUBT: Final = f"""SELECT {_ROOT} FROM replies AS kept WHERE kind = ? AND substr(id, -6) = '>begun' AND NOT EXISTS (
    SELECT 1 FROM replies AS done WHERE done.id = substr(kept.id, 1, length(kept.id) - 5) || 'done')"""


def kept_for(connection: sqlite3.Connection, tree: str) -> KeptFor:
    """Those in the journal `tree`. What is damaged stays: whoever needs it says so."""
    try:
        doubts = {_text(root): False for (root,) in connection.execute(f"SELECT DISTINCT {_ROOT} FROM replies")}
        doubts.update((_text(root), True) for (root,) in connection.execute(_IN_DOUBT, (BEGUN,)))
        asking, in_vain = sorted_out(doubts, partial(_waiting, connection), tree)
        damaged = damaged_replies(connection, in_vain) if in_vain else frozenset[str]()
    except sqlite3.DatabaseError:
        return frozenset(), ()
    return asking, tuple([prefix for prefix in in_vain if prefix not in damaged])


def _waiting(connection: sqlite3.Connection, messages: Collection[MessageId]) -> Collection[MessageId]:
    """Those of `messages` that wait. SQLite looks for them: a mailbox may be long, and its ids are not made here."""
    sought = json.dumps([each for each in messages if each.isprintable()])  # no other is anybody's id
    look = (
        "SELECT CAST(id AS BLOB) FROM mailbox WHERE CAST(id AS BLOB) IN (SELECT CAST(value AS BLOB) FROM json_each(?))"
    )
    return [_text(id) for (id,) in connection.execute(look, (sought,))]


def in_doubt(kept: Iterable[tuple[MessageId, str]]) -> dict[MessageId, bool]:
    """The messages that something is kept for, by its ids and kinds, and whether it is an effect in doubt."""
    chains: dict[MessageId, dict[MessageId, str]] = {}
    for id, kind in kept:
        chains.setdefault(id.partition(">")[0], {})[id] = kind
    return {message: _any_in_doubt(of) for message, of in chains.items()}


def sorted_out(
    doubts: Mapping[MessageId, bool], waiting: Callable[[Collection[MessageId]], Collection[MessageId]], tree: str
) -> KeptFor:
    """Those of what is kept, of which `doubts` are known; `waiting` says which of some messages do."""
    asking = frozenset(waiting(doubts))
    over = [message for message, doubt in doubts.items() if not doubt and message not in asking]
    return asking, tuple([f"{message}>" for message in over if is_of(message, tree) and message.isprintable()])


def _any_in_doubt(kept: Mapping[MessageId, str]) -> bool:
    return any(kind == BEGUN and is_step(id) and done_id(step_of(id)) not in kept for id, kind in kept.items())


def _text(stored: bytes) -> str:
    """What is no text is nobody's id."""
    return stored.decode(errors="surrogateescape")
