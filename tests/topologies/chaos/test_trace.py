"""What is noted of a run: each thing that a commit writes is a record."""

from __future__ import annotations

from treewarden.supervisor.journal.commit import Commit
from treewarden.topologies.chaos.trace import records_of


def test_each_row_and_each_number_is_a_record() -> None:
    assert records_of(Commit(acked=(3, 4), forget_replies=("a>",), last_row=7)) == [
        "acked 3", "acked 4", "last_row 7", "forget_replies a>",
    ]  # fmt: skip
