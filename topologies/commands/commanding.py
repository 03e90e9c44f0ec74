"""`treewarden send`, `ask`, `stop` and the other words that want something of a running tree, through its journal."""

from __future__ import annotations

import getpass
import os
import secrets
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any, Final

import trio

from treewarden.agents.errors import ConfigurationError
from treewarden.agents.traced import checked_trace
from treewarden.supervisor.core.checkpoint import Search
from treewarden.supervisor.core.command import Command, parse_command
from treewarden.supervisor.journal.canonical import load
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sending import Outcome, send

from .exits import ExitCode
from .stdout import Stdout

__all__ = ["GRACE", "asked_in", "command", "is_decimal", "ruled_in", "said_in", "target", "tell", "user"]

_SHOWN: Final = 200
"""Characters that are quoted of what cannot be read."""
_LOOK_EVERY: Final = 0.05
"""Seconds between two looks at whether a tree that stops has gone."""
GRACE: Final = 1.0
"""Seconds that the sender waits longer than the owner may take, to hear that it took too long."""


def command(arguments: Namespace) -> int:
    """Leave a command for the owner of a journal, wait for its answer, and say what happened.

    Returns `ExitCode.NOT_DONE` unless it was applied. Raises `ConfigurationError` for what cannot be asked, and
    `JournalError` where nobody owns the file.
    """
    order = asked_in(arguments)
    id = arguments.id if arguments.id is not None else secrets.token_hex(8)
    outcome = trio.run(_send, arguments, order, id)
    replied = arguments.word == "ask" and outcome.state == "applied"
    if replied and not arguments.json:
        Stdout.here().json(load(outcome.text))
        return ExitCode.ORDERLY
    return tell(arguments, outcome, {"reply": load(outcome.text)} if replied else None)


def asked_in(arguments: Namespace) -> Command:
    """What the command line asks of an owner. Raises `ConfigurationError` for what cannot be asked."""
    given = Command(
        what=_WHAT[arguments.word](arguments) if arguments.word in _WHAT else arguments.word.replace("-", "_"),
        path=arguments.path,
        fields=_FIELDS[arguments.word](arguments),
        by=f"{user()} (process {os.getpid()})" if arguments.id is None else user(),
        within=arguments.within,
    )
    try:
        return parse_command(given.as_data())
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def tell(arguments: Namespace, outcome: Outcome, said: Mapping[str, Any] | None = None) -> int:
    """Print what came of a command, also of one that is carried out where no tree runs; with `--json` with `said`
    instead of its text. Returns the exit code."""
    out = Stdout.here()
    if arguments.json:
        said = {"text": outcome.text} if said is None else said
        out.json({"file": arguments.file, "id": outcome.id, "state": outcome.state, **said,
                  "duplicate": outcome.duplicate})  # fmt: skip
    else:
        word = "duplicate" if outcome.duplicate else outcome.state
        out.lines([out.paint(f"{word}: {outcome.text}", "good" if outcome.state == "applied" else "bad")])
    return ExitCode.ORDERLY if outcome.state == "applied" else ExitCode.NOT_DONE


async def _send(arguments: Namespace, order: Command, id: str) -> Outcome:
    within = arguments.within + order.beyond + GRACE
    deadline = trio.current_time() + within
    outcome = await send(arguments.file, order, id, within=within)
    if order.what == "stop" and order.path == "/" and outcome.state == "applied":
        with trio.move_on_at(deadline):
            await _wait_left(arguments.file)
            return Outcome(outcome.id, outcome.state, "the tree has stopped", outcome.duplicate)
    return outcome


async def _wait_left(file: str) -> None:
    while True:
        if not await trio.to_thread.run_sync(_owned, file):
            return
        await trio.sleep(_LOOK_EVERY)


def _owned(file: str) -> bool:
    with JournalFile.open(file) as journal:
        return journal.describe_holder().startswith("owned by")


