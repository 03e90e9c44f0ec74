"""Owners of one file in processes whose numbers and fates are given."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from typing import Any

from attrs import define, frozen

from treewarden.supervisor.journal.holder import Fate, Process
from treewarden.supervisor.journal.sqlite import SqliteJournal

from ...journals import on_disk

__all__ = ["Disk", "Machine"]


@frozen
class Machine:
    """A process table in which this process has the number `pid`, and what it knows of the others is given."""

    pid: int
    fates: dict[int, Fate]
    host: str = "box"
    left: frozenset[int] = frozenset()
    """Which processes have closed the file."""

    def me(self) -> Process:
        return Process(self.host, self.pid, "boot-1", "pid:[1]", str(self.pid))

    def fate(self, process: Process) -> Fate:
        return self.fates.get(process.pid, Fate.UNKNOWN)

    def has_left(self, process: Process, file: pathlib.Path) -> bool:
        return process.pid in self.left


@define
class Disk:
    file: pathlib.Path

    def owner(self, pid: int, *, lease: float = 60.0, **options: Any) -> SqliteJournal:
        fates: dict[int, Fate] = options.pop("fates", {})
        machine = Machine(pid, {**fates, pid: Fate.ALIVE}, left=frozenset(options.pop("left", ())))
        return on_disk(self.file, processes=machine, lease=lease, **options)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def end_lease(self) -> None:
        """As time does."""
        self.sql("UPDATE owner SET lease_until = 1")

    @property
    def lease_until(self) -> float:
        return self.sql("SELECT lease_until FROM owner")[0][0]
