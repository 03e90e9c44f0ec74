"""What every journal promises of a message that is given up as it is stored."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.journal.large import Large
from treewarden.supervisor.journal.port import Commit, DeadRow, MessageRow

from ..journals import DESK, Owner, dead, message

LONG: Any = [[number, "x" * 9] for number in range(9_000)]


def given_up(row: MessageRow) -> tuple[DeadRow, DeadRow]:
    """As it is to be written, and as it is to be read."""
    letter = evolve(dead(row.row), id=row.id, kind=row.kind, version=row.version, body=row.body)
    return evolve(letter, kind="desk:Any", version=0, body="", as_stored=True), letter


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("together", [False, True])
async def test_it_has_the_body_of_its_row_among_others_that_bring_theirs(
    owner: Owner, together: bool, long: bool
) -> None:
    rows = [evolve(message(number), version=number) for number in (1, 2, 3)]
    if long:
        large = Large(LONG)
        rows[1] = evolve(rows[1], body=large.text())
    first, second, third = (given_up(row) for row in rows)
    told = Commit(accepted=tuple(rows))
    end = Commit(dead=(first[1], second[0], third[1]))
    async with owner() as journal:
        if together:
            await journal.commit(evolve(told, dead=end.dead))
        else:
            await journal.commit(told)
            await journal.commit(end)
        assert (await journal.recover(DESK)).messages == ()
    async with owner() as journal:
        assert await journal.dead_letters() == [third[1], second[1], first[1]]
        assert await journal.dead_letter(rows[1].id) == second[1]


async def test_one_that_waits_no_more_fails_its_commit(owner: Owner) -> None:
    rows = [message(1), message(2)]
    async with owner() as journal:
        await journal.commit(Commit(accepted=tuple(rows)))
        await journal.commit(Commit(acked=(1,)))
        with pytest.raises(CommitFailed, match="does not wait any more"):
            await journal.commit(Commit(dead=tuple(given_up(row)[0] for row in rows)))
        assert await journal.dead_letters() == []
        assert (await journal.recover(DESK)).messages == (rows[1],)
