"""`treewarden journal check-code`: what a journal holds that the code at hand cannot read."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from attrs import define, field, frozen

from treewarden.agents.agent import is_agent_class, made_by
from treewarden.agents.core.approval import APPROVAL
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.step import BEGUN, step_of
from treewarden.agents.core.wait import WAITS, Wait
from treewarden.agents.errors import ConfigurationError, JournalDamaged, UnknownKind
from treewarden.supervisor.approvals import RULED
from treewarden.supervisor.codecs import codec_of_class
from treewarden.supervisor.core.moves import is_nested
from treewarden.supervisor.core.spec import ChildSpec, Shared, Strategy, SupervisorSpec
from treewarden.supervisor.effects import known_of
from treewarden.supervisor.events import HAPPENED
from treewarden.supervisor.journal.codec import SCRIPT, Codec
from treewarden.supervisor.journal.commit import ReplyRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.rows import Held
from treewarden.supervisor.ops.wording import clean, listing, plural
from treewarden.supervisor.results import ANSWERED

from ..core.blueprint import Blueprint, walk
from ..toml import load
from ..value_named import value_named
from .exits import ExitCode
from .looking_on import looking_on
from .stdout import Stdout

__all__ = ["check_code"]


@define
class _Unread:
    """Values of one kind and version in one place that cannot be read, for one reason."""

    what: str
    path: Path
    kind: str
    version: int
    first: str
    """The name of the first of them."""
    why: str
    module: str = ""
    """The one that does not import, if that is why."""
    count: int = 0


@frozen
class _Refusal:
    """Why there is no class for a kind."""

    why: str
    module: str = ""
    """The one that does not import, if that is why: for all its classes the reason is the same."""


@frozen
class _Code:
    """The classes at hand: those of the agents that a topology names, by path, and else those that can be imported."""

    agents: Mapping[Path, Codec]
    dynamic: Mapping[Path, Codec | None] = field(factory=dict[Path, "Codec | None"])
    """Those of children that are started when they are needed, by the supervisor above them."""
    places: Collection[Path] = ()
    """Where the topology has anybody at all."""
    stored: set[Path] = field(factory=set[Path])
    """Those at which the journal holds anything."""
    imported: dict[str, Codec | _Refusal] = field(factory=dict[str, "Codec | _Refusal"])
    modules: dict[str, ModuleType | _Refusal] = field(factory=dict[str, "ModuleType | _Refusal"])
    asked: dict[MessageId, Wait] = field(factory=dict[MessageId, Wait])
    """Approvals that have begun, which say how the end of one is to be read."""

    def read(self, held: Held) -> _Refusal | None:
        """Why this value cannot be read; None if it can. Of which type the result of an effect is, only its handler
        says: here it is taken for what it was stored as."""
        if held.what == "effect" and held.kind in _NO_CLASSES:
            return self._of_step(held)
        if held.what == "effect" and held.kind.endswith("]"):
            return None
        agent = None if held.what == "effect" else self._of(held.path)
        codec = agent or self._imported(held.kind)
        if isinstance(codec, _Refusal):
            return codec
        try:
            if held.what in _STATES:
                codec.check_state(held.kind)
            elif held.what == "message":
                codec.check_message(held.kind)
            codec.decode(held.kind, held.version, held.body)
        except (UnknownKind, JournalDamaged) as error:
            return _Refusal(str(error))
        return None

    def _of(self, path: Path) -> Codec | None:
        return self.agents.get(path) or (self.dynamic.get(path.parent) if path != ROOT else None)

    def is_left(self, held: Held) -> bool:
        """Whether it is for an agent at whose path the topology has nobody any more."""
        if not self.places or held.what not in _LIVING or held.path in self.places:
            return False
        return not any(above in self.dynamic for above in _above(held.path))

    def perhaps_at(self, left: Path) -> Path | None:
        """The only place for an agent of which nothing is stored, or the only one of that name."""
        empty = [path for path in self.agents if path not in self.stored and not is_nested(left, path)]
        named = [path for path in empty if path.name == left.name] or empty
        return named[0] if len(named) == 1 else None

    def _of_step(self, held: Held) -> _Refusal | None:
        unread: list[UnknownKind] = []
        row, step = ReplyRow(held.name, held.path, held.kind, held.body, held.version), step_of(held.name)
        known = known_of(row, unread, self.asked.get(step))
        if isinstance(known, Wait) and known.what == APPROVAL:
            self.asked[step] = known
        return _Refusal(str(unread[0])) if unread else None

    def _imported(self, kind: str) -> Codec | _Refusal:
        if kind not in self.imported:
            self.imported[kind] = self._find(kind)
        return self.imported[kind]

    def _find(self, kind: str) -> Codec | _Refusal:
        """The codec of the class that is stored as `kind`, or why there is none."""
        name, colon, inside = kind.partition(":")
        if not colon or kind.endswith("]"):
            if kind in Codec(()).kinds:
                return Codec(())
            remedy = "name the topology whose agents store it: --topology FILE.toml, or module:name"
            return _Refusal(f"{kind} is no class that could be imported; {remedy}")
        if name == SCRIPT:
            return _Refusal(f"{kind} was stored by a script: move the class to a module, or read it with that script")
        if name not in self.modules:
            self.modules[name] = _import(name)
        module = self.modules[name]
        found = module if isinstance(module, _Refusal) else _class_in(module, kind, inside)
        return _renamed(kind) or found if isinstance(found, _Refusal) else found


_NO_CLASSES: Final = frozenset({BEGUN, ANSWERED, WAITS, RULED, HAPPENED})
"""Kinds under which no value of a user's is stored."""
_STATES: Final = frozenset({"state", "checkpoint"})
_LIVING: Final = frozenset({"state", "message"})


