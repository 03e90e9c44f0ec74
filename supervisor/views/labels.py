"""Labels: what an incident's cause was, with all that is learned from it; and which incidents have none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from treewarden.agents.core.path import Path

from ..core.confidence import Cause
from ..core.event import Decided, Event, IncidentLabelled, OutcomeObserved, Tried
from ..core.symptom import Symptom
from .incidents import Incidents, Story

__all__ = ["label", "label_of_story", "problem", "unlabelled"]

_MOST: Final = 32
"""Decisions and attempts of one incident that are learned from, the first ones: later ones repeat them."""


def label(path: Path, incident: str, cause: str, by: str, events: Iterable[Event]) -> IncidentLabelled:
    """The label of an incident of which `events` are told."""
    symptoms: list[tuple[str, ...]] = []
    tried: list[Tried] = []
    for event in events:
        match event:
            case Decided(incident=id) if id == incident and event.symptoms and len(symptoms) < _MOST:
                symptoms.append(tuple(_bare(symptom) for symptom in event.symptoms))
            case OutcomeObserved(incident=id, outcome="fixed" | "failed" as outcome) if id == incident:
                tried.append(Tried(event.action, event.kind, outcome == "fixed"))
            case _:
                pass
    return IncidentLabelled(
        path=path, incident=incident, cause=cause, by=by, symptoms=tuple(symptoms), tried=tuple(tried[:_MOST])
    )


def label_of_story(story: Story, cause: str, by: str) -> IncidentLabelled:
    """The label of an incident that a journal tells of."""
    return label(story.path, story.id, cause, by, (line.event for line in story.lines))


def problem(label: IncidentLabelled) -> str:
    """What is wrong with a label that somebody wrote, and what would be right; empty if nothing is."""
    causes, symptoms = tuple(map(str, Cause)), frozenset(map(str, Symptom))
    if label.cause not in causes:
        return f"there is no cause {label.cause!r}; there is {', '.join(causes)}"
    for text, name in ((label.incident, "incident"), (label.by, "by")):
        if not text or not text.isprintable():
            return f"{name} is {text!r}; it must be one line"
    for seen in label.symptoms:
        for symptom in seen:
            if symptom not in symptoms:
                return f"there is no symptom {symptom!r}; there is {', '.join(sorted(symptoms))}"
    return ""


def unlabelled(told: Incidents) -> list[Story]:
    """The incidents that nobody has labelled and something was decided in, the oldest first."""
    return [
        story
        for story in told.stories.values()
        if story.label is None and any(isinstance(line.event, Decided) for line in story.lines)
    ]


def _bare(symptom: str) -> str:
    """As it is named without its numbers: `siblings_alike` of `siblings_alike 12/50`."""
    return symptom.partition(" ")[0].partition(":")[0]
