"""What was given up by going back is no past of what came after."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import RolledBack
from treewarden.supervisor.core.lineage import Past, past_at, past_of

DESK = Path("desk")


def back(to: int | None, number: int | None = None) -> RolledBack:
    return RolledBack(path=DESK, to=to, checkpoint=number)


def test_without_going_back_everything_is_its_past_the_newest_first() -> None:
    assert past_of([(1, 5), (2, 5), (4, 9)], []) == [4, 2, 1]
    assert past_of([(1, 5), (2, 5), (4, 9)], [], at=8) == [2, 1]


def test_what_was_kept_between_is_given_up_unless_somebody_goes_back_to_it() -> None:
    kept, first = [(1, 5), (2, 6), (3, 7), (4, 12)], (10, back(5, 1))
    assert past_of(kept, [first]) == [4, 1]
    assert past_of(kept, [first], at=9) == [3, 2, 1]
    assert past_of(kept, [first], at=10) == [1]
    assert past_of(kept, [first, (14, back(6, 2))]) == [2, 1]


def test_of_two_that_stand_at_one_event_the_one_after_it_is_given_up() -> None:
    assert past_of([(1, 5), (2, 5)], [(10, back(5, 1))]) == [1]


def test_what_leads_to_one_that_was_pruned_counts() -> None:
    assert past_of([(1, 5), (3, 7)], [(10, back(6, 2))]) == [1]


def test_nothing_leads_to_what_the_class_declares() -> None:
    assert past_of([(1, 5), (3, 12)], [(10, back(None))]) == [3]


def test_what_led_to_one_that_was_given_up_and_gone_back_to_is_known_when_both_are_gone() -> None:
    kept = [(1, 1), (2, 2), (3, 3)]
    went_back = [(4, back(1, 1)), (5, back(3, 3))]
    cut = past_at([(1, 1), (2, 2), (4, 6)], went_back, 4)
    assert (cut.newest, cut.last) == (1, (4, 1))
    assert cut.leads == {1: None, 2: 1, 3: 2}
    assert past_of(kept[:2], went_back[1:], pruned=cut) == past_of(kept[:2], went_back) == [2, 1]


_STEPS = st.tuples(
    st.sampled_from(["settle", "settle", "keep", "prune", "prune", "cut", "cut", "back", "back", "back", "declared"]),
    st.integers(0, 9),
)


@given(st.lists(_STEPS, min_size=8, max_size=30))
@settings(max_examples=400)
def test_it_is_what_was_there_at_each_time(steps: list[tuple[str, int]]) -> None:
    """Each step settles and keeps, keeps what is there once more, goes back to one of those that are kept or to what
    the class declares, lets go of one of them, or gives up old events."""
    kept: list[tuple[int, int]] = []
    went_back: list[tuple[int, RolledBack]] = []
    backs: list[tuple[int, int | None]] = []
    now: list[tuple[int, float]] = []
    pasts: dict[int, list[tuple[int, float]]] = {}
    """The states that led to what was there at each time, newest first, and up to which checkpoint they count."""
    pruned: Past | None = None
    for seq, (step, which) in enumerate(steps, 1):
        cut = 0 if pruned is None else pruned.through
        if step == "settle":
            now = [(seq, math.inf), *now]
            kept.append((seq * 10, seq))
        elif step == "keep" and now:
            kept.append((seq * 10, now[0][0]))
        elif step == "prune" and kept:
            del kept[which % len(kept)]
        elif step == "cut" and seq - 1 > cut:
            through = seq - 1 - which % (seq - 1 - cut)
            pruned = past_at(kept, went_back, through, pruned)
            assert (pruned.through, pruned.last) == (
                through,
                max((each for each in backs if each[0] <= through), default=None),
            )
            went_back = [each for each in went_back if each[0] > through]
        elif step == "back" and kept:
            number, to = kept[-1 - which % len(kept)]
            went_back.append((seq, back(to, number)))
            backs.append((seq, number))
            now = [(seq, math.inf), (to, number), *pasts[to][1:]]
        elif step == "declared":
            went_back.append((seq, back(None)))
            backs.append((seq, None))
            now = [(seq, math.inf)]
        pasts[seq] = now
    for seq, past in pasts.items():
        if pruned is None or seq > pruned.through:
            there = [number for state, last in past for number, of in reversed(kept) if of == state and number <= last]
            assert past_of(kept, went_back, seq, pruned) == there
