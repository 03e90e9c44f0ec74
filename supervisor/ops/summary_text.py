"""The last words of a run: how long, what happened, where it is written, and how to look at it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ..views.summary import Summary
from .wording import PLAIN, Paint, clean, duration, listing, plural

__all__ = ["Ending", "summary_lines", "summary_object"]


@frozen(kw_only=True)
class Ending:
    """How a run ended."""

    name: str
    """The tree's."""
    journal: str
    sentence: str
    """How it ended: `ended in order (SIGINT)`."""
    exit_code: int = 0
    seconds: float
    handled: int = 0
    """Messages that were handled."""
    head: int = 0
    """The last event."""
    summary: Summary = Summary()


def summary_lines(ending: Ending, paint: Paint = PLAIN) -> list[str]:
    """What happened, for people."""
    summary = ending.summary
    lives = f"{summary.lives}, {plural(summary.restarts, 'restart')}, {plural(summary.failures, 'failure')}"
    opened = sum(summary.incidents.values())
    over = listing(summary.closed)
    incidents = f"{opened} opened" + (f"; over: {over}" if over else "") if opened else "none"
    messages = f"{ending.handled} handled, {summary.returned} returned, {plural(summary.dead_letters, 'dead letter')}"
    rows = [
        ("lives", lives),
        ("incidents", incidents),
        ("decisions", listing({name.replace("_", " "): n for name, n in summary.decisions.items()})),
        ("outcomes", listing(summary.outcomes)),
        ("messages", messages + (f" ({listing(summary.dead)})" if summary.dead else "")),
        ("rollbacks", str(summary.rolled_back or "")),
        ("gave up", plural(summary.gave_up, "supervisor") if summary.gave_up else ""),
        ("reloads", str(summary.reloads or "")),
        ("recorded", listing(summary.recorded)),
        ("journal", f"{ending.journal}, {plural(ending.head, 'event')}"),
        ("look at it", " · ".join(_commands(ending))),
    ]
    head = f"{ending.name} ran {duration(ending.seconds)}: {ending.sentence}"
    style = "good" if ending.exit_code == 0 else "bad"
    return [paint(clean(head), style), *(f"  {label:<12}{text}" for label, text in rows if text)]


def _commands(ending: Ending) -> list[str]:
    journal = shlex.quote(ending.journal)
    commands = [f"treewarden tree {journal}"]
    troubled = ending.summary.incidents
    if troubled:
        commands.append(f"treewarden why {journal} {max(troubled, key=lambda path: troubled[path])}")
    return commands


def summary_object(ending: Ending) -> Mapping[str, Any]:
    """The same for machines; the keys stay."""
    summary = ending.summary
    return {
        "tree": ending.name,
        "exit": ending.exit_code,
        "ended": ending.sentence,
        "seconds": round(ending.seconds, 3),
        "journal": ending.journal,
        "head": ending.head,
        "events": summary.events,
        "lives": summary.lives,
        "restarts": summary.restarts,
        "failures": summary.failures,
        "gave_up": summary.gave_up,
        "incidents": sum(summary.incidents.values()),
        "incidents_by_slot": summary.incidents,
        "closed": summary.closed,
        "decisions": summary.decisions,
        "outcomes": summary.outcomes,
        "handled": ending.handled,
        "returned": summary.returned,
        "dead_letters": summary.dead_letters,
        "dead_letters_by_slot": summary.dead,
        "rolled_back": summary.rolled_back,
        "checkpoints": summary.checkpoints,
        "recorded": summary.recorded,
        "reloads": summary.reloads,
        "journal_failures": summary.journal_failures,
    }
