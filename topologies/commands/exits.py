"""The exit codes of the command."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """What the command says to the shell."""

    ORDERLY = 0
    TREE_FAILED = 1
    DAMAGED = 1
    """A file was checked and found damaged, or not to be read by the code at hand."""
    NOT_DONE = 1
    """A running tree refused a command, or did not answer it."""
    REFUSED = 2
    """Usage, or a file that cannot be used; nothing was started."""
    OWNED = 3
    """Another process owns the journal: from the beginning, or since the lease of this one ran out."""
    LEFT_BEHIND = 70
    """An agent did not end although it was cancelled, so the process ended under it."""
    FORCED = 130
    TERMINATED = 143
    """SIGTERM came while a file was made; nothing of it is left."""
