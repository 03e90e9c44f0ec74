"""Another thread has something for a loop, which lives, has ended, or has come to an end that trio does not expect."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest
import trio
import trio.testing

from treewarden.agents.wake import call_in_loop

BROKEN: Final = """
import trio
from treewarden.agents.wake import call_in_loop

tokens = []

def explode(_):
    raise RuntimeError("no abort function raises")

async def main():
    tokens.append(trio.lowlevel.current_trio_token())
    with trio.CancelScope() as scope:
        scope.cancel()
        await trio.lowlevel.wait_task_rescheduled(explode)

try:
    trio.run(main)
except trio.TrioInternalError:
    print(call_in_loop(tokens[0], print, "called"))
"""
"""In a process of its own: what a broken loop leaves behind complains when it is collected."""


async def test_a_loop_that_lives_calls_it() -> None:
    called, token = list[int](), trio.lowlevel.current_trio_token()
    assert call_in_loop(token, called.append, 1)
    await trio.testing.wait_all_tasks_blocked()
    assert called == [1]


def test_a_loop_that_has_ended_does_not() -> None:
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        tokens.append(trio.lowlevel.current_trio_token())

    trio.run(main)
    assert not call_in_loop(tokens[0], pytest.fail)


def test_a_loop_that_was_broken_does_not_either() -> None:
    """Threads that told it something died of that, with a traceback each."""
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n"
