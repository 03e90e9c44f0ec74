"""Real processes on one journal, killed and stopped at random moments; `KILLS=50 make test ARGS=-kkill` for more."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest
import trio

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalOwned
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.holder import ProcfsTable
from treewarden.supervisor.journal.port import Commit, Record
from treewarden.supervisor.journal.reading import JournalFile

from ..journals import WALL, fact, on_disk
from .journal_child import AGENTS

CHILD = pathlib.Path(__file__).with_name("journal_child.py")
KILLS = int(os.environ.get("KILLS", "5"))
SLOTS = [Path(f"agent/{number}") for number in range(AGENTS)]
LONG = 600.0
"""Seconds of patience that no test has."""


class Acknowledged:
    """What the child has said so far: the highest settle of each agent, and every message that it told."""

    def __init__(self) -> None:
        self.settled = dict.fromkeys(SLOTS, 0)
        self.told: dict[Path, set[int]] = {path: set() for path in SLOTS}
        self.openings: list[str] = []
        self.lost: list[str] = []

    def hear(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            return  # cut off by the kill: nobody has read it
        word, _, rest = line.decode().strip().partition(" ")
        if word == "open":
            self.openings.append(rest)
        elif word == "lost":
            self.lost.append(rest)
        else:
            path, number = rest.split()
            if word == "told":
                self.told[Path(path)].add(int(number))
            else:
                self.settled[Path(path)] = int(number)


@contextmanager
def child(file: pathlib.Path, lease: float = 10.0) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, str(CHILD), str(file), str(lease)], stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def listen(process: subprocess.Popen[bytes], said: Acknowledged, lines: int) -> None:
    assert process.stdout is not None
    for _ in range(lines):
        said.hear(process.stdout.readline())


def check(file: pathlib.Path, said: Acknowledged) -> None:
    """Events, states, checkpoints and mailboxes tell one story, and it holds everything that was acknowledged."""
    with JournalFile.open(file) as reading:
        verdict = reading.verify()
        assert verdict.sound, verdict.faults
        assert verdict.head == reading.head
        records = reading.records(limit=1_000_000)
        states = {row.path: row for row in reading.states()}
        for path in SLOTS:
            facts = [found for record in records if (found := settle_of(path, record)) is not None]
            settled = states[path].settled if path in states else 0
            assert [entry["settled"] for entry in facts] == list(range(1, settled + 1))
            assert path not in states or states[path].body == f'{{"settled":{settled}}}'
            assert settled >= said.settled[path], "an acknowledged settle is missing"
            handled = [entry["row"] for entry in facts]
            assert len(set(handled)) == len(handled), "a message was settled twice"
            waiting = {row.row for row in reading.messages(path, 1_000_000)}
            assert not waiting & set(handled), "a settled message still waits"
            assert said.told[path] <= waiting | set(handled), "an acknowledged message is missing"
            kept = reading.checkpoints(path)
            assert [row.settled for row in kept] == [n for n in range(settled, 0, -1) if n % 7 == 0][:10]
            for row in kept:
                last = settle_of(path, records[row.seq - 1])
                assert last is not None
                assert last["settled"] == row.settled, "a checkpoint names another event than its own"


def settle_of(path: Path, record: Record) -> Mapping[str, Any] | None:
    event = record.event
    return event.facts if isinstance(event, Recorded) and event.path == path else None


def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path: pathlib.Path) -> None:
    file, said, chance = tmp_path / "tree.db", Acknowledged(), random.Random(KILLS)
    for _ in range(KILLS):
        with child(file) as process:
            listen(process, said, chance.randrange(400) if said.openings else 1)
            chance.randbytes(chance.randrange(1_000_000))  # some work of our own: not always just after an answer
            process.kill()
            assert process.stdout is not None
            for line in process.stdout:
                said.hear(line)
        check(file, said)
    # Each took over at once, whatever was left of the lease of the one before. Some died before they could say so.
    epochs = [int(opening.split()[0]) for opening in said.openings]
    assert epochs == sorted(set(epochs))
    assert {opening.split()[1] for opening in said.openings[1:]} <= {"True"}
    assert sum(said.settled.values()) > KILLS


def test_a_stopped_process_that_goes_on_appends_nothing(tmp_path: pathlib.Path) -> None:
    file, said = tmp_path / "tree.db", Acknowledged()
    with child(file, lease=1.0) as process:
        listen(process, said, 20)
        stop_between_two_commits(process, file, said)
        assert take_when_the_lease_ends(file) == 2
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=30)
        for line in out.splitlines(keepends=True):
            said.hear(line)
    (lost,) = said.lost
    assert "ran out. Nothing was written" in lost
    check(file, said)
    with JournalFile.open(file) as reading:
        *before, last = reading.records(limit=1_000_000)
        assert (last.epoch, last.event) == (2, fact(99))
        assert {record.epoch for record in before} == {1}


def test_a_stopped_process_is_the_owner_until_its_lease_ends(tmp_path: pathlib.Path) -> None:
    file, said = tmp_path / "tree.db", Acknowledged()
    with child(file, lease=3600.0) as process:
        listen(process, said, 20)
        stop_between_two_commits(process, file, said)
        with pytest.raises(JournalOwned, match=f"process {process.pid} .*it exists: stop it first"):
            trio.run(take, file)


def stop_between_two_commits(process: subprocess.Popen[bytes], file: pathlib.Path, said: Acknowledged) -> None:
    """One that is stopped in a transaction keeps the file locked, and nobody can take it over."""
    while not stopped_and_the_file_is_free(process, file):
        go_on(process, said)


def go_on(process: subprocess.Popen[bytes], said: Acknowledged) -> None:
    """Let one that is stopped go on until it says something new. On a busy machine it would otherwise be stopped again
    before it has had its turn, and at the same place for ever, where each look at the file may take SQLite 10 s."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    for line in (process.stdout.read() or b"").splitlines(keepends=True):
        said.hear(line)
    os.set_blocking(process.stdout.fileno(), True)
    process.send_signal(signal.SIGCONT)
    listen(process, said, 1)


