"""Which commits rest on which: what falls with one that was not kept."""

from __future__ import annotations

from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed

from .port import Commit

__all__ = ["follows", "works_of"]


def works_of(commit: Commit) -> set[Path]:
    """The slots whose later commits rest on this one."""
    return {commit.by} if commit.by is not None else {state.path for state in commit.states}


def follows(name: str) -> CommitFailed:
    """What a commit is told that rests on one which was not kept."""
    return CommitFailed(f"{name}: nothing of it was kept: it rests on a commit that failed")
