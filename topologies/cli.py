"""The console script `treewarden`."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TextIO

from treewarden.agents.errors import EpochLost, JournalOwned, TreewardenError

from .commands.arguments import parser
from .commands.command_arguments import COMMANDS
from .commands.exits import ExitCode
from .commands.terminated import Terminated

__all__ = ["main"]

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("run", "run"),
    "check": ("check", "check"),
    "tree": ("tree", "tree"),
    "journal": ("journal", "journal"),
    "checkpoint": ("checkpoint", "checkpoint"),
    "why": ("why", "why"),
    "trace": ("trace", "trace"),
    "label": ("label", "label"),
    "policy": ("policy", "policy"),
    **dict.fromkeys(COMMANDS, ("commanding", "command")),
    "roll-back": ("going_back", "roll_back"),
    "effects": ("effects", "effects"),
    "answer": ("effects", "answer"),
    "waits": ("waits", "waits"),
    "approve": ("waits", "rule"),
    "refuse": ("waits", "rule"),
    "dead-letters": ("letters", "dead_letters"),
    "recovery": ("recovery", "recovery"),
    "chaos": ("chaos", "chaos"),
}
"""For each word the module of `commands` that does it, and its function there: imported when the word is said."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code (see `ExitCode`).

    A user's mistake is a sentence on stderr, not a traceback; an error of ours is one. A reader of stdout that has
    gone ends a reading command quietly, and stops a tree in order.
    """
    _open_standard_streams()
    try:
        try:
            arguments = parser().parse_args(argv)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else ExitCode.ORDERLY
        arguments.is_the_process = argv is None
        return int(_deed(arguments.word)(arguments))
    except BrokenPipeError:
        return ExitCode.ORDERLY
    except Terminated:  # which is one of these
        return _refused("ended by SIGTERM", ExitCode.TERMINATED)
    except KeyboardInterrupt:
        return _refused("interrupted", ExitCode.FORCED)
    except (JournalOwned, EpochLost) as error:
        return _refused(error, ExitCode.OWNED)
    except TreewardenError as error:
        return _refused(error, ExitCode.REFUSED)


def _deed(word: str) -> Callable[[Namespace], int]:
    module, name = _WORDS[word]
    return getattr(importlib.import_module(f".commands.{module}", __package__), name)


def _open_standard_streams() -> None:
    """Let a standard stream that was closed lead nowhere: the next file that is opened would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free
    sys.stdout = sys.stdout or _text(1)
    sys.stderr = sys.stderr or _text(2)


def _text(number: int) -> TextIO:
    return open(number, "w", closefd=False)  # it lasts as long as the process


def _refused(error: object, code: ExitCode) -> int:
    with suppress(OSError):  # perhaps nobody reads that either
        said = (each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in str(error))
        sys.stderr.write(f"treewarden: {''.join(said)}\n")
    return code
