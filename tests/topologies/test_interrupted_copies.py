"""A signal comes while a journal is exported, imported or forked: what was begun is whole, or not there."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest
from attrs import define, field

from treewarden.supervisor.journal.new_file import whole_or_not
from treewarden.topologies.cli import main

from .cli_desk import COMMAND, treewarden
from .copies import DEEDS, check_whole, new_files

pytestmark = pytest.mark.usefixtures("originals_here")

SAYS: Final = {
    signal.SIGINT: (130, "treewarden: interrupted\n"),
    signal.SIGTERM: (143, "treewarden: ended by SIGTERM\n"),
}
BODIES: Final = ("_write", "read_bundle", "read", "_forked", "_copy")


@define
class AtLine:
    """Raises a signal before the line with this number is run, from 1, while a file is being made."""

    number: int
    signal: signal.Signals
    lines: int = 0
    seen: set[tuple[CodeType, int]] = field(factory=set[tuple[CodeType, int]])

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.endswith("new_file.py") and code.co_name not in BODIES:
            return None
        if event == "line" and (code, frame.f_lineno) not in self.seen:
            self.seen.add((code, frame.f_lineno))
            self.lines += 1
            if self.lines == self.number:
                sys.settrace(None)
                signal.raise_signal(self.signal)
        return self


@contextmanager
def traced(trace: AtLine) -> Generator[None]:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("number", SAYS)
def test_at_any_line(number: signal.Signals, deed: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = interrupted = 0
    while True:
        line += 1
        trace = AtLine(line, number)
        capsys.readouterr()
        with traced(trace):
            code = main(["journal", *deed.split()])
        if trace.lines < line:
            assert code == 0
            break
        assert (code, capsys.readouterr().err) == SAYS[number], line
        new = new_files()
        assert new in ([], ["new"]), (line, max(trace.seen, key=str))
        for name in new:
            check_whole(Path(name))
            os.unlink(name)
        interrupted += not new
    assert interrupted > 10
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_who_is_not_patient_leaves_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes again while what the first one has ended is removed."""
    remove = os.unlink

    def press(path: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        remove(path)

    monkeypatch.setattr(os, "unlink", press)
    with pytest.raises(KeyboardInterrupt), whole_or_not(tmp_path / "new", ".exporting"):
        signal.raise_signal(signal.SIGINT)
    assert new_files() == []


# In a process of its own

HIT: Final = """
import os, signal

def hit(event, given):
    made = event in ("open", "sqlite3.connect") and given[1:2] != (None,)
    if made and os.path.basename(str(given[0])).startswith("new."):
        os.kill(os.getpid(), {number})

sys.addaudithook(hit)
"""


def hit_while_it_writes(deed: str, number: int, before: str = "") -> tuple[int, str]:
    """The exit code, and what was said."""
    program = f"import sys{HIT.format(number=number)}{before}\n{COMMAND}"
    done = treewarden("journal", *deed.split(), cwd=Path.cwd(), program=program)
    return done.returncode, done.stderr


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("number", SAYS)
def test_a_process_says_which_signal_it_was(number: signal.Signals, deed: str) -> None:
    assert hit_while_it_writes(deed, number) == SAYS[number]
    assert new_files() == []


@pytest.mark.parametrize("deed", DEEDS)
def test_a_process_that_is_killed_leaves_another_name(deed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hit_while_it_writes(deed, signal.SIGKILL) == (-signal.SIGKILL, "")
    (left,) = new_files()
    assert left == f"new.{deed.split()[0]}ing"
    assert main(["journal", *deed.split()]) == 2
    assert f"{left} is there already: remove it if nobody makes new now" in capsys.readouterr().err
    os.unlink(left)
    assert main(["journal", *deed.split()]) == 0
    check_whole(Path("new"))


def test_a_signal_that_is_ignored_stays_so() -> None:
    ignored = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    assert hit_while_it_writes(DEEDS[0], signal.SIGTERM, ignored) == (0, "")
    check_whole(Path("new"))
