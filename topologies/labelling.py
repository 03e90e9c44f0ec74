"""Labels of incidents as data: the same object in a command, in a file of chaos runs and in the journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from treewarden.agents.errors import ConfigurationError, TreewardenError
from treewarden.supervisor.core.event import IncidentLabelled
from treewarden.supervisor.journal.event_codec import decode_event, encode_event
from treewarden.supervisor.views.labels import problem
from treewarden.supervisor.written_file import lines_of

__all__ = ["as_data", "labels_of", "read_lines", "said_of"]

_FIELDS: Final = ("path", "incident", "cause", "by", "symptoms", "tried", "rehearsed")
_VERSION: Final = 1


def as_data(label: IncidentLabelled) -> dict[str, Any]:
    """What `labels_of` reads."""
    return json.loads(encode_event(label)[2])


def labels_of(data: Sequence[object]) -> tuple[IncidentLabelled, ...]:
    """The labels that somebody wrote. Raises `ConfigurationError` naming the one that is none, and what is right."""
    return tuple(_label(each, f"label {place}") for place, each in enumerate(data, 1))


def read_lines(file: str) -> tuple[IncidentLabelled, ...]:
    """The labels in a file of `treewarden chaos label`, a line of JSON each; those without a cause are passed over.

    Raises `ConfigurationError` naming the line that is none.
    """
    found: list[IncidentLabelled] = []
    try:
        for number, line in enumerate(lines_of(file), 1):
            label = _in_line(line, f"{file}, line {number}") if line.strip() else None
            if label is not None:
                found.append(label)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None
    return tuple(found)


def said_of(labels: Sequence[IncidentLabelled]) -> str:
    """What was done, in a sentence."""
    if len(labels) == 1:
        (label,) = labels
        return f"incident {label.incident} of {label.path} was {label.cause}"
    return f"{len(labels)} incidents are labelled"


def _in_line(line: str, where: str) -> IncidentLabelled | None:
    """The label in a line; None if it names no cause."""
    try:
        data: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where} is not JSON: {error}") from None
    if isinstance(data, dict) and cast("dict[object, Any]", data).get("cause", "") is None:
        return None
    return _label(cast("object", data), where)


def _label(data: object, where: str) -> IncidentLabelled:
    if not isinstance(data, dict):
        raise ConfigurationError(f"{where} is no object; give {', '.join(_FIELDS)}")
    given = cast("dict[object, Any]", data)
    known = {name: given[name] for name in _FIELDS if name in given}
    try:
        label = decode_event(IncidentLabelled.__name__, _VERSION, json.dumps(known))
    except TreewardenError as error:
        why = str(error).partition("): ")[2] or str(error)
        raise ConfigurationError(f"{where} is no label: {why}; it takes {', '.join(_FIELDS)}") from None
    assert isinstance(label, IncidentLabelled)
    wrong = problem(label)
    if wrong:
        raise ConfigurationError(f"{where}: {wrong}")
    return label
