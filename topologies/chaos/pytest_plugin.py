"""pytest's side of `@chaos`. Nothing but this file is imported until a test asks for a world.

Options: `--chaos-seeds N`, `--chaos-replay STRING`; ini: `chaos_seeds`, `chaos_file`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, cast

import pytest

if TYPE_CHECKING:
    from .arena import Arenas, TestArena

__all__ = ["pytest_addoption", "pytest_configure", "pytest_terminal_summary", "world"]

_ARENAS: Final = pytest.StashKey[object]()
_PROPERTY: Final = "chaos"
"""What a test of a world has come to stands under this name in its report, which reaches the terminal from every
process that runs tests."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("treewarden")
    group.addoption("--chaos-seeds", type=_seeds, metavar="N", help="run tests of worlds under N seeds")
    group.addoption("--chaos-replay", metavar="STRING", help="replay one run, which a failing test of a world printed")
    parser.addini("chaos_seeds", "under how many seeds a test of a world is run, whatever it says itself", default="")
    parser.addini("chaos_file", "where failing runs are kept, to be run first the next time", default=".chaos.json")


def _seeds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seeds; give a whole number, 1 or more")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse at once what no test could be run with."""
    given = str(config.getini("chaos_seeds"))
    if given:
        try:
            _seeds(given)
        except argparse.ArgumentTypeError as error:
            raise pytest.UsageError(f"chaos_seeds: {error}") from None
    if config.getoption("--chaos-replay") is not None:
        _arenas(config)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> TestArena:
    """For tests marked with `@chaos`: such a test gets a `World` under this name, another one for each seed."""
    from .arena import TestArena

    def tell(sentence: str) -> None:
        request.node.user_properties.append((_PROPERTY, sentence))

    return TestArena(_arenas(request.config), request.node.nodeid, tell)


def _arenas(config: pytest.Config) -> Arenas:
    from .arena import Arenas

    arenas = config.stash.setdefault(_ARENAS, None) or Arenas.of(config)
    config.stash[_ARENAS] = arenas
    return cast("Arenas", arenas)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                for name, sentence in report.user_properties:
                    if name == _PROPERTY:
                        terminalreporter.write_line(f"chaos: {report.nodeid}: {sentence}")
