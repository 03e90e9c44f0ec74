"""An agent that owns a process: what it is asked to compute runs there, and dies there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path as File
from typing import Any, Final, cast

import trio
from attrs import asdict, evolve

from .agent import Agent, S, handles
from .agent_spec import AgentSpec
from .core.diagnosis import Diagnosis
from .core.exit import Exit
from .core.message import Request
from .core.said import is_number, shown
from .core.values import frozen
from .errors import CallFailed, ConfigurationError, ProcessDied

__all__ = ["DIAGNOSIS", "Call", "ProcessAgent", "ProcessWorker", "process", "told"]

_LONGEST: Final = 64 * 1024 * 1024
"""Bytes that one answer may have."""
_PART: Final = 65536
DIAGNOSIS: Final = "TREEWARDEN_DIAGNOSIS"
_LONGEST_VARIABLE: Final = 100_000
"""Linux takes 128 KiB."""
_GRACE: Final = 1.0
"""Seconds that a process has to end after its agent has hung up."""
_CHILD: Final = str(File(__file__).with_name("process_child.py"))


class ProcessAgent(Agent[S]):
    """An agent beside a process of its own, in which `function` runs: `module:name`, called with JSON-like data.

    Handlers run here, as every agent's do, and `await self.call(data)` there. The process is started before the first
    message of each incarnation, in a session of its own, and is a part of it: when one ends, so does the other, with
    everything that the process has started. If it dies, by a signal or by itself, the incarnation fails with
    `ProcessDied`, and the supervisor does what it does about a failure. If this process dies, the other sees it and
    ends too, also while its function runs.

    Not promised: that a function stopped in the middle of something has undone it; nor anything about a function
    that closes its standard input, leaves its session, or holds the interpreter's lock while this process dies.
    The process has the parent's environment and `sys.path`. One that begins with an earlier state finds why as JSON in
    the variable `TREEWARDEN_DIAGNOSIS` (the fields of `Diagnosis`), which is empty otherwise. POSIX only.
    """

    function: str = ""
    """Which function; a subclass names it, or an argument."""
    environment: Mapping[str, str] = {}
    """Variables that the process has besides those of this one."""

    _process: trio.Process | None = None
    _ready: trio.Event
    _rest: bytes = b""
    _calls: int = 0
    _calling: bool = False
    _hung_up: bool = False

    @property
    def pid(self) -> int | None:
        """The process, as long as it lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def on_start(self) -> None:
        """Start the process, and wait until it has imported its function. A subclass that has its own calls this."""
        if ":" not in self.function:
            raise ConfigurationError(f"{self.path}: function is {self.function!r}; name one as module:name")
        self._ready = trio.Event()
        self.start_soon(self._own)
        await self._ready.wait()
        beside = (self.function.partition(":")[0], type(self).__module__)
        await self._send({"path": _search_path(beside), "function": self.function})
        self._result(await self._receive())

    async def on_stop(self, exit: Exit) -> None:
        """Hang up, and give the process a moment to end. A subclass that has its own calls this."""
        process = self._process
        self._hung_up = True
        if process is not None and process.stdin is not None:
            await process.stdin.aclose()
            with trio.move_on_after(_GRACE):
                await process.wait()

    async def call(self, data: Any, *, within: float | None = None) -> Any:
        """What the function returns for `data`; one call at a time, as a handler makes them.

        `within` seconds, or for as long as it takes. Raises `CallFailed` if it raises, with its traceback,
        `ProcessDied` if its process ends meanwhile, as it is made to by an answer of more than 64 MiB, and
        `trio.TooSlowError`; `ConfigurationError` for data that is no JSON, and for a limit that is none.
        Cancelled, or too late: the process is killed, for nobody knows then what it has done.
        """
        if self._calling:
            raise ConfigurationError(f"{self.path}: it calls {self.function} while a call is on its way; wait for that")
        if within is not None and not (is_number(within) and within >= 0):
            raise ConfigurationError(f"{self.path}: within is {shown(within)}; give seconds, 0 or more, or None")
        self._calls += 1
        self._calling = True
        try:
            with trio.fail_after(within) if within is not None else trio.CancelScope():
                await self._send({"id": self._calls, "data": data})
                answer = await self._receive()
        except (trio.Cancelled, trio.TooSlowError):
            self._kill()
            raise
        finally:
            self._calling = False
        return self._result(answer)

    def _result(self, answer: Mapping[str, Any]) -> Any:
        if "error" in answer:
            raise CallFailed(f"{self.path}: {self.function} raised {answer['error']}", trace=str(answer["trace"]))
        return answer.get("result")

    # -- the process

    async def _own(self) -> None:
        """Hold the process from its beginning to its end: whatever ends this task ends it."""
        process = self._process = await trio.lowlevel.open_process(
            [sys.executable, "-P", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, DIAGNOSIS: "", **self.environment, **told(self.diagnosis)},
        )
        try:
            self._ready.set()
            await process.wait()
        finally:
            self._kill()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _GRACE):
                await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with trio.CancelScope(shield=True):
                        await pipe.aclose()
        if self._calling:  # whoever waits for an answer is told, and knows better what it was about
            await trio.sleep(_GRACE)
        if not self._hung_up:
            raise self._death()

    def _kill(self) -> None:
        """SIGKILL for it and for what it has started, which may outlive it: so the group is killed, not the process."""
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says EPERM before it is reaped
                os.killpg(process.pid, signal.SIGKILL)

    def _death(self) -> ProcessDied:
        code = self._process.returncode if self._process is not None else None
        return ProcessDied(f"{self.path}: its process {how_it_ended(code)}", returncode=code)

    async def _send(self, what: Mapping[str, Any]) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            line = json.dumps(what, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{self.path}: what {self.function} is called with is no JSON: {error}") from None
        try:
            await process.stdin.send_all(line)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise await self._dead() from None

    async def _receive(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        parts = [self._rest]
        size = len(self._rest)
        while b"\n" not in parts[-1]:
            try:
                part = bytes(await process.stdout.receive_some(_PART))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                part = b""
            if not part:
                raise await self._dead()
            parts.append(part)
            size += len(part)
            if size > _LONGEST:
                self._kill()  # whoever calls again would get the rest of it
                raise ProcessDied(
                    f"{self.path}: an answer of {self.function} is longer than {_LONGEST} bytes; its process was killed"
                )
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return cast("dict[str, Any]", json.loads(line))

    async def _dead(self) -> ProcessDied:
        """It has hung up: wait until it is known how it ended, and no longer."""
        process = self._process
        assert process is not None
        with trio.move_on_after(_GRACE):
            await process.wait()
        return self._death()


def told(diagnosis: Diagnosis | None) -> dict[str, str]:
    """The variable that tells a process why its agent was taken back to an earlier state."""
    if diagnosis is None:
        return {}
    text = json.dumps(asdict(diagnosis))
    if len(text) > _LONGEST_VARIABLE:
        text = json.dumps(asdict(evolve(diagnosis, because=(), signal=diagnosis.signal[:1000])))
    return {DIAGNOSIS: text}


def _search_path(beside: Iterable[str]) -> list[str]:
    """Where modules are looked for, in words that mean the same in another folder; last in the folders where these
    modules stand, if they are imported: what a TOML file names was found beside it, which is not on the path."""
    folders = [os.path.abspath(each) if not each or os.path.isdir(each) else each for each in sys.path]
    for name in beside:
        file = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
        if file is not None:
            folder = os.path.dirname(os.path.abspath(file))
            folders.append(os.path.dirname(folder) if os.path.basename(file) == "__init__.py" else folder)
    return list(dict.fromkeys(folders))


def how_it_ended(returncode: int | None) -> str:
    """`was killed by SIGKILL`, `ended with 3`."""
    if returncode is None:
        return "hung up"
    if returncode >= 0:
        return f"ended with {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


@frozen
class Call(Request[Any]):
    """Asks a `ProcessWorker` to call its function. Told, it is work whose result nobody waits for."""

    data: Any = None


class ProcessWorker(ProcessAgent[None]):
    """Calls its function for each `Call`, and replies with what that returns."""

    def __init__(self, function: str, environment: Mapping[str, str] | None = None) -> None:
        self.function = function
        self.environment = environment or {}

    @handles
    async def work(self, message: Call) -> Any:
        return await self.call(message.data)


def process(function: str, *, id: str = "", environment: Mapping[str, str] | None = None) -> AgentSpec:
    """A function (`module:name`) as an agent with a process of its own, which answers `Call`.

    Raises `ConfigurationError` for a name that cannot be one; whether there is such a function shows at the start.
    """
    if not isinstance(function, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{shown(function)} names no function; write 'module:name'")
    module, colon, name = function.partition(":")
    parts: Sequence[str] = (*module.split("."), *name.split("."))
    if not colon or not all(part.isidentifier() for part in parts):
        raise ConfigurationError(f"{function!r} names no function; write module:name")
    args = {"function": function, "environment": dict(environment or {})}
    return AgentSpec(ProcessWorker, args, id or name.rpartition(".")[2])
