"""Commits of facts, of a state or of a message alone; and facts that a journal in memory works out when read."""

from __future__ import annotations

import attrs
import pytest
from attrs import define, evolve

from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.core.event import ChildIgnored, Event
from treewarden.supervisor.journal.batch import Mark, fold
from treewarden.supervisor.journal.commit import works_of
from treewarden.supervisor.journal.large import LIMIT, Large
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, MessageRow, StateRow
from treewarden.supervisor.journal.quiet import facts, message_alone, state_alone, told_later


@define
class Three:
    """Three facts, and how often somebody has asked for them."""

    name: str
    asked: int = 0
    count: int = 3

    @property
    def facts(self) -> tuple[Event, ...]:
        self.asked += 1
        return tuple([ChildIgnored(path=Path(f"{self.name}-{n}")) for n in range(self.count)])


def names(journal_says: list[Event]) -> list[str]:
    return [str(event.path) for event in journal_says if isinstance(event, ChildIgnored)]


def test_a_quiet_commit_has_events_and_nothing_else() -> None:
    told = ((1.0, ChildIgnored(path=Path("a"))),)
    commit = facts(told)
    assert commit.events == told
    assert commit.quiet
    assert (commit.states, commit.accepted, commit.dead, commit.forget, commit.by) == ((), (), (), (), None)
    assert evolve(commit, quiet=False, events=()).events == ()
    with pytest.raises(AttributeError, match="nonsense"):
        _ = commit.nonsense  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]


STATE = StateRow(Path("desk"), "int", "3", settled=4)
MESSAGE = MessageRow(Path("desk"), 7, "a-7", "int", "1", sender=Path("till"), at=3.5)
LONG = {"body": f'"{"x" * LIMIT}"'}
LARGE = {"body": "", "large": Large(["x" * LIMIT])}
STATES = (evolve(STATE, **LONG), evolve(STATE, **LARGE))
MESSAGES = (evolve(MESSAGE, **LONG), evolve(MESSAGE, **LARGE))


@pytest.mark.parametrize(
    ("alone", "same"),
    [
        (state_alone(Path("desk"), STATE, None), Commit(by=Path("desk"), states=(STATE,))),
        (state_alone(Path("desk"), STATE, 6), Commit(by=Path("desk"), states=(STATE,), acked=(6,))),
        (message_alone(MESSAGE), Commit(accepted=(MESSAGE,))),
        *((state_alone(Path("desk"), row, 6), Commit(by=Path("desk"), states=(row,), acked=(6,))) for row in STATES),
        *((message_alone(row), Commit(accepted=(row,))) for row in MESSAGES),
    ],
    ids=[
        "a state",
        "a state and its message",
        "a message",
        "a long state",
        "a large state",
        "a long message",
        "a large message",
    ],
)
def test_what_is_alone_is_stored_as_a_commit_that_has_no_more(alone: Commit, same: Commit) -> None:
    for each in attrs.fields(Commit):
        assert getattr(alone, each.name) == getattr(same, each.name)
    more, before = Commit(accepted=(evolve(MESSAGE, row=6),)), Mark(seq=5, commits=2)
    assert fold([more, alone], before, 9) == fold([more, same], before, 9)
    assert works_of(alone) == works_of(same)
    for changed in ({"events": ((1.0, ChildIgnored(path=Path("a"))),)}, {"states": (), "accepted": ()}):
        assert evolve(alone, **changed) == evolve(same, **changed)


def test_a_message_alone_that_was_handled_before_it_came_is_left_to_a_commit_of_its_own() -> None:
    with pytest.raises(CommitFailed, match="message 7 was handled"):
        fold([state_alone(Path("desk"), STATE, 7), message_alone(MESSAGE)], Mark(), 1)


def test_what_is_told_later_is_worked_out_once() -> None:
    three = Three("a")
    commit = told_later(7.0, three)
    assert commit.quiet
    assert not three.asked
    assert [at for at, _ in commit.events] == [7.0] * 3
    assert commit.events is commit.events
    assert three.asked == 1


async def test_a_journal_in_memory_asks_for_what_is_read_and_no_more() -> None:
    one, other = Three("a"), Three("b")
    async with MemoryJournal() as journal:
        before = await journal.commit(Commit(events=((0.0, ChildIgnored(path=Path("first"))),)))
        journal.submit(told_later(1.0, one), _unheard)
        journal.submit(told_later(2.0, other), _unheard)
        assert journal.head == before + 6
        page = await journal.read(after=2, limit=1)
        assert [(record.seq, record.at) for record in page] == [(3, 1.0)]
        assert names([record.event for record in page]) == ["a-1"]
        assert (one.asked, other.asked) == (1, 0)
        everything = await journal.read()
        assert names([r.event for r in everything]) == ["first", "a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]
        assert [record.seq for record in everything] == list(range(1, 8))
        assert (one.asked, other.asked) == (1, 1)


async def test_the_oldest_of_what_nobody_has_read_are_given_up() -> None:
    async with MemoryJournal(events=4) as journal:
        for n in range(3):
            journal.submit(told_later(float(n), Three(f"{n}")), _unheard)
        records = await journal.read()
        assert names([record.event for record in records]) == ["1-2", "2-0", "2-1", "2-2"]
        assert [record.seq for record in records] == [6, 7, 8, 9]


def _unheard(_: BaseException | None) -> None:
    raise AssertionError("a quiet commit that is kept is not answered")
