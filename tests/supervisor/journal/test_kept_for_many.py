"""What is kept for many messages is sorted out in as few statements as what is kept for few, whatever becomes of it."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing

import pytest

from treewarden.agents.core.path import Path
from treewarden.supervisor.journal.kept_for import in_doubt, kept_for, sorted_out
from treewarden.supervisor.journal.port import Commit, MessageRow, ReplyRow

from ...journals import DESK, on_disk

CLERK = Path("clerk")


async def filled(file: pathlib.Path, many: int, waits: str) -> str:
    """A journal with four replies each for so many messages; returns its id."""
    async with on_disk(file) as journal:
        tree = journal.opened.tree
        roots = [f"{tree}-{number}" for number in range(many)]
        rows = [
            ReplyRow(f"{root}>{end}", CLERK, kind, "5")
            for root in roots
            for end, kind in (
                ("clerk:Price:1:00.1", "int"),
                ("clerk:Price:1:00.2", "int"),
                ("desk!charge.1>begun", "begun"),
                ("desk!charge.1>done", "int"),
            )
        ]
        accepted = [MessageRow(DESK, row, root, "desk:Add", "1") for row, root in enumerate(roots, 1)]
        await journal.commit(Commit(accepted=tuple(accepted if waits == "wait" else ()), replies=tuple(rows)))
    return tree


@pytest.mark.parametrize("waits", ["wait", "gone"])
async def test_the_statements_do_not_grow_with_what_is_kept(tmp_path: pathlib.Path, waits: str) -> None:
    counts = list[int]()
    for many in (3, 60):
        file = tmp_path / f"{many}.db"
        tree = await filled(file, many, waits)
        with closing(sqlite3.connect(file)) as connection:
            said = list[str]()
            connection.set_trace_callback(said.append)
            asking, in_vain = kept_for(connection, tree)
        assert (len(asking), len(in_vain)) == ((many, 0) if waits == "wait" else (0, many))
        counts.append(len(said))
    assert counts[0] == counts[1] <= 4


async def test_only_those_stay_of_which_something_is_damaged(tmp_path: pathlib.Path) -> None:
    tree = await filled(tmp_path / "tree.db", 6, "gone")
    with closing(sqlite3.connect(tmp_path / "tree.db")) as connection:
        no_text = "CAST(x'ff' AS TEXT)"
        for change, root in (("body = '6'", 1), (f"path = {no_text}", 3), (f"id = id || {no_text}", 4)):
            connection.execute(f"UPDATE replies SET {change} WHERE id = ?", (f"{tree}-{root}>clerk:Price:1:00.2",))
        _, in_vain = kept_for(connection, tree)
    assert sorted(in_vain) == [f"{tree}-{root}>" for root in (0, 2, 5)]


async def test_both_journals_mean_the_same_by_an_effect_in_doubt(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    tree = await filled(file, 1, "gone")
    kept = [
        (f"{tree}-{root}{end}", kind)
        for root, ends in enumerate([
            [(">desk!charge.1>begun", "begun")],
            [(">desk!charge.1>begun", "begun"), (">desk!charge.2>done", "int")],
            [(">desk!charge.1>begun", "begun"), (">desk!charge.1>done", "int")],
            [(">desk!sleep.1>begun", "wait")],
            [(">clerk:Price:1:00.1", "begun")],
            [("", "int")],
            [(">clerk:Price:1:00.1>clerk!charge.1>begun", "begun"), (">clerk!charge.1>done", "int")],
        ])
        for end, kind in ends
    ]  # fmt: skip
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM replies")
        connection.executemany("INSERT INTO replies VALUES (?, 'clerk', ?, 1, '5', 1, NULL)", kept)
        found = kept_for(connection, tree)
    asking, in_vain = sorted_out(in_doubt(kept), lambda _: (), tree)
    assert (found[0], sorted(found[1])) == (asking, sorted(in_vain))
    assert in_vain == tuple(f"{tree}-{root}>" for root in (2, 3, 4, 5))