def check_code(arguments: Namespace) -> int:
    """Print every kind of state, message, checkpoint, dead letter and reply that cannot be read, and why.

    Imports the modules that the file names, with the current folder first on the path, or those of a topology; of that
    also what waits where it has nobody. Reads only. Returns `ExitCode.DAMAGED` if there is anything.
    """
    out = Stdout.here()
    sys.path.insert(0, os.getcwd())
    try:
        code = _Code({}) if arguments.topology is None else _code_of(arguments.topology)
        counts: dict[str, int] = {}
        left: dict[Path, dict[str, int]] = {}

        def how_far() -> str:
            return f"{arguments.file}: {listing(dict(counts)) or 'nothing yet'}"

        with JournalFile.open(arguments.file) as journal, looking_on(arguments, how_far, journal.interrupt):
            unread = _look(journal, code, counts, left)
    finally:
        sys.path.remove(os.getcwd())
    if arguments.json:
        out.json(_object(arguments.file, counts, unread, left, code))
    else:
        out.lines(_lines(arguments.file, counts, unread, out))
        out.lines([clean(_left_line(path, each, arguments, code)) for path, each in left.items()])
    return ExitCode.DAMAGED if unread else ExitCode.ORDERLY


def _look(
    journal: JournalFile, code: _Code, counts: dict[str, int], left: dict[Path, dict[str, int]]
) -> Sequence[_Unread]:
    """What cannot be read. How many there are of each is written into `counts`, and of what is for nobody any more into
    `left`, by path."""
    unread: dict[tuple[Any, ...], _Unread] = {}
    for held in journal.held():
        counts[held.what] = counts.get(held.what, 0) + 1
        code.stored.add(held.path)
        if code.is_left(held):
            found = left.setdefault(held.path, {})
            found[held.what] = found.get(held.what, 0) + 1
        refusal = code.read(held)
        if refusal is not None:
            key = (held.what, held.path, held.kind, held.version, refusal.why)
            unread.setdefault(key, _Unread(*key[:4], held.name, refusal.why, refusal.module)).count += 1
    return tuple(unread.values())


def _blueprint(topology: str) -> Blueprint:
    """What a TOML file describes; or one in Python, by its name or that of a function that returns it.

    Raises `BlueprintError`, and `ConfigurationError` for a name of something else.
    """
    if topology.endswith(".toml") or ":" not in topology:
        return load(topology).blueprint
    found = value_named(topology, "blueprint", lambda each: isinstance(each, Blueprint))
    if not isinstance(found, Blueprint):
        raise ConfigurationError(f"{topology} gives {found!r:.80}, which is no blueprint; name what tree(...) returns")
    return found


