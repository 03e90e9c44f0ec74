"""What is kept of asks, effects and waits, when the next owner comes: for whom, and what of it nobody asks again."""

from __future__ import annotations

import pytest

from treewarden.agents.core.path import Path
from treewarden.supervisor.journal.port import Commit, ReplyRow

from ..journals import DESK, Owner, message

CLERK = Path("clerk")
BEGUN, DONE = "{0}>desk!charge.1>begun", "{0}>desk!charge.1>done"


def reply(id: str) -> ReplyRow:
    kind = {"begun": "begun", "done": "int"}.get(id.rpartition(">")[2], "int")
    return ReplyRow(id, CLERK, kind, "5")


@pytest.mark.parametrize(
    ("root", "ids", "in_vain"),
    [
        ("{tree}-9", ["{0}>clerk:Price:1:00.1"], True),
        ("{tree}-9", ["{0}>clerk:Price:1:00.1>bank:Sum:1:00.10", "{0}>clerk:Price:1:00.10"], True),
        ("{tree}-9/4.8", ["{0}>clerk:Price:1:00.1"], True),
        ("order-17/{tree}-1-1", ["{0}>clerk:Price:1:00.1"], True),
        ("order-17/{tree}-44", ["{0}>clerk:Price:1:00.1"], True),
        ("{tree}-1.1", [BEGUN, DONE], True),
        ("{tree}-1.1", [BEGUN, "{0}>clerk:Price:1:00.1"], False),
        ("{tree}-1.1", ["{0}>clerk:Price:1:00.1>clerk!charge.1>begun"], False),
        ("other-9", ["{0}>clerk:Price:1:00.1"], False),
        ("{tree}-9/4.other-8", ["{0}>clerk:Price:1:00.1"], False),
        ("order-17/other-1-1", ["{0}>clerk:Price:1:00.1"], False),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
@pytest.mark.parametrize("waits", [False, True], ids=["gone", "waits"])
async def test_it_is_in_vain_where_its_message_has_ended(
    owner: Owner, root: str, ids: list[str], in_vain: bool, waits: bool
) -> None:
    async with owner() as journal:
        root = root.format(tree=journal.opened.tree)
        rows = tuple(reply(id.format(root)) for id in ids)
        waiting = message(3)
        if waits:
            waiting = type(waiting)(DESK, 3, root, waiting.kind, waiting.body)
        await journal.commit(Commit(accepted=(waiting,), replies=rows))
    async with owner() as journal:
        opened = journal.opened
        assert opened.kept_for == (frozenset({root}) if waits else frozenset())
        assert opened.kept_in_vain == ((f"{root}>",) if in_vain and not waits else ())
        await journal.commit(Commit(forget_replies=opened.kept_in_vain))
        left = (await journal.recover(CLERK)).replies
        assert len(left) == (0 if in_vain and not waits else len(rows))
    async with owner() as journal:
        assert journal.opened.kept_in_vain == ()
