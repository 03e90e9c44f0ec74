"""`treewarden recovery`: policies raced on seeded incidents."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from pathlib import Path as File
from typing import Final

from attrs import define

from treewarden.agents.errors import ConfigurationError

from .exits import ExitCode
from .stdout import Stdout

__all__ = ["recovery"]

_WIDTH: Final = 24


def recovery(arguments: Namespace) -> int:
    """Race the policies and print the table, or JSON.

    Interrupted, it prints the worlds that are done and says so. Raises `ConfigurationError` for a file of worlds that
    cannot work, an unknown policy or world, and a plot that cannot be written.
    """
    from ..recovery.contenders import chosen
    from ..recovery.diagram import as_svg
    from ..recovery.jobs import cores
    from ..recovery.own import own
    from ..recovery.results import as_data, race_all, table
    from ..recovery.world import load_worlds

    worlds = load_worlds(arguments.worlds)
    if arguments.world:
        known = [world.name for world in worlds]
        for name in arguments.world:
            if name not in known:
                raise ConfigurationError(f"there is no world {name!r}; there is {', '.join(known)}")
        worlds = tuple(world for world in worlds if world.name in arguments.world)
    contenders = chosen(arguments.policies, own)
    if arguments.plot:
        _refuse_what_cannot_be_drawn_to(File(arguments.plot))
    bar = _Bar(len(worlds) * len(contenders) * len(arguments.seeds), shown=sys.stderr.isatty())
    timer = time.perf_counter if arguments.timing else None
    processes = arguments.jobs or (1 if arguments.timing else cores())
    try:
        results = race_all(worlds, arguments.seeds, contenders, timer=timer, told=bar.step, processes=processes)
    finally:
        bar.clear()
    if arguments.plot and results.worlds:
        _write(arguments.plot, as_svg(results))
    out = Stdout.here()
    if arguments.json:
        out.json(as_data(results))
    elif results.worlds:
        out.lines(list(table(results)))
    if results.complete:
        return ExitCode.ORDERLY
    sys.stderr.write(f"treewarden: interrupted; {len(results.worlds)} of {len(worlds)} worlds were done\n")
    return ExitCode.FORCED


def _refuse_what_cannot_be_drawn_to(file: File) -> None:
    """Before the races and not after them, which may take minutes."""
    if file.suffix.lower() != ".svg":
        raise ConfigurationError(f"--plot {file}: the diagram is an SVG; give a name that ends in .svg")
    if not file.parent.is_dir():
        raise ConfigurationError(f"--plot {file}: there is no folder {file.parent}; make it, or give another name")


def _write(file: str, text: str) -> None:
    try:
        File(file).write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; give a file that can be written with --plot") from None


@define
class _Bar:
    """How far it is, on a terminal."""

    total: int
    shown: bool
    done: int = 0

    def step(self, what: str) -> None:
        if self.shown:
            filled = _WIDTH * self.done // self.total
            sys.stderr.write(f"\r\x1b[K[{'#' * filled}{'.' * (_WIDTH - filled)}] {self.done}/{self.total}  {what}")
            sys.stderr.flush()
        self.done += 1

    def clear(self) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
