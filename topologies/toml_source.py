"""One TOML file on its way to a blueprint: its text, its folder, and the files that led to it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from treewarden.agents.core.said import listed
from treewarden.supervisor.written_file import content_of, remedy_for

from .core.node import Node, Problems, Refused, located, text
from .core.problems import Problem, guess

__all__ = ["Source", "parse"]

_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_INLINE: Final = "an inline table { ... } stands on one line, without a comma at its end; longer ones are [[children]]"
_REMEDIES: Final = (
    ("Invalid value", "texts stand in quotes, true and false are small, a list ends with ]"),
    ("Cannot", "say everything once"),
    ("Duplicate", "say everything once"),
    ("Invalid initial character for a key part", _INLINE),
    ("Unclosed inline table", _INLINE),
    ("Unclosed array", "put commas between the entries and ] at the end"),
    ("Expected '='", "write key = value"),
)


@frozen
class Source:
    """Where the tables of one file come from."""

    name: str
    """What the places in this file begin with: the file's path without `.toml`, seen from the outermost file."""
    folder: Path
    """Modules and included files are looked for here first."""
    chain: tuple[Path, ...]
    """The files that are being read, the outermost first, this one last."""
    problems: Problems
    files: list[Path] = field(factory=list[Path], eq=False)
    """Every file that was read so far, the outermost one's own list."""
    template: bool = False
    """Whether the table at hand is one from which children are made at run time, with further arguments."""

    def included(self, node: Node) -> tuple[Source, Node] | Refused:
        """The file that `node` names, seen from this one's folder. A file that leads to itself is refused."""
        name = text(node, self.problems)
        if isinstance(name, Refused):
            return name
        file = (self.folder / name).resolve()
        home = self.chain[0].parent
        if file in self.chain:
            cycle = [os.path.relpath(each, home) for each in (*self.chain[self.chain.index(file) :], file)]
            fault = f"is a cycle of files: {' -> '.join(cycle)}"
            return self.problems.refuse(node, fault, "take one of these out")
        try:
            content = content_of(file)
        except OSError as error:
            beside = sorted(
                each.name for each in self.folder.glob("*.toml") if each.is_file() and each.resolve() not in self.chain
            )
            remedy = (
                f"beside this file there is {listed(beside)}" if beside else "name it as seen from this file's folder"
            )
            reason = (error.strerror or str(error)).lower()
            proposed = remedy_for(error) or guess(name, beside)
            return self.problems.refuse(node, f"cannot be read: {reason}", proposed or remedy)
        self.files.append(file)
        label = os.path.relpath(file, home).removesuffix(".toml")
        source = evolve(self, name=label, folder=file.parent, chain=(*self.chain, file))
        table = parse(content, label, self.problems)
        return table if isinstance(table, Refused) else (source, table)


def parse(content: bytes | str, name: str, problems: Problems) -> Node | Refused:
    """The tables of a file, each with its place, which begins with `name`."""
    try:
        source = content if isinstance(content, str) else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1 if isinstance(content, bytes) else 1
        byte = f"the byte 0x{error.object[error.start]:02x}"
        return problems.add(Problem(f"{name}, line {line}", byte, "is not UTF-8", "save the file as UTF-8"))
    try:
        return located(tomllib.loads(source), name)
    except tomllib.TOMLDecodeError as error:
        return problems.add(_syntax(str(error), source, name))
    except ValueError as error:
        fault = f"cannot be read: {str(error).partition(';')[0]}"
        return problems.add(Problem(name, "a whole number", fault, "give a smaller one"))


def _syntax(message: str, source: str, name: str) -> Problem:
    where = _WHERE.search(message)
    lines = source.splitlines() or [""]
    what = _WHERE.sub("", message)
    remedy = next((remedy for start, remedy in _REMEDIES if what.startswith(start)), "see https://toml.io for the form")
    if where is None or where[1] is None:
        last = next((line for line in reversed(lines) if line.strip()), "")
        return Problem(f"{name}, at its end", repr(last.strip()), f"is not TOML: {what}", remedy)
    line, column = int(where[1]), int(where[2])
    return Problem(
        f"{name}, line {line}, column {column}", repr(lines[line - 1].strip()), f"is not TOML: {what}", remedy
    )
