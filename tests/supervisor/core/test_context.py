"""Circumstances: which symptoms a case shows, how hard it presses, and what is at stake."""

from __future__ import annotations

import math

import pytest
from attrs import evolve
from hypothesis import given

from treewarden.agents.core.exit import KILLED, Failed, Failure, Finished, Stopped
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import RollBack
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.confidence import p_fix
from treewarden.supervisor.core.context import Context, read_context, read_symptom
from treewarden.supervisor.core.history import RestartHistory
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.signal import (
    Overloaded,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
)
from treewarden.supervisor.core.spec import ChildSpec, Intensity, Restore, SupervisorSpec
from treewarden.supervisor.core.symptom import Kind, Risk, Symptom
from treewarden.supervisor.core.window import Window, Work

from .cases import PATH, SPEC, case, cases, exited, failed, nothing, over

S = Symptom
POISONED = exited(failed(message="m1"), deliveries=2)


def beside(signal: Signal, names: str) -> list[Signal]:
    """The same signal about siblings, then about the child itself."""
    return [*(evolve(signal, path=Path("desk") / name) for name in names), signal]


@pytest.mark.parametrize(
    ("signals", "symptoms"),
    [
        ([exited(failed("ValueError"))], ["crash"]),
        ([exited(failed("TypeError"))], ["code_error"]),
        ([exited(KILLED)], ["killed"]),
        ([exited(Finished())], ["ended"]),
        ([exited(Stopped("intensity"))], ["gave_up"]),
        ([POISONED], ["crash", "same_message 2/2"]),
        ([exited(failed(message="m1"), deliveries=1)], ["crash"]),
        ([exited(failed(), deliveries=2)], ["crash"]),
        ([exited(), exited(settled=2)], ["crash", "refail_fast"]),
        ([exited(), exited(settled=2, uptime=5.0)], ["crash"]),
        ([exited(), exited()], ["crash", "refail_fast", "nothing_settled_since_restore x2"]),
        ([RestartFailed(path=PATH, at=100.0, failure=failed("OSError").failure)], ["crash", "start_failed"]),
        (beside(exited(failed("ConnectionError")), "bc"), ["connection", "siblings_alike 3/5"]),
        (beside(exited(failed("ConnectionError")), "b"), ["connection"]),
        ([Reported(path=PATH, at=100.0, kind="slow", severity=0.4)], ["reported:slow 0.40"]),
        (beside(Reported(path=PATH, at=100.0, kind="slow", severity=0.4), "bcde"), ["reported:slow 0.40"]),
        (
            beside(Reported(path=PATH, at=100.0, kind="slow", severity=0.8), "bcde"),
            ["reported:slow 0.80", "siblings_alike 5/5"],
        ),
        ([Recovered(path=PATH, at=100.0, kind="slow")], []),
    ],
)
def test_symptoms(signals: list[Signal], symptoms: list[str]) -> None:
    assert list(case(*signals).context.named) == symptoms


@pytest.mark.parametrize(
    ("signals", "under"),
    [
        ([exited(failed("TypeError"))], "code_error"),
        (
            [exited(failed("TypeError")), evolve(exited(), path=Path("desk/b")), exited(failed("TypeError"))],
            "code_error",
        ),
        (beside(exited(failed("TypeError")), "b"), "siblings_alike"),
        (beside(Stalled(path=PATH, at=100.0, idle=30.0), "bcde"), "siblings_alike"),
        (beside(Reported(path=PATH, at=100.0, kind="slow", severity=0.4), "bcde"), "reported"),
        (beside(Reported(path=PATH, at=100.0, kind="slow", severity=0.8), "b"), "siblings_alike"),
        ([Recovered(path=PATH, at=100.0, kind="slow")], ""),
    ],
)
def test_what_an_attempt_counts_under(signals: list[Signal], under: str) -> None:
    assert read_symptom(case(*signals)) == case(*signals).symptom == under


@pytest.mark.parametrize(
    ("alike", "of", "shown"), [(2, 2, False), (3, 6, True), (3, 7, False), (9, 19, False), (10, 1000, True)]
)
def test_when_siblings_are_alike(alike: int, of: int, shown: bool) -> None:
    signals = beside(exited(), "")
    for place in range(alike - 1):
        signals.insert(0, evolve(exited(), path=Path(f"desk/s{place}")))
    context = read_context(case(*signals, siblings=tuple(f"s{place}" for place in range(of))))
    assert (context.alike, context.shows(S.SIBLINGS_ALIKE)) == (alike, shown)


