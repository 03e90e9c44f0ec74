"""A small tree for the tests of the command, in files, and the command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pytest

from treewarden.topologies.cli import main

__all__ = ["AGENTS", "COMMAND", "Running", "begin", "desk", "said", "treewarden"]

AGENTS: Final = '''
import time

import trio
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, every


@frozen
class Ticks:
    n: int = 0


@frozen
class Seen:
    n: int


class Steady(Agent[Ticks]):
    """Counts, and records every count."""

    state = Ticks()

    @every(0.05)
    async def tick(self) -> None:
        self.state = evolve(self.state, n=self.state.n + 1)
        self.record(Seen(self.state.n))


class Flaky(Agent[Ticks]):
    """Fails once in each process, at its second tick."""

    state = Ticks()
    lives = 0

    async def on_start(self) -> None:
        Flaky.lives += 1
        self.ticks = 0

    @every(0.05)
    async def tick(self) -> None:
        self.ticks += 1
        if Flaky.lives == 1 and self.ticks == 2:
            raise ValueError("unlucky")
        self.state = evolve(self.state, n=self.state.n + 1)


class Broken(Agent[None]):
    @every(0.05)
    async def tick(self) -> None:
        raise ValueError("always")


class Stillborn(Agent[None]):
    async def on_start(self) -> None:
        raise RuntimeError("cannot begin")


class Slow(Agent[None]):
    @every(0.05)
    async def tick(self) -> None:
        await trio.sleep(60)


class Shielded(Agent[None]):
    """Does not end when it is cancelled."""

    @every(0.05)
    async def tick(self) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)


class Hog(Agent[None]):
    """Does not let the loop go on."""

    @every(0.05)
    async def tick(self) -> None:
        print("the loop stands still", flush=True)
        time.sleep(60)


class Wordless(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Speechless(Agent[None]):
    """Ends the loop of trio: the repr of what leaves its nursery raises."""

    @every(0.05)
    async def tick(self) -> None:
        async def fail() -> None:
            raise Wordless

        async with trio.open_nursery() as nursery, trio.open_nursery() as inner:
            inner.start_soon(fail)


class Exits(Agent[None]):
    @every(0.05)
    async def tick(self) -> None:
        raise SystemExit(5)


async def poll() -> None:
    pass
'''

COMMAND: Final = "import sys; from treewarden.topologies.cli import main; sys.exit(main())"
_PATIENCE: Final = 60.0


def desk(folder: Path, *children: str, name: str = "desk", options: str = "") -> Path:
    """A TOML file `name.toml` with these children, beside a module `cli_agents`."""
    (folder / "cli_agents.py").write_text(AGENTS)
    file = folder / f"{name}.toml"
    listed = "".join(f"  {each},\n" for each in children)
    file.write_text(f"{options}\nchildren = [\n{listed}]\n")
    return file


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    return {**kept, "TZ": "UTC", "PYTHONUTF8": "1", "TERM": "xterm", **(more or {})}


def treewarden(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, program: str = COMMAND
) -> subprocess.CompletedProcess[str]:
    """The command, from its start to its end."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )


class Running:
    """The command while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.out: IO[str] = process.stdout
        self.lines: list[str] = []

    def until(self, wanted: Callable[[str], bool] | str) -> str:
        """Read stdout up to the first line that is wanted, or that holds the text."""
        for line in self.out:
            self.lines.append(line.rstrip("\n"))
            if wanted in line if isinstance(wanted, str) else wanted(line):
                return self.lines[-1]
        raise AssertionError(f"it ended without that line: {self.lines}, {self.errors()}")

    def event(self, kind: str) -> dict[str, Any]:
        """Read JSON Lines up to the next event of a kind."""
        return json.loads(self.until(lambda line: json.loads(line).get("kind") == kind))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Read the rest; the exit code."""
        self.lines += self.out.read().splitlines()
        return self.process.wait(_PATIENCE)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def begin(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, program: str = COMMAND
) -> Generator[Running]:
    """The command in the background; it is killed at the end of the block, and after a minute."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(_PATIENCE, process.kill)
    limit.start()
    try:
        with process:
            yield Running(process)
            process.kill()
    finally:
        limit.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """What a word of the command prints about `desk.db`, run in this process, and its exit code."""
    capsys.readouterr()
    code = main([words[0], "desk.db", *words[1:]])
    printed = capsys.readouterr()
    return code, printed.out + printed.err
