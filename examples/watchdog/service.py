"""The demo service as a supervised agent: a separate process that is started, watched, and never left behind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Final

import trio
from attrs import evolve, frozen
from demo_service import lifetime

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError

__all__ = ["DemoService", "Service", "ServiceDied", "Where"]

PROGRAM: Final = Path(__file__).with_name("demo_service.py")
DEMO_URL: Final = "DEMO_URL"
"""The environment variable in which plain functions, which know nothing of trees, find the address."""

ASKED_PER_LIFE: Final = 20
"""How far a new life's answers are ahead of the last one's, so that it does not begin with the same troubles."""


class ServiceDied(Exception):
    """The process ended by itself. A crash like any other: the supervisor starts it again."""


@frozen
class Where(Request[str]):
    """Ask for the service's address, `http://127.0.0.1:41234`."""


@frozen
class Service:
    """What is kept over restarts of the process, of the agent and of the whole tree."""

    port: int = 0
    """Taken again if it is free, so that whoever knows the address still does."""
    lives: int = 0


class DemoService(Agent[Service]):
    """Runs `demo_service.py` in a session of its own; kills the whole group when it is stopped, killed or crashes.

    The process holds the other end of a pipe and exits when that closes, so it does not outlive this process either,
    even by `kill -9`. `on_start` returns when it listens. `lives` are the shortest and the longest life in seconds,
    drawn by the seed; None: it does not die. Not promised: the same port, where somebody else has taken it.
    """

    state = Service()

    def __init__(self, seed: int = 0, lives: list[float] | None = None) -> None:
        if lives is not None and not (len(lives) == 2 and 0 < lives[0] <= lives[1]):
            raise ConfigurationError(f"lives is {lives!r}; give the shortest and the longest in seconds, [6, 60]")
        self.seed = seed
        self.lives = lives
        self.url = ""
        self.process: trio.Process | None = None

    async def on_start(self) -> None:
        life = self.state.lives + 1
        dies_after = lifetime(self.seed, life, *self.lives) if self.lives is not None else 0.0
        options = {
            "--seed": self.seed,
            "--port": self.state.port,
            "--before": ASKED_PER_LIFE * self.state.lives,
            "--dies-after": f"{dies_after:.3f}",
        }
        self.process = await trio.lowlevel.open_process(
            [sys.executable, "-I", PROGRAM, "--with-parent", *(str(part) for pair in options.items() for part in pair)],
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is for the tree, which then stops its children in order
        )
        try:
            self.url = await _first_line(self.process)
        except BaseException:
            await _end(self.process)
            raise
        self.state = evolve(self.state, lives=life, port=int(self.url.rpartition(":")[2]))
        os.environ[DEMO_URL] = self.url

    async def run(self) -> None:
        """Watch the process; whatever ends this, ends the process."""
        assert self.process is not None
        self.keep()
        try:
            status = await self.process.wait()
            raise ServiceDied(f"exit status {status} in its life number {self.state.lives}")
        finally:
            await _end(self.process)

    @handles
    def where(self, _: Where) -> str:
        return self.url


async def _first_line(process: trio.Process) -> str:
    assert process.stdout is not None
    said = b""
    while not said.endswith(b"\n"):
        chunk = await process.stdout.receive_some()
        if not chunk:
            raise ServiceDied(f"it said nothing and ended with status {await process.wait()}")
        said += chunk
    return said.decode().strip()


async def _end(process: trio.Process) -> None:
    """Make sure that the process and its children are gone, and its pipes closed. Not cancellable; takes a moment."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
        await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                await pipe.aclose()