def test_a_trouble_that_has_a_name_of_its_own_is_called_by_it() -> None:
    limited = RateLimitReached(path=PATH, at=5.0, failure=Failure("HTTPError", fingerprint="f"))
    assert case(limited).context.shared == "rate_limited"
    assert case(Reported(path=PATH, at=5.0, kind="slow", severity=0.9)).context.shared == "reported:slow"
    plain = evolve(exited(), exit=Failed(Failure("ValueError")))
    assert case(plain).context.shared == "ValueError"


def test_what_siblings_share_is_a_dependency_that_all_of_them_use() -> None:
    uses = {"b": ("db", "api"), "c": ("api",), "a": ("cache", "api", "db")}
    window = case().window
    for name, names in uses.items():
        window = window.add(evolve(exited(), path=Path("desk") / name), names)
    assert case(window=window, spec=evolve(SPEC, uses=uses["a"])).context.shared == "api"
    assert case(window=window, spec=evolve(SPEC, uses=("other",))).context.shared == "ValueError"
    assert case(spec=evolve(SPEC, uses=uses["a"])).context.shared == "cache"


def down(child: str, at: float) -> Signal:
    failure = Failure("OSError", fingerprint="f", message_kind="Add")
    return exited(Failed(failure), at=at, path=Path("desk") / child)


def test_who_works_in_between_is_not_in_the_same_trouble() -> None:
    signals = [down(child, 97.0 + place) for place, child in enumerate("bcda")]
    window = Window()
    for signal in signals:
        window = window.add(signal)
    all_four = case(*signals, window=window).context
    assert (all_four.alike, all_four.now_and_then, all_four.shows(S.SIBLINGS_ALIKE)) == (4, 0, True)
    two = case(*signals, window=window.looked_at("f", {"b": Work(4), "c": Work(5), "d": Work(4)})).context
    assert (two.alike, two.now_and_then, two.shows(S.SIBLINGS_ALIKE)) == (2, 2, False)
    alone = case(*signals, window=window.looked_at("f", dict.fromkeys("bcd", Work(5)))).context
    assert alone.because == ("3 siblings failed in the same way lately, with work in between",)
    itself = case(*signals, window=window.add(evolve(signals[-1], at=101.0), work=Work(5)), now=101.0).context
    assert (itself.alike, itself.now_and_then, itself.shared, itself.declared) == (1, 3, "OSError", False)
    assert alone.pressure == itself.pressure < two.pressure < all_four.pressure


def test_who_works_in_between_and_has_no_room_for_its_restarts_is_told_what_would_help() -> None:
    window = Window()
    signals = [down(child, 98.0 + place) for place, child in enumerate("bca")]
    for signal in signals:
        window = window.add(signal)
    window = window.looked_at("f", {"b": Work(5)})
    full = RestartHistory().noted(99.0, Intensity())
    crowded = case(*signals, window=window, history=full, intensity=Intensity()).context
    assert (crowded.alike, crowded.now_and_then, crowded.crowded) == (3, 0, 1)
    assert crowded.because[1] == (
        "1 of them work in between, and more of their restarts would make their supervisor give up: where they may "
        "fail so often, give it more (restarts=Intensity(...))"
    )
    roomy = case(*signals, window=window, intensity=Intensity()).context
    assert (roomy.alike, roomy.now_and_then, roomy.crowded) == (2, 1, 0)


def test_what_is_left_alone_is_said_without_a_fingerprint() -> None:
    """It was `waits for __main__.BadAnswer 5d4837e1b779`."""
    bad = evolve(exited(), exit=Failed(Failure("__main__.BadAnswer", fingerprint="5d4837e1b779")))
    alone, others = case(bad).context, case(evolve(bad, path=Path("desk/b")), bad).context
    assert (alone.suspect, others.suspect) == (
        "what makes it fail (BadAnswer)",
        "what makes siblings fail alike (BadAnswer)",
    )
    assert case(bad, spec=evolve(SPEC, uses=("api",))).context.suspect == "api"


def test_code_that_changed_recently() -> None:
    assert case(code_changed_at=90.0).context.shows(S.CODE_CHANGED)
    assert not case(code_changed_at=90.0, now=691.0).context.shows(S.CODE_CHANGED)
    assert not case(code_changed_at=None).context.shows(S.CODE_CHANGED)


@pytest.mark.parametrize(
    ("spec", "rolled_back", "states"),
    [
        (SPEC, (), 3),
        (SPEC, (RollBack(1),), 2),
        (SPEC, (RollBack(1), RollBack(2), RollBack(3)), 0),
        (evolve(SPEC, restore=Restore.INITIAL), (), 0),
        (SupervisorSpec(id="a"), (), 0),
    ],
)
def test_earlier_states_that_are_left(
    spec: ChildSpec | SupervisorSpec, rolled_back: tuple[RollBack, ...], states: int
) -> None:
    signals = [exited()] * (len(rolled_back) + 1)
    assert case(*signals, actions=rolled_back, spec=spec, checkpoints=2).context.states == states


