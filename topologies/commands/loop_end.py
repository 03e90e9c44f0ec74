"""What is said of an event loop that was ended by the code of an agent, where nobody could catch anything."""

from __future__ import annotations

from types import FrameType, TracebackType
from typing import Final

import trio

from treewarden.agents.core.exit import describe
from treewarden.agents.core.path import Path

__all__ = ["why_the_loop_ended"]

_TRIO: Final = f"{trio.__name__}."


def why_the_loop_ended(error: trio.TrioInternalError) -> str:
    """Whose exception it was that cannot be put into words, and what to do; nothing if that is not why."""
    cause = error.__cause__
    if cause is None:
        return ""
    frames = _frames(cause.__traceback__)
    own = [place for place, frame in enumerate(frames) if not _is_of_trio(frame)]
    if not own or frames[own[0]].f_code.co_name != "__repr__":
        return ""
    failure = describe(cause)
    whose = next(filter(None, map(_slot_of, reversed(frames[: own[0]]))), None)
    return (
        f"the event loop has ended: the repr of an exception {'' if whose is None else f'in {whose} '}raised "
        f"{failure.type}: {failure.text} ({failure.where}). trio asks for it when an exception leaves a nursery that a "
        "handler has opened, and nobody can catch what it raises there: mend that `__repr__`, or begin such tasks with "
        "self.start_soon. What was acknowledged is in the journal; a message over which this happens thrice is set "
        "aside"
    )


def _frames(traceback: TracebackType | None) -> list[FrameType]:
    frames: list[FrameType] = []
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def _is_of_trio(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_TRIO)


def _slot_of(frame: FrameType) -> Path | None:
    """In whose task the task was begun that trio had in hand, if that can be seen."""
    task = frame.f_locals.get("task")
    while isinstance(task, trio.lowlevel.Task):
        if isinstance(task.name, Path):
            return task.name
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return None