def _code_of(file: str) -> _Code:
    found: dict[Path, Codec] = {}
    specs = dict(walk(_blueprint(file)))
    for path, spec in specs.items():
        if isinstance(spec, ChildSpec):
            agent = spec.agent if is_agent_class(spec.agent) else type(made_by(spec.agent, spec.args))
            found[path] = codec_of_class(agent)
    dynamic: dict[Path, Codec | None] = {}
    for path, spec in specs.items():
        if isinstance(spec, SupervisorSpec) and spec.children:
            codec = found.get(path / spec.children[0].id)
            if spec.strategy is Strategy.DYNAMIC:
                dynamic[path] = codec
            elif isinstance(spec.router, Shared) and codec is not None:
                found[path] = codec
    return _Code(found, dynamic, specs.keys())


def _above(path: Path) -> Iterator[Path]:
    while path != ROOT:
        path = path.parent
        yield path


def _import(name: str) -> ModuleType | _Refusal:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may end the process, too
        return _Refusal(f"module {name} does not import: {type(error).__name__}: {error}", name)


def _class_in(module: ModuleType, kind: str, inside: str) -> Codec | _Refusal:
    try:
        found: Any = module
        for part in inside.split("."):
            found = getattr(found, part)
        return Codec((found,))
    except ConfigurationError as error:
        return _Refusal(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _Refusal(f"no class at hand is stored as {kind}: {type(error).__name__}: {error}")


def _renamed(kind: str) -> Codec | None:
    """Of the class at hand that says it was stored as `kind` before."""
    for module in list(sys.modules.values()):
        for found in list(getattr(module, "__dict__", {}).values()):  # not each entry there is a module
            if isinstance(found, type) and kind in vars(found).get("__formerly__", ()):
                return Codec((found,))
    return None


def _lines(file: str, counts: Mapping[str, int], unread: Sequence[_Unread], out: Stdout) -> list[str]:
    total = ", ".join(plural(count, what) for what, count in counts.items()) or "nothing"
    if not unread:
        return [out.paint(clean(f"{file}: the code at hand reads all that it holds: {total}"), "good")]
    bad = sum(each.count for each in unread)
    head = f"{file}: the code at hand cannot read {bad} of what it holds ({total})"
    modules = dict.fromkeys(each.module for each in unread if each.module)
    lines = [_module_line([each for each in unread if each.module == name]) for name in modules]
    lines += [_line(each) for each in unread if not each.module]
    return [out.paint(clean(head), "bad"), *(clean(f"  {line}") for line in lines)]


def _module_line(unread: Sequence[_Unread]) -> str:
    """What is wrong with a module, and what cannot be read for it: once, and not for each class at each path."""
    counts: dict[str, int] = {}
    for each in unread:
        counts[each.what] = counts.get(each.what, 0) + each.count
    total = ", ".join(plural(count, what) for what, count in counts.items())
    kinds = ", ".join(sorted({each.kind for each in unread}))
    return f"{unread[0].why}; unread are {total} ({kinds})"


def _line(each: _Unread) -> str:
    named = f" {each.first}" if each.first else ""
    first = f" (the first is {each.first})" if each.first else ""
    what = f"{plural(each.count, each.what)}{first}" if each.count > 1 else f"{each.what}{named}"
    return f"{each.path}: {what}: {each.why}"


def _left_line(path: Path, found: Mapping[str, int], arguments: Namespace, code: _Code) -> str:
    what = ", ".join(plural(count, each) for each, count in found.items())
    new = code.perhaps_at(path) or "NEW"
    return (
        f"  {path}: {arguments.topology} has nobody there; kept for whoever lives there again: {what}; to take it to "
        f"another path: treewarden journal move {shlex.quote(str(arguments.file))} {path} {new}"
    )


def _object(
    file: str, counts: Mapping[str, int], unread: Sequence[_Unread], left: Mapping[Path, Mapping[str, int]], code: _Code
) -> dict[str, Any]:
    return {
        "file": file,
        "readable": not unread,
        "held": dict(counts),
        "nobody": [{"path": path, "perhaps": code.perhaps_at(path), **found} for path, found in left.items()],
        "unread": [
            {
                "what": each.what,
                "path": each.path,
                "kind": each.kind,
                "version": each.version,
                "count": each.count,
                "first": each.first,
                "why": each.why,
            }
            for each in unread
        ],
    }
