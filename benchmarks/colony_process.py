"""The two ends of a worker process that a controller holds: asked for a stage, awaited, never left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import PIPE
from typing import Final

import trio

__all__ = ["WorkerLost", "WorkerProcess"]

_PROGRAM: Final = Path(__file__).with_name("colony_worker.py")


class WorkerLost(Exception):
    """The worker process is gone."""


class WorkerProcess:
    """A worker process of one place. Both contenders use the same."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process

    @classmethod
    async def opened(cls, place: int, folder: Path) -> WorkerProcess:
        """Start one; returns when it is ready. Raises `WorkerLost` if it does not get that far."""
        command = [sys.executable, "-I", "-S", _PROGRAM, str(place), folder]
        worker = cls(await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE, start_new_session=True))
        try:
            await worker._said()
        except BaseException:
            await worker.end()
            raise
        return worker

    async def work(self, job: int, stage: str, seconds: float) -> None:
        """Have one stage done. Raises `WorkerLost`; the stage may have been done all the same."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(f"{job} {stage} {seconds}\n".encode("ascii"))
        except trio.BrokenResourceError:
            raise WorkerLost(f"process {self._process.pid}") from None
        await self._said()

    async def wait(self) -> int:
        return await self._process.wait()

    async def end(self) -> None:
        """Kill it if it lives, and close the pipes. Takes a moment, and is not cancelled."""
        with trio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    await pipe.aclose()

    async def _said(self) -> None:
        assert self._process.stdout is not None
        said = b""
        while not said.endswith(b"\n"):
            chunk = await self._process.stdout.receive_some()
            if not chunk:
                raise WorkerLost(f"process {self._process.pid}")
            said += chunk
