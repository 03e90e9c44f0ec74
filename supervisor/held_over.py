"""Who is held over an effect, or an answer that nobody can read, and goes on when it is known what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from treewarden.agents.core.path import Path
from treewarden.agents.core.step import Begun, mail_of

from .core.event import Event, QuestionAnswered
from .core.signal import OperatorAsked

if TYPE_CHECKING:
    from treewarden.agents.core.approval import Asked

    from .child import Child
    from .common import Common
    from .supervisor import Supervisor

__all__ = ["answers", "asked_over", "let_go"]


def asked_over(common: Common, step: Begun | Asked) -> list[Path]:
    """About whom a person is asked over this step: one agent, or those of a pool that have found the message."""
    return [child.path for _, child in _held(common, step) if child.question is not None]


def answers(slots: Iterable[Path], how: str) -> list[Event]:
    """That a person is asked no more about these: for the commit that says what came of the effect, so that no process
    is left with the question alone."""
    return [QuestionAnswered(slot=slot, how=how) for slot in slots]


def let_go(common: Common, step: Begun | Asked, by: str, answered: Iterable[Path]) -> None:
    """Whoever is held over this step goes on. Of those in `answered` the journal knows it."""
    for supervisor, child in _held(common, step):
        if child.path in answered:
            child.question = None
        supervisor.post(OperatorAsked(path=child.path, at=common.clock.now(), what="resume", by=by))


def _held(common: Common, step: Begun | Asked) -> list[tuple[Supervisor, Child]]:
    return [
        (supervisor, child)
        for path, supervisor in common.supervisors.items()
        if path in (step.path.parent, mail_of(step.step))
        for child in supervisor.children.awake
        if child.note.startswith("held: ") and step.key in child.note
    ]
