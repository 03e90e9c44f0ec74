"""Who holds a journal, and whether that process can be proved gone.

Only a process of the same boot and pid namespace can be judged. One that is stopped, or that another container or
machine runs, may still write: it keeps the journal until its lease ends.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final, Protocol

from treewarden.agents.core.values import frozen

__all__ = ["Fate", "Holder", "Process", "ProcessTable", "ProcfsTable", "refusal"]

_FIRST_TIMES: Final = "time:[4026531834]"
"""The time namespace in which Linux starts has this number on every machine."""


@frozen
class Process:
    """One process among all that there have been. Empty fields are what this system does not tell."""

    host: str
    pid: int
    boot: str = ""
    """The id of this boot of the machine."""
    namespace: str = ""
    """In which `pid` counts: the pid namespace, and the time namespace unless it is the first."""
    started: str = ""
    """Clock ticks from boot to its start: with `pid`, unique within one boot."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@frozen(kw_only=True)
class Holder:
    """The owner of a journal, as its file names it."""

    process: Process
    epoch: int
    since: float
    """Wall seconds at which it took the journal."""
    lease_until: float
    """Wall seconds, in the database's clock; 0 of one that had found it left behind, and has closed it again."""
    released: bool
    """It closed the journal in order."""

    def __str__(self) -> str:
        try:
            since = datetime.fromtimestamp(self.since, UTC).isoformat(" ", "seconds")
        except (OverflowError, ValueError, OSError):  # a bit of it has flipped
            since = f"{self.since:g}"
        return f"{self.process} (epoch {self.epoch}, since {since})"


class Fate(Enum):
    """What can be said about a process from here."""

    GONE = auto()
    ALIVE = auto()
    """It exists; it may be stopped."""
    UNKNOWN = auto()
    """It ran elsewhere, or this system does not tell."""


class ProcessTable(Protocol):
    """The seam to the operating system's knowledge of processes."""

    def me(self) -> Process:
        """This process."""
        ...

    def fate(self, process: Process) -> Fate:
        """What became of `process`. `GONE` only if it can be proved."""
        ...

    def has_left(self, process: Process, file: pathlib.Path) -> bool:
        """Whether it can be proved that `process`, which lives, has not `file` open; for this process: not besides the
        one connection that asks."""
        ...


class ProcfsTable:
    """Linux: `/proc`. Where it is missing or that of another pid namespace, nobody is ever `GONE`; nor is a process of
    another user where it hides those (`hidepid`), while its number is in use."""

    def __init__(
        self,
        root: str = "/proc",
        *,
        host: str | None = None,
        pid: int | None = None,
        kill: Callable[[int, int], None] = os.kill,
    ) -> None:
        """`kill` is asked, with signal 0, which reaches nobody, whether a number is in use."""
        self._root = pathlib.Path(root)
        self._host = os.uname().nodename if host is None else host
        self._pid = os.getpid() if pid is None else pid
        self._kill = kill

    def me(self) -> Process:
        return Process(
            host=self._host,
            pid=self._pid,
            boot=self._text("sys/kernel/random/boot_id").strip(),
            namespace=self._namespace(),
            started=self._stat(self._pid)[1] if self._is_ours() else "",
        )

    def fate(self, process: Process) -> Fate:
        me = self.me()
        here = (me.boot, me.namespace) == (process.boot, process.namespace)
        if not here or not (me.boot and me.namespace and me.started and process.started):
            return Fate.UNKNOWN
        state, started = self._stat(process.pid)
        if started and started != process.started:
            return Fate.GONE  # its number is used again
        if not state:
            seen = (self._root / str(process.pid)).exists()
            return Fate.UNKNOWN if seen or self._is_used(process.pid) else Fate.GONE
        if state in "ZX" and self._threads(process.pid) <= 1:
            return Fate.GONE  # dead, and not yet collected by its parent
        return Fate.ALIVE

    def has_left(self, process: Process, file: pathlib.Path) -> bool:
        mine = 1 if process == self.me() else 0
        folder = self._root / str(process.pid) / "fd"
        try:
            about = os.stat(file)
            names = os.listdir(folder)
        except OSError:
            return False
        for name in names:
            try:
                found = os.stat(folder / name)
            except FileNotFoundError:  # closed since, or a name of what has been removed: that one is not ours
                continue
            except OSError:
                return False
            mine -= (found.st_dev, found.st_ino) == (about.st_dev, about.st_ino)
        return mine >= 0

    def _is_ours(self) -> bool:
        """Whether the numbers in it are those that this process knows: whoever was put into a pid namespace, and not
        given a `/proc` of that one, sees others under the same numbers."""
        return self._link("self") == str(self._pid)

    def _is_used(self, pid: int) -> bool:
        """Whether there may be a process of this number that is not shown here."""
        try:
            self._kill(pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):  # it is another user's; or no number of a process
            return True
        return True

    def _namespace(self) -> str:
        """Where pids and the times at which processes started can be compared: seen through another time namespace the
        same process started at another time, as if its number were used again."""
        pids, times = self._link("self/ns/pid"), self._link("self/ns/time")
        return f"{pids} {times}" if pids and times not in ("", _FIRST_TIMES) else pids

    def _stat(self, pid: int) -> tuple[str, str]:
        """State letter and start time of `pid`; empty if it is not there."""
        fields = self._text(f"{pid}/stat").rpartition(")")[2].split()  # the name before it may hold anything
        return (fields[0], fields[19]) if len(fields) > 19 else ("", "")

    def _threads(self, pid: int) -> int:
        try:
            return len(os.listdir(self._root / str(pid) / "task"))
        except OSError:
            return 0

    def _text(self, file: str) -> str:
        try:
            return (self._root / file).read_text("utf-8", "replace")
        except OSError:
            return ""

    def _link(self, file: str) -> str:
        try:
            return os.readlink(self._root / file)
        except OSError:
            return ""


def refusal(file: str, holder: Holder, fate: Fate, me: Process, now: float) -> str:
    """Why `file` cannot be taken, and what to do about it."""
    left = max(holder.lease_until - now, 0.0)
    ends = f"{left:.1f}" if left < 1e7 else f"{left:g}"  # of which a bit may have flipped
    if holder.process == me:
        remedy = "this process itself has it open: close it there first"
    elif fate is Fate.ALIVE:
        remedy = "it exists: stop it first"
    else:
        remedy = f"if it has died, its lease ends in {ends} s; if not, stop it first"
    return f"{file} is owned by {holder}: {remedy}. Reading it works beside its owner"
