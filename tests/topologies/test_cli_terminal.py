"""`treewarden run` on a terminal: a pseudo-terminal of 80 columns and 24 lines."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from .cli_desk import COMMAND, desk, environment

CORE: Final = f"import sys; sys.modules['rich'] = None; {COMMAND}"
CODES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
CHILDREN: Final = (
    *(f'{{ id = "s{n:02}", agent = "cli_agents:Steady" }}' for n in range(30)),
    '{ id = "flaky", agent = "cli_agents:Flaky", stable_after = 0.1 }',
)


class Screen:
    """The command on a terminal of its own, and everything that it has written there."""

    def __init__(
        self, *arguments: str, cwd: Path, program: str = COMMAND, env: Mapping[str, str] | None = None
    ) -> None:
        self.text = ""
        self._main, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=cwd,
            env=environment(env),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            process_group=0,
        )
        os.close(terminal)
        self._limit = threading.Timer(60, self.process.kill)
        self._limit.start()

    def until(self, wanted: str) -> None:
        """Read up to a text; codes between its letters do not count."""
        while wanted not in self.visible:
            assert self._read(), self.visible

    def end(self) -> int:
        while self._read():
            pass
        self._limit.cancel()
        os.close(self._main)
        return self.process.wait()

    @property
    def visible(self) -> str:
        return CODES.sub("", self.text)

    def _read(self) -> bool:
        try:
            data = os.read(self._main, 65536)
        except OSError:  # what a terminal says when nobody has it open
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)


def test_the_live_view(tmp_path: Path) -> None:
    desk(tmp_path, *CHILDREN)
    screen = Screen("run", "desk.toml", cwd=tmp_path)
    screen.until("Ctrl-C stops it in order; a second one forces")
    screen.until("outcome: restart: fixed after")
    screen.until("all up")
    assert "\x1b[?25l" in screen.text
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 0, screen.visible
    assert screen.text.endswith("why desk.db flaky\r\n")
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")
    lines = screen.visible.split("\n")
    assert any(re.fullmatch(r"desk · since .+ · journal desk\.db · 3[01] of 31 up · [01].*", line) for line in lines)
    assert any(re.fullmatch(r"and \d+ more, all up ?", line.rstrip(" ")) for line in lines)
    for label in ("signal", "context", "confidence", "decision"):
        assert any(line.startswith(f"  {label} ") for line in lines)
    assert "SIGINT: stopping in order; a second one forces" in screen.visible
    assert any(line.startswith("desk ran ") for line in lines)


def test_a_forced_end_gives_the_cursor_back(tmp_path: Path) -> None:
    desk(tmp_path, '{ id = "x", agent = "cli_agents:Shielded", shutdown = 30 }')
    screen = Screen("run", "desk.toml", cwd=tmp_path)
    screen.until("1 of 1 up")
    screen.process.send_signal(signal.SIGINT)
    screen.until("stopping in order")
    screen.process.send_signal(signal.SIGINT)
    screen.until("ending at once")
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")


def test_without_rich_it_says_how_to_get_it(tmp_path: Path) -> None:
    desk(tmp_path, *CHILDREN)
    screen = Screen("run", "desk.toml", "--for", "0.2", cwd=tmp_path, program=CORE)
    assert screen.end() == 0, screen.visible
    assert screen.visible.count("pip install 'treewarden[cli]'") == 1
    assert "slot   state" in screen.visible
    assert "\x1b[?25l" not in screen.text


@pytest.mark.parametrize(
    ("arguments", "env", "coloured"),
    [
        (("--plain",), {}, True),
        (("--plain",), {"NO_COLOR": "1"}, False),
        ((), {"TERM": "dumb"}, True),
        (("--json",), {}, False),
    ],
)
def test_nothing_is_drawn_where_lines_are_wanted(
    arguments: tuple[str, ...], env: dict[str, str], coloured: bool, tmp_path: Path
) -> None:
    desk(tmp_path, *CHILDREN)
    screen = Screen("run", "desk.toml", "--for", "0.2", *arguments, cwd=tmp_path, env=env)
    assert screen.end() == 0, screen.visible
    assert "\x1b[?25l" not in screen.text
    assert "pip install" not in screen.text
    assert bool(COLOUR.search(screen.text)) == coloured


def test_lines_fit_the_terminal(tmp_path: Path) -> None:
    desk(tmp_path, *CHILDREN)
    screen = Screen("run", "desk.toml", "--for", "0.4", "--plain", cwd=tmp_path)
    assert screen.end() == 0, screen.visible
    table_and_incidents = screen.visible.split("desk ran ")[0].split("\n")[1:]
    assert max(map(len, table_and_incidents)) <= 80
    again = Screen("journal", "show", "desk.db", cwd=tmp_path)
    assert again.end() == 0, again.visible
    assert max(map(len, again.visible.split("\n"))) <= 80


def test_the_reading_words_have_colours_too(tmp_path: Path) -> None:
    desk(tmp_path, *CHILDREN)
    Screen("run", "desk.toml", "--for", "0.3", cwd=tmp_path).end()
    painted = Screen("why", "desk.db", "/", cwd=tmp_path)
    assert painted.end() == 0
    plain = Screen("why", "desk.db", "/", cwd=tmp_path, env={"NO_COLOR": "1"})
    assert plain.end() == 0
    assert COLOUR.search(painted.text)
    assert not COLOUR.search(plain.text)