def user() -> str:
    """Who asks, for the journal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a process without a name for its user
        return f"user {os.getuid()}"


def _message(arguments: Namespace) -> dict[str, Any]:
    try:
        data = load(arguments.data)
    except ValueError as error:
        shown = arguments.data if len(arguments.data) <= _SHOWN else f"{arguments.data[:_SHOWN]}..."
        raise ConfigurationError(
            f"{shown!r} is not JSON ({error}); give the fields as in '{{\"amount\": 2}}'"
        ) from None
    trace = {} if arguments.trace is None else {"trace": checked_trace(arguments.trace)}
    return {"kind": arguments.kind, "data": data, **trace}


def _checkpoint(arguments: Namespace) -> dict[str, Any]:
    return {"name": arguments.name, "description": arguments.description, "tags": list(arguments.tag or ())}


def target(arguments: Namespace) -> int | str:
    """The checkpoint that `--to` means, as `checkpoint show` takes it: the one of that number, or else the newest of
    that name, which may be a number too, as a day is."""
    to: str = arguments.to
    if not is_decimal(to):
        return to
    with JournalFile.open(arguments.file) as journal:
        kept = journal.checkpoint(int(to))
        if kept is not None and kept.about.path == arguments.path:
            return int(to)
        return to if journal.checkpoints(arguments.path, 1, Search(name=to)) else int(to)


def is_decimal(text: str) -> bool:
    """Whether it may be the number of a checkpoint."""
    return text.isdecimal() and text.isascii() and len(text) < 19


def _signal(arguments: Namespace) -> dict[str, Any]:
    if arguments.over:
        return {"kind": arguments.kind}
    lasts = {} if arguments.lasts is None else {"lasts": arguments.lasts}
    return {"kind": arguments.kind, "severity": arguments.severity, "text": arguments.text, **lasts}


def said_in(arguments: Namespace) -> dict[str, Any]:
    """What the command line says of an effect, as a command has it. Raises `ConfigurationError` for what is no JSON."""
    if arguments.by is not None:
        raise ConfigurationError(f"--by is {arguments.by!r}, and only what is said with --say has it; leave it out")
    key = {} if arguments.key is None else {"key": arguments.key}
    if arguments.done is None:
        return {"said": "not done" if arguments.not_done else "give up", **key}
    try:
        return {"said": "done", "value": load(arguments.done), **key}
    except ValueError as error:
        raise ConfigurationError(
            f'{arguments.done!r} is no JSON ({error}); give what it returned, as in \'{{"id": "4711"}}\' or null'
        ) from None


def ruled_in(arguments: Namespace) -> dict[str, Any]:
    """What the command line rules about an approval, or answers, as a command has it."""
    said, text = {"approve": ("approved", "comment"), "refuse": ("refused", "reason"), "answer": ("answered", "say")}[
        arguments.word
    ]
    by = user() if arguments.by is None else arguments.by
    return {"said": said, "key": arguments.key or "", "by": by, "text": getattr(arguments, text)}


_WHAT: Final[Mapping[str, Callable[[Namespace], str]]] = {
    "send": lambda _: "tell",
    "run-now": lambda _: "run_now",
    "answer": lambda arguments: "answer" if arguments.say is None else "rule",
    "approve": lambda _: "rule",
    "refuse": lambda _: "rule",
    "signal": lambda arguments: "recovered" if arguments.over else "signal",
    "chaos": lambda _: "calm",
}
_FIELDS: Final[Mapping[str, Callable[[Namespace], dict[str, Any]]]] = {
    "send": _message,
    "ask": _message,
    "signal": _signal,
    "stop": lambda _: {},
    "hold": lambda arguments: {"text": arguments.text},
    "resume": lambda _: {},
    "run-now": lambda arguments: {"tick": arguments.tick},
    "answer": lambda arguments: (said_in if arguments.say is None else ruled_in)(arguments),
    "approve": ruled_in,
    "refuse": ruled_in,
    "replay": lambda arguments: {} if arguments.message is None else {"message": arguments.message},
    "perform": lambda arguments: {"name": arguments.name},
    "drain": lambda _: {},
    "checkpoint": _checkpoint,
    "roll-back": lambda arguments: {"to": None if arguments.declared else target(arguments)},
    "chaos": lambda _: {},
}
