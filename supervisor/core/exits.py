"""What an exit by itself says about a restart, before any policy is asked."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.exit import Exit, Failed, Failure, is_clean

from .spec import RestartPolicy

__all__ = ["cannot_read", "is_damaged", "must_restart", "not_kept"]

NOT_KEPT: Final = "CommitFailed"
"""The type of the failure of a life whose settle the journal did not keep."""
DAMAGED: Final = "JournalDamaged"
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
