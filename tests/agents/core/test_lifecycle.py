from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.lifecycle import SlotEvent, SlotState, advance

S, E = SlotState, SlotEvent

TABLE = {
    # from: what may happen there, and where it leads
    S.DOWN: {E.START: S.STARTING, E.DELAY: S.RESTARTING, E.HOLD: S.HELD, E.STOP: S.DOWN},
    S.STARTING: {E.STARTED: S.UP, E.START_FAILED: S.DOWN, E.IGNORED: S.DOWN, E.EXITED: S.DOWN},
    S.UP: {E.STOP: S.STOPPING, E.EXITED: S.DOWN},
    S.STOPPING: {E.EXITED: S.DOWN},
    S.RESTARTING: {
        E.START: S.STARTING,
        E.STOP: S.DOWN,
        E.DELAY: S.RESTARTING,
        E.HOLD: S.HELD,
        E.ABANDON: S.DOWN,
    },
    S.HELD: {E.START: S.STARTING, E.STOP: S.DOWN, E.HOLD: S.HELD, E.DELAY: S.RESTARTING},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SlotState, SlotEvent)))
def test_every_state_and_every_event(state: SlotState, event: SlotEvent) -> None:
    if event in TABLE[state]:
        assert advance(state, event) is TABLE[state][event]
    else:
        with pytest.raises(ValueError, match=f"a slot that is {state.value} cannot see '{event.value}'"):
            advance(state, event)


@given(st.lists(st.sampled_from(SlotEvent)))
def test_nobody_lives_where_nobody_was_started(events: list[SlotEvent]) -> None:
    state, started = S.DOWN, 0
    for event in events:
        try:
            state = advance(state, event)
        except ValueError:
            continue
        started += event is E.START
        if state in (S.STARTING, S.UP, S.STOPPING):
            assert started
