"""What a run of the colony came to, worked out from what its workers noted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen
from colony_fate import PRICE

__all__ = ["METRICS", "Note", "Run", "measured", "notes"]

METRICS: Final = ("completed", "cost", "wall", "recoveries", "duplicated", "repeated")


@frozen
class Note:
    """A line of `work.log`: at this second of the wall a process began a stage, or had done it."""

    at: float
    word: str
    pid: int
    job: int
    stage: str


@frozen
class Run:
    completed: int
    """Jobs that were done, of 20."""
    cost: float
    """Dollars for the seconds in which places worked, lost work included."""
    wall: float
    """Seconds of the colony from the controller's start until it said that every job had ended."""
    recoveries: int
    """Stages that were lost with their worker or the controller, and done later."""
    duplicated: int
    """Stages that were done again though they had been done: their effect happened twice."""
    repeated: int
    """Stages that were begun again, for whatever reason."""
    hits: int
    """Worker processes that were killed."""


def notes(text: str) -> list[Note]:
    """Raises `ValueError` for a line that no worker writes."""
    found: list[Note] = []
    for line in text.splitlines():
        at, word, _place, pid, job, stage = line.split()
        found.append(Note(float(at), word, int(pid), int(job), stage))
    return found


def measured(
    noted: Sequence[Note], *, completed: int, killed: Mapping[int, float], began: float, ended: float, speed: float,
    controller_died: float,
) -> Run:  # fmt: skip
    """`killed` are the processes that were killed, each with its second; those of a dead controller ended with it."""
    done = {(note.pid, note.job, note.stage): note.at for note in noted if note.word == "done"}
    finished = {(job, stage) for _, job, stage in done}
    begun = [note for note in noted if note.word == "begun"]
    paid, lost = 0.0, 0
    for note in begun:
        end = done.get((note.pid, note.job, note.stage))
        if end is None:
            end = killed.get(note.pid, controller_died if note.at < controller_died else ended)
            lost += (note.job, note.stage) in finished
        paid += max(0.0, end - note.at) * speed
    return Run(
        completed=completed,
        cost=paid / 3600.0 * PRICE,
        wall=(ended - began) * speed,
        recoveries=lost,
        duplicated=len(done) - len(finished),
        repeated=len(begun) - len({(note.job, note.stage) for note in begun}),
        hits=len(killed),
    )
