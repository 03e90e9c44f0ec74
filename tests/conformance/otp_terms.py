"""Between OTP's terms and our types: paths, reasons, exits, failures."""

from __future__ import annotations

import json
from typing import Any, Final

from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Finished, Stopped
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import Stop

__all__ = ["Raised", "exit_as_term", "exit_for", "failure_as_term", "ours", "raise_reason", "theirs"]

Term = Any
"""What JSON holds: texts, numbers, lists."""

INVALID: Final = "invalid"
"""Stands for every error about a malformed spec."""
_BY_SUPERVISOR: Final = frozenset({"shutdown", "intensity", "auto_shutdown"})
"""How our supervisors end in order; for OTP all of it is `shutdown`."""


class Raised(Exception):
    """What a worker of a scenario raises: its text is the reason as JSON."""

    def __init__(self, reason: Term) -> None:
        super().__init__(json.dumps(reason))


def ours(path: str) -> Path:
    """`root/a/b` as the tree calls it."""
    rest = path.partition("/")[2]
    return Path(rest) if rest else ROOT


def theirs(path: Path) -> str:
    """A path of the tree as scenarios write it."""
    return "root" if path == ROOT else f"root/{path}"


def raise_reason(reason: Term) -> None:
    """End the agent that calls this with a reason of OTP's. Returns for `normal`: a body that returns has finished."""
    match reason:
        case "normal":
            return
        case "shutdown":
            raise Stop("shutdown")
        case ["shutdown", _]:
            raise Stop(json.dumps(reason))
        case _:
            raise Raised(reason)


def exit_for(reason: Term) -> Exit:
    """The exit that a supervisor is to end with for a reason of OTP's."""
    match reason:
        case "normal":
            return Finished()
        case "shutdown":
            return Stopped("shutdown")
        case ["shutdown", _]:
            return Stopped(json.dumps(reason))
        case "kill" | "killed":
            return KILLED
        case _:
            return Failed(Failure(Raised.__name__, json.dumps(reason), fingerprint=json.dumps(reason)))


def exit_as_term(exit: Exit) -> Term:
    """OTP's exit reason for one of our exits."""
    match exit:
        case Finished():
            return "normal"
        case Stopped(reason) if reason in _BY_SUPERVISOR:
            return "shutdown"
        case Stopped(reason):
            return _decoded(reason)
        case Failed(failure):
            return failure_as_term(failure)


def failure_as_term(failure: Failure) -> Term:
    """OTP's reason for one of our failures, nested as deep as the tree."""
    if failure.fingerprint == "killed":
        return "killed"
    if failure.type == "StartFailed":
        return ["shutdown", ["failed_to_start_child", Path(failure.where).name, failure_as_term(failure.parts[0])]]
    if failure.type.rpartition(".")[2] == Raised.__name__:
        return _decoded(failure.text)
    if failure.type == "ValueError":
        return INVALID
    return ["unexpected", failure.type, failure.text]


def _decoded(text: str) -> Term:
    try:
        return json.loads(text)
    except ValueError:
        return ["unexpected", text]
