"""pytest's side of `@chaos`. Nothing but this file is imported until a test asks for a world.

Options: `--chaos-seeds N`, `--chaos-replay STRING`; ini: `chaos_seeds`, `chaos_file`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import pytest

if TYPE_CHECKING:
    from .arena import Arenas, TestArena

__all__ = ["pytest_addoption", "pytest_terminal_summary", "world"]

_ARENAS: Final = pytest.StashKey[object]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("treewarden")
    group.addoption("--chaos-seeds", type=int, metavar="N", help="run tests of worlds under N seeds")
    group.addoption("--chaos-replay", metavar="STRING", help="replay one run, which a failing test of a world printed")
    parser.addini("chaos_seeds", "under how many seeds a test of a world is run, whatever it says itself", default="")
    parser.addini("chaos_file", "where failing runs are kept, to be run first the next time", default=".chaos.json")


@pytest.fixture
def world(request: pytest.FixtureRequest) -> TestArena:
    """For tests marked with `@chaos`: such a test gets a `World` under this name, another one for each seed."""
    from . import arena

    stash = request.config.stash
    arenas = stash.setdefault(_ARENAS, None) or arena.Arenas.of(request.config)
    stash[_ARENAS] = arenas
    return arena.TestArena(cast("Arenas", arenas), request.node.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    arenas = cast("Arenas | None", config.stash.get(_ARENAS, None))
    for line in arenas.summary() if arenas is not None else ():
        terminalreporter.write_line(line)
