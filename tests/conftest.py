"""What holds for every test: how Hypothesis searches, and what no test may leave behind."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadline: a shared machine is slow at times, and a slow example is not a wrong one. The search is the same in every
# run, so that a red run is about the change; `make search` looks somewhere new each time and remembers what failed.
settings.register_profile("search", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hypothesis-profile") in (None, "steady"):
        # Numbers and texts of the modules that this process happens to have imported are tried as values as well; so
        # what is tried would depend on which tests came before, and on the number of processes that share them.
        none = Constants()
        providers._get_local_constants = lambda: none  # pyright: ignore[reportPrivateUsage]
    # A shell that starts something in the background has it ignore Ctrl-C, and so would all that is started here.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("agents", "topologies"):
        found = importlib.util.find_spec(name)
        here = Path(__file__).parent.parent
        places = () if found is None else tuple(found.submodule_search_locations or ())
        if any(Path(place).is_relative_to(here) for place in places):
            raise pytest.UsageError(
                f"`import {name}` would load a second copy of treewarden.{name}, because {here} is on sys.path: "
                "run `pytest` (or `make test`), not `python -m pytest`, and without PYTHONPATH"
            )


@pytest.fixture
def frozen() -> Iterator[None]:
    """For tests that have the collector look at all there is: ten thousand tests and what they import are no garbage,
    and take it half a second."""
    gc.freeze()
    yield
    gc.unfreeze()


def open_databases() -> set[str]:
    """The database files that this process holds open; empty where /proc does not tell."""
    held: set[str] = set()
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(descriptor)
        except OSError:  # the descriptor that listed the folder is closed by now
            continue
        if target.removesuffix(" (deleted)").endswith((".db", ".db-wal", ".db-shm")):
            held.add(target)
    return held


@pytest.fixture(autouse=True)
def closes_its_journals() -> Iterator[None]:
    """A test that leaves a journal open fails, and not the one after it."""
    before = open_databases()
    yield
    left = open_databases() - before
    assert not left, f"left open: {sorted(left)}"