def full(depth: int, capacity: int) -> Signal:
    return Overloaded(path=PATH, at=100.0, depth=depth, capacity=capacity)


@pytest.mark.parametrize(
    ("signal", "severity"),
    [(full(64, 64), 0.5), (full(32, 64), 0.25), (full(99, 64), 0.5), (full(1, 0), 0.5), (exited(KILLED), 0.1)],
)
def test_severity(signal: Signal, severity: float) -> None:
    assert case(signal).context.severity == severity


def test_pressure_is_its_formula() -> None:
    intensity = Intensity(4, 5.0)
    history = RestartHistory()
    for at in (98.0, 99.0, 100.0):
        history = history.noted(at, intensity)
    signals = [*beside(exited(), "bc"), *[exited()] * 4]
    context = case(*signals, history=history, intensity=intensity).context
    # severity 0.3, two of four restarts used before this one, four of six attempts failed, two of four siblings alike
    assert context.pressure == pytest.approx(1 - (1 - 0.27) * (1 - 0.3) * (1 - 0.4) * (1 - 0.25))
    assert context.risk is Risk.HIGH


def test_because_says_it_in_words() -> None:
    signals = [exited(failed(message="m1"), deliveries=n) for n in (1, 2)]
    assert case(*signals, code_changed_at=1.0).context.because == (
        "1 attempt of this incident did not help",
        "no sibling fails in the same way",
        "the message in hand has used up 2 of 2 deliveries",
        "2 lives in a row settled nothing, always with the same message",
        "its code changed less than 10 minutes ago",
    )
    assert case(*beside(exited(), "bcd")).context.because == ("4 of 5 siblings show the same: ValueError",)
    assert case(exited(), exited(settled=1)).context.because[-1] == "it died again soon after its start"
    full = [Overloaded(path=PATH, at=100.0, depth=n, capacity=64) for n in (60, 62, 64)]
    assert case(*full).context.because[-1] == "its queue has been growing"


@given(cases())
def test_it_is_total_and_bounded(given: Case) -> None:
    context = given.context
    assert 0.0 <= context.pressure <= 1.0
    assert math.isfinite(context.pressure)
    assert context.risk is Risk.of(context.pressure)
    assert context.states >= 0
    natures = [symptom for symptom in context.symptoms if list(S).index(symptom) < list(S).index(S.START_FAILED)]
    assert len(natures) == (context.kind not in (Kind.RECOVERED, Kind.OPERATOR))
    assert len(context.named) == len(context.symptoms)
    assert read_context(given) == context


@given(cases())
def test_each_part_of_the_pressure_can_only_raise_it(given: Case) -> None:
    calm = evolve(given, history=RestartHistory(), incident=evolve(given.incident, failed=0))
    assert calm.context.pressure <= given.context.pressure + 1e-12


def test_the_label_carries_the_word_of_the_report() -> None:
    assert case(Reported(path=PATH, at=1.0, kind="slow", severity=1.0)).context.label == "reported:slow"
    assert case().context.label == "crash"
    assert Context(subject=PATH, kind=Kind.CRASH).named == ()


def test_what_a_case_says_of_its_slot() -> None:
    below, own, other = SupervisorSpec(id="a"), NamedAction(nothing, within=1.0), NamedAction(nothing, within=2.0)
    assert [case(spec=spec).variant for spec in (SPEC, evolve(SPEC, variants={"old": object}), below)] == [
        "",
        "old",
        "",
    ]
    both = evolve(SPEC, actions={"warm_up": own})
    assert case(spec=both, registered={"warm_up": other, "check": other}).actions == {"warm_up": own, "check": other}
    used = over(tree=3)
    assert [
        case(signal, intensity=Intensity(2, 5.0), **used).budget_used
        for signal in (exited(), Stalled(path=PATH, at=100.0, idle=9.0))
    ] == [1.0, 1.0], "one that does not count comes behind all three"
    assert case(intensity=Intensity(2, 5.0), **over(tree=2)).budget_used == 0.5


def test_what_is_believed_of_an_action_falls_with_each_time_that_it_failed_and_is_that_of_a_slot_that_is_down() -> None:
    for crashes in (1, 2, 4):
        given = case(*[exited()] * crashes)
        p = p_fix(given.belief, "restart", down=True, failed=crashes - 1)
        assert given.stated("restart").model == round(p, 4)
        assert p < p_fix(given.belief, "restart", down=True, failed=crashes - 2) or crashes == 1
    starts = case(exited())
    there, ended = (p_fix(starts.belief, "throttle", down=down, failed=0) for down in (False, True))
    assert starts.stated("throttle").model == round(ended, 4) != round(there, 4)
