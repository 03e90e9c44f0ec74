"""The pid of a dead owner is that of a process which reads the file: in a namespace of pids, where root may choose the
next one (`make soak`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from ..crash import journal_child

LEASE: Final = 600
INSIDE: Final = """
import json, pathlib, subprocess, sys, time
import trio
from treewarden.agents.errors import JournalOwned
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.journal.sqlite import SqliteJournal

child, file, lease = sys.argv[1:]
ticks = lambda pid: pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]

async def take():
    async with SqliteJournal(file, clock=LoopClock(time.time), lease=float(lease)) as journal:
        return journal.opened.epoch, journal.opened.after_crash

with subprocess.Popen([sys.executable, child, file, lease], stdout=subprocess.PIPE) as owner:
    owner.stdout.readline()
    since = ticks(owner.pid)
    try:
        trio.run(take)
        refused = ""
    except JournalOwned as error:
        refused = str(error)
    owner.kill()
for _ in range(100):  # whoever else forks meanwhile would have the number, and a tick of the clock has to pass
    pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(owner.pid - 1))
    with open(file, "rb") as held, subprocess.Popen(["sleep", "60"], stdin=held) as other:
        reused = other.pid == owner.pid and ticks(other.pid) != since
        try:
            taken = trio.run(take) if reused else None
        finally:
            other.kill()
    if reused:
        break
    time.sleep(0.01)
print(json.dumps({"refused": refused, "pid": owner.pid, "reused": reused, "taken": taken}))
"""


def test_an_owner_whose_number_another_process_has_is_replaced_at_once(tmp_path: Path) -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", INSIDE]
    done = subprocess.run(
        [*command, str(journal_child.__file__), str(tmp_path / "tree.db"), str(LEASE)],
        stdout=subprocess.PIPE,
        timeout=LEASE / 10,
        check=True,
    )
    said = json.loads(done.stdout)
    assert f"is owned by process {said['pid']} on" in said["refused"]
    assert said["reused"], "no other process got the number"
    assert said["taken"] == [2, True]
