"""A failing run in words: what did not hold, which faults it takes, and the command that shows it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import evolve

from treewarden.agents.core.said import plural
from treewarden.supervisor.core.confidence import Cause
from treewarden.supervisor.core.event import IncidentOpened
from treewarden.supervisor.views.labels import label

from ..labelling import as_data
from .campaign import Finding
from .run import Run

__all__ = ["ORDERED", "labels", "story"]

ORDERED: Final = "sort it, or say which with PYTHONHASHSEED"

_MARKS: Final = 25
_AT_ONCE: Final = 1.0
"""Seconds within which who has called a dependency fails of it."""
_OUTSIDE: Final = frozenset(
    {"dependency_down", "dependency_slow", "rate_limited", "server_error", "malformed", "stream_cut"}
)
_CAUSES: Final[Mapping[str, Cause]] = {
    "kill": Cause.TRANSIENT,
    "hang": Cause.HANG,
    "slow": Cause.HANG,
    "stubborn": Cause.HANG,
    "tool_loop": Cause.HANG,
    "leak": Cause.LEAK,
    "out_of_memory": Cause.LEAK,
    "poison": Cause.POISON_MESSAGE,
    "corrupt_checkpoint": Cause.BAD_STATE,
    "stale_checkpoint": Cause.BAD_STATE,
    "bad_version": Cause.BAD_VERSION,
    "deploy": Cause.BAD_VERSION,
    "rate_limited": Cause.RATE_LIMITED,
    **dict.fromkeys(_OUTSIDE - {"rate_limited"}, Cause.DEPENDENCY_DOWN),
}


def story(finding: Finding, how: str, command: str) -> list[str]:
    """The lines that a failing test, or the command, prints."""
    run = finding.run
    lines = [*run.failures, f"  ({how})"]
    needed = len(run.injections)
    if finding.attempts:
        lines.append(f"  {needed} of {finding.planned} faults are needed, as {finding.attempts} more runs have shown:")
    elif needed:
        lines.append(f"  {plural(needed, 'fault')} {'was' if needed == 1 else 'were'} planned:")
    lines += [f"    {injection}" for injection in run.injections]
    if run.scale < 1.0:
        lines.append(f"  it fails with {run.scale:.0%} of its work (world.some)")
    if run.marks:
        left_out = len(run.marks) - _MARKS
        lines.append("  what happened" + (f", the last {_MARKS} of {len(run.marks)}:" if left_out > 0 else ":"))
        lines += [f"    {mark.at:9.3f} s  {mark.kind:8} {mark.path} {mark.text}" for mark in run.marks[-_MARKS:]]
    lines += [f"  not replayable: {escape}" for escape in run.escapes]
    if not finding.steady:
        lines.append("  not replayable: the same seed came to another trace when it ran again")
    if finding.by_set_order:
        lines.append(f"  outside of the seed: the order of a set of texts decides too; {ORDERED}")
    lines += [f"  outside of the seed: {reading}" for reading in run.readings]
    if finding.replayable:
        lines += ["to see it again:", f"  {command}"]
    if run.details:
        lines += ["", run.details.rstrip()]
    return lines


def labels(run: Run, topology: str) -> Iterator[dict[str, Any]]:
    """For each incident of a run, the label that `treewarden label --from` reads: its cause is no guess here.

    The cause is that of the last fault that had struck the slot, or else of a dependency that had failed right before;
    null where none had, and for faults that stand for no cause that anybody believes in.
    """
    events = [event for _, event in run.facts]
    for at, event in run.facts:
        if isinstance(event, IncidentOpened):
            fault = _before(run, event.path, at)
            cause = _CAUSES.get(fault or "")
            told = label(event.path, event.incident, str(cause), "chaos", events)
            named = evolve(told, incident=f"{topology}/{run.seed}/{event.incident}", rehearsed=True)
            yield {"topology": topology, "seed": run.seed, "at": at, "fault": fault, **as_data(named), "cause": cause}


def _before(run: Run, path: str, at: float) -> str | None:
    """The fault that an incident came of."""
    found: str | None = None
    for mark in run.marks:
        if mark.kind == "fault" and mark.at <= at:
            outside = mark.text in _OUTSIDE and at - mark.at <= _AT_ONCE
            found = mark.text if mark.path == path or outside else found
    return found
