"""What an exit by itself says about a restart, before any policy is asked."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.exit import Exit, Failed, Failure, Stopped, is_clean
from treewarden.agents.core.path import Path

from .event import ChildEnded
from .spec import RestartPolicy

__all__ = ["cannot_read", "end_of", "exit_name", "is_damaged", "is_in_doubt", "must_restart", "not_kept"]

NOT_KEPT: Final = "CommitFailed"
"""The type of the failure of a life whose settle the journal did not keep."""
DAMAGED: Final = "JournalDamaged"
IN_DOUBT: Final = "treewarden.agents.errors.InDoubt"
"""The type of the failure of a handler that does not run an effect a second time."""
UNREAD: Final = frozenset({"UnknownKind", DAMAGED})
"""Types of the failure of a start on stored data that the code at hand cannot read, or that is not what was written."""


def must_restart(restart: RestartPolicy, exit: Exit) -> bool:
    """Whether a child of this restart type comes back after this exit: OTP's table."""
    if restart is RestartPolicy.TRANSIENT:
        return not is_clean(exit)
    return restart is RestartPolicy.PERMANENT


def cannot_read(failure: Failure) -> bool:
    """Whether this start failed on stored data of an unknown class or version, or damaged. Another attempt would fail
    alike."""
    return failure.type.rpartition(".")[2] in UNREAD


def is_damaged(failure: Failure) -> bool:
    """Whether this start failed on stored data that is not what was written."""
    return failure.type.rpartition(".")[2] == DAMAGED


def not_kept(exit: Exit) -> bool:
    """Whether a life was ended because its settle was not kept: no fault of the agent's, and no restart of its own."""
    return isinstance(exit, Failed) and exit.failure.type == NOT_KEPT


def is_in_doubt(failure: Failure) -> bool:
    """Whether a handler did not go on because nobody knows whether an effect of it was done."""
    return failure.type == IN_DOUBT or any(part.type == IN_DOUBT for part in failure.parts)


def exit_name(exit: Exit) -> str:
    """An exit as events name it: finished, stopped or failed."""
    return type(exit).__name__.lower()


def end_of(path: Path, incarnation: int, exit: Exit, *, expected: bool, uptime: float) -> ChildEnded:
    """The event that tells of this end."""
    return ChildEnded(
        path=path,
        incarnation=incarnation,
        exit=exit_name(exit),
        reason=exit.reason if isinstance(exit, Stopped) else "",
        failure=exit.failure if isinstance(exit, Failed) else None,
        expected=expected,
        uptime=uptime,
    )
