"""What waits on disk for those whom a tree does not have any more: with fewer workers, partitions or stages than before
nobody handles it, and whoever has taken them out should know."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import trio

from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import plural
from treewarden.agents.errors import JournalError
from treewarden.supervisor.common import Common
from treewarden.supervisor.core.spec import Strategy, SupervisorSpec

__all__ = ["warn_of_left"]

_LOG: Final = logging.getLogger("treewarden")
_SOON: Final = 1.0
"""Seconds in which a program starts those children that stand in no blueprint."""
_READ: Final = 1000
"""Of how many it is read at most whether something waits for them."""
_NAMED: Final = 10
_TURN: Final = 500


async def warn_of_left(absent: Sequence[Path], common: Common) -> None:
    """Log for which of `absent` messages wait, as long as nobody lives there; not for dynamic children, whom somebody
    starts when he wants them, nor below a supervisor that is down. Cancelled with the tree."""
    await trio.sleep(_SOON)
    left = list[Path]()
    for number, path in enumerate(absent):
        if number % _TURN == 0:
            await trio.lowlevel.checkpoint()
        if len(left) < _READ and not common.registry.has_mailbox(path) and not _may_come(path, common):
            left.append(path)
    waiting = list[str]()
    for path in sorted(left):
        try:
            found = await common.journal.recover(path)
        except JournalError:
            continue  # whoever begins there is told
        if found.messages:
            waiting.append(f"{path} ({plural(len(found.messages), 'message')})")
    if waiting:
        more = f" and {len(waiting) - _NAMED:,} more" if len(waiting) > _NAMED else ""
        names = ", ".join(waiting[:_NAMED])
        _LOG.warning(
            "on disk messages wait in mailboxes that this tree does not have, and nobody handles them: %s%s",
            names,
            more,
        )


def _may_come(path: Path, common: Common) -> bool:
    """Whether somebody may still begin there: a dynamic child, or the children of a supervisor that is held."""
    while path != ROOT:
        below, path = path, path.parent
        above = common.supervisors.get(path)
        if above is not None:
            is_down = below not in common.supervisors and isinstance(above.children.spec_of(below.name), SupervisorSpec)
            return is_down or above.spec.strategy is Strategy.DYNAMIC
    return False
