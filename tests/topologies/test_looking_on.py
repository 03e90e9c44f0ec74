"""What a long command says on a terminal, and how a signal ends what SQLite is at."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
from argparse import Namespace
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import evolve

from treewarden.supervisor.journal.looked_at import LookedAt
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main
from treewarden.topologies.commands.looking_on import looking_on

from ..journals import WALL, Commit, dead, fact, on_disk
from .cli_desk import COMMAND, treewarden
from .test_cli_terminal import Screen

AT_ONCE: Final = f"""
import time
from treewarden.supervisor.journal import reading
from treewarden.topologies.commands import looking_on

looking_on._FIRST, survey = 0.0, reading.survey

def slow(connection):
    time.sleep(0.1)  # else it may be over before the other thread has its turn
    return survey(connection)

reading.survey = slow
{COMMAND}
"""
PRESSED: Final = f"""
import os, time
from treewarden.topologies.commands import exporting

counted = exporting._counted

def pressed(lines, looked_at):
    for line in counted(lines, looked_at):
        if looked_at.count == 1000:
            os.kill(os.getpid(), {{number}})
            try:
                time.sleep(10)
            finally:
                time.sleep(0.2)  # until the other thread has interrupted what is read
        yield line

exporting._counted = pressed
{COMMAND}
"""
SAID: Final = {130: "treewarden: interrupted\n", 143: "treewarden: ended by SIGTERM\n"}
ENDLESS: Final = "WITH RECURSIVE n(x) AS (SELECT begun() UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
EVENTS: Final = 20_000
LONG: Final = (
    ("verify long.db", "long.db: "),
    ("export long.db -o new", "long.db: "),
    ("import long.jsonl new", "long.jsonl: "),
    ("fork long.db new", "new: 0 MB of a file of "),
    ("check-code long.db", "long.db: "),
    ("compact long.db", "long.db: "),
    ("blobs long.db", "long.db: who holds its large values, "),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a journal that takes long enough, and its bundle; and one that a terminal has soon."""
    folder = tmp_path_factory.mktemp("long")

    async def write() -> None:
        async with on_disk(folder / "long.db") as journal:
            await journal.commit(Commit(events=tuple((WALL, fact(n)) for n in range(EVENTS))))
            await journal.commit(Commit(dead=tuple(evolve(dead(n), row=None) for n in range(EVENTS))))
        async with on_disk(folder / "short.db") as journal:
            await journal.commit(Commit(events=tuple((WALL, fact(n)) for n in range(100))))

    trio.run(write)
    assert main(["journal", "export", str(folder / "long.db"), "-o", str(folder / "long.jsonl")]) == 0
    return folder


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    monkeypatch.chdir(folder)
    yield folder
    (folder / "new").unlink(missing_ok=True)


def test_how_far_it_is(here: Path) -> None:
    with JournalFile.open(here / "long.db") as journal:
        assert journal.verify().sound
        assert str(journal.looked_at) == f"{EVENTS:,} of {EVENTS:,} events (100 %)"
        journal.check_rows()
        assert str(journal.looked_at) == "the structure of the file"


@pytest.mark.parametrize(
    ("count", "of", "text"),
    [(0, 0, "rows"), (1234, 0, "1,234 rows"), (1, 3, "1 of 3 rows (33 %)"), (0, 3, "0 of 3 rows (0 %)")],
)
def test_in_words(count: int, of: int, text: str) -> None:
    assert str(LookedAt("rows", count, of)) == text


@pytest.mark.parametrize(("deed", "said"), LONG)
def test_it_is_said_on_a_terminal_and_gone_at_the_end(deed: str, said: str, here: Path) -> None:
    screen = Screen("journal", *deed.split(), cwd=here, program=AT_ONCE)
    assert screen.end() in (0, 1)
    lines, _, rest = screen.text.rpartition("\r\x1b[K")
    assert re.fullmatch(rf"(\r{re.escape(said)}.*(s|min)\x1b\[K)+", lines)
    assert rest.endswith("\r\n")


@pytest.mark.parametrize("deed", ["verify long.db", "import long.jsonl new", "compact long.db"])
def test_nothing_is_said_elsewhere(deed: str, here: Path) -> None:
    done = treewarden("journal", *deed.split(), cwd=here, program=AT_ONCE)
    assert done.stderr == ""
    assert "\r" not in done.stdout


def test_nor_with_json_or_where_nothing_can_be_drawn_over(here: Path) -> None:
    for arguments, env in ((("--json",), {}), ((), {"TERM": "dumb"})):
        screen = Screen("journal", "verify", "long.db", *arguments, cwd=here, program=AT_ONCE, env=env)
        assert screen.end() == 0
        assert "events (" not in screen.text
        assert "\x1b[K" not in screen.text


def test_nor_among_the_lines_of_a_bundle(here: Path) -> None:
    screen = Screen("journal", "export", "short.db", "-o", "-", cwd=here, program=AT_ONCE)
    assert screen.end() == 0
    assert screen.text.count("\n") > 100
    assert "\x1b[K" not in screen.text


def _endless(connection: sqlite3.Connection, begun: threading.Event) -> None:
    try:
        connection.execute(ENDLESS)
    except sqlite3.OperationalError:  # Python heeds the signal in the next call
        assert not begun.is_set()


def test_a_signal_ends_one_long_statement(here: Path) -> None:
    begun = threading.Event()

    def kill() -> None:
        begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    with JournalFile.open(here / "long.db") as journal:
        killer = threading.Thread(target=kill)
        killer.start()
        with looking_on(Namespace(json=True), str, journal.interrupt), journal.moment() as connection:
            connection.create_function("begun", 0, lambda: begun.set() or 1)
            with pytest.raises(KeyboardInterrupt):
                _endless(connection, begun)
        killer.join()
        assert journal.head.seq == EVENTS
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_the_signal_has_interrupted_behind_it_is_no_error(number: int, code: int, here: Path) -> None:
    """Python heeds it between two rows, and what ends a transaction then meets the interruption."""
    done = treewarden("journal", "export", "long.db", "-o", "new", cwd=here, program=PRESSED.format(number=number))
    assert (done.returncode, done.stderr) == (code, SAID[code])
    assert not [each for each in here.iterdir() if each.name.startswith("new")]


def test_an_error_without_a_signal_is_one(here: Path) -> None:
    with (
        JournalFile.open(here / "long.db") as journal,
        pytest.raises(ValueError, match="odd"),
        looking_on(Namespace(json=True), str, journal.interrupt),
    ):
        raise ValueError("odd")
