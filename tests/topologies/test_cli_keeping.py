"""`treewarden journal fork`, `blobs` and `compact`: what they do and print."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from treewarden.agents.agent import Agent
from treewarden.supervisor.journal.port import Commit, Journal
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main
from treewarden.topologies.commands.asking import done_by_owner
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import checkpoint, fact, message, on_disk, settle, state


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A journal of three events, with a message that waits and two large values, of which nobody holds one."""

    async def write() -> None:
        async with on_disk(tmp_path / "tree.db") as journal:
            for number in range(1, 4):
                kept = (checkpoint(1),) if number == 1 else ()
                await journal.commit(evolve(settle(number, events=[fact(number)]), checkpoints=kept))
            for letter in "ab":
                body = json.dumps(letter * 70_000)
                await journal.commit(Commit(states=(evolve(state(4), body=body),), events=((4.0, fact(4)),)))
            await journal.commit(Commit(accepted=(message(50),)))

    trio.run(write)
    return str(tmp_path / "tree.db")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["journal", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def parsed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads("\n".join(printed(capsys, *arguments, "--json")))


def test_a_fork_says_what_it_has_and_what_not(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    new = file.replace("tree.db", "new.db")
    assert printed(capsys, "fork", file, new, "--at", "2") == [
        f"{new} is a fork of {file} at event 2",
        "  1 state, 0 messages waiting",
        "  desk has its state of event 1, the newest that was kept",
        "  1 message that wait now were left behind",
    ]
    assert printed(capsys, "verify", new)[0].startswith(f"{new} is sound: 3 events")
    whole = parsed(capsys, "fork", file, file.replace("tree.db", "whole.db"))
    assert (whole["seq"], whole["messages"], whole["left"]) == (5, 1, 0)
    assert whole["states"] == [{"path": "desk", "seq": 5, "exact": True}]
    assert main(["journal", "fork", file, new]) == 2
    assert "is there already: name a new file" in capsys.readouterr().err
    assert main(["journal", "fork", file, file + "2", "--at", "9"]) == 2
    assert "has no event 9: its last one is 5" in capsys.readouterr().err


def test_large_values_are_counted_and_deleted(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    counted = ["2 large values, 140004 B of JSON", "  1 of them, 70002 B, nobody holds any more"]
    assert printed(capsys, "blobs", file) == counted
    assert printed(capsys, "blobs", file, "gc", "--dry-run") == counted
    assert printed(capsys, "blobs", file, "gc") == [
        "1 large value, 70002 B of JSON",
        "  1 that nobody held were deleted",
    ]
    left = parsed(capsys, "blobs", file)
    assert (left["count"], left["unused"], left["deleted"]) == (1, 0, 0)
    assert main(["journal", "blobs", file, "--dry-run"]) == 2


@pytest.mark.parametrize("made_by", ["a tree", "fork", "import"])
def test_room_is_given_back(made_by: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = file
    if made_by != "a tree":
        made = file.replace("tree.db", "made.db")
        assert main(["journal", "export", file, "-o", f"{file}.jsonl"]) == 0
        assert main(["journal", made_by, file if made_by == "fork" else f"{file}.jsonl", made]) == 0
    capsys.readouterr()

    async def settles() -> None:
        async with on_disk(Path(made)) as journal:
            await journal.commit(Commit(states=(state(5),)))

    trio.run(settles)  # and holds none of the large values any more
    told = parsed(capsys, "compact", made)
    assert told["after"] < told["before"] - 60_000
    assert main(["journal", "compact", file + "2"]) == 2


class Desk(Agent[int]):
    state = 0


async def test_a_running_tree_does_it_itself(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_tree(tree(Desk), journal=file) as running:
        assert await trio.to_thread.run_sync(main, ["journal", "blobs", file, "gc"]) == 0
        assert "1 that nobody held were deleted" in capsys.readouterr().out
        assert await trio.to_thread.run_sync(main, ["journal", "compact", file]) == 0
        assert "B before" in capsys.readouterr().out
        assert await trio.to_thread.run_sync(main, ["journal", "prune", file, "--keep-events", "2"]) == 0
        assert "events 1 to" in capsys.readouterr().out
        async with running.events() as records:
            async for record in records:
                assert record.seq > 3
                break
    assert main(["journal", "verify", file]) == 0


async def test_it_is_done_when_another_command_has_closed_the_file(file: str) -> None:
    """That one answers nobody, and is gone in a moment."""
    code: list[int] = []

    async def compact() -> None:
        code.append(await trio.to_thread.run_sync(main, ["journal", "compact", file, "--within", "1000"]))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, on_disk(Path(file)) as journal:
            nursery.start_soon(compact)
            (command,) = await journal.commands()
    assert code == [0]
    with JournalFile.open(file) as reading:
        assert reading.answer(command.id) is None


def test_ctrl_c_that_is_pressed_again_is_one(file: str) -> None:
    """While it is waited for what the first one has cancelled, it comes in a group."""

    async def press_again() -> None:
        token = trio.lowlevel.current_trio_token()
        token.run_sync_soon(signal.raise_signal, signal.SIGINT)
        token.run_sync_soon(token.run_sync_soon, signal.raise_signal, signal.SIGINT)

    async def press(_: Journal) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(press_again)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(done_by_owner, file, press, "compact", 5.0, dict[str, object]())
    with JournalFile.open(file) as journal:
        assert "closed in order" in journal.describe_holder()
