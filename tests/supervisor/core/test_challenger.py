"""What labels teach, and the gate before it: under the null it opens with probability 1/20 at most."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import action_name
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.challenger import ALPHA, Challenger, gain, teach, teach_all
from treewarden.supervisor.core.confidence import PRIOR, Belief, Cause
from treewarden.supervisor.core.decision import decide, to_event
from treewarden.supervisor.core.event import IncidentLabelled, Tried
from treewarden.supervisor.core.explain import explain
from treewarden.supervisor.core.learned import lesson_of
from treewarden.supervisor.core.likelihoods import CAUSES, SHIPPED
from treewarden.supervisor.core.symptom import Symptom
from treewarden.supervisor.core.wager import Wager

from .cases import case, exited

PLACES = range(len(CAUSES))
NATURES = ("crash", "code_error", "bad_state", "connection", "timeout", "out_of_memory", "stalled")


def label(
    number: int,
    cause: str = "leak",
    *symptoms: str,
    tried: tuple[Tried, ...] = (),
    rehearsed: bool = False,
) -> IncidentLabelled:
    seen = (symptoms or ("connection",),)
    return IncidentLabelled(
        path=Path("desk"),
        incident=f"1.{number}",
        cause=cause,
        by="ada",
        symptoms=seen,
        tried=tried,
        rehearsed=rehearsed,
    )


HELD = (Tried("restart", "crash", fixed=False), Tried("roll_back", "crash", fixed=True))
labels = st.builds(
    label,
    st.integers(1, 8),
    st.sampled_from([*map(str, Cause), "of a newer version"]),
    st.sampled_from(NATURES),
    tried=st.sampled_from([(), HELD]),
    rehearsed=st.booleans(),
)


def surprise(number: int, *, rehearsed: bool = False) -> IncidentLabelled:
    """Here leaks show as lost connections, and only a rollback helps."""
    return label(number, "leak", "connection", tried=HELD, rehearsed=rehearsed)


# -- the wager


def test_a_gain_is_a_share() -> None:
    assert Wager().value == 1.0
    assert Wager().after(0.0).value == 1.0
    assert Wager().after(1.0).value == pytest.approx(0.2 + 0.8 * 1.31)
    for gained in (1.01, -2.0, float("nan")):
        with pytest.raises(ValueError, match="it must be from -1 to 1"):
            Wager().after(gained)


@given(st.floats(0.0, 1.0), st.lists(st.floats(-1, 1), max_size=20))
def test_a_fair_gain_wins_nothing_on_average(high: float, before: list[float]) -> None:
    """The martingale property, exactly: the two sides of a fair bet have the capital that there was as their mean."""
    wager = Wager()
    for gained in before:
        wager = wager.after(gained)
    assert (wager.after(high).value + wager.after(-high).value) / 2 == pytest.approx(wager.value)


FAIR: dict[str, Callable[[random.Random], float]] = {
    "coin": lambda rng: rng.choice((-1.0, 1.0)),
    "small": lambda rng: rng.gauss(0.0, 0.1),
    "rarely much": lambda rng: 0.9 if rng.random() < 0.1 else -0.1,
    "rarely lost": lambda rng: 0.1 if rng.random() < 0.9 else -0.9,
    "losing": lambda rng: rng.uniform(-0.3, 0.2),
}


@pytest.mark.parametrize("draw", FAIR.values(), ids=FAIR)
def test_where_nothing_is_to_be_gained_it_seldom_grows(draw: Callable[[random.Random], float]) -> None:
    """Looked at after each of 300 gains, it has reached 20 in one of 20 runs at most; with 400 runs, 5 % and noise."""
    grown = 0
    for seed in range(400):
        rng, wager = random.Random(seed), Wager()
        for _ in range(300):
            wager = wager.after(max(-1.0, min(1.0, draw(rng))))
            if wager.value >= 1 / ALPHA:
                grown += 1
                break
    assert grown <= 400 * ALPHA + 2 * (400 * ALPHA) ** 0.5


def test_a_real_difference_is_found() -> None:
    rng, wager = random.Random(1), Wager()
    for _ in range(200):
        wager = wager.after(rng.uniform(-0.3, 0.5))
    assert wager.value > 1 / ALPHA


@pytest.mark.parametrize("lost", [0, 100, 1000])
def test_what_turns_is_found_however_long_it_was_lost(lost: int) -> None:
    rng, wager, found = random.Random(2), Wager(), 0
    for _ in range(lost):
        wager = wager.after(rng.uniform(-0.5, 0.1))
    while wager.value < 1 / ALPHA:
        wager, found = wager.after(rng.uniform(-0.1, 0.5)), found + 1
    assert found < 200


# -- what is learned


def test_without_labels_it_is_what_was_shipped() -> None:
    assert Challenger().counts.likelihoods is SHIPPED
    assert Challenger().likelihoods is SHIPPED


def test_labels_move_the_numbers_towards_what_was_seen() -> None:
    taught = teach_all(Challenger(), [surprise(n) for n in range(40)]).counts.likelihoods
    leak = CAUSES.index(Cause.LEAK)
    assert taught.shows[Symptom.CONNECTION][leak] == pytest.approx((10 * 0.03 + 40) / 50)
    assert taught.fixes["roll_back"][leak] == pytest.approx((8 * 0.85 + 40) / 48)
    assert taught.fixes["restart"][leak] == pytest.approx(8 * 0.90 / 48)
    assert taught.fixes["restart"][0] == SHIPPED.fixes["restart"][0]
    by_labels = Belief(taught.common, taught).seeing(Symptom.CONNECTION)
    assert next(iter(by_labels.causes)) is Cause.LEAK
    assert next(iter(PRIOR.seeing(Symptom.CONNECTION).causes)) is not Cause.LEAK


def test_a_chaos_run_says_nothing_about_how_common_a_cause_is() -> None:
    rehearsed = teach_all(Challenger(), [surprise(n, rehearsed=True) for n in range(40)])
    total = sum(SHIPPED.common)
    assert rehearsed.counts.likelihoods.common == pytest.approx([each / total for each in SHIPPED.common])
    assert rehearsed.counts.likelihoods.shows[Symptom.CONNECTION] == pytest.approx(
        teach_all(Challenger(), [surprise(n) for n in range(40)]).counts.likelihoods.shows[Symptom.CONNECTION]
    )
    assert (rehearsed.scored, rehearsed.wager, rehearsed.decides) == (0, Wager(), False)


@given(st.lists(labels, max_size=12))
def test_learned_numbers_are_probabilities(events: list[IncidentLabelled]) -> None:
    taught = teach_all(Challenger(), events).counts.likelihoods
    tables = (taught.shows, taught.comes_with, taught.measured, taught.fixes, taught.starts)
    for table in tables:
        assert all(0.0 < p <= 1.0 for row in table.values() for p in row)
    for events_seen in events:
        lesson = lesson_of(events_seen)
        if lesson is not None:
            assert -1.0 <= gain(taught, SHIPPED, lesson) <= 1.0


@given(st.lists(labels, max_size=12))
def test_the_last_label_counts_as_if_it_had_stood_there_from_the_beginning(events: list[IncidentLabelled]) -> None:
    known = [each for each in events if each.cause in set(Cause)]
    last = {each.incident: each for each in known}
    assert teach_all(Challenger(), events) == teach_all(Challenger(), last.values())


@given(st.lists(labels, max_size=12), st.integers(0, 12))
def test_folding_in_two_parts_is_folding_at_once(events: list[IncidentLabelled], cut: int) -> None:
    assert teach_all(teach_all(Challenger(), events[:cut]), events[cut:]) == teach_all(Challenger(), events)


# -- the gate


def test_the_gate_opens_for_what_predicts_better_and_closes_again() -> None:
    challenger, opened = Challenger(), 0
    for number in range(200):
        challenger = teach(challenger, surprise(number))
        if challenger.decides:
            opened = number
            break
    assert 3 < opened < 100
    assert challenger.likelihoods is challenger.counts.likelihoods
    assert (challenger.switched, challenger.wager) == (1, Wager())
    for number in range(1000, 2000):  # the world is as it was shipped after all
        challenger = teach(challenger, usual(random.Random(number), number))
        if not challenger.decides:
            break
    assert (challenger.decides, challenger.switched, challenger.likelihoods is SHIPPED) == (False, 2, True)


def usual(rng: random.Random, number: int) -> IncidentLabelled:
    """An incident of a world that is as the shipped numbers say."""
    place = rng.choices(PLACES, SHIPPED.common)[0]
    natures = [symptom for symptom in SHIPPED.shows if symptom in NATURES]
    nature = rng.choices(natures, [SHIPPED.shows[each][place] for each in natures])[0]
    with_it = [each for each, row in SHIPPED.comes_with.items() if rng.random() < row[place]]
    tried = tuple(
        Tried(action, "stalled", rng.random() < SHIPPED.fixes[action][place]) for action in ("restart", "roll_back")
    )
    return label(number, CAUSES[place], nature, *with_it, tried=tried)


def test_where_the_shipped_numbers_are_right_the_gate_seldom_opens() -> None:
    """In 60 worlds that are as shipped, with 60 labels each: what is learned from so few can only be worse."""
    opened = 0
    for seed in range(60):
        rng = random.Random(seed)
        challenger = Challenger()
        for number in range(60):
            challenger = teach(challenger, usual(rng, number))
            if challenger.decides:
                opened += 1
                break
    assert opened <= 60 * ALPHA


# -- in a decision


def taught(count: int) -> Challenger:
    return teach_all(Challenger(), [surprise(number) for number in range(count)])


def told(challenger: Challenger) -> tuple[Case, str]:
    given_ = evolve(case(exited(), exited()), challenger=challenger)
    return given_, explain(to_event(decide(belief(), given_)))


def test_a_silent_challenger_changes_nothing_and_is_told_of() -> None:
    plain, text = told(Challenger())
    assert "challenger" not in text
    silent, text = told(evolve(taught(5), decides=False))
    assert silent.belief == plain.belief
    assert "what 5 labels taught is silent, and e is " in text
    assert to_event(decide(belief(), silent)).challenger["decides"] is False


def test_what_the_other_numbers_would_do_is_told_whichever_decide() -> None:
    known = taught(60)
    silent, loud = (evolve(case(exited(), exited()), challenger=evolve(known, decides=on)) for on in (False, True))
    for mine, other in ((silent, loud), (loud, silent)):
        said, theirs = to_event(decide(belief(), mine)).challenger, decide(belief(), other)
        cause, p = next(iter(other.belief.causes.items()))
        assert (said["action"], said["confidence"]) == (action_name(theirs.action), theirs.confidence)
        assert (said["cause"], said["p"]) == (str(cause), round(p, 4))
    assert silent.belief.causes != loud.belief.causes


def test_one_that_has_proven_better_decides() -> None:
    challenger = taught(60)
    assert challenger.decides
    given_, text = told(challenger)
    assert given_.belief.by is challenger.counts.likelihoods
    assert "what 60 labels taught decides, and e is " in text
