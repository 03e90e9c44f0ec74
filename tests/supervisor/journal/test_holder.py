"""What can be said about the process that holds a journal; nobody is gone who cannot be proved gone."""

from __future__ import annotations

import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest
from attrs import evolve

from treewarden.supervisor.journal.holder import Fate, Holder, Process, ProcfsTable, refusal

ME = Process("here", 100, "boot-1", "pid:[1]", "555")
OTHER = evolve(ME, pid=200, started="777")


def add(proc: pathlib.Path, process: Process, state: str = "S", threads: int = 1, name: str = "python") -> None:
    folder = proc / str(process.pid)
    folder.mkdir(parents=True)
    middle = " ".join(["0"] * 18)
    (folder / "stat").write_text(f"{process.pid} ({name}) {state} {middle} {process.started} 0 0\n")
    for thread in range(threads):
        (folder / "task" / str(process.pid + thread)).mkdir(parents=True)


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot-1\n")
    add(tmp_path, ME)
    (tmp_path / "self").symlink_to(str(ME.pid))
    (tmp_path / "self/ns").mkdir()
    (tmp_path / "self/ns/pid").symlink_to("pid:[1]")
    return tmp_path


def table(proc: pathlib.Path, *used: int) -> ProcfsTable:
    """As a process sees it that knows of numbers besides that are in use."""

    def kill(pid: int, signal: int) -> None:
        assert signal == 0
        if pid not in used:
            raise ProcessLookupError
        raise PermissionError

    return ProcfsTable(str(proc), host="here", pid=ME.pid, kill=kill)


def test_a_process_describes_itself(proc: pathlib.Path) -> None:
    assert table(proc).me() == ME


def test_a_process_that_runs_is_alive_in_whatever_state(proc: pathlib.Path) -> None:
    assert table(proc).fate(ME) is Fate.ALIVE
    for position, state in enumerate("RSDTt"):
        add(proc, evolve(OTHER, pid=300 + position), state, name=f"a) {state} (b")
        assert table(proc).fate(evolve(OTHER, pid=300 + position)) is Fate.ALIVE


def test_a_process_that_is_not_there_is_gone(proc: pathlib.Path) -> None:
    assert table(proc).fate(OTHER) is Fate.GONE


def test_a_number_that_is_used_again_is_another_process(proc: pathlib.Path) -> None:
    add(proc, evolve(OTHER, started="999"))
    assert table(proc).fate(OTHER) is Fate.GONE


def test_a_dead_process_that_nobody_collected_is_gone(proc: pathlib.Path) -> None:
    add(proc, OTHER, "Z")
    assert table(proc).fate(OTHER) is Fate.GONE


def test_a_dead_main_thread_does_not_mean_a_dead_process(proc: pathlib.Path) -> None:
    add(proc, OTHER, "Z", threads=2)
    assert table(proc).fate(OTHER) is Fate.ALIVE


@pytest.mark.parametrize(
    "elsewhere",
    [
        evolve(OTHER, boot="boot-0"),
        evolve(OTHER, namespace="pid:[2]"),
        evolve(OTHER, boot=""),
        evolve(OTHER, started=""),
    ],
)
def test_a_process_of_another_boot_or_container_cannot_be_judged(proc: pathlib.Path, elsewhere: Process) -> None:
    assert table(proc).fate(elsewhere) is Fate.UNKNOWN


def test_a_process_of_another_time_namespace_cannot_be_judged(proc: pathlib.Path) -> None:
    """It started at another time than it says, as if its number were used again."""
    (proc / "self/ns/time").symlink_to("time:[4026531834]")
    add(proc, OTHER)
    assert table(proc).me() == ME
    assert table(proc).fate(OTHER) is Fate.ALIVE
    (proc / "self/ns/time").unlink()
    (proc / "self/ns/time").symlink_to("time:[4026532177]")
    assert table(proc).fate(evolve(OTHER, started="10000777")) is Fate.UNKNOWN
    assert table(proc).fate(evolve(OTHER, namespace=table(proc).me().namespace)) is Fate.ALIVE


def test_without_proc_nobody_is_gone(tmp_path: pathlib.Path) -> None:
    assert table(tmp_path / "nothing").fate(OTHER) is Fate.UNKNOWN
    assert table(tmp_path / "nothing").me() == Process("here", 100)


def test_where_nothing_tells_the_machine_or_the_container_nobody_is_gone(proc: pathlib.Path) -> None:
    """Two that both know nothing of where they are need not be in the same place."""
    nameless = evolve(OTHER, boot="")
    (proc / "sys/kernel/random/boot_id").rename(proc / "boot_id")
    assert table(proc).me() == evolve(ME, boot="")
    assert table(proc).fate(nameless) is Fate.UNKNOWN
    (proc / "boot_id").rename(proc / "sys/kernel/random/boot_id")
    (proc / "self/ns/pid").unlink()
    (proc / "self/ns/time").symlink_to("time:[4026532177]")
    assert table(proc).me() == evolve(ME, namespace="")
    assert table(proc).fate(evolve(OTHER, namespace="")) is Fate.UNKNOWN


@pytest.mark.parametrize("fields", [0, 1, 18])
def test_a_line_that_breaks_off_says_nothing(proc: pathlib.Path, fields: int) -> None:
    add(proc, OTHER)
    (proc / "200/stat").write_text("200 (python) S " + "0 " * fields)
    assert table(proc).fate(OTHER) is Fate.UNKNOWN


