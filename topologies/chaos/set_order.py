"""The order of a set of texts, which each process draws for itself: said for a whole process, or noticed beside it.

Python draws the hashes of texts when it starts and tells nobody which, unless `PYTHONHASHSEED` is a number
(https://docs.python.org/3/using/cmdline.html#envvar-PYTHONHASHSEED). No run can see that of itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

__all__ = ["begin_again", "in_orders", "set_order", "with_order"]

_NAME: Final = "PYTHONHASHSEED"
_PLAIN: Final = "0"
_TRIED: Final = ("0", "1", "2")
_WITHIN: Final = 120.0


def set_order(environment: Mapping[str, str] = os.environ) -> str:
    """Which order this process has, as text: a number, or nothing for one that nobody can have again."""
    given = environment.get(_NAME, "")
    return given if given.isascii() and given.isdigit() and not sys.flags.ignore_environment else ""


def with_order(order: str, command: str) -> str:
    """A command line that has it."""
    return f"{_NAME}={order} {command}" if order else command


def begin_again(order: str, execute: Callable[[str, list[str], dict[str, str]], object] = os.execve) -> None:
    """Go on as a process with this order (or one that can be had again, if `order` is none), from its beginning.

    Does nothing if this one has it. Does not return otherwise: the same command begins anew, as the same process.
    """
    wanted = order or set_order() or _PLAIN
    if wanted != set_order() and not sys.flags.ignore_environment:
        execute(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _NAME: wanted})


def in_orders(command: Sequence[str], folder: str) -> dict[str, tuple[int, str]] | None:
    """Run `command` in processes of several orders, at the same time: the exit code of each, and what it has printed.
    None if they could not be started or did not end. Blocks, for 2 min at most."""
    started: dict[str, subprocess.Popen[str]] = {}
    said: dict[str, tuple[int, str]] = {}
    try:
        for order in _TRIED:
            environment = {**os.environ, _NAME: order, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            started[order] = subprocess.Popen(
                command, cwd=folder, env=environment, text=True, encoding="utf-8", errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        for order, process in started.items():
            text, _ = process.communicate(timeout=_WITHIN)
            said[order] = process.returncode, text
    except (OSError, subprocess.TimeoutExpired):
        return None
    finally:
        for process in started.values():
            process.kill()
            process.communicate()
    return said
