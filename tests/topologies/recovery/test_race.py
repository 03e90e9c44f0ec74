"""A race: that agents really fail, that what helps helps, and that the score counts what happened."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.supervisor.core.cases import case, exited
from treewarden.supervisor.core.decision import decide, to_event
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import Intensity, RestartBucket
from treewarden.topologies.recovery.contenders import CONTENDERS, Contender
from treewarden.topologies.recovery.race import Race, run_race
from treewarden.topologies.recovery.witness import Witness

from .worlds import SHIPPED, trouble_of, world_of

OTP, LADDER, KUBERNETES = CONTENDERS["otp"], CONTENDERS["ladder"], CONTENDERS["kubernetes"]


def actions(race: Race) -> list[tuple[str, ...]]:
    return [incident.actions for incident in race.incidents]


def test_a_restart_ends_what_passes() -> None:
    race = run_race(world_of("transient"), 0, OTP)
    assert actions(race) == [("restart",), ("restart",)]
    for incident in race.incidents:
        assert (incident.by, incident.pages, incident.wasted) == ("restart", 0, 0)
        assert incident.down < 10
        assert incident.cost == pytest.approx(incident.down + 3)
    assert [outcome.fixed for outcome in race.outcomes] == [True, True]


def test_a_hang_is_found_by_its_silence() -> None:
    world = world_of("hang")
    causes = {**world.causes, "hang": evolve(world.causes["hang"], shows={"stalled": 1.0})}
    race = run_race(evolve(world, causes=causes, later=causes), 0, OTP)
    assert actions(race) == [("restart",), ("restart",)]
    assert all(20 < incident.down < 30 for incident in race.incidents)


def test_restarts_do_not_end_a_bad_state_and_a_rollback_does() -> None:
    world = world_of("bad_state", 1, "refails")
    plain, rolled = run_race(world, 0, OTP), run_race(world, 0, LADDER)
    assert plain.incidents[0].by == "person"
    assert plain.incidents[0].pages == 1
    assert plain.incidents[0].wasted == len(plain.incidents[0].actions) > 1
    assert plain.incidents[0].down > trouble_of(world).person
    assert rolled.incidents[0].actions[-1] == "roll_back"
    assert rolled.incidents[0].pages == 0
    assert rolled.incidents[0].wrong_rollbacks == 0


def test_a_message_that_kills_is_given_up() -> None:
    race = run_race(world_of("poison_message", 1), 0, LADDER)
    assert race.incidents[0].actions == ("restart", "set_aside")


def test_who_shares_a_dependency_fails_with_it() -> None:
    race = run_race(world_of("dependency_down", 1, "siblings", "refails"), 0, LADDER)
    assert "break" in race.incidents[0].actions
    assert race.incidents[0].pages == 0


def test_a_429_is_obeyed_by_everybody() -> None:
    world = world_of("rate_limited")
    causes = {**world.causes, "rate_limited": evolve(world.causes["rate_limited"], shows={"rate_limited": 1.0})}
    for contender in (OTP, LADDER, KUBERNETES):
        race = run_race(evolve(world, causes=causes, later=causes), 0, contender)
        assert all(set(taken) == {"throttle"} for taken in actions(race))
        assert race.violations == 0


def test_what_nobody_knows_ends_with_a_page() -> None:
    for contender in (OTP, LADDER, KUBERNETES):
        (incident,) = run_race(world_of("unmodelled", 1, "refails"), 0, contender).incidents
        assert incident.by == "person"
        assert incident.pages >= 1
        assert incident.cost > incident.down + 600


def test_a_policy_that_never_asks_is_noticed() -> None:
    patient = Contender("patient", otp, Intensity(1_000_000, 1.0))
    world = evolve(world_of("unmodelled", 1), notices=300.0)
    (incident,) = run_race(world, 0, patient).incidents
    assert incident.by == "person"
    assert incident.down == pytest.approx(300 + trouble_of(world).person, abs=60)


def test_a_race_is_repeated_exactly_and_its_incidents_are_those_of_every_policy() -> None:
    world = evolve(SHIPPED[1], incidents=6)
    first = run_race(world, 7, LADDER)
    assert first == run_race(world, 7, LADDER)
    assert first != run_race(world, 8, LADDER)
    other = run_race(world, 7, OTP)
    assert [incident.cause for incident in first.incidents] == [incident.cause for incident in other.incidents]
    assert first.violations == other.violations == 0


def test_a_timer_measures_decisions_and_changes_nothing_else() -> None:
    world = world_of("transient")
    ticks = iter(range(1_000_000))
    timed = run_race(world, 0, LADDER, timer=lambda: float(next(ticks)))
    assert timed.latencies == (1.0, 1.0)
    assert evolve(timed, latencies=()) == run_race(world, 0, LADDER)


def test_whoever_restarts_before_the_trees_bucket_has_room_is_found_out() -> None:
    """What a decision would be if the hard rule were not there."""
    now = exited()
    full = case(now, bucket=RestartBucket(1, 10.0), turn=7.0)
    decided = to_event(decide(ladder(), full))
    for event, wrong in ((decided, 0), (evolve(decided, details={"scope": "one", "after": 6.9}), 1)):
        for policy, counted in ((ladder(), wrong), (otp(), 0)):
            witness = Witness(policy, Intensity(3, 5.0))
            witness.propose(full)
            assert witness.saw(event)
            assert witness.violations == counted