def test_a_number_that_may_be_asked_and_is_not_shown_is_not_gone(proc: pathlib.Path) -> None:
    def kill(pid: int, signal: int) -> None:
        assert (pid, signal) == (OTHER.pid, 0)

    assert ProcfsTable(str(proc), host="here", pid=ME.pid, kill=kill).fate(OTHER) is Fate.UNKNOWN


def test_a_process_that_hides_cannot_be_judged(proc: pathlib.Path) -> None:
    (proc / str(OTHER.pid)).mkdir()
    assert table(proc).fate(OTHER) is Fate.UNKNOWN
    shutil.rmtree(proc / str(ME.pid))  # and one that does not even see itself judges nobody
    assert table(proc).fate(evolve(OTHER, pid=400)) is Fate.UNKNOWN


def test_a_process_of_another_user_that_is_hidden_is_not_gone(proc: pathlib.Path) -> None:
    """As with `hidepid=2`: its folder is not there for us."""
    assert table(proc, OTHER.pid).fate(OTHER) is Fate.UNKNOWN
    assert table(proc, 300).fate(OTHER) is Fate.GONE


def test_under_the_proc_of_another_pid_namespace_nobody_is_judged(proc: pathlib.Path) -> None:
    """As after `unshare --pid --fork`: our number, and the owner's, are those of others in it, who have no journal."""
    seen = table(proc).me()
    add(proc, OTHER)
    (proc / str(OTHER.pid) / "fd").mkdir()
    (proc / "4711").mkdir()
    shutil.move(str(proc / str(ME.pid) / "ns"), proc / "4711/ns")
    (proc / "self").unlink()
    (proc / "self").symlink_to("4711")
    assert table(proc).me() == evolve(seen, started="")
    assert table(proc).fate(OTHER) is Fate.UNKNOWN
    assert table(proc).fate(evolve(OTHER, started="999")) is Fate.UNKNOWN
    assert table(proc).fate(evolve(OTHER, pid=300)) is Fate.UNKNOWN


NAMED = "from treewarden.supervisor.journal.holder import ProcfsTable; print(ProcfsTable().me().started, flush=True)"


def test_real_processes() -> None:
    real = ProcfsTable()
    me = real.me()
    assert me.pid == os.getpid()
    assert real.fate(me) is Fate.ALIVE
    command = [sys.executable, "-c", f"{NAMED}; input()"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    them = evolve(me, pid=child.pid, started=child.stdout.readline().strip())
    try:
        assert real.fate(them) is Fate.ALIVE
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        assert real.fate(them) is Fate.ALIVE
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table
        assert real.fate(them) is Fate.GONE
    finally:
        child.kill()
        child.communicate()
    assert real.fate(them) is Fate.GONE


HOLDER = Holder(process=OTHER, epoch=7, since=1_800_000_000.0, lease_until=1_800_000_100.0, released=False)


def test_a_refusal_names_file_holder_and_remedy() -> None:
    assert refusal("tree.db", HOLDER, Fate.ALIVE, ME, 1_800_000_095.0) == (
        "tree.db is owned by process 200 on here (epoch 7, since 2027-01-15 08:00:00+00:00): it exists: stop it first. "
        "Reading it works beside its owner"
    )
    unknown = refusal("tree.db", HOLDER, Fate.UNKNOWN, ME, 1_800_000_095.0)
    assert "if it has died, its lease ends in 5.0 s; if not, stop it first" in unknown
    late = refusal("tree.db", HOLDER, Fate.UNKNOWN, ME, 1_800_000_200.0)
    assert "if it has died, its lease ends in 0.0 s; if not, stop it first" in late
    mine = refusal("tree.db", evolve(HOLDER, process=ME), Fate.ALIVE, ME, 1_800_000_095.0)
    assert "this process itself has it open: close it there first" in mine


@pytest.mark.parametrize("since", [1e300, -1e300, math.inf, math.nan])
def test_a_time_that_is_none_is_told_all_the_same(since: float) -> None:
    """A bit of the row may have flipped."""
    holder = evolve(HOLDER, since=since, lease_until=since)
    text = refusal("tree.db", holder, Fate.UNKNOWN, ME, 1_800_000_095.0)
    assert f"is owned by process 200 on here (epoch 7, since {since:g})" in text
    assert len(text) < 300


def test_a_process_that_has_the_file_open_has_not_left_it(proc: pathlib.Path, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    file.touch()
    add(proc, OTHER)
    assert not table(proc).has_left(OTHER, file), "nobody can say: it has no list of files"
    for process in (ME, OTHER):
        open_files = proc / str(process.pid) / "fd"
        open_files.mkdir()
        (open_files / "0").symlink_to("pipe:[1]")
        (open_files / "1").symlink_to(proc / "self")
    assert table(proc).has_left(OTHER, file)
    (proc / "200/fd/2").symlink_to(file)
    assert not table(proc).has_left(OTHER, file)
    (proc / "100/fd/2").symlink_to(file)
    assert table(proc).has_left(ME, file), "that one is the connection that asks"
    (proc / "100/fd/3").symlink_to(file)
    assert not table(proc).has_left(ME, file)
    assert not table(proc).has_left(OTHER, tmp_path / "missing.db")


def test_names_of_removed_files_count_for_no_file_and_one_that_cannot_be_looked_at_for_any(
    proc: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "tree.db"
    file.touch()
    (proc / "100/fd").mkdir()
    for number in range(40):
        (proc / f"100/fd/{number}").symlink_to(file if number == 20 else "tree.db (deleted)")
    assert table(proc).has_left(ME, file)
    (proc / "100/fd/40").symlink_to("40")  # a circle: nobody can say which file it is
    assert not table(proc).has_left(ME, file)
