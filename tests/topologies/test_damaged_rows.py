"""What a disk has changed in what one agent has stored: it is held, says what is wrong, and concerns nobody else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.policies import otp
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.slot_status import SlotStatus
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .generations import FIRST, code
from .test_versions import Beside, Count, leave, stored

CLOCK = trio.testing.MockClock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


def rows(file: Path) -> list[object]:
    with closing(sqlite3.connect(file)) as connection:
        return [
            *connection.execute("SELECT * FROM states WHERE path = 'desk'"),
            *connection.execute("SELECT * FROM mailbox WHERE path = 'desk'"),
        ]


def damage(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount == 1


def status(running: Tree) -> SlotStatus:
    (found,) = [slot for slot in running.snapshot() if slot.path == "desk"]
    return found


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("UPDATE states SET body = '{\"total\":4}' WHERE path = 'desk'", "in table states, row desk: its checksum is"),
        ("UPDATE states SET settled = settled + 4 WHERE path = 'desk'", "in table states, row desk: its checksum is"),
        ("UPDATE mailbox SET body = '{\"amount\":6}', checksum = 1 WHERE body LIKE '%7%'", "in table mailbox, row "),
    ],
)
@pytest.mark.parametrize("policy", [None, otp()])
async def test_a_damaged_row_holds_its_agent_and_stays(
    sql: str, row: str, policy: object, file: Path, autojump_clock: CLOCK
) -> None:
    await stored(file)
    damage(file, sql)
    before = rows(file)
    desk = code(FIRST).Desk
    async with open_tree(tree(desk, Beside, policy=policy), journal=on_disk(file)) as running:  # pyright: ignore[reportArgumentType]
        assert await running.ref("beside").ask(Count()) == 2
        await trio.sleep(1000)
        assert status(running).state is SlotState.HELD
        note = status(running).note
        assert note.startswith("held: what desk has stored is damaged: ")
        assert f"{file}: {row}" in note
        assert "restore the file from a copy or a bundle" in note
    assert rows(file) == before


async def test_it_goes_on_from_a_checkpoint(file: Path, autojump_clock: CLOCK) -> None:
    await stored(file, messages=())
    first = code(FIRST)
    async with open_tree(tree(first.Desk), journal=on_disk(file)) as running:
        await running.checkpoint("desk", name="good")
    damage(file, "UPDATE states SET body = '{\"total\":4}' WHERE path = 'desk'")
    async with open_tree(tree(first.Desk), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert status(running).state is SlotState.HELD
        await running.roll_back("desk", to="good")
        running.resume("desk")
        assert await running.ref("desk").ask(first.Look()) == ("Tally", 5)


async def test_what_waited_is_handled_from_the_checkpoint_on(file: Path, autojump_clock: CLOCK) -> None:
    await stored(file, messages=())
    first = code(FIRST)
    async with open_tree(tree(first.Desk), journal=on_disk(file)) as running:
        await running.checkpoint("desk", name="good")
    leave(file, [7, 8])
    damage(file, "UPDATE states SET body = '{\"total\":4}' WHERE path = 'desk'")
    async with open_tree(tree(first.Desk), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        await running.ref("desk").tell(first.Add(100))
        await running.roll_back("desk", to="good")
        running.resume("desk")
        assert await running.ref("desk").ask(first.Look()) == ("Tally", 5 + 7 + 8 + 100)
        assert [row for row in rows(file) if "desk:Add" in str(row)] == []


async def test_an_operator_is_told_of_a_damaged_checkpoint(file: Path, autojump_clock: CLOCK) -> None:
    await stored(file, messages=())
    first = code(FIRST)
    async with open_tree(tree(first.Desk), journal=on_disk(file)) as running:
        kept = await running.checkpoint("desk", name="good")
        damage(file, f"UPDATE checkpoints SET body = '{{\"total\":4}}' WHERE number = {kept.number}")
        with pytest.raises(JournalDamaged, match=f"in table checkpoints, row {kept.number}: .*take another"):
            await running.roll_back("desk", to="good")
        assert await running.ref("desk").ask(first.Look()) == ("Tally", 5)
