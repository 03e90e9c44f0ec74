"""`kill -9` over a command of another process: the same id is never carried out twice, and always answered."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.journal.sending import Outcome, send

VICTIM: Final = Path(__file__).with_name("inbox_victim.py")
TELL: Final = Command(
    what="tell", path=Slot("counter"), fields={"kind": "Add", "data": {"amount": 10}}, by="ann", within=60.0
)
TELL_LIGHT: Final = Command(what="tell", path=Slot("light"), fields=TELL.fields, by="ann", within=60.0)
KEEP: Final = Command(
    what="checkpoint",
    path=Slot("counter"),
    fields={"name": "good", "description": "", "tags": ()},
    by="ann",
    within=60.0,
)


@contextmanager
def victim(file: Path, moment: str) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, str(VICTIM), str(file), moment]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def until_now(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    said = await trio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
    assert said == "now\n", process.stderr.read()


async def killed(file: Path, command: Command, moment: str) -> None:
    """Its sender is there until the owner has died, and takes back then what nobody has begun with."""
    with victim(file, moment) as process:
        await until_now(process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(send, file, command, "c1", within=60))
            await until_now(process)
            process.send_signal(signal.SIGKILL)
            assert await trio.to_thread.run_sync(process.wait) == -signal.SIGKILL
            nursery.cancel_scope.cancel()


async def sent_again(file: Path, command: Command) -> tuple[list[Outcome], list[Any]]:
    """What two more of the same id are answered by the next process, and what that has done."""
    with victim(file, "run") as process:
        await until_now(process)
        outcomes = [await send(file, command, "c1", within=60) for _ in range(2)]
        said, errors = await trio.to_thread.run_sync(process.communicate, "")
        assert not process.returncode, errors
        return outcomes, json.loads(said)


@pytest.mark.parametrize(
    ("command", "moment", "first", "total", "kept", "answers"),
    [
        (TELL, "answered", ("applied", True), 12, 0, [True]),
        (TELL, "done", ("applied", False), 12, 0, [True]),  # with the message: neither was there, so it is a new one
        (TELL_LIGHT, "taken", ("unknown", True), 2, 0, [False]),
        (KEEP, "taken", ("unknown", True), 2, 0, [False]),
        (KEEP, "done", ("unknown", True), 2, 1, [False]),
        (KEEP, "answered", ("applied", True), 2, 1, [True]),
    ],
)
async def test_the_same_id_again(
    command: Command,
    moment: str,
    first: tuple[str, bool],
    total: int,
    kept: int,
    answers: list[bool],
    tmp_path: Path,
) -> None:
    file = tmp_path / "tree.db"
    await killed(file, command, moment)
    (one, two), found = await sent_again(file, command)
    assert (one.state, one.duplicate) == first
    assert two == Outcome("c1", one.state, one.text, duplicate=True)
    assert found == [total, kept, answers]
