"""From a TOML file to the same blueprint that the builders make."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import field, frozen

from treewarden.agents.core.said import listed, shown
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.decision import Policy
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.written_file import content_of, remedy_for

from .core.blueprint import Blueprint, validate
from .core.node import Node, Problems, Refused
from .core.policies import read_policy
from .core.problems import Problem, guess
from .errors import BlueprintError, storage_problems
from .toml_source import Source, parse
from .toml_trees import read_root

__all__ = ["Topology", "load", "load_policy", "loads"]


@frozen
class Topology:
    """What a TOML file says."""

    blueprint: Blueprint
    journal: str | None
    """The journal's file, relative to the current folder, not to the TOML's; None if the file names none."""
    name: str
    """The file's name without `.toml`; messages about its parts begin with it."""
    files: tuple[Path, ...] = field(default=(), eq=False)
    """The files that were read: this one and those that it includes, without the modules."""
    production: bool = False
    """People depend on this tree: faults are injected into it within bounds only."""
    events: EventRetention | None = None
    """Which old events the journal gives up while the tree runs."""


def load(path: str | os.PathLike[str]) -> Topology:
    """Read a TOML file, import what it names, and check everything before anything is started.

    `module:name` is imported with the file's folder first on `sys.path`, for the length of that import; a module that
    is imported already is not read again. So this runs the user's modules, and reads files: it blocks.

    Raises `BlueprintError`, which lists every problem with its place, its value and its remedy.
    """
    file = Path(path)
    return _load(_content(file), file.resolve())


def load_policy(path: str | os.PathLike[str]) -> Policy | None:
    """The policy of a file that holds nothing but `rules` and perhaps `otherwise`; None if it describes a tree.

    Blocks. Raises `BlueprintError`, which lists every problem with its place, its value and its remedy.
    """
    file = Path(path)
    problems = Problems()
    node = parse(_content(file), file.name.removesuffix(".toml"), problems)
    if isinstance(node, Node) and "rules" not in (node.table or {}):
        return None
    policy = read_policy(node, problems) if isinstance(node, Node) else None
    if len(problems) or isinstance(policy, Refused):
        raise BlueprintError(problems, file.name)
    return policy


def _content(file: Path) -> bytes:
    try:
        return content_of(file)
    except OSError as error:
        beside = sorted(each.name for each in file.parent.glob("*.toml") if each.is_file())
        remedy = f"there is {listed(beside)}" if beside else "there is no TOML file in that folder"
        fault = f"cannot be read: {(error.strerror or str(error)).lower()}"
        proposed = remedy_for(error) or guess(file.name, [each for each in beside if each != file.name])
        found = Problem(str(file.parent), repr(file.name), fault, proposed or remedy)
        raise BlueprintError([found], file.name) from None


def loads(text: str, folder: str | os.PathLike[str] = ".", name: str = "tree") -> Topology:
    """As `load`, with the text of a file that would be called `name` and stand in `folder`."""
    if not isinstance(text, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{shown(text)} is no text; give that of a TOML file")
    return _load(text, Path(folder).resolve() / f"{name}.toml")


def _load(content: bytes | str, file: Path) -> Topology:
    problems = Problems()
    name = file.name.removesuffix(".toml")
    source = Source(name, file.parent, (file,), problems, [file])
    node = parse(content, name, problems)
    if isinstance(node, Refused):
        raise BlueprintError(problems, file.name)
    blueprint, place, of_run = read_root(source, node, outermost=True)
    problems.add(*validate(blueprint, place))
    if not len(problems):
        problems.add(*storage_problems(blueprint, place))
    if len(problems):
        raise BlueprintError(problems, file.name)
    files = tuple(dict.fromkeys(source.files))
    return Topology(
        blueprint, of_run.get("journal"), name, files, bool(of_run.get("production", False)), of_run.get("events")
    )
