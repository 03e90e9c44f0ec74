"""A failing run in words: what did not hold, which faults it takes, and the command that shows it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .campaign import Finding
from .run import Run

__all__ = ["labels", "story"]

_MARKS: Final = 25


def story(finding: Finding, how: str, command: str) -> list[str]:
    """The lines that a failing test, or the command, prints."""
    run = finding.run
    lines = [*run.failures, f"  ({how})"]
    needed = len(run.injections)
    if finding.attempts:
        lines.append(f"  {needed} of {finding.planned} faults are needed, as {finding.attempts} more runs have shown:")
    elif needed:
        lines.append(f"  {needed} faults were planned:")
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
    if finding.replayable:
        lines += ["to see it again:", f"  {command}"]
    if run.details:
        lines += ["", run.details.rstrip()]
    return lines


def labels(run: Run) -> Iterator[dict[str, Any]]:
    """For each decision of a run: the slot, what was decided, and the fault that is known to have struck it last.

    What a policy may learn from, since here the cause is no guess; null where no fault had struck that slot.
    """
    last: dict[str, str] = {}
    for mark in run.marks:
        if mark.kind == "fault":
            last[mark.path] = mark.text
        elif mark.kind == "decision":
            yield {"at": mark.at, "path": mark.path, "action": mark.text, "cause": last.get(mark.path)}
