"""The tree as rows, and which of them are shown where not all have room."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.supervisor.ops.status_rows import Kept, file_counts, file_table, fit, live_table
from treewarden.supervisor.ops.wording import Paint
from treewarden.supervisor.views.tree_status import SlotView

from .samples import Slot, slot

SLOTS = (
    slot("desk", supervisor=True),
    slot("desk/writer", restarts=2, note="throttled for 12 s"),
    slot("desk/outbox", SlotState.DOWN),
    slot("intake", SlotState.RESTARTING, mailbox=3),
    slot("archive"),
)


def test_a_tree_that_has_room_is_shown_as_one() -> None:
    assert live_table(SLOTS, 10) == [
        "slot      state       life  restarts  mailbox  handled",
        "desk      up",
        "  writer  up             3         2        0        7  throttled for 12 s",
        "  outbox  down           1         0        0        7",
        "intake    restarting     1         0        3        7",
        "archive   up             1         0        0        7",
    ]


def test_what_waits_in_a_queue_that_workers_share_stands_beside_their_pool() -> None:
    shared = slot("desk", supervisor=True, mailbox=12)
    assert live_table([shared], 5)[1].split() == ["desk", "up", "12"]
    view = SlotView(path=Path("desk"), supervisor=True, state=SlotState.UP, dead=2)
    heading, line = file_table([(0, view, Kept(mailbox=12))], 100.0, owned=True)
    assert line.split() == ["desk", "up", "12", "2"]
    assert line.index("12") + 2 == heading.index("mailbox") + 7


def test_where_there_is_no_room_the_worst_come_first() -> None:
    assert live_table(SLOTS, 4) == [
        "slot         state       life  restarts  mailbox  handled",
        "intake       restarting     1         0        3        7",
        "desk/outbox  down           1         0        0        7",
        "desk/writer  up             3         2        0        7  throttled for 12 s",
        "and 2 more, all up",
    ]


def test_what_is_not_shown_is_counted() -> None:
    assert fit(SLOTS, 1).rest == "5 slots: 3 up, 1 restarting, 1 down"
    assert fit(SLOTS, 2).rest == "and 4 more: 3 up, 1 down"


def test_a_life_that_does_not_end_is_told() -> None:
    (_, line) = live_table([slot("desk", zombie=True, note="held")], 5)
    assert line.endswith("an earlier life does not end; held")


def test_what_is_parked_and_what_is_kept_stand_beside_the_mailbox() -> None:
    waiting = [
        slot("desk", parked=1200, events=1, note="held: who pays?"),
        slot("intake", parked=1),
        slot("tills", events=2),
    ]
    _, *lines = live_table(waiting, 5)
    assert [line.split("7  ")[1] for line in lines] == [
        "1,200 parked; 1 event kept; held: who pays?",
        "1 parked",
        "2 events kept",
    ]


def test_colours_follow_the_state() -> None:
    lines = live_table(SLOTS, 10, paint=Paint(True))
    assert [line.startswith("\x1b") for line in lines] == [True, False, True, True, True, False]


_statuses = st.lists(
    st.builds(slot, st.sampled_from(("a", "b/c", "d")), st.sampled_from(list(SlotState)), restarts=st.integers(0, 3)),
    max_size=12,
)


@given(_statuses, st.integers(1, 12))
def test_every_slot_is_shown_or_counted(slots: list[Slot], room: int) -> None:
    fitted = fit(slots, room)
    assert len(fitted.rows) + bool(fitted.rest) <= room
    hidden = [*slots]
    for each in fitted.rows:
        hidden.remove(each)  # type: ignore[arg-type]
    assert bool(hidden) == bool(fitted.rest) == (not fitted.whole)
    if hidden and fitted.rows:
        up = [each for each in fitted.rows if each.state is SlotState.UP]
        assert not up or all(each.state is SlotState.UP for each in hidden)


WRITER = SlotView(
    path=Path("desk/writer"),
    state=SlotState.RESTARTING,
    lives=3,
    restarts=2,
    dead=1,
    note="restart",
    until=110.0,
    failure="ValueError: unlucky",
    failed_at=88.0,
    incident="1.4",
    trouble="crash",
)
ROWS = [(0, SlotView(path=Path("desk"), supervisor=True, state=SlotState.UP), Kept()), (1, WRITER, Kept(settled=41))]


def test_a_file_of_a_live_tree() -> None:
    assert file_table(ROWS, 100.0, owned=True) == [
        "slot      state       lives  restarts  settled  mailbox  dead  next due",
        "desk      up",
        "  writer  restarting      3         2       41        0     1            "
        "restart for 10 s more; in incident 1.4 (crash); 12 s ago: ValueError: unlucky",
    ]


def test_a_file_of_a_dead_one_has_nobody_alive_in_it() -> None:
    lines = file_table(ROWS, 100.0, owned=False)
    assert lines[1].split() == ["desk", "was", "up"]
    assert "was restarting" in lines[2]
    assert "more" not in lines[2]


def test_what_the_question_says_already_is_not_said_again() -> None:
    text = "its state: no class at hand is stored as desk:Tally (version 1); known are desk:Other."
    held = evolve(
        WRITER,
        state=SlotState.HELD,
        note=f"held: desk/writer has stored what this code cannot read: {text} Start it?",
        until=None,
        failure=f"UnknownKind: {text} (recovery.py:318 in _reading)",
    )
    (_, line) = file_table([(0, held, Kept())], 100.0, owned=True)
    assert line.count("no class at hand") == 1
    assert line.endswith("Start it?; in incident 1.4 (crash); 12 s ago: UnknownKind")


def test_slots_are_counted_by_what_is_shown_of_them() -> None:
    slots = [SlotView(path=Path("/"), supervisor=True, state=SlotState.UP), *(slot for _, slot, _ in ROWS)]
    slots += [SlotView(path=Path(f"desk/{n}"), state=SlotState.UP) for n in range(3)]
    assert file_counts(slots, owned=True) == "5 slots: 4 up, 1 restarting"
    assert file_counts(slots, owned=False) == "5 slots: 4 was up, 1 was restarting"
    assert file_counts(slots[1:2], owned=True) == "1 slot: 1 up"
