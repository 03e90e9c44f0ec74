"""What another process may ask of a running tree: as data, for it comes through a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from attrs import field

from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import is_number, shown
from treewarden.agents.core.values import frozen

from .signal import check_lasts, report_of

__all__ = ["Command", "parse_command"]

_VERSION: Final = 1
_LONGEST: Final = 86400.0
_FIELDS: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = {
    "tell": {"kind": (str,), "data": (object,), "trace": (str,)},
    "ask": {"kind": (str,), "data": (object,), "trace": (str,)},
    "signal": {"kind": (str,), "severity": (int, float), "text": (str,), "facts": (dict,), "lasts": (int, float)},
    "stop": {},
    "hold": {"text": (str,)},
    "resume": {},
    "run_now": {"tick": (str,)},
    "answer": {"said": (str,), "value": (object,), "key": (str,)},
    "rule": {"said": (str,), "key": (str,), "by": (str,), "text": (str,)},
    "replay": {"message": (str,)},
    "recovered": {"kind": (str,)},
    "perform": {"name": (str,)},
    "drain": {},
    "checkpoint": {"name": (str,), "description": (str,), "tags": (list,)},
    "roll_back": {"to": (int, str, type(None))},
    "label": {"labels": (list,)},
    "calm": {},
    "compact": {},
    "prune": {
        "last": (int, type(None)),
        "within": (int, float, type(None)),
        "past_checkpoints": (bool,),
        "dry_run": (bool,),
    },
}
_OPTIONAL: Final[Mapping[str, frozenset[str]]] = {
    "tell": frozenset({"trace"}),
    "ask": frozenset({"trace"}),
    "signal": frozenset({"text", "facts", "lasts"}),
    "hold": frozenset({"text"}),
    "run_now": frozenset({"tick"}),
    "answer": frozenset({"value", "key"}),
    "rule": frozenset({"key", "text"}),
    "replay": frozenset({"message"}),
    "checkpoint": frozenset({"name", "description", "tags"}),
    "prune": frozenset({"past_checkpoints", "dry_run"}),
}
_BEYOND: Final[Mapping[str, float]] = {"ask": 0.5, "replay": 0.5, "drain": 60.0}
_OF_THE_TREE: Final = frozenset({"stop", "drain", "replay", "label", "calm", "compact", "prune"})
"""What may be asked of the root."""
_OF_THE_FILE: Final = frozenset({"compact", "prune"})
"""What concerns no slot."""


@frozen(kw_only=True)
class Command:
    """One order to a running tree, or to a slot of it."""

    what: str
    """Its name in `_FIELDS`: `tell`, `signal`, `stop` and so on."""
    path: Path
    fields: Mapping[str, Any] = field(factory=dict[str, Any])
    by: str = "operator"
    """Who asks, for the journal."""
    within: float = 30.0
    """Seconds that carrying it out may take."""

    @property
    def beyond(self) -> float:
        """Seconds that it has beyond that: to say what was in the way, or to stop in order what it has drained."""
        return _BEYOND.get(self.what, 0.0)

    @property
    def said(self) -> dict[str, Any]:
        """Of a signal: what it says, with its facts beside the rest. How long it lasts is no fact."""
        own = {name: value for name, value in self.fields.items() if name not in ("facts", "lasts")}
        return {**self.fields.get("facts", {}), **own}

    def as_data(self) -> dict[str, Any]:
        """What `parse_command` reads."""
        return {
            "v": _VERSION,
            "what": self.what,
            "path": str(self.path),
            "by": self.by,
            "within": self.within,
            "fields": dict(self.fields),
        }


def parse_command(data: object) -> Command:
    """The command that was written. Raises `ValueError` saying what is wrong with it, and what would be right."""
    if not isinstance(data, dict):
        raise ValueError("a command is an object")
    given = cast("dict[str, Any]", data)
    if given.get("v") != _VERSION:
        raise ValueError(f"this command is of version {given.get('v')!r}, and this treewarden reads {_VERSION}")
    what, path, by, within = (given.get(name) for name in ("what", "path", "by", "within"))
    if not isinstance(what, str) or what not in _FIELDS:
        raise ValueError(f"there is no command {what!r}; there is {', '.join(_FIELDS)}")
    if not isinstance(path, str):
        raise ValueError(f"path is {path!r}; it must name a slot")
    if not isinstance(by, str) or not by or not by.isprintable():
        raise ValueError(f"by is {by!r}; it must say who asks, in one line")
    if not is_number(within) or not 0 < within <= _LONGEST:
        raise ValueError(f"within is {shown(within)}; give a number of seconds, at most {_LONGEST:g}")
    parsed = Path.parse(path)
    if parsed == ROOT and what not in _OF_THE_TREE:
        raise ValueError(f"{what} concerns one slot; name its path, not /")
    if parsed != ROOT and what in _OF_THE_FILE:
        raise ValueError(f"{what} concerns the whole journal; its path is /, not {parsed}")
    command = Command(what=what, path=parsed, fields=_fields(what, given.get("fields")), by=by, within=float(within))
    if what == "signal":
        try:
            report_of(parsed, 0.0, command.said)
            if "lasts" in command.fields:
                check_lasts(command.fields["lasts"])
        except ValueError as error:
            raise ValueError(f"{parsed}: {error}") from None
    return command


def _fields(what: str, given: object) -> dict[str, Any]:
    known = _FIELDS[what]
    if not isinstance(given, dict):
        raise ValueError("fields must be an object")
    fields = cast("dict[str, Any]", given)
    for name in fields.keys() - known.keys():
        raise ValueError(f"{what} takes no {name!r}; it takes {', '.join(known) or 'nothing'}")
    for name, kinds in known.items():
        if name not in fields:
            if name in _OPTIONAL.get(what, ()):
                continue
            raise ValueError(f"{what} needs {name!r}")
        value = fields[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds not in ((object,), (bool,))):
            raise ValueError(f"{what}: {name} is {value!r}, which is of the wrong type")
    return fields