def stopped_and_the_file_is_free(process: subprocess.Popen[bytes], file: pathlib.Path) -> bool:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


async def take(file: pathlib.Path, patience: float = 2.0) -> int:
    """Own the journal for one commit."""
    async with on_disk(file, patience=patience) as journal:
        await journal.commit(Commit(events=((WALL, fact(99)),)))
        return journal.opened.epoch


def take_when_the_lease_ends(file: pathlib.Path) -> int:
    """Real time has to pass for the database's clock; each attempt takes some of it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            return trio.run(take, file)
        except JournalOwned:
            continue
    raise AssertionError("the lease never ended")


def test_a_second_process_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    """How fast, says the row `refused` of `make bench-journal`."""
    file, said = tmp_path / "tree.db", Acknowledged()
    with child(file) as process:
        listen(process, said, 10)
        sentence = refused(file)
    holder = f"process {process.pid} on {ProcfsTable().me().host} (epoch 1, since 2"
    assert sentence.startswith(f"{file} is owned by {holder}")
    assert sentence.endswith("it exists: stop it first. Reading it works beside its owner")


def refused(file: pathlib.Path) -> str:
    try:
        trio.run(take, file)
    except JournalOwned as error:
        return str(error)
    raise AssertionError("two processes have it")


def test_a_dead_owner_is_replaced_at_once(tmp_path: pathlib.Path) -> None:
    file, said = tmp_path / "tree.db", Acknowledged()
    with child(file, lease=3600.0) as process:
        listen(process, said, 10)
        process.kill()
        process.wait()
        begin = time.perf_counter()
        assert trio.run(take, file, LONG) == 2
        assert time.perf_counter() - begin < LONG / 10, "it waited for the lease, or as long as it may for a lock"
